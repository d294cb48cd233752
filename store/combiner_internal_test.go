package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func openInternal(t testing.TB) *DB {
	t.Helper()
	db, err := Open(t.TempDir(), Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32), Small: true})
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

func put(key string) func(Tx) error {
	return func(tx Tx) error { return tx.Put([]byte(key), []byte("v")) }
}

// holdCommits makes every commit stop before the engine's, until it gets a word on the channel.
func holdCommits(db *DB) (arrived chan struct{}, release chan error) {
	arrived, release = make(chan struct{}, 64), make(chan error, 64)
	db.combiner.commit = func(txn *badger.Txn) error {
		arrived <- struct{}{}
		if err := <-release; err != nil {
			return err
		}
		return txn.Commit()
	}
	return arrived, release
}

func TestEngineSyncsEveryCommit(t *testing.T) {
	db := openInternal(t)
	if o := db.engine.Opts(); !o.SyncWrites || o.InMemory || len(o.EncryptionKey) != 32 {
		t.Errorf("the engine is not durable and encrypted: SyncWrites %v, InMemory %v", o.SyncWrites, o.InMemory)
	}
}

func TestNoAnswerBeforeItsSync(t *testing.T) {
	db, ctx := openInternal(t), t.Context()
	before := db.Syncs()
	arrived, release := holdCommits(db)
	var answered, hooks atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := db.Update(ctx, func(tx Tx) error {
				tx.OnCommit(func() { hooks.Add(1) })
				return tx.Put(fmt.Appendf(nil, "k/%d", i), nil)
			})
			if err != nil {
				t.Error(err)
			}
			if db.Syncs() == before {
				t.Error("Update returned before any sync")
			}
			answered.Add(1)
		})
	}
	<-arrived
	time.Sleep(20 * time.Millisecond) // the time for an answer that comes too early to show
	if answered.Load() != 0 || hooks.Load() != 0 || db.Syncs() != before {
		t.Errorf("before the sync: %d answers, %d hooks, %d syncs", answered.Load(), hooks.Load(), db.Syncs()-before)
	}
	for range 64 {
		release <- nil
	}
	wg.Wait()
	if hooks.Load() != 8 || db.Syncs() == before {
		t.Errorf("after: %d hooks, %d syncs", hooks.Load(), db.Syncs()-before)
	}
}

func TestEveryUpdateMovesTheSyncCounter(t *testing.T) {
	db := openInternal(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				var during uint64
				if err := db.Update(t.Context(), func(tx Tx) error {
					during = db.Syncs() // the function runs before its own commit
					return put(fmt.Sprintf("k/%d/%d", w, i))(tx)
				}); err != nil {
					t.Error(err)
				}
				if after := db.Syncs(); after <= during {
					t.Errorf("counter at %d when the function ran, at %d after Update returned", during, after)
				}
			}
		})
	}
	wg.Wait()
}

func TestAnUpdateWithoutWritesNeedsNoSync(t *testing.T) {
	db := openInternal(t)
	before := db.Syncs()
	ran := false
	if err := db.Update(t.Context(), func(tx Tx) error { tx.OnCommit(func() { ran = true }); return nil }); err != nil {
		t.Fatal(err)
	}
	if db.Syncs() != before || !ran {
		t.Errorf("%d syncs, hook ran: %v", db.Syncs()-before, ran)
	}
}

