package civil_test

import (
	"archive/zip"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"crier/internal/civil"
)

func TestLoadZoneTakesEveryPlaceOfTheDatabase(t *testing.T) {
	t.Parallel()
	//nolint:staticcheck // The tests run where the tree of the toolchain is.
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatalf("open the toolchain's zone database: %v", err)
	}
	defer archive.Close()
	loaded := 0
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") || f.Name == "Factory" {
			continue
		}
		loaded++
		if _, err := civil.LoadZone(f.Name); err != nil {
			t.Errorf("LoadZone(%q): %v", f.Name, err)
		}
	}
	if loaded < 400 {
		t.Errorf("the database has %d zones, want more than 400", loaded)
	}
}

func TestLoadZoneRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nothing":                ``,
		"the machine's own zone": "Local",
		"no place":               "Factory",
		"a link of the machine":  "localtime",
		"an absolute path":       "/usr/share/zoneinfo/Europe/Berlin",
		"a path upwards":         "Europe/../Europe/Berlin",
		"an empty part":          "Europe//Berlin",
		"a trailing slash":       "Europe/",
		"a folder":               "Europe",
		"a backslash":            `Europe\Berlin`,
		"leap seconds":           "right/Europe/Berlin",
		"the posix tree":         "posix/Europe/Berlin",
		"lower case":             "europe/berlin",
		"space around":           " Europe/Berlin",
		"NUL":                    "Europe/Berlin\x00",
		"a line break":           "UTC\n",
		"an unknown place":       "Europe/Atlantis",
		"an abbreviation":        "CEST",
		"an offset":              "+01:00",
		"a POSIX rule":           "CET-1CEST,M3.5.0,M10.5.0/3",
		"a huge name":            strings.Repeat("A", 1<<20),
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc, err := civil.LoadZone(in)
			var refused *civil.Error
			if !errors.As(err, &refused) || refused.Code != civil.CodeZoneInvalid {
				t.Fatalf("LoadZone = %v, %v, want %s", loc, err, civil.CodeZoneInvalid)
			}
		})
	}
}

func TestZonesAreReadAnewAfterAMinute(t *testing.T) {
	t.Parallel()
	var zones civil.Zones
	at := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	load := func(at time.Time) *time.Location {
		z, err := zones.Load("Europe/Berlin", at)
		if err != nil || z.String() != "Europe/Berlin" {
			t.Fatalf("%v, %v", z, err)
		}
		return z
	}
	first := load(at)
	if load(at.Add(59*time.Second)) != first {
		t.Error("within the minute it is read again")
	}
	for _, later := range []time.Duration{time.Minute, time.Hour, -time.Minute} { // the clock may go back
		again := load(at.Add(later))
		if again == first {
			t.Errorf("after %s it is not read again", later)
		}
		first = again
	}
	if _, err := zones.Load("Nowhere", at); err == nil {
		t.Error("there is no such zone")
	}
}
