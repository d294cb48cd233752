package storetest

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"muster/store"
)

// thing is the suite's record.
type thing struct {
	ID   string
	Code string   // unique
	Kind string   // plain index
	Tags []string // several values
	Raw  []byte   // index by bytes
	Text string   // not indexed
}

var things = store.Define("thing", func(v *thing) string { return v.ID },
	store.Index[thing]{Name: "code", Unique: true, Values: func(v *thing) []string { return some(v.Code) }},
	store.Index[thing]{Name: "kind", Values: func(v *thing) []string { return some(v.Kind) }},
	store.Index[thing]{Name: "tag", Values: func(v *thing) []string { return v.Tags }},
	store.Index[thing]{Name: "raw", Values: func(v *thing) []string { return some(string(v.Raw)) }},
)

// thingsLike has a name that begins like that of things, and must not meet it.
var thingsLike = store.Define("thing-2", func(v *thing) string { return v.ID },
	store.Index[thing]{Name: "kind", Values: func(v *thing) []string { return some(v.Kind) }},
)

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// insert inserts records in one update.
func (e *env) insert(all ...*thing) {
	e.Helper()
	e.update(func(tx store.Tx) error {
		for _, v := range all {
			if err := things.Insert(tx, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantIDs checks which records a query lists, in order, through List, Each and Count.
func (e *env) wantIDs(tx store.Tx, q store.Query, want ...string) {
	e.Helper()
	page, err := things.List(tx, q)
	if err != nil {
		e.Fatal(err)
	}
	var listed, each []string
	for _, v := range page.Items {
		listed = append(listed, v.ID)
	}
	err = things.Each(tx, q, func(v *thing) (bool, error) { each = append(each, v.ID); return true, nil })
	if err != nil {
		e.Fatal(err)
	}
	n, err := things.Count(tx, q)
	if err != nil {
		e.Fatal(err)
	}
	if !slices.Equal(listed, want) || !slices.Equal(each, want) || n != len(want) {
		e.Errorf("%+v: List %q, Each %q, Count %d, want %q", q, listed, each, n, want)
	}
}

var collectionRules = []rule{
	{"a record comes back as it was written", func(e *env) {
		want := thing{ID: "a", Code: "c", Kind: "k", Tags: []string{"x", "y"}, Raw: []byte{0, 0xff}, Text: "text"}
		e.insert(&want)
		e.view(func(tx store.Tx) error {
			got, err := things.Get(tx, "a")
			if err != nil {
				return err
			}
			if got.Code != "c" || !slices.Equal(got.Tags, want.Tags) || !slices.Equal(got.Raw, want.Raw) || got.Text != "text" {
				e.Errorf("got %+v, want %+v", got, want)
			}
			found, err := things.Find(tx, "code", "c")
			if err != nil || found.ID != "a" {
				e.Errorf("found %+v, %v", found, err)
			}
			for id, want := range map[string]bool{"a": true, "b": false, "": false} {
				if has, err := things.Has(tx, id); has != want || err != nil {
					e.Errorf("Has %q: %v, %v", id, has, err)
				}
			}
			return nil
		})
	}},
	{"what is absent is not found", func(e *env) {
		e.update(func(tx store.Tx) error {
			_, err := things.Get(tx, "a")
			e.wantErr(err, store.ErrNotFound)
			_, err = things.Get(tx, "")
			e.wantErr(err, store.ErrNotFound)
			_, err = things.Find(tx, "code", "c")
			e.wantErr(err, store.ErrNotFound)
			e.wantErr(things.Delete(tx, "a"), store.ErrNotFound)
			return nil
		})
	}},
	{"inserting a present id is refused", func(e *env) {
		e.insert(&thing{ID: "a", Text: "first"})
		err := e.db.Update(e.ctx, func(tx store.Tx) error { return things.Insert(tx, &thing{ID: "a", Text: "second"}) })
		e.wantErr(err, store.ErrExists)
		var x *store.ExistsError
		if !errors.As(err, &x) || x.Collection != "thing" || x.Index != "" || x.Holder != "a" {
			e.Errorf("got %+v", x)
		}
	}},
	{"a record without id, and an unknown index, are refused", func(e *env) {
		e.update(func(tx store.Tx) error {
			if things.Put(tx, &thing{}) == nil || things.Insert(tx, &thing{}) == nil {
				e.Error("a record without id was taken")
			}
			if _, err := things.List(tx, store.Query{Index: "colour"}); err == nil {
				e.Error("an unknown index was taken")
			}
			if _, err := things.Find(tx, "kind", "k"); err == nil {
				e.Error("Find on an index that is not unique was taken")
			}
			return nil
		})
	}},
	{"a unique value has one holder, and refusal writes nothing", func(e *env) {
		e.insert(&thing{ID: "a", Code: "c"}, &thing{ID: "b", Code: "d", Kind: "old"})
		e.update(func(tx store.Tx) error {
			for _, err := range []error{
				things.Insert(tx, &thing{ID: "z", Code: "c", Kind: "new"}),
				things.Put(tx, &thing{ID: "b", Code: "c", Kind: "new"}),
			} {
				e.wantErr(err, store.ErrExists)
				var x *store.ExistsError
				if !errors.As(err, &x) || x.Index != "code" || x.Holder != "a" {
					e.Errorf("got %+v", x)
				}
			}
			return nil
		})
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{Index: "kind", Value: "old"}, "b")
			e.wantIDs(tx, store.Query{Index: "kind", Value: "new"})
			e.wantIDs(tx, store.Query{Index: "code"}, "a", "b")
			return nil
		})
	}},
	{"a unique value moves within a transaction", func(e *env) {
		e.insert(&thing{ID: "a", Code: "c"}, &thing{ID: "b", Code: "d"})
		e.update(func(tx store.Tx) error {
			if err := things.Put(tx, &thing{ID: "a"}); err != nil {
				return err
			}
			return things.Put(tx, &thing{ID: "b", Code: "c"})
		})
		e.view(func(tx store.Tx) error {
			v, err := things.Find(tx, "code", "c")
			if err != nil || v.ID != "b" {
				e.Errorf("got %+v, %v, want b", v, err)
			}
			_, err = things.Find(tx, "code", "d")
			e.wantErr(err, store.ErrNotFound)
			return nil
		})
	}},
	{"parallel inserts of one unique value: one wins", func(e *env) {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				err := e.db.Update(e.ctx, func(tx store.Tx) error {
					return things.Insert(tx, &thing{ID: strconv.Itoa(i), Code: "one"})
				})
				if err == nil {
					won.Add(1)
				} else {
					e.wantErr(err, store.ErrExists)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			e.Errorf("%d won, want 1", won.Load())
		}
		e.view(func(tx store.Tx) error {
			n, err := things.Count(tx, store.Query{})
			if n != 1 {
				e.Errorf("%d records, want 1", n)
			}
			return err
		})
	}},
	{"index entries follow changes and deletions", func(e *env) {
		e.insert(&thing{ID: "a", Kind: "k", Tags: []string{"x", "y", "x"}}, &thing{ID: "b", Kind: "k", Tags: []string{"y"}})
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{Index: "kind", Value: "k"}, "a", "b")
			e.wantIDs(tx, store.Query{Index: "tag", Value: "x"}, "a")
			e.wantIDs(tx, store.Query{Index: "tag", Value: "y"}, "a", "b")
			return nil
		})
		e.update(func(tx store.Tx) error {
			return things.Put(tx, &thing{ID: "a", Kind: "l", Tags: []string{"z", "y"}})
		})
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{Index: "kind", Value: "k"}, "b")
			e.wantIDs(tx, store.Query{Index: "kind", Value: "l"}, "a")
			e.wantIDs(tx, store.Query{Index: "tag", Value: "x"})
			e.wantIDs(tx, store.Query{Index: "tag"}, "a", "b", "a") // y y z
			return nil
		})
		e.update(func(tx store.Tx) error { return things.Delete(tx, "a") })
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{Index: "kind"}, "b")
			e.wantIDs(tx, store.Query{Index: "tag"}, "b")
			e.wantIDs(tx, store.Query{}, "b")
			return nil
		})
		e.update(func(tx store.Tx) error { return things.Delete(tx, "b") })
		e.view(func(tx store.Tx) error {
			e.wantKeys(tx, store.Prefix([]byte("thing/")))
			e.wantKeys(tx, store.Prefix([]byte("ix/thing/")))
			return nil
		})
	}},
	{"text that JSON cannot hold leaves no stray entry", func(e *env) {
		e.insert(&thing{ID: "a", Kind: "k\xff", Code: "c\xfe"})
		e.update(func(tx store.Tx) error { return things.Put(tx, &thing{ID: "a", Kind: "other"}) })
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{Index: "kind"}, "a")
			e.wantIDs(tx, store.Query{Index: "code"})
			return nil
		})
	}},
	{"index values may hold any bytes and sort as bytes do", func(e *env) {
		raws := []string{"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a/b", "aa", "\xff", "\xff\xff"}
		for i, raw := range raws {
			e.insert(&thing{ID: number(i), Raw: []byte(raw)})
		}
		e.view(func(tx store.Tx) error {
			var all []string
			for i, raw := range raws {
				all = append(all, number(i))
				e.wantIDs(tx, store.Query{Index: "raw", Value: raw}, number(i))
			}
			e.wantIDs(tx, store.Query{Index: "raw"}, all...)
			for from := range raws {
				for to := from; to < len(raws); to++ {
					e.wantIDs(tx, store.Query{Index: "raw", From: raws[from], To: raws[to]}, all[from:to]...)
				}
			}
			slices.Reverse(all)
			e.wantIDs(tx, store.Query{Index: "raw", Reverse: true}, all...)
			return nil
		})
	}},
	{"ranges are of ids, of values, or of ids within a value", func(e *env) {
		e.insert(&thing{ID: "a", Kind: "k", Code: "1"}, &thing{ID: "b", Kind: "l", Code: "2"},
			&thing{ID: "c", Kind: "k", Code: "3"}, &thing{ID: "d", Kind: "k", Code: "4"})
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{From: "b", To: "d"}, "b", "c")
			e.wantIDs(tx, store.Query{From: "b", Reverse: true}, "d", "c", "b")
			e.wantIDs(tx, store.Query{To: "b"}, "a")
			e.wantIDs(tx, store.Query{Index: "code", From: "2", To: "4"}, "b", "c")
			e.wantIDs(tx, store.Query{Index: "code", Value: "3"}, "c")
			e.wantIDs(tx, store.Query{Index: "code", Value: "3", From: "d"})
			e.wantIDs(tx, store.Query{Index: "kind", Value: "k", From: "b"}, "c", "d")
			e.wantIDs(tx, store.Query{Index: "kind", Value: "k", To: "d", Reverse: true}, "c", "a")
			return nil
		})
	}},
	{"collections with like names are apart", func(e *env) {
		e.insert(&thing{ID: "a", Kind: "k"})
		e.update(func(tx store.Tx) error { return thingsLike.Insert(tx, &thing{ID: "b", Kind: "k"}) })
		e.view(func(tx store.Tx) error {
			e.wantIDs(tx, store.Query{}, "a")
			e.wantIDs(tx, store.Query{Index: "kind"}, "a")
			return nil
		})
	}},
	{"Each may change what it walks over", func(e *env) {
		e.insert(&thing{ID: "a", Kind: "k"}, &thing{ID: "b", Kind: "k"}, &thing{ID: "c", Kind: "k"})
		e.update(func(tx store.Tx) error {
			n := 0
			err := things.Each(tx, store.Query{Index: "kind"}, func(v *thing) (bool, error) {
				n++
				if v.ID == "b" {
					return true, things.Delete(tx, "b")
				}
				v.Kind = "z"
				return true, things.Put(tx, v)
			})
			if n != 3 {
				e.Errorf("Each came to %d records, want 3", n)
			}
			e.wantIDs(tx, store.Query{Index: "kind", Value: "z"}, "a", "c")
			e.wantIDs(tx, store.Query{Index: "kind", Value: "k"})
			return err
		})
	}},
}
