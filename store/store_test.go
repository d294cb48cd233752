package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"muster/store"
)

// testOptions returns options with fixed keys.
func testOptions() store.Options {
	return store.Options{Key: bytes.Repeat([]byte{7}, 32), SecretsKey: bytes.Repeat([]byte{9}, 32), Small: true}
}

// openStore opens a store in dir, or in a new directory when dir is empty, and closes it with the test.
func openStore(t testing.TB, dir string) *store.DB {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	db, err := store.Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

type gadget struct {
	ID     string
	Serial string
	Owner  string
	Tags   []string
	Note   string
}

var gadgets = store.Define("gadget", func(g *gadget) string { return g.ID },
	store.Index[gadget]{Name: "serial", Unique: true, Values: func(g *gadget) []string {
		if g.Serial == "" {
			return nil
		}
		return []string{g.Serial}
	}},
	store.Index[gadget]{Name: "owner", Values: func(g *gadget) []string {
		if g.Owner == "" {
			return nil
		}
		return []string{g.Owner}
	}},
	store.Index[gadget]{Name: "tag", Values: func(g *gadget) []string { return g.Tags }},
)

func TestRecordSurvivesReopening(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	db, err := store.Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	want := &gadget{ID: store.NewID(), Serial: "S1", Owner: "ann"}
	if err := db.Update(ctx, func(tx store.Tx) error { return gadgets.Insert(tx, want) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openStore(t, dir)
	err = db.View(ctx, func(tx store.Tx) error {
		got, err := gadgets.Find(tx, "serial", "S1")
		if err != nil {
			return err
		}
		if got.ID != want.ID || got.Owner != "ann" {
			t.Errorf("got %+v, want %+v", got, want)
		}
		page, err := gadgets.List(tx, store.Query{Index: "owner", Value: "ann"})
		if err != nil {
			return err
		}
		if len(page.Items) != 1 || page.Next != "" {
			t.Errorf("got %d items and next %q, want 1 and none", len(page.Items), page.Next)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestParallelUpdatesAllCommit(t *testing.T) {
	db, ctx := openStore(t, ""), context.Background()
	before := db.Syncs()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 50 {
				err := db.Update(ctx, func(tx store.Tx) error {
					return gadgets.Insert(tx, &gadget{ID: fmt.Sprintf("%02d-%03d", w, i), Owner: "w"})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_ = db.View(ctx, func(tx store.Tx) error {
		n, err := gadgets.Count(tx, store.Query{Index: "owner", Value: "w"})
		if n != 800 || err != nil {
			t.Errorf("got %d records, %v, want 800", n, err)
		}
		return nil
	})
	if syncs := db.Syncs() - before; syncs >= 800 {
		t.Errorf("%d syncs for 800 parallel updates: nothing was combined", syncs)
	} else {
		t.Logf("%d syncs for 800 updates", syncs)
	}
}

func TestRecordAndIndexesStandOrFallTogether(t *testing.T) {
	db, ctx := openStore(t, ""), context.Background()
	boom := errors.New("boom")
	err := db.Update(ctx, func(tx store.Tx) error {
		if err := gadgets.Insert(tx, &gadget{ID: "a", Serial: "S"}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want boom", err)
	}
	_ = db.View(ctx, func(tx store.Tx) error {
		if _, err := gadgets.Find(tx, "serial", "S"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Find after a failed update: %v, want ErrNotFound", err)
		}
		return nil
	})
}
