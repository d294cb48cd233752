package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"muster/store"
)

// BackupID names a backup.
type BackupID string

// BackupKind says what a backup was made for.
type BackupKind string

const (
	BackupManual    BackupKind = "manual"
	BackupScheduled BackupKind = "scheduled"
	BackupTaken     BackupKind = "taken"   // by the command line, which keeps a copy elsewhere
	BackupUpgrade   BackupKind = "upgrade" // before the data were migrated
)

// Backup is one that was made, or failed to be.
type Backup struct {
	ID        BackupID   `json:"id"`
	Kind      BackupKind `json:"kind"`
	By        string     `json:"by"`
	Created   time.Time  `json:"created,omitzero"`
	File      string     `json:"file,omitempty"` // name in the directory of backups
	Size      int64      `json:"size,omitempty"`
	Entries   uint64     `json:"entries,omitempty"`
	SHA256    string     `json:"sha256,omitempty"`   // its checksum, as it stands at its end
	Recovery  string     `json:"recovery,omitempty"` // name of the key that opens it
	Verified  bool       `json:"verified"`           // read back from the disk, decrypted and counted
	Failed    *Reason    `json:"failed,omitempty"`
	Took      float64    `json:"took_seconds"`
	Rehearsed *time.Time `json:"rehearsed,omitempty"`
	Rehearsal *Reason    `json:"rehearsal,omitempty"` // why the rehearsal failed; nil: it went well
	Fetched   *time.Time `json:"fetched,omitempty"`   // when it was last taken away, to be kept elsewhere
	Gone      bool       `json:"gone,omitempty"`      // the file is no longer there
}

var backups = store.Define("bk", func(b *Backup) string { return string(b.ID) })

const (
	backupLate       = 3 * 24 * time.Hour // without a good one for so long, somebody is to look
	backupLost       = 7 * 24 * time.Hour
	backupHere       = 30 * 24 * time.Hour // backups beside the data: one is to be taken elsewhere as often as this
	backupEnding     = ".muster"
	backupRoom       = 64 << 20 // bytes to be free besides what the backup takes
	backupFailedKept = 20
)

// BackupDir is where backups are written.
func (f *Fleet) BackupDir() string { return f.backupDir }

// mayBackUp: a backup holds everything, so that what lies outside a scope may not be asked for.
func mayBackUp(a Actor) error {
	if a.Kind == ActorSetup {
		return nil
	}
	return needWhole(a, SettingsEdit)
}

// MakeBackup writes a backup and reads it back. It stays in the directory of backups until newer ones take its place. One runs at a time:
// ErrConflict "backup.running". ErrConflict "recovery.missing" while there is no recovery key.
func (f *Fleet) MakeBackup(ctx context.Context, a Actor, kind BackupKind) (*Backup, error) {
	if err := mayBackUp(a); err != nil {
		return nil, err
	}
	if !f.backingUp.TryLock() {
		return nil, Refuse(ErrConflict, "backup.running")
	}
	defer f.backingUp.Unlock()
	to, err := f.recoveryTarget(ctx)
	if err != nil {
		return nil, err
	}
	began := f.now()
	b := &Backup{ID: BackupID(store.NewID()), Kind: kind, By: a.Name, Created: began.UTC(), Recovery: to.Recovery.Name()}
	b.File = "muster-" + b.Created.Format("20060102-150405") + "-" + string(b.ID[len(b.ID)-4:]) + backupEnding
	sum, err := f.writeBackup(ctx, filepath.Join(f.backupDir, b.File), b.Created, to)
	b.Took = f.now().Sub(began).Seconds()
	if err != nil {
		f.log.Error("backup failed", "err", err)
		why := f.backupFault(err)
		b.File, b.Failed = "", &why
		if keepErr := f.keepBackup(ctx, a, b); keepErr != nil {
			return nil, errors.Join(err, keepErr)
		}
		return nil, &Refusal{Kind: ErrConflict, Reason: why}
	}
	b.Size, b.Entries, b.SHA256, b.Verified = sum.Bytes, sum.Entries, sum.SHA256, true
	if err := f.keepBackup(ctx, a, b); err != nil {
		return nil, err
	}
	f.log.Info("backup made and read back", "file", b.File, "bytes", b.Size, "entries", b.Entries)
	return b, nil
}

func (f *Fleet) writeBackup(ctx context.Context, path string, at time.Time, to store.BackupTarget) (sum store.BackupSummary, err error) {
	if err := os.MkdirAll(f.backupDir, 0o700); err != nil {
		return sum, err
	}
	if err := store.ClearParts(f.backupDir); err != nil {
		return sum, err
	}
	size, err := f.db.Size()
	if err != nil {
		return sum, err
	}
	if free, ok := store.FreeBytes(f.backupDir); ok && free < uint64(size)/2+backupRoom {
		return sum, fmt.Errorf("%w: %d MB free in %s", store.ErrNoRoom, free>>20, f.backupDir)
	}
	root := sha256.Sum256(f.pki.Root().Raw)
	return f.db.WriteBackup(ctx, path, store.BackupHeader{Program: f.version, Created: at, Appliance: hex.EncodeToString(root[:8])}, to)
}

// backupFault gives an error words. What nobody can act on is said in the system's own.
func (f *Fleet) backupFault(err error) Reason {
	switch {
	case errors.Is(err, store.ErrNoRoom), noSpace(err):
		return Why("backup.no-room", "place", f.backupDir)
	case errors.Is(err, fs.ErrPermission):
		return Why("backup.not-allowed", "place", f.backupDir)
	case errors.Is(err, context.Canceled):
		return Why("backup.interrupted")
	}
	r := Why("backup.failed")
	r.DeviceWords = clip(err.Error(), 500)
	return r
}

