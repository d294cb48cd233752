package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/store"
)

// Environment of a child: what it is to do, in which directory, and whether it waits half-way to be killed.
const (
	childJob   = "MUSTER_STORE_CHILD"
	childDir   = "MUSTER_STORE_CHILD_DIR"
	childWaits = "MUSTER_STORE_CHILD_WAITS"
)

// TestMain runs the child's part when this binary was started as one.
func TestMain(m *testing.M) {
	switch os.Getenv(childJob) {
	case "":
		os.Exit(m.Run())
	case "write":
		childWrites(os.Getenv(childDir))
	case "migrate":
		childMigrates(os.Getenv(childDir))
	case "backup":
		childBacksUp(os.Getenv(childDir))
	case "restore":
		childRestores(os.Getenv(childDir))
	}
}

// rounds is how often a child is killed.
func rounds() int {
	if os.Getenv("MUSTER_LONG") == "1" {
		return 50
	}
	return 15
}

// childWrites inserts pairs of records without end and prints the id of each pair that was acknowledged.
func childWrites(dir string) {
	db, err := store.Open(dir, testOptions())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	var mu sync.Mutex // a line is written whole
	for range 8 {
		go func() {
			for {
				id := store.NewID()
				note := strings.Repeat("n", rand.IntN(8000)) // memtables fill, tables are written and merged
				err := db.Update(context.Background(), func(tx store.Tx) error {
					for _, half := range []string{"left", "right"} {
						if err := gadgets.Insert(tx, &gadget{ID: id + half, Serial: id + half, Owner: id, Note: note}); err != nil {
							return err
						}
					}
					return nil
				})
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("ok", id)
				}
				mu.Unlock()
			}
		}()
	}
	select {}
}

// migrated is how many records the child's migration changes.
const migrated = 6000

