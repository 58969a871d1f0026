package api

import (
	"encoding/base64"
	"slices"
	"strings"
)

// pageQuery is for lists without a filter.
type pageQuery struct {
	Limit  int    `query:"limit" doc:"1 to 500, 100 by default."`
	Cursor string `query:"cursor" doc:"As the page before gave it."`
}

// cursorMark begins every cursor, so that one that was made up is told from one whose item has gone.
const cursorMark = "after:"

// paged answers with one page of a list that is read whole. name gives what tells an item from the others, and their
// order. The cursor is that of the last item told, so that the next page follows it whether it is still there or not.
func paged[T any](c *call, all []T, name func(*T) string) (*answer, error) {
	return pagedAs(c, all, name, func(x *T) (T, error) { return *x, nil })
}

// pagedAs is paged for a list of what is yet to be shown: view is asked for the items of the page alone.
func pagedAs[T, V any](c *call, all []T, name func(*T) string, view func(*T) (V, error)) (*answer, error) {
	q, _ := c.query.(*pageQuery)
	limit, err := limitOf(q.Limit)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b T) int { return strings.Compare(name(&a), name(&b)) })
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		last, ours := strings.CutPrefix(string(raw), cursorMark)
		if err != nil || !ours {
			return nil, invalid("query.cursor", "invalid_parameter", "the cursor is none of this list")
		}
		all = slices.DeleteFunc(all, func(x T) bool { return name(&x) <= last })
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(cursorMark + name(&all[limit-1])))
	}
	items := make([]V, 0, len(all))
	for i := range all {
		v, err := view(&all[i])
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return &answer{body: Page[V]{Items: items, NextCursor: textOr(next)}, next: next}, nil
}
