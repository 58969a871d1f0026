package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/client"
	"crier/internal/post"
)

// postFlags is what crier post was asked for.
type postFlags struct {
	to, media, alt, options, labels []string
	at, zone, undo, title, link     string
	externalID, file                string
	draft, duplicate                bool
	wait                            time.Duration
}

func (c *cli) postCommand() *cobra.Command {
	f := &postFlags{}
	cmd := c.reading(&cobra.Command{
		Use:   "post [text | -]",
		Short: "Post now or at a time",
		Long: `Post a text now, or at a time. The text - is read from the standard input. With -f, the post is read as JSON, as the
API takes it, and the flags replace what stands there.`,
		Example: `  crier post "Hello" --to acme-x
  crier post "We are live" --to acme-x --to acme-page --at 2026-12-01T09:00 --media launch.png --alt "The calendar"
  crier post --to acme-reddit --title "Crier 1.0" --link https://acme.example/1 --option subreddit=golang
  crier post -f post.json --wait`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.post(cmd, f, args) },
	})
	s := cmd.Flags()
	s.StringArrayVar(&f.to, "to", nil, "`account` to post to; repeatable")
	s.StringVar(&f.at, "at", "", "when: RFC 3339, local like 2026-12-01T09:00, now or next-slot (default now)")
	s.StringVar(&f.zone, "time-zone", "", "`zone` of a local time (default each account's own)")
	s.StringVar(&f.undo, "undo", "", "with now: how long it can still be cancelled, like 30s")
	s.StringVar(&f.title, "title", "", "title")
	s.StringVar(&f.link, "link", "", "link")
	s.StringArrayVar(&f.media, "media", nil, "`file` to upload, URL to fetch, or id of a stored file; repeatable")
	s.StringArrayVar(&f.alt, "alt", nil, "`text` that describes a picture, in the order of --media; repeatable")
	s.StringArrayVar(&f.options, "option", nil, "`key=value` of a platform, platform.key=value for one of several, key:=JSON; repeatable")
	s.StringArrayVar(&f.labels, "label", nil, "label; repeatable")
	s.BoolVar(&f.draft, "draft", false, "keep it as a draft")
	s.BoolVar(&f.duplicate, "allow-duplicate", false, "the same words for the same place are meant")
	s.StringVar(&f.externalID, "external-id", "", "your own `id`, unique for ever: makes the command safe to repeat")
	s.StringVarP(&f.file, "file", "f", "", "JSON `file` with the post, - for the standard input")
	s.DurationVar(&f.wait, "wait", 0, "wait until it is out or refused; alone it waits 30s")
	s.Lookup("wait").NoOptDefVal = "30s"
	return cmd
}

func (c *cli) post(cmd *cobra.Command, f *postFlags, args []string) error {
	ctx := cmd.Context()
	body, err := c.postBody(f, args)
	if err != nil {
		return err
	}
	api, err := c.daemon()
	if err != nil {
		return err
	}
	defer api.Close()
	if len(f.media) > 0 {
		media, err := c.upload(ctx, api, f)
		if err != nil {
			return err
		}
		if err := set(body, "media", media); err != nil {
			return err
		}
	}
	doc, err := api.CreatePost(ctx, body, min(f.wait, 30*time.Second))
	if err != nil {
		return err
	}
	var late error
	if f.wait > 0 {
		if doc, late = settle(ctx, api, doc, f.wait); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return errors.Join(c.print(doc, func(p *page) { p.post(&doc.Value) }), late)
}

// postBody makes the API's JSON from file, flags and text.
func (c *cli) postBody(f *postFlags, args []string) (map[string]json.RawMessage, error) {
	body := map[string]json.RawMessage{}
	if f.file != "" {
		b, err := c.read(f.file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &body); err != nil || body == nil {
			return nil, fmt.Errorf("%s holds no JSON object", f.file)
		}
	}
	text := ""
	if len(args) == 1 {
		text = args[0]
		if text == "-" {
			if f.file == "-" {
				return nil, usagef("only one thing can be read from the standard input")
			}
			b, err := c.read("-")
			if err != nil {
				return nil, err
			}
			text = strings.TrimRight(string(b), "\r\n")
		}
	}
	targets := make([]client.NewTarget, len(f.to))
	for i, handle := range f.to {
		targets[i].Account = handle
	}
	options, err := parseOptions(f.options)
	if err != nil {
		return nil, err
	}
	if len(f.alt) > len(f.media) {
		return nil, usagef("there are more --alt than --media")
	}
	at := f.at
	if at == "" && !f.draft && body["at"] == nil && body["draft"] == nil {
		at = "now"
	}
	for _, field := range []struct {
		name  string
		value any
		given bool
	}{
		{"text", text, len(args) == 1},
		{"targets", targets, len(targets) > 0},
		{"at", at, at != ""},
		{"time_zone", f.zone, f.zone != ""},
		{"undo", f.undo, f.undo != ""},
		{"title", f.title, f.title != ""},
		{"link", f.link, f.link != ""},
		{"options", options, len(options) > 0},
		{"labels", f.labels, len(f.labels) > 0},
		{"draft", f.draft, f.draft},
		{"allow_duplicate", f.duplicate, f.duplicate},
		{"external_id", f.externalID, f.externalID != ""},
	} {
		if field.given {
			if err := set(body, field.name, field.value); err != nil {
				return nil, err
			}
		}
	}
	if body["targets"] == nil && !f.draft {
		return nil, usagef("--to is needed: which account is it for?")
	}
	return body, nil
}

func set(body map[string]json.RawMessage, name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	body[name] = b
	return nil
}

// read gives a file, or the standard input for -, of at most a megabyte, which is more than the API takes.
func (c *cli) read(name string) ([]byte, error) {
	const most = 1 << 20
	in := c.in
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // The user names the file.
		if err != nil {
			return nil, fmt.Errorf("read the post: %w", err)
		}
		defer func() { _ = f.Close() }() // Read only.
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the post: %w", err)
	case len(b) > most:
		return nil, fmt.Errorf("read the post: it is larger than %d bytes", most)
	}
	return b, nil
}

