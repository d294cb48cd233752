package store_test

import (
	"context"
	"errors"
	"testing"

	"muster/store"
)

type note struct {
	ID   string   `json:"id"`
	Text string   `json:"text"`
	Tags []string `json:"tags,omitempty"`
}

var notes = store.Define("nt", func(n *note) string { return n.ID },
	store.Index[note]{Name: "tag", Values: func(n *note) []string { return n.Tags }})

var plainNotes = store.Define("np", func(n *note) string { return n.ID })

func put(t *testing.T, db *store.DB, do func(tx store.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, db *store.DB, do func(tx store.Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

// TestMemoAnswersAsTheTransaction: whoever writes, and whether the write commits, a memo says what the transaction at hand says.
func TestMemoAnswersAsTheTransaction(t *testing.T) {
	db := openStore(t, t.TempDir())
	m := store.NewMemo(plainNotes, 10)
	want := func(tx store.Tx, text string) {
		t.Helper()
		n, err := m.Get(tx, "a")
		if err != nil || n.Text != text {
			t.Fatalf("got %+v, %v; want %q", n, err, text)
		}
	}
	put(t, db, func(tx store.Tx) error { return plainNotes.Put(tx, &note{ID: "a", Text: "one"}) })
	var first *note
	view(t, db, func(tx store.Tx) error {
		want(tx, "one")
		first, _ = m.Get(tx, "a")
		if again, _ := m.Get(tx, "a"); again != first {
			t.Error("decoded again although nothing changed")
		}
		put(t, db, func(tx store.Tx) error { return plainNotes.Put(tx, &note{ID: "a", Text: "two"}) }) // past the memo
		want(tx, "one")                                                                                // a snapshot stays what it was
		return nil
	})
	view(t, db, func(tx store.Tx) error { want(tx, "two"); return nil })

	failed := errors.New("no")
	err := db.Update(context.Background(), func(tx store.Tx) error {
		if err := m.Put(tx, &note{ID: "a", Text: "never"}); err != nil {
			return err
		}
		want(tx, "never")
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	view(t, db, func(tx store.Tx) error { want(tx, "two"); return nil })

	put(t, db, func(tx store.Tx) error { return plainNotes.Delete(tx, "a") })
	view(t, db, func(tx store.Tx) error {
		if _, err := m.Get(tx, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("deleted: %v", err)
		}
		return nil
	})
}

// TestMemoTakeBelongsToOne: what was taken may be changed without anybody else seeing it.
func TestMemoTakeBelongsToOne(t *testing.T) {
	db := openStore(t, t.TempDir())
	m := store.NewMemo(plainNotes, 10)
	kept := &note{ID: "a", Text: "one"}
	put(t, db, func(tx store.Tx) error { return m.Put(tx, kept) })
	view(t, db, func(tx store.Tx) error {
		mine, err := m.Take(tx, "a")
		if err != nil || mine != kept {
			t.Fatalf("not remembered after the commit: %+v, %v", mine, err)
		}
		mine.Text = "scribbled"
		other, err := m.Take(tx, "a")
		if err != nil || other.Text != "one" {
			t.Fatalf("got %+v, %v", other, err)
		}
		return nil
	})
	// A record that JSON cannot hold as it is, is not remembered as it was.
	put(t, db, func(tx store.Tx) error { return m.Put(tx, &note{ID: "a", Text: "bad \xff"}) })
	view(t, db, func(tx store.Tx) error {
		if n, err := m.Take(tx, "a"); err != nil || n.Text != "bad \ufffd" {
			t.Fatalf("got %+v, %v", n, err)
		}
		return nil
	})
}

// TestMemoIsBounded: any number of records can be read through a small memo.
func TestMemoIsBounded(t *testing.T) {
	db := openStore(t, t.TempDir())
	m := store.NewMemo(plainNotes, 2)
	ids := []string{"a", "b", "c", "d", "e"}
	put(t, db, func(tx store.Tx) error {
		for _, id := range ids {
			if err := plainNotes.Put(tx, &note{ID: id, Text: id}); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, func(tx store.Tx) error {
		seen := map[*note]bool{}
		for range 3 {
			for _, id := range ids {
				n, err := m.Get(tx, id)
				if err != nil || n.Text != id {
					t.Fatalf("%s: got %+v, %v", id, n, err)
				}
				seen[n] = true
			}
		}
		if len(seen) <= len(ids) {
			t.Errorf("%d records decoded for %d ids: nothing gave way", len(seen), len(ids))
		}
		return nil
	})
}

// TestReplace keeps indexes as Put does, without reading.
func TestReplace(t *testing.T) {
	db := openStore(t, t.TempDir())
	tagged := func(tag string) int {
		n := 0
		view(t, db, func(tx store.Tx) (err error) {
			n, err = notes.Count(tx, store.Query{Index: "tag", Value: tag})
			return err
		})
		return n
	}
	put(t, db, func(tx store.Tx) error {
		return notes.Replace(tx, nil, &note{ID: "a", Tags: []string{"x", "y"}})
	})
	put(t, db, func(tx store.Tx) error {
		old, err := notes.Get(tx, "a")
		if err != nil {
			return err
		}
		return notes.Replace(tx, old, &note{ID: "a", Tags: []string{"y", "z", "\xff"}})
	})
	for tag, want := range map[string]int{"x": 0, "y": 1, "z": 1, "\ufffd": 1, "\xff": 0} {
		if got := tagged(tag); got != want {
			t.Errorf("tag %q: got %d, want %d", tag, got, want)
		}
	}
	err := db.Update(context.Background(), func(tx store.Tx) error { return notes.Replace(tx, &note{ID: "b"}, &note{ID: "a"}) })
	if err == nil {
		t.Error("one record replaced another")
	}
}
