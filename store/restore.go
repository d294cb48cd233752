package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Names inside a data directory while a restore is under way.
const (
	restorePrefix  = "restoring-"
	restoreJournal = "restore.journal" // from here on the restore is carried through, whatever happens
	beforePrefix   = "before-restore-"
)

// swapped are the parts of a data directory that a restore replaces.
var swapped = []string{engineDir, keysFile}

// Restore is a store that was read from a backup and checked, next to the one that it is to replace. Nothing of that was touched yet.
type Restore struct {
	Summary BackupSummary
	Dir     string // holds the new keys and store; Open it as a data directory to change it before Swap
	data    string
	hadData bool
}

// ReadRestore reads a backup into a new directory inside dataDir, with new keys under the seal key at sealKeyPath, which is made when absent.
// The whole file is checked before anything is made. It fails with ErrLocked while another process uses dataDir, with ErrExists when there is a store in
// dataDir and replace was not asked for, and as ReadBackup does.
func ReadRestore(ctx context.Context, f io.ReadSeeker, key BackupKey, dataDir, sealKeyPath string, replace bool, log *slog.Logger) (_ *Restore, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if _, err := ReadBackup(ctx, f, key, nil); err != nil {
		return nil, err
	}
	if err := checkPlace(dataDir, sealKeyPath); err != nil {
		return nil, err
	}
	if err := FinishRestore(dataDir); err != nil {
		return nil, err
	}
	r := &Restore{data: dataDir}
	if r.hadData, err = hasData(dataDir); err != nil {
		return nil, err
	}
	if r.hadData && !replace {
		return nil, fmt.Errorf("%w: %s holds data already", ErrExists, dataDir)
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("store: restore: %w", err)
	}
	if err := clearRestores(dataDir); err != nil {
		return nil, err
	}
	if r.Dir, err = os.MkdirTemp(dataDir, restorePrefix+"*"); err != nil {
		return nil, fmt.Errorf("store: restore: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(r.Dir))
		}
	}()
	if r.Summary, err = RestoreInto(ctx, f, key, r.Dir, sealKeyPath, log); err != nil {
		return nil, err
	}
	return r, nil
}

// hasData tells whether dir holds a store or its keys, and that nobody uses it.
func hasData(dir string) (bool, error) {
	path := filepath.Join(dir, engineDir)
	for _, name := range swapped {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err == nil {
			if _, err := os.Stat(path); err == nil {
				return true, withLock(path, func() error { return nil })
			}
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("store: restore: %w", err)
		}
	}
	return false, nil
}

