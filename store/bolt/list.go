package bolt

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"crier/internal/post"
	"crier/store"
)

// Pages are gathered in several short transactions, so that a long search keeps no pages from being reused.
const (
	maxPage     = 500
	defaultPage = 100
	rowsPerRead = 2000
)

func pageSize(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// cursorBytes reads a cursor of a known length; an empty one is nil.
func cursorBytes(s string, length int) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != length {
		return nil, fmt.Errorf("cursor: %w", store.ErrNotFound)
	}
	return b, nil
}

func cursorText(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// merged walks several ranges of (due, id) as one, in order.
type merged struct {
	sources []source
	to      []byte // rows at or after it are not given; nil for no end
}

type source struct {
	cursor interface {
		Next() (k, v []byte)
	}
	prefix []byte
	key    []byte
}

// mergedFrom opens one range for each prefix, at the first row at or after from.
func (t *tx) mergedFrom(b bucketID, prefixes [][]byte, from, to []byte) *merged {
	m := &merged{to: to}
	for _, p := range prefixes {
		c := t.bucket(b).Cursor()
		k, _ := c.Seek(append(bytes.Clone(p), from...))
		m.sources = append(m.sources, source{cursor: c, prefix: p, key: k})
	}
	return m
}

// next gives the next row as due and id; nil at the end.
func (m *merged) next() []byte {
	best, row := -1, []byte(nil)
	for i := range m.sources {
		s := &m.sources[i]
		if !bytes.HasPrefix(s.key, s.prefix) {
			continue
		}
		if r := s.key[len(s.prefix):]; row == nil || bytes.Compare(r, row) < 0 {
			best, row = i, r
		}
	}
	if best < 0 || (m.to != nil && bytes.Compare(row, m.to) >= 0) {
		return nil
	}
	row = bytes.Clone(row)
	m.sources[best].key, _ = m.sources[best].cursor.Next()
	return row
}

// rangeFor gives the index that serves a filter best.
func rangeFor(f *store.Filter) (bucketID, [][]byte) {
	if f.Account != nil {
		return bCal, [][]byte{accountKey(*f.Account)}
	}
	if len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s post.State) bool { return !listed(s) }) {
		states := slices.Clone(f.States)
		slices.Sort(states)
		var prefixes [][]byte
		for _, s := range slices.Compact(states) {
			prefixes = append(prefixes, append([]byte(s), '|'))
		}
		return bStatus, prefixes
	}
	kinds := post.Kinds()
	if f.Kind != "" {
		kinds = []post.Kind{f.Kind}
	}
	var prefixes [][]byte
	for _, k := range kinds {
		prefixes = append(prefixes, kindPrefix(k))
	}
	return bCal0, prefixes
}

func visible(f *store.Filter, k post.AccountKey) bool { return f.Visible == nil || f.Visible(k) }

func inRange(f *store.Filter, due time.Time) bool {
	return (f.From.IsZero() || !due.Before(f.From)) && (f.To.IsZero() || due.Before(f.To))
}

// matchDelivery asks what the delivery itself can answer.
func matchDelivery(f *store.Filter, d *post.Delivery) bool {
	switch {
	case !visible(f, d.Account),
		len(f.States) > 0 && !slices.Contains(f.States, d.State),
		f.Account != nil && *f.Account != d.Account,
		f.Kind != "" && f.Kind != d.Account.Kind,
		!f.Series.IsZero() && f.Series != d.Series,
		!inRange(f, d.Due):
		return false
	}
	return true
}

// matchPost asks what only the post can answer.
func matchPost(f *store.Filter, p *post.Post) bool {
	switch {
	case f.Label != "" && !slices.Contains(p.Labels, f.Label),
		f.Author != "" && f.Author != p.Author,
		f.ExternalID != "" && f.ExternalID != p.ExternalID,
		!f.Series.IsZero() && f.Series != p.Series,
		f.Kind != "" && f.Kind != p.Kind:
		return false
	}
	return true
}

// ListDeliveries lists deliveries in order of due.
func (s *Store) ListDeliveries(ctx context.Context, f store.Filter) (page store.DeliveryPage, err error) {
	from, err := cursorBytes(f.Cursor, 24)
	if err != nil {
		return page, err
	}
	if from != nil {
		from = append(from, 0) // after the row that the cursor names
	} else if !f.From.IsZero() {
		from = addTime(nil, f.From)
	}
	var to []byte
	if !f.To.IsZero() {
		to = addTime(nil, f.To)
	}
	limit := pageSize(f.Limit)
	bucket, prefixes := rangeFor(&f)
	for more := true; more; {
		err := s.read(ctx, func(t *tx) error {
			rows := t.mergedFrom(bucket, prefixes, from, to)
			for range rowsPerRead {
				row := rows.next()
				if row == nil {
					more = false
					return nil
				}
				v, ok, err := t.deliveryRow(&f, idAt(row))
				if err != nil {
					return err
				}
				if ok && len(page.Items) == limit {
					last := &page.Items[limit-1].Delivery
					page.Next, more = cursorText(timedKey(millis(last.Due), last.ID)), false
					return nil
				}
				if ok {
					page.Items = append(page.Items, v)
				}
				from = append(row, 0)
			}
			return nil
		})
		if err != nil {
			return store.DeliveryPage{}, err
		}
	}
	return page, nil
}

