package media

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"testing"
)

// place stands for what a person does not want to publish; no stored file may contain it.
const place = "52.5200N 13.4050E at home"

func picture(w, h int) *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, w, h), palette.Plan9)
	for i := range m.Pix {
		m.Pix[i] = uint8(i * 7)
	}
	return m
}

func pngFile(tb testing.TB, w, h int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture(w, h)); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func pngChunk(name, body string) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	p = append(append(p, name...), body...)
	return binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p[4:]))
}

// pngWith puts chunks behind the header of a PNG.
func pngWith(file []byte, chunks ...[]byte) []byte {
	const header = 8 + 25
	return slices.Concat(file[:header], slices.Concat(chunks...), file[header:])
}

// pngClaiming is a PNG whose header claims a size that is not there.
func pngClaiming(w, h uint32) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return slices.Concat([]byte(pngSignature), pngChunk("IHDR", string(size)+"\x08\x06\x00\x00\x00"),
		pngChunk("IDAT", "\x78\x9c\x03\x00\x00\x00\x00\x01"), pngChunk("IEND", ""))
}

func jpegFile(tb testing.TB, w, h int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(w, h), nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func jpegSegment(marker byte, body string) []byte {
	return slices.Concat([]byte{0xFF, marker}, binary.BigEndian.AppendUint16(nil, uint16(len(body)+2)), []byte(body))
}

// jpegWith puts segments behind the start of a JPEG.
func jpegWith(file []byte, segments ...[]byte) []byte {
	return slices.Concat(file[:2], slices.Concat(segments...), file[2:])
}

// exif is an EXIF segment with an orientation and a place.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, entry := range [][4]uint16{{0x010F, 2, uint16(len(place)), 38}, {tagOrientation, typeShort, 1, orientation}} {
		tiff = order.AppendUint16(order.AppendUint16(tiff, entry[0]), entry[1])
		tiff = order.AppendUint32(tiff, uint32(entry[2]))
		tiff = order.AppendUint16(order.AppendUint16(tiff, entry[3]), 0)
	}
	tiff = order.AppendUint32(tiff, 0)
	return jpegSegment(0xE1, exifHeader+string(tiff)+place)
}

func gifFile(tb testing.TB, w, h, frames int) []byte {
	tb.Helper()
	g := &gif.GIF{LoopCount: 0}
	for range frames {
		g.Image, g.Delay = append(g.Image, picture(w, h)), append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// webpLossless and webpLossy are 1×1 pictures.
func webpLossless() []byte {
	b, _ := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	return b
}

func webpLossy() []byte {
	b, _ := base64.StdEncoding.DecodeString("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA=")
	return b
}

func riff(chunks ...[]byte) []byte {
	body := slices.Concat(chunks...)
	return slices.Concat([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(4+len(body))), []byte("WEBP"), body)
}

func riffChunk(name, body string) []byte {
	p := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body)))
	p = append(p, body...)
	if len(body)%2 == 1 {
		p = append(p, 0)
	}
	return p
}

// webpExtended is a 1×1 picture with flags, size and further chunks.
func webpExtended(flags byte, w, h byte, more ...[]byte) []byte {
	x := riffChunk("VP8X", string([]byte{flags, 0, 0, 0, w - 1, 0, 0, h - 1, 0, 0}))
	return riff(slices.Concat([][]byte{x, webpLossless()[12:]}, more)...)
}

func isoBox(name string, bodies ...[]byte) []byte {
	body := slices.Concat(bodies...)
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), []byte(name), body)
}

func words(v ...uint32) []byte {
	var p []byte
	for _, w := range v {
		p = binary.BigEndian.AppendUint32(p, w)
	}
	return p
}

// film describes a small film; the zero value of each field is that of an ordinary one.
type film struct {
	brand    string
	ms       uint32
	upright  bool
	handler  string
	noData   bool
	fragment uint32
	inMoov   []byte
	tail     []byte
}

func (f film) bytes() []byte {
	if f.brand == "" {
		f.brand = "isom"
	}
	if f.handler == "" {
		f.handler = "vide"
	}
	matrix := words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
	if f.upright {
		matrix = words(0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000)
	}
	mvhd := slices.Concat(words(0, 0, 0, 1000, f.ms), make([]byte, 80))
	tkhd := slices.Concat(words(7, 0, 0, 1, 0, f.ms), make([]byte, 16), matrix, words(640<<16, 360<<16))
	hdlr := slices.Concat(words(0, 0), []byte(f.handler), make([]byte, 13))
	where := isoBox("udta", isoBox("\xa9xyz", []byte(place)))
	moov := slices.Concat(isoBox("mvhd", mvhd), isoBox("trak", isoBox("tkhd", tkhd), where,
		isoBox("mdia", isoBox("hdlr", hdlr))), where, f.inMoov)
	if f.fragment > 0 {
		moov = append(moov, isoBox("mvex", isoBox("mehd", words(0, f.fragment)))...)
	}
	data := isoBox("mdat", make([]byte, 1000))
	if f.noData {
		data = nil
	}
	return slices.Concat(isoBox("ftyp", []byte(f.brand), words(0), []byte(f.brand)),
		isoBox("uuid", []byte("sixteen bytes id"), []byte(place)), isoBox("moov", moov), data, f.tail)
}

// deepPNG is a PNG with 16 bits a sample.
func deepPNG(tb testing.TB) []byte {
	tb.Helper()
	m := image.NewNRGBA64(image.Rect(0, 0, 3, 2))
	m.Set(1, 1, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, tapeBuffer) }

// clean does what Put does, without a disk.
func clean(file []byte, l Limits) ([]byte, shape, error) {
	typ, err := sniff(file[:min(len(file), sniffBytes)])
	if err != nil {
		return nil, shape{}, err
	}
	var out bytes.Buffer
	tp := &tape{r: newReader(bytes.NewReader(file)), w: bufio.NewWriter(&out)}
	s, err := walk(tp, typ, l)
	if err != nil {
		return nil, s, err
	}
	if err := tp.w.Flush(); err != nil {
		return nil, s, err
	}
	return out.Bytes(), s, decode(bytes.NewReader(out.Bytes()), s.typ)
}
