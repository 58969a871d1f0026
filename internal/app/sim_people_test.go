package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"crier/internal/app"
	"crier/internal/sandbox"
)

// one draws from what there is.
func one[T any](w *simWorld, of []T) T { return of[w.lot.IntN(len(of))] }

// writer draws somebody who writes, and the accounts that this person uses for one post: a brand's or the own ones.
func (w *simWorld) writer() (person string, accounts []*simAccount) {
	person = one(w, w.people)
	kind := one(w, []string{"brand", "personal"})
	for _, a := range w.accounts {
		if !a.out && a.kind == kind && (kind == "brand" || a.owner == person) {
			accounts = append(accounts, a)
		}
	}
	return person, accounts
}

// on keeps the accounts of a platform.
func on(platform string, accounts []*simAccount) (those []*simAccount) {
	for _, a := range accounts {
		if a.platform == platform {
			those = append(those, a)
		}
	}
	return those
}

// say makes a text that nobody has used.
func (w *simWorld) say(person string) string {
	w.n++
	return fmt.Sprintf("Note %d by %s", w.n, person)
}

// when draws a time: at once, soon, in some hours.
func (w *simWorld) when() string {
	if w.lot.IntN(5) == 0 {
		return "now"
	}
	return w.now().Add(time.Duration(w.lot.ExpFloat64() * float64(time.Hour))).Format(time.RFC3339)
}

// target is an account as a target, with what its platform needs.
func (w *simWorld) target(person, text string, a *simAccount) m {
	target := m{"account": a.handle}
	for _, p := range simPlatforms() {
		if p.name == a.platform {
			p.dress(w, person, target, text)
		}
	}
	return target
}

// send queues a post and remembers it when it was accepted.
func (w *simWorld) send(person string, body m) bool {
	began := time.Now()
	var p postView
	if w.call(person, http.MethodPost, "/posts", body, &p) != http.StatusCreated {
		return false
	}
	sent := &simPost{id: p.ID, person: person, text: body["text"].(string), created: began}
	for _, d := range p.Deliveries {
		sent.deliveries = append(sent.deliveries, d.ID)
		w.note("  %s for %s, due %s: %q", d.ID, d.Account, d.Due.Format(time.TimeOnly), sent.text)
	}
	w.posts = append(w.posts, sent)
	return true
}

func (w *simWorld) post() {
	person, accounts := w.writer()
	if len(accounts) == 0 {
		return
	}
	text := w.say(person)
	w.send(person, m{"text": text, "targets": []any{w.target(person, text, one(w, accounts))}, "at": w.when()})
}

func (w *simWorld) thread() {
	person, accounts := w.writer()
	if accounts = on("twitter", accounts); len(accounts) == 0 {
		return
	}
	text := w.say(person)
	var more []any
	for i := range 1 + w.lot.IntN(3) {
		more = append(more, fmt.Sprintf("%s, part %d", text, i+2))
	}
	w.send(person, m{"text": text, "thread": more, "targets": []any{one(w, accounts).handle}, "at": w.when()})
}

func (w *simWorld) launch() {
	person, accounts := w.writer()
	text := w.say(person)
	var targets []any
	for _, p := range simPlatforms() {
		if those := on(p.name, accounts); len(those) > 0 && w.lot.IntN(4) > 0 {
			targets = append(targets, w.target(person, text, one(w, those)))
		}
	}
	if len(targets) > 0 {
		w.send(person, m{"text": text, "targets": targets, "at": w.when()})
	}
}

// twins are two posts of the same words on one account, shortly after each other.
func (w *simWorld) twins() {
	person, accounts := w.writer()
	if len(accounts) == 0 {
		return
	}
	text, a := w.say(person), one(w, accounts)
	at := w.now().Add(time.Duration(w.lot.ExpFloat64() * float64(time.Hour)))
	for range 2 {
		w.send(person, m{
			"text": text, "targets": []any{w.target(person, text, a)}, "at": at.Format(time.RFC3339), "allow_duplicate": true,
		})
		at = at.Add(time.Minute)
	}
}

