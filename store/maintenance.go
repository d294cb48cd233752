package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// gcRatio is the share of a value-log file that must be garbage before it is written again.
const gcRatio = 0.5

// RunGC gives space in the value log back until there is none to give. Records are below the size that the
// engine puts there, so a daily run is ample. Two at once are refused by the engine.
func (db *DB) RunGC(ctx context.Context) error {
	if !db.enter() {
		return ErrClosed
	}
	defer db.leave()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := db.engine.RunValueLogGC(gcRatio)
		if errors.Is(err, badger.ErrNoRewrite) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("store: value log collection: %w", err)
		}
	}
}

// Size returns the bytes that the store's files take on the disk. Files laid out in advance count with what
// is allocated, where the system tells.
func (db *DB) Size() (int64, error) {
	var sum int64
	err := filepath.WalkDir(db.path, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compacted away meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		sum += allocated(info)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("store: size: %w", err)
	}
	return sum, nil
}

// Stats is a store's state and its counts since Open, for metrics.
type Stats struct {
	Syncs         uint64  // durable commits
	Updates       uint64  // updates answered without an error
	Refused       uint64  // updates whose function failed or panicked, or whose commit failed
	CommitSeconds float64 // time spent in commits, so CommitSeconds/Syncs is the mean
	Waiting       int     // updates in the queue now
	Readers       int     // Views running now
	Failed        bool    // a commit failed; writes are refused
	NoRoom        bool    // the disk is nearly full; writes are refused until there is room
	Tables        int     // files of the ordered tree
	TableBytes    int64   // their size
	CacheHitRatio float64 // of the block cache, 0 to 1
}

// Stats returns the store's counts. It is cheap and touches no disk. After Close it is zero.
func (db *DB) Stats() Stats {
	if !db.enter() {
		return Stats{}
	}
	defer db.leave()
	c := db.combiner
	s := Stats{
		Syncs:         c.syncs.Load(),
		Updates:       c.answered.Load(),
		Refused:       c.refused.Load(),
		CommitSeconds: float64(c.commitNanos.Load()) / 1e9,
		Readers:       int(db.readers.Load()) - 1,
		Failed:        c.failed.Load() != nil,
		NoRoom:        c.room.full.Load(),
	}
	c.mu.Lock()
	s.Waiting = len(c.queue)
	c.mu.Unlock()
	for _, level := range db.engine.Levels() {
		s.Tables += level.NumTables
		s.TableBytes += level.Size
	}
	if m := db.engine.BlockCacheMetrics(); m != nil {
		s.CacheHitRatio = m.Ratio()
	}
	return s
}

// Rest gives back memory that holds only what the files hold too, for a time in which little is asked of the store. It is best effort.
func (db *DB) Rest() error {
	if !db.enter() {
		return ErrClosed
	}
	defer db.leave()
	path, err := filepath.EvalSymlinks(db.path)
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	return pageOut(path)
}
