package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
)

// roles are what a person can be to a brand.
var roles = []string{"viewer", "author", "approver", "manager"}

const (
	badHandle  = "a handle is 1 to 32 of a-z, 0-9 and -"
	badAddress = "want host:port, such as 127.0.0.1:8080"
	badURL     = "want an http or https URL of a host, without user, query or fragment, such as https://crier.example.com"
)

// checker checks what decoded well for itself against all else.
type checker struct {
	*Config

	decoder *decoder
	// owners says for each handle of a brand or a person which kind of account it may own.
	owners map[string]post.Kind
}

// check adds to the problems of d what is wrong with values that decoded.
func (c *Config) check(d *decoder) {
	k := checker{Config: c, decoder: d, owners: map[string]post.Kind{}}
	k.installation()
	k.scheduler()
	k.team()
	k.accounts()
}

func (k *checker) report(path, message string) {
	k.decoder.report(k.places.find(path, k.decoder.file), message)
}

func (k *checker) installation() {
	if !address(k.Listen) {
		k.report("listen", badAddress)
	}
	if k.PublicURL != "" && !baseURL(k.PublicURL) {
		k.report("public_url", badURL)
	}
	if k.DataDir == "" || strings.ContainsRune(k.DataDir, 0) {
		k.report("data_dir", "want the path of a folder")
	}
	k.zone("time_zone", k.TimeZone)
	for i, a := range k.Outgoing.Allow {
		if host, _, _ := net.SplitHostPort(a); host == "" || !address(a) {
			k.report(item("outgoing.allow", i), "want host:port, such as n8n:5678")
		}
	}
}

func (k *checker) scheduler() {
	s := k.Scheduler
	if s.MaxInFlight < 1 || s.MaxInFlight > 1<<16 {
		k.report("scheduler.max_in_flight", "want a number from 1 to 65536")
	}
	k.notNegative("scheduler.min_gap", s.MinGap)
	k.positive("scheduler.max_late", s.MaxLate)
	k.notNegative("scheduler.prepare_ahead", s.PrepareAhead)
}

func (k *checker) team() {
	for i, b := range k.Brands {
		k.owner(item("brands", i), b.Handle, post.Brand)
	}
	for i, p := range k.People {
		k.owner(item("people", i), p.Handle, post.Personal)
	}
	for i, p := range k.People {
		path := child(item("people", i), "roles")
		for brand, role := range p.Roles {
			if k.owners[brand] != post.Brand {
				k.report(child(path, brand)+keyMark, "no brand has this handle")
			}
			if !slices.Contains(roles, role) {
				k.report(child(path, brand), "want "+choice(roles))
			}
		}
	}
	switch {
	case k.Auth.Owner != "":
		if k.owners[k.Auth.Owner] != post.Personal {
			k.report("auth.owner", "no person has this handle")
		}
	case k.owners[ownerHandle] == post.Brand:
		i := slices.IndexFunc(k.Brands, func(b Brand) bool { return b.Handle == ownerHandle })
		k.report(item("brands", i)+".handle", "this handle is that of the installation's owner, unless auth.owner names a person")
	}
}

// owner checks the handle of a brand or a person.
func (k *checker) owner(path, handle string, kind post.Kind) {
	if !k.handle(path, handle) {
		return
	}
	if _, taken := k.owners[handle]; taken {
		k.report(child(path, "handle"), k.taken(k.ownerPath(handle)))
		return
	}
	k.owners[handle] = kind
}

// ownerPath finds the first brand or person of a handle.
func (k *checker) ownerPath(handle string) string {
	if i := slices.IndexFunc(k.Brands, func(b Brand) bool { return b.Handle == handle }); i >= 0 {
		return item("brands", i)
	}
	return item("people", slices.IndexFunc(k.People, func(p Person) bool { return p.Handle == handle }))
}

func (k *checker) taken(path string) string {
	first := k.places.find(child(path, "handle"), file{})
	return fmt.Sprintf("this handle is taken: see line %d, column %d", first.Line, first.Column)
}

