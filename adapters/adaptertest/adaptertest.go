// Package adaptertest is the conformance suite that every adapter passes. It opens the adapter on the sandbox inside
// a [testing/synctest] bubble, over connections that never leave the process, and takes the sandbox's record, never
// the adapter's word, for what was published and by whom.
//
// An adapter's test describes its platform with a [Suite] and calls [Run]. What only that platform has is tested
// with a [Rig] of its own: see [Bubble].
package adaptertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"crier/adapters"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// Suite describes one adapter to the tests.
type Suite struct {
	Driver adapters.Driver
	// Settings gives the platform's mapping of the configuration in YAML, as in config.example.yaml; base is the
	// sandbox's address without a platform's prefix, such as http://sandbox.invalid.
	Settings func(base string) string
	// Accounts are two logins: the first does most of the work, the second proves the wall between them.
	Accounts [2]Account
	// Secrets are further texts, such as the app's secret in Settings, that must show up nowhere. The accounts'
	// tokens count by themselves.
	Secrets []string
	// Files are the media that Samples and Limits refer to.
	Files []File
	// Samples are contents that the platform takes. The first is the plainest, and publishing it takes exactly one
	// part; the tests of faults use it.
	Samples []Sample
	// Limits are contents at and over a limit.
	Limits []Limit
	// ErrorBody is a well-formed error of the platform, for a status that it has no special meaning for.
	ErrorBody func(status int) string
	// Statuses overrides what the common table expects for an answer to a commit; ok is false where it does not.
	Statuses func(status int, body string) (fate adapters.Fate, reasons []adapters.Reason, ok bool)
	// Refusals are the platform's own answers to a commit that mean something special.
	Refusals []Refusal
	// Proofless are bodies of a 2xx that do not name the post, apart from those that every platform shares.
	Proofless []string
	// Listing matches the read that Find makes, as a part of "METHOD /path": see [sandbox.Fault].
	Listing string
	// Page is how many later acts push an earlier one to the second page of that listing; 0 skips the test.
	Page int
	// Again is how long the platform refuses the same content as a duplicate; the tests wait it out.
	Again time.Duration
	// Duplicate says that the platform refuses the same content within Again.
	Duplicate bool
	// Uploads matches the calls of preparing; empty when the adapter prepares nothing.
	Uploads string
	// Tokens matches the call that trades a refresh token for an access token; empty when tokens do not end. The
	// sandbox must rotate the refresh tokens of an identity whose credential "rotate" is "true".
	Tokens string
	// Whose matches the read that says whose token it is.
	Whose string
	// Sandbox changes how the sandbox behaves; may be nil.
	Sandbox func(*sandbox.Config)
	// ThrottledUnknown says that the platform has been seen to throttle a call and to act on it all the same, so that a
	// throttled commit is looked for.
	ThrottledUnknown bool
	// SettingsOptional says that the adapter works without any settings.
	SettingsOptional bool
	// Skip names groups that do not apply, each with the reason. Which may be skipped is in [skippable].
	Skip map[string]string
}

// Account is one login, told to both sides.
type Account struct {
	Account post.Account
	// Identity is the login as the sandbox knows it.
	Identity sandbox.Identity
	// Tokens are the account's credentials by name.
	Tokens map[string]string
	// Extra is the account's own adapter-specific mapping in YAML; may be empty.
	Extra string
}

// File is a stored medium.
type File struct {
	Media post.Media
	Bytes []byte
}

// Sample is a content that the platform takes, and what the sandbox must have afterwards.
type Sample struct {
	Name    string
	Content post.Content
	// Acts are the public acts in order, one for each part.
	Acts []Act
}

// Act is what the tests compare of a [sandbox.Act].
type Act struct {
	Kind, Text, Title, Link, Destination string
	// Parent is the part that it answers, counted from 1; 0 when it answers none.
	Parent int
	// Media are the SHA-256 of the files, in order.
	Media []string
	// Raw are further values that the sandbox must have kept; others may be there too.
	Raw map[string]string
}

// Limit is a content that just passes and one that just does not.
type Limit struct {
	Name     string
	At, Over post.Content
	// Code is the code of the problem that Over has.
	Code string
	// CheckOnly says that the sandbox does not know this limit, so that nothing is sent.
	CheckOnly bool
}