func (w *simWorld) film() {
	person, accounts := w.writer()
	if accounts = on("youtube", accounts); len(accounts) == 0 {
		return
	}
	text := w.say(person)
	w.send(person, m{"text": text, "targets": []any{w.target(person, text, one(w, accounts))}, "at": w.when()})
}

// upload gives the person's film, which is uploaded the first time.
func (w *simWorld) upload(person string) string {
	if id := w.films[person]; id != "" {
		return id
	}
	film := app.DemoFilm(1<<12 + len(w.films))
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("file", "film.mp4")
	if err == nil {
		_, err = file.Write(film)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.mime = form.FormDataContentType()
	if status := w.call(person, http.MethodPost, "/media", b.Bytes(), nil); status != http.StatusCreated {
		w.t.Fatalf("uploading a film: %d", status)
	}
	sum := sha256.Sum256(film)
	w.films[person] = hex.EncodeToString(sum[:])
	return w.films[person]
}

// some draws a post that was accepted, a recent one rather than an old one.
func (w *simWorld) some() *simPost {
	if len(w.posts) == 0 {
		return nil
	}
	back := min(int(w.lot.ExpFloat64()*10), len(w.posts)-1)
	return w.posts[len(w.posts)-1-back]
}

func (w *simWorld) edit() {
	if p := w.some(); p != nil {
		w.call(p.person, http.MethodPatch, "/posts/"+p.id, m{"text": w.say(p.person) + ", edited"}, nil)
	}
}

func (w *simWorld) reschedule() {
	if p := w.some(); p != nil {
		p.moved = true
		w.call(p.person, http.MethodPost, "/deliveries/"+one(w, p.deliveries)+"/reschedule", m{"at": w.when()}, nil)
	}
}

func (w *simWorld) cancel() {
	if p := w.some(); p != nil {
		p.moved = true
		w.call(p.person, http.MethodPost, "/deliveries/"+one(w, p.deliveries)+"/cancel", m{}, nil)
	}
}

// inState lists the deliveries in a state that the person sees.
func (w *simWorld) inState(person, state string) []delivery {
	var page list[delivery]
	w.call(person, http.MethodGet, "/deliveries?limit=500&state="+url.QueryEscape(state), nil, &page)
	return page.Items
}

func (w *simWorld) retry() {
	person := one(w, w.people)
	if those := w.inState(person, one(w, []string{"failed", "missed", "partial"})); len(those) > 0 {
		d := one(w, those)
		w.moved(d.Post)
		w.call(person, http.MethodPost, "/deliveries/"+d.ID+"/retry", m{}, nil)
	}
}

// moved marks a post whose times are no longer those of its birth.
func (w *simWorld) moved(id string) {
	for _, p := range w.posts {
		if p.id == id {
			p.moved = true
		}
	}
}

// decide has somebody look at the platforms, and say of everything that waits for a person whether it is there.
func (w *simWorld) decide() { w.settle(one(w, w.people)) }

func (w *simWorld) settle(person string) {
	for _, d := range w.inState(person, "unconfirmed") {
		if r := d.reason(); r != "not_seen" && r != "ambiguous" {
			continue
		}
		full := w.full(person, d.ID)
		text := full.Content.Text
		for i, part := range full.Parts {
			if part.State == "unconfirmed" && i > 0 {
				text = full.Content.Thread[i-1].Text
			}
		}
		w.moved(d.Post)
		verdict := m{"verdict": "not_published", "then": one(w, []string{"retry", "cancel"})}
		for _, act := range w.public() {
			if act.Identity == w.account(d.Account).identity && act.Platform == d.Platform && act.Text == text && !w.held(person, act) {
				verdict = m{"verdict": "published", "url": publicOf("http://sandbox.invalid", act.URL)}
			}
		}
		w.note("  %s on %s is %v", d.ID, d.Account, verdict)
		w.call(person, http.MethodPost, "/deliveries/"+d.ID+"/resolve", verdict, nil)
	}
}

// held reports whether some delivery holds the receipt of an act.
func (w *simWorld) held(person string, act sandbox.Act) bool {
	for _, d := range w.deliveries(person) {
		for _, part := range d.Parts {
			if part.Receipt != nil && w.same(d, part, act) {
				return true
			}
		}
	}
	return false
}

func (w *simWorld) account(handle string) *simAccount {
	for _, a := range w.accounts {
		if a.handle == handle {
			return a
		}
	}
	w.t.Fatalf("there is no account %q", handle)
	return nil
}

func (w *simWorld) pauseAccount() {
	person, accounts := w.writer()
	if len(accounts) > 0 {
		w.call(person, http.MethodPost, "/accounts/"+one(w, accounts).handle+"/pause", m{}, nil)
	}
}

func (w *simWorld) resumeAccount() {
	person, accounts := w.writer()
	if len(accounts) > 0 {
		w.call(person, http.MethodPost, "/accounts/"+one(w, accounts).handle+"/resume", m{"late": w.late()}, nil)
	}
}

func (w *simWorld) late() string { return one(w, []string{"apply", "send", "miss"}) }

func (w *simWorld) stopKind() {
	w.call("sam", http.MethodPost, "/pause", m{"kind": "brand"}, nil)
}

func (w *simWorld) resumeKind() {
	w.call("sam", http.MethodPost, "/resume", m{"kind": "brand", "late": w.late()}, nil)
}

func (w *simWorld) beginSeries() {
	person, accounts := w.writer()
	if len(accounts) == 0 || len(w.series) >= 6 {
		return
	}
	a := one(w, accounts)
	var pool []any
	for range 1 + w.lot.IntN(3) {
		text := w.say(person) + ", again and again"
		pool = append(pool, m{"text": text, "targets": []any{w.target(person, text, a)}})
	}
	var s struct{ ID string }
	if w.call(person, http.MethodPost, "/series", m{
		"cron":      one(w, []string{"0 * * * *", "30 2 * * *", "*/20 * * * *", "15 9 * * *"}),
		"time_zone": one(w, []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}),
		"order":     one(w, []string{"once", "cycle"}), "posts": pool,
	}, &s) == http.StatusCreated {
		w.series = append(w.series, simSeries{s.ID, person})
	}
}

