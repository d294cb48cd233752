package appliance

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/store"
)

// setUpDir is a data directory that was set up, with nothing running on it.
func setUpDir(t *testing.T, recovery bool) SetupConfig {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--data", filepath.Join(dir, "data"), "--key", filepath.Join(dir, "seal.key"), "--org", "Noordhaven", "--admin", "a@noordhaven.example"}
	if recovery {
		args = append(args, "--recovery-out", filepath.Join(dir, "recovery.key"))
	}
	c, err := ParseSetup(args, discard{})
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = testLog(t)
	if err := Setup(t.Context(), c, strings.NewReader("een lang wachtwoord 4711\n"), discard{}); err != nil {
		t.Fatal(err)
	}
	return c
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// Two processes on one directory, data of a newer version, a lost seal key: each is refused in words that say what to do, nothing is changed, and
// it comes back by itself when the cause is gone.
func TestRefusedStartsSayWhatToDo(t *testing.T) {
	c := setUpDir(t, false).Config
	a, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "stop that one first") {
		t.Errorf("a second process: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	newer := c
	newer.schema, newer.migrations, newer.UpgradeBare = 1, []store.Migration{{To: 1, Name: "nothing", Step: func(context.Context, *store.DB, *store.Progress) error { return nil }}}, true
	if a, err = Open(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := Open(t.Context(), c); !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "muster restore FILE --replace") {
		t.Errorf("data of a newer version: %v", err)
	}

	lost := newer
	lost.Key += ".lost"
	if _, err := Open(t.Context(), lost); !errors.Is(err, store.ErrKeyMissing) || !strings.Contains(err.Error(), "muster restore FILE") {
		t.Errorf("a lost seal key: %v", err)
	}
	if _, err := os.Stat(lost.Key); err == nil {
		t.Error("a seal key was made in place of the lost one")
	}

	if a, err = Open(t.Context(), newer); err != nil {
		t.Fatalf("when the cause is gone: %v", err)
	}
	defer a.Close()
	if s, err := a.fleet.SetupState(t.Context()); err != nil || !s.Done {
		t.Errorf("after all that: %+v, %v", s, err)
	}
	for err, want := range map[error]string{
		fmt.Errorf("open: %w", syscall.EROFS):    "read-only",
		fmt.Errorf("open: %w", fs.ErrPermission): "chown",
		fmt.Errorf("open: %w", syscall.ENOSPC):   "make room",
	} {
		if got := dataError(&c, err).Error(); !strings.Contains(got, want) {
			t.Errorf("%v is said as %q", err, got)
		}
	}
}

// An upgrade makes a verified backup first, goes on where it was interrupted, and is refused without a way back.
func TestUpgradeHasAWayBack(t *testing.T) {
	c := setUpDir(t, true)
	fail := true
	done := 0
	step := store.Migration{To: 1, Name: "test", Step: func(ctx context.Context, _ *store.DB, p *store.Progress) error {
		for _, part := range []string{"one", "two"} {
			if part == "two" && fail {
				return errors.New("the power went")
			}
			if err := p.Do(ctx, part, func(tx store.Tx) error { done++; return tx.Put([]byte("test/"+part), nil) }); err != nil {
				return err
			}
		}
		return nil
	}}
	upgraded := c.Config
	upgraded.schema, upgraded.migrations = 1, []store.Migration{step}
	if _, err := Open(t.Context(), upgraded); err == nil || !strings.Contains(err.Error(), "start again") {
		t.Fatalf("an interrupted upgrade: %v", err)
	}
	fail = false
	a, err := Open(t.Context(), upgraded)
	if err != nil {
		t.Fatal(err)
	}
	made, err := a.fleet.Backups(t.Context(), fleet.Job("test"))
	if err != nil || len(made) != 1 || made[0].Kind != fleet.BackupUpgrade || !made[0].Verified {
		t.Errorf("backups before the upgrade: %+v, %v", made, err)
	}
	if done != 2 {
		t.Errorf("%d parts were done, want each once", done)
	}
	a.Close()
	// Back: the backup of before, with the version of before.
	back := RestoreConfig{Config: c.Config, File: filepath.Join(c.BackupDir, made[0].File), Recovery: c.RecoveryOut, Replace: true}
	if err := Restore(t.Context(), back, discard{}); err != nil {
		t.Fatal(err)
	}
	if a, err = Open(t.Context(), c.Config); err != nil {
		t.Fatal(err)
	}
	a.Close()

	bare := setUpDir(t, false)
	without := bare.Config
	without.schema, without.migrations = 1, []store.Migration{step}
	if _, err := Open(t.Context(), without); err == nil || !strings.Contains(err.Error(), "--upgrade-without-backup") {
		t.Errorf("an upgrade without a way back: %v", err)
	}
	if a, err = Open(t.Context(), bare.Config); err != nil {
		t.Fatalf("the older version after that: %v", err)
	}
	a.Close()
}

// A nearly full disk: nothing is written, devices are told to come again, people can look, and it goes on by itself when there is room. The disk is a
// small one of the test's own where one can be mounted; elsewhere its free space is made up.
func TestFullDiskPassesByItself(t *testing.T) {
	disk := newSmallDisk(t)
	w := newWorldWith(t, disk.dir, func(c *Config) { c.free = disk.free })
	phone, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Anna's iPhone", Seed: 21, Passcode: "482913"}, "Anna", fleet.Corporate)
	w.settle(id, fleet.StatusSucceeded)
	c := newClient(t, w)
	guest := (&strict{world: w, log: &logBook{}}).newRogue()
	guest.open(w.invitation("Bram", fleet.IOS, fleet.Corporate, 1))
	for _, left := range []uint64{150 << 20, 0} {
		disk.leave(left)
		if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActLock, fleet.ActionOptions{}, ""); !errors.Is(err, fleet.ErrNoRoom) {
			t.Errorf("an action on a disk with %d bytes left: %v", left, err)
		}
		c.call("POST", "/groups", map[string]any{"name": "Full", "kind": "people"}, http.StatusServiceUnavailable, nil)
		c.call("GET", "/devices", nil, 200, nil)
		var refused *sim.StatusError
		if err := phone.RotateToken(t.Context()); !errors.As(err, &refused) || refused.Code != http.StatusServiceUnavailable {
			t.Errorf("a device that has something to say, %d bytes left: %v", left, err)
		}
		if _, err := guest.w.scep(guest.key, guest.challenge, pkix.Name{}); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("a certificate on a full disk, %d bytes left: %v", left, err)
		}
		if _, err := read(w.browser().Get(w.config.URL + profileAddress(guest.ticket))); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("an enrolment profile on a full disk, %d bytes left: %v", left, err)
		}
		if !strings.Contains(w.needs(), "need.store-full") {
			t.Errorf("nobody is told: %s", w.needs())
		}
	}
	disk.leave(1 << 40)
	if err := phone.RotateToken(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	w.sync(phone, id)
	guest.obtain() // the challenge was not used up
	if !phone.State().Enrolled {
		t.Error("the phone was lost")
	}
	if strings.Contains(w.needs(), "need.store-full") {
		t.Error("it is still said to be full")
	}
	if disk.free != nil {
		return
	}

	// Stopped while another program has taken all, refused to start on such a disk, and back when there is room.
	w.stop()
	server := startServe(t, w.config, func(*exec.Cmd) {})
	w.serving()
	c.call("POST", "/groups", map[string]any{"name": "Last", "kind": "people"}, http.StatusCreated, nil)
	disk.leave(0)
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	server.ended(t, "told to end on a full disk", 0)
	if a, err := Open(t.Context(), w.config); !errors.Is(err, store.ErrNoRoom) || !strings.Contains(err.Error(), "make room and start again") {
		if err == nil {
			a.Close()
		}
		t.Errorf("a start on a full disk: %v", err)
	}
	disk.leave(1 << 40)
	w.start()
	w.sync(phone, id)
	if broken, _, err := w.Appliance.fleet.VerifyAudit(t.Context(), w.Actor); err != nil || broken != 0 {
		t.Errorf("the log's chain: broken at %d, %v", broken, err)
	}
}

