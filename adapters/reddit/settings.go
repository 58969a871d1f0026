package reddit

import (
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"

	"crier/adapters"
	"crier/internal/secret"
)

// Where Reddit serves its API, and where it gives out tokens.
const (
	defaultAPIURL  = "https://oauth.reddit.com"
	defaultAuthURL = "https://www.reddit.com"
)

// settings is the platform's mapping in the configuration.
type settings struct {
	APIURL  string `yaml:"api_url"`
	AuthURL string `yaml:"auth_url"`
	// ClientID and ClientSecret are the app's; an installed app has no secret.
	ClientID     string        `yaml:"client_id"`
	ClientSecret secret.Source `yaml:"client_secret"`
	// UserAgent names the app and who runs it, as Reddit wants it; the default names the account.
	UserAgent string `yaml:"user_agent"`
}

// Validate refuses what can work for no account.
func (s *settings) Validate(report func(key, message string)) {
	if _, err := address(s.APIURL, defaultAPIURL); err != nil {
		report("api_url", err.Error())
	}
	if _, err := address(s.AuthURL, defaultAuthURL); err != nil {
		report("auth_url", err.Error())
	}
	if strings.ContainsAny(s.UserAgent, "\r\n") {
		report("user_agent", "want one line")
	}
}

// readSettings decodes the platform's mapping.
func readSettings(decode func(into any) error) (settings, error) {
	var s settings
	if err := decode(&s); err != nil {
		return settings{}, fmt.Errorf("reddit settings: %w", err)
	}
	return s, nil
}

func checkSettings(decode func(into any) error) error {
	_, err := readSettings(decode)
	return err
}

// The names of an account's credentials: either is enough, an access token alone ends within a day.
const (
	refreshToken = "refresh_token"
	accessToken  = "access_token"
)

// config is everything that the settings say, resolved.
type config struct {
	api, auth    *url.URL
	clientID     string
	clientSecret secret.Text
	userAgent    string
}

func load(env adapters.Env) (config, error) {
	s, err := readSettings(env.Settings)
	if err != nil {
		return config{}, err
	}
	if err := env.Extra(&struct{}{}); err != nil {
		return config{}, fmt.Errorf("reddit account %s: %w", env.Account.Handle, err)
	}
	c := config{clientID: s.ClientID, userAgent: s.UserAgent}
	if c.api, err = address(s.APIURL, defaultAPIURL); err != nil {
		return config{}, fmt.Errorf("reddit settings: api_url: %w", err)
	}
	if c.auth, err = address(s.AuthURL, defaultAuthURL); err != nil {
		return config{}, fmt.Errorf("reddit settings: auth_url: %w", err)
	}
	if c.clientID == "" {
		return config{}, errors.New("reddit settings: client_id is missing")
	}
	if c.clientSecret, err = env.Secret(s.ClientSecret); err != nil {
		return config{}, fmt.Errorf("reddit settings: client_secret: %w", err)
	}
	if c.userAgent == "" {
		c.userAgent = fmt.Sprintf("%s:crier:v1 (by /u/%s)", runtime.GOOS, env.Account.Identity)
	}
	return c, nil
}

// address reads a base URL; an empty one is the usual.
func address(s, usual string) (*url.URL, error) {
	if s == "" {
		s = usual
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("want an address such as " + usual)
	}
	return u, nil
}
