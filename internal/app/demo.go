package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"crier/internal/config"
	"crier/internal/post"
	"crier/internal/sandbox"
	"crier/scheduler"
)

// DemoOptions says how to run the demo.
type DemoOptions struct {
	DataDir string
	Listen  string // host:port; a busy port gives way to a free one
	Out     io.Writer
	Log     *slog.Logger
	Version string
	// Samples are queued unless Quiet.
	Quiet bool
}

// demoKey is the demo's API key: fixed, so that a pasted line works, and worthless anywhere else.
const demoKey = "crier_demo_0123456789abcdefghijklmnopqrstuvwxyz"

// demoKeyMia is the key of the demo's person.
const demoKeyMia = "crier_mia_0123456789abcdefghijklmnopqrstuvwxyz"

// demoLooks is the sandbox's horizon: its listings are never late unless told so.
func demoLooks() []time.Duration {
	return []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second}
}

// demoIdentities are the logins that exist on the sandbox's platforms: the brand's and Mia's own.
func demoIdentities() []sandbox.Identity {
	x := func(id, name, token string) sandbox.Identity {
		return sandbox.Identity{Platform: "twitter", ID: id, Name: name, Credentials: map[string]string{
			"consumer_key": "demo-consumer", "consumer_secret": "demo-consumer-secret",
			"access_token": token, "access_secret": token + "-secret", "v1.1": "true",
		}}
	}
	page := func(id, name, token string) sandbox.Identity {
		return sandbox.Identity{Platform: "facebook", ID: id, Name: name, Credentials: map[string]string{
			"page_token": token, "app_id": "1122334455", "app_secret": "demo-app-secret",
		}}
	}
	oauth := func(platform, id, name, token string) sandbox.Identity {
		return sandbox.Identity{Platform: platform, ID: id, Name: name, Credentials: map[string]string{
			"client_id": "demo-client", "client_secret": "demo-client-secret", "refresh_token": token,
		}}
	}
	return []sandbox.Identity{
		x("1001", "acmeinc", "demo-x-acme"), x("1002", "mia_makes", "demo-x-mia"),
		page("1029384756", "Acme Inc.", "demo-fb-acme"), page("5647382910", "Mia makes", "demo-fb-mia"),
		oauth("reddit", "t2_acme", "acme_inc", "demo-reddit-acme"), oauth("reddit", "t2_mia", "mia_makes", "demo-reddit-mia"),
		oauth("youtube", "UCacme0000000000000000", "Acme Inc.", "demo-tube-acme"),
		oauth("youtube", "UCmia00000000000000000", "Mia makes", "demo-tube-mia"),
	}
}

// demoYAML is the demo's configuration, as a person would write it.
func demoYAML(dataDir, listen, base string) string {
	return strings.NewReplacer("{{data}}", dataDir, "{{listen}}", listen, "{{base}}", base).Replace(`
listen: "{{listen}}"
data_dir: "{{data}}"
time_zone: Europe/Berlin
auth: {owner: sam, bootstrap_key: ` + demoKey + `}
scheduler: {min_gap: 2s, max_late: 15m, prepare_ahead: 10m}
platforms:
  twitter: {api_url: "{{base}}/x", upload_url: "{{base}}/x", legacy_api_url: "{{base}}/x/1.1", consumer_key: demo-consumer, consumer_secret: demo-consumer-secret}
  facebook: {api_url: "{{base}}/graph", video_url: "{{base}}/graph", upload_url: "{{base}}/graph", app_id: "1122334455", app_secret: demo-app-secret}
  reddit: {api_url: "{{base}}/reddit", auth_url: "{{base}}/reddit", client_id: demo-client, client_secret: demo-client-secret, user_agent: "linux:crier-demo:1 (by /u/acme_inc)"}
  youtube: {api_url: "{{base}}/youtube", token_url: "{{base}}/youtube/token", client_id: demo-client, client_secret: demo-client-secret}
brands: [{handle: acme, name: Acme Inc.}]
people:
  - {handle: sam, name: Sam, roles: {acme: manager}}
  - {handle: mia, name: Mia, roles: {acme: author}, key: ` + demoKeyMia + `}
accounts:
  - {handle: acme-x, platform: twitter, kind: brand, owner: acme, identity: acmeinc, credentials: {access_token: demo-x-acme, access_secret: demo-x-acme-secret}}
  - {handle: acme-page, platform: facebook, kind: brand, owner: acme, identity: "1029384756", credentials: {page_token: demo-fb-acme}}
  - {handle: acme-reddit, platform: reddit, kind: brand, owner: acme, identity: acme_inc, credentials: {refresh_token: demo-reddit-acme}}
  - {handle: acme-tube, platform: youtube, kind: brand, owner: acme, identity: UCacme0000000000000000, credentials: {refresh_token: demo-tube-acme}}
  - {handle: mia-x, platform: twitter, kind: personal, owner: mia, identity: mia_makes, api: v1.1, credentials: {access_token: demo-x-mia, access_secret: demo-x-mia-secret}}
  - {handle: mia-page, platform: facebook, kind: personal, owner: mia, identity: "5647382910", credentials: {page_token: demo-fb-mia}}
  - {handle: mia-reddit, platform: reddit, kind: personal, owner: mia, identity: mia_makes, credentials: {refresh_token: demo-reddit-mia}}
  - {handle: mia-tube, platform: youtube, kind: personal, owner: mia, identity: UCmia00000000000000000, credentials: {refresh_token: demo-tube-mia}}
`)
}

