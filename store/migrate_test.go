package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"muster/store"
	"muster/store/storetest"
)

// phone is the sample record as schema 2 has it. Schema 1 had one field Name "last, first", and no index on it.
type phone struct {
	ID    string `json:"id"`
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
}

var phones = store.Define("phone", func(p *phone) string { return p.ID },
	store.Index[phone]{Name: "last", Values: func(p *phone) []string { return []string{p.Last} }})

// splitNames is the sample migration: it rewrites each record, drops a collection, and fills a new index.
func splitNames(hook func() error) store.Migration {
	return store.Migration{To: 2, Name: "split names", Step: func(ctx context.Context, _ *store.DB, p *store.Progress) error {
		err := p.Walk(ctx, "split", store.Prefix([]byte("phone/")), func(tx store.Tx, key, value []byte) error {
			if err := hook(); err != nil {
				return err
			}
			var old struct{ ID, Name string }
			if err := json.Unmarshal(value, &old); err != nil {
				return err
			}
			last, first, ok := strings.Cut(old.Name, ", ")
			if !ok {
				return fmt.Errorf("record %s was handled twice", key)
			}
			b, err := json.Marshal(phone{ID: old.ID, First: first, Last: last})
			if err != nil {
				return err
			}
			return tx.Put(key, b)
		})
		if err != nil {
			return err
		}
		err = p.Do(ctx, "drop", func(tx store.Tx) error { return tx.Delete([]byte("fax/1")) })
		if err != nil {
			return err
		}
		return phones.Reindex(ctx, p)
	}}
}

