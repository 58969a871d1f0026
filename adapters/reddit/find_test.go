package reddit_test

import (
	"net/http"
	"testing"
	"time"

	"crier/adapters"
	"crier/adapters/adaptertest"
	"crier/internal/post"
	"crier/internal/sandbox"
)

// TestFindIsSureOrSaysSo has the account's listing show one post, and asks whether it is ours.
func TestFindIsSureOrSaysSo(t *testing.T) {
	t.Parallel()
	text := in("golang", post.Content{Title: "Crier 1.0", Text: "It is out."})
	link := in("golang", post.Content{Title: "Crier 1.0", Link: "https://Acme.example/a b?x=ü"})
	const (
		now  = `"created_utc":1795424400,` // 2026-11-23 09:00
		mine = `"name":"t3_x","subreddit":"golang","title":"Crier 1.0",`
	)
	tests := map[string]struct {
		content post.Content
		item    string
		want    adapters.Sight
	}{
		"the same":              {text, mine + now + `"is_self":true,"selftext":"It is out."`, adapters.Found},
		"another body":          {text, mine + now + `"is_self":true,"selftext":"It is out!"`, adapters.Ambiguous},
		"a link of the title":   {text, mine + now + `"is_self":false,"url":"https://acme.example/"`, adapters.Ambiguous},
		"another title":         {text, `"name":"t3_x","subreddit":"golang","title":"Crier 1.1",` + now + `"is_self":true,"selftext":"It is out."`, adapters.NotSeen},
		"another place":         {text, `"name":"t3_x","subreddit":"test","title":"Crier 1.0",` + now + `"is_self":true,"selftext":"It is out."`, adapters.NotSeen},
		"a comment":             {text, `"name":"t1_x","subreddit":"golang","title":"Crier 1.0",` + now + `"body":"It is out."`, adapters.NotSeen},
		"too old":               {text, mine + `"created_utc":1795424270,"is_self":true,"selftext":"It is out!"`, adapters.NotSeen},
		"the same link":         {link, mine + now + `"is_self":false,"url":"https://Acme.example/a b?x=ü"`, adapters.Found},
		"the link, spelled so":  {link, mine + now + `"is_self":false,"url":"https://acme.example/a%20b?x=%C3%BC"`, adapters.Ambiguous},
		"another link":          {link, mine + now + `"is_self":false,"url":"https://else.example/"`, adapters.Ambiguous},
		"a text, where a link":  {link, mine + now + `"is_self":true,"selftext":""`, adapters.Ambiguous},
		"the same and one like": {text, mine + now + `"is_self":true,"selftext":"It is out."}},{"kind":"t3","data":{"name":"t3_y","subreddit":"golang","title":"Crier 1.0",` + now + `"is_self":true,"selftext":"x"`, adapters.Found},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite()
			adaptertest.Bubble(t, &s, func(t *testing.T, r *adaptertest.Rig) {
				r.Sandbox.Misbehave(sandbox.Fault{
					Kind: sandbox.Refuse, Status: http.StatusOK, Match: s.Listing,
					Body: `{"kind":"Listing","data":{"after":null,"children":[{"kind":"t3","data":{` + tt.item + `}}]}}`,
				})
				if look, err := r.Delivery(tt.content).Find(r.Open(0), time.Now()); err != nil || look.Sight != tt.want {
					t.Errorf("got %+v, %v; want sight %d", look, err, tt.want)
				}
			})
		})
	}
}
