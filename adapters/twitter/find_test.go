package twitter_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// TestFindIsSureOrSaysSo has the timeline show one post, and asks whether it is ours.
func TestFindIsSureOrSaysSo(t *testing.T) {
	t.Parallel()
	s := suite("")
	picture, _ := media(s.Files[:1])
	text, alone := post.Content{Text: "Look", Media: picture}, post.Content{Media: picture}
	thread := post.Content{Text: "One", Thread: []post.Reply{{Text: "Two"}, {Text: "Three"}}}
	keys := func(list ...string) []post.Handle {
		var out []post.Handle
		for i, k := range list {
			out = append(out, post.Handle{Name: fmt.Sprintf("media:%d", i), Done: true, Values: map[string]string{"id": "1" + fmt.Sprint(i), "key": k}})
		}
		return out
	}
	const now = `"created_at":"2026-11-23T09:00:00.000Z"`
	tests := map[string]struct {
		content post.Content
		part    int
		handles []post.Handle
		item    string
		want    adapters.Sight
	}{
		"our media":                      {text, 0, keys("3_1"), `{"id":"9","text":"Look https://t.co/x","attachments":{"media_keys":["3_1"]},` + now + `}`, adapters.Found},
		"our media under other words":    {text, 0, keys("3_1"), `{"id":"9","text":"Rewritten","attachments":{"media_keys":["3_1"]},` + now + `}`, adapters.Found},
		"our words, other media":         {text, 0, keys("3_1"), `{"id":"9","text":"Look","attachments":{"media_keys":["3_2"]},` + now + `}`, adapters.Ambiguous},
		"our words, media forgotten":     {text, 0, nil, `{"id":"9","text":"Look","attachments":{"media_keys":["3_2"]},` + now + `}`, adapters.Found},
		"no words, our media":            {alone, 0, keys("3_1"), `{"id":"9","text":"","attachments":{"media_keys":["3_1"]},` + now + `}`, adapters.Found},
		"no words, somebody's picture":   {alone, 0, keys("3_1"), `{"id":"9","text":"","attachments":{"media_keys":["3_2"]},` + now + `}`, adapters.NotSeen},
		"no words, media forgotten":      {alone, 0, nil, `{"id":"9","text":"","attachments":{"media_keys":["3_2"]},` + now + `}`, adapters.Ambiguous},
		"no words, more pictures":        {alone, 0, nil, `{"id":"9","text":"","attachments":{"media_keys":["3_2","3_3"]},` + now + `}`, adapters.NotSeen},
		"a reply":                        {thread, 1, nil, `{"id":"9","text":"Two","conversation_id":"5","referenced_tweets":[{"type":"replied_to","id":"5"}],` + now + `}`, adapters.Found},
		"a reply to something else":      {thread, 1, nil, `{"id":"9","text":"Two","conversation_id":"4","referenced_tweets":[{"type":"replied_to","id":"4"}],` + now + `}`, adapters.NotSeen},
		"a reply, its parent not shown":  {thread, 1, nil, `{"id":"9","text":"Two","conversation_id":"5","in_reply_to_user_id":"101",` + now + `}`, adapters.Found},
		"the last of a thread, likewise": {thread, 2, nil, `{"id":"9","text":"Three","conversation_id":"5","in_reply_to_user_id":"101",` + now + `}`, adapters.Found},
		"in another conversation":        {thread, 1, nil, `{"id":"9","text":"Two","conversation_id":"4","in_reply_to_user_id":"101",` + now + `}`, adapters.NotSeen},
		"in an unknown conversation":     {thread, 1, nil, `{"id":"9","text":"Two","in_reply_to_user_id":"101",` + now + `}`, adapters.Ambiguous},
		"a root post, not a reply":       {thread, 1, nil, `{"id":"9","text":"Two","conversation_id":"9",` + now + `}`, adapters.NotSeen},
		"a reply, not a root post":       {thread, 0, nil, `{"id":"9","text":"One","conversation_id":"5","in_reply_to_user_id":"101",` + now + `}`, adapters.NotSeen},
		"a root post":                    {thread, 0, nil, `{"id":"9","text":"One","conversation_id":"9",` + now + `}`, adapters.Found},
		"a quote is a root post":         {thread, 0, nil, `{"id":"9","text":"One","conversation_id":"9","referenced_tweets":[{"type":"quoted","id":"4"}],` + now + `}`, adapters.Found},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite("")
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				r.Sandbox.Misbehave(sandbox.Fault{
					Kind: sandbox.Refuse, Status: http.StatusOK, Match: s.Listing, Body: `{"data":[` + tt.item + `],"meta":{"result_count":1}}`,
				})
				d := r.Delivery(tt.content)
				for n := range tt.part {
					d.Receipts = append(d.Receipts, post.Receipt{RemoteID: fmt.Sprint(5 + n)})
				}
				q := d.Request()
				q.Handles = tt.handles
				if look, err := r.Open(0).Find(t.Context(), q, time.Now()); err != nil || look.Sight != tt.want {
					t.Errorf("got %+v, %v; want sight %d", look, err, tt.want)
				}
			})
		})
	}
}
