package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml/parser"
	"github.com/google/go-cmp/cmp"

	"crier/internal/secret"
)

func environment(name string) (string, bool) {
	vars := map[string]string{
		"TOKEN": canary, "NEWLINE": canary + "\r\n", "EMPTY": "", "BLANK": "\n", "HUGE": strings.Repeat("x", 64<<10+1),
	}
	v, ok := vars[name]
	return v, ok
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) secret.Source {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return secret.FromFile(path)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "private"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		source    secret.Source
		want, err string
	}{
		"absent":                     {source: secret.Source{}},
		"plain":                      {source: secret.FromText(secret.New(canary)), want: canary},
		"variable":                   {source: secret.FromEnv("TOKEN"), want: canary},
		"variable with a line break": {source: secret.FromEnv("NEWLINE"), want: canary},
		"variable not set":           {source: secret.FromEnv("NONE"), err: "secret from environment variable NONE: is not set"},
		"variable empty":             {source: secret.FromEnv("EMPTY"), err: "secret from environment variable EMPTY: is empty"},
		"variable blank":             {source: secret.FromEnv("BLANK"), err: "secret from environment variable BLANK: is empty"},
		"variable too large":         {source: secret.FromEnv("HUGE"), err: "secret from environment variable HUGE: is larger than 65536 bytes"},
		"a secret for a name":        {source: secret.FromEnv("hunter2"), err: "secret from an environment variable: is not set"},
		"place":                      {source: secret.FromEnv("NONE").Located("c.yaml:3:4", ""), err: "c.yaml:3:4: secret from environment variable NONE: is not set"},
		"file":                       {source: file("private", canary+"\n", 0o600), want: canary},
		"read-only file":             {source: file("readonly", canary, 0o400), want: canary},
		"inner line breaks stay":     {source: file("lines", "a\nb\n\n", 0o600), want: "a\nb\n"},
		"link to a file":             {source: secret.FromFile(filepath.Join(dir, "link")), want: canary},
		"relative file":              {source: secret.FromFile("private").Located("", dir), want: canary},
		"largest file":               {source: file("large", strings.Repeat("x", 64<<10), 0o600), want: strings.Repeat("x", 64<<10)},
		"file too large":             {source: file("huge", strings.Repeat("x", 64<<10+1), 0o600), err: "secret from file DIR/huge: is larger than 65536 bytes"},
		"file open to the group":     {source: file("group", canary, 0o640), err: "secret from file DIR/group: is open to the group or others (mode 0640): chmod 600"},
		"file open to others":        {source: file("others", canary, 0o604), err: "secret from file DIR/others: is open to the group or others (mode 0604): chmod 600"},
		"file empty":                 {source: file("empty", "", 0o600), err: "secret from file DIR/empty: is empty"},
		"no file":                    {source: secret.FromFile(filepath.Join(dir, "none")), err: "secret from file DIR/none: no such file or directory"},
		"folder":                     {source: secret.FromFile(dir), err: "secret from file DIR: is not a regular file"},
		"pipe":                       {source: secret.FromFile(filepath.Join(dir, "pipe")), err: "secret from file DIR/pipe: is not a regular file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := tt.source.Resolve(environment)
			message := ""
			if err != nil {
				message = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if diff := cmp.Diff([]string{tt.want, tt.err}, []string{text.Reveal(), message}); diff != "" {
				t.Errorf("secret and error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnmarshalSource(t *testing.T) {
	t.Parallel()
	const bad = "a secret is {env: NAME}, {file: PATH} or a plain string"
	tests := map[string]struct {
		yaml string
		want secret.Source
		err  string
	}{
		"variable":            {yaml: "{env: TOKEN}", want: secret.FromEnv("TOKEN")},
		"file":                {yaml: "file: /run/x", want: secret.FromFile("/run/x")},
		"plain":               {yaml: canary, want: secret.FromText(secret.New(canary))},
		"quoted":              {yaml: `"a: b"`, want: secret.FromText(secret.New("a: b"))},
		"digits as written":   {yaml: "0042", want: secret.FromText(secret.New("0042"))},
		"null":                {yaml: "null"},
		"empty text":          {yaml: `""`, err: "1:1: " + bad},
		"truth":               {yaml: "true", err: "1:1: " + bad},
		"list":                {yaml: "[" + canary + "]", err: "1:1: " + bad},
		"unknown key":         {yaml: "{" + canary + ": x}", err: "1:2: " + bad},
		"both keys":           {yaml: "{env: A, file: b}", err: "1:1: " + bad},
		"no keys":             {yaml: "{}", err: "1:1: " + bad},
		"variable misspelled": {yaml: "{env: " + canary + "}", err: "1:7: env takes the name of an environment variable: letters, digits and _"},
		"variable missing":    {yaml: "{env: }", err: "1:6: env takes the name of an environment variable: letters, digits and _"},
		"file missing":        {yaml: "{file: {a: " + canary + "}}", err: "1:8: file takes a path"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := parser.ParseBytes([]byte(tt.yaml), 0)
			if err != nil {
				t.Fatal(err)
			}
			var got secret.Source
			message := ""
			if err := got.UnmarshalYAML(file.Docs[0].Body); err != nil {
				if _, ok := errors.AsType[*secret.SourceError](err); !ok {
					t.Errorf("error of type %T", err)
				}
				message = err.Error()
			}
			if message != tt.err || !got.Equal(tt.want) || got.Inline() != tt.want.Inline() {
				t.Errorf("got %v and %q, want %v and %q", got, message, tt.want, tt.err)
			}
			if strings.Contains(message, canary) {
				t.Errorf("the error shows what stands there: %s", message)
			}
		})
	}
}

func TestSourcesDiffer(t *testing.T) {
	t.Parallel()
	sources := []secret.Source{
		{},
		secret.FromEnv("A"), secret.FromEnv("B"), secret.FromFile("A"), secret.FromFile("A").Located("", "/etc"),
		secret.FromText(secret.New("A")), secret.FromText(secret.New("B")),
	}
	for i, a := range sources {
		for j, b := range sources {
			if got := a.Equal(b); got != (i == j) {
				t.Errorf("%v equals %v: %t", a, b, got)
			}
		}
	}
}
