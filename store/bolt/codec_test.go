package bolt

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crier/internal/post"
	"crier/store"
)

// fill sets every field of a struct to something that is not zero, so that a field which the codec forgets is seen.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() { // to the millisecond, as stored
			v.Set(reflect.ValueOf(time.UnixMilli(1_800_000_000_000 + *n).UTC()))
			return
		}
		for _, f := range v.Fields() {
			fill(f, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(post.Options{"a": json.RawMessage(`"x"`), "b": json.RawMessage("[1,2]")}))
	case reflect.String:
		v.SetString("text" + time.Duration(*n).String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(*n) % 251)
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		v.SetInt(*n)
	}
}

func filled[T any]() *T {
	var v T
	n := int64(0)
	fill(reflect.ValueOf(&v).Elem(), &n)
	return &v
}

func TestRecordsKeepEveryField(t *testing.T) {
	t.Parallel()
	d := filled[post.Delivery]()
	d.State, d.Account.Kind = post.Unconfirmed, post.Personal
	for _, want := range []*post.Delivery{d, {ID: d.ID, State: post.Draft, Account: d.Account}} {
		got, err := decodeDelivery(want.ID, appendDelivery(nil, want))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("delivery: %v (-want +got):\n%s", err, diff)
		}
	}
	c := filled[post.Change]()
	gotChange, err := decodeChange(c.Seq, appendChange(nil, c, true, c.Seq-1))
	if diff := cmp.Diff(*c, gotChange.Change); err != nil || diff != "" || gotChange.prev != c.Seq-1 || !gotChange.linked {
		t.Errorf("change: %v (-want +got):\n%s", err, diff)
	}
	p := filled[post.Post]()
	for i := range p.Targets {
		p.Targets[i].Account.Kind = post.Brand
	}
	bare := &post.Post{ID: p.ID, Targets: []post.Target{{Content: post.Content{}}}}
	plain, repeats, clears := *p, *p, *p
	plain.Targets, repeats.Targets, clears.Targets = slices.Clone(p.Targets), slices.Clone(p.Targets), slices.Clone(p.Targets)
	for i := range p.Targets {
		c := plain.Content
		plain.Targets[i].Content, plain.Targets[i].Override = c, post.RawTarget{}
		repeats.Targets[i].Content, repeats.Targets[i].Override = c, post.RawTarget{
			Text: &c.Text, Title: &c.Title, Link: &c.Link, Media: &c.Media, Thread: &c.Thread, FirstComment: &c.FirstComment, Options: c.Options,
		}
		clears.Targets[i].Content = post.Content{}
		clears.Targets[i].Override = post.RawTarget{
			Text: new(string), Media: &[]post.Media{}, Thread: &[]post.Reply{}, Options: &post.Options{},
		}
	}
	for _, want := range []*post.Post{p, bare, &plain, &repeats, &clears} {
		got, err := decodePost(want.ID, encodePost(want))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("post: %v (-want +got):\n%s", err, diff)
		}
		old, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err = decodePost(want.ID, old)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("post of schema 1: %v (-want +got):\n%s", err, diff)
		}
	}
	a := filled[post.Attempt]()
	gotAttempt, err := decodeAttempt(nil, appendAttempt(nil, a), a.N)
	if diff := cmp.Diff(*a, gotAttempt); err != nil || diff != "" {
		t.Errorf("attempt: %v (-want +got):\n%s", err, diff)
	}
}

func TestADamagedRecordIsAnErrorWithItsKey(t *testing.T) {
	t.Parallel()
	d := filled[post.Delivery]()
	d.State, d.Account.Kind = post.Scheduled, post.Brand
	whole := appendDelivery(nil, d)
	for n := range whole {
		if _, err := decodeDelivery(d.ID, whole[:n]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
	p := filled[post.Post]()
	said := encodePost(p)
	for n := range said {
		if _, err := decodePost(p.ID, said[:n]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("a post cut to %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
	whole[0]++
	if _, err := decodeDelivery(d.ID, whole); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("of another version: %v, want ErrCorrupt", err)
	}
}

func FuzzRecords(f *testing.F) {
	d := filled[post.Delivery]()
	d.State, d.Account.Kind = post.Scheduled, post.Brand
	f.Add(appendDelivery(nil, d))
	f.Add(encodePost(filled[post.Post]()))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = decodeDelivery(d.ID, b)
		_, _ = decodePost(d.ID, b)
		_, _ = decodeLane(d.Account, b, nil)
		_, _ = intent2(d.ID, b)
		_, _ = decodeChange(1, b)
		_, _ = decodeAttempt(nil, b, 1)
		_, _ = readReady(b, b)
	})
}

func TestKeysOrderLikeTime(t *testing.T) {
	t.Parallel()
	times := []time.Time{{}, time.UnixMilli(-5), time.UnixMilli(0), time.UnixMilli(1), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range times[1:] {
		a, b := addTime(nil, times[i]), addTime(nil, times[i+1])
		if string(a) >= string(b) {
			t.Errorf("%v does not stand before %v", times[i], times[i+1])
		}
		if got := instant(keyMillis(b)); !got.Equal(times[i+1]) {
			t.Errorf("%v came back as %v", times[i+1], got)
		}
	}
}
