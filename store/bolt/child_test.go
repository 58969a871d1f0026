package bolt_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// childOf names, in the environment, the test that a child process is to run.
const childOf = "CRIER_STORE_TEST_CHILD"

// childDir names a folder that the first process removes, whatever the child has made of its rights.
const childDir = "CRIER_STORE_TEST_DIR"

// inChild runs the calling test once more in a process of its own and reports true in there: for what changes a whole
// process for good, such as its limits, its user or a filter on its system calls. In the first process it reports
// false once the child has ended, and takes over its verdict.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childOf) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	// A signal for preemption would interrupt a call that is being decided on, and have it counted twice.
	cmd.Env = append(os.Environ(), childOf+"="+t.Name(), childDir+"="+t.TempDir(), "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Errorf("in the child: %v\n%s", err, text)
	case strings.Contains(text, "--- SKIP: "+t.Name()+" "):
		t.Skip(text)
	case !strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Errorf("the child ran nothing:\n%s", text)
	default:
		t.Log(text)
	}
	return false
}
