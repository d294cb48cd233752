package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/store"

	"github.com/dgraph-io/badger/v4"
)

func TestNothingOnTheDiskIsReadable(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	scan := func(when string) {
		found := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a memtable that was flushed to a table under the walk
			}
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			found += len(bytes.Trim(b, "\x00"))
			for _, word := range []string{"Rosebud", "KeyOfSteel", "OwnerOfNote", "gadget", "badger!txn"} {
				if i := bytes.Index(b, []byte(word)); i >= 0 {
					t.Errorf("%s: %s holds %q at %d", when, filepath.Base(path), word, i)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if found < 100_000 {
			t.Errorf("%s: only %d bytes on the disk, so the data was not looked at", when, found)
		}
	}
	db, err := store.Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8_000 { // more than a memtable, so that tables are written too
		if i%400 != 0 {
			continue
		}
		err := db.Update(ctx, func(tx store.Tx) error {
			for j := i; j < i+400; j++ {
				g := &gadget{ID: fmt.Sprintf("KeyOfSteel%05d", j), Owner: "OwnerOfNote", Note: strings.Repeat("Rosebud ", 150)}
				if err := gadgets.Insert(tx, g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	scan("while open")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	scan("after close")
	if tables, _ := filepath.Glob(filepath.Join(dir, "store", "*.sst")); len(tables) == 0 {
		t.Error("no table was written, so none was looked at")
	}
}

func TestWrongKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	o := testOptions()
	o.Key = bytes.Repeat([]byte{8}, 32)
	if _, err := store.Open(dir, o); !errors.Is(err, store.ErrWrongKey) || !strings.Contains(err.Error(), "key") {
		t.Errorf("another key: got %v, want ErrWrongKey", err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		o := testOptions()
		o.Key = make([]byte, n)
		if _, err := store.Open(dir, o); !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("a key of %d bytes: got %v, want ErrWrongKey", n, err)
		}
		o = testOptions()
		o.SecretsKey = make([]byte, n)
		if _, err := store.Open(dir, o); !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("a secrets key of %d bytes: got %v, want ErrWrongKey", n, err)
		}
	}
	openStore(t, dir) // a refused key has done no harm
}

func TestASecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	if _, err := store.Open(dir, testOptions()); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrLocked that names the directory", err)
	}
}

func TestForeignDirectoriesAreRefusedAndLeftAlone(t *testing.T) {
	otherDB := func(t *testing.T, path string, encrypted bool) {
		o := badger.DefaultOptions(path).WithLogger(nil).WithMemTableSize(8 << 20)
		if encrypted {
			o = o.WithEncryptionKey(testOptions().Key).WithIndexCacheSize(1 << 20)
		}
		db, err := badger.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file := func(t *testing.T, path string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("not ours"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]func(t *testing.T, dir string){
		"another program's database":                     func(t *testing.T, dir string) { otherDB(t, dir, false) },
		"another program's database in our place":        func(t *testing.T, dir string) { otherDB(t, filepath.Join(dir, "store"), false) },
		"the same, encrypted with our key":               func(t *testing.T, dir string) { otherDB(t, filepath.Join(dir, "store"), true) },
		"files in our place":                             func(t *testing.T, dir string) { file(t, filepath.Join(dir, "store", "photo.jpg")) },
		"a manifest that is none":                        func(t *testing.T, dir string) { file(t, filepath.Join(dir, "store", "MANIFEST")) },
		"a store that lost its manifest and kept tables": func(t *testing.T, dir string) { file(t, filepath.Join(dir, "store", "000001.sst")) },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			prepare(t, dir)
			before := listing(t, dir)
			if _, err := store.Open(dir, testOptions()); !errors.Is(err, store.ErrForeign) {
				t.Errorf("got %v, want ErrForeign", err)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("the directory changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

func TestAnInterruptedFirstStartIsNoStranger(t *testing.T) {
	dir := t.TempDir()
	_ = os.MkdirAll(filepath.Join(dir, "store"), 0o700)
	for _, name := range []string{"LOCK", "MANIFEST-REWRITE"} {
		if err := os.WriteFile(filepath.Join(dir, "store", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openStore(t, dir)
}

// listing names the files under dir with their sizes.
func listing(t *testing.T, dir string) string {
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			fmt.Fprintln(&out, path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMaintenance(t *testing.T) {
	db := openStore(t, "")
	empty, err := db.Size()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 2000)
	full, err := db.Size()
	if err != nil || full < empty+2000*1000 {
		t.Errorf("size %d after %d with 2000 records of 1.5 KB, %v", full, empty, err)
	}
	if err := db.RunGC(context.Background()); err != nil {
		t.Errorf("RunGC: %v", err)
	}
	want := len(entries(t, db))
	if err := db.Rest(); err != nil {
		t.Errorf("Rest: %v", err)
	}
	if got := entries(t, db); len(got) != want {
		t.Errorf("%d entries after a rest, want %d", len(got), want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.RunGC(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("RunGC with an ended context: %v", err)
	}
	boom := errors.New("boom")
	_ = db.Update(context.Background(), func(store.Tx) error { return boom })
	s := db.Stats()
	if s.Syncs != db.Syncs() || s.Updates < 10 || s.Refused != 1 || s.CommitSeconds <= 0 || s.Waiting != 0 || s.Readers != 0 || s.Failed {
		t.Errorf("got %+v", s)
	}
}
