package store_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"muster/store"

	"pgregory.net/rapid"
)

// model is what a collection should hold.
type model map[string]gadget

// taken tells whether another record than id holds serial.
func (m model) taken(serial, id string) bool {
	for _, g := range m {
		if serial != "" && g.Serial == serial && g.ID != id {
			return true
		}
	}
	return false
}

// list returns the ids that q means, in order.
func (m model) list(q store.Query) []string {
	type row struct{ value, id string }
	var rows []row
	for _, g := range m {
		var values []string
		switch q.Index {
		case "":
			values = []string{""}
		case "serial":
			values = []string{g.Serial}
		case "owner":
			values = []string{g.Owner}
		case "tag":
			values = g.Tags
		}
		values = slices.Compact(slices.Sorted(slices.Values(values)))
		for _, v := range values {
			at := v
			if q.Index == "" || q.Value != "" {
				at = g.ID
			}
			if q.Index != "" && q.Index != "tag" && v == "" || q.Value != "" && v != q.Value || at < q.From || q.To != "" && at >= q.To {
				continue
			}
			rows = append(rows, row{v, g.ID})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		if c := cmp.Compare(a.value, b.value); c != 0 {
			return c
		}
		return cmp.Compare(a.id, b.id)
	})
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	if q.Reverse {
		slices.Reverse(ids)
	}
	return ids
}

// TestCollectionIsAMap runs random updates, some of which fail, and compares every answer, inside the update
// and after it, with those of a plain map.
func TestCollectionIsAMap(t *testing.T) {
	db, ctx := openStore(t, ""), context.Background()
	word := rapid.StringOfN(rapid.RuneFrom([]rune{'a', 'b', 0, '/', 'é'}), 0, 3, -1)
	id := rapid.StringOfN(rapid.RuneFrom([]rune{'1', '2', '3'}), 1, 2, -1)
	boom := errors.New("boom")

	rapid.Check(t, func(t *rapid.T) {
		err := db.Update(ctx, func(tx store.Tx) error { // each check begins with nothing
			return gadgets.Each(tx, store.Query{}, func(g *gadget) (bool, error) { return true, gadgets.Delete(tx, g.ID) })
		})
		if err != nil {
			t.Fatal(err)
		}
		truth := model{}
		compare := func(tx store.Tx, m model) {
			q := store.Query{
				Index:   rapid.SampledFrom([]string{"", "serial", "owner", "tag"}).Draw(t, "index"),
				From:    rapid.OneOf(rapid.Just(""), word, id).Draw(t, "from"),
				To:      rapid.OneOf(rapid.Just(""), word, id).Draw(t, "to"),
				Limit:   rapid.IntRange(1, 5).Draw(t, "limit"),
				Reverse: rapid.Bool().Draw(t, "reverse"),
			}
			if q.Index != "" && rapid.Bool().Draw(t, "exact") {
				q.Value = word.Draw(t, "value")
			}
			want := m.list(q)
			unlimited := q
			unlimited.Limit = 0
			if n, err := gadgets.Count(tx, unlimited); n != len(want) || err != nil {
				t.Fatalf("%+v: Count %d, %v, want %d", unlimited, n, err, len(want))
			}
			var got []string
			for {
				page, err := gadgets.List(tx, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range page.Items {
					got = append(got, g.ID)
				}
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: got %q, want %q", q, got, want)
			}
			one := id.Draw(t, "get")
			g, err := gadgets.Get(tx, one)
			if w, ok := m[one]; ok != (err == nil) || ok && (g.Serial != w.Serial || g.Owner != w.Owner || !slices.Equal(g.Tags, w.Tags)) {
				t.Fatalf("Get %q: %+v, %v, want %+v", one, g, err, w)
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "updates") {
			next := maps.Clone(truth)
			fail := rapid.IntRange(0, 3).Draw(t, "fail") == 0
			err := db.Update(ctx, func(tx store.Tx) error {
				next = maps.Clone(truth)
				for range rapid.IntRange(1, 8).Draw(t, "writes") {
					g := gadget{ID: id.Draw(t, "id"), Serial: word.Draw(t, "serial"), Owner: word.Draw(t, "owner"),
						Tags: rapid.SliceOfN(word, 0, 3).Draw(t, "tags")}
					_, present := next[g.ID]
					var err, want error
					switch rapid.SampledFrom([]string{"insert", "put", "delete"}).Draw(t, "write") {
					case "insert":
						if present || next.taken(g.Serial, g.ID) {
							want = store.ErrExists
						} else {
							next[g.ID] = g
						}
						err = gadgets.Insert(tx, &g)
					case "put":
						if next.taken(g.Serial, g.ID) {
							want = store.ErrExists
						} else {
							next[g.ID] = g
						}
						err = gadgets.Put(tx, &g)
					case "delete":
						if !present {
							want = store.ErrNotFound
						}
						delete(next, g.ID)
						err = gadgets.Delete(tx, g.ID)
					}
					if !errors.Is(err, want) {
						t.Fatalf("%+v: got %v, want %v", g, err, want)
					}
				}
				compare(tx, next)
				if fail {
					return boom
				}
				return nil
			})
			if p := (*store.PanicError)(nil); errors.As(err, &p) {
				panic(p.Value) // rapid's own way out
			}
			if fail {
				if !errors.Is(err, boom) {
					t.Fatalf("got %v, want boom", err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				truth = next
			}
			if err := db.View(ctx, func(tx store.Tx) error { compare(tx, truth); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	})
}
