package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"crier/internal/compose"
	"crier/internal/media"
	"crier/internal/post"
	"crier/store"
)

// uploader is how the store names who uploaded a file. A key that somebody else made for a person names itself as well,
// so that it sees what came through it, and nothing of what the person keeps private.
func (c *call) uploader() string {
	if c.who.Full {
		return c.who.Person
	}
	return c.who.Person + "/" + c.who.Key
}

// mine reports whether an upload came through the asker.
func (c *call) mine(uploader string) bool {
	person, _, limited := strings.Cut(uploader, "/")
	if c.who.Full {
		return person == c.who.Person
	}
	return limited && uploader == c.uploader()
}

// seesMedia reports whether a file is there for the asker: it came through them, or an account that they see uses it.
func (c *call) seesMedia(s *sight, m *store.Media) bool {
	return c.uploaded(m) || slices.ContainsFunc(m.Uses, func(u store.MediaUse) bool { return s.sees(u.Account) })
}

func (c *call) uploaded(m *store.Media) bool {
	return slices.ContainsFunc(m.Uploads, func(u store.Upload) bool { return c.mine(u.By) })
}

// knows gives what a file shows and since when it is there, for the asker: by their own upload, else by the first use
// that they see. What others have said of the same file is theirs.
func (c *call) knows(s *sight, m *store.Media) (alt string, since time.Time) {
	for _, u := range m.Uploads {
		if c.mine(u.By) {
			return u.Alt, u.At
		}
	}
	for _, u := range m.Uses {
		if s.sees(u.Account) && (since.IsZero() || u.Since.Before(since)) {
			alt, since = u.Alt, u.Since
		}
	}
	return alt, since
}

// visibleMedia reads files by id; what is not there for the asker is left out.
func (c *call) visibleMedia(ctx context.Context, s *sight, ids []string) (map[string]post.Media, error) {
	out := map[string]post.Media{}
	for _, id := range ids {
		if _, have := out[id]; have || !compose.ValidMediaID(id) {
			continue
		}
		m, err := c.Store.MediaByID(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what is known of a file: %w", err)
		}
		if err := c.pooled(ctx, s, &m); err != nil {
			return nil, err
		}
		if c.seesMedia(s, &m) {
			m.Alt, _ = c.knows(s, &m)
			out[id] = m.Media
		}
	}
	return out, nil
}

// fetch stores the file at an address. Nothing is known of it yet: see remember.
func (c *call) fetch(ctx context.Context, address, alt string) (m store.Media, err error) {
	err = c.slowly(ctx, func() error {
		return c.Fetcher.Fetch(ctx, address, func(body io.Reader) error {
			info, err := c.Files.Put(ctx, body)
			m = c.file(info, alt)
			return err //nolint:wrapcheck // Fetch hands it on, and it is wrapped below
		})
	})
	if err != nil {
		return store.Media{}, fmt.Errorf("fetching a file: %w", err)
	}
	return m, nil
}

// remember writes what is known of a stored file.
func (c *call) remember(ctx context.Context, w store.Write, m store.Media) (known store.Media, err error) {
	err = c.Files.Keep(m.ID, func() (err error) {
		known, err = c.Store.PutMedia(ctx, w, m)
		return err //nolint:wrapcheck // it is wrapped below
	})
	if errors.Is(err, fs.ErrNotExist) {
		p := problem(http.StatusServiceUnavailable, "file_removed", "the same file was removed at this moment: send it again")
		p.retryAfter = time.Second
		return store.Media{}, p
	}
	if err != nil {
		return store.Media{}, fmt.Errorf("writing what is known of the file: %w", err)
	}
	return known, nil
}

// file is a stored file as the asker's upload.
func (c *call) file(info media.Info, alt string) store.Media {
	return store.Media{
		Media: post.Media{
			ID: info.ID, Type: info.Type, Bytes: info.Bytes, Width: info.Width, Height: info.Height, Duration: info.Duration,
		},
		CreatedAt: c.at, Uploads: []store.Upload{{By: c.uploader(), At: c.at, Alt: alt}},
	}
}

func (c *call) mediaView(s *sight, m *store.Media) MediaView {
	alt, since := c.knows(s, m)
	v := MediaView{
		MediaItem: mediaItem(m.Media), CreatedAt: stamp(since), UsedBy: []string{}, URL: Base + "/media/" + m.ID + "/content",
	}
	v.Alt = alt
	for _, u := range m.Uses {
		if s.sees(u.Account) {
			v.UsedBy = append(v.UsedBy, u.Account.Handle)
		}
	}
	return v
}

