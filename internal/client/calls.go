package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// CreatePost creates a post; body is a [NewPost] or anything else that encodes to the API's own JSON. With a wait, a
// post for now is answered when every delivery has settled, or after the wait with what is known; the API waits for
// half a minute at most.
func (c *Client) CreatePost(ctx context.Context, body any, wait time.Duration) (Doc[Post], error) {
	header := map[string]string{}
	if seconds := int(wait.Seconds()); seconds > 0 {
		header["Prefer"] = "wait=" + strconv.Itoa(seconds)
	}
	// The key lets the transport repeat the request when a connection turns out to be stale.
	if key, err := uuid.NewRandom(); err == nil {
		header["Idempotency-Key"] = key.String()
	}
	return fetch[Post](ctx, c, call{method: http.MethodPost, path: "/posts", body: body, header: header})
}

// Post gives a post.
func (c *Client) Post(ctx context.Context, id string) (Doc[Post], error) {
	return fetch[Post](ctx, c, call{method: http.MethodGet, path: "/posts" + segment(id)})
}

// Posts lists up to limit posts, all of them with a limit of 0; filter holds the API's query parameters.
func (c *Client) Posts(ctx context.Context, filter url.Values, limit int) (Page[Post], error) {
	return list[Post](ctx, c, "/posts", filter, limit)
}

// CancelPost cancels everything of a post that is not out.
func (c *Client) CancelPost(ctx context.Context, id string) error {
	_, err := fetch[json.RawMessage](ctx, c, call{method: http.MethodDelete, path: "/posts" + segment(id)})
	return err
}

// Delivery gives a delivery with its content and its attempts.
func (c *Client) Delivery(ctx context.Context, id string) (Doc[Delivery], error) {
	return fetch[Delivery](ctx, c, call{method: http.MethodGet, path: "/deliveries" + segment(id)})
}

// Deliveries lists up to limit deliveries, all of them with a limit of 0.
func (c *Client) Deliveries(ctx context.Context, filter url.Values, limit int) (Page[Delivery], error) {
	return list[Delivery](ctx, c, "/deliveries", filter, limit)
}

// CancelDelivery withdraws a delivery, or asks for it while a request is in flight.
func (c *Client) CancelDelivery(ctx context.Context, id string) (Doc[Delivery], error) {
	return c.deliveryCall(ctx, id, "cancel", "", struct{}{})
}

// RetryDelivery sends a failed, missed or partial delivery again: now, or at the given time. The ETag is that of the
// delivery as it was read.
func (c *Client) RetryDelivery(ctx context.Context, id, etag, at string) (Doc[Delivery], error) {
	return c.deliveryCall(ctx, id, "retry", etag, struct {
		At string `json:"at,omitempty"`
	}{at})
}

// ResolveDelivery settles a delivery of unknown fate, or one that a person posted by hand.
func (c *Client) ResolveDelivery(ctx context.Context, id, etag string, v Verdict) (Doc[Delivery], error) {
	return c.deliveryCall(ctx, id, "resolve", etag, v)
}

func (c *Client) deliveryCall(ctx context.Context, id, what, etag string, body any) (Doc[Delivery], error) {
	return fetch[Delivery](ctx, c, call{
		method: http.MethodPost, path: "/deliveries" + segment(id) + segment(what), body: body,
		header: map[string]string{"If-Match": etag},
	})
}

// UploadMedia stores a file; size is how many bytes r has to give.
func (c *Client) UploadMedia(ctx context.Context, name string, r io.Reader, size int64, alt string) (Doc[Media], error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if alt != "" {
		if err := w.WriteField("alt", alt); err != nil {
			return Doc[Media]{}, fmt.Errorf("encode the upload: %w", err)
		}
	}
	if _, err := w.CreateFormFile("file", name); err != nil {
		return Doc[Media]{}, fmt.Errorf("encode the upload: %w", err)
	}
	head := form.Len()
	if err := w.Close(); err != nil {
		return Doc[Media]{}, fmt.Errorf("encode the upload: %w", err)
	}
	b := form.Bytes()
	return fetch[Media](ctx, c, call{
		method: http.MethodPost, path: "/media", streamType: w.FormDataContentType(), streamSize: int64(len(b)) + size,
		stream: io.MultiReader(bytes.NewReader(b[:head]), r, bytes.NewReader(b[head:])),
	})
}

// Account gives an account.
func (c *Client) Account(ctx context.Context, handle string) (Doc[Account], error) {
	return fetch[Account](ctx, c, call{method: http.MethodGet, path: "/accounts" + segment(handle)})
}

// Accounts lists all accounts that one may see.
func (c *Client) Accounts(ctx context.Context) (Page[Account], error) {
	return list[Account](ctx, c, "/accounts", nil, 0)
}

// PauseAccount holds an account's queue.
func (c *Client) PauseAccount(ctx context.Context, handle, reason string) error {
	_, err := accountCall[json.RawMessage](ctx, c, handle, "pause", map[string]string{"reason": reason})
	return err
}

