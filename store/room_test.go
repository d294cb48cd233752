package store_test

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"muster/store"
)

// Below the reserve nothing is written and nothing is lost; above it writes go on without a restart. Nobody opens a store where even opening has no room.
func TestWritesStopBeforeTheDiskIsFull(t *testing.T) {
	var free atomic.Uint64
	free.Store(1000)
	o := testOptions()
	o.Free, o.Reserve = func() (uint64, error) { return free.Load(), nil }, 400
	dir := t.TempDir()
	db, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	insertGadgets(t, db, 0, 10)
	before := entries(t, db)
	free.Store(399)
	err = db.Update(t.Context(), func(tx store.Tx) error { return gadgets.Put(tx, &gadget{ID: "late"}) })
	if !errors.Is(err, store.ErrNoRoom) || errors.Is(err, store.ErrFailed) || !db.Stats().NoRoom {
		t.Errorf("below the reserve: %v, %+v", err, db.Stats())
	}
	if got := entries(t, db); len(got) != len(before) {
		t.Errorf("%d entries, want %d", len(got), len(before))
	}
	free.Store(400)
	insertGadgets(t, db, 10, 11)
	if db.Stats().NoRoom {
		t.Error("it is still said to be full")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	free.Store(99)
	if _, err := store.Open(dir, o); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("opening without any room: %v", err)
	}
	free.Store(1000)
	if db, err = store.Open(dir, o); err != nil {
		t.Fatal(err)
	}
	insertGadgets(t, db, 20, 30)
	want := len(entries(t, db))
	free.Store(99)
	if err := db.Close(); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("closing without any room: %v", err)
	}
	free.Store(1000)
	moved := t.TempDir() // the lock stays with this process
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(moved, o); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := entries(t, db); len(got) != want || want <= len(before) {
		t.Errorf("%d entries after all that, want %d", len(got), want)
	}
}
