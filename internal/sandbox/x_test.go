package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // HMAC-SHA1 is what OAuth 1.0a prescribes
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func macSHA1(key, text string) []byte {
	m := hmac.New(sha1.New, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// The example of X's own page "Creating a signature".
func TestSignatureOfThePublishedExample(t *testing.T) {
	t.Parallel()
	params := [][2]string{
		{"include_entities", "true"},
		{"oauth_consumer_key", "xvz1evFS4wEEPTGEFPHBog"},
		{"oauth_nonce", "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"},
		{"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", "1318622958"},
		{"oauth_token", "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"},
		{"oauth_version", "1.0"},
		{"status", percentEncode("Hello Ladies + Gentlemen, a signed OAuth request!")},
	}
	key := "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw&LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"
	got := base64.StdEncoding.EncodeToString(oauthSignature(key, "post", "https://api.twitter.com/1.1/statuses/update.json", params))
	if want := "hCtSmYh+iHYCEqBWrE7C7hYmtUk="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestSignatureIsVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	send := func(who Identity, change func(map[string]string), later func(*http.Request)) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.base+"/x/2/users/me?user.fields=verified_type", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.sign(req, who, nil, change)
		if later != nil {
			later(req)
		}
		return w.do(t, req).status
	}
	stranger, liar, wrongKey := brand(), brand(), brand()
	stranger.Credentials["access_token"] = "nobody"
	liar.Credentials["access_secret"] = "guess"
	wrongKey.Credentials["consumer_key"] = "other"
	for name, tt := range map[string]struct {
		who    Identity
		change func(map[string]string)
		later  func(*http.Request)
		want   int
	}{
		"good":          {who: brand(), want: 200},
		"unknown token": {who: stranger, want: 401},
		"wrong secret":  {who: liar, want: 401},
		"wrong app":     {who: wrongKey, want: 401},
		"old timestamp": {who: brand(), want: 401, change: func(m map[string]string) { m["oauth_timestamp"] = "1318622958" }},
		"other method":  {who: brand(), want: 401, change: func(m map[string]string) { m["oauth_signature_method"] = "PLAINTEXT" }},
		"other query":   {who: brand(), want: 401, later: func(r *http.Request) { r.URL.RawQuery = "user.fields=subscription_type" }},
		"no header":     {who: brand(), want: 401, later: func(r *http.Request) { r.Header.Del("Authorization") }},
		"twin param": {who: brand(), want: 401, later: func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+`, oauth_nonce="z"`)
		}},
	} {
		if got := send(tt.who, tt.change, tt.later); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	same := func(m map[string]string) { m["oauth_nonce"] = "once" }
	if a, b := send(brand(), same, nil), send(brand(), same, nil); a != 200 || b != 401 {
		t.Errorf("nonce used twice: %d, %d", a, b)
	}
}

func TestSignatureOverTheRealHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.base = "https://api.x.com"
	if a := w.x(t, person(), "POST", "/2/tweets", `{"text":"over https"}`); a.status != 201 {
		t.Errorf("%d %s %v", a.status, a.body, a.err)
	}
}

// X verifies the address at which it is asked: a client that is led elsewhere below its signer does not pass.
func TestASignatureCountsForTheAddressThatIsAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ signed, asked string }{
		"the old host at the new one": {"https://api.twitter.com/2/users/me", "https://api.x.com/2/users/me"},
		"the new host at the old one": {"https://api.x.com/2/users/me", "https://api.twitter.com/2/users/me"},
		"the real host here":          {"https://api.x.com/2/users/me", testBase + "/x/2/users/me"},
		"this host at the real one":   {testBase + "/x/2/users/me", "https://api.x.com/2/users/me"},
		"without the prefix":          {testBase + "/2/users/me", testBase + "/x/2/users/me"},
		"another host here":           {"http://else.test/x/2/users/me", testBase + "/x/2/users/me"},
		"https, asked over http":      {"https://sandbox.test/x/2/users/me", testBase + "/x/2/users/me"},
		"http, at the real host":      {"http://api.x.com/2/users/me", "https://api.x.com/2/users/me"},
	} {
		w := newWorld(t, nil)
		for _, first := range []string{tt.asked, tt.signed} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, first, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			w.sign(req, brand(), nil, nil)
			asked, err := url.Parse(tt.asked)
			if err != nil {
				t.Fatal(err)
			}
			req.URL, req.Host = asked, asked.Host
			want := http.StatusUnauthorized
			if first == tt.asked {
				want = http.StatusOK
			}
			if got := w.do(t, req); got.status != want {
				t.Errorf("%s: signed %s: %d, %v; want %d", name, first, got.status, got.err, want)
			}
		}
	}
}

func TestCreateRefusesWhatXRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body   string
		status int
		detail string
	}{
		"unknown field":       {`{"text":"a","idempotency_key":"k"}`, 400, "idempotency_key"},
		"case of a field":     {`{"Text":"a"}`, 400, "Text"},
		"unknown inner field": {`{"text":"a","reply":{"in_reply_to_tweet_id":"1","x":1}}`, 400, "reply"},
		"no text":             {`{}`, 400, "text"},
		"nothing":             {`{"text":" "}`, 400, ""},
		"wrong type":          {`{"text":5}`, 400, ""},
		"null":                {`null`, 400, ""},
		"cut":                 {`{"text":"a`, 400, ""},
		"281":                 {`{"text":"` + strings.Repeat("a", 281) + `"}`, 403, "not permitted"},
		"141 CJK":             {`{"text":"` + strings.Repeat("語", 141) + `"}`, 403, "not permitted"},
		"two cashtags":        {`{"text":"$ABC $DEF"}`, 403, "cashtag"},
		"unknown parent":      {`{"text":"a","reply":{"in_reply_to_tweet_id":"1"}}`, 403, "deleted or not visible"},
		"parent of letters":   {`{"text":"a","reply":{"in_reply_to_tweet_id":"abc"}}`, 400, ""},
		"unknown media":       {`{"text":"a","media":{"media_ids":["77"]}}`, 400, "media IDs"},
		"five media":          {`{"text":"a","media":{"media_ids":["1","2","3","4","5"]}}`, 400, ""},
		"quote":               {`{"text":"a","quote_tweet_id":"1"}`, 403, "Quoting"},
		"poll of one":         {`{"text":"a","poll":{"options":["x"],"duration_minutes":5}}`, 400, "poll"},
		"reply settings":      {`{"text":"a","reply_settings":"everyone"}`, 400, "reply_settings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			a := w.x(t, brand(), "POST", "/x/2/tweets", tt.body)
			if a.status != tt.status || !strings.Contains(a.body, tt.detail) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, tt.status, tt.detail)
			}
			if n := len(w.Record()); n != 0 {
				t.Errorf("%d acts", n)
			}
		})
	}
}

func TestCreateAcceptsTheLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, text := range []string{
		strings.Repeat("a", 280), strings.Repeat("語", 140), strings.Repeat("👨‍👩‍👧", 140), "$ABC and $5",
		strings.Repeat("b", 256) + " https://example.com/" + strings.Repeat("x", 300),
	} {
		if a := w.tweet(t, brand(), text); a.status != 201 {
			t.Errorf("%.20s…: %d %s", text, a.status, a.body)
		}
	}
}

func TestDuplicateWithinTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		got := []int{w.tweet(t, brand(), "same").status}
		a := w.tweet(t, brand(), " Same ")
		got = append(got, a.status, w.tweet(t, person(), "same").status)
		time.Sleep(xDuplicateWindow + time.Second)
		got = append(got, w.tweet(t, brand(), "same").status)
		if diff := cmp.Diff([]int{201, 403, 201, 201}, got); diff != "" {
			t.Error(diff)
		}
		if p := a.json(t); p["type"] != "about:blank" || !strings.Contains(fmt.Sprint(p["detail"]), "duplicate") {
			t.Errorf("problem %v", p)
		}
	})
}

