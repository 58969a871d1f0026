package media

import (
	"encoding/binary"
	"errors"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// walkPNG keeps the chunks that make up the picture, its colours and its animation. Text, time, EXIF, unknown chunks
// and all behind the end go.
func walkPNG(t *tape, _ Limits) (shape, error) {
	var s shape
	if p, err := t.move(len(pngSignature)); err != nil {
		return s, err
	} else if string(p) != pngSignature {
		return s, broken("it does not begin like a PNG")
	}
	for {
		head, err := t.take(8)
		if err != nil {
			return s, err
		}
		n, name := int64(binary.BigEndian.Uint32(head)), string(head[4:])
		const crc = 4
		if s.width == 0 {
			if name != "IHDR" || n != 13 {
				return s, broken("it does not begin with a header")
			}
			body, err := t.take(13)
			if err != nil {
				return s, err
			}
			if err := s.pngHeader(body); err != nil {
				return s, err
			}
			if err := errors.Join(t.put(head), t.put(body), t.copy(crc)); err != nil {
				return s, err
			}
			continue
		}
		if keepChunk(name) {
			err = errors.Join(t.put(head), t.copy(n+crc))
		} else {
			err = t.drop(n + crc)
		}
		if err != nil || name == "IEND" {
			return s, err
		}
	}
}

func (s *shape) pngHeader(p []byte) error {
	w, h := binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])
	if w == 0 || h == 0 || w > 1<<31-1 || h > 1<<31-1 {
		return broken("its width or height is impossible")
	}
	s.width, s.height, s.perPixel = int(w), int(h), 4
	if depth := p[8]; depth == 16 {
		s.perPixel = 8
	}
	if interlaced := p[12] != 0; interlaced {
		s.perPixel *= 2
	}
	return nil
}

func keepChunk(name string) bool {
	switch name {
	case "IHDR", "PLTE", "IDAT", "IEND", "tRNS",
		"gAMA", "cHRM", "sRGB", "iCCP", "cICP", "mDCV", "cLLI", "sBIT", "bKGD", "pHYs",
		"acTL", "fcTL", "fdAT":
		return true
	}
	return false
}
