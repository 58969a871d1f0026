package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// KeySize is the size of a master key in bytes.
const KeySize = 32

// KeyFile is the name of the master key in the data folder.
const KeyFile = "master.key"

// ErrNoKey says that the data folder has no master key and none may be made.
var ErrNoKey = errors.New("no master key")

// LoadOrCreateKey reads the master key of a data folder. If it has none, it makes one when allowCreate says so, and
// reports that; else it returns [ErrNoKey]. A folder whose store lost its key must not get a new one, which would
// open nothing that is sealed there: only the caller can tell that.
func LoadOrCreateKey(dataDir string, allowCreate bool) (key [KeySize]byte, created bool, err error) {
	path := filepath.Join(dataDir, KeyFile)
	key, err = LoadKey(path)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return key, false, err
	case !allowCreate:
		return key, false, fmt.Errorf("%w: %s does not exist", ErrNoKey, path)
	}
	key, err = CreateKey(path)
	return key, err == nil, err
}

// LoadKey reads a master key: a regular file, 64 hexadecimal digits, closed to the group and others. A file that is
// not there is [fs.ErrNotExist].
func LoadKey(path string) ([KeySize]byte, error) {
	b, err := readPrivate(path, 2*KeySize+2)
	if err != nil {
		return [KeySize]byte{}, fmt.Errorf("read the master key: %s: %w", path, err)
	}
	var key [KeySize]byte
	digits := bytes.TrimSpace(b)
	// The cause would quote a byte of the key.
	if len(digits) != 2*KeySize {
		return key, fmt.Errorf("read the master key: %s: want %d hexadecimal digits", path, 2*KeySize)
	}
	if _, err := hex.Decode(key[:], digits); err != nil {
		return [KeySize]byte{}, fmt.Errorf("read the master key: %s: want %d hexadecimal digits", path, 2*KeySize)
	}
	return key, nil
}

// CreateKey makes a new master key at path, on disk before it returns. It replaces nothing: a file that is there is
// [fs.ErrExist].
func CreateKey(path string) (key [KeySize]byte, err error) {
	if _, err := rand.Read(key[:]); err != nil {
		return [KeySize]byte{}, fmt.Errorf("make a master key: %w", err)
	}
	if err := writeKey(path, key); err != nil {
		return [KeySize]byte{}, fmt.Errorf("make a master key: %s: %w", path, err)
	}
	return key, nil
}

// writeKey writes a new file and removes what it has written when it cannot write all of it.
func writeKey(path string, key [KeySize]byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // The operator's data folder.
	if err != nil {
		return pathless(err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(key[:]))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(pathless(err), os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir) //nolint:gosec // The operator's data folder.
	if err != nil {
		return pathless(err)
	}
	return errors.Join(d.Sync(), d.Close())
}
