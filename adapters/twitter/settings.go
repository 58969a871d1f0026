package twitter

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"crier/adapters"
	"crier/internal/secret"
)

// defaultURL is where X serves both of its APIs.
const defaultURL = "https://api.x.com"

// settings is the platform's mapping in the configuration.
type settings struct {
	// APIURL serves API v2, UploadURL its media calls, LegacyAPIURL API v1.1.
	APIURL         string        `yaml:"api_url"`
	UploadURL      string        `yaml:"upload_url"`
	LegacyAPIURL   string        `yaml:"legacy_api_url"`
	ConsumerKey    secret.Source `yaml:"consumer_key"`
	ConsumerSecret secret.Source `yaml:"consumer_secret"`
}

// accountSettings are the keys that an account of this platform may have beside the common ones.
type accountSettings struct {
	// API is v2, the default, or v1.1, which X answers with code 453 unless the contract includes it.
	API string `yaml:"api"`
	// MaxWeight is the longest text, 280 unless the account has bought more.
	MaxWeight int `yaml:"max_weight"`
}

// The values of the account's api key.
const (
	apiV2 = "v2"
	apiV1 = "v1.1"
)

// The names of an account's credentials.
const (
	accessToken  = "access_token"
	accessSecret = "access_secret"
)

// config is everything that the settings say, resolved.
type config struct {
	api, upload, legacy         *url.URL
	consumerKey, consumerSecret secret.Text
	backend                     string
	maxWeight                   int
}

func load(env adapters.Env) (config, error) {
	var s settings
	if err := env.Settings(&s); err != nil {
		return config{}, fmt.Errorf("twitter settings: %w", err)
	}
	extra := accountSettings{API: apiV2, MaxWeight: shortWeight}
	if err := env.Extra(&extra); err != nil {
		return config{}, fmt.Errorf("twitter account %s: %w", env.Account.Handle, err)
	}
	c := config{backend: extra.API, maxWeight: extra.MaxWeight}
	if c.backend != apiV2 && c.backend != apiV1 {
		return config{}, fmt.Errorf("twitter account %s: api is v2 or v1.1", env.Account.Handle)
	}
	if c.maxWeight < shortWeight || c.maxWeight > longWeight {
		return config{}, fmt.Errorf("twitter account %s: max_weight is between %d and %d", env.Account.Handle, shortWeight, longWeight)
	}
	for _, u := range []struct {
		name, value string
		into        **url.URL
	}{{"api_url", s.APIURL, &c.api}, {"upload_url", s.UploadURL, &c.upload}, {"legacy_api_url", s.LegacyAPIURL, &c.legacy}} {
		parsed, err := address(u.value)
		if err != nil {
			return config{}, fmt.Errorf("twitter settings: %s: %w", u.name, err)
		}
		*u.into = parsed
	}
	for _, k := range []struct {
		name   string
		source secret.Source
		into   *secret.Text
	}{{"consumer_key", s.ConsumerKey, &c.consumerKey}, {"consumer_secret", s.ConsumerSecret, &c.consumerSecret}} {
		text, err := env.Secret(k.source)
		if err != nil {
			return config{}, fmt.Errorf("twitter settings: %s: %w", k.name, err)
		}
		if text.IsZero() {
			return config{}, fmt.Errorf("twitter settings: %s is missing", k.name)
		}
		*k.into = text
	}
	return c, nil
}

// address reads a base URL; an empty one is X's own.
func address(s string) (*url.URL, error) {
	if s == "" {
		s = defaultURL
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("want an address such as " + defaultURL)
	}
	return u, nil
}
