package api

import (
	"encoding/base64"
	"slices"
)

// pageQuery is for lists without a filter.
type pageQuery struct {
	Limit  int    `query:"limit" doc:"1 to 500, 100 by default."`
	Cursor string `query:"cursor" doc:"As the page before gave it."`
}

// paged answers with one page of a list that is read whole. name gives what tells an item from the others; the cursor
// is that of the last item told.
func paged[T any](c *call, all []T, name func(*T) string) (*answer, error) {
	q, _ := c.query.(*pageQuery)
	limit, err := limitOf(q.Limit)
	if err != nil {
		return nil, err
	}
	if q.Cursor != "" {
		last, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		i := slices.IndexFunc(all, func(x T) bool { return name(&x) == string(last) })
		if err != nil || i < 0 {
			return nil, invalid("query.cursor", "invalid_parameter", "the cursor is none of this list")
		}
		all = all[i+1:]
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(name(&all[limit-1])))
	}
	return &answer{body: Page[T]{Items: listOf(all), NextCursor: textOr(next)}, next: next}, nil
}
