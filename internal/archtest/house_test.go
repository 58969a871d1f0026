// Package archtest holds the arrows of the house: which package may know which, and a few things that no code here does.
// It has tests only. DESIGN: imports point down, cmd → app → api, web, scheduler, store/bolt, adapters/all, config →
// adapters, store, team, media → post, secret, civil.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file is one Go file of the module.
type file struct {
	path    string // from the top, with slashes
	name    string // of the package
	imports []string
	syntax  *ast.File
	lines   *token.FileSet
}

// pkg is the folder that the file lies in, which is its import path without "crier/".
func (f file) pkg() string { return path.Dir(f.path) }

// shipped reports whether the file ends up in the binary.
func (f file) shipped() bool {
	return !strings.HasSuffix(f.path, "_test.go") && !slices.Contains(suites, f.pkg())
}

func parse(t *testing.T, name string, source any) file {
	t.Helper()
	lines := token.NewFileSet()
	syntax, err := parser.ParseFile(lines, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	f := file{path: name, name: syntax.Name.Name, syntax: syntax, lines: lines}
	for _, i := range syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f.imports = append(f.imports, p)
	}
	return f
}

// house reads every Go file of the module.
func house(t *testing.T) []file {
	t.Helper()
	const top = "../.."
	var all []file
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != top && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() && name != top {
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir // a module of its own
			}
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		all = append(all, parse(t, filepath.ToSlash(short), source))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("read %d Go files only: is %s the top of the module?", len(all), top)
	}
	return all
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, f := range house(t) {
		for _, b := range breaches(f) {
			t.Error(b)
		}
	}
}

func TestHabits(t *testing.T) {
	t.Parallel()
	all := house(t)
	bubbles := map[string]bool{} // packages whose tests run in fake time
	for _, f := range all {
		// The adapters' suite runs what it is given in a bubble of its own.
		if slices.Contains(f.imports, "testing/synctest") || slices.Contains(f.imports, "crier/adapters/adaptertest") {
			bubbles[f.pkg()] = true
		}
	}
	for _, f := range all {
		for _, b := range habits(f, bubbles[f.pkg()]) {
			t.Error(b)
		}
	}
}

// habits names what f does that no code of Crier does. bubble tells that the tests of its package know fake time.
func habits(f file, bubble bool) []string {
	var found []string
	say := func(at token.Pos, what string) {
		found = append(found, f.path+":"+strconv.Itoa(f.lines.Position(at).Line)+": "+what)
	}
	top, _, _ := strings.Cut(f.path, "/")
	if !slices.Contains([]string{"adapters", "cmd", "internal", "scheduler", "store"}, top) {
		say(f.syntax.Package, "Go code lives in cmd, adapters, scheduler, store and internal only")
	}
	if slices.Contains([]string{"base", "common", "helper", "helpers", "misc", "model", "models", "shared", "types", "util", "utils"}, strings.TrimSuffix(f.name, "_test")) {
		say(f.syntax.Name.Pos(), "the package name "+f.name+" does not say what is inside")
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				say(n.Pos(), "init runs where nobody looks: call it from main")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "Sleep" && (f.shipped() || !bubble) {
				say(n.Pos(), "time.Sleep: wait on a channel or a timer, and in tests inside a synctest bubble")
			}
		}
		return true
	})
	return found
}