// childMigrates runs the sample migration, slowly.
func childMigrates(dir string) {
	o := testOptions()
	o.Schema = 2
	db, err := store.Open(dir, o)
	if err == nil {
		fmt.Println("ready")
		n := 0
		err = db.Migrate(context.Background(), []store.Migration{splitNames(func() error {
			if n++; n%50 == 0 {
				time.Sleep(time.Millisecond)
			}
			if n == migrated/2 && os.Getenv(childWaits) != "" {
				select {}
			}
			return nil
		})})
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("done")
}

// runAndKill starts a child, kills it (SIGKILL where there is such a thing) after the given time from its
// having printed so many lines, of which "ready" is the first, unless it ended by itself, and returns the lines that it printed whole.
func runAndKill(t *testing.T, job, dir string, printed int, after time.Duration, env ...string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(append(os.Environ(), childJob+"="+job, childDir+"="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil { // what follows the last newline was cut off
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
			break
		}
		lines = append(lines, strings.TrimSpace(line))
		if len(lines) == printed {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	if len(lines) == 0 || lines[0] != "ready" {
		t.Fatalf("the child was not ready: %q", lines)
	}
	return lines
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	var acknowledged []string
	unacknowledged := 0
	for round := range rounds() {
		all := round%5 == 0 || round == rounds()-1 // of every round so far; else of this round
		from := len(acknowledged)
		printed := 1 + round%3*15 // every third soon after its start, the others when they have acknowledged something
		for _, line := range runAndKill(t, "write", dir, printed, time.Duration(20+rand.IntN(280))*time.Millisecond)[1:] {
			id, ok := strings.CutPrefix(line, "ok ")
			if !ok {
				t.Fatalf("round %d: the child said %q", round, line)
			}
			acknowledged = append(acknowledged, id)
		}
		db, err := store.Open(dir, testOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if all {
			from = 0
		}
		err = db.View(t.Context(), func(tx store.Tx) error {
			for _, id := range acknowledged[from:] {
				for _, half := range []string{"left", "right"} {
					if has, err := gadgets.Has(tx, id+half); !has || err != nil {
						t.Errorf("round %d: %s was acknowledged, but its %s record is not there, %v", round, id, half, err)
					}
				}
			}
			if all {
				unacknowledged = checkWhole(t, tx) - len(acknowledged)
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if t.Failed() {
			return
		}
	}
	if len(acknowledged) < 10*rounds() {
		t.Errorf("only %d updates were acknowledged in %d rounds", len(acknowledged), rounds())
	}
	t.Logf("%d rounds, %d acknowledged updates all there, %d more that were committed but not yet answered", rounds(), len(acknowledged), unacknowledged)
}

// checkWhole checks that every pair of records has both halves and all its index entries, and counts pairs.
func checkWhole(t *testing.T, tx store.Tx) int {
	t.Helper()
	halves := map[string]int{}
	records := 0
	err := gadgets.Each(tx, store.Query{}, func(g *gadget) (bool, error) {
		records++
		halves[g.Owner]++
		if found, err := gadgets.Find(tx, "serial", g.Serial); err != nil || found.ID != g.ID {
			t.Errorf("%s is not found by its serial: %v", g.ID, err)
		}
		return true, nil
	})
	if err != nil {
		t.Error(err)
	}
	for owner, n := range halves {
		if n != 2 {
			t.Errorf("%s has %d of 2 records: an update was written in part", owner, n)
		}
	}
	for _, index := range []string{"owner", "serial"} {
		if n, err := gadgets.Count(tx, store.Query{Index: index}); n != records || err != nil {
			t.Errorf("index %s has %d entries for %d records, %v", index, n, records, err)
		}
	}
	return len(halves)
}

func TestKilledMigrationGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	db := openSchema(t, dir, 1)
	fillNames(t, db, migrated)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for kills := 0; ; kills++ {
		var env []string
		if kills == 0 { // the first is certain to be killed, however late that comes
			env = append(env, childWaits+"=1")
		}
		lines := runAndKill(t, "migrate", dir, 1, time.Duration(5+rand.IntN(40))*time.Millisecond+time.Duration(kills)*2*time.Millisecond, env...)
		if last := lines[len(lines)-1]; strings.HasPrefix(last, "error") {
			t.Fatal(last)
		} else if last == "done" {
			t.Logf("killed %d times", kills)
			if kills == 0 {
				t.Error("it was never killed")
			}
			break
		}
		if kills > 200 {
			t.Fatal("it does not get done")
		}
	}
	db = openSchema(t, dir, 2)
	defer db.Close()
	if db.Schema() != 2 {
		t.Errorf("schema %d, want 2", db.Schema())
	}
	checkNames(t, db, migrated)
}

// TestTornLogTailIsSurvived cuts and spoils the end of the log of a store that was not closed, as a power cut
// may leave it: the store opens, and holds a whole number of the first updates.
func TestTornLogTailIsSurvived(t *testing.T) {
	live := t.TempDir()
	db := openStore(t, live)
	const n = 60
	for i := range n {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			id := fmt.Sprintf("%03d", i)
			for _, half := range []string{"left", "right"} {
				if err := gadgets.Insert(tx, &gadget{ID: id + half, Serial: id + half, Owner: id, Note: strings.Repeat("n", 300)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	logs, err := filepath.Glob(filepath.Join(live, "store", "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %q, %v, want one", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(b, "\x00"))

	cut := func(at int) func([]byte) []byte { return func(b []byte) []byte { return b[:at] } }
	zero := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { clear(b[at:]); return b }
	}
	noise := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := at; i < min(at+400, len(b)); i++ {
				b[i] = byte(rand.IntN(256))
			}
			return b
		}
	}
	cases := map[string]struct {
		spoil func([]byte) []byte
		least int // updates that must have survived
		most  int
	}{
		"untouched":                     {cut(len(b)), n, n},
		"noise behind the end":          {noise(used + 16), n, n},
		"the last byte gone":            {zero(used - 1), n - 1, n - 1},
		"cut in the last update":        {cut(used - 100), n - 1, n - 1},
		"zeroes from the last update":   {zero(used - 100), n - 1, n - 1},
		"noise in the last update":      {noise(used - 100), n - 1, n - 1},
		"cut in the middle":             {cut(used / 2), n/2 - 5, n/2 + 5},
		"zeroes from the middle":        {zero(used / 2), n/2 - 5, n/2 + 5},
		"noise in the middle":           {noise(used / 2), n/2 - 5, n/2 + 5},
		"cut to the header of the file": {cut(20), 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(live)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "store", filepath.Base(logs[0]))
			if err := os.WriteFile(path, c.spoil(bytes.Clone(b)), 0o600); err != nil {
				t.Fatal(err)
			}
			vlogs, _ := filepath.Glob(filepath.Join(dir, "store", "*.vlog"))
			for _, v := range vlogs { // the value log's tail is torn as well
				f, err := os.OpenFile(v, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.WriteAt([]byte("torn tail"), 20)
				if err := errors.Join(err, f.Close()); err != nil {
					t.Fatal(err)
				}
			}
			db, err := store.Open(dir, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			_ = db.View(t.Context(), func(tx store.Tx) error {
				pairs := checkWhole(t, tx)
				if pairs < c.least || pairs > c.most {
					t.Errorf("%d updates survived, want %d to %d", pairs, c.least, c.most)
				}
				for i := range pairs {
					if has, _ := gadgets.Has(tx, fmt.Sprintf("%03dleft", i)); !has {
						t.Errorf("update %d is missing though later ones are there", i)
					}
				}
				return nil
			})
			if err := db.Update(t.Context(), func(tx store.Tx) error {
				return gadgets.Put(tx, &gadget{ID: "new", Owner: "new"})
			}); err != nil {
				t.Errorf("writing afterwards: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			openStore(t, dir)
		})
	}
}

// TestLogFilesThatNeverGotALengthAreRemoved is about what a process leaves that is killed between creating a
// log file and giving it its length; TestKilledProcessLosesNothingAcknowledged meets it now and then.
func TestLogFilesThatNeverGotALengthAreRemoved(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 100)
	unborn := []string{filepath.Join(dir, "store", "00009.mem"), filepath.Join(dir, "store", "000009.vlog")}
	for _, path := range unborn {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Open(dir, testOptions()); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second open: got %v, want ErrLocked", err)
	}
	for _, path := range unborn {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a file of a running store was touched: %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openStore(t, dir)
	_ = db.View(t.Context(), func(tx store.Tx) error {
		if n, err := gadgets.Count(tx, store.Query{}); n != 100 || err != nil {
			t.Errorf("got %d records, %v, want 100", n, err)
		}
		return nil
	})
}