func (k *checker) handle(path, handle string) bool {
	switch {
	case handle == "":
		k.missing(path, "handle")
	case !post.ValidHandle(handle):
		k.report(child(path, "handle"), badHandle)
	default:
		return true
	}
	return false
}

func (k *checker) accounts() {
	for i := range k.Accounts {
		a := &k.Accounts[i]
		path := item("accounts", i)
		if k.handle(path, a.Handle) {
			first := slices.IndexFunc(k.Accounts, func(b Account) bool { return b.Handle == a.Handle })
			if first < i {
				k.report(child(path, "handle"), k.taken(item("accounts", first)))
			}
		}
		if a.Platform == "" {
			k.missing(path, "platform")
		}
		if a.Kind == "" {
			k.missing(path, "kind")
		}
		k.ownership(path, a)
		k.login(path, a)
		k.schedule(path, a)
	}
}

func (k *checker) ownership(path string, a *Account) {
	kind, known := k.owners[a.Owner]
	path = child(path, "owner")
	switch {
	case a.Owner == "":
		k.missing(strings.TrimSuffix(path, ".owner"), "owner")
	case !known:
		k.report(path, "no brand and no person has this handle")
	case a.Kind == post.Personal && kind == post.Brand:
		k.report(path, "a personal account is owned by a person; this is a brand")
	case a.Kind == post.Brand && kind == post.Personal:
		k.report(path, "a brand account is owned by a brand; this is a person")
	}
}

// login checks what Crier needs to post by itself; mode assist needs none of it.
func (k *checker) login(path string, a *Account) {
	for name, source := range a.Credentials {
		if source.IsZero() && !k.decoder.failed(child(child(path, "credentials"), name)) {
			k.report(child(child(path, "credentials"), name)+keyMark, "this credential is empty")
		}
	}
	if a.Mode == post.ModeAssist || k.decoder.failed(child(path, "mode")) {
		return
	}
	if a.Identity == "" {
		k.missing(path, "identity")
	}
	if len(a.Credentials) == 0 {
		k.missing(path, "credentials")
	}
}

func (k *checker) schedule(path string, a *Account) {
	if a.TimeZone != "" {
		k.zone(child(path, "time_zone"), a.TimeZone)
	}
	if a.MinGap != nil {
		k.notNegative(child(path, "min_gap"), *a.MinGap)
	}
	if a.MaxLate != nil {
		k.positive(child(path, "max_late"), *a.MaxLate)
	}
	switch {
	case a.Approvals < 0 || a.Approvals > 2:
		k.report(child(path, "approvals"), "want 0, 1 or 2")
	case a.Approvals > 0 && a.Kind == post.Personal:
		k.report(child(path, "approvals"), "a personal account has no approvals: it is its owner's alone")
	}
}

// missing reports a key that must be there. When its value is there and bad, that has been said already.
func (k *checker) missing(path, key string) {
	if k.decoder.failed(child(path, key)) {
		return
	}
	k.report(path, "the key "+key+" is missing")
}

func (k *checker) zone(path, name string) {
	if _, err := civil.LoadZone(name); err != nil {
		k.report(path, err.Error())
	}
}

func (k *checker) notNegative(path string, d time.Duration) {
	if d < 0 {
		k.report(path, "want a duration of 0s or more")
	}
}

func (k *checker) positive(path string, d time.Duration) {
	if d <= 0 {
		k.report(path, "want a duration of more than 0s")
	}
}

// address reports whether s is host:port, where the host may be missing.
func address(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err == nil || !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

func baseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// settle brings a configuration without problems into the form that its documentation promises.
func (c *Config) settle(dir string) {
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if !filepath.IsAbs(c.DataDir) {
		c.DataDir = filepath.Join(dir, c.DataDir)
	}
	if c.Auth.Owner == "" {
		c.Auth.Owner = ownerHandle
		if !slices.ContainsFunc(c.People, func(p Person) bool { return p.Handle == ownerHandle }) {
			c.People = append(c.People, Person{Handle: ownerHandle, Name: "Owner"})
		}
	}
	c.inherit()
}
