package youtube

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"crier/adapters"
	"crier/internal/secret"
)

// settings is what the configuration says under platforms.youtube. Every address has the real one as its default.
type settings struct {
	APIURL       string        `yaml:"api_url"`
	TokenURL     string        `yaml:"token_url"`
	ClientID     string        `yaml:"client_id"`
	ClientSecret secret.Source `yaml:"client_secret"`
}

const (
	defaultAPI   = "https://youtube.googleapis.com"
	defaultToken = "https://oauth2.googleapis.com/token"
)

// Validate refuses what can work for no channel.
func (s *settings) Validate(report func(key, message string)) {
	if !isAddress(s.APIURL) {
		report("api_url", "want an address such as "+defaultAPI)
	}
	if !isAddress(s.TokenURL) {
		report("token_url", "want an address such as "+defaultToken)
	}
}

// readSettings decodes the platform's mapping.
func readSettings(decode func(into any) error) (settings, error) {
	s := settings{APIURL: defaultAPI, TokenURL: defaultToken}
	if err := decode(&s); err != nil {
		return settings{}, fmt.Errorf("youtube settings: %w", err)
	}
	s.APIURL = strings.TrimRight(s.APIURL, "/")
	return s, nil
}

func checkSettings(decode func(into any) error) error {
	_, err := readSettings(decode)
	return err
}

// decodeSettings reads the platform's settings and the secret they name. Errors name the field, never its value.
func decodeSettings(env adapters.Env) (settings, secret.Text, error) {
	s, err := readSettings(env.Settings)
	if err != nil {
		return settings{}, secret.Text{}, err
	}
	if err := env.Extra(&struct{}{}); err != nil {
		return settings{}, secret.Text{}, fmt.Errorf("youtube account: %w", err)
	}
	if s.ClientID == "" {
		return settings{}, secret.Text{}, errors.New("youtube settings: client_id is missing")
	}
	if env.Account.Identity == "" {
		return settings{}, secret.Text{}, errors.New("youtube account: identity: want the id of the channel")
	}
	clientSecret, err := env.Secret(s.ClientSecret)
	if err != nil {
		return settings{}, secret.Text{}, fmt.Errorf("youtube settings: client_secret: %w", err)
	}
	if clientSecret.IsZero() {
		return settings{}, secret.Text{}, errors.New("youtube settings: client_secret is missing")
	}
	return s, clientSecret, nil
}

// isAddress reports whether s is an absolute web address without user, query and fragment.
func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
