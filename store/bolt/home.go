package bolt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// home says where a file is at home: what a copy of the whole folder cannot take along. A part that is not known on one
// of two sides is not compared.
type home struct {
	// Machine is a digest of the machine's own id.
	Machine string `json:"machine,omitempty"`
	// Inode and Born name the file itself: a copy is another file, made later. They stay when the machine starts anew,
	// when the file system is mounted elsewhere and when the folder moves within it. The number of the device would
	// not, and is left out.
	Inode uint64 `json:"inode,omitempty"`
	Born  int64  `json:"born,omitempty"` // nanoseconds since 1970
}

// elsewhere reports whether a file that was at home at h last time is a copy of it when it is found at now.
func (h home) elsewhere(now home) bool {
	moved := h.Machine != "" && now.Machine != "" && h.Machine != now.Machine
	known := h.Born != 0 && now.Born != 0
	return moved || known && (h.Inode != now.Inode || h.Born != now.Born)
}

// machineUnder gives a digest of the machine's id, read below root; empty where there is none that lasts. The id in a
// container is its image's and changes with that; one that was made up for this start alone lies in /run.
func machineUnder(root string, env func(string) string) string {
	if env("container") != "" || env("KUBERNETES_SERVICE_HOST") != "" {
		return ""
	}
	for _, sign := range []string{".dockerenv", "run/.containerenv", "run/machine-id"} {
		if _, err := os.Lstat(filepath.Join(root, sign)); !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
	}
	b, err := os.ReadFile(filepath.Join(root, "etc/machine-id")) //nolint:gosec // a fixed place
	id := strings.TrimSpace(string(b))
	if err != nil || len(id) != 32 {
		return ""
	}
	sum := sha256.Sum256([]byte("crier:" + id)) // the id itself is not to be shown around
	return hex.EncodeToString(sum[:16])
}
