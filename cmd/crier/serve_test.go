package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crier/internal/app"
	"crier/store/bolt"
)

// TestServeOnADamagedStore is what a person sees whose disk has lost something: the file by its name, what to do, and the
// file as it was; not the inside of the program.
func TestServeOnADamagedStore(t *testing.T) {
	t.Parallel()
	head := os.Getpagesize() // where the second of two heads begins
	for name, damage := range map[string]func([]byte) []byte{
		"cut short":         func(b []byte) []byte { return b[:len(b)/2] },
		"empty":             func([]byte) []byte { return nil },
		"zeros":             func(b []byte) []byte { return make([]byte, len(b)) },
		"both heads":        func(b []byte) []byte { b[16] ^= 1; b[head+16] ^= 1; return b },
		"the list of pages": func(b []byte) []byte { clear(b[2*head:]); return b },
		"another program's": func([]byte) []byte { return []byte("this is no store of Crier\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, s := configured(t)
			appendTo(t, s.env["CRIER_CONFIG"], "listen: 127.0.0.1:0\n")
			if got := servedOnce(t, s, dir); got.status != 0 {
				t.Fatalf("before: status %d: %s", got.status, got.err)
			}
			path := filepath.Join(dir, bolt.FileName)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			got := s.run(ctx, "serve")
			if got.status != 1 || ctx.Err() != nil {
				t.Errorf("status %d, want 1 at once: %s", got.status, got.err)
			}
			for _, want := range []string{path, "nothing was changed", "crier restore"} {
				if !strings.Contains(got.err, want) {
					t.Errorf("it does not say %q:\n%s", want, got.err)
				}
			}
			for _, inside := range []string{"goroutine ", "panic", "runtime error", ".go:"} {
				if strings.Contains(got.err+got.out, inside) {
					t.Errorf("it shows the inside of the program:\n%s", got.err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
				t.Errorf("the file was altered (%v)", err)
			}
			if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 2 {
				t.Errorf("beside the file and its note there are %q, %v", left, err)
			}
		})
	}
}

// servedOnce runs the daemon until it serves and then tells it to end.
func servedOnce(t *testing.T, s setup, dir string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, app.SocketName)); err == nil {
				cancel()
			}
			<-look.C
		}
	}()
	return s.run(ctx, "serve")
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