func demoConfig(dataDir, listen, base string) (*config.Config, error) {
	// Its warnings are about secrets that are none.
	c, _, err := config.Parse("demo", []byte(demoYAML(dataDir, listen, base)))
	if err != nil {
		return nil, fmt.Errorf("the demo's configuration: %w", err)
	}
	return c, nil
}

// Demo serves with the sandbox platforms in the same process and sample accounts; nothing leaves the machine. What the
// sandbox has published is kept beside the queue, as a real platform would keep it, so that a demo that is killed and
// started again on the same folder finds what is out.
func Demo(ctx context.Context, o DemoOptions) error {
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return fmt.Errorf("the data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	listen, err := freePort(ctx, o.Listen)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the sandbox: %w", err)
	}
	base := "http://" + l.Addr().String()
	box, err := sandbox.New(sandbox.Config{
		Identities: demoIdentities(), Journal: filepath.Join(dir, "sandbox.jsonl"), BaseURL: base, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return errors.Join(fmt.Errorf("the sandbox: %w", err), l.Close())
	}
	platforms := &http.Server{Handler: box, ReadHeaderTimeout: 10 * time.Second}
	var served sync.WaitGroup
	served.Go(func() { _ = platforms.Serve(l) }) // it ends when it is closed below
	defer func() {
		_ = platforms.Close() // the process ends; whoever still talks to it is our own demo
		served.Wait()
		_ = box.Close() // the journal is synced with every act
	}()

	c, err := demoConfig(dir, listen, base)
	if err != nil {
		return err
	}
	show := &teller{out: o.Out, links: strings.NewReplacer(
		"https://x.com/", base+"/x/", "https://www.youtube.com/", base+"/youtube/", "https://www.reddit.com/", base+"/reddit/",
	)}
	a, err := New(ctx, Options{
		Config: c, Log: o.Log, Version: o.Version, Looks: demoLooks(), Observe: show.event,
		// The demo's own sandbox is on this machine: no proxy may come between, or things would leave it.
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
		Ready:     func(addr net.Addr) { show.welcome("http://" + addr.String()) },
		Grace:     10 * time.Second,
	})
	if err != nil {
		return err
	}
	if !o.Quiet {
		if err := a.samples(ctx); err != nil {
			return errors.Join(fmt.Errorf("queueing the samples: %w", err), a.Close())
		}
	}
	return a.Run(ctx)
}

// freePort gives the address if its port is free, else one on the same host with a port that is.
func freePort(ctx context.Context, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("the address to listen on: %w", err)
	}
	for _, try := range []string{address, net.JoinHostPort(host, "0")} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", try)
		if err != nil {
			continue
		}
		free := l.Addr().String()
		if err := l.Close(); err != nil {
			return "", fmt.Errorf("the address to listen on: %w", err)
		}
		return free, nil
	}
	return "", errors.New("no port is free to listen on")
}

// teller prints the demo's lines, from whichever goroutine they come.
type teller struct {
	mu  sync.Mutex
	out io.Writer
	// links leads the platforms' public addresses to the sandbox, where the demo's posts really are.
	links *strings.Replacer
}

func (t *teller) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A closed terminal does not stop the queue.
	_, _ = fmt.Fprintf(t.out, format+"\n", args...)
}

func (t *teller) welcome(url string) {
	t.say(`
  Crier is running, with the platforms in miniature: nothing leaves this machine.

    page   %[1]s/
    key    %[2]s   (the brand acme)
    key    %[3]s   (Mia, who also has accounts of her own)

  Queue a post yourself:

    curl -H "Authorization: Bearer %[2]s" %[1]s/api/v1/posts -d '{"text": "Hello from me", "targets": ["acme-x"], "at": "now"}'

  Sample posts go out in the next seconds:
`, url, demoKey, demoKeyMia)
}

func (t *teller) event(e scheduler.Event) {
	at := e.At.Local().Format("15:04:05")
	who := fmt.Sprintf("%-11s as %s (%s)", e.Account.Handle, e.Account.Identity, e.Account.Kind)
	switch {
	case e.Receipt != nil:
		what := string(e.Delivery.Parts[e.Part].Role)
		t.say("  %s  out    %-8s %-46s %-8s %s", at, e.Account.Platform, who, what, t.links.Replace(e.Receipt.URL))
	case e.To == post.Scheduled:
		t.say("  %s  waits  %-8s %-46s %s", at, e.Account.Platform, who, message(e.Reason))
	default:
		t.say("  %s  %-6s %-8s %-46s %s", at, e.To, e.Account.Platform, who, message(e.Reason))
	}
}

func message(r *post.Reason) string {
	if r == nil {
		return ""
	}
	return r.Message
}
