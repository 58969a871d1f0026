package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// graphMaxPhotos bounds how many uploaded photos are kept; the oldest is forgotten first.
const graphMaxPhotos = 2_000

// graphDuplicateWindow is how long the same message and link on one Page are refused with code 506. Meta names no
// time; the number is our judgement.
const graphDuplicateWindow = 5 * time.Minute

// graphPhoto is an uploaded photo.
type graphPhoto struct {
	ID      string    `json:"id"`
	Page    string    `json:"page"`
	Caption string    `json:"caption,omitempty"`
	Alt     string    `json:"alt,omitempty"`
	SHA256  string    `json:"sha256"`
	Created time.Time `json:"created"`
	Used    bool      `json:"used,omitempty"` // it is part of a post that is out
}

// Names in Act.Raw of a Page's post.
const (
	rawPhotos     = "photos"      // JSON list of graphPhoto
	rawMadePublic = "made_public" // how often the act went from hidden to public
	rawPost       = "post"        // of a comment: the post below which it stands
)

func photosOf(a Act) []graphPhoto {
	var photos []graphPhoto
	// What cannot be read was not written here; such a post shows without photos.
	_ = json.Unmarshal([]byte(a.Raw[rawPhotos]), &photos)
	return photos
}

func encodePhotos(photos []graphPhoto) (string, error) {
	text, err := json.Marshal(photos)
	if err != nil {
		return "", fmt.Errorf("encode photos: %w", err)
	}
	return string(text), nil
}

// madePublic counts one more step from hidden to public.
func madePublic(raw map[string]string) string {
	n, _ := strconv.Atoi(raw[rawMadePublic])
	return strconv.Itoa(n + 1)
}

// viewPost is the whole post as Graph shows it; fields pick from it. created_time of a post that was published later
// than it was made is the time of publishing; what Meta shows there is not known first-hand.
func (g *graphPlatform) viewPost(a Act) map[string]any {
	page := g.pages[a.Identity]
	at := a.At.UTC().Format(graphTime)
	out := map[string]any{
		"id":            a.RemoteID,
		"created_time":  at,
		"updated_time":  at,
		"is_published":  a.Public,
		"is_hidden":     false,
		"is_expired":    false,
		"permalink_url": a.URL,
		"from":          map[string]any{"id": page.ID, "name": page.Name},
		"comments":      map[string]any{"data": g.viewComments(g.comments(a.RemoteID))},
	}
	if a.Text != "" {
		out["message"] = a.Text
	}
	if app := page.Credentials["app_id"]; app != "" {
		out["application"] = map[string]any{"id": app, "name": graphAppName}
	}
	photos := photosOf(a)
	switch {
	case len(photos) > 0:
		out["status_type"] = "added_photos"
	case a.Link != "":
		out["status_type"] = "shared_story"
	default:
		out["status_type"] = "mobile_status_update"
	}
	if attachments := g.attachments(a, photos); len(attachments) > 0 {
		out["attachments"] = map[string]any{"data": attachments}
	}
	return out
}

// attachments shows one photo as a photo, several as an album whose photos stand in subattachments, and a link as
// a share.
func (g *graphPlatform) attachments(a Act, photos []graphPhoto) []map[string]any {
	var shown []map[string]any
	for _, photo := range photos {
		url := g.s.permalink("graph", photo.ID)
		shown = append(shown, map[string]any{
			"media_type":  "photo",
			"type":        "photo",
			"description": cmp.Or(photo.Caption, a.Text),
			"target":      map[string]any{"id": photo.ID, "url": url},
			"url":         url,
		})
	}
	switch {
	case len(shown) > 1:
		return []map[string]any{{
			"media_type":     "album",
			"type":           "album",
			"target":         map[string]any{"id": a.RemoteID, "url": a.URL},
			"url":            a.URL,
			"subattachments": map[string]any{"data": shown},
		}}
	case len(shown) == 1:
		return shown
	case a.Link != "":
		return []map[string]any{{
			"media_type":    "link",
			"type":          "share",
			"target":        map[string]any{"url": a.Link},
			"unshimmed_url": a.Link,
			"url":           a.Link,
		}}
	}
	// What looks like an address gets a preview of Facebook's own.
	if links := xLinks(a.Text); len(links) > 0 {
		link := a.Text[links[0].start:links[0].end]
		if !strings.Contains(link, "://") {
			link = "http://" + link + "/"
		}
		return []map[string]any{{
			"media_type": "link", "type": "share", "target": map[string]any{"url": link}, "unshimmed_url": link, "url": link,
		}}
	}
	return nil
}

func (g *graphPlatform) viewComment(a Act) map[string]any {
	page := g.pages[a.Identity]
	out := map[string]any{
		"id":            a.RemoteID,
		"message":       a.Text,
		"created_time":  a.At.UTC().Format(graphTime),
		"from":          map[string]any{"id": page.ID, "name": page.Name},
		"permalink_url": a.URL,
		"is_hidden":     false,
		"can_remove":    true,
		"comment_count": 0,
		"like_count":    0,
	}
	if a.Parent != a.Raw[rawPost] {
		out["parent"] = map[string]any{"id": a.Parent}
	}
	return out
}

func (g *graphPlatform) viewComments(list []Act) []map[string]any {
	out := make([]map[string]any, 0, len(list))
	for _, a := range list {
		out = append(out, g.viewComment(a))
	}
	return out
}

func (g *graphPlatform) viewPhoto(p graphPhoto) map[string]any {
	page := g.pages[p.Page]
	at := p.Created.UTC().Format(graphTime)
	return map[string]any{
		"id":              p.ID,
		"name":            p.Caption,
		"alt_text_custom": p.Alt,
		"alt_text":        p.Alt,
		"created_time":    at,
		"updated_time":    at,
		"link":            g.s.permalink("graph", p.ID),
		"from":            map[string]any{"id": page.ID, "name": page.Name},
	}
}
