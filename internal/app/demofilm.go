package app

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
)

// demoPicture draws a small poster: bands of colour that tell one sample from the next.
func demoPicture(hue uint8) ([]byte, error) {
	const w, h = 480, 270
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, color.RGBA{R: hue, G: uint8(y * 255 / h), B: uint8(x * 255 / w), A: 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return nil, fmt.Errorf("drawing a sample picture: %w", err)
	}
	return b.Bytes(), nil
}

// demoFilm is a structurally whole MP4 of five seconds, 640 × 360, whose picture data is blank: enough for everything
// that looks at a film without playing it. The layout is that of ISO/IEC 14496-12.
func demoFilm(size int) []byte {
	box := func(name string, bodies ...[]byte) []byte {
		body := slices.Concat(bodies...)
		return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), []byte(name), body) //nolint:gosec // a sample of a few MiB
	}
	words := func(v ...uint32) []byte {
		var p []byte
		for _, w := range v {
			p = binary.BigEndian.AppendUint32(p, w)
		}
		return p
	}
	const millis = 5000
	matrix := words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
	mvhd := slices.Concat(words(0, 0, 0, 1000, millis), make([]byte, 80))
	tkhd := slices.Concat(words(7, 0, 0, 1, 0, millis), make([]byte, 16), matrix, words(640<<16, 360<<16))
	hdlr := slices.Concat(words(0, 0), []byte("vide"), make([]byte, 13))
	return slices.Concat(
		box("ftyp", []byte("isom"), words(0), []byte("isom")),
		box("moov", box("mvhd", mvhd), box("trak", box("tkhd", tkhd), box("mdia", box("hdlr", hdlr)))),
		box("mdat", make([]byte, size)),
	)
}
