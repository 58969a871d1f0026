package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"crier/internal/secret"
)

// canary is what must be seen nowhere.
const canary = "canary-4711-hunter2"

// holder is how secrets usually lie about: as an unexported field, behind pointers and in collections.
type holder struct {
	Exported secret.Text
	hidden   secret.Text
	list     []secret.Text
	byName   map[string]secret.Text
	source   secret.Source
	next     *holder
}

func newHolder() holder {
	t := secret.New(canary)
	h := holder{Exported: t, hidden: t, list: []secret.Text{t}, byName: map[string]secret.Text{"a": t}, source: secret.FromText(t)}
	h.next = &holder{hidden: t}
	return h
}

func TestTextIsNeverPrinted(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"text": secret.New(canary), "source": secret.FromText(secret.New(canary)),
		"holder": newHolder(), "pointer": new(newHolder()),
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10v", "%-5s", "%p", "%T", "%U", "%t"} {
				_, _ = fmt.Fprintf(&out, verb+"\n", v)
			}
			j, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(j)
			y, err := yaml.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(y)
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			hex := fmt.Sprintf("%x", canary)
			for _, leak := range []string{canary, hex, strings.ToUpper(hex), "hunter2"} {
				if strings.Contains(out.String(), leak) {
					t.Errorf("the secret is in:\n%s", out.String())
				}
			}
		})
	}
}

func TestTextSaysThatItIsRedacted(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(map[string]secret.Text{"set": secret.New(canary), "unset": {}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"set":"[redacted]","unset":""}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fmt.Sprintf("%v|%v", secret.New(canary), secret.Text{}); got != "[redacted]|" {
		t.Errorf("got %s", got)
	}
}

func TestTextEqual(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		a, b secret.Text
		want bool
	}{
		"same text":      {secret.New("a"), secret.New("a"), true},
		"other text":     {secret.New("a"), secret.New("b"), false},
		"prefix":         {secret.New("a"), secret.New("ab"), false},
		"both absent":    {secret.Text{}, secret.New(""), true},
		"one absent":     {secret.New("a"), secret.Text{}, false},
		"copy of itself": {newHolder().hidden, newHolder().hidden, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.a.Equal(tt.b); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
	if got := secret.New(canary).Reveal(); got != canary {
		t.Errorf("Reveal gave %q", got)
	}
}
