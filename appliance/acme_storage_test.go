package appliance

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/store"
)

// certmagic's storage keeps the contract that its interface states, over a real store on disk; nothing of it lies there in clear.
func TestACMEStorageKeepsItsContract(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	db, err := store.Open(dir, store.Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	clock := &movable{}
	s := newACMEStorage(db, clock.now)
	defer s.close()
	secret := []byte("-----BEGIN PRIVATE KEY----- very secret indeed")
	for _, key := range []string{"a/b/one", "a/b/two", "a/c", "ab/c", "a-b"} {
		if err := s.Store(ctx, key, secret); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Load(ctx, "a/b/one"); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("load: %q %v", got, err)
	}
	for _, key := range []string{"a/b", "none", "a/b/o"} { // directories and beginnings are no values
		if _, err := s.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("load %s: %v", key, err)
		}
	}
	for _, c := range []struct {
		dir       string
		recursive bool
		want      []string
	}{
		{"a", false, []string{"a/b", "a/c"}},
		{"a", true, []string{"a/b", "a/b/one", "a/b/two", "a/c"}},
		{"a/b", false, []string{"a/b/one", "a/b/two"}},
		{"", false, []string{"a", "a-b", "ab"}},
	} {
		got, err := s.List(ctx, c.dir, c.recursive)
		slices.Sort(got)
		if err != nil || !slices.Equal(slices.Compact(got), c.want) {
			t.Errorf("list %q: %v %v, want %v", c.dir, got, err, c.want)
		}
	}
	if _, err := s.List(ctx, "none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of nothing: %v", err)
	}
	if i, err := s.Stat(ctx, "a/b"); err != nil || i.IsTerminal {
		t.Errorf("a directory: %+v %v", i, err)
	}
	if i, err := s.Stat(ctx, "a/c"); err != nil || !i.IsTerminal || i.Size != int64(len(secret)) || i.Modified.IsZero() {
		t.Errorf("a value: %+v %v", i, err)
	}
	if err := s.Delete(ctx, "a/b"); err != nil || s.Exists(ctx, "a/b/one") || s.Exists(ctx, "a/b") || !s.Exists(ctx, "a/c") || !s.Exists(ctx, "ab/c") {
		t.Errorf("after deleting a directory: %v", err)
	}
	if err := s.Delete(ctx, "a/b"); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
	// Names come from outside. Whatever is in them, a value lies under its own name and nowhere else.
	odd := []string{"../a/c", "a/../a/c", "/a/c", "a//c", "a/c/", "a/c\x00", "a/c0", "*.example.org/*", strings.Repeat("x", 500), "a\n/c"}
	for _, key := range odd {
		if err := s.Store(ctx, key, []byte(key)); err != nil {
			t.Errorf("store %.20q: %v", key, err)
		}
	}
	if err := s.Store(ctx, "\xff\xfe", secret); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no UTF-8: %v", err)
	}
	if got, err := s.Load(ctx, "a/c"); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("an odd name wrote over another's value: %q %v", got, err)
	}
	for i, key := range odd {
		if got, err := s.Load(ctx, key); err != nil || string(got) != key {
			t.Errorf("load %.20q: %q %v", key, got, err)
		}
		if err := s.Delete(ctx, key); err != nil || s.Exists(ctx, key) {
			t.Errorf("delete %.20q: %v", key, err)
		}
		for _, other := range odd[i+1:] {
			if !s.Exists(ctx, other) && !strings.HasPrefix(other, key+"/") {
				t.Errorf("deleting %.20q took %.20q", key, other)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if raw, err := os.ReadFile(path); err == nil && bytes.Contains(raw, []byte("very secret")) {
				t.Errorf("%s holds the key in clear", path)
			}
		}
		return nil
	})
}

// A lock is held by one, here and in another process; it ends when its holder is gone, and a clock that was ahead holds nobody up.
func TestACMELocksAreLeases(t *testing.T) {
	ctx := t.Context()
	db, err := store.Open(t.TempDir(), store.Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	clock := &movable{}
	one, two := newACMEStorage(db, clock.now), newACMEStorage(db, clock.now) // as two processes
	defer one.close()
	defer two.close()
	take := func(s *acmeStorage, want bool, when string) {
		t.Helper()
		if got, err := s.TryLock(ctx, "name"); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", when, got, err, want)
		}
	}
	take(one, true, "free")
	take(one, false, "held in this process")
	take(two, false, "held by another")
	brief, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := two.Lock(brief, "name"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting ends with %v", err)
	}
	if err := one.Unlock(ctx, "name"); err != nil {
		t.Fatal(err)
	}
	if err := two.Lock(ctx, "name"); err != nil {
		t.Fatal(err)
	}
	two.close() // as a process that was killed: nobody renews
	clock.forward(leaseFor / 2)
	take(one, false, "before the lease runs out")
	clock.forward(leaseFor / 2)
	take(one, true, "after the lease ran out")
	if err := two.RenewLockLease(ctx, "name", leaseFor); err == nil {
		t.Error("who lost the lease renewed it")
	}
	if err := two.Unlock(ctx, "name"); err != nil {
		t.Error(err)
	}
	take(two, false, "an unlock by who lost it must not free it")
	if err := one.RenewLockLease(ctx, "name", 24*time.Hour); err != nil {
		t.Error(err)
	}
	one.held.end("name")
	clock.forward(-365 * 24 * time.Hour)
	take(two, true, "a lease from a time when the clock was a year ahead")
}
