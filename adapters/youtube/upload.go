package youtube

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	yt "google.golang.org/api/youtube/v3"

	"crier/adapters"
	"crier/internal/post"
)

const (
	// handleName names the prepared work.
	handleName = "video"
	// The values of the handle: the address of the upload, which is a secret; when it was opened; that the address is
	// gone and a first look found no video of it; and the video once it is whole. It does not expire: of an upload
	// whose address has ended the video may still be there.
	valueURI, valueOpened, valueLooked, valueVideo = "uri", "opened", "looked", "video_id"
	// progressEvery is how often an upload saves how far it came.
	progressEvery = time.Minute
	// chunkBytes is how much one request carries: a multiple of 256 KiB, as the protocol wants.
	chunkBytes = 8 << 20
	// chunkTimeout ends a chunk that hangs; what has arrived of it is asked for then.
	chunkTimeout = 5 * time.Minute
	// uploadLife is how long an address is used. Google names no time for YouTube, and a week for other APIs.
	uploadLife = 6 * 24 * time.Hour
)

// videoID gives the id of the uploaded video, empty when the upload is not whole.
func videoID(r adapters.Request) string {
	h, ok := r.Handle(handleName)
	if id := h.Values[valueVideo]; ok && h.Done && remoteID(id) {
		return id
	}
	return ""
}

// Prepares implements [adapters.Preparer]: the video has to be uploaded.
func (a *adapter) Prepares(r adapters.Request) bool { return r.Role == post.RolePost }

// Prepare implements [adapters.Preparer]: it uploads the video as private. An upload that was begun goes on at the
// byte that YouTube names; one whose address is gone begins anew once two looks have not found its video.
func (a *adapter) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	if !a.Prepares(r) {
		return nil
	}
	if len(r.Content.Media) != 1 {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Message: "YouTube takes exactly one video"}
	}
	if videoID(r) != "" {
		return nil
	}
	h, _ := r.Handle(handleName)
	media := r.Content.Media[0]
	f, err := r.Media.Open(media.ID)
	if err != nil {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the stored video cannot be opened", Err: err}
	}
	defer func() { _ = f.Close() }() // only read from
	u := &upload{a: a, media: media, file: readerAt(f), uri: h.Values[valueURI]}
	if err := u.verify(f, u.uri != ""); err != nil {
		return err
	}
	u.keep = func(ctx context.Context, change func(*post.Handle)) error {
		h.Values = maps.Clone(h.Values)
		change(&h)
		if err := save(ctx, h); err != nil {
			return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the upload could not be kept", Err: err}
		}
		return nil
	}
	id := ""
	opened, old := openedAt(h)
	if u.uri != "" && a.now().Sub(opened) >= uploadLife {
		u.uri = ""
	}
	if u.uri != "" {
		if id, err = u.ask(ctx); err != nil {
			return err
		}
	}
	if old && u.uri == "" {
		if id, err = u.adopt(ctx, r, opened, h.Values[valueLooked] != ""); err != nil {
			return err
		}
	}
	if id == "" && u.uri == "" {
		if err := u.open(ctx, r); err != nil {
			return err
		}
		h = post.Handle{Part: r.Part, Name: handleName, Digest: r.Content.Digest()}
		// Before the first byte, so that no other upload begins while this one may still answer.
		err := u.keep(ctx, func(h *post.Handle) {
			h.Values = map[string]string{valueURI: u.uri, valueOpened: u.opened.UTC().Format(time.RFC3339)}
		})
		if err != nil {
			return err
		}
	}
	if id == "" {
		if id, err = u.send(ctx); err != nil {
			return err
		}
	}
	return u.keep(ctx, func(h *post.Handle) {
		h.Values[valueVideo], h.Done = id, true
	})
}

// openedAt is when the upload of a handle was opened; ok is false when none was.
func openedAt(h post.Handle) (at time.Time, ok bool) {
	if h.Values[valueURI] == "" {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, h.Values[valueOpened])
	if err != nil {
		// Handles of earlier days say when the address ends instead.
		at = h.Expires.Add(-uploadLife)
	}
	return at, true
}

