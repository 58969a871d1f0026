package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/app"
	"crier/store/bolt"
)

// daemon is a fake of the REST API as far as the commands need it: answers by method and path, and a record of what
// was asked.
type daemon struct {
	t       *testing.T
	answers map[string]answer

	mu    sync.Mutex
	asked []asked
}

type answer struct {
	status int
	body   string
	etag   string
}

type asked struct {
	Call   string
	Body   string
	Header http.Header
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Error(err)
	}
	name := r.Method + " " + r.URL.RequestURI()
	d.mu.Lock()
	d.asked = append(d.asked, asked{name, string(b), r.Header.Clone()})
	a, ok := d.answers[name]
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case !ok:
		a = answer{status: http.StatusNotFound, body: `{"title":"Not Found","status":404,"detail":"there is no such thing","code":"not_found"}`}
	case a.status == 0:
		a.status = http.StatusOK
	}
	if a.status >= 300 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	if a.etag != "" {
		w.Header().Set("ETag", a.etag)
	}
	w.WriteHeader(a.status)
	if _, err := io.WriteString(w, a.body); err != nil {
		d.t.Error(err)
	}
}

// last gives the latest request of a call.
func (d *daemon) last(call string) asked {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range slices.Backward(d.asked) {
		if a.Call == call {
			return a
		}
	}
	d.t.Fatalf("%s was not asked; asked were %v", call, d.asked)
	return asked{}
}

// result is what a run left behind.
type result struct {
	status   int
	out, err string
}

type setup struct {
	env map[string]string
	in  string
}

func (s setup) run(ctx context.Context, args ...string) result {
	var out, errs bytes.Buffer
	status := run(ctx, args, world{
		in: strings.NewReader(s.in), out: &out, err: &errs, version: "1.2.3",
		env: func(name string) (string, bool) { v, ok := s.env[name]; return v, ok },
	})
	return result{status, out.String(), errs.String()}
}

// remote starts a fake daemon that is reached by address and key.
func remote(t *testing.T, answers map[string]answer) (*daemon, setup) {
	t.Helper()
	d := &daemon{t: t, answers: answers}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	return d, setup{env: map[string]string{"CRIER_URL": s.URL + "/", "CRIER_KEY": "crier_1_topsecret"}}
}

// local starts a fake daemon on the socket of a fresh data folder.
func local(t *testing.T, answers map[string]answer) (d *daemon, s setup, dir string) {
	t.Helper()
	dir, s = configured(t)
	d = &daemon{t: t, answers: answers}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, app.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(d)
	if err := srv.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return d, s, dir
}

