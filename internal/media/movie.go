package media

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
	"strings"
	"time"
)

const (
	// maxBoxes bounds the boxes that are looked at; fragmented films have a few for each second.
	maxBoxes = 200_000
	// maxVideoSide bounds width and height of a film, in pixels: 16K.
	maxVideoSide = 16384
)

// movie walks an ISO base media file (ISO/IEC 14496-12), which MP4 and QuickTime share: boxes of size, name and body,
// some of which hold boxes. The boxes that describe a film for people (where it was taken, by which phone) become
// filler of the same size, since tables inside point to absolute places in the file.
type movie struct {
	t     *tape
	boxes int

	typ              string
	timescale        uint32
	length, fragment uint64 // in units of timescale; fragment is that of a film in fragments
	track            track
	width, height    int
	videos           int
	moov, data       bool
}

// track is what is known of the track being walked.
type track struct {
	video         bool
	width, height int
}

type box struct {
	name string
	size int64 // of the body; -1: to the end of the file
}

func walkMovie(t *tape, l Limits) (shape, error) {
	m := &movie{t: t}
	for {
		if _, err := t.r.Peek(1); errors.Is(err, io.EOF) {
			break
		}
		b, err := m.box(math.MaxInt64)
		if err != nil {
			return shape{}, err
		}
		if err := m.top(b); err != nil {
			return shape{}, err
		}
	}
	switch {
	case !m.moov || !m.data || m.timescale == 0:
		return shape{}, broken("the film has no index or no data")
	case m.videos == 0:
		return shape{}, wrongType("there is no picture in this film")
	case m.width > maxVideoSide || m.height > maxVideoSide:
		return shape{}, over(CodeDimensions, "the film is too wide or too high",
			maxVideoSide, int64(max(m.width, m.height)), "pixels")
	}
	s := shape{typ: m.typ, width: m.width, height: m.height, duration: m.duration()}
	if s.duration <= 0 {
		return shape{}, &Error{Code: CodeDuration, Message: "the film does not say how long it is"}
	}
	if s.duration > l.Duration {
		return shape{}, over(CodeDuration, "the film is too long",
			int64(l.Duration/time.Second), int64(s.duration/time.Second), "seconds")
	}
	return s, nil
}

// duration is the length of the film, or the longest duration there is when the number is larger than that.
func (m *movie) duration() time.Duration {
	length := max(m.length, m.fragment)
	hi, lo := bits.Mul64(length, uint64(time.Second))
	if hi >= uint64(m.timescale) {
		return math.MaxInt64
	}
	d, _ := bits.Div64(hi, lo, uint64(m.timescale))
	return time.Duration(min(d, math.MaxInt64))
}

// box takes a box header that must fit, with its body, into room bytes. It is not yet in the copy: the caller moves
// it by keep or hide.
func (m *movie) box(room int64) (boxHeader, error) {
	if m.boxes++; m.boxes > maxBoxes {
		return boxHeader{}, broken("it has too many parts")
	}
	raw, err := m.t.take(8)
	if err != nil {
		return boxHeader{}, err
	}
	b := boxHeader{raw: raw, box: box{name: string(raw[4:]), size: int64(binary.BigEndian.Uint32(raw))}}
	switch b.size {
	case 0:
		if room != math.MaxInt64 {
			return b, broken("a part of it has no size")
		}
		b.size = -1
		return b, nil
	case 1:
		long, err := m.t.take(8)
		if err != nil {
			return b, err
		}
		b.raw = append(b.raw, long...)
		size := binary.BigEndian.Uint64(long)
		if size > math.MaxInt64 {
			return b, broken("a part of it is larger than the file")
		}
		b.size = int64(size)
	}
	if b.size < int64(len(b.raw)) || b.size > room {
		return b, broken("the sizes of its parts do not add up")
	}
	b.size -= int64(len(b.raw))
	return b, nil
}

// boxHeader is a box and its header as it stands in the file.
type boxHeader struct {
	box
	raw []byte
}

// keep copies a box whole.
func (m *movie) keep(b boxHeader) error {
	if err := m.t.put(b.raw); err != nil {
		return err
	}
	if b.size < 0 {
		return m.t.rest()
	}
	return m.t.copy(b.size)
}

// hide makes filler of a box.
func (m *movie) hide(b boxHeader) error {
	copy(b.raw[4:8], "free")
	if err := m.t.put(b.raw); err != nil {
		return err
	}
	if b.size < 0 {
		return m.t.drain()
	}
	return m.t.blank(b.size)
}

// open copies the header of a box and calls each for the boxes inside.
func (m *movie) open(b boxHeader, each func(boxHeader) error) error {
	if b.size < 0 {
		return broken("a part of it has no size")
	}
	if err := m.t.put(b.raw); err != nil {
		return err
	}
	for left := b.size; left > 0; {
		// QuickTime may end a list of boxes with four zero bytes.
		if left < 8 {
			return m.t.copy(left)
		}
		in, err := m.box(left)
		if err != nil {
			return err
		}
		left -= int64(len(in.raw)) + in.size
		if err := each(in); err != nil {
			return err
		}
	}
	return nil
}