// keepBackup records a backup, and forgets failed ones beyond the newest.
func (f *Fleet) keepBackup(ctx context.Context, a Actor, b *Backup) error {
	return f.db.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		if err := backups.Put(tx, b); err != nil {
			return err
		}
		failed := 0
		var old []string
		if err := backups.Each(tx, store.Query{Reverse: true}, func(x *Backup) (bool, error) {
			if x.Failed != nil {
				if failed++; failed > backupFailedKept {
					old = append(old, string(x.ID))
				}
			}
			return true, nil
		}); err != nil {
			return err
		}
		for _, id := range old {
			if err := backups.Delete(tx, id); err != nil {
				return err
			}
		}
		f.publish(tx, "settings", "")
		f.publish(tx, "overview", "")
		return f.record(tx, a, "create", "backup/"+string(b.ID), b.File, nil, nil, b)
	})
}

// Backups lists what was made, the newest first.
func (f *Fleet) Backups(ctx context.Context, a Actor) ([]*Backup, error) {
	if err := need(a, SettingsRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) ([]*Backup, error) {
		var out []*Backup
		err := backups.Each(tx, store.Query{Reverse: true}, func(b *Backup) (bool, error) {
			if b.File != "" {
				if _, err := os.Stat(filepath.Join(f.backupDir, b.File)); errors.Is(err, fs.ErrNotExist) {
					b.Gone = true
				}
			}
			out = append(out, b)
			return true, nil
		})
		return out, err
	})
}

func (f *Fleet) backup(ctx context.Context, id BackupID) (*Backup, error) {
	return viewed(ctx, f, func(tx store.Tx) (*Backup, error) {
		b, err := backups.Get(tx, string(id))
		if err != nil {
			return nil, notFound(err, "backup")
		}
		if b.File == "" {
			return nil, Refuse(ErrNotFound, "not-found", "what", "backup")
		}
		return b, nil
	})
}

// OpenBackup opens a backup to take it away, and writes that into the log. The file is of use only with the recovery key.
func (f *Fleet) OpenBackup(ctx context.Context, a Actor, id BackupID) (*Backup, io.ReadSeekCloser, error) {
	if err := mayBackUp(a); err != nil {
		return nil, nil, err
	}
	b, err := f.backup(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	file, err := os.Open(filepath.Join(f.backupDir, b.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, Refuse(ErrGone, "backup.gone")
	}
	if err != nil {
		return nil, nil, err
	}
	err = f.db.Update(ctx, func(tx store.Tx) error {
		if b, err = backups.Get(tx, string(id)); err != nil {
			return notFound(err, "backup")
		}
		now := f.now().UTC()
		b.Fetched = &now
		if err := backups.Put(tx, b); err != nil {
			return err
		}
		f.publish(tx, "settings", "")
		return f.record(tx, a, "export", "backup/"+string(b.ID), b.File, nil, nil, nil)
	})
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return b, file, nil
}

// DeleteBackup removes a backup and its file.
func (f *Fleet) DeleteBackup(ctx context.Context, a Actor, id BackupID) error {
	if err := mayBackUp(a); err != nil {
		return err
	}
	b, err := f.backup(ctx, id)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(f.backupDir, b.File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		if err := backups.Delete(tx, string(id)); err != nil {
			return notFound(err, "backup")
		}
		f.publish(tx, "settings", "")
		return f.record(tx, a, "delete", "backup/"+string(id), b.File, nil, b, nil)
	})
}

// BackUp is the daily job: a backup, and the older ones that it makes superfluous removed. Without a recovery key there is nothing to do: Needs says so.
func (f *Fleet) BackUp(ctx context.Context) error {
	job := Job("backup")
	_, err := patiently(ctx, func() (*Backup, error) { return f.MakeBackup(ctx, job, BackupScheduled) })
	if err != nil {
		return err
	}
	all, err := f.Backups(ctx, job)
	if err != nil {
		return err
	}
	for _, b := range superfluous(all) {
		if err := f.DeleteBackup(ctx, job, b.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// superfluous are the backups that may go: of the scheduled ones stay the newest seven, and the first of each of the newest five weeks; of
// those before an upgrade, and of those that the command line took, the newest three. What a person made stays until a person deletes it.
func superfluous(newestFirst []*Backup) []*Backup {
	var out []*Backup
	keep := map[BackupID]bool{}
	weeks := map[string]BackupID{}
	var order []string
	scheduled, others := 0, map[BackupKind]int{}
	for _, b := range newestFirst {
		if !b.Verified {
			continue
		}
		switch b.Kind {
		case BackupScheduled:
			if scheduled++; scheduled <= 7 {
				keep[b.ID] = true
			}
			y, w := b.Created.ISOWeek()
			week := fmt.Sprintf("%d-%02d", y, w)
			if _, ok := weeks[week]; !ok {
				order = append(order, week)
			}
			weeks[week] = b.ID // the last that is met is the first of the week
		case BackupUpgrade, BackupTaken:
			if others[b.Kind]++; others[b.Kind] <= 3 {
				keep[b.ID] = true
			}
		default:
			keep[b.ID] = true
		}
	}
	for _, week := range order[:min(5, len(order))] {
		keep[weeks[week]] = true
	}
	for _, b := range newestFirst {
		if b.Verified && !keep[b.ID] {
			out = append(out, b)
		}
	}
	return out
}

// newestGood is the newest backup whose file is there.
func newestGood(all []*Backup) *Backup {
	i := slices.IndexFunc(all, func(b *Backup) bool { return b.Verified && !b.Gone })
	if i < 0 {
		return nil
	}
	return all[i]
}
