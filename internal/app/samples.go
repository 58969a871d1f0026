package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"crier/internal/compose"
	"crier/internal/post"
	"crier/store"
)

// sample is one post of the demo.
type sample struct{ author, name, body string }

func samples() []sample {
	return []sample{
		{"sam", "demo-brand", `{
			"text": "Acme's crier is out in the square: one launch, four platforms, each once.",
			"targets": [
				{"account": "acme-x", "media": [{"id": "{{poster}}", "alt": "A poster in bands of colour"}]},
				{"account": "acme-page", "link": "https://acme.example/launch"},
				{"account": "acme-reddit", "title": "Acme's crier is out", "options": {"subreddit": "test"}},
				{"account": "acme-tube", "title": "Acme's crier in five seconds", "media": ["{{film}}"], "options": {"privacy": "public", "made_for_kids": false}}
			]}`},
		{"mia", "demo-mia", `{
			"text": "I helped to build this, and it goes out while I sleep.",
			"targets": [
				"mia-x",
				{"account": "mia-page", "media": [{"id": "{{photo}}", "alt": "The square by night"}]},
				{"account": "mia-reddit", "title": "I helped to build a town crier", "options": {"subreddit": "selfhosted"}},
				{"account": "mia-tube", "title": "Behind the crier", "media": ["{{film}}"], "options": {"privacy": "unlisted", "made_for_kids": false}}
			]}`},
		{"sam", "demo-brand-more", `{
			"text": "And the pictures that go with it.",
			"first_comment": "Questions? Ask below.",
			"targets": [
				{"account": "acme-page", "media": [{"id": "{{poster}}", "alt": "A poster in bands of colour"}, {"id": "{{photo}}", "alt": "The same square by night"}]},
				{"account": "acme-reddit", "title": "The launch page", "text": "", "link": "https://acme.example/launch", "options": {"subreddit": "crier"}}
			]}`},
		{"sam", "demo-thread", `{
			"text": "How a post goes out, in three steps.",
			"thread": ["First the intent is on disk.", "Then one request, and its receipt. If nobody knows, we look."],
			"targets": ["acme-x"]}`},
	}
}

// samples stores the sample media and queues the demo's posts for the next seconds, through the same composing as the
// API's. Posts that an earlier demo on the same folder has queued are left alone: external ids are unique for ever.
func (a *App) samples(ctx context.Context) error {
	ids, err := a.sampleMedia(ctx)
	if err != nil {
		return err
	}
	at := a.opts.Now().Add(4 * time.Second)
	for _, s := range samples() {
		body := strings.NewReplacer("{{poster}}", ids["poster"], "{{photo}}", ids["photo"], "{{film}}", ids["film"]).Replace(s.body)
		if err := a.queueSample(ctx, s.author, s.name, json.RawMessage(body), post.Instant(at)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		at = at.Add(4 * time.Second)
	}
	return nil
}

// sampleMedia stores two pictures and a film, and gives their ids by name.
func (a *App) sampleMedia(ctx context.Context) (map[string]string, error) {
	poster, err := demoPicture(200)
	if err != nil {
		return nil, err
	}
	photo, err := demoPicture(40)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for name, file := range map[string][]byte{"poster": poster, "photo": photo, "film": demoFilm(3 << 20)} {
		info, err := a.files.Put(ctx, bytes.NewReader(file))
		if err != nil {
			return nil, fmt.Errorf("storing the sample %s: %w", name, err)
		}
		now := post.Instant(a.opts.Now())
		for _, person := range []string{"sam", "mia"} {
			_, err := a.store.PutMedia(ctx, store.Write{Now: now, Actor: person}, store.Media{
				Media: post.Media{
					ID: info.ID, Type: info.Type, Bytes: info.Bytes, Width: info.Width, Height: info.Height, Duration: info.Duration,
				},
				CreatedAt: now, Uploads: []store.Upload{{By: person, At: now}},
			})
			if err != nil {
				return nil, fmt.Errorf("storing the sample %s: %w", name, err)
			}
		}
		ids[name] = info.ID
	}
	return ids, nil
}

func (a *App) queueSample(ctx context.Context, author, name string, body json.RawMessage, at time.Time) error {
	var r compose.Request
	if err := compose.Decode(body, &r); err != nil {
		return err
	}
	c := compose.Compose(a.composeEnv(ctx, author, &store.When{Due: at, TimeZone: a.cfg.TimeZone}), r)
	for _, p := range c.Problems {
		if p.Severity == post.SeverityError {
			return &compose.RefusedError{Problem: p}
		}
	}
	c.New.Post.ExternalID = name
	_, err := a.store.CreatePost(ctx, store.Write{Now: post.Instant(a.opts.Now()), Actor: author}, c.New)
	if _, taken := errors.AsType[*store.ExternalIDError](err); taken {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	return nil
}
