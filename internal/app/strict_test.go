package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crier/internal/app"
)

// What only an adapter can judge is refused as the rest is: before anything is opened, and with its place.
func TestABadSettingIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	const good = `auth: {owner: sam}
platforms:
  twitter: {consumer_key: k, consumer_secret: s}
  facebook: {app_id: "1122334455", app_secret: s}
  reddit: {client_id: c, client_secret: s}
  youtube: {client_id: c, client_secret: s}
  instagram: {app_id: "1", app_secret: s}
brands: [{handle: acme}]
people:
  - {handle: sam, key: crier_sam_0123456789abcdefghij}
accounts:
  - {handle: acme-x, platform: twitter, kind: brand, owner: acme, identity: acmeinc, credentials: {access_token: a, access_secret: b}}
  - {handle: acme-page, platform: facebook, kind: brand, owner: acme, identity: "1029384756", credentials: {page_token: a}}
  - {handle: acme-reddit, platform: reddit, kind: brand, owner: acme, identity: acme_inc, credentials: {refresh_token: a}}
  - {handle: acme-tube, platform: youtube, kind: brand, owner: acme, identity: UCacme, credentials: {refresh_token: a}}
`
	lines := strings.Split(good, "\n")
	without := func(prefix string) string {
		kept := []string{}
		for _, l := range lines {
			if !strings.Contains(l, prefix) {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "\n")
	}
	check := func(yaml string) error {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		return app.Check(t.Context(), path, os.LookupEnv, &bytes.Buffer{})
	}
	if err := check(good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	swap := func(old, now string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("there is no %q", old)
		}
		return strings.Replace(good, old, now, 1)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"an address":                    {swap("consumer_key: k", "api_url: canary, consumer_key: k"), "c.yaml:3:22: "},
		"another address":               {swap("reddit: {", "reddit: {auth_url: canary, "), "c.yaml:5:22: "},
		"a version":                     {swap(`app_id: "1122334455"`, "version: 26"), "c.yaml:4:23: "},
		"an app's number":               {swap(`app_id: "1122334455"`, "app_id: canary"), "c.yaml:4:22: "},
		"a user agent":                  {swap("client_id: c,", `client_id: c, user_agent: "a\nb",`), "c.yaml:5:38: "},
		"a token address":               {swap("youtube: {", "youtube: {token_url: canary, "), "c.yaml:6:24: "},
		"an api":                        {swap("identity: acmeinc", "identity: acmeinc, api: v3"), "c.yaml:12:91: "},
		"a weight":                      {swap("identity: acmeinc", "identity: acmeinc, max_weight: 1"), "c.yaml:12:98: "},
		"a missing secret":              {swap("{client_id: c, client_secret: s}\n  instagram", "{client_id: c}\n  instagram"), "c.yaml:15:5: "},
		"a missing client":              {swap("reddit: {client_id: c, ", "reddit: {"), "c.yaml:14:5: "},
		"a Page by name":                {swap(`identity: "1029384756"`, "identity: canary"), "c.yaml:13:5: "},
		"a credential that is misspelt": {swap("access_token: a", "acces_token: a"), `c.yaml:12:100: unknown credential "acces_token"; did you mean "access_token"?`},
		"a credential of another":       {swap("{page_token: a}", "{page_token: a, refresh_token: b}"), "c.yaml:13:124: "},
		"a person's key":                {swap("crier_sam_0123456789abcdefghij", "canary"), "c.yaml:10:24: "},
		"a setting without an account":  {strings.Replace(without("acme-page"), "app_secret", "app_sercet", 1), "c.yaml:4:36: "},
		"an address without an account": {strings.Replace(without("acme-tube"), "youtube: {", "youtube: {api_url: canary, ", 1), "c.yaml:6:22: "},
		"a setting of what is to come":  {swap(`instagram: {app_id: "1"`, `instagram: {ap_id: "1"`), "c.yaml:7:15: "},
		"an account of what is to come": {good + "  - {handle: acme-ig, platform: instagram, kind: brand, owner: acme, identity: i, credentials: {access_token: a}}\n", "c.yaml:16:33: "},
		"a key of an account by hand":   {good + "  - {handle: mine, platform: facebook, kind: personal, owner: sam, mode: assist, colour: red}\n", "c.yaml:16:"},
	} {
		err := check(c.yaml)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the value is in %v", name, err)
		}
	}
}
