package media

import (
	"bufio"
	"io"
)

// tape is one trip through a file from front to back. Each walker reads its format from it and says, piece by piece,
// what goes into the stored copy: so checking, cleaning and writing are one pass, and a file of any size needs one
// small buffer. With a nil writer the same walk only looks.
//
// Reading past the end is io.ErrUnexpectedEOF.
type tape struct {
	r *bufio.Reader
	w *bufio.Writer
	// file is what r reads, when it can be seeked: then bytes that nobody looks at are jumped over, not read.
	file io.ReadSeeker
}

const tapeBuffer = 64 << 10

// take reads n bytes and writes nothing. The slice is the caller's.
func (t *tape) take(n int) ([]byte, error) {
	p := make([]byte, n)
	_, err := io.ReadFull(t.r, p)
	return p, short(err)
}

// put writes p to the copy.
func (t *tape) put(p []byte) error {
	if t.w == nil {
		return nil
	}
	_, err := t.w.Write(p)
	return err
}

// move reads n bytes, writes them to the copy and returns them.
func (t *tape) move(n int) ([]byte, error) {
	p, err := t.take(n)
	if err != nil {
		return nil, err
	}
	return p, t.put(p)
}

// copy moves n bytes without looking at them.
func (t *tape) copy(n int64) error {
	if t.w == nil {
		return t.drop(n)
	}
	_, err := io.CopyN(t.w, t.r, n)
	return short(err)
}

// drop leaves n bytes out of the copy.
func (t *tape) drop(n int64) error {
	if buffered := int64(t.r.Buffered()); t.file != nil && n > buffered {
		if _, err := t.file.Seek(n-buffered, io.SeekCurrent); err != nil {
			return err
		}
		t.r.Reset(t.file)
		return nil
	}
	_, err := io.CopyN(io.Discard, t.r, n)
	return short(err)
}

// blank leaves n bytes out of the copy and writes as many zeros, so that everything behind keeps its place.
func (t *tape) blank(n int64) error {
	if err := t.drop(n); err != nil || t.w == nil {
		return err
	}
	_, err := io.CopyN(t.w, zeros{}, n)
	return err
}

// rest copies all that is left.
func (t *tape) rest() error {
	if t.w == nil {
		return t.drain()
	}
	_, err := io.Copy(t.w, t.r)
	return err
}

// drain leaves all that is left out of the copy, and so finds out whether it can be read to its end.
func (t *tape) drain() error {
	if t.file != nil {
		_, err := t.file.Seek(0, io.SeekEnd)
		t.r.Reset(t.file)
		return err
	}
	_, err := io.Copy(io.Discard, t.r)
	return err
}

// zeros is an endless reader of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func short(err error) error {
	if err == io.EOF { //nolint:errorlint // readers return the bare value
		return io.ErrUnexpectedEOF
	}
	return err
}