// deliveryRow reads one row of a page; ok is false when it does not match.
func (t *tx) deliveryRow(f *store.Filter, id post.ID) (v store.DeliveryView, ok bool, err error) {
	d, err := t.delivery(id)
	if err != nil || !matchDelivery(f, d) {
		return v, false, err
	}
	if f.Label != "" || f.Author != "" || f.ExternalID != "" {
		p, err := t.post(d.Post)
		if err != nil || !matchPost(f, p) {
			return v, false, err
		}
	}
	v, err = t.deliveryView(d)
	return v, err == nil, err
}

// ListPosts lists posts, newest first.
func (s *Store) ListPosts(ctx context.Context, f store.Filter) (page store.PostPage, err error) {
	if f.ExternalID != "" {
		return s.postsByExternal(ctx, &f)
	}
	before, err := cursorBytes(f.Cursor, 16)
	if err != nil {
		return page, err
	}
	limit := pageSize(f.Limit)
	for more := true; more; {
		err := s.read(ctx, func(t *tx) error {
			c := t.bucket(bContent).Cursor()
			k, _ := c.Last()
			if before != nil {
				if k, _ = c.Seek(before); k == nil {
					k, _ = c.Last()
				}
				for k != nil && bytes.Compare(k, before) >= 0 {
					k, _ = c.Prev()
				}
			}
			for range rowsPerRead {
				if k == nil {
					more = false
					return nil
				}
				v, ok, err := t.postRow(&f, post.ID(k))
				if err != nil {
					return err
				}
				if ok && len(page.Items) == limit {
					last := page.Items[limit-1].Post.ID
					page.Next, more = cursorText(last[:]), false
					return nil
				}
				if ok {
					page.Items = append(page.Items, v)
				}
				before = bytes.Clone(k)
				k, _ = c.Prev()
			}
			return nil
		})
		if err != nil {
			return store.PostPage{}, err
		}
	}
	return page, nil
}

// postsByExternal serves the filter by external id: at most one post for the brands and one for each person.
func (s *Store) postsByExternal(ctx context.Context, f *store.Filter) (page store.PostPage, err error) {
	err = s.read(ctx, func(t *tx) error {
		page = store.PostPage{}
		return t.scan(bExternal, pairKey(f.ExternalID, ""), func(_, id []byte) (bool, error) {
			v, ok, err := t.postRow(f, post.ID(id))
			if ok {
				page.Items = append(page.Items, v)
			}
			return err == nil && len(page.Items) < maxPage, err
		})
	})
	return page, err
}

// postRow reads one post of a page; ok is false when it does not match.
func (t *tx) postRow(f *store.Filter, id post.ID) (v store.PostView, ok bool, err error) {
	p, err := t.post(id)
	if err != nil || !matchPost(f, p) {
		return v, false, err
	}
	if len(p.Targets) == 0 && f.Visible != nil && (f.Unplaced == nil || !f.Unplaced(p)) {
		return v, false, nil
	}
	for i := range p.Targets {
		if !visible(f, p.Targets[i].Account) {
			return v, false, nil
		}
	}
	if v, err = t.viewOf(p); err != nil {
		return v, false, err
	}
	any := func(match func(*post.Delivery) bool) bool {
		return slices.ContainsFunc(v.Deliveries, func(x store.DeliveryView) bool { return match(&x.Delivery) })
	}
	if len(f.States) > 0 || f.Account != nil || !f.From.IsZero() || !f.To.IsZero() {
		asked := *f
		asked.Series = post.ID{} // asked of the post
		if !any(func(d *post.Delivery) bool { return matchDelivery(&asked, d) }) {
			return v, false, nil
		}
	}
	if len(f.Summaries) > 0 && !slices.Contains(f.Summaries, t.summary(&v, f.Now)) {
		return v, false, nil
	}
	return v, true, nil
}

func (t *tx) summary(v *store.PostView, now time.Time) post.Summary {
	if v.Post.Unplaced() {
		return post.SummaryDraft
	}
	stops, err := t.stopList()
	if err != nil {
		stops = nil // a damaged stop is reported by every turn
	}
	all := make([]post.Standing, 0, len(v.Deliveries))
	for i := range v.Deliveries {
		x := &v.Deliveries[i]
		d := &x.Delivery
		waiting := d.State == post.InReview
		if d.State == post.Scheduled {
			waiting = slices.ContainsFunc(x.Holds, func(h post.Hold) bool { return !h.Open(now) }) ||
				stoppedBy(stops, d.Account.Kind, t.ownerOf(d.Account), now)
		}
		all = append(all, post.Standing{State: d.State, Overdue: waiting && d.Due.Before(now)})
	}
	return post.Summarize(all)
}

func (t *tx) ownerOf(key post.AccountKey) string {
	l, err := decodeLane(key, t.get(bLaneState, accountKey(key)), nil)
	if errors.Is(err, store.ErrCorrupt) {
		return ""
	}
	return l.owner
}
