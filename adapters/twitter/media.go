package twitter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"crier/adapters"
	"crier/internal/post"
)

// The values of a media handle.
const (
	mediaID  = "id"
	mediaKey = "key"
)

// expirySlack is how long before X drops an upload it no longer counts.
const expirySlack = 5 * time.Minute

func mediaName(i int) string { return "media:" + strconv.Itoa(i) }

// Prepares implements [adapters.Preparer].
func (*adapter) Prepares(r adapters.Request) bool { return len(r.Attachments()) > 0 }

// Prepare implements [adapters.Preparer]: it uploads the part's images and sets their alt texts. Repeating an upload
// is harmless, X drops what no post uses.
func (a *adapter) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	for i, m := range r.Attachments() {
		h, ok := r.Handle(mediaName(i))
		if ok && h.Done {
			continue
		}
		if !ok || h.Values[mediaID] == "" {
			uploaded, err := a.upload(ctx, r, m)
			if err != nil {
				return err
			}
			h = uploaded
			h.Part, h.Name, h.Digest, h.Done = r.Part, mediaName(i), r.Content.Digest(), m.Alt == ""
			if err := keep(ctx, save, h); err != nil {
				return err
			}
		}
		if m.Alt == "" {
			continue
		}
		if err := a.describe(ctx, h.Values[mediaID], m.Alt); err != nil {
			return err
		}
		h.Done = true
		if err := keep(ctx, save, h); err != nil {
			return err
		}
	}
	return nil
}

func keep(ctx context.Context, save func(context.Context, post.Handle) error, h post.Handle) error {
	if err := save(ctx, h); err != nil {
		return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Server, Message: "the prepared work could not be kept", Err: err}
	}
	return nil
}

// upload sends one image in one request.
func (a *adapter) upload(ctx context.Context, r adapters.Request, m post.Media) (post.Handle, error) {
	body, contentType, err := form(r.Media, m)
	if err != nil {
		return post.Handle{}, &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the stored file could not be read", Err: err}
	}
	c, err := a.read(ctx, http.MethodPost, a.config.upload, "/2/media/upload", nil, contentType, body)
	if err != nil {
		return post.Handle{}, err
	}
	var in struct {
		Data struct {
			ID      string `json:"id"`
			Key     string `json:"media_key"`
			Seconds int64  `json:"expires_after_secs"`
		} `json:"data"`
	}
	if err := json.Unmarshal(c.Body, &in); err != nil || !isNumber(in.Data.ID) {
		e := unreadable(c, "naming the upload")
		e.Reason = adapters.Prepare
		return post.Handle{}, e
	}
	h := post.Handle{Values: map[string]string{mediaID: in.Data.ID, mediaKey: in.Data.Key}}
	const day = 24 * 60 * 60
	seconds := min(in.Data.Seconds, 30*day)
	if seconds <= 0 {
		seconds = day // what X says in its samples
	}
	h.Expires = post.Instant(a.env.Now().Add(time.Duration(seconds)*time.Second - expirySlack))
	return h, nil
}

// form makes the multipart body of an upload. Images are small enough to be in memory whole.
func form(source adapters.MediaSource, m post.Media) (body []byte, contentType string, err error) {
	if source == nil {
		return nil, "", errors.New("no source of media")
	}
	file, err := source.Open(m.ID)
	if err != nil {
		return nil, "", fmt.Errorf("open media: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.WriteField("media_category", "tweet_image"); err != nil {
		return nil, "", fmt.Errorf("write form: %w", err)
	}
	part, err := w.CreateFormFile("media", "media")
	if err != nil {
		return nil, "", fmt.Errorf("write form: %w", err)
	}
	n, err := io.Copy(part, io.LimitReader(file, maxImageBytes+1))
	if err != nil {
		return nil, "", fmt.Errorf("read media: %w", err)
	}
	if n > maxImageBytes {
		return nil, "", fmt.Errorf("media of more than %d bytes", maxImageBytes)
	}
	if err := w.Close(); err != nil {
		return nil, "", fmt.Errorf("write form: %w", err)
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// describe sets the alt text of an upload. Doing so again changes nothing.
func (a *adapter) describe(ctx context.Context, id, alt string) error {
	type altText struct {
		Text string `json:"text"`
	}
	type metadata struct {
		AltText altText `json:"alt_text"`
	}
	body := struct {
		ID       string   `json:"id"`
		Metadata metadata `json:"metadata"`
	}{id, metadata{altText{alt}}}
	c, err := a.read(ctx, http.MethodPost, a.config.upload, "/2/media/metadata", url.Values{}, "application/json", jsonBody(body))
	if err != nil {
		return err
	}
	var in struct {
		Data *json.RawMessage `json:"data"`
	}
	if json.Unmarshal(c.Body, &in) != nil || in.Data == nil {
		e := unreadable(c, "taking the image's description")
		e.Reason = adapters.Prepare
		return e
	}
	return nil
}
