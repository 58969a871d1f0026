package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// story makes a delivery's JSON: the fields that all share, and those given.
func story(fields string) string {
	return `{"id":"` + deliveryID + `","post":"` + postID + `","account":"acme-x","platform":"twitter","kind":"brand",
		"due":"2026-12-01T08:00:00.000Z","time_zone":"Europe/Berlin",` + fields + `}`
}

func TestWhyTellsTheStory(t *testing.T) {
	t.Parallel()
	const (
		busy = `{"n":1,"part":0,"act":"publish","started_at":"2026-12-01T08:00:00.012Z","ended_at":"2026-12-01T08:00:00.324Z","outcome":"not_published",
			"reason":"server","status":503,"code":"130","message":"Over capacity","decision":"not out: trying again"}`
		cut = `{"n":2,"part":0,"act":"publish","started_at":"2026-12-01T08:00:31.000Z","ended_at":"2026-12-01T08:01:01.000Z","outcome":"unknown",
			"reason":"network","status":0,"code":"","message":"the connection broke before the answer","decision":"may be out: looking for it on the platform"}`
		unseen = `{"n":2,"part":0,"act":"look","started_at":"2026-12-01T08:01:11.000Z","ended_at":"2026-12-01T08:01:11.200Z","outcome":"unknown",
			"reason":"","status":0,"code":"","message":"","decision":"not seen yet: looking again"}`
		seen = `{"n":2,"part":0,"act":"look","started_at":"2026-12-01T08:02:01.000Z","ended_at":"2026-12-01T08:02:01.200Z","outcome":"published",
			"reason":"","status":200,"code":"","message":"","decision":"found on the platform"}`
		refused = `{"n":1,"part":0,"act":"publish","started_at":"2026-12-01T08:00:00.012Z","ended_at":"2026-12-01T08:00:00.324Z","outcome":"not_published",
			"reason":"content","status":403,"code":"186","message":"Tweet needs to be \u001b[2Ja bit shorter.","decision":"not out: the platform refuses this content"}`
		first = `{"n":1,"part":0,"act":"publish","started_at":"2026-12-01T08:00:00.012Z","ended_at":"2026-12-01T08:00:00.324Z","outcome":"published",
			"reason":"","status":201,"code":"","message":"","decision":"published"}`
		second = `{"n":2,"part":1,"act":"publish","started_at":"2026-12-01T23:30:00.000Z","ended_at":"2026-12-01T23:30:02.500Z","outcome":"not_published",
			"reason":"policy","status":403,"code":"226","message":"looks automated","decision":"not out: blocked by the platform's policy"}`
		onePart = `"parts":[{"index":0,"role":"post","state":"waiting","receipt":null}],"attempts":2`
	)
	for name, fields := range map[string]string{
		"draft":     `"state":"draft",` + onePart,
		"scheduled": `"state":"scheduled","attempts":0,"next_attempt_at":"2026-12-01T08:03:00.000Z","holds":[]`,
		"held": `"state":"scheduled","attempts":0,"next_attempt_at":null,"holds":[
			{"reason":"paused","since":"2026-11-30T10:00:00.000Z","until":null,"detail":"crisis at work","by":"mia"},
			{"reason":"rate_limited","since":"2026-12-01T07:59:00.000Z","until":"2026-12-01T08:15:00.000Z","detail":"too many requests"}]`,
		"retrying":    `"state":"scheduled","next_attempt_at":"2026-12-01T08:00:31.000Z","reason":{"code":"server","message":"Over capacity"},"attempts_log":[` + busy + `],` + onePart,
		"unconfirmed": `"state":"unconfirmed","next_attempt_at":"2026-12-01T08:02:01.000Z","reason":{"code":"not_seen_yet","message":"not seen in 1 of 3 looks"},"attempts_log":[` + busy + `,` + cut + `,` + unseen + `],` + onePart,
		"undecided":   `"state":"unconfirmed","next_attempt_at":null,"cancel_requested":true,"reason":{"code":"ambiguous","message":"several posts match: a person has to say which one is ours"},"attempts_log":[` + cut + `],` + onePart,
		"found":       `"state":"published","receipt":{"remote_id":"1","url":"https://x.com/acmeinc/status/1","at":"2026-12-01T08:00:31.000Z"},"attempts_log":[` + busy + `,` + cut + `,` + unseen + `,` + seen + `],` + onePart,
		"failed":      `"state":"failed","reason":{"code":"content","message":"Tweet needs to be a bit shorter."},"attempts_log":[` + refused + `],` + onePart,
		"partial": `"state":"partial","reason":{"code":"policy","message":"looks automated"},"attempts_log":[` + first + `,` + second + `],"attempts":2,
			"parts":[{"index":0,"role":"post","state":"published","receipt":{"remote_id":"1"}},{"index":1,"role":"reply","state":"failed","receipt":null}]`,
		"missed":          `"state":"missed","reason":{"code":"late","message":"15 minutes went by while the account was paused"},` + onePart,
		"in_review":       `"state":"in_review","approval":{"required":2,"given":[{"by":"sam","at":"2026-11-30T10:00:00.000Z"}]},` + onePart,
		"awaiting_person": `"state":"awaiting_person",` + onePart,
		"sending":         `"state":"sending","cancel_requested":true,` + onePart,
		"canceled":        `"state":"canceled",` + onePart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s := remote(t, map[string]answer{"GET /api/v1/deliveries/" + deliveryID: {body: story(fields)}})
			got := s.run(t.Context(), "why", deliveryID)
			if got.status != 0 {
				t.Fatalf("status %d: %s", got.status, got.err)
			}
			path := filepath.Join("testdata", "why", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got.out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.out); diff != "" {
				t.Error(diff)
			}
			if strings.ContainsRune(got.out, '\x1b') {
				t.Error("a control character passed")
			}
		})
	}
}

func TestWhyOfAPostTellsEachDelivery(t *testing.T) {
	t.Parallel()
	_, s := remote(t, map[string]answer{
		"GET /api/v1/posts/" + postID:          {body: postJSON},
		"GET /api/v1/deliveries/" + deliveryID: {body: scheduledJSON},
	})
	got := s.run(t.Context(), "why", postID)
	if got.status != 0 || !strings.Contains(got.out, "acme-x on twitter (brand account)") {
		t.Errorf("status %d: %s%s", got.status, got.out, got.err)
	}
}