// mediaBody asks for a file to be fetched.
type mediaBody struct {
	URL string `json:"url,omitempty" doc:"An http or https address."`
	Alt string `json:"alt,omitempty" doc:"What the picture shows."`
}

const (
	maxAlt = 10_000
	// defaultUpload bounds an upload where the limits say nothing.
	defaultUpload = 4 << 30
	// uploadMargin is for what stands around the file in a multipart body.
	uploadMargin = 1 << 20
)

func (c *call) uploadMedia(ctx context.Context) (*answer, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	created := func(result any) *answer {
		m, _ := result.(store.Media)
		return &answer{status: http.StatusCreated, body: c.mediaView(s, &m), location: Base + "/media/" + m.ID}
	}
	var m store.Media
	if c.streamed() {
		err = c.slowly(ctx, func() (err error) { m, err = c.multipart(ctx); return err })
	} else {
		m, err = c.fetched(ctx)
	}
	if err != nil {
		return nil, err
	}
	if m, err = c.remember(ctx, c.write(created), m); err != nil {
		return nil, err
	}
	return created(m), nil
}

func (c *call) fetched(ctx context.Context) (m store.Media, err error) {
	var b mediaBody
	if err := c.decode(&b); err != nil {
		return m, err
	}
	if b.URL == "" {
		return m, invalid("url", "url_required", "wanted: a multipart body with a file, or an address")
	}
	if len(b.Alt) > maxAlt {
		return m, invalid("alt", compose.CodeTooLong, "wanted: at most 10000 bytes")
	}
	m, err = c.fetch(ctx, b.URL, b.Alt)
	return m, fileAt("url", err)
}

// multipart reads an upload, the file straight to disk.
func (c *call) multipart(ctx context.Context) (m store.Media, err error) {
	most := int64(defaultUpload)
	if c.Limits.VideoBytes > 0 {
		most = max(c.Limits.VideoBytes, c.Limits.ImageBytes)
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, most+uploadMargin)
	parts, err := c.r.MultipartReader()
	if err != nil {
		return m, problem(http.StatusBadRequest, "body_unreadable", "the multipart body cannot be read")
	}
	alt, have := "", false
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, unreadable(err)
		}
		switch name := part.FormName(); {
		case name == "file" && !have:
			if m, err = c.storePart(ctx, part); err != nil {
				return m, err
			}
			have = true
		case name == "alt":
			b, err := io.ReadAll(io.LimitReader(part, maxAlt+1))
			if err != nil {
				return m, unreadable(err)
			}
			if len(b) > maxAlt {
				return m, invalid("alt", compose.CodeTooLong, "wanted: at most 10000 bytes")
			}
			if alt = string(b); !utf8.ValidString(alt) || strings.ContainsRune(alt, 0) {
				return m, invalid("alt", compose.CodeText, "wanted: UTF-8 without NUL characters")
			}
		default:
			return m, invalid(safeName(name), compose.CodeUnknown, "wanted: one part file and at most one part alt")
		}
	}
	if !have {
		return m, invalid("file", "file_required", "wanted: a part called file")
	}
	m.Uploads[0].Alt = alt
	if c.once != nil {
		// The file is named by what it holds, which is known only now.
		c.once.Digest = digestOf([]byte(c.r.Method), []byte(c.r.URL.Path), []byte(m.ID), []byte(alt))
	}
	return m, nil
}

func (c *call) storePart(ctx context.Context, part *multipart.Part) (store.Media, error) {
	info, err := c.Files.Put(ctx, part)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return store.Media{}, unreadable(err)
		}
		return store.Media{}, fmt.Errorf("storing the file: %w", err)
	}
	return c.file(info, ""), nil
}

func unreadable(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	return problem(http.StatusBadRequest, "body_unreadable", "the body did not arrive whole")
}

func (c *call) listMedia(ctx context.Context) (*answer, error) {
	q, _ := c.query.(*pageQuery)
	limit, err := limitOf(q.Limit)
	if err != nil {
		return nil, err
	}
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := c.Store.ListMedia(ctx, func(m store.Media) bool { return c.seesMedia(s, &m) }, limit, q.Cursor)
	if err != nil {
		return nil, cursorError(err, q.Cursor)
	}
	out := Page[MediaView]{Items: make([]MediaView, 0, len(items)), NextCursor: textOr(next)}
	for i := range items {
		out.Items = append(out.Items, c.mediaView(s, &items[i]))
	}
	return &answer{body: out, next: next}, nil
}