func TestRateLimitOfCreates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var last answer
		for i := range 101 {
			last = w.tweet(t, brand(), fmt.Sprint("post ", i))
		}
		if last.status != 429 || last.header.Get("X-Rate-Limit-Remaining") != "0" || len(w.Record()) != 100 {
			t.Errorf("%d, %d acts", last.status, len(w.Record()))
		}
		if a := w.tweet(t, person(), "other account"); a.status != 201 {
			t.Errorf("other account: %d", a.status)
		}
		time.Sleep(xWindow)
		if a := w.tweet(t, brand(), "next window"); a.status != 201 {
			t.Errorf("next window: %d", a.status)
		}
	})
}

func TestThreadAndTimelineInBothDialects(t *testing.T) {
	t.Parallel()
	for _, newer := range []bool{false, true} {
		t.Run(fmt.Sprint("post.fields=", newer), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *Config) { c.XPostFields = newer })
			root := postID(t, w.tweet(t, brand(), `R&D <new> "x" https://example.com/a.`))
			reply := postID(t, w.x(t, brand(), "POST", "/x/2/tweets", `{"text":"2/2","reply":{"in_reply_to_tweet_id":"`+root+`"}}`))
			if a := w.x(t, person(), "POST", "/x/2/tweets", `{"text":"hi","reply":{"in_reply_to_tweet_id":"`+root+`"}}`); a.status != 403 {
				t.Errorf("reply to a stranger: %d", a.status)
			}
			fields, wrong, ref := "tweet.fields=created_at,text,entities,conversation_id,referenced_tweets", "post.fields", "referenced_tweets"
			if newer {
				fields, wrong, ref = "post.fields=created_at,text,entities,conversation_id&expansions=referenced_posts", "tweet.fields", "referenced_posts"
			}
			if a := w.x(t, brand(), "GET", "/x/2/users/1001/tweets?"+wrong+"=text", ""); a.status != 400 || !strings.Contains(a.body, wrong) {
				t.Errorf("the other dialect: %d %s", a.status, a.body)
			}
			var list struct {
				Data []struct {
					ID, Text string
					Conv     string `json:"conversation_id"`
					Entities struct {
						URLs []xEntity `json:"urls"`
					}
				}
				Meta struct {
					Count int `json:"result_count"`
				}
			}
			a := w.x(t, brand(), "GET", "/x/2/users/1001/tweets?max_results=5&"+fields, "")
			if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 || len(list.Data) != 2 {
				t.Fatalf("%d %s %v", a.status, a.body, err)
			}
			if list.Data[0].ID != reply || list.Data[0].Conv != root || !strings.Contains(a.body, `"`+ref+`":[{"id":"`+root+`","type":"replied_to"}]`) {
				t.Errorf("reply %s", a.body)
			}
			e := list.Data[1].Entities.URLs[0]
			if want := `R&amp;D &lt;new&gt; "x" ` + e.URL + "."; list.Data[1].Text != want || e.ExpandedURL != "https://example.com/a" {
				t.Errorf("text %q, want %q, %+v", list.Data[1].Text, want, e)
			}
		})
	}
}

func postID(t *testing.T, a answer) string {
	t.Helper()
	data, _ := a.json(t)["data"].(map[string]any)
	id, _ := data["id"].(string)
	if a.status/100 != 2 || id == "" {
		t.Fatalf("no id: %d %s", a.status, a.body)
	}
	return id
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 3))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMediaBelongsToItsUploader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	body := `{"media":"` + base64.StdEncoding.EncodeToString(picture(t)) + `","media_category":"tweet_image"}`
	up := w.x(t, brand(), "POST", "/x/2/media/upload", body)
	id := postID(t, up)
	if !strings.Contains(up.body, `"h":3`) {
		t.Errorf("upload %s", up.body)
	}
	if a := w.x(t, brand(), "POST", "/x/2/media/metadata", `{"id":"`+id+`","metadata":{"alt_text":{"text":"a dot"}}}`); a.status != 200 {
		t.Errorf("alt text: %d %s", a.status, a.body)
	}
	post := `{"text":"","media":{"media_ids":["` + id + `"]}}`
	if a := w.x(t, person(), "POST", "/x/2/tweets", post); a.status != 400 {
		t.Errorf("another's media: %d %s", a.status, a.body)
	}
	if a := w.x(t, brand(), "POST", "/x/2/tweets", post); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	act := w.Record()[0]
	if len(act.Media) != 1 || len(act.Media[0]) != 64 || act.Raw["alt_text_0"] != "a dot" {
		t.Errorf("act %+v", act)
	}
	if a := w.x(t, brand(), "POST", "/x/2/media/upload", `{"media":"aGVsbG8=","media_category":"tweet_image"}`); a.status != 400 {
		t.Errorf("text as image: %d", a.status)
	}
}

func TestVideoIsProcessedBeforeUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		video := "\x00\x00\x00\x18ftypmp42" + strings.Repeat("v", 100)
		id := postID(t, w.x(t, brand(), "POST", "/x/2/media/upload/initialize",
			fmt.Sprintf(`{"media_type":"video/mp4","media_category":"tweet_video","total_bytes":%d}`, len(video))))
		for i, part := range []string{video[:60], video[60:]} {
			body := fmt.Sprintf(`{"media":%q,"segment_index":%d}`, base64.StdEncoding.EncodeToString([]byte(part)), i)
			if i == 1 {
				if a := w.x(t, brand(), "POST", "/x/2/media/upload/"+id+"/finalize", ""); a.status != 400 {
					t.Errorf("finalized early: %d", a.status)
				}
			}
			if a := w.x(t, brand(), "POST", "/x/2/media/upload/"+id+"/append", body); a.status != 200 {
				t.Fatalf("append: %d %s", a.status, a.body)
			}
		}
		w.x(t, brand(), "POST", "/x/2/media/upload/"+id+"/finalize", "")
		post := `{"text":"v","media":{"media_ids":["` + id + `"]}}`
		if a := w.x(t, brand(), "POST", "/x/2/tweets", post); a.status != 400 {
			t.Errorf("used while in progress: %d", a.status)
		}
		time.Sleep(xProcessing)
		if a := w.x(t, brand(), "GET", "/x/2/media/upload?command=STATUS&media_id="+id, ""); !strings.Contains(a.body, `"succeeded"`) {
			t.Errorf("status %s", a.body)
		}
		if a := w.x(t, brand(), "POST", "/x/2/tweets", post); a.status != 201 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestV1NeedsAContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	update := func(who Identity, text string) answer {
		form := url.Values{"status": {text}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.base+"/x/1.1/statuses/update.json", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w.sign(req, who, form, nil)
		return w.do(t, req)
	}
	if a := update(brand(), "hi"); a.status != 403 || !strings.Contains(a.body, `"code":453`) {
		t.Errorf("without contract: %d %s", a.status, a.body)
	}
	if a := update(person(), "a + b & c"); a.status != 200 || a.json(t)["id_str"] == "" {
		t.Errorf("with contract: %d %s", a.status, a.body)
	}
	if a := update(person(), "a + b & c"); a.status != 403 || !strings.Contains(a.body, `"code":187`) {
		t.Errorf("duplicate: %d %s", a.status, a.body)
	}
	if diff := cmp.Diff([]string{"2002: a + b & c"}, texts(w.Record())); diff != "" {
		t.Error(diff)
	}
	if a := w.x(t, person(), "GET", "/x/1.1/statuses/user_timeline.json?count=5", ""); !strings.Contains(a.body, `a + b \u0026amp; c`) {
		t.Errorf("timeline %s", a.body)
	}
}

func TestPermalinkIsAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.tweet(t, brand(), "<script>")
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.Record()[0].URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.do(t, req); a.status != 200 || !strings.Contains(a.body, "&lt;script&gt;") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWeight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "abc": 3, "語": 2, "é": 1, "e\u0301": 1, "👍🏽": 2, "🇩🇪": 2, "1️⃣": 2, "❤️": 2, "👨‍👩‍👧‍👦": 2,
		"https://example.com": 23, "see example.com.": 28, "a@example.com": 13, "e.g. this": 9, "“q”": 3, "1.5": 3,
	} {
		if got := xWeight(text); got != want {
			t.Errorf("%q weighs %d, want %d", text, got, want)
		}
	}
}
