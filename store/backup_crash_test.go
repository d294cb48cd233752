package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muster/store"
)

// childBacksUp writes backups of the store in dir without end, each over the one before.
func childBacksUp(dir string) {
	err := func() error {
		db, err := store.Open(dir, testOptions())
		if err != nil {
			return err
		}
		_, to, err := recoveryIn(dir)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		for {
			if _, err := db.WriteBackup(context.Background(), filepath.Join(dir, "last.muster"), store.BackupHeader{Program: "test", Created: time.Now()}, to); err != nil {
				return err
			}
			fmt.Println("ok")
		}
	}()
	fmt.Println("error", err)
	os.Exit(1)
}

// childRestores restores dir/last.muster into dir/data over and over.
func childRestores(dir string) {
	err := func() error {
		key, _, err := recoveryIn(dir)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		for i := 0; ; i++ {
			f, err := os.Open(filepath.Join(dir, "last.muster"))
			if err != nil {
				return err
			}
			r, err := store.ReadRestore(context.Background(), f, key, filepath.Join(dir, "data"), filepath.Join(dir, "seal.key"), true, nil)
			if err != nil {
				return err
			}
			if _, err := r.Swap(time.Unix(int64(i), 0)); err != nil {
				return err
			}
			f.Close()
			fmt.Println("ok")
		}
	}()
	fmt.Println("error", err)
	os.Exit(1)
}

// recoveryIn keeps a recovery key in a file, for children of one test.
func recoveryIn(dir string) (*store.RecoveryKey, store.BackupTarget, error) {
	var to store.BackupTarget
	path := filepath.Join(dir, "recovery.key")
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		key, err := store.NewRecoveryKey()
		if err != nil {
			return nil, to, err
		}
		text = []byte(key.String())
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, to, err
		}
	} else if err != nil {
		return nil, to, err
	}
	key, err := store.ParseRecoveryKey(string(text))
	if err != nil {
		return nil, to, err
	}
	if to.Recovery, err = key.Public(); err != nil {
		return nil, to, err
	}
	to.Rehearsal, err = store.NewRehearsalKey(to.Recovery)
	return key, to, err
}

// However often it is killed: the file under its name is always a whole backup, and what is restored is always a whole store, old or new.
func TestKilledBackupAndRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	key, _, err := recoveryIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	func() {
		db, err := store.Open(dir, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		insertGadgets(t, db, 0, 300)
	}()
	last := filepath.Join(dir, "last.muster")
	kills := rounds() / 3
	for i := range kills {
		lines := runAndKill(t, "backup", dir, 1, time.Duration(20+40*i)*time.Millisecond)
		for _, l := range lines {
			if l != "ready" && l != "ok" {
				t.Fatalf("child: %s", l)
			}
		}
		if _, err := os.Stat(last); err != nil {
			continue
		}
		if _, err := store.ReadBackup(t.Context(), openFile(t, last), key, nil); err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
	}
	db, err := store.Open(dir, testOptions()) // the store itself came through
	if err != nil {
		t.Fatal(err)
	}
	_, to, err := recoveryIn(dir)
	if err == nil {
		_, err = db.WriteBackup(t.Context(), last, store.BackupHeader{Program: "test", Created: time.Now()}, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := entries(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.ClearParts(dir); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	for i := range kills {
		for _, l := range runAndKill(t, "restore", dir, 1, time.Duration(20+90*i)*time.Millisecond) {
			if l != "ready" && l != "ok" {
				t.Fatalf("child: %s", l)
			}
		}
		if err := store.FinishRestore(data); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(data, "store")); err != nil {
			continue // killed before the first was in place
		}
		keys, err := store.OpenKeys(data, filepath.Join(dir, "seal.key"))
		if err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(data, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Small: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := entries(t, db); len(got) != len(want) {
			t.Errorf("after kill %d: %d entries, want %d", i, len(got), len(want))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
