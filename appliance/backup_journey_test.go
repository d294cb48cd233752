package appliance

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/pki"
	"muster/store"
)

// recoveryKey makes a recovery key as an owner does on the pages: shown, two groups asked back.
func (w *world) recoveryKey() string {
	w.t.Helper()
	r, key, err := w.Appliance.fleet.NewRecovery(w.t.Context(), w.Actor)
	if err != nil {
		w.t.Fatal(err)
	}
	_, groups := fleet.RecoveryGroups(key)
	var parts []string
	for _, at := range r.Pending.Ask {
		parts = append(parts, strings.ToLower(groups[at-1])+" ")
	}
	if r, err = w.Appliance.fleet.ProveRecovery(w.t.Context(), w.Actor, parts); err != nil || r.Pending != nil || r.Name == "" {
		w.t.Fatalf("proof of possession: %+v, %v", r, err)
	}
	return key
}

// moveTo stops the appliance and starts it on a restored directory with a new seal key, as on a new machine that the old address leads to.
func (w *world) moveTo(file, recovery string) {
	w.t.Helper()
	public, device := w.Appliance.Addrs()
	w.stop()
	dir := w.t.TempDir()
	c := w.config
	c.Data, c.Key, c.BackupDir, c.SetupFile = filepath.Join(dir, "data"), filepath.Join(dir, "new.key"), "", ""
	c.Listen = public
	if device != public {
		c.DeviceURL = w.Appliance.config.DeviceURL
	}
	if err := c.complete(); err != nil {
		w.t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "recovery.key")
	if err := store.WriteText(keyFile, recoveryFile("Noordhaven", "x", recovery, time.Now())); err != nil {
		w.t.Fatal(err)
	}
	var said bytes.Buffer
	if err := Restore(w.t.Context(), RestoreConfig{Config: c, File: file, Recovery: keyFile}, &said); err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(said.String(), "muster serve") {
		w.t.Errorf("restore says: %s", &said)
	}
	w.config = c
	w.start()
}

// The whole way: a backup while devices work, a new machine with a new seal key, every device goes on with its old identity, removals are held until
// an administrator has confirmed, and then go through with a receipt. A device that enrolled after the backup is taken back.
func TestBackupRestoreAndGoOn(t *testing.T) {
	w := newWorld(t)
	anna, annaID := w.device(sim.Options{Kind: sim.IPhone, Name: "Anna's iPhone", Seed: 11, Passcode: "482913"}, "Anna", fleet.Corporate)
	_, bramID := w.device(sim.Options{Kind: sim.IPad, Name: "Bram's iPad", Seed: 12, Passcode: "482913"}, "Bram", fleet.Corporate)
	w.settle(annaID, fleet.StatusSucceeded)
	w.settle(bramID, fleet.StatusSucceeded)
	f := w.Appliance.fleet
	if _, err := f.MakeBackup(t.Context(), w.Actor, fleet.BackupManual); reasonOf(err) != "recovery.missing" {
		t.Errorf("a backup without a recovery key: %v", err)
	}
	recovery := w.recoveryKey()
	open := w.invitation("Eva", fleet.IOS, fleet.Corporate, 1)
	_, token, err := f.CreateToken(t.Context(), w.Actor, "old", fleet.AllPermissions, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	number := w.crlNumber()

	b, err := f.MakeBackup(t.Context(), w.Actor, fleet.BackupManual)
	if err != nil || !b.Verified {
		t.Fatalf("backup: %+v, %v", b, err)
	}
	if b, err = f.RehearseBackup(t.Context(), w.Actor, b.ID); err != nil || b.Rehearsed == nil || b.Rehearsal != nil {
		t.Fatalf("rehearsal: %+v, %v", b, err)
	}
	left, _ := filepath.Glob(filepath.Join(f.BackupDir(), "rehearsal-*"))
	if len(left) > 0 {
		t.Errorf("the rehearsal left %v", left)
	}

	// After the backup: another device enrols. The restored records do not know it.
	carla, _ := w.device(sim.Options{Kind: sim.IPhone, Name: "Carla's iPhone", Seed: 13, Passcode: "482913"}, "Carla", fleet.Corporate)

	w.moveTo(filepath.Join(f.BackupDir(), b.File), recovery)
	f = w.Appliance.fleet
	if w.crlNumber() <= number {
		t.Error("the revocation list's number does not lie above what was published")
	}
	if resp, err := w.browser().Get(open); err != nil || resp.StatusCode != http.StatusGone {
		t.Errorf("an invitation of before still opens: %+v, %v", resp, err)
	}
	if _, err := f.AuthenticateToken(t.Context(), token, "127.0.0.1"); !errors.Is(err, fleet.ErrSignIn) {
		t.Errorf("an API token of before still works: %v", err)
	}
	if !strings.Contains(w.needs(), "need.restored") {
		t.Errorf("nobody is told that it is held: %s", w.needs())
	}

	// Both go on with what they have: a profile changed now reaches them.
	w.sync(anna, annaID)
	if c := anna.State().Complaints; len(c) > 0 || !anna.State().Enrolled {
		t.Errorf("Anna's iPhone after the restore: %q", c)
	}
	mail := w.statuses(bramID)["Office mail"].Profile
	p, err := f.Profile(t.Context(), w.Actor, mail)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.UpdateProfile(t.Context(), w.Actor, mail, fleet.ProfileInput{Settings: []byte(strings.Replace(string(p.Settings), `"days":7`, `"days":14`, 1))}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the new version is on Bram's iPad", func() bool {
		s := w.statuses(bramID)["Office mail"]
		return s.Version == p.Version+1 && s.Status == fleet.StatusSucceeded
	})

	// A removal waits, however often the device calls.
	if _, err := f.Act(t.Context(), w.Actor, annaID, fleet.ActRetire, fleet.ActionOptions{}, "Anna's iPhone"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := anna.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !anna.State().Enrolled {
		t.Fatal("a removal went out although it is held")
	}
	held, err := f.Restored(t.Context(), w.Actor)
	if err != nil || !held.Held || len(held.Removals) != 1 || held.Removals[0].Action != fleet.ActRetire {
		t.Fatalf("held: %+v, %v", held, err)
	}

	// The stranger is answered 400, noted, and taken back by an administrator.
	if err := carla.Connect(t.Context()); err == nil {
		t.Error("a device without a record was answered as if it had one")
	}
	w.eventually("Carla's iPhone is noted with its hardware", func() bool {
		held, err = f.Restored(t.Context(), w.Actor)
		return err == nil && len(held.Unknown) == 1 && held.Unknown[0].Hindrance == nil
	})
	if !carla.State().Enrolled {
		t.Error("a device without a record was sent away")
	}
	d, err := f.Adopt(t.Context(), w.Actor, held.Unknown[0].Fingerprint, fleet.AdoptInput{Person: w.people["Carla"], Ownership: fleet.Corporate})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("Carla's iPhone gets its profiles", func() bool {
		if err := carla.Connect(t.Context()); err != nil { // nobody can wake it until it tells how
			t.Fatal(err)
		}
		all := w.statuses(d.ID)
		for _, s := range all {
			if s.Status != fleet.StatusSucceeded {
				return false
			}
		}
		return len(all) > 0
	})
	if held, err = f.Restored(t.Context(), w.Actor); err != nil || len(held.Unknown) != 0 {
		t.Errorf("still listed: %+v, %v", held, err)
	}

	if err := f.Release(t.Context(), w.Actor, "another"); reasonOf(err) != "restored.other-list" {
		t.Errorf("confirming another list: %v", err)
	}
	if err := f.Release(t.Context(), w.Actor, held.List); err != nil {
		t.Fatal(err)
	}
	w.eventually("Anna's iPhone has left", func() bool { return !anna.State().Enrolled })
	if r := w.receipt(annaID); r.Outcome != "proved" {
		t.Errorf("receipt %q: %+v", r.Outcome, r.Rows)
	}
	if broken, _, err := f.VerifyAudit(t.Context(), w.Actor); err != nil || broken != 0 {
		t.Errorf("the log's chain: broken at %d, %v", broken, err)
	}
}

// crlNumber is the number of the revocation list as a verifier reads it.
func (w *world) crlNumber() int64 {
	w.t.Helper()
	der, err := w.Appliance.pki.CRL(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Number.Int64()
}

// needs are the codes of what needs somebody now.
func (w *world) needs() string {
	w.t.Helper()
	all, err := w.Appliance.fleet.Needs(w.t.Context(), w.Actor)
	if err != nil {
		w.t.Fatal(err)
	}
	var codes []string
	for _, n := range all {
		codes = append(codes, n.Reason.Code)
	}
	return strings.Join(codes, " ")
}

// reasonOf is the code of a refusal, "" for anything else.
func reasonOf(err error) string {
	var r *fleet.Refusal
	if errors.As(err, &r) {
		return r.Reason.Code
	}
	return ""
}

// The command line takes a backup from the running server, and refuses to restore what it should not.
func TestBackupByCommandLine(t *testing.T) {
	dir := t.TempDir()
	c, err := ParseSetup([]string{"--data", filepath.Join(dir, "data"), "--key", filepath.Join(dir, "seal.key"), "--org", "Noordhaven", "--admin", "a@noordhaven.example", "--recovery-out", filepath.Join(dir, "recovery.key")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = testLog(t)
	var said bytes.Buffer
	if err := Setup(t.Context(), c, strings.NewReader("een lang wachtwoord 4711\n"), &said); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.RecoveryOut); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(said.String(), "recovery key") {
		t.Errorf("recovery key file: %v, %v; said %s", info, err, &said)
	}
	out := BackupConfig{Config: c.Config, Out: filepath.Join(dir, "one.muster"), Language: "en"}
	if err := Backup(t.Context(), out, io.Discard); err != nil { // without a server
		t.Fatal(err)
	}
	a, err := Open(t.Context(), c.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop, err := a.serveLocal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := Backup(t.Context(), out, io.Discard); err == nil {
		t.Error("an existing file was written over")
	}
	out.Out = filepath.Join(dir, "two.muster")
	if err := Backup(t.Context(), out, io.Discard); err != nil { // from the server
		t.Fatal(err)
	}

	restore := func(change func(*RestoreConfig)) error {
		r := RestoreConfig{Config: c.Config, File: out.Out, Recovery: c.RecoveryOut}
		r.Data, r.Key = filepath.Join(dir, "other"), filepath.Join(dir, "other.key")
		change(&r)
		return Restore(t.Context(), r, io.Discard)
	}
	for name, tc := range map[string]struct {
		change func(*RestoreConfig)
		is     error
		says   string
	}{
		"over a running server": {func(r *RestoreConfig) { r.Data, r.Key, r.Replace = c.Data, c.Key, true }, store.ErrLocked, "stop it first"},
		"another key": {func(r *RestoreConfig) {
			k, _ := store.NewRecoveryKey()
			r.Recovery = filepath.Join(dir, "wrong.key")
			_ = store.WriteText(r.Recovery, k.String())
		}, store.ErrWrongKey, "nothing was changed"},
		"a cut file": {func(r *RestoreConfig) {
			b, _ := os.ReadFile(out.Out)
			r.File = filepath.Join(dir, "cut.muster")
			_ = os.WriteFile(r.File, b[:len(b)/2], 0o600)
		}, store.ErrBadBackup, "nothing was changed"},
		"a foreign file": {func(r *RestoreConfig) { r.File = c.Key }, store.ErrBadBackup, "not a backup"},
	} {
		if err := restore(tc.change); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "other*")); len(left) > 0 {
		t.Errorf("refused restores left %v", left)
	}
	if err := restore(func(*RestoreConfig) {}); err != nil {
		t.Fatal(err)
	}
	if err := restore(func(*RestoreConfig) {}); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("over data without asking: %v", err)
	}
}

// backups calls everything about backups, the recovery key and what follows a restore. It comes last: a restore ends all tokens.
func (c *client) backups() {
	c.t.Helper()
	f, ctx := c.w.Appliance.fleet, c.t.Context()
	c.call("POST", "/backups", nil, 409, nil) // no recovery key yet
	var made struct {
		Key     string                `json:"key"`
		Pending fleet.PendingRecovery `json:"pending"`
	}
	c.call("POST", "/recovery-key/later", nil, 204, nil)
	c.call("POST", "/recovery-key", nil, 201, &made)
	c.call("POST", "/recovery-key/proof", map[string]any{"parts": []string{"AAAAAA", "BBBBBB"}}, 422, nil)
	_, groups := fleet.RecoveryGroups(made.Key)
	c.call("POST", "/recovery-key/proof", map[string]any{"parts": []string{groups[made.Pending.Ask[0]-1], groups[made.Pending.Ask[1]-1]}}, 200, nil)
	var key fleet.Recovery
	c.call("GET", "/recovery-key", nil, 200, &key)
	var b fleet.Backup
	c.call("POST", "/backups", nil, 201, &b)
	if !b.Verified || b.Recovery != key.Name || b.Recovery != made.Pending.Name {
		c.t.Errorf("backup %+v for key %+v", b, key)
	}
	c.call("POST", "/backups/"+string(b.ID)+"/rehearsal", nil, 200, &b)
	if b.Rehearsed == nil || b.Rehearsal != nil {
		c.t.Errorf("rehearsal %+v", b)
	}
	header, raw := c.do("GET", "/backups/"+string(b.ID)+"/file", nil, 200, nil)
	opener, err := store.ParseRecoveryKey(made.Key)
	if err != nil {
		c.t.Fatal(err)
	}
	if sum, err := store.ReadBackup(ctx, bytes.NewReader(raw), opener, nil); err != nil || sum.SHA256 != b.SHA256 || !strings.Contains(header.Get("Content-Disposition"), b.File) {
		c.t.Errorf("fetched backup: %+v, %v, %v", sum, err, header)
	}
	c.call("GET", "/backups", nil, 200, nil)
	c.call("DELETE", "/backups/"+string(b.ID), nil, 204, nil)
	c.call("GET", "/backups/"+string(b.ID)+"/file", nil, 404, nil)

	// A device whose certificate is newer than the backup.
	devices, err := f.Devices(ctx, c.w.Actor, fleet.DeviceFilter{State: fleet.Managed}, fleet.ListQuery{Limit: 1})
	if err != nil || len(devices.Items) == 0 {
		c.t.Fatalf("no managed device: %v", err)
	}
	d := devices.Items[0]
	if _, err := f.Identify(ctx, c.w.forgotten(d)); !errors.Is(err, fleet.ErrNoRecord) {
		c.t.Fatalf("a certificate without a record: %v", err)
	}
	if err := f.AfterRestore(ctx, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	_, c.token, err = f.CreateToken(ctx, c.w.Actor, "after", fleet.AllPermissions, time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	var restored fleet.Restored
	c.call("GET", "/restored", nil, 200, &restored)
	if !restored.Held || len(restored.Unknown) != 1 || restored.Unknown[0].Device != d.ID {
		c.t.Fatalf("restored: %+v", restored)
	}
	var adopted thing
	c.call("POST", "/restored/unknown/"+restored.Unknown[0].Fingerprint, map[string]any{}, 200, &adopted)
	if adopted.ID != string(d.ID) {
		c.t.Errorf("adopted %q, want %q", adopted.ID, d.ID)
	}
	c.call("POST", "/restored/release", map[string]any{"list": restored.List + "7"}, 409, nil)
	c.call("POST", "/restored/release", map[string]any{"list": restored.List}, 204, nil)
	c.call("POST", "/restored/release", map[string]any{"list": restored.List}, 409, nil)
}

// forgotten is a genuine certificate for a device's enrolment whose record was lost: it is issued in a transaction that does not commit.
func (w *world) forgotten(d *fleet.Device) *x509.Certificate {
	w.t.Helper()
	var der []byte
	lost := errors.New("lost")
	err := w.Appliance.db.Update(w.t.Context(), func(tx store.Tx) error {
		_, c, err := w.Appliance.pki.IssuePKCS12(tx, pki.Binding{Purpose: pki.Management, Enrolment: string(d.Enrolment), Subject: pkix.Name{CommonName: string(d.Enrolment)}}, "secret")
		if err != nil {
			return err
		}
		der = c.DER
		return lost
	})
	if !errors.Is(err, lost) {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return cert
}
