package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// Markers of ITU-T T.81, table B.1, by their second byte.
const (
	jpegTEM  = 0x01
	jpegSOF0 = 0xC0
	jpegSOF2 = 0xC2
	jpegDHT  = 0xC4
	jpegJPG  = 0xC8
	jpegDAC  = 0xCC
	jpegSOFf = 0xCF
	jpegRST0 = 0xD0
	jpegRST7 = 0xD7
	jpegSOI  = 0xD8
	jpegEOI  = 0xD9
	jpegSOS  = 0xDA
	jpegAPP0 = 0xE0
	jpegAPPf = 0xEF
	jpegCOM  = 0xFE
)

// maxScans bounds the passes of a progressive JPEG. Encoders use about ten; each pass costs time for the whole
// picture but can be a few bytes long.
const maxScans = 200

// walkJPEG keeps what the picture needs: coding tables, frame, scans, the JFIF and Adobe segments, and the colour
// profile. Every other application segment and comment goes, and so does all behind the end of the picture (phones
// append second pictures there, with their own place of taking). Of EXIF only the orientation stays.
func walkJPEG(t *tape, _ Limits) (shape, error) {
	var s shape
	if p, err := t.move(2); err != nil {
		return s, err
	} else if p[0] != 0xFF || p[1] != jpegSOI {
		return s, broken("it does not begin like a JPEG")
	}
	scans, turned := 0, false
	next := nextMarker
	for {
		marker, err := next(t)
		if err != nil {
			return s, err
		}
		next = nextMarker
		switch {
		case marker == jpegEOI:
			if scans == 0 || s.width == 0 {
				return s, broken("there is no picture in it")
			}
			return s, t.put([]byte{0xFF, jpegEOI})
		case marker == jpegTEM, marker >= jpegRST0 && marker <= jpegRST7:
			continue
		case marker == 0, marker == jpegSOI:
			return s, broken("a marker is out of place")
		}
		head, err := t.take(2)
		if err != nil {
			return s, err
		}
		n := int(binary.BigEndian.Uint16(head)) - 2
		if n < 0 {
			return s, broken("a segment has no length")
		}
		body, err := t.take(n)
		if err != nil {
			return s, err
		}
		if isFrame(marker) && s.width == 0 {
			if err := s.jpegFrame(marker, body); err != nil {
				return s, err
			}
		}
		if exif, ok := bytes.CutPrefix(body, []byte(exifHeader)); ok && marker == jpegAPP0+1 && !turned {
			if o := exifOrientation(exif); o > 1 {
				turned, s.turned = true, o >= 5
				if err := t.put(orientationSegment(o)); err != nil {
					return s, err
				}
			}
		}
		if keepSegment(marker, body) {
			if err := errors.Join(t.put([]byte{0xFF, marker}), t.put(head), t.put(body)); err != nil {
				return s, err
			}
		}
		if marker == jpegSOS {
			if scans++; scans > maxScans {
				return s, wrongType("this JPEG has too many scans")
			}
			next = moveScan
		}
	}
}

// isFrame says whether a marker begins a frame header of any coding.
func isFrame(marker byte) bool {
	return marker >= jpegSOF0 && marker <= jpegSOFf && marker != jpegDHT && marker != jpegJPG && marker != jpegDAC
}

func (s *shape) jpegFrame(marker byte, body []byte) error {
	if len(body) < 6 {
		return broken("a frame header is too short")
	}
	s.height, s.width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	// A decoder of progressive pictures holds four bytes for each coefficient besides the samples.
	s.perPixel = max(4, 2*int64(body[5]))
	if marker == jpegSOF2 {
		s.perPixel += 4 * int64(body[5])
	}
	return nil
}

func keepSegment(marker byte, body []byte) bool {
	switch marker {
	case jpegAPP0:
		return bytes.HasPrefix(body, []byte("JFIF\x00"))
	case jpegAPP0 + 2:
		return bytes.HasPrefix(body, []byte("ICC_PROFILE\x00"))
	case jpegAPP0 + 14:
		return bytes.HasPrefix(body, []byte("Adobe"))
	default:
		return marker < jpegAPP0 || marker > jpegAPPf && marker != jpegCOM
	}
}

// nextMarker goes to the next marker. Stray bytes between segments, which some cameras leave and decoders ignore, are
// left out of the copy.
func nextMarker(t *tape) (byte, error) {
	seen := false
	for {
		b, err := t.r.ReadByte()
		if err != nil {
			return 0, short(err)
		}
		if seen && b != 0xFF {
			return b, nil
		}
		seen = b == 0xFF
	}
}

// moveScan copies entropy-coded data and returns the marker that ends it.
func moveScan(t *tape) (byte, error) {
	for {
		p, err := t.r.ReadSlice(0xFF)
		if errors.Is(err, bufio.ErrBufferFull) {
			if err := t.put(p); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, short(err)
		}
		if err := t.put(p[:len(p)-1]); err != nil {
			return 0, err
		}
		b := byte(0xFF)
		for b == 0xFF { // any number of them may precede a marker
			if b, err = t.r.ReadByte(); err != nil {
				return 0, short(err)
			}
		}
		if b != 0 && (b < jpegRST0 || b > jpegRST7) {
			return b, nil
		}
		if err := t.put([]byte{0xFF, b}); err != nil {
			return 0, err
		}
	}
}

const (
	exifHeader      = "Exif\x00\x00"
	tagOrientation  = 0x0112
	typeShort       = 3
	ifdEntryBytes   = 12
	tiffHeaderBytes = 8
)

// exifOrientation finds the orientation in a TIFF block: 1 to 8, or 0 when there is none that can be read.
func exifOrientation(tiff []byte) byte {
	if len(tiff) < tiffHeaderBytes {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(tiff[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < ifdEntryBytes {
			return 0
		}
		if order.Uint16(entries) == tagOrientation && order.Uint16(entries[2:]) == typeShort {
			if o := order.Uint16(entries[8:]); o >= 1 && o <= 8 {
				return byte(o)
			}
			return 0
		}
		entries = entries[ifdEntryBytes:]
	}
	return 0
}

// orientationSegment is an APP1 segment with an EXIF block that holds the orientation and nothing else.
func orientationSegment(o byte) []byte {
	return slices.Concat(
		[]byte{0xFF, jpegAPP0 + 1, 0, 34}, []byte(exifHeader),
		[]byte{'M', 'M', 0, '*', 0, 0, 0, 8},
		[]byte{0, 1, tagOrientation >> 8, tagOrientation & 0xFF, 0, typeShort, 0, 0, 0, 1, 0, o, 0, 0},
		[]byte{0, 0, 0, 0},
	)
}