func (w *simWorld) endSeries() {
	if len(w.series) > 0 {
		s := w.series[0]
		w.series = w.series[1:]
		w.call(s.person, http.MethodDelete, "/series/"+s.id, nil, nil)
	}
}

// misbehave arms one fault, most often of a call that publishes.
func (w *simWorld) misbehave() {
	f := sandbox.Fault{
		Platform: one(w, simPlatforms()).name,
		Kind: one(w, []sandbox.FaultKind{
			sandbox.Refuse, sandbox.PublishThenStatus, sandbox.PublishThenCut, sandbox.PublishThenHalf, sandbox.PublishThenEmpty,
			sandbox.PublishThenHang, sandbox.PublishThenHTML502, sandbox.HTML502, sandbox.CutBefore, sandbox.HangBefore,
			sandbox.RateLimit, sandbox.Redirect, sandbox.LatePublish, sandbox.RateHeadersZero, sandbox.LateListing, sandbox.Slow,
		}),
		After: w.lot.IntN(3), Times: 1 + w.lot.IntN(3),
	}
	if w.lot.IntN(3) == 0 {
		f.Match = one(w, []string{"GET /", "POST /", "/token", "PUT /"})
	}
	switch f.Kind {
	case sandbox.Refuse:
		f.Status = one(w, []int{400, 401, 403, 404, 429, 500, 503})
	case sandbox.PublishThenStatus:
		f.Status = one(w, []int{500, 503, 504})
	case sandbox.Redirect:
		f.Header = http.Header{"Location": {"http://sandbox.invalid/elsewhere"}}
	case sandbox.LatePublish, sandbox.LateListing:
		// The platforms' horizons are five minutes and more, and one post may meet both.
		f.Delay = time.Duration(w.lot.Int64N(int64(2 * time.Minute)))
		if f.Kind == sandbox.LatePublish && f.Match != "" {
			f.Match = ""
		}
	case sandbox.Slow:
		f.Delay = time.Duration(w.lot.Int64N(int64(20 * time.Second)))
	case sandbox.RateLimit:
		f.Delay = time.Duration(w.lot.Int64N(int64(20 * time.Minute)))
	default:
	}
	w.note("  %s %s %q %d, %d times after %d, %v", f.Platform, f.Kind, f.Match, f.Status, f.Times, f.After, f.Delay)
	w.box.Misbehave(f)
}