// ResumeAccount lets an account's queue go on; late is apply, send, miss, next-slot or empty.
func (c *Client) ResumeAccount(ctx context.Context, handle, late string) error {
	_, err := accountCall[json.RawMessage](ctx, c, handle, "resume", Go{Late: late})
	return err
}

// VerifyAccount asks the platform whose token it is.
func (c *Client) VerifyAccount(ctx context.Context, handle string) (Doc[Verified], error) {
	return accountCall[Verified](ctx, c, handle, "verify", struct{}{})
}

func accountCall[T any](ctx context.Context, c *Client, handle, what string, body any) (Doc[T], error) {
	return fetch[T](ctx, c, call{method: http.MethodPost, path: "/accounts" + segment(handle) + segment(what), body: body})
}

// Pause is the stop switch. The answer lists what could not be stopped.
func (c *Client) Pause(ctx context.Context, s Stop) (Doc[Paused], error) {
	return fetch[Paused](ctx, c, call{method: http.MethodPost, path: "/pause", body: s})
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, g Go) error {
	_, err := fetch[json.RawMessage](ctx, c, call{method: http.MethodPost, path: "/resume", body: g})
	return err
}

// CreateSeries makes a recurring post; body is a [NewSeries] or the API's own JSON.
func (c *Client) CreateSeries(ctx context.Context, body any) (Doc[Series], error) {
	return fetch[Series](ctx, c, call{method: http.MethodPost, path: "/series", body: body})
}

// Series lists all recurring posts.
func (c *Client) Series(ctx context.Context) (Page[Series], error) {
	return list[Series](ctx, c, "/series", nil, 0)
}

// SeriesByID gives a recurring post.
func (c *Client) SeriesByID(ctx context.Context, id string) (Doc[Series], error) {
	return fetch[Series](ctx, c, call{method: http.MethodGet, path: "/series" + segment(id)})
}

// DeleteSeries ends a recurring post and cancels what of it is not begun.
func (c *Client) DeleteSeries(ctx context.Context, id string) error {
	_, err := fetch[json.RawMessage](ctx, c, call{method: http.MethodDelete, path: "/series" + segment(id)})
	return err
}

// PreviewSeries tells the next n runs.
func (c *Client) PreviewSeries(ctx context.Context, id string, n int) (Doc[Page[Run]], error) {
	return fetch[Page[Run]](ctx, c, call{
		method: http.MethodGet, path: "/series" + segment(id) + "/preview", query: url.Values{"n": {strconv.Itoa(n)}},
	})
}

// SkipRun leaves out one run of a recurring post.
func (c *Client) SkipRun(ctx context.Context, id, run string) error {
	_, err := fetch[json.RawMessage](ctx, c, call{
		method: http.MethodPost, path: "/series" + segment(id) + "/skip", body: map[string]string{"run": run},
	})
	return err
}

// CreateKey makes an API key.
func (c *Client) CreateKey(ctx context.Context, k NewKey) (Doc[Key], error) {
	return fetch[Key](ctx, c, call{method: http.MethodPost, path: "/keys", body: k})
}

// Keys lists the keys that one may see.
func (c *Client) Keys(ctx context.Context) (Page[Key], error) {
	return list[Key](ctx, c, "/keys", nil, 0)
}

// RevokeKey ends a key.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := fetch[json.RawMessage](ctx, c, call{method: http.MethodDelete, path: "/keys" + segment(id)})
	return err
}

// Status says how the daemon is.
func (c *Client) Status(ctx context.Context) (Doc[Status], error) {
	return fetch[Status](ctx, c, call{method: http.MethodGet, path: "/status"})
}

// Plan tells every firing between two instants.
func (c *Client) Plan(ctx context.Context, from, to time.Time) (Doc[Plan], error) {
	return fetch[Plan](ctx, c, call{method: http.MethodGet, path: "/plan", query: url.Values{
		"from": {from.UTC().Format(time.RFC3339)}, "to": {to.UTC().Format(time.RFC3339)},
	}})
}

// Ready reports whether the daemon can work, and what time it has, zero when it does not say. A daemon that lives and
// cannot work answers with a *Problem; the time is then there too.
func (c *Client) Ready(ctx context.Context) (time.Time, error) {
	_, header, err := c.do(ctx, call{method: http.MethodGet, path: "/readyz"})
	if header == nil {
		return time.Time{}, err
	}
	date, parseErr := http.ParseTime(header.Get("Date"))
	if parseErr != nil {
		date = time.Time{} // An absent or odd Date says nothing, which is no error of the daemon's readiness.
	}
	return date, err
}

// Backup asks the daemon for a checked copy of its store at an absolute path of its own machine. It works through the
// local socket alone.
func (c *Client) Backup(ctx context.Context, path string) error {
	_, _, err := c.do(ctx, call{method: http.MethodPost, path: "/_local/backup", body: map[string]string{"path": path}})
	return err
}
