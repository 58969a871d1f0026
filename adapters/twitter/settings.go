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

// Validate refuses what can work for no account.
func (s *settings) Validate(report func(key, message string)) {
	for key, value := range map[string]string{"api_url": s.APIURL, "upload_url": s.UploadURL, "legacy_api_url": s.LegacyAPIURL} {
		if _, err := address(value); err != nil {
			report(key, err.Error())
		}
	}
}

// Validate refuses what X has not.
func (s *accountSettings) Validate(report func(key, message string)) {
	if s.API != apiV2 && s.API != apiV1 {
		report("api", "want v2 or v1.1")
	}
	if s.MaxWeight < shortWeight || s.MaxWeight > longWeight {
		report("max_weight", fmt.Sprintf("want a number between %d and %d", shortWeight, longWeight))
	}
}

// readSettings decodes the platform's mapping.
func readSettings(decode func(into any) error) (settings, error) {
	var s settings
	if err := decode(&s); err != nil {
		return settings{}, fmt.Errorf("twitter settings: %w", err)
	}
	return s, nil
}

func checkSettings(decode func(into any) error) error {
	_, err := readSettings(decode)
	return err
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
	s, err := readSettings(env.Settings)
	if err != nil {
		return config{}, err
	}
	extra := accountSettings{API: apiV2, MaxWeight: shortWeight}
	if err := env.Extra(&extra); err != nil {
		return config{}, fmt.Errorf("twitter account %s: %w", env.Account.Handle, err)
	}
	c := config{backend: extra.API, maxWeight: extra.MaxWeight}
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
