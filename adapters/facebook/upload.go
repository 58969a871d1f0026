package facebook

import (
	"context"
	"io"
	"strconv"

	fb "github.com/huandu/facebook/v2"

	"crier/adapters"
	"crier/internal/post"
)

// handleName names the prepared work of the i-th photo; its value "id" is the id of the unpublished photo.
func handleName(i int) string { return "media:" + strconv.Itoa(i) }

// photoID gives the id of the i-th photo, empty when it has not been uploaded.
func photoID(r adapters.Request, i int) string {
	h, ok := r.Handle(handleName(i))
	if id := h.Values["id"]; ok && h.Done && graphID(id) {
		return id
	}
	return ""
}

// Prepares implements [adapters.Preparer]: only photos have to be uploaded.
func (a *adapter) Prepares(r adapters.Request) bool {
	return r.Role == post.RolePost && len(r.Content.Media) > 0
}

// Prepare implements [adapters.Preparer]: it uploads every photo that has no id yet, unpublished, in order.
func (a *adapter) Prepare(ctx context.Context, r adapters.Request, save func(context.Context, post.Handle) error) error {
	if !a.Prepares(r) {
		return nil
	}
	g, err := a.graph(ctx)
	if err != nil {
		return err
	}
	for i, m := range r.Content.Media {
		if photoID(r, i) != "" {
			continue
		}
		id, err := g.upload(ctx, r.Media, m)
		if err != nil {
			return err
		}
		h := post.Handle{
			Part: r.Part, Name: handleName(i), Digest: r.Content.Digest(), Values: map[string]string{"id": id}, Done: true,
		}
		if err := save(ctx, h); err != nil {
			return &adapters.Error{
				Fate: adapters.Absent, Reason: adapters.Server, Message: "the id of photo " + strconv.Itoa(i+1) + " could not be kept", Err: err,
			}
		}
	}
	return nil
}

// upload gives Graph one photo that nobody sees, and returns its id.
func (g *graph) upload(ctx context.Context, media adapters.MediaSource, m post.Media) (string, error) {
	if m.Bytes > maxPhotoBytes {
		return "", &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Message: "the photo is larger than 10 MiB"}
	}
	f, err := media.Open(m.ID)
	if err != nil {
		return "", &adapters.Error{Fate: adapters.Absent, Reason: adapters.Prepare, Message: "the stored photo cannot be opened", Err: err}
	}
	defer func() { _ = f.Close() }() // only read from
	params := fb.Params{
		// The library holds the whole request in memory, which the size of a photo allows.
		"source":    fb.DataWithContentType("photo", io.LimitReader(f, maxPhotoBytes), m.Type),
		"published": "false",
	}
	if m.Alt != "" {
		params["alt_text_custom"] = m.Alt
		g.hidden = append(g.hidden, m.Alt)
	}
	answer, err := g.call(ctx, fb.POST, g.a.page+"/photos", params)
	if err != nil {
		return "", err
	}
	if id := answer.object.text("id"); answer.succeeded() && graphID(id) {
		return id, nil
	}
	return "", g.fault(answer, false)
}
