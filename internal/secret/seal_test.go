package secret_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crier/internal/secret"
)

func sealer(t *testing.T, seed byte) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer([secret.KeySize]byte{seed})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpensOnlyWithKeyAndOwner(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	sealed, err := s.Seal([]byte(canary), "brand|acme-x")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(canary)) {
		t.Fatal("the record shows the secret")
	}
	again, err := s.Seal([]byte(canary), "brand|acme-x")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(sealed, again) {
		t.Error("two records of one secret are the same: the nonce repeats")
	}
	plain, err := sealer(t, 1).Open(sealed, "brand|acme-x")
	if err != nil || string(plain) != canary {
		t.Errorf("a sealer of the same key gave %q, %v", plain, err)
	}
	if _, err := s.Open(sealed, "personal|acme-x"); !errors.Is(err, secret.ErrNotAuthentic) {
		t.Errorf("opened for another account: %v", err)
	}
	if _, err := sealer(t, 2).Open(sealed, "brand|acme-x"); !errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestOpenRefusesEveryChange(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	sealed, err := s.Seal([]byte("token"), "a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if plain, err := s.Open(changed, "a"); err == nil {
			t.Errorf("byte %d changed: opened as %q", i, plain)
		}
		if plain, err := s.Open(sealed[:i], "a"); err == nil {
			t.Errorf("cut to %d bytes: opened as %q", i, plain)
		}
	}
	if _, err := s.Open(append(bytes.Clone(sealed), 0), "a"); !errors.Is(err, secret.ErrNotAuthentic) {
		t.Errorf("one byte more: %v", err)
	}
	future := bytes.Clone(sealed)
	future[0] = 2
	if _, err := s.Open(future, "a"); !errors.Is(err, secret.ErrSealFormat) {
		t.Errorf("unknown version: %v", err)
	}
}

func TestSealKeepsEmptyPlain(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	sealed, err := s.Seal(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := s.Open(sealed, ""); err != nil || len(plain) != 0 {
		t.Errorf("got %q, %v", plain, err)
	}
}

func FuzzOpen(f *testing.F) {
	s, err := secret.NewSealer([secret.KeySize]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	// Written down, since each process of the fuzzer would seal with another nonce.
	sealed, err := hex.DecodeString("0130506bad243bfe2b60300a50fa64dd02f2ce5107b65ad67c864a8508763462cf6cf243ff282d0a2f9d03d9e9ec")
	if err != nil {
		f.Fatal(err)
	}
	if plain, err := s.Open(sealed, "a"); err != nil || string(plain) != "x" {
		f.Fatalf("got %q, %v", plain, err)
	}
	f.Add(sealed)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := s.Open(b, "a"); err == nil && !bytes.Equal(b, sealed) {
			t.Errorf("opened a forged record: %q", plain)
		}
	})
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	a := s.Fingerprint(secret.New("a"))
	switch {
	case len(a) != 32:
		t.Errorf("fingerprint %q, want 32 digits", a)
	case a != sealer(t, 1).Fingerprint(secret.New("a")):
		t.Error("not the same twice")
	case a == s.Fingerprint(secret.New("b")):
		t.Error("the same for two secrets")
	case a == sealer(t, 2).Fingerprint(secret.New("a")):
		t.Error("the same under two keys: it could be guessed without the key")
	case s.Fingerprint(secret.Text{}) != "":
		t.Error("the absent secret has a fingerprint")
	}
}

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := secret.LoadOrCreateKey(dir, false); !errors.Is(err, secret.ErrNoKey) {
		t.Fatalf("without a key and without leave to make one: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Fatalf("something was made: %v, %v", entries, err)
	}
	first, created, err := secret.LoadOrCreateKey(dir, true)
	if err != nil || !created || first == [secret.KeySize]byte{} {
		t.Fatalf("created %t, %v", created, err)
	}
	for _, allow := range []bool{true, false} {
		again, created, err := secret.LoadOrCreateKey(dir, allow)
		if err != nil || created || again != first {
			t.Errorf("second time: created %t, same %t, %v", created, again == first, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, secret.KeyFile))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := secret.CreateKey(filepath.Join(dir, secret.KeyFile)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an existing key was replaced: %v", err)
	}
}

func TestBadKeyFileIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("a1", secret.KeySize)
	tests := map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"open to the group": {digits, 0o640, "is open to the group or others (mode 0640): chmod 600"},
		"open to others":    {digits, 0o604, "is open to the group or others (mode 0604): chmod 600"},
		"empty":             {"", 0o600, "want 64 hexadecimal digits"},
		"too short":         {digits[1:], 0o600, "want 64 hexadecimal digits"},
		"too long":          {digits + "aaaa", 0o600, "is larger than 66 bytes"},
		"not hexadecimal":   {"X" + digits[1:], 0o600, "want 64 hexadecimal digits"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, secret.KeyFile)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, created, err := secret.LoadOrCreateKey(dir, true)
			if want := "read the master key: " + path + ": " + tt.want; err == nil || err.Error() != want || created {
				t.Errorf("got %v, created %t\nwant %s", err, created, want)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != tt.content {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	if _, _, err := secret.LoadOrCreateKey(filepath.Join(t.TempDir(), "none"), true); err == nil {
		t.Error("made a key in a folder that is not there")
	}
}
