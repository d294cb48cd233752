package appliance

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// kill -9 while the nightly backup is written: the run is shown as interrupted, what was written is gone, and one backup makes up for it.
func TestKillNineDuringTheBackupJob(t *testing.T) {
	clock := &movingClock{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Clock = clock.now })
	w.recoveryKey()
	dir := w.Appliance.fleet.BackupDir()
	w.ballast()
	w.stop()
	parts := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, ".muster-backup-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// At noon, so that the night's backup is the one that is due throughout.
	now := time.Now()
	ahead := time.Date(now.Year(), now.Month(), now.Day()+2, 12, 0, 0, 0, time.Local).Sub(now)
	killed := time.Now().Add(ahead)
	child := w.child(childConfig{Ahead: ahead, DieBackingUp: true})
	late := time.AfterFunc(2*time.Minute, func() { child.Process.Kill() })
	child.Wait()
	if !late.Stop() || len(parts()) == 0 {
		t.Fatal("no kill met a backup")
	}
	clock.advance(ahead)
	w.start()
	w.eventually("a backup makes up for it", func() bool {
		j := w.job("backup")
		return j.Running == nil && j.Last != nil && j.Last.Outcome == "done" && j.Last.Tick.After(killed.Add(-24*time.Hour))
	})
	r := w.job("backup").Last
	runs := func() []*fleet.JobRun {
		l, err := w.Appliance.fleet.JobRuns(t.Context(), w.Actor, "backup", fleet.ListQuery{})
		if err != nil || len(l.Items) < 2 {
			t.Fatalf("%d runs: %v", len(l.Items), err)
		}
		return l.Items
	}
	all := runs()
	if cut := all[1]; r.Outcome != "done" || r.Attempt != 2 || r.Trigger != "late" || cut.Outcome != "interrupted" || cut.Attempt != 1 || !cut.Tick.Equal(r.Tick) {
		t.Errorf("made up: %+v, after %+v", r, cut)
	}
	made := func() (n int) {
		l, err := w.Appliance.fleet.Backups(t.Context(), w.Actor)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range l {
			if !b.Created.Before(killed.UTC()) {
				if n++; !b.Verified || b.Gone || b.Kind != fleet.BackupScheduled {
					t.Errorf("backup: %+v", b)
				}
			}
		}
		return n
	}
	if made() != 1 || len(parts()) > 0 {
		t.Errorf("%d backups make up for the one that was cut off; left: %v", made(), parts())
	}

	// And no more of it at another start.
	clock.advance(2 * time.Minute)
	at := clock.now()
	w.restart()
	w.ran("sweep", at.Add(-time.Minute))
	w.Appliance.jobs.Look()
	if again := runs(); w.job("backup").Running != nil || len(again) != len(all) || made() != 1 {
		t.Errorf("made up again: %d runs, had %d", len(again), len(all))
	}
}

// kill -9 while a certificate is renewed, at the moment when the authority would make it: the job is shown as interrupted, what was served is
// served on, and one new order makes up for it.
func TestKillNineDuringARenewal(t *testing.T) {
	clock := &movable{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.TLS, c.Clock = "", clock.now })
	c := newACMECA(t, portOf(t, w.config.Listen), "1", nil)
	for _, x := range fleet.ParseRoots(c.roots) {
		w.roots.AddCert(x)
	}
	if err := w.useACME(c, nil); err != nil {
		t.Fatal(err)
	}
	w.looked()
	first := w.serial("127.0.0.1", c.pool)
	if first == "" {
		t.Fatalf("no certificate: %+v", w.need("need.tls-refused"))
	}
	c.mood.Store("down") // until the other process is there
	ahead := 61 * 24 * time.Hour
	clock.forward(ahead)
	api := newClient(t, w)
	var err error
	if _, api.token, err = w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "watch", fleet.AllPermissions, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	w.stop()
	c.mood.Store("")

	reached := make(chan struct{}, 1)
	final := func(ctx context.Context) {
		select {
		case reached <- struct{}{}:
		default:
		}
		<-ctx.Done() // it hangs up when it dies
	}
	c.final.Store(&final)
	ahead += 2 * time.Hour // the job's hour
	child := w.child(childConfig{Ahead: ahead, TLSAsSet: true})
	defer child.Process.Kill()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Fatal("nothing was renewed")
	}
	w.serving()
	w.eventually("the job is at work", func() bool {
		var j fleet.JobState
		api.call("GET", "/jobs/certificate", nil, http.StatusOK, &j)
		return j.Running != nil
	})
	child.Process.Kill()
	child.Wait()
	c.final.Store(nil)

	clock.forward(2*time.Hour + 5*time.Minute) // the lease of the dead one is over
	w.start()
	if got := w.serial("127.0.0.1", c.pool); got == "" {
		t.Error("after the kill the certificate is not served")
	}
	w.looked()
	w.looked()
	if got := w.serial("127.0.0.1", c.pool); got == "" || got == first {
		t.Errorf("served %q, was %q: not renewed", got, first)
	}
	if n := c.orders.Load(); n != 3 {
		t.Errorf("%d orders: want the first, the one that was cut off, and one that makes up for it", n)
	}
	w.eventually("the job has run", func() bool {
		j := w.job("certificate")
		return j.Running == nil && j.Last != nil && j.Last.Outcome == "done"
	})
	l, err := w.Appliance.fleet.JobRuns(t.Context(), w.Actor, "certificate", fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, r := range l.Items {
		if r.Outcome == "interrupted" {
			cut++
		}
	}
	if cut != 1 {
		t.Errorf("%d runs are shown as interrupted, want 1: %+v", cut, l.Items)
	}
}

// ballast puts so much into the store that a backup of it takes long, measured by the looks that are taken at it.
func (w *world) ballast() {
	w.t.Helper()
	value := make([]byte, 256<<10)
	for i := range 200 {
		crand.Read(value) // what is packed well is written fast
		if err := w.Appliance.db.Update(w.t.Context(), func(tx store.Tx) error { return tx.Put(fmt.Appendf(nil, "ballast/%d", i), value) }); err != nil {
			w.t.Fatal(err)
		}
	}
}