// peek copies a box and returns the first n bytes of its body, or all of a shorter one.
func (m *movie) peek(b boxHeader, n int64) ([]byte, error) {
	if err := m.t.put(b.raw); err != nil {
		return nil, err
	}
	n = min(n, b.size)
	if n < 0 {
		return nil, broken("a part of it has no size")
	}
	p, err := m.t.move(int(n))
	if err != nil {
		return nil, err
	}
	return p, m.t.copy(b.size - n)
}

func (m *movie) top(b boxHeader) error {
	if m.typ == "" && b.name != "ftyp" {
		return wrongType("this film does not say what it is")
	}
	switch b.name {
	case "ftyp":
		const enough = 256
		p, err := m.peek(b, enough)
		if err != nil {
			return err
		}
		if m.typ = brandType(p); m.typ == "" {
			return wrongType("this kind of file is not accepted")
		}
		return nil
	case "moov":
		if m.moov {
			return broken("it has two indexes")
		}
		m.moov = true
		return m.open(b, m.inMoov)
	case "mdat":
		m.data = true
		return m.keep(b)
	case "moof", "mfra", "sidx", "ssix", "styp", "prft", "emsg", "pdin", "free", "wide", "skip":
		return m.keep(b)
	default:
		return m.hide(b)
	}
}

func (m *movie) inMoov(b boxHeader) error {
	switch b.name {
	case "mvhd":
		p, err := m.peek(b, 32)
		if err != nil {
			return err
		}
		// Version 0 has times of 4 bytes, version 1 of 8; all ones mean unknown.
		switch {
		case len(p) >= 20 && p[0] == 0:
			m.timescale = binary.BigEndian.Uint32(p[12:])
			m.length = known(uint64(binary.BigEndian.Uint32(p[16:])), math.MaxUint32)
		case len(p) >= 32 && p[0] == 1:
			m.timescale = binary.BigEndian.Uint32(p[20:])
			m.length = known(binary.BigEndian.Uint64(p[24:]), math.MaxUint64)
		default:
			return broken("its index does not begin like one")
		}
		return nil
	case "mvex":
		return m.open(b, m.inMvex)
	case "trak":
		m.track = track{}
		if err := m.open(b, m.inTrak); err != nil {
			return err
		}
		if m.track.video && m.track.width > 0 && m.track.height > 0 {
			m.videos++
			m.width, m.height = max(m.width, m.track.width), max(m.height, m.track.height)
		}
		return nil
	case "udta", "meta", "uuid":
		return m.hide(b)
	default:
		return m.keep(b)
	}
}

func (m *movie) inMvex(b boxHeader) error {
	if b.name != "mehd" {
		return m.keep(b)
	}
	p, err := m.peek(b, 12)
	switch {
	case err != nil:
		return err
	case len(p) >= 8 && p[0] == 0:
		m.fragment = known(uint64(binary.BigEndian.Uint32(p[4:])), math.MaxUint32)
	case len(p) >= 12 && p[0] == 1:
		m.fragment = known(binary.BigEndian.Uint64(p[4:]), math.MaxUint64)
	}
	return nil
}

func (m *movie) inTrak(b boxHeader) error {
	switch b.name {
	case "tkhd":
		p, err := m.peek(b, 96)
		if err != nil {
			return err
		}
		at := 40 // of the matrix, in version 0
		if len(p) > 0 && p[0] == 1 {
			at = 52
		}
		const matrix, size = 36, 8
		if len(p) < at+matrix+size {
			return broken("the header of a track is too short")
		}
		m.track.width = int(binary.BigEndian.Uint16(p[at+matrix:])) // the whole part of 16.16
		m.track.height = int(binary.BigEndian.Uint16(p[at+matrix+4:]))
		// The matrix of a film taken upright has zeros where one that lies has its scale.
		if binary.BigEndian.Uint32(p[at:]) == 0 && binary.BigEndian.Uint32(p[at+16:]) == 0 {
			m.track.width, m.track.height = m.track.height, m.track.width
		}
		return nil
	case "mdia":
		return m.open(b, m.inMdia)
	case "udta", "meta":
		return m.hide(b)
	default:
		return m.keep(b)
	}
}

func (m *movie) inMdia(b boxHeader) error {
	if b.name != "hdlr" {
		return m.keep(b)
	}
	p, err := m.peek(b, 12)
	if err != nil {
		return err
	}
	m.track.video = len(p) == 12 && string(p[8:]) == "vide"
	return nil
}

// known is v, or 0 when it is the value that stands for unknown.
func known(v, unknown uint64) uint64 {
	if v == unknown {
		return 0
	}
	return v
}

// brandType tells MP4 from QuickTime by the body of an ftyp box; it is empty for all else that is built the same way,
// such as HEIC pictures, AVIF and sound.
func brandType(ftyp []byte) string {
	if len(ftyp) < 8 {
		return ""
	}
	if string(ftyp[:4]) == "qt  " {
		return TypeMOV
	}
	const brands = "isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 mp71 avc1 M4V  M4VH M4VP MSNV XAVC dash "
	for i := 0; i+4 <= len(ftyp); i += 4 {
		if i == 4 { // the minor version
			continue
		}
		if at := strings.Index(brands, string(ftyp[i:i+4])); at >= 0 && at%5 == 0 {
			return TypeMP4
		}
	}
	return ""
}
