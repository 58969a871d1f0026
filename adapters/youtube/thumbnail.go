package youtube

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"crier/adapters"
	"crier/internal/post"
)

// thumbnailID is the receipt's id of a thumbnail. YouTube gives it none: a video has one at a time.
func thumbnailID(video string) string { return video + ".thumbnail" }

// setThumbnail gives the video its picture. Setting it twice changes nothing.
func (a *adapter) setThumbnail(ctx context.Context, r adapters.Request) (post.Receipt, error) {
	if !remoteID(r.Root.RemoteID) {
		return post.Receipt{}, noVideo()
	}
	f, err := r.Media.Open(readOptions(r.Content.Options).Thumbnail)
	if err != nil {
		return post.Receipt{}, badThumbnail("the stored thumbnail cannot be opened", err)
	}
	defer func() { _ = f.Close() }() // only read from
	kind, size, err := picture(f)
	if err != nil {
		return post.Receipt{}, badThumbnail("the thumbnail is no JPEG or PNG of at most 50 MiB", err)
	}
	query := url.Values{"videoId": {r.Root.RemoteID}, "uploadType": {"media"}}
	uri := a.settings.APIURL + "/upload/youtube/v3/thumbnails/set?" + query.Encode()
	call, err := a.send(adapters.AsCommit(ctx), http.MethodPost, uri, http.Header{"Content-Type": {kind}}, io.NewSectionReader(readerAt(f), 0, size), size)
	if err != nil {
		return post.Receipt{}, err
	}
	var got struct {
		Items []json.RawMessage `json:"items"`
	}
	if !succeeded(call) || json.Unmarshal(call.Body, &got) != nil || len(got.Items) == 0 {
		return post.Receipt{}, ofPart(a.fault(call, true))
	}
	return post.Receipt{RemoteID: thumbnailID(r.Root.RemoteID), URL: watch(r.Root.RemoteID), At: a.now().UTC()}, nil
}

func badThumbnail(message string, err error) *adapters.Error {
	return &adapters.Error{Fate: adapters.Absent, Reason: adapters.Refused, Message: message, Err: err}
}

// picture tells type and size of a file that may be a thumbnail.
func picture(f io.ReadSeeker) (kind string, size int64, err error) {
	size, err = f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return "", 0, err
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", 0, err
	}
	kind = http.DetectContentType(head[:n])
	if size > maxThumbnail || kind != "image/jpeg" && kind != "image/png" {
		return "", 0, errors.New("wrong type or size")
	}
	return kind, size, nil
}
