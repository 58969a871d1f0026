// Package config reads Crier's configuration file. It is strict: every key must be known, every value good and every
// name defined, and each mistake is told with file, line and column, all of them at once. No message repeats a value
// of the file, since any of them may be a secret.
//
// The package knows no adapter. What belongs to a platform stays an undecoded [Node], which that platform's adapter
// decodes with the same strictness.
package config

import (
	"net/netip"
	"time"

	"crier/internal/post"
	"crier/internal/secret"
)

// Config is a whole configuration, with defaults filled in. What [Load] returns is valid in itself; whether the
// secrets are there is asked by [Config.Secrets].
type Config struct {
	// Listen is host:port.
	Listen string `yaml:"listen"`
	// PublicURL is where the world reaches Crier, without a slash at the end; empty when it does not.
	PublicURL string `yaml:"public_url"`
	// TrustedProxies may say in X-Forwarded-For who is asking.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// DataDir holds the store, media and the master key. A relative path starts from the folder of the file.
	DataDir string `yaml:"data_dir"`
	// TimeZone is the IANA zone of accounts that have none of their own.
	TimeZone  string                 `yaml:"time_zone"`
	Auth      Auth                   `yaml:"auth"`
	Scheduler Scheduler              `yaml:"scheduler"`
	Outgoing  Outgoing               `yaml:"outgoing"`
	Platforms map[post.Platform]Node `yaml:"platforms"`
	Brands    []Brand                `yaml:"brands"`
	People    []Person               `yaml:"people"`
	Accounts  []Account              `yaml:"accounts"`

	places places
}

// Auth says who owns the installation.
type Auth struct {
	// Owner is the handle of one of People. When the file names none it is a person called owner, whom Load adds
	// if need be.
	Owner string `yaml:"owner"`
	// BootstrapKey is a key of the owner for unattended set-ups, or absent.
	BootstrapKey secret.Source `yaml:"bootstrap_key"`
}

// Scheduler says how deliveries are sent.
type Scheduler struct {
	// MaxInFlight is how many deliveries are sent at the same time, at most.
	MaxInFlight int `yaml:"max_in_flight"`
	// MinGap is the least time between two deliveries of one account; 0 switches spacing off.
	MinGap time.Duration `yaml:"min_gap"`
	// MaxLate is how long a delivery may wait beyond its due time before it is missed.
	MaxLate time.Duration `yaml:"max_late"`
	// PrepareAhead is how long before the due time media are uploaded.
	PrepareAhead time.Duration `yaml:"prepare_ahead"`
	// WhenNotSeen says what follows when a delivery of unknown fate was not seen on the platform.
	WhenNotSeen post.WhenNotSeen `yaml:"when_not_seen"`
}

// Outgoing says what Crier's own requests on behalf of users may reach.
type Outgoing struct {
	// Allow lists private addresses, each host:port, that webhooks, feeds and media may reach.
	Allow []string `yaml:"allow"`
}

// Brand is an organisation or a product that owns accounts. Brands and people share one space of handles.
type Brand struct {
	Handle string `yaml:"handle"`
	Name   string `yaml:"name"`
}

// Person is a member of the team.
type Person struct {
	Handle string `yaml:"handle"`
	Name   string `yaml:"name"`
	// Roles gives the person's role for brands by handle: viewer, author, approver or manager.
	Roles map[string]string `yaml:"roles"`
	// Key is that person's own API key, or absent.
	Key secret.Source `yaml:"key"`
}

// Account is one login on one platform.
type Account struct {
	Handle   string        `yaml:"handle"`
	Platform post.Platform `yaml:"platform"`
	Kind     post.Kind     `yaml:"kind"`
	// Owner is the handle of a brand or of a person, as Kind says.
	Owner string    `yaml:"owner"`
	Mode  post.Mode `yaml:"mode"`
	// Identity is who the platform must say that we are. It is set with mode api.
	Identity string `yaml:"identity"`
	Name     string `yaml:"name"`
	// TimeZone, MinGap, MaxLate and WhenNotSeen have the installation's values where the account sets none.
	TimeZone    string           `yaml:"time_zone"`
	MinGap      *time.Duration   `yaml:"min_gap"`
	MaxLate     *time.Duration   `yaml:"max_late"`
	WhenNotSeen post.WhenNotSeen `yaml:"when_not_seen"`
	// Approvals is how many people must approve a delivery: 0 to 2, and 0 for personal accounts.
	Approvals int `yaml:"approvals"`
	// Credentials are the account's tokens by the names that its adapter knows. There are some with mode api.
	Credentials map[string]secret.Source `yaml:"credentials"`
	// Extra holds the keys that are not an account's own. The account's adapter must decode it, even into an empty
	// struct, since only that refuses unknown keys.
	Extra Node `yaml:",extra"`
}

// ownerHandle is who owns the installation when the file does not say.
const ownerHandle = "owner"

// defaults is the configuration of an empty file.
func defaults() Config {
	return Config{
		Listen:   "127.0.0.1:8080",
		DataDir:  "./data",
		TimeZone: "UTC",
		Scheduler: Scheduler{
			MaxInFlight:  256,
			MinGap:       time.Minute,
			MaxLate:      15 * time.Minute,
			PrepareAhead: 10 * time.Minute,
			WhenNotSeen:  post.Resend,
		},
	}
}

// inherit fills in what accounts, brands and people take from elsewhere.
func (c *Config) inherit() {
	for i := range c.Brands {
		setDefault(&c.Brands[i].Name, c.Brands[i].Handle)
	}
	for i := range c.People {
		setDefault(&c.People[i].Name, c.People[i].Handle)
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		setDefault(&a.Mode, post.ModeAPI)
		setDefault(&a.Name, a.Handle)
		setDefault(&a.TimeZone, c.TimeZone)
		setDefault(&a.WhenNotSeen, c.Scheduler.WhenNotSeen)
		if a.MinGap == nil {
			a.MinGap = new(c.Scheduler.MinGap)
		}
		if a.MaxLate == nil {
			a.MaxLate = new(c.Scheduler.MaxLate)
		}
	}
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}