// seenMedia reads the file in the path, if it is there for the asker.
func (c *call) seenMedia(ctx context.Context) (*sight, store.Media, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, store.Media{}, err
	}
	id := c.r.PathValue("id")
	if !compose.ValidMediaID(id) {
		return nil, store.Media{}, notFound("file")
	}
	m, err := c.Store.MediaByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, m, notFound("file")
	}
	if err != nil {
		return nil, m, fmt.Errorf("reading what is known of the file: %w", err)
	}
	if err := c.pooled(ctx, s, &m); err != nil {
		return nil, m, err
	}
	if !c.seesMedia(s, &m) {
		return nil, m, notFound("file")
	}
	return s, m, nil
}

func (c *call) getMedia(ctx context.Context) (*answer, error) {
	s, m, err := c.seenMedia(ctx)
	if err != nil {
		return nil, err
	}
	return &answer{body: c.mediaView(s, &m), etag: m.ID[:16]}, nil
}

// mediaContent gives the bytes, in a way that no browser takes for a page of ours.
func (c *call) mediaContent(ctx context.Context) (*answer, error) {
	s, m, err := c.seenMedia(ctx)
	if err != nil {
		return nil, err
	}
	f, err := c.Files.Open(m.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound("file")
	}
	if err != nil {
		return nil, fmt.Errorf("opening the file: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := c.w.Header()
	h.Set("Content-Type", m.Type)
	_, kind, _ := strings.Cut(m.Type, "/")
	h.Set("Content-Disposition", `attachment; filename="`+m.ID[:16]+"."+kind+`"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("ETag", `"`+m.ID+`"`)
	out := &refusals{ResponseWriter: c.w}
	_, since := c.knows(s, &m)
	c.leave() // the client takes it as slowly as it likes
	http.ServeContent(out, c.r, "", since, f)
	switch out.status {
	case 0:
		return nil, nil //nolint:nilnil // the answer is written
	case http.StatusPreconditionFailed:
		return nil, store.ErrStale
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, problem(out.status, "range_invalid", "the file has no such range")
	}
	return nil, problem(out.status, "unreadable", "the file cannot be read")
}

// refusals keeps http.ServeContent's refusals from the client, which is told of them as of all others.
type refusals struct {
	http.ResponseWriter
	status int
}

func (r *refusals) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		r.status = status
		for _, name := range []string{"Content-Disposition", "Content-Security-Policy", "ETag", "Last-Modified"} {
			r.Header().Del(name)
		}
		return
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *refusals) Write(b []byte) (int, error) {
	if r.status != 0 {
		return len(b), nil
	}
	return r.ResponseWriter.Write(b) //nolint:wrapcheck // a writer passes on what it was told
}

func (c *call) deleteMedia(ctx context.Context) (*answer, error) {
	s, m, err := c.seenMedia(ctx)
	if err != nil {
		return nil, err
	}
	if !c.uploaded(&m) {
		// Somebody else's upload goes only by those who may schedule on every account that uses it.
		for _, u := range m.Uses {
			if !s.sees(u.Account) {
				return nil, forbidden("somebody else uploaded this file")
			}
			if err := s.may(s.dir.Schedule, u.Account); err != nil {
				return nil, err
			}
		}
	}
	if err := c.precondition(m.ID[:16], false); err != nil {
		return nil, err
	}
	var refused error
	err = c.Files.Remove(m.ID, func() (gone bool) {
		if !c.uploaded(&m) {
			refused = c.Store.DeleteMedia(ctx, c.effect(), m.ID)
			return refused == nil
		}
		// While somebody else has uploaded the same or needs it, it stays, which is not the asker's to know or to end.
		gone, refused = c.Store.WithdrawMedia(ctx, c.effect(), m.ID, c.mine, s.sees)
		return gone && refused == nil
	})
	if refused != nil {
		return nil, fmt.Errorf("removing the file: %w", refused)
	}
	if err != nil {
		c.Log.WarnContext(ctx, "a file that nothing needs could not be removed", "media", m.ID, "error", err)
	}
	return &answer{}, nil
}