// Refusal is an answer to a commit and what it means.
type Refusal struct {
	Name   string
	Status int
	Body   string
	Header http.Header
	Fate   adapters.Fate
	Reason adapters.Reason
	Scope  adapters.Scope
	// Code is compared when it is not empty.
	Code string
	// Until is how long after the answer it may be tried again; 0 means that the error must not say.
	Until time.Duration
}

// skippable are the groups that the suite of a platform may skip; all others it has to pass. A new platform adds its line
// here, where it is seen in the review.
var skippable = map[post.Platform][]string{
	post.Twitter:  {"tokens"},
	post.Facebook: {"tokens"},
	post.Reddit:   {"duplicate", "prepare", "prepare faults"},
	post.YouTube:  {"duplicate"},
}

// flaws lists what is wrong with the suite itself: groups that are skipped without a reason or without leave, and groups
// that would find nothing to test.
func (s *Suite) flaws() []string {
	var out []string
	for name, why := range s.Skip {
		switch {
		case !slices.ContainsFunc(groups(), func(g group) bool { return g.name == name }):
			out = append(out, "there is no group "+name+" to skip")
		case strings.TrimSpace(why) == "":
			out = append(out, "the group "+name+" is skipped without a reason")
		case !slices.Contains(skippable[s.Driver.Platform], name):
			out = append(out, "the group "+name+" may not be skipped by "+string(s.Driver.Platform))
		}
	}
	for name, missing := range map[string]bool{
		"duplicate": !s.Duplicate, "prepare": s.Uploads == "", "prepare faults": s.Uploads == "", "find page 2": s.Page == 0,
		"find read errors": s.Listing == "", "tokens": s.Tokens == "", "limits": len(s.Limits) == 0, "refusals": len(s.Refusals) == 0,
		"publish": len(s.Samples) == 0, "verify": s.Whose == "",
	} {
		if _, skipped := s.Skip[name]; missing && !skipped {
			out = append(out, "the group "+name+" has nothing to test and is not skipped")
		}
	}
	slices.Sort(out)
	return out
}

// Run runs every group of the suite as a subtest.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if flaws := s.flaws(); len(flaws) > 0 {
		t.Fatalf("the suite is not whole:\n%s", strings.Join(flaws, "\n"))
	}
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			if why := s.Skip[g.name]; why != "" {
				t.Skip(why)
			}
			g.run(t, &s)
		})
	}
}

type group struct {
	name string
	run  func(*testing.T, *Suite)
}

// groups lists the tests by the names under which they may be skipped.
func groups() []group {
	return []group{
		{"publish", testPublish},
		{"reopen", testReopen},
		{"limits", testLimits},
		{"check is pure", testCheck},
		{"statuses", testStatuses},
		{"success without proof", testProofless},
		{"refusals", testRefusals},
		{"words of a refusal", testWords},
		{"rate limit", testRateLimit},
		{"connection", testConnection},
		{"stopped", testStopped},
		{"redirect", testRedirect},
		{"body cap", testBodyCap},
		{"auth", testAuth},
		{"tokens", testTokens},
		{"verify", testVerify},
		{"duplicate", testDuplicate},
		{"find", testFind},
		{"find page 2", testFindPage},
		{"find twins", testFindTwins},
		{"find read errors", testFindErrors},
		{"clock", testClock},
		{"prepare", testPrepare},
		{"prepare faults", testPrepareFaults},
		{"wall", testWall},
		{"settings", testSettings},
	}
}

// Bubble runs f in a bubble of fake time with a sandbox of its own; the clock stands in November 2026.
func Bubble(t *testing.T, s *Suite, f func(t *testing.T, r *Rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, s)) })
}

// row runs f in a bubble as a subtest.
func row(t *testing.T, s *Suite, name string, f func(t *testing.T, r *Rig)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		Bubble(t, s, f)
	})
}

// PNG is a small picture; each seed gives another one.
func PNG(seed byte, alt string) File {
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range 8 {
		img.Set(i, int(seed)%8, color.RGBA{R: seed, G: 255 - seed, B: byte(i), A: 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return File{} // it cannot be: a buffer takes all that is written
	}
	return NewFile(b.Bytes(), post.Media{Type: "image/png", Alt: alt, Width: 8, Height: 8})
}

// NewFile makes a stored medium of raw bytes; its id and size are set.
func NewFile(raw []byte, m post.Media) File {
	sum := sha256.Sum256(raw)
	m.ID, m.Bytes = hex.EncodeToString(sum[:]), int64(len(raw))
	return File{Media: m, Bytes: raw}
}
