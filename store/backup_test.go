package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"muster/store"
)

// recovery makes a recovery key and what an appliance keeps of it.
func recovery(t testing.TB) (*store.RecoveryKey, store.BackupTarget) {
	t.Helper()
	key, err := store.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	own, err := store.NewRehearsalKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, store.BackupTarget{Recovery: public, Rehearsal: own}
}

var backupTime = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func insertGadgets(t testing.TB, db *store.DB, from, to int) {
	t.Helper()
	for from < to {
		end := min(from+200, to)
		err := db.Update(t.Context(), func(tx store.Tx) error {
			for i := from; i < end; i++ {
				if err := gadgets.Put(tx, &gadget{ID: fmt.Sprintf("g%06d", i), Serial: fmt.Sprintf("s%06d", i), Owner: fmt.Sprintf("o%03d", i%7), Note: strings.Repeat("n", i%300)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		from = end
	}
}

// entries are all that a store holds.
func entries(t testing.TB, db *store.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := db.View(t.Context(), func(tx store.Tx) error {
		return tx.Scan(store.Range{}, func(key, value []byte) (bool, error) {
			out[string(key)] = string(value)
			return true, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func backUp(t testing.TB, db *store.DB, to store.BackupTarget) (string, store.BackupSummary) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "one.muster")
	sum, err := db.WriteBackup(t.Context(), path, store.BackupHeader{Program: "test", Created: backupTime, Appliance: "a1"}, to)
	if err != nil {
		t.Fatal(err)
	}
	return path, sum
}

func openFile(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A backup made while others write is the store of one moment, and a restore under a new seal key is that store, its secrets included.
func TestBackupIsOneMomentAndRestoresWhole(t *testing.T) {
	dir, sealPath := t.TempDir(), filepath.Join(t.TempDir(), "seal.key")
	keys, err := store.OpenKeys(dir, sealPath)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(dir, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Small: true, Schema: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	insertGadgets(t, db, 0, 2000)
	secret := db.Sealer().Seal("gadget", "g000001", []byte("of old"))
	key, to := recovery(t)

	// A pair of records is always written together: a backup that held one half would be of no one moment.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = db.Update(context.Background(), func(tx store.Tx) error {
				note := fmt.Sprint(i)
				return errors.Join(gadgets.Put(tx, &gadget{ID: "aleft", Note: note}), gadgets.Put(tx, &gadget{ID: "zright", Note: note}))
			})
		}
	}()
	path, sum := backUp(t, db, to)
	close(stop)
	<-stopped
	if sum.Header.Schema != 3 || sum.Header.Recovery != to.Recovery.Name() {
		t.Errorf("header %+v", sum.Header)
	}
	if raw, err := os.ReadFile(path); err != nil || bytes.Contains(raw, []byte("g000001")) {
		t.Errorf("the file cannot be read or shows what it holds: %v", err)
	}

	data, newSeal := t.TempDir(), filepath.Join(t.TempDir(), "new.key")
	r, err := store.ReadRestore(t.Context(), openFile(t, path), key, data, newSeal, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if old, err := r.Swap(backupTime); err != nil || old != "" {
		t.Fatalf("swap: %q, %v", old, err)
	}
	again, err := store.OpenKeys(data, newSeal)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Secrets, keys.Secrets) || bytes.Equal(again.Store, keys.Store) {
		t.Error("the secrets key has to be the old one, the store key a new one")
	}
	if _, err := store.OpenKeys(data, sealPath); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("the old seal key opens the new machine: %v", err)
	}
	restored, err := store.Open(data, store.Options{Key: again.Store, SecretsKey: again.Secrets, Small: true, Schema: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	all := entries(t, restored)
	if uint64(len(all)) != sum.Entries {
		t.Errorf("%d entries, want %d", len(all), sum.Entries)
	}
	_ = restored.View(t.Context(), func(tx store.Tx) error {
		left, errL := gadgets.Get(tx, "aleft")
		right, errR := gadgets.Get(tx, "zright")
		if (errL == nil) != (errR == nil) || errL == nil && left.Note != right.Note {
			t.Errorf("halves of two moments: %+v, %+v", left, right)
		}
		if g, err := gadgets.Find(tx, "serial", "s001234"); err != nil || g.ID != "g001234" {
			t.Errorf("found by its serial: %+v, %v", g, err)
		}
		return nil
	})
	if plain, err := restored.Sealer().Open("gadget", "g000001", secret); err != nil || string(plain) != "of old" {
		t.Errorf("sealed secret: %q, %v", plain, err)
	}
	insertGadgets(t, restored, 5000, 5001) // it can be written to
}

// What is cut, altered, foreign or forged is refused whole, and the data directory is not touched.
func TestBadBackupIsRefused(t *testing.T) {
	db := openStore(t, "")
	insertGadgets(t, db, 0, 60)
	key, to := recovery(t)
	path, _ := backUp(t, db, to)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	headEnd := bytes.IndexByte(good[16:], '\n') + 17

	refused := func(name string, b []byte, key store.BackupKey, want error) {
		t.Helper()
		if _, err := store.ReadBackup(t.Context(), bytes.NewReader(b), key, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for n := 0; n < len(good); n += 1 + len(good)/97 {
		refused(fmt.Sprintf("cut at %d", n), good[:n], key, store.ErrBadBackup)
	}
	for n := 0; n < len(good); n += 1 + len(good)/97 {
		altered := bytes.Clone(good)
		altered[n] ^= 0x20
		refused(fmt.Sprintf("altered at %d", n), altered, key, store.ErrBadBackup)
		// And by one who puts the checksum right, so that it has to be the inside that tells.
		if n >= 16 {
			mended := withChecksum(altered[:len(altered)-32])
			if _, err := store.ReadBackup(t.Context(), bytes.NewReader(mended), key, nil); err == nil && n < len(good)-32 {
				t.Errorf("altered at %d with a new checksum: read", n)
			}
		}
	}
	refused("something appended", append(bytes.Clone(good), "more"...), key, store.ErrBadBackup)
	refused("cut inside with a new checksum", withChecksum(good[:len(good)-200]), key, store.ErrBadBackup)
	refused("empty", nil, key, store.ErrBadBackup)
	refused("foreign", []byte("PK\x03\x04 a zip file, say"), key, store.ErrBadBackup)
	refused("a header and nothing more", good[:headEnd], key, store.ErrBadBackup)
	other, _ := recovery(t)
	refused("another recovery key", good, other, store.ErrWrongKey)

	// Who knows only the public half can write a file that this recovery key opens, but not the proof.
	forger := to
	forger.Recovery.Proof = bytes.Repeat([]byte{1}, 32)
	forger.Rehearsal.Proof = forger.Recovery.Proof
	forged, _ := backUp(t, db, forger)
	b, err := os.ReadFile(forged)
	if err != nil {
		t.Fatal(err)
	}
	refused("forged", b, key, store.ErrBadBackup)

	data, seal := t.TempDir(), filepath.Join(t.TempDir(), "seal.key")
	if _, err := store.ReadRestore(t.Context(), openFile(t, forged), key, data, seal, true, nil); !errors.Is(err, store.ErrBadBackup) {
		t.Errorf("restore of a forged file: %v", err)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("a refused restore left %v, %v", left, err)
	}
	if _, err := os.Stat(seal); err == nil {
		t.Error("a refused restore made a seal key")
	}
}

// The rehearsal key reads a backup too; the recovery key's text survives being typed.
func TestRecoveryKeyText(t *testing.T) {
	db := openStore(t, "")
	insertGadgets(t, db, 0, 3)
	key, to := recovery(t)
	path, sum := backUp(t, db, to)
	if got, err := store.ReadBackup(t.Context(), openFile(t, path), to.Rehearsal, nil); err != nil || got != sum {
		t.Errorf("rehearsal key: %+v, %v", got, err)
	}
	text := key.String()
	typed := "# of the organisation\n " + strings.ToLower(text[:20]) + " \n" + text[20:40] + "  " + text[40:] + "\n"
	again, err := store.ParseRecoveryKey(typed)
	if err != nil || again.String() != text {
		t.Fatalf("typed key: %v", err)
	}
	wrong := []byte(text)
	wrong[30] ^= 1
	if _, err := store.ParseRecoveryKey(string(wrong)); !errors.Is(err, store.ErrWrongKey) || strings.Contains(err.Error(), text[25:35]) {
		t.Errorf("mistyped key: %v", err)
	}
	if h, err := store.BackupHead(openFile(t, path)); err != nil || h != sum.Header {
		t.Errorf("head %+v, %v", h, err)
	}
}

// A restore over existing data must be asked for, sets the old data aside, and is refused while they are in use.
func TestRestoreOverData(t *testing.T) {
	dir, seal := t.TempDir(), filepath.Join(t.TempDir(), "seal.key")
	keys, err := store.OpenKeys(dir, seal)
	if err != nil {
		t.Fatal(err)
	}
	o := store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Small: true}
	db, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	insertGadgets(t, db, 0, 10)
	key, to := recovery(t)
	path, _ := backUp(t, db, to)
	insertGadgets(t, db, 10, 20)
	if _, err := store.ReadRestore(t.Context(), openFile(t, path), key, dir, seal, true, nil); !errors.Is(err, store.ErrLocked) {
		t.Errorf("while in use: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.ReadRestore(t.Context(), openFile(t, path), key, dir, seal, false, nil); !errors.Is(err, store.ErrExists) {
		t.Errorf("without asking: %v", err)
	}
	count := func(dir string) int {
		t.Helper()
		k, err := store.OpenKeys(dir, seal)
		if err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(dir, store.Options{Key: k.Store, SecretsKey: k.Secrets, Small: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		n := 0
		for k := range entries(t, db) {
			if strings.HasPrefix(k, "gadget/") {
				n++
			}
		}
		return n
	}
	r, err := store.ReadRestore(t.Context(), openFile(t, path), key, dir, seal, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(dir); n != 20 {
		t.Errorf("before the swap the old store has %d, want 20", n)
	}
	old, err := r.Swap(backupTime)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(dir); n != 10 {
		t.Errorf("restored store has %d, want 10", n)
	}
	if n := count(old); n != 20 {
		t.Errorf("the one set aside has %d, want 20", n)
	}
}

// A swap that is interrupted anywhere is carried through by the next start.
func TestInterruptedSwapIsCarriedThrough(t *testing.T) {
	key, to := recovery(t)
	src := openStore(t, "")
	insertGadgets(t, src, 0, 10)
	path, _ := backUp(t, src, to)
	for moved := range 4 { // 0: nothing; 1: the old store aside; 2: the new one in place; 3: the old keys aside too
		t.Run(fmt.Sprint(moved), func(t *testing.T) {
			dir, seal := t.TempDir(), filepath.Join(t.TempDir(), "seal.key")
			if _, err := store.OpenKeys(dir, seal); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "store", "old"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := store.ReadRestore(t.Context(), openFile(t, path), key, dir, seal, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			aside := filepath.Join(dir, "before-restore-x")
			journal := fmt.Sprintf(`{"from":%q,"to":"before-restore-x"}`, filepath.Base(r.Dir))
			if err := os.WriteFile(filepath.Join(dir, "restore.journal"), []byte(journal), 0o600); err != nil {
				t.Fatal(err)
			}
			steps := [][2]string{{filepath.Join(dir, "store"), filepath.Join(aside, "store")}, {filepath.Join(r.Dir, "store"), filepath.Join(dir, "store")}, {filepath.Join(dir, "keys"), filepath.Join(aside, "keys")}}
			for i := range moved {
				if err := errors.Join(os.MkdirAll(aside, 0o700), os.Rename(steps[i][0], steps[i][1])); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := store.FinishRestore(dir); err != nil {
					t.Fatal(err)
				}
			}
			keys, err := store.OpenKeys(dir, seal)
			if err != nil {
				t.Fatal(err)
			}
			db, err := store.Open(dir, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Small: true})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := os.Stat(filepath.Join(aside, "store", "old")); err != nil {
				t.Errorf("the old store was not set aside: %v", err)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "resto*"))
			if len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// BenchmarkBackup writes and reads back a store with ten records and thirty index entries for each of 2,000 devices (MUSTER_LONG=1: 100,000), and reports
// the memory that it takes beyond what was in use before.
func BenchmarkBackup(b *testing.B) {
	devices := 2_000
	if os.Getenv("MUSTER_LONG") == "1" {
		devices = 100_000
	}
	db := openStore(b, "")
	insertRows(b, db, devices)
	_, to := recovery(b)
	var before, now runtime.MemStats
	for b.Loop() {
		debug.FreeOSMemory()
		runtime.ReadMemStats(&before)
		stop, most := make(chan struct{}), make(chan uint64)
		go func() {
			var peak uint64
			for {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapInuse+now.StackInuse)
				select {
				case <-stop:
					most <- peak
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}()
		began := time.Now()
		_, sum := backUp(b, db, to)
		took := time.Since(began)
		close(stop)
		peak := <-most
		b.ReportMetric(float64(peak-min(peak, before.HeapInuse+before.StackInuse))/1e6, "MB-extra")
		b.ReportMetric(float64(sum.Bytes)/1e6, "MB-file")
		b.ReportMetric(float64(sum.Entries), "entries")
		b.ReportMetric(took.Seconds(), "s/backup")
	}
}

// insertRows writes what so many devices have.
func insertRows(b *testing.B, db *store.DB, devices int) {
	b.Helper()
	note := strings.Repeat("a fact of a device ", 10)
	for d := 0; d < devices; d += 10 {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for i := d; i < d+10; i++ {
				for j := range 10 {
					id := fmt.Sprintf("%06d-%02d", i, j)
					if err := gadgets.Put(tx, &gadget{ID: id, Serial: id, Owner: fmt.Sprint(i), Tags: []string{"t" + fmt.Sprint(j)}, Note: note}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
