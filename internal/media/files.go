package media

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// incoming is the folder of files that are not whole yet, inside the folder of all: renaming works only within
	// one file system.
	incoming    = "incoming"
	tempPrefix  = "put-"
	tempSuffix  = ".part"
	tempLeftFor = 24 * time.Hour
)

// Files keeps media in a folder, each file under the SHA-256 of what it holds. It is safe for concurrent use, also by
// several processes. A file is there whole or not at all, and once Put has returned it survives a loss of power.
type Files struct {
	dir    string
	limits Limits
	// decoding has one place: a picture in the making can take maxDecode bytes.
	decoding chan struct{}
	leaving  sync.RWMutex // held for writing while a file is forgotten and removed
}

// Open makes the folder when it is not there, closes it to other users of the machine (0700), and removes what
// interrupted Puts left in it more than a day ago. Everything else in the folder is left alone.
func Open(dir string, limits Limits) (*Files, error) {
	if err := os.MkdirAll(filepath.Join(dir, incoming), 0o700); err != nil {
		return nil, fmt.Errorf("make media folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs the x bit
		return nil, fmt.Errorf("close media folder: %w", err)
	}
	f := &Files{dir: dir, limits: limits.withDefaults(), decoding: make(chan struct{}, 1)}
	if err := f.sweep(time.Now().Add(-tempLeftFor)); err != nil {
		return nil, fmt.Errorf("sweep media folder: %w", err)
	}
	return f, nil
}

// sweep removes temporary files that were last written before a time.
func (f *Files) sweep(before time.Time) error {
	entries, err := os.ReadDir(filepath.Join(f.dir, incoming))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) || !strings.HasSuffix(e.Name(), tempSuffix) || !e.Type().IsRegular() {
			continue
		}
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its Put has ended meanwhile
		}
		if err != nil {
			return err
		}
		if !i.ModTime().Before(before) {
			continue
		}
		if err := os.Remove(filepath.Join(f.dir, incoming, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Put reads a file to its end, checks it, and stores it without the parts that say more than the picture does; the
// identifier is that of the stored bytes. Putting the same content again gives the same Info and keeps one file.
//
// A file that is refused is an *Error. An error of r or of the context is wrapped, as is one of the disk; nothing is
// left behind after any error.
func (f *Files) Put(ctx context.Context, r io.Reader) (Info, error) {
	in := &source{r: r, stop: ctx.Err}
	br := bufio.NewReaderSize(in, tapeBuffer)
	head, err := br.Peek(sniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return Info{}, in.explain(err)
	}
	typ, err := sniff(head)
	if err != nil {
		return Info{}, err
	}
	if err := in.limit(f.limits.bytes(typ)); err != nil {
		return Info{}, err
	}

	tmp, err := os.CreateTemp(filepath.Join(f.dir, incoming), tempPrefix+"*"+tempSuffix)
	if err != nil {
		return Info{}, fmt.Errorf("store media: %w", err)
	}
	info, err := f.receive(ctx, tmp, br, in, typ)
	if cerr := tmp.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("store media: %w", cerr)
	}
	if err == nil {
		err = f.publish(tmp.Name(), info)
	}
	if err != nil {
		os.Remove(tmp.Name()) //nolint:errcheck,gosec // what stays is swept after a day
		return Info{}, err
	}
	return info, nil
}

// receive fills tmp, proves that it can be used, and syncs it.
func (f *Files) receive(ctx context.Context, tmp *os.File, br *bufio.Reader, in *source, typ string) (Info, error) {
	out := &sink{f: tmp, sum: sha256.New()}
	t := &tape{r: br, w: bufio.NewWriterSize(out, tapeBuffer)}
	s, err := walk(t, typ, f.limits)
	if err == nil {
		err = t.drain()
	}
	if err == nil {
		err = t.w.Flush()
	}
	switch {
	case out.err != nil:
		return Info{}, fmt.Errorf("store media: %w", out.err)
	case err != nil:
		return Info{}, in.explain(err)
	}
	if err := f.decode(ctx, tmp, s.typ); err != nil {
		return Info{}, err
	}
	if err := tmp.Sync(); err != nil {
		return Info{}, fmt.Errorf("store media: %w", err)
	}
	return s.info(hex.EncodeToString(out.sum.Sum(nil)), out.n), nil
}

// decode reads tmp back as a picture when it is its turn.
func (f *Files) decode(ctx context.Context, tmp *os.File, typ string) error {
	select {
	case f.decoding <- struct{}{}:
		defer func() { <-f.decoding }()
	case <-ctx.Done():
		return fmt.Errorf("decode media: %w", context.Cause(ctx))
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("decode media: %w", err)
	}
	back := &source{r: tmp, stop: ctx.Err}
	err := decode(bufio.NewReaderSize(back, tapeBuffer), typ)
	if back.err != nil {
		return fmt.Errorf("decode media: %w", back.err)
	}
	return err
}

// publish gives a finished file its name, for good.
func (f *Files) publish(tmp string, info Info) error {
	path := f.path(info.ID)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store media: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		// Windows does not replace a file that somebody reads; the one that is there says the same.
		if i, serr := os.Stat(path); serr != nil || i.Size() != info.Bytes {
			return fmt.Errorf("store media: %w", err)
		}
		os.Remove(tmp) //nolint:errcheck,gosec // what stays is swept after a day
	}
	// Both, always: another Put may have made the inner folder and not yet synced the outer one.
	for _, dir := range []string{filepath.Dir(path), f.dir} {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("store media: %w", err)
		}
	}
	return nil
}

