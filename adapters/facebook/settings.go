package facebook

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"crier/adapters"
	"crier/internal/secret"
)

// settings is what the configuration says under platforms.facebook. Every address has the real one as its default.
type settings struct {
	APIURL string `yaml:"api_url"`
	// VideoURL and UploadURL are Graph's hosts for files of video. Posts of text, links and photos need neither.
	VideoURL  string        `yaml:"video_url"`
	UploadURL string        `yaml:"upload_url"`
	Version   string        `yaml:"version"`
	AppID     string        `yaml:"app_id"`
	AppSecret secret.Source `yaml:"app_secret"`
}

// The defaults. An unversioned call would follow Meta's oldest living version, so that one is always named.
const (
	defaultAPI     = "https://graph.facebook.com"
	defaultVideo   = "https://graph-video.facebook.com"
	defaultUpload  = "https://rupload.facebook.com"
	defaultVersion = "v26.0"
)

// pageToken is the name of an account's one credential.
const pageToken = "page_token"

// Validate refuses what can work for no Page.
func (s *settings) Validate(report func(key, message string)) {
	for key, value := range map[string]string{"api_url": s.APIURL, "video_url": s.VideoURL, "upload_url": s.UploadURL} {
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			report(key, "want an address such as "+defaultAPI)
		}
	}
	if !graphVersion(s.Version) {
		report("version", "want one such as "+defaultVersion)
	}
	if strings.Trim(s.AppID, "0123456789") != "" {
		report("app_id", "want the number of the app")
	}
}

// readSettings decodes the platform's mapping.
func readSettings(decode func(into any) error) (settings, error) {
	s := settings{APIURL: defaultAPI, VideoURL: defaultVideo, UploadURL: defaultUpload, Version: defaultVersion}
	if err := decode(&s); err != nil {
		return settings{}, fmt.Errorf("facebook settings: %w", err)
	}
	for _, address := range []*string{&s.APIURL, &s.VideoURL, &s.UploadURL} {
		*address = strings.TrimRight(*address, "/")
	}
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
		return settings{}, secret.Text{}, fmt.Errorf("facebook account: %w", err)
	}
	if env.Account.Identity == "" || strings.Trim(env.Account.Identity, "0123456789") != "" {
		return settings{}, secret.Text{}, errors.New("facebook account: identity: want the number of the Page")
	}
	appSecret, err := env.Secret(s.AppSecret)
	if err != nil {
		return settings{}, secret.Text{}, fmt.Errorf("facebook settings: app_secret: %w", err)
	}
	return s, appSecret, nil
}

// graphVersion reports whether v looks like v26.0.
func graphVersion(v string) bool {
	major, minor, ok := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	return ok && strings.HasPrefix(v, "v") && major != "" && minor != "" && strings.Trim(major+minor, "0123456789") == ""
}
