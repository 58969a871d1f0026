package youtube

import (
	"context"
	"slices"
	"time"

	yt "google.golang.org/api/youtube/v3"

	"crier/adapters"
	"crier/internal/post"
)

// fileName is the name under which a part's video is uploaded. Only the channel's owner sees it, and it is by which the
// video of an upload whose address is gone is known again.
func fileName(r adapters.Request) string { return "crier-" + r.Delivery.String() }

// adopt looks for the video of an upload whose address is gone: its last bytes may have arrived all the same, and YouTube
// rejects a second one as a duplicate. A listing may be late, so that only the second look counts; after the first, the
// upload waits for its next try.
func (u *upload) adopt(ctx context.Context, r adapters.Request, opened time.Time, again bool) (id string, err error) {
	a := u.a
	playlist, err := a.uploads(ctx)
	if err != nil {
		return "", err
	}
	ids, err := a.listed(ctx, playlist, opened.Add(-slack))
	if err != nil {
		return "", err
	}
	for _, id := range slices.Backward(ids) { // the oldest first
		if r.Taken != nil && r.Taken(id) {
			continue
		}
		v, err := a.file(ctx, id)
		if err != nil {
			return "", err
		}
		if v != nil && v.Status.PrivacyStatus == "private" && v.FileDetails.FileName == fileName(r) && !takenOut(v) {
			return id, nil
		}
	}
	if again {
		return "", nil
	}
	if err := u.keep(ctx, func(h *post.Handle) { h.Values[valueLooked] = "true" }); err != nil {
		return "", err
	}
	return "", &adapters.Error{
		Fate: adapters.Absent, Reason: adapters.Server, Message: "the address of the upload is gone: looking for its video once more",
	}
}

// file reads what is known of a video of the channel and of its file; nil when there is no such video, or when YouTube
// does not tell its file.
func (a *adapter) file(ctx context.Context, id string) (*yt.Video, error) {
	var list yt.VideoListResponse
	err := a.ask(ctx, &list, func(ctx context.Context) error {
		_, err := a.service.Videos.List([]string{"status", "fileDetails"}).Id(id).Context(ctx).Do()
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, v := range list.Items {
		if v != nil && v.Id == id && v.Status != nil && v.FileDetails != nil {
			return v, nil
		}
	}
	return nil, nil //nolint:nilnil // There is no such video, and that is no error.
}