// parseOptions reads key=value and key:=JSON, where a key may name its platform: reddit.subreddit=golang.
func parseOptions(all []string) (map[string]any, error) {
	options := map[string]any{}
	for _, o := range all {
		key, text, ok := strings.Cut(o, "=")
		if !ok || strings.TrimSuffix(key, ":") == "" {
			return nil, usagef("--option is key=value, or key:=JSON")
		}
		var value any = text
		switch {
		case strings.HasSuffix(key, ":"):
			key = strings.TrimSuffix(key, ":")
			if !json.Valid([]byte(text)) {
				return nil, usagef("--option %s:= is followed by JSON", key)
			}
			value = json.RawMessage(text)
		case text == "true" || text == "false":
			value = text == "true"
		}
		in := options
		if platform, name, inner := strings.Cut(key, "."); inner {
			of, ok := options[platform].(map[string]any)
			if !ok {
				of = map[string]any{}
				options[platform] = of
			}
			in, key = of, name
		}
		in[key] = value
	}
	return options, nil
}

// upload stores the files of --media and gives all media as the API takes them.
func (c *cli) upload(ctx context.Context, api *client.Client, f *postFlags) ([]client.NewMedia, error) {
	all := make([]client.NewMedia, len(f.media))
	for i, name := range f.media {
		if i < len(f.alt) {
			all[i].Alt = f.alt[i]
		}
		switch {
		case strings.HasPrefix(name, "https://"), strings.HasPrefix(name, "http://"):
			all[i].URL = name
		case isMediaID(name):
			all[i].ID = name
		default:
			id, err := uploadFile(ctx, api, name, all[i].Alt)
			if err != nil {
				return nil, err
			}
			all[i].ID = id
		}
	}
	return all, nil
}

// isMediaID reports whether s is a SHA-256 in hexadecimal digits.
func isMediaID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func uploadFile(ctx context.Context, api *client.Client, name, alt string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // The user names the file.
	if err != nil {
		return "", fmt.Errorf("upload: %w", err)
	}
	defer func() { _ = f.Close() }() // Read only.
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("upload: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("upload: %s is not a file", name)
	}
	doc, err := api.UploadMedia(ctx, filepath.Base(name), f, info.Size(), alt)
	if err != nil {
		return "", fmt.Errorf("upload %s: %w", name, err)
	}
	return doc.Value.ID, nil
}

// pollEvery is how often a waiting command asks again.
const pollEvery = time.Second

// settle waits until every delivery of a post has settled. Its error says that one did not get out, or that not all
// settled in time.
func settle(ctx context.Context, api *client.Client, doc client.Doc[client.Post], wait time.Duration) (client.Doc[client.Post], error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !settled(&doc.Value) {
		select {
		case <-ctx.Done():
			return doc, fmt.Errorf("not settled within %s: crier why %s tells more", wait, doc.Value.ID)
		case <-tick.C:
		}
		again, err := api.Post(ctx, doc.Value.ID)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil:
			return doc, err
		}
		doc = again
	}
	for i := range doc.Value.Deliveries {
		d := &doc.Value.Deliveries[i]
		switch post.State(d.State) {
		case post.Partial, post.Failed, post.Unconfirmed, post.Missed, post.Canceled, post.Removed:
			return doc, fmt.Errorf("not all is out: crier why %s tells more", d.ID)
		case post.Draft, post.InReview, post.Scheduled, post.Sending, post.Published, post.AwaitingPerson:
		}
	}
	return doc, nil
}

// settled reports whether nothing of a post goes on by itself now.
func settled(p *client.Post) bool {
	for i := range p.Deliveries {
		switch post.State(p.Deliveries[i].State) {
		case post.Scheduled, post.Sending, post.Unconfirmed:
			return false
		case post.Draft, post.InReview, post.Published, post.Partial, post.Failed, post.Missed, post.AwaitingPerson,
			post.Canceled, post.Removed:
		}
	}
	return true
}

// post writes a post with its deliveries.
func (p *page) post(v *client.Post) {
	p.line("post %s: %s", v.ID, v.State)
	rows := [][]string{}
	for i := range v.Deliveries {
		d := &v.Deliveries[i]
		last := ""
		switch {
		case d.Receipt != nil && d.Receipt.URL != "":
			last = d.Receipt.URL
		case d.Reason != nil:
			last = d.Reason.Message
		}
		rows = append(rows, []string{place(d), d.State, due(d), d.ID, last})
	}
	p.table("  ", rows...)
	for _, w := range v.Warnings {
		p.line("warning: %s", w.String())
	}
	for _, n := range v.Notes {
		p.line("note: %s", n)
	}
}
