package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"muster/store"
)

// keyDirs returns a data directory that does not exist yet and a seal key path beside it.
func keyDirs(t *testing.T) (data, seal string) {
	dir := t.TempDir()
	return filepath.Join(dir, "data"), filepath.Join(dir, "etc", "seal.key")
}

func mustKeys(t *testing.T, data, seal string) store.Keys {
	t.Helper()
	keys, err := store.OpenKeys(data, seal)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestKeysAreMadeOnceAndReadAgain(t *testing.T) {
	data, seal := keyDirs(t)
	first := mustKeys(t, data, seal)
	if len(first.Store) != 32 || len(first.Secrets) != 32 || bytes.Equal(first.Store, first.Secrets) {
		t.Errorf("got %d and %d bytes", len(first.Store), len(first.Secrets))
	}
	again := mustKeys(t, data, seal)
	if !bytes.Equal(first.Store, again.Store) || !bytes.Equal(first.Secrets, again.Secrets) {
		t.Error("the second reading gave other keys")
	}
	for _, path := range []string{seal, filepath.Join(data, "keys")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", path, info.Mode().Perm())
		}
		b, _ := os.ReadFile(path)
		if bytes.Contains(b, first.Store) || bytes.Contains(b, first.Secrets) {
			t.Errorf("%s holds a key in the clear", path)
		}
	}
	for _, dir := range []string{data, filepath.Dir(seal)} {
		if left, _ := filepath.Glob(filepath.Join(dir, ".*-*")); len(left) > 0 {
			t.Errorf("temporary files stayed: %q", left)
		}
	}
	other := mustKeys(t, filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "seal.key"))
	if bytes.Equal(first.Store, other.Store) {
		t.Error("two data directories got one key")
	}
}

func TestSealKeyInsideTheDataDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := func(target, name string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			t.Skip(err)
		}
		return path
	}
	cases := map[string][2]string{
		"directly":                         {data, filepath.Join(data, "seal.key")},
		"deeper, in no directory yet":      {data, filepath.Join(data, "a", "b", "seal.key")},
		"the directory itself":             {data, data},
		"by dots":                          {data, filepath.Join(dir, "x") + "/../data/seal.key"},
		"through a link to the directory":  {data, filepath.Join(link(data, "to-data"), "seal.key")},
		"through a link to a part of it":   {data, filepath.Join(link(filepath.Join(data, "sub"), "to-sub"), "seal.key")},
		"a link to a file inside":          {data, link(filepath.Join(data, "there.key"), "to-file")},
		"a relative link to a file inside": {data, link(filepath.Join("data", "there.key"), "to-file-2")},
		"with a linked data directory":     {link(data, "data-link"), filepath.Join(data, "seal.key")},
	}
	for name, c := range cases {
		if _, err := store.OpenKeys(c[0], c[1]); !errors.Is(err, store.ErrKeyPlace) {
			t.Errorf("%s: got %v, want ErrKeyPlace", name, err)
		}
		if err := store.RotateSealKey(c[0], filepath.Join(dir, "old"), c[1]); !errors.Is(err, store.ErrKeyPlace) {
			t.Errorf("%s: rotation got %v, want ErrKeyPlace", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "keys")); err == nil {
		t.Error("a refused call wrote a keys file")
	}
	if _, err := store.OpenKeys(data, filepath.Join(dir, "data-not", "seal.key")); err != nil {
		t.Errorf("a directory whose name begins alike: %v", err)
	}
}

func TestSealKeyThatEveryUserMayReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing here")
	}
	data, seal := keyDirs(t)
	mustKeys(t, data, seal)
	if err := os.Chmod(seal, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenKeys(data, seal); !errors.Is(err, store.ErrKeyPlace) || !strings.Contains(err.Error(), "0600") {
		t.Errorf("got %v, want ErrKeyPlace that says what to do", err)
	}
}

func TestLostHalvesAreNotMadeAnew(t *testing.T) {
	t.Run("seal key lost", func(t *testing.T) {
		data, seal := keyDirs(t)
		mustKeys(t, data, seal)
		_ = os.Remove(seal)
		if _, err := store.OpenKeys(data, seal); !errors.Is(err, store.ErrKeyMissing) || !strings.Contains(err.Error(), seal) {
			t.Errorf("got %v, want ErrKeyMissing that names the file", err)
		}
		if _, err := os.Stat(seal); err == nil {
			t.Error("a new seal key was made")
		}
	})
	t.Run("keys file lost", func(t *testing.T) {
		data, seal := keyDirs(t)
		keys := mustKeys(t, data, seal)
		db, err := store.Open(data, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Small: true})
		if err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
		_ = os.Remove(filepath.Join(data, "keys"))
		if _, err := store.OpenKeys(data, seal); !errors.Is(err, store.ErrKeyMissing) {
			t.Errorf("got %v, want ErrKeyMissing", err)
		}
	})
}

func TestWrongOrDamagedKeyFilesAreRefused(t *testing.T) {
	data, seal := keyDirs(t)
	mustKeys(t, data, seal)
	_, other := keyDirs(t)
	mustKeys(t, filepath.Join(t.TempDir(), "d"), other)
	if _, err := store.OpenKeys(data, other); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("another seal key: got %v, want ErrWrongKey", err)
	}
	good, _ := os.ReadFile(filepath.Join(data, "keys"))
	damage := map[string]struct {
		b    []byte
		want error
	}{
		"one byte of a key": {bytes.Replace(good, []byte(`"store":"A`), []byte(`"store":"B`), 1), store.ErrWrongKey},
		"cut short":         {good[:len(good)/2], store.ErrForeign},
		"empty":             {nil, store.ErrForeign},
	}
	for name, d := range damage {
		if bytes.Equal(d.b, good) {
			t.Fatalf("%s: nothing was damaged", name)
		}
		if err := os.WriteFile(filepath.Join(data, "keys"), d.b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenKeys(data, seal); !errors.Is(err, d.want) {
			t.Errorf("keys file, %s: got %v, want %v", name, err, d.want)
		}
	}
	for _, b := range []string{"", "x", "muster-seal-key-1 AAAA\n", strings.Repeat("A", 44)} {
		if err := os.WriteFile(seal, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenKeys(data, seal); !errors.Is(err, store.ErrWrongKey) {
			t.Errorf("seal key %q: got %v, want ErrWrongKey", b, err)
		}
	}
}

func TestRotationKeepsTheDataAndEndsTheOldKey(t *testing.T) {
	data, seal := keyDirs(t)
	before := mustKeys(t, data, seal)
	next := filepath.Join(filepath.Dir(seal), "next.key")
	if err := store.RotateSealKey(data, seal, next); err != nil {
		t.Fatal(err)
	}
	after := mustKeys(t, data, next)
	if !bytes.Equal(before.Store, after.Store) || !bytes.Equal(before.Secrets, after.Secrets) {
		t.Error("rotation changed the keys of the data")
	}
	if _, err := store.OpenKeys(data, seal); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("the old key: got %v, want ErrWrongKey", err)
	}
	if err := store.RotateSealKey(data, seal, filepath.Join(t.TempDir(), "k")); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("rotation with the old key: got %v, want ErrWrongKey", err)
	}
	if err := store.RotateSealKey(data, next, next); err == nil {
		t.Error("rotation to the same key was taken")
	}
	mustKeys(t, data, next)
}
