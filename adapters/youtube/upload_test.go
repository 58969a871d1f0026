package youtube

import (
	"net/http"
	"testing"

	"crier/adapters"
	"crier/internal/post"
)

func TestOnlyRangeSaysHowFarAnUploadCame(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int64{
		"": 0, "bytes=0-0": 1, "bytes=0-262143": 262_144, "bytes=5-9": 0,
		// What cannot be is an error.
		"bytes=0-999999": -1, "bytes=0-1000000": -1, "bytes=0--1": -1, "bytes=0-x": -1, "bytes=0-99999999999999999999": -1,
	} {
		u := upload{media: post.Media{Bytes: 1_000_000}, offset: 77}
		c := adapters.Call{Status: http.StatusPermanentRedirect, Header: http.Header{"Range": {header}}}
		_, err := u.read(c)
		if e := adapters.AsError(err); header == "bytes=0-999999" && e.Reason != adapters.Server {
			t.Errorf("all bytes there and no video: %v, want it asked for again", err)
		}
		if (err != nil) != (want < 0) || err == nil && u.offset != want {
			t.Errorf("Range %q: offset %d, %v; want %d", header, u.offset, err, want)
		}
	}
}