// upload moves one file. It is used by one goroutine.
type upload struct {
	a      *adapter
	media  post.Media
	file   io.ReaderAt
	uri    string    // empty: none is open
	opened time.Time // by YouTube's clock, as nearly as it says: its listing is read back to here
	offset int64     // the first byte that YouTube does not have
	keep   func(context.Context, func(*post.Handle)) error
}

// verify makes sure that the file is as long as the post says, and when an upload goes on, that it is the same file:
// a video of two halves would be published without a word.
func (u *upload) verify(f io.ReadSeeker, whole bool) error {
	bad := &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the stored video is not the one of the post"}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size != u.media.Bytes || size == 0 {
		bad.Err = err
		return bad
	}
	if !whole {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(u.file, 0, size)); err != nil || hex.EncodeToString(sum.Sum(nil)) != u.media.ID {
		bad.Err = err
		return bad
	}
	return nil
}

// open asks for an address to upload to. No video exists until bytes have come.
func (u *upload) open(ctx context.Context, r adapters.Request) error {
	c := r.Content
	body, err := json.Marshal(video(c, "private"))
	if err != nil {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Protocol, Message: "the video's description cannot be encoded", Err: err}
	}
	query := url.Values{
		"uploadType": {"resumable"}, "part": {"snippet,status"},
		"notifySubscribers": {strconv.FormatBool(readOptions(c.Options).Notify)},
	}
	header := http.Header{
		"Content-Type":            {"application/json; charset=utf-8"},
		"X-Upload-Content-Length": {strconv.FormatInt(u.media.Bytes, 10)},
		"X-Upload-Content-Type":   {u.media.Type},
		"Slug":                    {fileName(r)},
	}
	call, err := u.a.send(ctx, http.MethodPost, u.a.settings.APIURL+"/upload/youtube/v3/videos?"+query.Encode(), header, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	if call.Status != http.StatusOK {
		return u.a.fault(call, false)
	}
	u.uri, u.offset, u.opened = call.Header.Get("Location"), 0, u.a.now()
	if at, err := http.ParseTime(call.Header.Get("Date")); err == nil {
		u.opened = at
	}
	if u.uri == "" {
		return &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Server, Status: call.Status, Message: "YouTube named no address to upload to",
		}
	}
	if !u.a.trusted(u.uri) {
		return &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Protocol, Status: call.Status,
			Message: "YouTube named no address of its own to upload to",
		}
	}
	return nil
}

// trusted reports whether an address may be sent the token: it is on the host of the API, or on another of Google's.
func (a *adapter) trusted(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	api, err := url.Parse(a.settings.APIURL)
	if err != nil {
		return false
	}
	return u.Scheme == api.Scheme && u.Host == api.Host || u.Scheme == "https" && strings.HasSuffix(u.Host, ".googleapis.com")
}

// ask asks how far the upload came. It gives the id when the video is whole; an address that is gone is forgotten.
func (u *upload) ask(ctx context.Context) (id string, err error) {
	if !u.a.trusted(u.uri) {
		u.uri = ""
		return "", nil
	}
	header := http.Header{"Content-Range": {"bytes */" + strconv.FormatInt(u.media.Bytes, 10)}}
	call, err := u.a.send(ctx, http.MethodPut, u.uri, header, http.NoBody, 0)
	if err != nil {
		return "", err
	}
	if gone(call) {
		u.uri = ""
		return "", nil
	}
	return u.read(call)
}

// gone reports whether the address of the upload is no more.
func gone(c adapters.Call) bool {
	return c.Status == http.StatusNotFound || c.Status == http.StatusGone
}

