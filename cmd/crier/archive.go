package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"crier/internal/media"
	"crier/store/bolt"
)

// A backup with media is a tar file: the store under its own name first, then media/<sha256> for each file.
const mediaPrefix = "media/"

// writeArchive makes an archive at path, which must not be there.
func writeArchive(ctx context.Context, path, storeFile, mediaDir string) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	temp := path + ".tmp"
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // The operator names it.
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	w := tar.NewWriter(out)
	err = addFile(w, bolt.FileName, storeFile)
	if err == nil {
		err = addMedia(ctx, w, mediaDir)
	}
	if err := errors.Join(err, w.Close(), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// addMedia adds the stored files: each lies in a folder of its id's first two digits, under the others.
func addMedia(ctx context.Context, w *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // No media yet, or removed since the folder was read.
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		id := filepath.Base(filepath.Dir(path)) + entry.Name()
		if !entry.Type().IsRegular() || !isMediaID(id) {
			return nil
		}
		return addFile(w, mediaPrefix+id, path)
	})
}

func addFile(w *tar.Writer, name, path string) error {
	f, err := os.Open(path) //nolint:gosec // Within the data folder, or beside the backup.
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // Read only.
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// isArchive reports whether a file is a tar file; any other is taken for a store.
func isArchive(path string) (bool, error) {
	f, err := os.Open(path) //nolint:gosec // The operator names it.
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // Read only.
	var head [262]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return false, nil // Too short for either: the store's own check says so.
	}
	return bytes.Equal(head[257:], []byte("ustar")), nil
}

// readArchive writes the store of an archive to storeFile and its media to mediaDir, and tells how many there were. A
// medium whose content does not match its name is refused.
func readArchive(ctx context.Context, path string, storeFile io.Writer, mediaDir string) (count int, err error) {
	f, err := os.Open(path) //nolint:gosec // The operator names it.
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // Read only.
	r := tar.NewReader(f)
	header, err := r.Next()
	if err != nil || header.Name != bolt.FileName {
		return 0, fmt.Errorf("%s is no backup of Crier", path)
	}
	if _, err := io.Copy(storeFile, r); err != nil { //nolint:gosec // As large as the backup itself; tar does not expand.
		return 0, err
	}
	files, err := media.Open(mediaDir, media.Limits{})
	if err != nil {
		return 0, err
	}
	for {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return count, nil
		case err != nil:
			return count, err
		}
		id := strings.TrimPrefix(header.Name, mediaPrefix)
		if !isMediaID(id) {
			return count, fmt.Errorf("%s holds something that is no medium", path)
		}
		info, err := files.Put(ctx, r)
		if err != nil {
			return count, fmt.Errorf("medium %s: %w", id, err)
		}
		if info.ID != id {
			return count, fmt.Errorf("medium %s: its content is another", id)
		}
		count++
	}
}