// smallDisk is a disk that a test fills.
type smallDisk struct {
	t    *testing.T
	dir  string
	free func() (uint64, error) // nil where the disk is a real one
	left atomic.Uint64          // what is free on a disk that is not
}

// leave fills the disk, or makes room on it, until so much is free.
func (d *smallDisk) leave(bytes uint64) {
	d.t.Helper()
	d.left.Store(bytes)
	if d.free == nil {
		if err := fillDisk(d.dir, bytes); err != nil {
			d.t.Fatal(err)
		}
	}
}

// A clock that runs a year ahead, and is put right: devices whose certificates seem to have ended are not sent away, and go on afterwards.
func TestClockAYearAheadAndBack(t *testing.T) {
	var clock movingClock
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Clock = clock.now })
	phone, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Anna's iPhone", Seed: 22, Passcode: "482913"}, "Anna", fleet.Corporate)
	w.settle(id, fleet.StatusSucceeded)
	clock.advance(400 * 24 * time.Hour)
	w.restart()
	var invalid x509.CertificateInvalidError
	if err := phone.Connect(t.Context()); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("a phone with the right time talks to a server whose certificate is of next year: %v", err)
	}
	if !phone.State().Enrolled {
		t.Fatal("the phone was sent away by a wrong clock")
	}
	clock.advance(-400 * 24 * time.Hour)
	w.restart()
	w.sync(phone, id)
	d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, id)
	if err != nil || d.State != fleet.Managed || !phone.State().Enrolled {
		t.Errorf("with the right clock: %+v, %v", d, err)
	}
	if broken, _, err := w.Appliance.fleet.VerifyAudit(t.Context(), w.Actor); err != nil || broken != 0 {
		t.Errorf("the log's chain: broken at %d, %v", broken, err)
	}
}

// The seal key may come from the environment, and is changed without writing the data again.
func TestSealKeyFromTheEnvironmentAndRotation(t *testing.T) {
	c := setUpDir(t, false).Config
	next := filepath.Join(t.TempDir(), "next.key")
	var said strings.Builder
	if err := SealKey(t.Context(), SealKeyConfig{Config: c, Next: next}, &said); err != nil || !strings.Contains(said.String(), "Destroy the old key") {
		t.Fatalf("%v, said %q", err, said.String())
	}
	if _, err := Open(t.Context(), c); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("the old key: %v", err)
	}
	key, err := os.ReadFile(next)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(sealKeyVariable, string(key))
	if c.Key, err = defaultKeyPath(); err != nil || c.Key != "env:"+sealKeyVariable {
		t.Fatalf("default key %q, %v", c.Key, err)
	}
	a, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	t.Setenv(sealKeyVariable, "")
	if _, err := Open(t.Context(), c); !errors.Is(err, store.ErrKeyMissing) {
		t.Errorf("without it: %v", err)
	}
}
