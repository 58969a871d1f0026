package civil

import (
	"strings"
	"time"
)

// maxZoneName is longer than every name in the zone database (the longest has 32 bytes).
const maxZoneName = 64

// LoadZone returns the zone with an IANA name such as "Europe/Berlin" or "UTC". The error is an *[Error] with
// [CodeZoneInvalid].
//
// It is stricter than [time.LoadLocation], which takes "" for UTC and "Local" for whatever the machine is set to, and
// looks names up as files: paths, names that only a file system that ignores case would find, the "right/" tree (it
// counts leap seconds) and entries that are no places are refused.
func LoadZone(name string) (*time.Location, error) {
	switch {
	case name == "":
		return nil, &Error{Code: CodeZoneInvalid, Message: "a time zone is needed, for example Europe/Berlin"}
	case !zoneName(name):
		return nil, zoneError()
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		// The cause names files of this machine and echoes the name; it helps nobody who sent one.
		return nil, zoneError()
	}
	return loc, nil
}

func zoneError() error {
	return &Error{Code: CodeZoneInvalid, Message: "unknown time zone; use an IANA name, for example Europe/Berlin or UTC"}
}

// zoneName reports whether name is spelled like a name of the zone database: parts that begin with a capital letter,
// joined by slashes.
func zoneName(name string) bool {
	switch {
	case len(name) > maxZoneName:
		return false
	case name == "Local", name == "Factory":
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] < 'A' || part[0] > 'Z' {
			return false
		}
		for i := range len(part) {
			if !zoneByte(part[i]) {
				return false
			}
		}
	}
	return true
}

func zoneByte(b byte) bool {
	switch {
	case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', '0' <= b && b <= '9':
		return true
	default:
		return b == '_' || b == '-' || b == '+'
	}
}
