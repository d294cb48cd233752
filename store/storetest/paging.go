package storetest

import (
	"slices"

	"muster/store"
)

// pages lists everything that q means, page by page, and calls between after each page.
func (e *env) pages(q store.Query, between func(page int)) []string {
	e.Helper()
	var got []string
	for n := 1; ; n++ {
		var page store.Page[thing]
		e.view(func(tx store.Tx) (err error) {
			page, err = things.List(tx, q)
			return err
		})
		for _, v := range page.Items {
			got = append(got, v.ID)
		}
		if page.Next == "" {
			return got
		}
		if len(page.Items) != q.Limit {
			e.Fatalf("a page that is not the last has %d records, want %d", len(page.Items), q.Limit)
		}
		if n > 1000 {
			e.Fatal("paging does not end")
		}
		between(n)
		q.Cursor = page.Next
	}
}

// numbered inserts the records from up to to, of kind k.
func (e *env) numbered(from, to, step int) {
	e.Helper()
	e.update(func(tx store.Tx) error {
		for i := from; i < to; i += step {
			if err := things.Insert(tx, &thing{ID: number(i), Kind: "k", Code: "c" + number(i)}); err != nil {
				return err
			}
		}
		return nil
	})
}

var pagingRules = []rule{
	{"pages give each record once, in order, either way, by every index", func(e *env) {
		e.numbered(0, 25, 1)
		var want []string
		for i := range 25 {
			want = append(want, number(i))
		}
		for _, q := range []store.Query{{}, {Index: "kind"}, {Index: "kind", Value: "k"}, {Index: "code"}} {
			for _, limit := range []int{1, 5, 7, 24, 25, 26} {
				for _, reverse := range []bool{false, true} {
					q.Limit, q.Reverse = limit, reverse
					expect := slices.Clone(want)
					if reverse {
						slices.Reverse(expect)
					}
					if got := e.pages(q, func(int) {}); !slices.Equal(got, expect) {
						e.Errorf("%+v: got %q", q, got)
					}
				}
			}
		}
	}},
	{"the last page is known as the last", func(e *env) {
		e.numbered(0, 10, 1)
		n := 0
		e.pages(store.Query{Limit: 5}, func(int) { n++ })
		if n != 1 {
			e.Errorf("10 records in pages of 5: %d pages, want 2", n+1)
		}
	}},
	{"limits: 50 by default, at most 1000 in a list, none in Each", func(e *env) {
		e.numbered(0, 1100, 1)
		e.view(func(tx store.Tx) error {
			for limit, want := range map[int]int{0: 50, -1: 50, 10: 10, 5000: 1000} {
				page, err := things.List(tx, store.Query{Limit: limit})
				if err != nil {
					return err
				}
				if len(page.Items) != want || page.Next == "" {
					e.Errorf("limit %d: %d records, want %d and a next page", limit, len(page.Items), want)
				}
			}
			for limit, want := range map[int]int{0: 1100, 3: 3} {
				n, err := things.Count(tx, store.Query{Limit: limit})
				if n != want || err != nil {
					e.Errorf("Count with limit %d: %d, %v, want %d", limit, n, err, want)
				}
				n = 0
				err = things.Each(tx, store.Query{Limit: limit}, func(*thing) (bool, error) { n++; return true, nil })
				if n != want || err != nil {
					e.Errorf("Each with limit %d: %d, %v, want %d", limit, n, err, want)
				}
			}
			return nil
		})
	}},
	{"records that come and go between pages neither repeat nor hide others", func(e *env) {
		for _, reverse := range []bool{false, true} {
			for _, q := range []store.Query{{Limit: 4}, {Limit: 4, Index: "kind", Value: "k"}, {Limit: 4, Index: "code"}} {
				q.Reverse = reverse
				e.update(func(tx store.Tx) error {
					return things.Each(tx, store.Query{}, func(v *thing) (bool, error) { return true, things.Delete(tx, v.ID) })
				})
				e.numbered(0, 200, 2) // the even ones stay, but for those that are deleted below
				got := e.pages(q, func(page int) {
					// Odd ones come on both sides of where the page ended; multiples of ten go, the page's own end among them.
					at := page * 8
					if reverse {
						at = 200 - page*8
					}
					e.update(func(tx store.Tx) error {
						for i := max(0, at-6); i < min(200, at+6); i++ {
							id := number(i)
							has, err := things.Has(tx, id)
							if err != nil {
								return err
							}
							switch {
							case i%2 == 1 && !has:
								err = things.Insert(tx, &thing{ID: id, Kind: "k", Code: "c" + id})
							case i%10 == 0 && has:
								err = things.Delete(tx, id)
							}
							if err != nil {
								return err
							}
						}
						return nil
					})
				})
				sorted := slices.Clone(got)
				slices.Sort(sorted)
				if len(slices.Compact(slices.Clone(sorted))) != len(got) {
					e.Errorf("%+v: a record came twice: %q", q, got)
				}
				if reverse {
					slices.Reverse(sorted)
				}
				if !slices.Equal(sorted, got) {
					e.Errorf("%+v: out of order: %q", q, got)
				}
				for i := 0; i < 200; i += 2 {
					if i%10 != 0 && !slices.Contains(got, number(i)) {
						e.Errorf("%+v: %s never came", q, number(i))
					}
				}
			}
		}
	}},
	{"a cursor serves the query it came from only", func(e *env) {
		e.numbered(0, 10, 1)
		e.view(func(tx store.Tx) error {
			q := store.Query{Index: "kind", Value: "k", Limit: 3}
			page, err := things.List(tx, q)
			if err != nil {
				return err
			}
			for _, other := range []store.Query{
				{Index: "kind", Value: "l"}, {Index: "kind"}, {Index: "code"}, {},
				{Index: "kind", Value: "k", Reverse: true}, {Index: "kind", Value: "k", From: "x"},
			} {
				other.Cursor = page.Next
				_, err := things.List(tx, other)
				e.wantErr(err, store.ErrBadCursor)
				_, err = things.Count(tx, other)
				e.wantErr(err, store.ErrBadCursor)
			}
			for _, made := range []string{"x", "!", "AAAA", page.Next + "=", page.Next[:8], "Ag" + page.Next[2:]} {
				_, err := things.List(tx, store.Query{Index: "kind", Value: "k", Cursor: made})
				e.wantErr(err, store.ErrBadCursor)
			}
			q.Cursor, q.Limit = page.Next, 0 // the size of a page may change
			if page, err = things.List(tx, q); len(page.Items) != 7 || err != nil {
				e.Errorf("got %d records, %v, want 7", len(page.Items), err)
			}
			return nil
		})
	}},
}