func openSchema(t testing.TB, dir string, schema int) *store.DB {
	t.Helper()
	o := testOptions()
	o.Schema = schema
	db, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestMigrationTurnsBeforeIntoAfter(t *testing.T) {
	dir := t.TempDir()
	db := openSchema(t, dir, 1)
	storetest.Load(t, db, filepath.Join("testdata", "migrate", "before.txt"))
	storetest.Compare(t, db, filepath.Join("testdata", "migrate", "before.txt"))
	_ = db.Close()

	db = openSchema(t, dir, 2)
	defer db.Close()
	if db.Schema() != 1 {
		t.Errorf("schema %d before, want 1", db.Schema())
	}
	none := func() error { return nil }
	if err := db.Migrate(t.Context(), []store.Migration{splitNames(none)}); err != nil {
		t.Fatal(err)
	}
	storetest.Compare(t, db, filepath.Join("testdata", "migrate", "after.txt"))
	if db.Schema() != 2 {
		t.Errorf("schema %d after, want 2", db.Schema())
	}
	again := func() error { t.Error("a migration ran again"); return nil }
	if err := db.Migrate(t.Context(), []store.Migration{splitNames(again)}); err != nil {
		t.Error(err)
	}
	_ = db.View(t.Context(), func(tx store.Tx) error {
		return tx.Scan(store.Prefix([]byte("meta/migration/")), func(key, _ []byte) (bool, error) {
			t.Errorf("%s stayed behind", key)
			return true, nil
		})
	})
}

// fillNames writes n records of schema 1.
func fillNames(t testing.TB, db *store.DB, n int) {
	t.Helper()
	for from := 0; from < n; from += 500 {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			for i := from; i < min(from+500, n); i++ {
				id := fmt.Sprintf("%06d", i)
				if err := tx.Put([]byte("phone/"+id), []byte(`{"id":"`+id+`","name":"Last`+id+`, First"}`)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkNames checks that n records are of schema 2, each with its index entry.
func checkNames(t testing.TB, db *store.DB, n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx store.Tx) error {
		seen := 0
		err := phones.Each(tx, store.Query{Index: "last"}, func(p *phone) (bool, error) {
			if want := fmt.Sprintf("%06d", seen); p.ID != want || p.Last != "Last"+want || p.First != "First" {
				return false, fmt.Errorf("got %+v as number %d", p, seen)
			}
			seen++
			return true, nil
		})
		if err == nil && seen != n {
			err = fmt.Errorf("the index has %d records, want %d", seen, n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestInterruptedMigrationGoesOn(t *testing.T) {
	const n = 1500
	dir, stop := t.TempDir(), errors.New("power cut")
	db := openSchema(t, dir, 1)
	fillNames(t, db, n)
	_ = db.Close()
	attempts, handled := 0, 0
	for {
		attempts++
		db := openSchema(t, dir, 2)
		left := 330
		err := db.Migrate(t.Context(), []store.Migration{splitNames(func() error {
			if left--; left < 0 {
				return stop
			}
			handled++
			return nil
		})})
		if err == nil {
			checkNames(t, db, n)
			_ = db.Close()
			break
		}
		if !errors.Is(err, stop) || db.Schema() != 1 || attempts > 50 {
			t.Fatalf("attempt %d: %v, schema %d", attempts, err, db.Schema())
		}
		_ = db.Close()
	}
	if attempts < 5 || handled > n*2 {
		t.Errorf("%d attempts handled %d records of %d: it was not taken up where it stopped", attempts, handled, n)
	}
}

func TestMigrationThatWritesMuchIsSplit(t *testing.T) {
	dir := t.TempDir()
	db := openSchema(t, dir, 0)
	fillNames(t, db, 100)
	_ = db.Close()
	db = openSchema(t, dir, 1)
	defer db.Close()
	big := strings.Repeat("x", 100_000)
	err := db.Migrate(t.Context(), []store.Migration{{To: 1, Name: "grow", Step: func(ctx context.Context, _ *store.DB, p *store.Progress) error {
		return p.Walk(ctx, "grow", store.Prefix([]byte("phone/")), func(tx store.Tx, key, _ []byte) error {
			return tx.Put(append([]byte("big/"), key...), []byte(big))
		})
	}}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_ = db.View(t.Context(), func(tx store.Tx) error {
		return tx.Scan(store.Prefix([]byte("big/")), func(_, v []byte) (bool, error) { n++; return len(v) == len(big), nil })
	})
	if n != 100 {
		t.Errorf("%d records, want 100", n)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	_ = openSchema(t, dir, 3).Close()
	o := testOptions()
	o.Schema = 2
	if _, err := store.Open(dir, o); !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "3") {
		t.Errorf("got %v, want ErrNewerSchema that names the schema", err)
	}
	db := openSchema(t, dir, 3)
	if db.Schema() != 3 {
		t.Errorf("got schema %d, want 3", db.Schema())
	}
	_ = db.Close()
}

func TestMigrationsMustBeComplete(t *testing.T) {
	dir := t.TempDir()
	_ = openSchema(t, dir, 1).Close()
	db := openSchema(t, dir, 3)
	defer db.Close()
	ran := 0
	m := func(to int) store.Migration {
		return store.Migration{To: to, Step: func(context.Context, *store.DB, *store.Progress) error { ran++; return nil }}
	}
	for name, list := range map[string][]store.Migration{
		"none":           nil,
		"a gap":          {m(3)},
		"one is missing": {m(2)},
		"twice":          {m(2), m(2), m(3)},
		"too new":        {m(2), m(3), m(4)},
		"without a step": {m(2), {To: 3}},
	} {
		if err := db.Migrate(t.Context(), list); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if ran != 0 || db.Schema() != 1 {
		t.Errorf("%d steps ran, schema %d, want none and 1", ran, db.Schema())
	}
	if err := db.Migrate(t.Context(), []store.Migration{m(3), m(1), m(2)}); err != nil || ran != 2 || db.Schema() != 3 {
		t.Errorf("in any order: %v, %d ran, schema %d", err, ran, db.Schema())
	}
}

func TestReindexRefusesAValueHeldTwice(t *testing.T) {
	dir := t.TempDir()
	db := openSchema(t, dir, 0)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for _, id := range []string{"a", "b"} {
			if err := tx.Put([]byte("gadget/"+id), []byte(`{"ID":"`+id+`","Serial":"same"}`)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	db = openSchema(t, dir, 1)
	defer db.Close()
	err = db.Migrate(t.Context(), []store.Migration{{To: 1, Step: func(ctx context.Context, _ *store.DB, p *store.Progress) error {
		return gadgets.Reindex(ctx, p)
	}}})
	if !errors.Is(err, store.ErrExists) || db.Schema() != 0 {
		t.Errorf("got %v and schema %d, want ErrExists and 0", err, db.Schema())
	}
}
