package media

import (
	"bufio"
	"errors"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"golang.org/x/image/webp"
)

// sniffBytes is how much of a file decides what it is.
const sniffBytes = 3072

// maxDecode bounds the memory that decoding one picture may take, in bytes.
const maxDecode = 512 << 20

// shape is what a walk through a file finds out.
type shape struct {
	typ           string // as the walker knows it; empty when sniffing is enough
	width, height int    // as stored
	turned        bool   // to be shown with width and height exchanged
	frames        int
	duration      time.Duration
	perPixel      int64 // bytes of memory for each pixel when decoding; 0 for what is never decoded as a whole
}

// info is the shape as told to others.
func (s shape) info(id string, bytes int64) Info {
	i := Info{
		ID: id, Type: s.typ, Bytes: bytes, Width: s.width, Height: s.height,
		Duration: s.duration, Frames: s.frames,
	}
	if s.turned {
		i.Width, i.Height = i.Height, i.Width
	}
	return i
}

// sniff names the type of a file by its first bytes. A film is TypeMP4 until its walker has read which it is.
func sniff(head []byte) (string, error) {
	if len(head) == 0 {
		return "", broken("it is empty")
	}
	if len(head) >= 8 && string(head[4:8]) == "ftyp" {
		return TypeMP4, nil
	}
	for m := mimetype.Detect(head); m != nil; m = m.Parent() {
		for _, typ := range []string{TypeJPEG, TypePNG, TypeGIF, TypeWebP} {
			if m.Is(typ) {
				return typ, nil
			}
		}
	}
	return "", wrongType("this kind of file is not accepted")
}

// walk reads a file of the sniffed type from t, checks its structure and limits, and writes what is to be kept.
func walk(t *tape, typ string, l Limits) (shape, error) {
	walkers := map[string]func(*tape, Limits) (shape, error){
		TypeJPEG: walkJPEG, TypePNG: walkPNG, TypeGIF: walkGIF, TypeWebP: walkWebP, TypeMP4: walkMovie,
	}
	s, err := walkers[typ](t, l)
	if err != nil {
		return s, err
	}
	if s.typ == "" {
		s.typ = typ
	}
	if s.typ == TypeMP4 || s.typ == TypeMOV {
		return s, nil
	}
	// Sides are below 2³¹, so the product fits.
	if pixels := int64(s.width) * int64(s.height); pixels > l.Pixels {
		return s, over(CodeDimensions, "the picture has too many pixels", l.Pixels, pixels, "pixels")
	} else if s.perPixel > 0 && pixels > maxDecode/s.perPixel {
		return s, over(CodeDimensions, "the picture has too many pixels for the way it is coded",
			maxDecode/s.perPixel, pixels, "pixels")
	}
	return s, nil
}

// decode reads a picture whole, which proves that others can. GIFs and films have been read by their walker as far as
// they will be. The shape must be that of the same bytes: its limits are what bounds the memory.
func decode(r io.Reader, typ string) error {
	var err error
	switch typ {
	case TypeJPEG:
		_, err = jpeg.Decode(r)
	case TypePNG:
		_, err = png.Decode(r)
	case TypeWebP:
		_, err = webp.Decode(r)
	default:
		return nil
	}
	if _, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return wrongType("this JPEG is coded in a way that is not accepted")
	}
	if err != nil {
		return &Error{Code: CodeBroken, Message: "the file is broken: the picture can not be decoded", cause: err}
	}
	return nil
}

// inspect looks at a stored file without decoding pictures.
func inspect(f io.ReadSeeker, l Limits) (shape, error) {
	t := &tape{r: bufio.NewReaderSize(f, tapeBuffer), file: f}
	head, err := t.r.Peek(sniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return shape{}, err
	}
	typ, err := sniff(head)
	if err != nil {
		return shape{}, err
	}
	return walk(t, typ, l)
}
