package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tests is what a document may name: the tests and fuzz targets with the files that hold them, and the names of the
// cases and groups inside.
type tests struct {
	files map[string][]string // by the name of the function
	words map[string]bool     // every text in a file of tests
	suite map[string]bool     // every text in the suite that all adapters pass
}

func testsOf(all []file) tests {
	x := tests{files: map[string][]string{}, words: map[string]bool{}, suite: map[string]bool{}}
	for _, f := range all {
		if f.shipped() {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && strings.HasSuffix(f.path, "_test.go") {
					x.files[n.Name.Name] = append(x.files[n.Name.Name], f.path)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					x.words[text] = true
					x.suite[text] = x.suite[text] || f.pkg() == "adapters/adaptertest"
				}
			}
			return true
		})
	}
	return x
}

var (
	// A test stands as `TestName`, a case of it as `TestName/the case`; `/the case` is one more case of the suite
	// TestStore.
	namedTest = regexp.MustCompile("\\b((?:Test|Fuzz)[A-Z0-9]\\w*)((?:/[^`]+)?)")
	moreCases = regexp.MustCompile("`(/[^`/.]+)`")
	// Groups of the adapters' suite stand before the link to it.
	suiteNames = regexp.MustCompile(`(?s)\bgroups? (.{1,400}?)\s*\[adapters/adaptertest\]`)
	quoted     = regexp.MustCompile("`([^`]+)`")
	linkedTest = regexp.MustCompile("\\[`((?:Test|Fuzz)[A-Z0-9]\\w*)[^`]*`\\]\\(([^)]+)\\)")
)

// strangers names what a document, found at a path from the top, calls a test and is none.
func (x tests) strangers(at, text string) (found []string, named int) {
	cases := func(name, rest string) {
		for word := range strings.SplitSeq(strings.TrimPrefix(rest, "/"), "/") {
			if word != "" && !x.words[word] {
				found = append(found, at+": no test has a case "+word+", as in "+name+rest)
			}
		}
	}
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		named++
		if x.files[m[1]] == nil {
			found = append(found, at+": there is no test "+m[1])
		}
		cases(m[1], m[2])
	}
	for _, m := range moreCases.FindAllStringSubmatch(text, -1) {
		cases("TestStore", m[1])
	}
	for _, m := range suiteNames.FindAllStringSubmatch(text, -1) {
		for _, q := range quoted.FindAllStringSubmatch(m[1], -1) {
			if !x.suite[q[1]] {
				found = append(found, at+": the adapters' suite has no group "+q[1])
			}
		}
	}
	for _, m := range linkedTest.FindAllStringSubmatch(text, -1) {
		file := path.Join(path.Dir(at), m[2])
		if held := x.files[m[1]]; held != nil && !slices.Contains(held, file) {
			found = append(found, at+": "+m[1]+" is not in "+file+", but in "+strings.Join(held, ", "))
		}
	}
	return found, named
}

// TestTheTestsThatTheDocsNameExist: a promise that names its test is worth nothing when the test was renamed.
func TestTheTestsThatTheDocsNameExist(t *testing.T) {
	t.Parallel()
	x := testsOf(house(t))
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, name := range slices.Concat(docs, more, []string{"../../README.md", "../../CONTRIBUTING.md"}) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.TrimPrefix(filepath.ToSlash(name), "../../")
		found, n := x.strangers(at, string(b))
		total += n
		for _, f := range found {
			t.Error(f)
		}
	}
	if total < 30 {
		t.Errorf("the docs name %d tests: are they read at all?", total)
	}
}

func TestStrangersAreFound(t *testing.T) {
	t.Parallel()
	x := testsOf([]file{
		parse(t, "store/x_test.go", "package x\nfunc TestOne(t *testing.T) { t.Run(\"a case\", nil) }\n"),
		parse(t, "adapters/adaptertest/x.go", "package adaptertest\nvar groups = []string{\"find\"}\n"),
	})
	for text, want := range map[string][]string{
		"`TestOne`, `TestOne/a case`, `/a case`, Tests": nil,
		"`TestTwo`":                       {"docs/x.md: there is no test TestTwo"},
		"`TestOne/another`":               {"docs/x.md: no test has a case another, as in TestOne/another"},
		"and `/another`":                  {"docs/x.md: no test has a case another, as in TestStore/another"},
		"[`TestOne`](../store/x_test.go)": nil,
		"[`TestOne`](../store/y_test.go)": {"docs/x.md: TestOne is not in store/y_test.go, but in store/x_test.go"},
		"the groups `find` and\n`lost` of [adapters/adaptertest](../adapters/adaptertest)": {"docs/x.md: the adapters' suite has no group lost"},
	} {
		got, _ := x.strangers("docs/x.md", text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
