// Package storetest holds the rules that every engine behind store.Tx keeps, as tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"muster/store"
)

// Store is what the suite needs of an engine.
type Store interface {
	View(ctx context.Context, fn func(store.Tx) error) error
	Update(ctx context.Context, fn func(store.Tx) error) error
}

// Run runs the suite. open returns a new, empty store that is closed when its test ends.
func Run(t *testing.T, open func(t *testing.T) Store) {
	groups := []struct {
		name  string
		rules []rule
	}{
		{"keys", keyRules},
		{"scan", scanRules},
		{"transaction", transactionRules},
		{"collection", collectionRules},
		{"paging", pagingRules},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) { r.check(&env{T: t, db: open(t), ctx: t.Context()}) })
			}
		})
	}
}

// rule is one rule; its name says what holds.
type rule struct {
	name  string
	check func(e *env)
}

// env is a rule's store and test.
type env struct {
	*testing.T
	db  Store
	ctx context.Context
}

// update runs fn in an Update that must succeed.
func (e *env) update(fn func(tx store.Tx) error) {
	e.Helper()
	if err := e.db.Update(e.ctx, fn); err != nil {
		e.Fatal(err)
	}
}

// view runs fn in a View that must succeed.
func (e *env) view(fn func(tx store.Tx) error) {
	e.Helper()
	if err := e.db.View(e.ctx, fn); err != nil {
		e.Fatal(err)
	}
}

// put writes each key with itself as value.
func (e *env) put(keys ...string) {
	e.Helper()
	e.update(func(tx store.Tx) error {
		for _, k := range keys {
			if err := tx.Put([]byte(k), []byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantKeys checks what a scan of r finds.
func (e *env) wantKeys(tx store.Tx, r store.Range, want ...string) {
	e.Helper()
	var got []string
	err := tx.Scan(r, func(key, _ []byte) (bool, error) {
		got = append(got, string(key))
		return true, nil
	})
	if err != nil {
		e.Fatal(err)
	}
	if !slices.Equal(got, want) {
		e.Errorf("scan of %q to %q (reverse %v): got %q, want %q", r.Start, r.End, r.Reverse, got, want)
	}
}

// wantErr checks that err is want.
func (e *env) wantErr(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("got error %v, want %v", err, want)
	}
}

// between is the range of keys from start up to, and without, end.
func between(start, end string) store.Range {
	return store.Range{Start: []byte(start), End: []byte(end)}
}

func reversed(r store.Range) store.Range {
	r.Reverse = true
	return r
}

// number names the i-th thing so that names sort as numbers do.
func number(i int) string { return fmt.Sprintf("%05d", i) }
