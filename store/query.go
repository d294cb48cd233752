package store

import "fmt"

// Bounds of a page.
const (
	defaultLimit = 50
	maxLimit     = 1000
)

// Query says which records of a collection are meant, and in which order. The zero Query is all of them by id.
type Query struct {
	Index string // order by this index; "" is by id
	Value string // with Index: only records with exactly this value, by id; "" is all values
	// From and To are a range [From, To) of values when Index is given without Value, of ids otherwise.
	// Empty is unbounded.
	From, To string
	Cursor   string // Page.Next of the page before; every other field but Limit must be as it was then
	Limit    int    // List: 0 is 50, at most 1000. Each and Count: 0 is all
	Reverse  bool   // last first
}

// Page is one page of records.
type Page[T any] struct {
	Items []*T
	Next  string // cursor of the next page; "" on the last
}

// List returns a page of records. A page goes on after the last record of the one before, so records that
// come and go in between neither repeat nor hide others. A record that has several values in the index comes
// once for each, unless Query.Value names one.
func (c *Collection[T]) List(tx Tx, q Query) (Page[T], error) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	var page Page[T]
	var last []byte
	err := c.walk(tx, q, func(key []byte, id string, value []byte) (bool, error) {
		if len(page.Items) == limit {
			page.Next = q.cursor(c.name, last)
			return false, nil
		}
		v, err := c.load(tx, q, id, value)
		if err != nil {
			return false, err
		}
		page.Items = append(page.Items, v)
		if len(page.Items) == limit {
			last = append(last, key...)
		}
		return true, nil
	})
	if err != nil {
		return Page[T]{}, err
	}
	return page, nil
}

// Each calls fn for the records, until it returns false or an error, which Each returns. fn may write: what it
// writes does not change which records come.
func (c *Collection[T]) Each(tx Tx, q Query, fn func(*T) (more bool, err error)) error {
	n := 0
	return c.walk(tx, q, func(_ []byte, id string, value []byte) (bool, error) {
		v, err := c.load(tx, q, id, value)
		if err != nil {
			return false, err
		}
		more, err := fn(v)
		n++
		return more && (q.Limit <= 0 || n < q.Limit), err
	})
}

// Count counts the records without decoding them.
func (c *Collection[T]) Count(tx Tx, q Query) (int, error) {
	n := 0
	err := c.walk(tx, q, func([]byte, string, []byte) (bool, error) {
		n++
		return q.Limit <= 0 || n < q.Limit, nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// load gets the record that walk came upon; value is what walk found there.
func (c *Collection[T]) load(tx Tx, q Query, id string, value []byte) (*T, error) {
	if q.Index == "" {
		return c.decode(value)
	}
	return c.indexed(tx, q.Index, id)
}

// walk calls fn for the keys that q means: the key without the index's base, and the id of its record.
func (c *Collection[T]) walk(tx Tx, q Query, fn func(key []byte, id string, value []byte) (bool, error)) error {
	base := c.base(q.Index)
	r := Prefix(base)
	r.Reverse = q.Reverse
	unique := false
	bound := func(s string) []byte { return append(base[:len(base):len(base)], s...) }
	if q.Index != "" {
		ix, err := c.index(q.Index)
		if err != nil {
			return err
		}
		unique = ix.Unique
		if q.Value != "" {
			base = append(appendEscaped(base, q.Value), valueEnd...)
			r = Prefix(base)
			r.Reverse = q.Reverse
		} else {
			bound = func(s string) []byte { return appendEscaped(base[:len(base):len(base)], s) }
		}
	}
	single := unique && q.Value != "" // one key, with no id in it
	if !single {
		if q.From != "" {
			r.Start = bound(q.From)
		}
		if q.To != "" {
			r.End = bound(q.To)
		}
	}
	if q.Cursor != "" {
		at, err := q.position(c.name)
		if err != nil {
			return err
		}
		at = append(base[:len(base):len(base)], at...)
		if q.Reverse {
			r.End = earlier(r.End, at)
		} else {
			r.Start = later(r.Start, append(at, 0))
		}
	}
	return tx.Scan(r, func(key, value []byte) (bool, error) {
		rest := key[len(base):]
		var id string
		switch {
		case q.Index == "":
			id = string(rest)
		case unique:
			id = string(value)
			if single && (id < q.From || q.To != "" && id >= q.To) {
				return true, nil
			}
		case q.Value != "":
			id = string(rest)
		default:
			var ok bool
			if _, id, ok = splitEntry(rest); !ok {
				return false, fmt.Errorf("store: collection %s: index %s: malformed entry", c.name, q.Index)
			}
		}
		return fn(rest, id, value)
	})
}
