package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"crier/internal/app"
)

// letter is one post of the crash loop.
type letter struct {
	text, key string
	body      m
	// out is where it has to be in the end, and as whom.
	out []place
	// parts are the texts of the replies below it.
	parts []string
	id    string // once it was accepted
}

// place is an identity on a platform.
type place struct{ platform, identity string }

// who is what the crash loop knows of an author.
type who struct {
	key, prefix string
	identity    map[string]string
}

func authors() (sam, mia who) {
	sam = who{app.DemoKey, "acme", map[string]string{
		"twitter": "1001", "facebook": "1029384756", "reddit": "t2_acme", "youtube": "UCacme0000000000000000",
	}}
	mia = who{app.DemoKeyMia, "mia", map[string]string{
		"twitter": "1002", "facebook": "5647382910", "reddit": "t2_mia", "youtube": "UCmia00000000000000000",
	}}
	return sam, mia
}

// as is a client of the daemon that runs now.
func (s *siege) as(key string) *client {
	return &client{t: s.t, base: s.d.url + "/api/v1", key: key}
}

// write sends up to so many letters, some at once and then one by one, until the context or the daemon ends. What leads
// to the point is among them.
func (s *siege) write(ctx context.Context, most int, p point) {
	s.t.Helper()
	beat := time.NewTicker(15 * time.Millisecond)
	defer beat.Stop()
	for i := range most {
		if s.d.url == "" || !s.d.running() || ctx.Err() != nil {
			return
		}
		s.send(ctx, s.letter(i, p))
		if i < 5 {
			continue
		}
		select {
		case <-beat.C:
		case <-s.d.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// letter writes one: on one platform or several, some with a thread, a picture or a film, some of a person's own.
func (s *siege) letter(i int, p point) *letter {
	n := len(s.byText)
	text := fmt.Sprintf("Letter %d of round %d", n, s.round)
	sam, mia := authors()
	by, platforms := sam, []string{"twitter"}
	var thread, media []string
	if p == sandboxKilled || p == bothKilled || p == "" && n%8 == 5 {
		by = mia
	}
	kind := n % 6
	switch {
	case p == filmUpload && i == 0, p == "" && n%37 == 11:
		kind = 6
	case p == pictureUpload && i%2 == 0:
		kind = 4
	case p == betweenParts && i%2 == 0:
		kind = 3
	}
	switch kind {
	case 1:
		platforms = []string{"facebook", "reddit"}
	case 2:
		platforms = []string{"twitter", "facebook", "reddit"}
	case 3:
		thread = []string{text + ", second part", text + ", third part"}[:1+n%2]
	case 4:
		media = []string{s.picture}
	case 5:
		platforms = []string{"facebook"}
	case 6:
		platforms, media = []string{"youtube"}, []string{s.film}
	}
	l := &letter{text: text, key: by.key, parts: thread}
	targets := []any{}
	for _, platform := range platforms {
		l.out = append(l.out, place{platform, by.identity[platform]})
		switch platform {
		case "twitter":
			targets = append(targets, by.prefix+"-x")
		case "facebook":
			targets = append(targets, by.prefix+"-page")
		case "reddit":
			targets = append(targets, m{"account": by.prefix + "-reddit", "title": text, "options": m{"subreddit": "test"}})
		case "youtube":
			targets = append(targets, m{"account": by.prefix + "-tube", "title": text, "options": m{"privacy": "public", "made_for_kids": false}})
		}
	}
	l.body = m{"text": text, "targets": targets, "at": "now", "external_id": text}
	if thread != nil {
		l.body["thread"] = thread
	}
	if media != nil {
		l.body["media"] = media
	}
	s.byText[text] = l
	return l
}

// send gives a letter to the daemon. One that gets no answer may be stored or not: it is sent again, with the same key,
// to the next life of the daemon, and has to be accepted once.
func (s *siege) send(ctx context.Context, l *letter) {
	s.t.Helper()
	status, answer, err := request(ctx, http.MethodPost, s.d.url+"/api/v1/posts", l.key, l.body, "Idempotency-Key", strings.ReplaceAll(l.text, " ", "-"))
	switch {
	case err != nil, status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		s.unanswered = append(s.unanswered, l)
	case status == http.StatusCreated:
		var p postView
		if err := json.Unmarshal(answer, &p); err != nil || p.ID == "" {
			s.t.Fatalf("round %d: the answer to %q cannot be read: %v\n%s", s.round, l.text, err, answer)
		}
		l.id = p.ID
		s.letters = append(s.letters, l)
	default:
		s.t.Fatalf("round %d: %q was answered with %d: %s\n%s", s.round, l.text, status, answer, s.d.log)
	}
}

// admin speaks to the platforms themselves.
func (s *siege) admin(method, path string, body, into any) {
	s.t.Helper()
	status, answer, err := request(s.t.Context(), method, s.base+"/_sandbox/"+path, "", body)
	if err == nil && status >= 300 {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil {
		s.t.Fatalf("round %d: asking the platforms: %v\n%s", s.round, err, s.box.log)
	}
}

// askLocally makes a request through the daemon's own socket and gives its status, 0 when the daemon went away.
func (s *siege) askLocally(ctx context.Context, path string, body any) int {
	b, err := json.Marshal(body)
	if err != nil {
		return 0
	}
	dial := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.data, app.SocketName))
	}}
	defer dial.CloseIdleConnections()
	status, err := roundTrip(ctx, dial, "http://local"+path, b)
	if err != nil {
		return 0
	}
	return status
}

// open lists what of an author is on its way.
func (s *siege) open() []delivery {
	s.t.Helper()
	var all []delivery
	for _, key := range []string{app.DemoKey, app.DemoKeyMia} {
		page := want[list[delivery]](s.as(key), http.StatusOK, http.MethodGet, "/deliveries?limit=500&state=scheduled,sending,unconfirmed", nil)
		for _, d := range page.Items {
			d.by = key
			if !slices.ContainsFunc(all, func(e delivery) bool { return e.ID == d.ID }) {
				all = append(all, d)
			}
		}
	}
	return all
}