func TestUpdateCancelledInTheQueueDoesNotRun(t *testing.T) {
	db := openInternal(t)
	running, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.Update(context.Background(), func(tx Tx) error {
			close(running)
			<-goOn
			return put("k/first")(tx)
		})
	}()
	<-running // the writer is busy now
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		second <- db.Update(ctx, func(Tx) error { t.Error("a cancelled update ran"); return nil })
	}()
	for db.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) { // at once, not when the writer gets to it
		t.Errorf("got %v, want Canceled", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestUpdateCancelledDuringItsCommitTellsTheTruth(t *testing.T) {
	db := openInternal(t)
	arrived, release := holdCommits(db)
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error, 1)
	go func() { outcome <- db.Update(ctx, put("k/a")) }()
	<-arrived
	cancel()
	select {
	case err := <-outcome:
		t.Fatalf("answered %v while the commit was under way", err)
	case <-time.After(20 * time.Millisecond):
	}
	release <- nil
	if err := <-outcome; err != nil {
		t.Errorf("got %v, but it was committed", err)
	}
}

// Updates run while a commit is on its way, and go to the disk together when it has landed.
func TestWaitingUpdatesShareOneCommit(t *testing.T) {
	db := openInternal(t)
	arrived, release := holdCommits(db)
	var wg sync.WaitGroup
	wg.Go(func() { _ = db.Update(context.Background(), put("k/first")) })
	<-arrived
	before := db.Syncs()
	ran := make(chan struct{}, 20)
	for i := range 20 {
		wg.Go(func() {
			if err := db.Update(context.Background(), func(tx Tx) error {
				ran <- struct{}{}
				return put(fmt.Sprintf("k/%d", i))(tx)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	for range 20 {
		<-ran
	}
	if n := db.Syncs() - before; n != 0 {
		t.Errorf("%d commits while the first is held", n)
	}
	release <- nil
	release <- nil
	wg.Wait()
	if n := db.Syncs() - before; n != 2 {
		t.Errorf("%d commits, want 2: the first, and one for the twenty that ran meanwhile", n)
	}
}

// An update sees what is on its way to the disk; a view does not, and waits for nobody.
func TestUpdateSeesWhatIsOnItsWay(t *testing.T) {
	db, ctx := openInternal(t), t.Context()
	for _, key := range []string{"k/a", "k/b", "k/c"} {
		if err := db.Update(ctx, put(key)); err != nil {
			t.Fatal(err)
		}
	}
	arrived, release := holdCommits(db)
	var wg sync.WaitGroup
	update := func(fn func(Tx) error) {
		wg.Go(func() {
			if err := db.Update(ctx, fn); err != nil {
				t.Error(err)
			}
		})
	}
	update(func(tx Tx) error {
		if err := tx.Delete([]byte("k/a")); err != nil {
			return err
		}
		if err := tx.Put([]byte("k/b"), []byte("new")); err != nil {
			return err
		}
		return tx.Put([]byte("k/d"), []byte("new"))
	})
	<-arrived
	seen := make(chan []string, 1)
	update(func(tx Tx) error {
		keys, err := listed(tx)
		seen <- keys
		if _, gone := tx.Get([]byte("k/a")); !errors.Is(gone, ErrNotFound) {
			t.Errorf("k/a: %v, want ErrNotFound", gone)
		}
		for _, key := range []string{"k/b", "k/d"} {
			if b, err := tx.Get([]byte(key)); err != nil || string(b) != "new" {
				t.Errorf("%s: %q, %v", key, b, err)
			}
		}
		return errors.Join(err, tx.Put([]byte("k/d"), []byte("newer")))
	})
	if got := fmt.Sprint(<-seen); got != "[k/b=new k/c=v k/d=new]" {
		t.Errorf("during the commit an update sees %s", got)
	}
	view := func() string {
		var keys []string
		if err := db.View(ctx, func(tx Tx) (err error) { keys, err = listed(tx); return err }); err != nil {
			t.Error(err)
		}
		return fmt.Sprint(keys)
	}
	if got := view(); got != "[k/a=v k/b=v k/c=v]" {
		t.Errorf("during the commit a view sees %s", got)
	}
	release <- nil
	release <- nil
	wg.Wait()
	if got := view(); got != "[k/b=new k/c=v k/d=newer]" {
		t.Errorf("afterwards: %s", got)
	}
}

// listed lists keys and values below k/, and checks that they come the same way backwards.
func listed(tx Tx) (out []string, err error) {
	r := Prefix([]byte("k/"))
	note := func(to *[]string) func(k, v []byte) (bool, error) {
		return func(k, v []byte) (bool, error) { *to = append(*to, fmt.Sprintf("%s=%s", k, v)); return true, nil }
	}
	if err := tx.Scan(r, note(&out)); err != nil {
		return nil, err
	}
	var back []string
	r.Reverse = true
	if err := tx.Scan(r, note(&back)); err != nil {
		return nil, err
	}
	slices.Reverse(back)
	if !slices.Equal(out, back) {
		err = fmt.Errorf("forwards %v, backwards %v", out, back)
	}
	return out, err
}

// What ran over writes that the disk refused runs again without them, and is answered only then; a refusal too, for it may have come from
// what was refused.
func TestUpdatesRunAgainWhenWhatTheySawWasRefused(t *testing.T) {
	asked, free := make(chan struct{}), make(chan uint64)
	var slow atomic.Bool
	db, err := Open(t.TempDir(), Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32), Small: true, Reserve: 400,
		Free: func() (uint64, error) {
			if !slow.Load() {
				return 1000, nil
			}
			asked <- struct{}{}
			return <-free, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := t.Context()
	taken := errors.New("taken")
	claim := func(ran chan bool) func(Tx) error {
		return func(tx Tx) error {
			_, err := tx.Get([]byte("k/name"))
			if ran != nil {
				ran <- err == nil
			}
			if err == nil {
				return taken
			}
			return put("k/name")(tx)
		}
	}
	slow.Store(true)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- db.Update(ctx, claim(nil)) }()
	<-asked
	ran := make(chan bool, 2)
	go func() { second <- db.Update(ctx, claim(ran)) }()
	if !<-ran {
		t.Error("the second does not see what the first writes")
	}
	select {
	case err := <-second:
		t.Errorf("the second was answered before the first: %v", err)
	default:
	}
	slow.Store(false)
	free <- 399
	if err := <-first; !errors.Is(err, ErrNoRoom) {
		t.Errorf("the first: %v, want ErrNoRoom", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second: %v, but nobody took the name", err)
	}
	if <-ran {
		t.Error("the second ran again over what was refused")
	}
	if err := db.Update(ctx, claim(nil)); !errors.Is(err, taken) {
		t.Errorf("a third: %v, want taken", err)
	}
}

// A commit that failed takes with it what ran meanwhile.
func TestAFailedCommitTakesTheNextWithIt(t *testing.T) {
	db, ctx := openInternal(t), t.Context()
	arrived, release := holdCommits(db)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- db.Update(ctx, put("k/a")) }()
	<-arrived
	ran := make(chan struct{})
	go func() {
		second <- db.Update(ctx, func(tx Tx) error {
			close(ran)
			tx.OnCommit(func() { t.Error("a hook ran after a failed commit") })
			return put("k/b")(tx)
		})
	}()
	<-ran
	release <- errors.New("disk on fire")
	for _, outcome := range []chan error{first, second} {
		if err := <-outcome; !errors.Is(err, ErrFailed) {
			t.Errorf("got %v, want ErrFailed", err)
		}
	}
}

func TestAfterAFailedCommitNothingIsWritten(t *testing.T) {
	db := openInternal(t)
	disk := errors.New("disk on fire")
	_, release := holdCommits(db)
	before := db.Syncs()
	select {
	case <-db.Broken():
		t.Error("broken before anything was tried")
	default:
	}
	release <- disk
	err := db.Update(t.Context(), func(tx Tx) error {
		tx.OnCommit(func() { t.Error("a hook ran after a failed commit") })
		return put("k/a")(tx)
	})
	if !errors.Is(err, ErrFailed) || !errors.Is(err, disk) {
		t.Errorf("got %v, want ErrFailed with its cause", err)
	}
	err = db.Update(t.Context(), func(Tx) error { t.Error("it ran"); return nil })
	if !errors.Is(err, ErrFailed) {
		t.Errorf("got %v, want ErrFailed", err)
	}
	if db.Syncs() != before || !db.Stats().Failed {
		t.Errorf("%d syncs, failed: %v", db.Syncs()-before, db.Stats().Failed)
	}
	<-db.Broken()
	if err := db.View(t.Context(), func(Tx) error { return nil }); err != nil {
		t.Errorf("reading afterwards: %v", err)
	}
}

func TestFunctionThatEndsItsGoroutineEndsTheCallers(t *testing.T) {
	db := openInternal(t)
	for _, where := range []string{"function", "hook"} {
		after, done := false, make(chan struct{})
		go func() {
			defer close(done)
			_ = db.Update(context.Background(), func(tx Tx) error {
				if where == "function" {
					runtime.Goexit()
				}
				tx.OnCommit(func() { runtime.Goexit() })
				return put("k/hook")(tx)
			})
			after = true
		}()
		<-done
		if want := where == "hook"; after != want {
			t.Errorf("%s: the caller went on: %v, want %v", where, after, want)
		}
		if err := db.Update(t.Context(), put("k/next")); err != nil {
			t.Errorf("%s: the next update: %v", where, err)
		}
	}
}

func TestCloseAnswersWhatWaits(t *testing.T) {
	dir := t.TempDir()
	o := Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32), Small: true}
	db, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var acknowledged []string
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("k/%d/%d", w, i)
				err := db.Update(context.Background(), put(key))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, key)
				mu.Unlock()
			}
		})
	}
	for db.Syncs() < 20 {
		time.Sleep(time.Millisecond)
	}
	viewing, leave := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		err := db.View(context.Background(), func(tx Tx) error {
			close(viewing)
			<-leave
			_, err := tx.Get(schemaKey)
			return err
		})
		if err != nil {
			t.Errorf("view that ran while closing: %v", err)
		}
	})
	<-viewing
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case <-closed:
		t.Error("closed under a running view")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := db.View(context.Background(), func(Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("view after close: %v", err)
	}
	if err := db.Update(context.Background(), func(Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("update after close: %v", err)
	}
	if db, err = Open(dir, o); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_ = db.View(context.Background(), func(tx Tx) error {
		for _, key := range acknowledged {
			if _, err := tx.Get([]byte(key)); err != nil {
				t.Errorf("%s was acknowledged: %v", key, err)
			}
		}
		return nil
	})
}

func TestIDsRiseEvenWhenTheClockDoesNot(t *testing.T) {
	var s idSource
	now := time.Now()
	last := ""
	for i := range 10_000 {
		at := now
		if i%3 == 0 {
			at = now.Add(-time.Duration(i) * time.Second)
		}
		id := s.next(at)
		if len(id) != 26 || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
}

func FuzzIndexEntryRoundTrip(f *testing.F) {
	f.Add("a\x00b", "id", "a")
	f.Add("", "", "\x00")
	f.Add("\xff\x00\xff", "\x00\x01", "\xff")
	f.Fuzz(func(t *testing.T, value, id, other string) {
		key := append(append(appendEscaped(nil, value), valueEnd...), id...)
		v, i, ok := splitEntry(key)
		if !ok || v != value || i != id {
			t.Errorf("%q %q came back as %q %q %v", value, id, v, i, ok)
		}
		if value != other {
			two := append(append(appendEscaped(nil, other), valueEnd...), id...)
			if (bytes.Compare(key, two) < 0) != (value < other) {
				t.Errorf("entries of %q and %q sort otherwise than the values", value, other)
			}
		}
	})
}
