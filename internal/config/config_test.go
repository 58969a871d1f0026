package config_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"crier/internal/config"
	"crier/internal/post"
	"crier/internal/secret"
)

var update = flag.Bool("update", false, "write the golden files anew")

// canary stands for every secret in the files of these tests. It looks like what platforms give out.
const canary = "CANARY-7f3a-hunter2"

const example = "../../config.example.yaml"

// anything is an environment in which every variable is set.
func anything(name string) (string, bool) { return "value of " + name, true }

func TestExampleIsGoodAndComplete(t *testing.T) {
	t.Parallel()
	c, warnings, err := config.Load(example)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("warnings %v, error: %v", warnings, err)
	}
	secrets, err := c.Secrets(anything)
	if err != nil {
		t.Fatal(err)
	}
	if got := secrets.Accounts["mia-x"]["access_secret"].Reveal(); got != "value of CRIER_MIA_X_SECRET" {
		t.Errorf("access_secret of mia-x is %q", got)
	}
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeFor[config.Config]()) {
		if !regexp.MustCompile(`(?m)^[ -]*` + key + `:`).Match(data) {
			t.Errorf("%s does not show %s", example, key)
		}
	}
}

// keys gives the keys of a struct and of all structs in it.
func keys(typ reflect.Type) []string {
	switch typ.Kind() {
	case reflect.Slice, reflect.Pointer:
		return keys(typ.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var list []string
	for field := range typ.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" {
			list = append(append(list, name), keys(field.Type)...)
		}
	}
	return list
}

func TestExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	shown, _, err := config.Load(example)
	if err != nil {
		t.Fatal(err)
	}
	none, _, err := config.Parse(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(none.Scheduler, shown.Scheduler); diff != "" {
		t.Errorf("scheduler (-default +shown):\n%s", diff)
	}
	if none.Listen != shown.Listen || none.DataDir != shown.DataDir {
		t.Errorf("defaults %s %s, shown %s %s", none.Listen, none.DataDir, shown.Listen, shown.DataDir)
	}
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	t.Parallel()
	want := &config.Config{
		Listen: "127.0.0.1:8080", DataDir: "/etc/crier/data", TimeZone: "UTC",
		Auth: config.Auth{Owner: "owner"},
		Scheduler: config.Scheduler{
			MaxInFlight: 256, MinGap: time.Minute, MaxLate: 15 * time.Minute, PrepareAhead: 10 * time.Minute, WhenNotSeen: post.Resend,
		},
		People: []config.Person{{Handle: "owner", Name: "Owner"}},
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "listen:\nauth:\naccounts: null\n"} {
		got, warnings, err := config.Parse("/etc/crier/config.yaml", []byte(text))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%q: %v, %v", text, warnings, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestAccountsInheritAndAliases(t *testing.T) {
	t.Parallel()
	c, warnings, err := config.Parse("/c/config.yaml", []byte(`
public_url: https://crier.example/base/
trusted_proxies: [10.1.2.3/8, "::1"]
time_zone: Europe/Berlin
scheduler: {min_gap: 0s, when_not_seen: ask}
platforms: {x: {api_url: http://x}}
brands: [{handle: acme}]
people: [{handle: owner, roles: {acme: manager}}]
accounts:
  - {handle: a, platform: x, kind: brand, owner: acme, identity: 0123, api: v1.1, credentials: {token: {file: t}}}
  - {handle: b, platform: reddit, kind: personal, owner: owner, mode: assist, min_gap: 2m, time_zone: UTC}
`))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	want := []config.Account{
		{
			Handle: "a", Platform: post.Twitter, Kind: post.Brand, Owner: "acme", Mode: post.ModeAPI, Identity: "0123", Name: "a",
			TimeZone: "Europe/Berlin", MinGap: new(time.Duration(0)), MaxLate: new(15 * time.Minute), WhenNotSeen: post.Ask,
			Credentials: map[string]secret.Source{"token": secret.FromFile("/c/t")},
		},
		{
			Handle: "b", Platform: post.Reddit, Kind: post.Personal, Owner: "owner", Mode: post.ModeAssist, Name: "b",
			TimeZone: "UTC", MinGap: new(2 * time.Minute), MaxLate: new(15 * time.Minute), WhenNotSeen: post.Ask,
		},
	}
	if diff := cmp.Diff(want, c.Accounts, cmpopts.IgnoreTypes(config.Node{})); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	var extra struct {
		API string `yaml:"api"`
	}
	if err := c.Accounts[0].Extra.Decode(&extra); err != nil || extra.API != "v1.1" || !c.Accounts[1].Extra.IsZero() {
		t.Errorf("extra %+v, %v", extra, err)
	}
	settings := struct {
		URL string `yaml:"api_url"`
	}{"https://default"}
	if err := c.Platforms[post.Twitter].Decode(&settings); err != nil || settings.URL != "http://x" {
		t.Errorf("settings %+v, %v", settings, err)
	}
	if got := []any{c.PublicURL, c.TrustedProxies[0].String(), c.TrustedProxies[1].String(), c.Auth.Owner, len(c.People)}; !cmp.Equal(got,
		[]any{"https://crier.example/base", "10.0.0.0/8", "::1/128", "owner", 1}) {
		t.Errorf("got %v", got)
	}
}

// TestBadFiles reads testdata/*.yaml, each of which says in its first line what it shows, and compares what is said
// about it with the file of the same name that ends in .golden.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(data), "# ") {
				t.Error("the first line does not say what the file shows")
			}
			got := told(filepath.Base(path), data)
			if strings.Contains(got, canary) || strings.Contains(got, "hunter2") {
				t.Errorf("a secret is told:\n%s", got)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// settings are those of an adapter.
type settings struct {
	APIURL string        `yaml:"api_url"`
	Secret secret.Source `yaml:"consumer_secret"`
	Limits *struct {
		Wait  time.Duration `yaml:"wait"`
		Count uint8         `yaml:"count"`
		Rate  float64       `yaml:"rate"`
		Flag  bool          `yaml:"flag"`
	} `yaml:"limits"`
}

// Validate is what an adapter asks of its settings.
func (s *settings) Validate(report func(key, message string)) {
	if s.APIURL != "" && !strings.HasPrefix(s.APIURL, "http") {
		report("api_url", "want a URL")
	}
	if s.Secret.IsZero() {
		report("consumer_secret", "the key consumer_secret is missing")
	}
}

// told gives everything that Crier says about a file: errors, warnings, missing secrets, adapters' settings.
func told(name string, data []byte) string {
	c, warnings, err := config.Parse(name, data)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	tell := func(err error) {
		if err != nil {
			b.WriteString(err.Error() + "\n")
		}
	}
	for _, w := range warnings {
		b.WriteString("warning: " + w.String() + "\n")
	}
	_, err = c.Secrets(func(string) (string, bool) { return "", false })
	tell(err)
	if node, ok := c.Platforms[post.Twitter]; ok {
		tell(node.Decode(&settings{}))
	}
	for _, a := range c.Accounts {
		tell(a.Extra.Decode(&struct {
			API string `yaml:"api"`
		}{}))
	}
	return b.String()
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if _, _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), "read the configuration: open "+path) {
		t.Errorf("no file: %v", err)
	}
	plain := "auth: {bootstrap_key: " + canary + "}\n"
	tests := []struct {
		text string
		mode os.FileMode
		want []string
	}{
		{plain, 0o644, []string{
			"FILE: holds secrets and is open to the group or others (mode 0644): chmod 600",
			"FILE:1:23: a secret stands here in plain sight; use {env: NAME} or {file: PATH}",
		}},
		{plain, 0o600, []string{"FILE:1:23: a secret stands here in plain sight; use {env: NAME} or {file: PATH}"}},
		{"auth: {bootstrap_key: {env: A}}\n", 0o644, nil},
	}
	for _, tt := range tests {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, warnings, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range warnings {
			got = append(got, strings.ReplaceAll(w.String(), path, "FILE"))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q, %o (-want +got):\n%s", tt.text, tt.mode, diff)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("#", 1<<20+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.Load(path); err == nil || err.Error() != path+": is larger than 1048576 bytes" {
		t.Errorf("too large: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(files, example) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a, *a]\nb: !!x " + canary))
	f.Add([]byte(`"` + canary))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := told("config.yaml", data); strings.Contains(got, canary) {
			t.Errorf("told a secret: %s", got)
		}
	})
}