// Open opens a stored file for reading; the caller closes it. A file that is not there, or an id that can not be one,
// is fs.ErrNotExist. Removing the file while it is open does not disturb the reader on Unix.
func (f *Files) Open(id string) (*os.File, error) {
	if !validID(id) {
		return nil, fmt.Errorf("open media: %w", fs.ErrNotExist)
	}
	file, err := os.Open(f.path(id))
	if err != nil {
		return nil, fmt.Errorf("open media: %w", err)
	}
	return file, nil
}

// Stat says what a stored file is, by looking through it again without decoding. A file that is not there is
// fs.ErrNotExist; one that was damaged since it was put can be an *Error.
func (f *Files) Stat(id string) (Info, error) {
	file, err := f.Open(id)
	if err != nil {
		return Info{}, err
	}
	defer file.Close() //nolint:errcheck // only read
	i, err := file.Stat()
	if err != nil {
		return Info{}, fmt.Errorf("look at media: %w", err)
	}
	// What was accepted once stays readable after limits were lowered.
	s, err := inspect(file, unlimited())
	if err != nil {
		return Info{}, fmt.Errorf("look at media: %w", err)
	}
	return s.info(id, i.Size()), nil
}

// Keep runs remember, which writes down that the file is there, and lets nobody remove it meanwhile. When it is not
// there any more, which is fs.ErrNotExist, remember is not run.
func (f *Files) Keep(id string, remember func() error) error {
	f.leaving.RLock()
	defer f.leaving.RUnlock()
	if !validID(id) {
		return fmt.Errorf("keep media: %w", fs.ErrNotExist)
	}
	if _, err := os.Stat(f.path(id)); err != nil {
		return fmt.Errorf("keep media: %w", err)
	}
	return remember()
}

// Remove removes a stored file for good if forget, which strikes out what is known of it, reports that nobody needs it.
// No Keep runs meanwhile. One that is not there is no error.
func (f *Files) Remove(id string, forget func() bool) error {
	f.leaving.Lock()
	defer f.leaving.Unlock()
	if !forget() || !validID(id) {
		return nil
	}
	path := f.path(id)
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("remove media: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("remove media: %w", err)
	}
	return nil
}

// Sweep removes the stored files that were last put before a time and that known, which is asked once more while no Keep
// runs, reports false for: their uploads were never written down. It ends with the first error of known, or with ctx.
func (f *Files) Sweep(ctx context.Context, before time.Time, known func(id string) (bool, error)) (removed int, err error) {
	err = filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it has gone meanwhile
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		id := filepath.Base(filepath.Dir(path)) + e.Name()
		if !e.Type().IsRegular() || !validID(id) || path != f.path(id) {
			return nil
		}
		if i, err := e.Info(); err != nil || !i.ModTime().Before(before) {
			return nil //nolint:nilerr // it has gone meanwhile
		}
		if yes, err := known(id); yes || err != nil {
			return err
		}
		var asked error
		err = f.Remove(id, func() bool {
			yes, err := known(id)
			asked = err
			if yes || err != nil {
				return false
			}
			removed++
			return true
		})
		return errors.Join(asked, err)
	})
	if err != nil {
		return removed, fmt.Errorf("sweep media: %w", err)
	}
	return removed, nil
}

// path is where the file of a valid id lies: 256 inner folders, so that none grows large.
func (f *Files) path(id string) string { return filepath.Join(f.dir, id[:2], id[2:]) }

func validID(id string) bool {
	return len(id) == 2*sha256.Size && strings.Trim(id, "0123456789abcdef") == ""
}

// syncDir makes names in a folder durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir) //nolint:gosec // our own folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// source reads what somebody sends. It ends when stop says so or when more than max bytes came, and remembers its own
// error, so that a broken connection is not taken for a broken file.
type source struct {
	r    io.Reader
	stop func() error
	n    int64
	max  int64 // 0: not known yet
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if err := s.stop(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
		return n, err
	}
	if s.max > 0 && s.n > s.max {
		s.err = s.tooLarge()
		return 0, s.err
	}
	return n, err
}

// limit sets the most that may come, which what came already may exceed.
func (s *source) limit(limit int64) error {
	s.max = limit
	if s.n > limit {
		return s.tooLarge()
	}
	return nil
}

func (s *source) tooLarge() error {
	return over(CodeSize, "the file is too large", s.max, s.n, "bytes")
}

// explain tells whose fault an error of a walk was.
func (s *source) explain(err error) error {
	if s.err != nil {
		err = s.err
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if s.err == nil && errors.Is(err, io.ErrUnexpectedEOF) {
		return broken("it ends too early")
	}
	return fmt.Errorf("read media: %w", err)
}

// sink writes the stored copy, counts and hashes it, and remembers its error.
type sink struct {
	f   *os.File
	sum hash.Hash
	n   int64
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	s.n += int64(n)
	s.err = err
	s.sum.Write(p[:n])
	return n, err
}