// clearRestores removes what restores left that ended before they were to be carried through.
func clearRestores(dataDir string) error {
	left, err := filepath.Glob(filepath.Join(dataDir, restorePrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// RestoreInto reads a backup into dir, an empty directory, as a data directory of its own, and counts afterwards what is there. On an error what was
// written is worthless and the caller's to remove.
func RestoreInto(ctx context.Context, f io.ReadSeeker, key BackupKey, dir, sealKeyPath string, log *slog.Logger) (BackupSummary, error) {
	path := filepath.Join(dir, engineDir)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return BackupSummary{}, fmt.Errorf("store: restore: %w", err)
	}
	keys := Keys{Store: randomKey(), Secrets: randomKey()}
	o := engineOptions(path, Options{Key: keys.Store, Small: true}, log)
	o.SyncWrites = false // all of it is synced at the end, and counts for nothing before
	engine, err := badger.Open(o)
	if err != nil {
		return BackupSummary{}, openError(path, err)
	}
	batch := engine.NewWriteBatch()
	sum, secrets, err := readBackup(ctx, f, key, func(key, value []byte) error {
		return batch.Set(append([]byte(nil), key...), append([]byte(nil), value...))
	})
	if err == nil {
		err = batch.Flush()
	} else {
		batch.Cancel()
	}
	if err == nil {
		err = engine.Sync()
	}
	if err = errors.Join(err, engine.Close()); err != nil {
		return BackupSummary{}, fmt.Errorf("store: restore: %w", err)
	}
	keys.Secrets = secrets
	seal, err := readSealKey(sealKeyPath)
	if errors.Is(err, fs.ErrNotExist) {
		seal, err = makeSealKey(sealKeyPath)
	}
	if err != nil {
		return BackupSummary{}, err
	}
	if err := writeKeys(filepath.Join(dir, keysFile), keys, seal); err != nil {
		return BackupSummary{}, err
	}
	return sum, checkRestored(ctx, dir, keys, sum, log)
}

// checkRestored opens what was restored, as a start does, and counts it.
func checkRestored(ctx context.Context, dir string, keys Keys, sum BackupSummary, log *slog.Logger) (err error) {
	db, err := Open(dir, Options{Key: keys.Store, SecretsKey: keys.Secrets, Schema: sum.Header.Schema, Small: true, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var n uint64
	err = db.View(ctx, func(tx Tx) error {
		return tx.Scan(Range{}, func(_, _ []byte) (bool, error) { n++; return true, nil })
	})
	if err == nil && n != sum.Entries {
		err = fmt.Errorf("%w: %d entries were restored of %d", ErrBadBackup, n, sum.Entries)
	}
	return err
}

// Discard takes a restore back. The data directory is as it was.
func (r *Restore) Discard() error { return os.RemoveAll(r.Dir) }

// swapPlan is the journal of a swap.
type swapPlan struct {
	From string `json:"from"` // directory inside the data directory that holds the new
	To   string `json:"to"`   // directory inside the data directory that the old goes to
}

// Swap puts the restored store in place of the old one, which stays in the directory that is returned ("" when there was none). A process that ends
// within Swap leaves a journal; the next start carries it through.
func (r *Restore) Swap(now time.Time) (old string, err error) {
	have, err := hasData(r.data)
	if err != nil {
		return "", err
	}
	if have != r.hadData {
		return "", fmt.Errorf("%w: %s was used while the backup was read", ErrLocked, r.data)
	}
	plan := swapPlan{From: filepath.Base(r.Dir)}
	if have {
		if old, err = os.MkdirTemp(r.data, beforePrefix+now.UTC().Format("20060102-150405")+"-*"); err != nil {
			return "", fmt.Errorf("store: restore: %w", err)
		}
		plan.To = filepath.Base(old)
	}
	b, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	if err := syncDir(r.Dir); err != nil {
		return "", fmt.Errorf("store: restore: %w", err)
	}
	if err := WriteWhole(filepath.Join(r.data, restoreJournal), false, holding(append(b, '\n'))); err != nil {
		return "", fmt.Errorf("store: restore: %w", err)
	}
	return old, FinishRestore(r.data)
}

// FinishRestore carries through a swap that was interrupted. It must run before anything opens the data directory, and does nothing when there is none.
func FinishRestore(dataDir string) error {
	journal := filepath.Join(dataDir, restoreJournal)
	b, err := os.ReadFile(journal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	var plan swapPlan
	if err := json.Unmarshal(b, &plan); err != nil || !strings.HasPrefix(plan.From, restorePrefix) ||
		plan.To != "" && !strings.HasPrefix(plan.To, beforePrefix) || strings.ContainsAny(plan.From+plan.To, `/\`) {
		return fmt.Errorf("%w: %s is damaged", ErrForeign, journal)
	}
	for _, name := range swapped {
		if err := swapOne(dataDir, plan, name); err != nil {
			return fmt.Errorf("store: restore: %w", err)
		}
	}
	if err := syncDir(dataDir); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	if err := os.Remove(journal); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	return errors.Join(os.RemoveAll(filepath.Join(dataDir, plan.From)), syncDir(dataDir))
}

// swapOne moves one part. While its new half is still where it was made, what stands in its place is the old one.
func swapOne(dataDir string, plan swapPlan, name string) error {
	fresh, place := filepath.Join(dataDir, plan.From, name), filepath.Join(dataDir, name)
	if _, err := os.Lstat(fresh); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := os.Lstat(place); err == nil && plan.To != "" {
		aside := filepath.Join(dataDir, plan.To)
		if err := os.MkdirAll(aside, 0o700); err != nil {
			return err
		}
		if err := os.Rename(place, filepath.Join(aside, name)); err != nil {
			return err
		}
		if err := syncDir(aside); err != nil {
			return err
		}
	}
	return os.Rename(fresh, place)
}