func (w *simWorld) behave() {
	w.box.Behave()
	clear(w.dead)
}

// tokenDies has a platform refuse all that an account asks, until somebody reconnects it.
func (w *simWorld) tokenDies() {
	a := one(w, w.accounts)
	if w.dead[a.handle] == nil {
		w.note("  the token of %s is dead", a.handle)
		w.dead[a.handle] = w.box.Misbehave(sandbox.Fault{
			Platform: a.platform, Identity: a.identity, Match: "/", Kind: sandbox.Refuse, Status: http.StatusUnauthorized,
		})
	}
}

// reconnect has the owner of an account whose token is dead put it right and say so.
func (w *simWorld) reconnect() {
	for _, a := range w.accounts {
		revive := w.dead[a.handle]
		if revive == nil {
			continue
		}
		revive()
		delete(w.dead, a.handle)
		if !a.out {
			w.call(w.speaker(a), http.MethodPost, "/accounts/"+a.handle+"/verify", m{}, nil)
		}
		return
	}
}

// speaker is somebody who may manage an account.
func (w *simWorld) speaker(a *simAccount) string {
	if a.kind == "personal" {
		return a.owner
	}
	return "sam"
}

func (w *simWorld) restart() {
	w.end()
	w.begin()
}

func (w *simWorld) kill() {
	w.die()
	w.begin()
}

// killAroundWrite has the daemon die at the next write that matters: before it is on disk, or right after.
func (w *simWorld) killAroundWrite() { w.life.doom.Store(doomBefore + w.lot.Int32N(2)) }

// commitInDoubt has the next commit that matters report an error although it is on disk.
func (w *simWorld) commitInDoubt() { w.life.doom.Store(doubtAfter) }

func (w *simWorld) leaveOut() {
	one(w, w.accounts).out = true
	w.restart()
}

func (w *simWorld) takeBack() {
	var any bool
	for _, a := range w.accounts {
		any = any || a.out
		a.out = false
	}
	if any {
		w.restart()
	}
}

// stepClock sets the clock wrong.
func (w *simWorld) stepClock() {
	w.step(one(w, []time.Duration{-time.Hour, -10 * time.Minute, -time.Minute, 10 * time.Minute, time.Hour, 5 * time.Hour}))
}

func (w *simWorld) setClock() {
	if w.skew.Load() != 0 {
		w.step(0)
	}
}

// step sets how wrong the wall clock is.
func (w *simWorld) step(skew time.Duration) {
	w.skew.Store(int64(skew))
	w.steps = append(w.steps, simStep{time.Now(), skew})
	w.note("  the clock is %v wrong", skew)
}

// calm lets everything come to its end: the platforms behave, the clock is right, every account is there and free, and
// somebody decides what a person has to decide.
func (w *simWorld) calm() {
	w.behave()
	w.setClock()
	w.takeBack()
	for len(w.series) > 0 {
		w.endSeries()
	}
	for range 4 * 24 { // posts are at most hours ahead, and a dead token is tried again each hour
		w.resumeKind()
		open := 0
		for _, p := range w.people {
			w.settle(p)
			for _, a := range w.accounts {
				if w.speaker(a) == p {
					w.call(p, http.MethodPost, "/accounts/"+a.handle+"/resume", m{"late": "send"}, nil)
				}
			}
		}
		for _, p := range w.people {
			for _, state := range []string{"scheduled", "sending", "unconfirmed"} {
				open += len(w.inState(p, state))
			}
		}
		if open == 0 {
			return
		}
		w.pass(15 * time.Minute)
	}
}
