package fleet

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"muster/store"
)

const (
	pageDefault = 50
	pageMost    = 500
	scanMost    = 5000 // records that one page of a filtered list looks at, at most
	searchMost  = 1000 // different hits that a search goes through, at most
)

// pageLimit is how many items a list hands out.
func pageLimit(n int) int {
	switch {
	case n <= 0:
		return pageDefault
	case n > pageMost:
		return pageMost
	}
	return n
}

// pageOf fills a page with the records of an index that keep wants. It looks at a bounded number of them, so a page may be short, or
// empty, and still have a next one.
func pageOf[T any](tx store.Tx, c *store.Collection[T], q store.Query, limit int, keep func(*T) (bool, error)) ([]*T, string, error) {
	var out []*T
	for seen := 0; ; {
		q.Limit = limit - len(out)
		page, err := c.List(tx, q)
		if errors.Is(err, store.ErrBadCursor) {
			return nil, "", Refuse(ErrInvalid, "input.cursor")
		}
		if err != nil {
			return nil, "", err
		}
		for _, v := range page.Items {
			ok, err := keep(v)
			if err != nil {
				return nil, "", err
			}
			if ok {
				out = append(out, v)
			}
		}
		seen += len(page.Items)
		q.Cursor = page.Next
		if page.Next == "" || len(out) >= limit || seen >= scanMost {
			return out, page.Next, nil
		}
	}
}

// splitSearch cuts a search text into the words that searchWords makes of a name.
func splitSearch(s string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(clip(s, 200)), func(r rune) bool { return strings.ContainsRune(" \t.-_@'\"(),", r) }) {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// searchPage finds what has, for each searched word, a word beginning with it. words gives a record's own. Hits come in the order of
// less; the cursor counts them, and a search goes through a bounded number.
func searchPage[T any](tx store.Tx, c *store.Collection[T], lq ListQuery, id func(*T) string, words func(*T) []string,
	keep func(*T) (bool, error), compare func(a, b *T) int) ([]*T, string, int, error) {
	wanted := splitSearch(lq.Search)
	if len(wanted) == 0 {
		return nil, "", 0, nil
	}
	slices.SortFunc(wanted, func(a, b string) int { return len(b) - len(a) }) // the longest is the rarest
	seen := map[string]bool{}
	var hits []*T
	looked := 0
	err := c.Each(tx, store.Query{Index: "word", From: wanted[0], To: wanted[0] + "\xff"}, func(v *T) (bool, error) {
		looked++
		if !seen[id(v)] {
			seen[id(v)] = true
			has := words(v)
			for _, w := range wanted[1:] {
				if !slices.ContainsFunc(has, func(h string) bool { return strings.HasPrefix(h, w) }) {
					return looked < scanMost, nil
				}
			}
			ok, err := keep(v)
			if err != nil {
				return false, err
			}
			if ok {
				hits = append(hits, v)
			}
		}
		return looked < scanMost && len(hits) < searchMost, nil
	})
	if err != nil {
		return nil, "", 0, err
	}
	slices.SortStableFunc(hits, compare)
	if lq.Reverse {
		slices.Reverse(hits)
	}
	total := len(hits)
	if looked >= scanMost || total >= searchMost {
		total = -1
	}
	return countedPage(hits, lq, total)
}

// countedPage cuts a page out of a list that is in memory.
func countedPage[T any](all []*T, lq ListQuery, total int) ([]*T, string, int, error) {
	from := 0
	if lq.Cursor != "" {
		n, err := strconv.Atoi(lq.Cursor)
		if err != nil || n < 0 {
			return nil, "", 0, Refuse(ErrInvalid, "input.cursor")
		}
		from = min(n, len(all))
	}
	to := min(from+pageLimit(lq.Limit), len(all))
	next := ""
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next, total, nil
}

// notFound turns the store's word into ours.
func notFound(err error, what string) error {
	if errors.Is(err, store.ErrNotFound) {
		return Refuse(ErrNotFound, "not-found", "what", what)
	}
	return err
}

// meanwhile refuses a save that was made from an older version.
func meanwhile(named, present int, what string) error {
	if named != 0 && named != present {
		return Refuse(ErrConflict, "changed-meanwhile", "what", what)
	}
	return nil
}
