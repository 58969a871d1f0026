package media

import (
	"compress/lzw"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// walkGIF goes through every picture of an animation and unpacks each to nowhere, so that a broken one is found
// without holding any. Comments, plain text and all application blocks but the one that says how often to repeat go,
// as does all behind the end: there a script can hide.
func walkGIF(t *tape, l Limits) (shape, error) {
	var s shape
	head, err := t.move(13)
	if err != nil {
		return s, err
	}
	if v := string(head[:6]); v != "GIF87a" && v != "GIF89a" {
		return s, broken("it does not begin like a GIF")
	}
	s.width, s.height = int(binary.LittleEndian.Uint16(head[6:])), int(binary.LittleEndian.Uint16(head[8:]))
	if s.width == 0 || s.height == 0 {
		return s, broken("it has no width or height")
	}
	global, err := gifPalette(t, head[10])
	if err != nil {
		return s, err
	}
	var pixels int64
	for {
		b, err := t.take(1)
		if err != nil {
			return s, err
		}
		switch b[0] {
		case 0x21:
			err = gifExtension(t)
		case 0x2C:
			if s.frames++; s.frames > l.GIFFrames {
				return s, over(CodeDimensions, "the animation has too many frames",
					int64(l.GIFFrames), int64(s.frames), "frames")
			}
			if err = t.put(b); err == nil {
				err = gifFrame(t, &s, global, &pixels, l.GIFPixels)
			}
		case 0x3B:
			if s.frames == 0 {
				return s, broken("there is no picture in it")
			}
			return s, t.put(b)
		default:
			return s, broken("a block is of no known kind")
		}
		if err != nil {
			return s, err
		}
	}
}

// gifPalette moves the colour table that flags announce and returns its number of colours.
func gifPalette(t *tape, flags byte) (int, error) {
	if flags&0x80 == 0 {
		return 0, nil
	}
	colours := 2 << (flags & 7)
	_, err := t.move(3 * colours)
	return colours, err
}

func gifExtension(t *tape) error {
	label, err := t.take(1)
	if err != nil {
		return err
	}
	keep := label[0] == 0xF9 // graphic control: delay and transparency
	var first []byte
	if label[0] == 0xFF {
		size, err := t.take(1)
		if err != nil {
			return err
		}
		name, err := t.take(int(size[0]))
		if err != nil {
			return err
		}
		keep = string(name) == "NETSCAPE2.0" || string(name) == "ANIMEXTS1.0"
		if first = slices.Concat(size, name); size[0] == 0 {
			return nil
		}
	}
	if keep {
		if err := t.put(slices.Concat([]byte{0x21}, label, first)); err != nil {
			return err
		}
	}
	for {
		size, err := t.take(1)
		if err != nil {
			return err
		}
		body, err := t.take(int(size[0]))
		if err != nil {
			return err
		}
		if keep {
			if err := errors.Join(t.put(size), t.put(body)); err != nil {
				return err
			}
		}
		if size[0] == 0 {
			return nil
		}
	}
}

func gifFrame(t *tape, s *shape, palette int, pixels *int64, limit int64) error {
	d, err := t.move(9)
	if err != nil {
		return err
	}
	at := func(i int) int { return int(binary.LittleEndian.Uint16(d[i:])) }
	x, y, w, h := at(0), at(2), at(4), at(6)
	if w == 0 || h == 0 || x+w > s.width || y+h > s.height {
		return broken("a frame lies outside the picture")
	}
	if *pixels += int64(w) * int64(h); *pixels > limit {
		return over(CodeDimensions, "the animation has too many pixels in all frames together", limit, *pixels, "pixels")
	}
	local, err := gifPalette(t, d[8])
	if err != nil {
		return err
	}
	if local > 0 {
		palette = local
	}
	width, err := t.move(1)
	if err != nil {
		return err
	}
	if width[0] < 2 || width[0] > 8 {
		return broken("a frame is coded in no known way")
	}
	blocks := &gifBlocks{t: t}
	if t.w != nil {
		unpacked := lzw.NewReader(blocks, lzw.LSB, int(width[0]))
		_, err := io.CopyN(paletteCheck(palette), unpacked, int64(w)*int64(h))
		switch e, ok := errors.AsType[*Error](err); {
		case ok:
			return e
		case blocks.err != nil && !errors.Is(blocks.err, io.EOF):
			return blocks.err
		case err != nil:
			return broken("a frame can not be unpacked")
		}
	}
	for blocks.err == nil {
		blocks.next()
	}
	if errors.Is(blocks.err, io.EOF) {
		return nil
	}
	return blocks.err
}

// gifBlocks reads the data of one frame, which lies in pieces of at most 255 bytes up to an empty one, and copies the
// pieces as it goes.
type gifBlocks struct {
	t    *tape
	left []byte
	err  error // io.EOF after the empty piece
}

func (b *gifBlocks) next() {
	size, err := b.t.move(1)
	if err != nil {
		b.err = err
		return
	}
	if size[0] == 0 {
		b.err = io.EOF
		return
	}
	b.left, b.err = b.t.move(int(size[0]))
}

func (b *gifBlocks) Read(p []byte) (int, error) {
	if len(b.left) == 0 && b.err == nil {
		b.next()
	}
	if len(b.left) == 0 {
		return 0, b.err
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *gifBlocks) ReadByte() (byte, error) {
	var p [1]byte
	_, err := b.Read(p[:])
	return p[0], err
}

// paletteCheck is a writer of colour numbers that must all be below it.
type paletteCheck int

func (n paletteCheck) Write(p []byte) (int, error) {
	if len(p) > 0 && int(slices.Max(p)) >= int(n) {
		return 0, broken("a frame uses a colour that is not there")
	}
	return len(p), nil
}