// TestRulesBite plants mistakes, so that a rule that stopped to see anything is noticed.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	const (
		domain  = "the domain is made"
		wall    = "the sandbox knows neither"
		keeps   = "an adapter keeps nothing"
		deleted = "one adapter can be deleted"
		sdks    = "a platform's SDK stays"
		buckets = "bbolt stays"
		clock   = "cron stays"
		api     = "huma stays"
		ships   = "test code does not ship"
		down    = "imports point down only"
		place   = "has no place in the house"
	)
	for _, c := range []struct {
		path, imports string
		want          []string
	}{
		{"internal/post/x.go", "strings", nil},
		{"internal/post/x.go", "github.com/google/uuid", []string{domain}},
		{"internal/post/x.go", "crier/internal/secret", []string{domain, down}},
		{"internal/post/x_test.go", "pgregory.net/rapid", nil},
		{"internal/civil/x.go", "golang.org/x/text/unicode/norm", []string{domain}},
		{"internal/sandbox/x.go", "crier/internal/sandbox/discovery", nil},
		{"internal/sandbox/x.go", "crier/internal/post", []string{wall}},
		{"internal/sandbox/x.go", "github.com/huandu/facebook/v2", []string{wall, sdks}},
		{"adapters/x.go", "crier/store", []string{keeps, down}},
		{"adapters/twitter/x.go", "crier/adapters", nil},
		{"adapters/twitter/x.go", "github.com/dghubble/oauth1", nil},
		{"adapters/twitter/x.go", "crier/scheduler", []string{keeps, down}},
		{"adapters/twitter/x_test.go", "crier/store/bolt", []string{keeps}},
		{"adapters/twitter/x.go", "crier/adapters/reddit", []string{deleted, down}},
		{"adapters/twitter/x_test.go", "crier/adapters/twitter", nil},
		{"adapters/twitter/x_test.go", "crier/adapters/adaptertest", nil},
		{"adapters/twitter/x.go", "crier/adapters/adaptertest", []string{ships}},
		{"adapters/all/x.go", "crier/adapters/twitter", nil},
		{"scheduler/x.go", "google.golang.org/api/youtube/v3", []string{sdks}},
		{"internal/app/x.go", "go.etcd.io/bbolt", []string{buckets}},
		{"store/bolt/x.go", "go.etcd.io/bbolt", nil},
		{"scheduler/clockwork.go", "github.com/robfig/cron/v3", nil},
		{"scheduler/x.go", "github.com/robfig/cron/v3", []string{clock}},
		{"internal/web/x.go", "github.com/danielgtaylor/huma/v2", []string{api}},
		{"scheduler/x.go", "github.com/google/go-cmp/cmp", []string{ships}},
		{"scheduler/x.go", "go.uber.org/goleak", []string{ships}},
		{"scheduler/x_test.go", "go.uber.org/goleak", nil},
		{"store/storetest/x.go", "testing", nil},
		{"scheduler/x.go", "crier/store", nil},
		{"scheduler/x.go", "crier/store/bolt", []string{down}},
		{"store/x.go", "crier/scheduler", []string{down}},
		{"internal/api/x.go", "crier/internal/app", []string{down}},
		{"internal/app/x.go", "crier/internal/novel", []string{place}},
		{"internal/novel/x.go", "crier/internal/post", []string{place}},
	} {
		t.Run(c.path+" imports "+c.imports, func(t *testing.T) {
			t.Parallel()
			f := parse(t, c.path, "package x\nimport _ \""+c.imports+"\"\n")
			got := breaches(f)
			if len(got) != len(c.want) {
				t.Fatalf("breaches %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("breach %q, want %q", got[i], want)
				}
			}
		})
	}
}

func TestHabitsBite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path, source string
		bubble             bool
		want               []string
	}{
		{"good code", "store/x.go", "package store\nfunc open() {}\n", false, nil},
		{"another room", "lib/x.go", "package lib\n", false, []string{"lib/x.go:1: Go code lives in cmd, adapters, scheduler, store and internal only"}},
		{"a name that says nothing", "internal/util/x.go", "package util\n", false, []string{"internal/util/x.go:1: the package name util does not say what is inside"}},
		{"init", "store/x.go", "package store\nfunc init() {}\n", false, []string{"store/x.go:2: init runs where nobody looks: call it from main"}},
		{"a method called init", "store/x.go", "package store\ntype a int\nfunc (a) init() {}\n", false, nil},
		{"sleep in shipped code", "store/x.go", "package store\nfunc f() { time.Sleep(1) }\n", true, []string{"store/x.go:2: time.Sleep: wait on a channel or a timer, and in tests inside a synctest bubble"}},
		{"sleep in a test", "store/x_test.go", "package store\nfunc f() { time.Sleep(1) }\n", false, []string{"store/x_test.go:2: time.Sleep: wait on a channel or a timer, and in tests inside a synctest bubble"}},
		{"sleep in fake time", "store/x_test.go", "package store\nfunc f() { time.Sleep(1) }\n", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, habits(parse(t, c.path, c.source), c.bubble)); diff != "" {
				t.Errorf("habits (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoRoomIsEmpty keeps rank free of packages that are gone.
func TestNoRoomIsEmpty(t *testing.T) {
	t.Parallel()
	for dir := range rank {
		if strings.HasSuffix(dir, "/*") {
			continue
		}
		if found, err := filepath.Glob(filepath.Join("../..", filepath.FromSlash(dir), "*.go")); err != nil || len(found) == 0 {
			t.Errorf("rank names %s, which has no Go file (%v)", dir, err)
		}
	}
}