// configured makes a configuration and its data folder. The name of a test's own folder would be too long for a socket.
func configured(t *testing.T) (dir string, s setup) {
	t.Helper()
	root, err := os.MkdirTemp("", "crier") //nolint:usetesting // A socket's path has at most 100 bytes.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	dir = filepath.Join(root, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "config.yaml")
	if err := os.WriteFile(path, []byte("data_dir: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, setup{env: map[string]string{"CRIER_CONFIG": path}}
}

const (
	postID     = "0198c0de-0000-7000-8000-000000000001"
	deliveryID = "0198c0de-0000-7000-8000-0000000000d1"
)

const postJSON = `{"id":"` + postID + `","version":1,"external_id":null,"state":"scheduled","author":"mia",
"created_at":"2026-11-20T08:00:00.000Z","text":"Hello","new_field":"kept","deliveries":[` + scheduledJSON + `],
"warnings":[{"location":"targets[0].media[0].alt","code":"alt_text_missing","severity":"warning","message":"a picture has no description"}],
"notes":["the local time exists twice: the first was taken"]}`

const scheduledJSON = `{"id":"` + deliveryID + `","post":"` + postID + `","account":"acme-x","platform":"twitter","kind":"brand",
"destination":null,"state":"scheduled","due":"2026-12-01T08:00:00.000Z","next_attempt_at":"2026-12-01T08:00:00.000Z",
"time_zone":"Europe/Berlin","attempts":0,"holds":[],"reason":null,"receipt":null,"parts":[{"index":0,"role":"post","state":"waiting"}]}`

func TestExitStatusAndMessage(t *testing.T) {
	t.Parallel()
	_, s := remote(t, map[string]answer{
		"POST /api/v1/posts": {status: 422, body: `{"title":"Unprocessable","status":422,"detail":"the post was refused","code":"refused",
			"hint":"shorten it","request_id":"r-1","errors":[
			{"location":"targets[0].text","code":"too_long","severity":"error","message":"the text is too long","limit":280,"used":290,"unit":"characters"},
			{"location":"targets[1].title","code":"title_required","severity":"error","message":"a title is needed"},
			{"location":"targets[1].media","code":"alt_text_missing","severity":"warning","message":"a picture has no description"}]}`},
		"GET /api/v1/status": {status: 403, body: `{"status":403,"detail":"no \u001b[31mcolours","code":"forbidden"}`},
	})
	for name, test := range map[string]struct {
		args   []string
		status int
		err    string
	}{
		"a refusal tells every problem with its place": {
			[]string{"post", "Hi", "--to", "acme-x"},
			1,
			"crier: the post was refused (422 refused)\n" +
				"  targets[0].text: the text is too long (290 of 280 characters) [too_long]\n" +
				"  targets[1].title: a title is needed [title_required]\n" +
				"  warning: targets[1].media: a picture has no description [alt_text_missing]\n" +
				"  hint: shorten it\n  request: r-1\n",
		},
		"a thing that is not there":       {[]string{"show", postID}, 1, "crier: there is no such thing (404 not_found)\n"},
		"control characters do not pass":  {[]string{"status"}, 1, "crier: no ?[31mcolours (403 forbidden)\n"},
		"no command":                      {nil, 2, "which command?"},
		"an unknown command":              {[]string{"pots"}, 2, `crier has no command "pots", did you mean post?`},
		"an unknown command of a family":  {[]string{"key", "make"}, 2, `crier key has no command "make"`},
		"an unknown flag":                 {[]string{"list", "--no-such"}, 2, "unknown flag: --no-such"},
		"an unknown form of output":       {[]string{"list", "-o", "xml"}, 2, "--output is text or json"},
		"too few arguments":               {[]string{"why"}, 2, "accepts 1 arg(s), received 0"},
		"too many arguments":              {[]string{"pause", "now"}, 2, `unknown command "now"`},
		"a post to nobody":                {[]string{"post", "Hi"}, 2, "--to is needed"},
		"a bad option":                    {[]string{"post", "Hi", "--to", "x", "--option", "flair"}, 2, "--option is key=value"},
		"more descriptions than pictures": {[]string{"post", "Hi", "--to", "x", "--alt", "a"}, 2, "more --alt than --media"},
		"a verdict that says nothing":     {[]string{"resolve", deliveryID}, 2, "either --published URL or --not-published"},
		"a verdict that says both":        {[]string{"resolve", deliveryID, "--published", "u", "--not-published"}, 2, "either --published URL or --not-published"},
		"a verdict without consequence":   {[]string{"resolve", deliveryID, "--not-published"}, 2, "--then retry or --then cancel"},
		"a bad time":                      {[]string{"pause", "--until", "soon"}, 2, "--until is a time"},
		"a bad choice for what is late":   {[]string{"resume", "--late", "drop"}, 2, "--late is apply"},
		"a series without a rule":         {[]string{"series", "create", "Hi", "--to", "x"}, 2, "either --cron or --every"},
		"acting as somebody by address":   {[]string{"list", "--as", "mia"}, 2, "--as is for the local socket"},
		"a file that is not there":        {[]string{"post", "-f", "/no/such.json"}, 1, "read the post"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.run(t.Context(), test.args...)
			if got.status != test.status || !strings.Contains(got.err, test.err) {
				t.Errorf("status %d, want %d; error output:\n%s\nwant:\n%s", got.status, test.status, got.err, test.err)
			}
			if got.out != "" {
				t.Errorf("the standard output has %q", got.out)
			}
			if strings.Contains(got.err, "topsecret") {
				t.Error("the key is shown")
			}
		})
	}
}

func TestWithoutDaemon(t *testing.T) {
	t.Parallel()
	dir, s := configured(t)
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("data_dir: data\nlissten: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keyless := setup{env: map[string]string{"CRIER_URL": "http://127.0.0.1:1"}}
	odd := setup{env: map[string]string{"CRIER_URL": "user:password@host", "CRIER_KEY": "k"}}
	for name, test := range map[string]struct {
		s    setup
		args []string
		err  string
	}{
		"no daemon on the socket":              {s, []string{"list"}, "no daemon answers at " + filepath.Join(dir, app.SocketName)},
		"a broken configuration, for talking":  {s, []string{"list", "--config", broken}, broken + ":2:1:"},
		"a broken configuration, for serving":  {s, []string{"serve", "--config", broken}, broken + ":2:1:"},
		"a broken configuration, for checking": {s, []string{"check", "--config", broken}, broken + ":2:1:"},
		"no configuration at all":              {setup{}, []string{"fsck", "--config", "/no/such.yaml"}, "read the configuration"},
		"an address without a key":             {keyless, []string{"list"}, "$CRIER_KEY is not"},
		"an address that is none":              {odd, []string{"list"}, "must look like"},
		"no store to check":                    {s, []string{"fsck"}, "crier.db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := test.s.run(t.Context(), test.args...)
			if got.status != 1 || !strings.Contains(got.err, test.err) {
				t.Errorf("status %d, want 1; error output:\n%s\nwant:\n%s", got.status, got.err, test.err)
			}
			if strings.Contains(got.err, "password") {
				t.Error("the password is shown")
			}
		})
	}
}

func TestReadingAsText(t *testing.T) {
	t.Parallel()
	page := `{"items":[` + postJSON + `],"next_cursor":null}`
	_, s := remote(t, map[string]answer{
		"GET /api/v1/posts?limit=100":       {body: page},
		"GET /api/v1/posts/" + postID:       {body: postJSON},
		"GET /api/v1/posts?limit=1&state=x": {body: `{"items":[` + postJSON + `],"next_cursor":"c2"}`},
		"GET /api/v1/accounts":              {body: `{"items":[{"handle":"acme-x","platform":"twitter","kind":"brand","owner":"acme","identity":"acmeinc","status":"paused","holds":[{"reason":"paused","since":"2026-11-20T08:00:00.000Z","until":null,"detail":"a break","by":"mia"}]}],"next_cursor":null}`},
		"GET /api/v1/keys":                  {body: `{"items":[{"id":"k1","name":"laptop","person":"mia","scopes":["posts:read"],"expires_at":null}],"next_cursor":null}`},
		"GET /api/v1/status": {body: `{"version":"1.2.3","next_due":"2026-12-01T08:00:00.000Z","in_flight":1,"lag_ms":3,"halted":"",
			"counts":{"brand":{"scheduled":2,"failed":1,"draft":0}},"stops":[{"kind":"personal","brand":null,"reason":"a break","by":"mia","since":"2026-11-20T08:00:00.000Z","until":null}],"holds":[]}`},
		"GET /api/v1/series/s1/preview?n=5": {body: `{"items":[{"run":"2026-12-01T09:00","at":"2026-12-01T08:00:00.000Z","local":"2026-12-01T09:00","time_zone":"Europe/Berlin","skipped":true}],"next_cursor":null}`},
	})
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"list": {
			[]string{"list"},
			"POST                                  STATE      DUE                   WHERE   TEXT\n" +
				postID + "  scheduled  2026-12-01 09:00 CET  acme-x  Hello\n",
		},
		"a filtered list that goes on": {
			[]string{"list", "--state", "x", "--limit", "1"},
			"POST                                  STATE      DUE                   WHERE   TEXT\n" +
				postID + "  scheduled  2026-12-01 09:00 CET  acme-x  Hello\nThere are more: --limit shows them.\n",
		},
		"show": {
			[]string{"show", postID},
			"post " + postID + ": scheduled\n  acme-x  scheduled  2026-12-01 09:00 CET  " + deliveryID + "\n" +
				"warning: targets[0].media[0].alt: a picture has no description [alt_text_missing]\n" +
				"note: the local time exists twice: the first was taken\n" +
				"author   mia\ncreated  2026-11-20 08:00 UTC\n\nHello\n",
		},
		"accounts": {
			[]string{"account", "list"},
			"ACCOUNT  PLATFORM  KIND   OWNER  IDENTITY  STATUS\nacme-x   twitter   brand  acme   acmeinc   paused\n",
		},
		"keys": {[]string{"key", "list"}, "KEY  NAME    PERSON  EXPIRES  SCOPES\nk1   laptop  mia     -        posts:read\n"},
		"status": {
			[]string{"status"},
			"version    1.2.3\nnext due   Tue 2026-12-01 08:00:00 UTC\nin flight  1\nlag        3 ms\nbrand      1 failed, 2 scheduled\n" +
				"Stopped: all personal accounts, by mia since 2026-11-20 08:00 UTC: a break\n",
		},
		"preview": {
			[]string{"series", "preview", "s1"},
			"  Tue 2026-12-01 09:00:00 CET (08:00:00 UTC)  2026-12-01T09:00  left out\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.run(t.Context(), test.args...)
			if got.status != 0 {
				t.Fatalf("status %d: %s", got.status, got.err)
			}
			if diff := cmp.Diff(test.want, got.out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadingAsJSONKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	_, s := remote(t, map[string]answer{
		"GET /api/v1/posts?limit=100": {body: `{"items":[` + postJSON + `],"next_cursor":null}`},
		"GET /api/v1/posts/" + postID: {body: postJSON},
		"GET /api/v1/status":          {body: `{"version":"1","tomorrow":1}`},
	})
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"show":    {[]string{"show", postID, "-o", "json"}, postJSON},
		"status":  {[]string{"status", "-o", "json"}, `{"version":"1","tomorrow":1}`},
		"version": {[]string{"version", "-o", "json"}, ""},
		"list":    {[]string{"list", "-o", "json"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.run(t.Context(), test.args...)
			if got.status != 0 || !json.Valid([]byte(got.out)) {
				t.Fatalf("status %d: %s\n%s", got.status, got.err, got.out)
			}
			if test.want == "" {
				return
			}
			var have, want any
			if err := json.Unmarshal([]byte(got.out), &have); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestListFollowsCursors(t *testing.T) {
	t.Parallel()
	_, s := remote(t, map[string]answer{
		"GET /api/v1/posts?limit=500":          {body: `{"items":[` + strings.TrimSuffix(strings.Repeat(postJSON+",", 500), ",") + `],"next_cursor":"c"}`},
		"GET /api/v1/posts?cursor=c&limit=100": {body: `{"items":[` + postJSON + `],"next_cursor":null}`},
	})
	got := s.run(t.Context(), "list", "--limit", "600")
	if lines := strings.Count(got.out, "\n"); got.status != 0 || lines != 502 {
		t.Errorf("status %d, %d lines: %s", got.status, lines, got.err)
	}
}

func TestChangesCarryTheVersionThatWasRead(t *testing.T) {
	t.Parallel()
	path := "/api/v1/deliveries/" + deliveryID
	answers := map[string]answer{
		"GET " + path:                 {body: strings.ReplaceAll(scheduledJSON, `"state":"scheduled"`, `"state":"failed"`), etag: `"7"`},
		"POST " + path + "/retry":     {body: scheduledJSON},
		"POST " + path + "/resolve":   {body: scheduledJSON},
		"POST " + path + "/cancel":    {body: scheduledJSON},
		"GET /api/v1/posts/" + postID: {body: strings.ReplaceAll(postJSON, `"state":"scheduled","due"`, `"state":"failed","due"`)},
	}
	for name, test := range map[string]struct {
		args       []string
		call, body string
		tag        string
	}{
		"retry":             {[]string{"retry", deliveryID, "--at", "now"}, "/retry", `{"at":"now"}`, `"7"`},
		"retry of a post":   {[]string{"retry", postID}, "/retry", `{}`, `"7"`},
		"it is out":         {[]string{"resolve", deliveryID, "--published", "https://x.example/1"}, "/resolve", `{"verdict":"published","url":"https://x.example/1"}`, `"7"`},
		"a part is not out": {[]string{"resolve", deliveryID, "--not-published", "--then", "cancel", "--part", "0"}, "/resolve", `{"part":0,"verdict":"not_published","then":"cancel"}`, `"7"`},
		"cancel":            {[]string{"cancel", deliveryID}, "/cancel", `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, s := remote(t, answers)
			if got := s.run(t.Context(), test.args...); got.status != 0 {
				t.Fatalf("status %d: %s", got.status, got.err)
			}
			req := d.last("POST " + path + test.call)
			if req.Body != test.body || req.Header.Get("If-Match") != test.tag {
				t.Errorf("sent %s with If-Match %s, want %s with %s", req.Body, req.Header.Get("If-Match"), test.body, test.tag)
			}
		})
	}
}

func TestLocalSocketNeedsNoKey(t *testing.T) {
	t.Parallel()
	d, s, dir := local(t, map[string]answer{
		"GET /api/v1/accounts": {body: `{"items":[],"next_cursor":null}`},
		"POST /api/v1/keys":    {status: 201, body: `{"id":"k1","key":"crier_k1_abc"}`},
		"POST /_local/backup":  {status: 204},
		"GET /readyz":          {body: `{}`},
		"POST /api/v1/pause":   {body: `{"in_flight":2,"not_stopped":["d1"]}`},
	})
	run := func(args ...string) result {
		got := s.run(t.Context(), args...)
		if got.status != 0 {
			t.Fatalf("%v: status %d: %s", args, got.status, got.err)
		}
		return got
	}
	run("account", "list", "--as", "mia")
	if h := d.last("GET /api/v1/accounts").Header; h.Get("Crier-As") != "mia" || h.Get("Authorization") != "" {
		t.Errorf("headers are %v", h)
	}
	run("account", "list")
	if h := d.last("GET /api/v1/accounts").Header; h.Get("Crier-As") != "" {
		t.Errorf("headers are %v", h)
	}
	if got := run("key", "create", "laptop", "--person", "mia"); got.out != "crier_k1_abc\n" {
		t.Errorf("the key is printed as %q", got.out)
	}
	if h := d.last("POST /api/v1/keys").Header; h.Get("Crier-As") != "mia" {
		t.Error("the key is not made by the person")
	}
	if got := run("pause"); got.out != "paused; 2 requests were under way\n" || !strings.Contains(got.err, "d1") {
		t.Errorf("pause prints %q and %q", got.out, got.err)
	}
	run("backup", filepath.Join(dir, "copy.db"))
	if b := d.last("POST /_local/backup").Body; b != `{"path":"`+filepath.Join(dir, "copy.db")+`"}` {
		t.Errorf("asked for a backup with %s", b)
	}
	if got := run("doctor"); !strings.Contains(got.out, "ready at "+filepath.Join(dir, app.SocketName)) || !strings.Contains(got.out, "0, none held") {
		t.Errorf("doctor says:\n%s", got.out)
	}
}

func TestStoreWithoutDaemon(t *testing.T) {
	t.Parallel()
	for _, withMedia := range []bool{false, true} {
		t.Run(fmt.Sprintf("media %t", withMedia), func(t *testing.T) {
			t.Parallel()
			dir, s := configured(t)
			st, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Create: true, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.run(t.Context(), "fsck"); got.status != 1 || !strings.Contains(got.err, "stop the daemon first") {
				t.Errorf("fsck of an open store: status %d: %s", got.status, got.err)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(t.TempDir(), "backup")
			args := []string{"backup", copied}
			if withMedia {
				args = append(args, "--media")
			}
			for _, args := range [][]string{{"fsck"}, args, {"restore", copied}, {"fsck"}, {"doctor"}} {
				if got := s.run(t.Context(), args...); got.status != 0 {
					t.Fatalf("%v: status %d: %s%s", args, got.status, got.err, got.out)
				}
			}
			if got := s.run(t.Context(), args...); got.status != 1 || !strings.Contains(got.err, "exists") {
				t.Errorf("a second backup of the same name: status %d: %s", got.status, got.err)
			}
			old, err := filepath.Glob(filepath.Join(dir, bolt.FileName+".before-restore-*"))
			if err != nil || len(old) != 1 {
				t.Errorf("kept old stores: %v, %v", old, err)
			}
			rest, err := filepath.Glob(filepath.Join(dir, "restore-*"))
			if err != nil || len(rest) != 0 {
				t.Errorf("left behind: %v, %v", rest, err)
			}
		})
	}
}

func TestDoctorTellsWhatIsBad(t *testing.T) {
	t.Parallel()
	_, s, _ := local(t, map[string]answer{"GET /readyz": {status: 503, body: `{"status":503,"detail":"the store is full","code":"not_ready"}`}})
	got := s.run(t.Context(), "doctor", "-o", "json")
	if got.status != 1 || !strings.Contains(got.out, "the store is full") || !json.Valid([]byte(got.out)) {
		t.Errorf("status %d: %s%s", got.status, got.out, got.err)
	}
}

func TestWithoutAConfigurationTheWayToADaemonIsTold(t *testing.T) {
	t.Parallel()
	s := setup{env: map[string]string{"CRIER_CONFIG": filepath.Join(t.TempDir(), "none.yaml")}}
	if got := s.run(t.Context(), "list"); got.status != 1 || !strings.Contains(got.err, "none.yaml") || !strings.Contains(got.err, "$CRIER_URL") {
		t.Errorf("status %d: %s", got.status, got.err)
	}
}
