package bolt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatCountsAsACopy(t *testing.T) {
	t.Parallel()
	was := home{Machine: "a", Inode: 7, Born: 1000}
	for name, c := range map[string]struct {
		was, now home
		want     bool
	}{
		"nothing changed":                       {was, was, false},
		"another file":                          {was, home{Machine: "a", Inode: 8, Born: 1000}, true},
		"made anew under the same inode":        {was, home{Machine: "a", Inode: 7, Born: 2000}, true},
		"another machine":                       {was, home{Machine: "b", Inode: 7, Born: 1000}, true},
		"a note of an earlier version":          {home{}, was, false},
		"nothing is known here":                 {was, home{}, false},
		"a container on the same volume":        {home{Inode: 7, Born: 1000}, home{Inode: 7, Born: 1000}, false},
		"into a container":                      {was, home{Inode: 7, Born: 1000}, false},
		"a file system that knows no such time": {home{Machine: "a"}, home{Machine: "a"}, false},
	} {
		if got := c.was.elsewhere(c.now); got != c.want {
			t.Errorf("%s: a copy %t, want %t", name, got, c.want)
		}
	}
}

func TestTheMachineHasANameOnlyIfItLasts(t *testing.T) {
	t.Parallel()
	const id = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  bool
	}{
		"a machine":                {map[string]string{"etc/machine-id": id + "\n"}, nil, true},
		"none":                     {nil, nil, false},
		"an empty one":             {map[string]string{"etc/machine-id": ""}, nil, false},
		"one that is not made yet": {map[string]string{"etc/machine-id": "uninitialized\n"}, nil, false},
		"one for this start alone": {map[string]string{"etc/machine-id": id, "run/machine-id": id}, nil, false},
		"Docker":                   {map[string]string{"etc/machine-id": id, ".dockerenv": ""}, nil, false},
		"Podman":                   {map[string]string{"etc/machine-id": id, "run/.containerenv": ""}, nil, false},
		"Kubernetes":               {map[string]string{"etc/machine-id": id}, map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, false},
		"another container":        {map[string]string{"etc/machine-id": id}, map[string]string{"container": "lxc"}, false},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := machineUnder(root, func(k string) string { return c.env[k] })
		if (got != "") != c.want || strings.Contains(got, id) {
			t.Errorf("%s: the machine is %q, want a name %t", name, got, c.want)
		}
	}
}
