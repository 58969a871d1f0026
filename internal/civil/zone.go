package civil

import (
	"strings"
	"sync"
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

// zonesFor is how long a zone that was read counts.
const zonesFor = time.Minute

// Zones reads zones and keeps each for a minute: zone data that are replaced while the program runs are seen soon, and
// not every request reads a file. The zero value is ready; it may be used by many at once.
type Zones struct {
	mu    sync.Mutex
	known map[string]knownZone // as many as the zone database has, for what is no zone is not kept
}

type knownZone struct {
	location *time.Location
	read     time.Time
}

// Load is [LoadZone] at now.
func (z *Zones) Load(name string, now time.Time) (*time.Location, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if k, ok := z.known[name]; ok && now.Sub(k.read).Abs() < zonesFor {
		return k.location, nil
	}
	location, err := LoadZone(name)
	if err != nil {
		return nil, err
	}
	if z.known == nil {
		z.known = map[string]knownZone{}
	}
	z.known[name] = knownZone{location: location, read: now}
	return location, nil
}
