package media

import (
	"encoding/binary"
	"errors"
)

// walkWebP keeps the picture, its alpha channel and its colour profile. EXIF, XMP and unknown chunks become filler of
// the same size, and all behind the end goes. Animations are refused: they can not be decoded here, and no platform
// takes them. Format: https://developers.google.com/speed/webp/docs/riff_container.
func walkWebP(t *tape, _ Limits) (shape, error) {
	var s shape
	head, err := t.move(12)
	if err != nil {
		return s, err
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WEBP" {
		return s, broken("it does not begin like a WebP")
	}
	left := int64(binary.LittleEndian.Uint32(head[4:])) - 4
	canvas, pictures := shape{}, 0
	for left > 0 {
		head, err := t.take(8)
		if err != nil {
			return s, err
		}
		n := int64(binary.LittleEndian.Uint32(head[4:]))
		body := n + n&1
		if left -= 8 + body; left < 0 {
			return s, broken("a chunk is larger than the file")
		}
		var first []byte
		name := string(head[:4])
		switch name {
		case "VP8X":
			if first, err = peeled(t, n, 10); err != nil {
				return s, err
			}
			const animation, xmp, exif = 0x02, 0x04, 0x08
			if first[0]&animation != 0 {
				return s, wrongType("animated WebP is not accepted")
			}
			first[0] &^= xmp | exif
			canvas.width, canvas.height = 1+uint24(first[4:]), 1+uint24(first[7:])
		case "VP8 ":
			if first, err = peeled(t, n, 10); err != nil {
				return s, err
			}
			if string(first[3:6]) != "\x9d\x01\x2a" {
				return s, broken("its picture does not begin like one")
			}
			s.width = int(binary.LittleEndian.Uint16(first[6:]) & 0x3FFF)
			s.height = int(binary.LittleEndian.Uint16(first[8:]) & 0x3FFF)
			pictures++
		case "VP8L":
			if first, err = peeled(t, n, 5); err != nil {
				return s, err
			}
			bits := binary.LittleEndian.Uint32(first[1:])
			s.width, s.height = int(bits&0x3FFF)+1, int(bits>>14&0x3FFF)+1
			pictures++
		case "ALPH", "ICCP":
		default:
			if err := errors.Join(t.put([]byte("JUNK")), t.put(head[4:]), t.blank(body)); err != nil {
				return s, err
			}
			continue
		}
		if err := errors.Join(t.put(head), t.put(first), t.copy(body-int64(len(first)))); err != nil {
			return s, err
		}
	}
	if pictures != 1 || canvas.width != 0 && (canvas.width != s.width || canvas.height != s.height) {
		return s, broken("it does not hold exactly one picture of the size it names")
	}
	s.perPixel = 8
	return s, nil
}

// peeled takes the first want bytes of a chunk of n.
func peeled(t *tape, n int64, want int) ([]byte, error) {
	if n < int64(want) {
		return nil, broken("a chunk is too short")
	}
	return t.take(want)
}

func uint24(p []byte) int { return int(p[0]) | int(p[1])<<8 | int(p[2])<<16 }
