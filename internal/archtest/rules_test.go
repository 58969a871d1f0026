package archtest

import (
	"path"
	"slices"
	"strings"
)

// rank orders the rooms of the house from the ground up: shipped code imports only what has a lower rank than its own.
// A key that ends in /* stands for each package right below it that has no line of its own.
var rank = map[string]int{
	"internal/civil":  0,
	"internal/post":   0,
	"internal/secret": 0,

	"internal/sandbox/discovery": 1,
	"internal/sandbox":           2,

	"adapters":            2,
	"internal/media":      2,
	"internal/recurrence": 2,
	"internal/team":       2,
	"store":               2,

	"adapters/*":       3,
	"internal/compose": 3,
	"adapters/all":     4,
	"internal/client":  4,
	"internal/config":  4,
	"scheduler":        4,
	"store/bolt":       4,

	"internal/api": 5, // it tells how the scheduler is
	"internal/web": 5,
	"internal/app": 6,
	"cmd/crier":    7,
}

// suites are the conformance suites: they import testing and are imported by tests alone.
var suites = []string{"adapters/adaptertest", "store/storetest"}

// rule forbids imports. It says why, for whoever meets it.
type rule struct {
	why string
	// in chooses the files that it binds, out the import paths that they may not have.
	in  func(file) bool
	out func(importPath string) bool
}

var rules = []rule{
	{
		why: "the domain is made of the standard library alone",
		in:  func(f file) bool { return f.shipped() && (f.pkg() == "internal/post" || f.pkg() == "internal/civil") },
		out: func(p string) bool { return !standard(p) },
	},
	{
		why: "the sandbox knows neither Crier nor an SDK, so that the two cannot share a mistake",
		in:  func(f file) bool { return f.shipped() && under(f.pkg(), "internal/sandbox") },
		out: func(p string) bool { return under(p, "crier") && !under(p, "crier/internal/sandbox") || sdk(p) },
	},
	{
		why: "an adapter keeps nothing that survives a restart and never waits or retries: that belongs to scheduler and store",
		in:  func(f file) bool { return under(f.pkg(), "adapters") },
		out: func(p string) bool { return under(p, "crier/store") || under(p, "crier/scheduler") },
	},
	{
		why: "one adapter can be deleted without touching another: only adapters/all knows them",
		in:  func(f file) bool { return under(f.pkg(), "adapters") && f.pkg() != "adapters/all" },
		out: nil, // depends on the file: see breaches
	},
	{
		why: "a platform's SDK stays in its adapter",
		in:  func(f file) bool { return !under(f.pkg(), "adapters") },
		out: sdk,
	},
	{
		why: "bbolt stays in store/bolt: nobody else sees buckets or transactions",
		in:  func(f file) bool { return f.pkg() != "store/bolt" },
		out: func(p string) bool { return under(p, "go.etcd.io/bbolt") },
	},
	{
		why: "cron stays in scheduler/clockwork.go and internal/recurrence: it writes rows and nudges, nothing else",
		in: func(f file) bool {
			return f.path != "scheduler/clockwork.go" && f.pkg() != "internal/recurrence"
		},
		out: func(p string) bool { return under(p, "github.com/robfig/cron") },
	},
	{
		why: "huma stays in internal/api, so that it can be replaced",
		in:  func(f file) bool { return f.pkg() != "internal/api" },
		out: func(p string) bool { return under(p, "github.com/danielgtaylor/huma") },
	},
	{
		why: "test code does not ship",
		in:  file.shipped,
		out: func(p string) bool {
			return under(p, "testing") || under(p, "github.com/google/go-cmp") || under(p, "pgregory.net/rapid") ||
				under(p, "go.uber.org/goleak") || slices.Contains(suites, strings.TrimPrefix(p, "crier/"))
		},
	},
}

// breaches names each import of f that a rule or the order of the rooms forbids, with the reason.
func breaches(f file) []string {
	var found []string
	for _, p := range f.imports {
		for _, r := range rules {
			if !r.in(f) {
				continue
			}
			if r.out != nil && r.out(p) || r.out == nil && anotherAdapter(f.pkg(), p) {
				found = append(found, f.path+" imports "+p+": "+r.why)
			}
		}
		if why := climbs(f, p); why != "" {
			found = append(found, f.path+" imports "+p+": "+why)
		}
	}
	return found
}

// climbs says why the import goes up or sideways in the house, or "".
func climbs(f file, importPath string) string {
	dir, ours := strings.CutPrefix(importPath, "crier/")
	if !ours || !f.shipped() || slices.Contains(suites, dir) {
		return ""
	}
	from, known := rankOf(f.pkg())
	to, there := rankOf(dir)
	switch {
	case !known:
		return f.pkg() + " has no place in the house: give it a line in rank"
	case !there:
		return dir + " has no place in the house: give it a line in rank"
	case to >= from:
		return "imports point down only"
	}
	return ""
}

func rankOf(dir string) (int, bool) {
	if r, ok := rank[dir]; ok {
		return r, true
	}
	r, ok := rank[path.Dir(dir)+"/*"]
	return r, ok
}

func anotherAdapter(pkg, importPath string) bool {
	dir, ok := strings.CutPrefix(importPath, "crier/adapters/")
	return ok && dir != "adaptertest" && dir != path.Base(pkg)
}

func sdk(p string) bool {
	return under(p, "github.com/dghubble") || under(p, "github.com/huandu") || under(p, "github.com/vartanbeno") ||
		under(p, "google.golang.org/api")
}

// standard tells the standard library by its first element, which never has a dot.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first != "crier"
}

// under reports whether p is root or lies below it.
func under(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }
