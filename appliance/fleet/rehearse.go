package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"muster/pki"
	"muster/store"
)

// RehearseBackup restores a backup to a scratch directory, opens it as a start does, and checks it: every entry is there, the authority's keys
// open, the chain of the audit log is whole. The scratch directory is removed again. What it found is kept with the backup.
func (f *Fleet) RehearseBackup(ctx context.Context, a Actor, id BackupID) (*Backup, error) {
	if err := mayBackUp(a); err != nil {
		return nil, err
	}
	if !f.backingUp.TryLock() {
		return nil, Refuse(ErrConflict, "backup.running")
	}
	defer f.backingUp.Unlock()
	b, err := f.backup(ctx, id)
	if err != nil {
		return nil, err
	}
	fault := f.rehearse(ctx, b)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return updated(ctx, f, func(tx store.Tx) (*Backup, error) {
		b, err := backups.Get(tx, string(id))
		if err != nil {
			return nil, notFound(err, "backup")
		}
		now := f.now().UTC()
		b.Rehearsed, b.Rehearsal = &now, nil
		if fault != nil {
			f.log.Error("rehearsal of a backup failed", "file", b.File, "err", fault)
			why := Why("backup.rehearsal-failed")
			if errors.Is(fault, fs.ErrNotExist) {
				why = Why("backup.gone")
			} else if errors.Is(fault, store.ErrWrongKey) {
				why = Why("backup.older-key")
			} else {
				why.DeviceWords = clip(fault.Error(), 500)
			}
			b.Rehearsal = &why
		}
		f.publish(tx, "settings", "")
		f.publish(tx, "overview", "")
		return b, errors.Join(backups.Put(tx, b), f.record(tx, a, "rehearse", "backup/"+string(id), b.File, nil, nil, b.Rehearsal))
	})
}

func (f *Fleet) rehearse(ctx context.Context, b *Backup) (err error) {
	to, err := f.recoveryTarget(ctx)
	if err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(f.backupDir, b.File))
	if err != nil {
		return err
	}
	defer file.Close()
	scratch, err := os.MkdirTemp(f.backupDir, "rehearsal-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	data, seal := filepath.Join(scratch, "data"), filepath.Join(scratch, "seal.key")
	sum, err := store.RestoreInto(ctx, file, to.Rehearsal, data, seal, f.log)
	if err != nil {
		return err
	}
	if sum.SHA256 != b.SHA256 {
		return fmt.Errorf("%w: its checksum is another than when it was made", store.ErrBadBackup)
	}
	return checkScratch(ctx, data, seal, sum, f.pki.Root().Raw, f.now)
}

// checkScratch opens a restored directory and looks whether an appliance would live in it.
func checkScratch(ctx context.Context, data, seal string, sum store.BackupSummary, root []byte, now func() time.Time) (err error) {
	keys, err := store.OpenKeys(data, seal)
	if err != nil {
		return err
	}
	db, err := store.Open(data, store.Options{Key: keys.Store, SecretsKey: keys.Secrets, Schema: sum.Header.Schema, Small: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	authority, err := pki.Open(ctx, db, pki.Config{Clock: now})
	if err != nil {
		return err
	}
	if string(authority.Root().Raw) != string(root) {
		return errors.New("the certificate authority in it is another one")
	}
	scratch, err := New(Config{DB: db, PKI: authority, Clock: now})
	if err != nil {
		return err
	}
	if _, err := scratch.SetupState(ctx); err != nil {
		return err
	}
	broken, _, err := scratch.VerifyAudit(ctx, Job("rehearsal"))
	if err == nil && broken != 0 {
		err = fmt.Errorf("the audit log is broken at %d", broken)
	}
	return err
}

// rehearseEvery is a week, less the time that a run takes.
const rehearseEvery = 6*24*time.Hour + 12*time.Hour

// Rehearse is the weekly job, asked daily: the newest backup is restored to a scratch directory and checked. It returns that backup, nil when none was due.
func (f *Fleet) Rehearse(ctx context.Context) (*Backup, error) {
	job := Job("rehearsal")
	all, err := f.Backups(ctx, job)
	if err != nil {
		return nil, err
	}
	b := newestGood(all)
	last := time.Time{}
	for _, x := range all {
		if x.Rehearsed != nil && x.Rehearsed.After(last) {
			last = *x.Rehearsed
		}
	}
	if b == nil || f.now().Sub(last) < rehearseEvery {
		return nil, nil
	}
	done, err := patiently(ctx, func() (*Backup, error) { return f.RehearseBackup(ctx, job, b.ID) })
	if err == nil && done.Rehearsal != nil {
		err = &Refusal{Kind: ErrConflict, Reason: *done.Rehearsal}
	}
	return done, err
}

// patiently is for jobs, which nobody can ask to come again: they wait for a backup or rehearsal that is under way.
func patiently[T any](ctx context.Context, do func() (T, error)) (T, error) {
	for {
		v, err := do()
		var busy *Refusal
		if !errors.As(err, &busy) || busy.Reason.Code != "backup.running" {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