// send uploads what is missing. After a chunk of unknown fate it asks how far the upload came and goes on from there,
// as long as that is further than before. How far it came is kept now and then, and when it ends early.
func (u *upload) send(ctx context.Context) (id string, err error) {
	kept, last := u.offset, u.a.now()
	keep := func(ctx context.Context) error {
		kept, last = u.offset, u.a.now()
		return u.keep(ctx, func(h *post.Handle) { h.Values[adapters.Progress] = strconv.FormatInt(kept, 10) })
	}
	defer func() {
		if err == nil || u.offset <= kept {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if failed := keep(ctx); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	for {
		before := u.offset
		id, err := u.put(ctx)
		if err != nil {
			if ctx.Err() != nil || !doubtful(err) {
				return "", err
			}
			cause := err
			if id, err = u.ask(ctx); err != nil || u.uri == "" {
				return "", cause
			}
		}
		if id != "" {
			return id, nil
		}
		if u.offset <= before {
			return "", &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the upload makes no progress", Err: err}
		}
		if u.a.now().Sub(last) >= progressEvery {
			if err := keep(ctx); err != nil {
				return "", err
			}
		}
	}
}

// doubtful reports whether a chunk may have arrived in spite of its error.
func doubtful(err error) bool {
	e := adapters.AsError(err)
	return e.Reason == adapters.Network || e.Reason == adapters.Server || e.Status == http.StatusBadRequest
}

// put sends the next chunk.
func (u *upload) put(ctx context.Context) (id string, err error) {
	n := min(u.a.chunk, u.media.Bytes-u.offset)
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	header := http.Header{
		"Content-Type":  {u.media.Type},
		"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", u.offset, u.offset+n-1, u.media.Bytes)},
	}
	call, err := u.a.send(ctx, http.MethodPut, u.uri, header, io.NewSectionReader(u.file, u.offset, n), n)
	if err != nil {
		return "", err
	}
	if gone(call) {
		return "", &adapters.Error{
			Fate: adapters.Absent, Reason: adapters.Server, Status: call.Status, Message: "the address of the upload is gone",
		}
	}
	return u.read(call)
}

// read takes from an answer of the upload protocol the id of the video, or how far it came. Only Range says that.
func (u *upload) read(c adapters.Call) (id string, err error) {
	switch c.Status {
	case http.StatusOK, http.StatusCreated:
		var got yt.Video
		if !c.Whole || json.Unmarshal(c.Body, &got) != nil || !remoteID(got.Id) {
			return "", &adapters.Error{
				Fate: adapters.Absent, Reason: adapters.Server, Status: c.Status, Message: "YouTube did not name the uploaded video",
			}
		}
		return got.Id, nil
	case http.StatusPermanentRedirect: // "resume incomplete" in this protocol
		last, ok := strings.CutPrefix(c.Header.Get("Range"), "bytes=0-")
		if !ok {
			u.offset = 0
			return "", nil
		}
		n, err := strconv.ParseInt(last, 10, 64)
		if err == nil && n == u.media.Bytes-1 {
			return "", &adapters.Error{
				Fate: adapters.Absent, Reason: adapters.Server, Status: c.Status, Message: "YouTube has the whole video and does not name it yet",
			}
		}
		if err != nil || n < 0 || n >= u.media.Bytes {
			return "", &adapters.Error{
				Fate: adapters.Absent, Reason: adapters.Protocol, Status: c.Status, Message: "YouTube answered a range that cannot be", Err: err,
			}
		}
		u.offset = n + 1
		return "", nil
	}
	return "", u.a.fault(c, false)
}

// send makes a request that is not the library's and gives its record. Chunks may be many and large: they are recorded
// in a flight of their own, which ends with the call, unless they are a commit.
func (a *adapter) send(ctx context.Context, method, uri string, header http.Header, body io.Reader, size int64) (adapters.Call, error) {
	if !adapters.IsCommit(ctx) {
		ctx = adapters.WithFlight(ctx, &adapters.Flight{})
	}
	return a.call(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, method, uri, body)
		if err != nil {
			return err
		}
		req.Header, req.ContentLength = header, size
		if section, ok := body.(*io.SectionReader); ok {
			req.GetBody = func() (io.ReadCloser, error) {
				return io.NopCloser(io.NewSectionReader(section, 0, size)), nil
			}
		}
		resp, err := a.client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// readerAt reads at offsets from a file that can only seek. The transport may still read a chunk when the next one
// begins, so that reads take turns.
func readerAt(f io.ReadSeeker) io.ReaderAt {
	if r, ok := f.(io.ReaderAt); ok {
		return r
	}
	return &seeking{f: f}
}

type seeking struct {
	mu sync.Mutex
	f  io.ReadSeeker
}

// ReadAt implements [io.ReaderAt].
func (s *seeking) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(s.f, p)
}
