package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// engineDir is where the engine keeps its files, inside the data directory.
const engineDir = "store"

// magic marks the engine's files as ours, so that another program's are refused.
const magic uint16 = 0x4d75

// Options says how to open a store. Key and SecretsKey are required and come from OpenKeys.
type Options struct {
	Key        []byte       // 32 bytes: encrypts everything on the disk
	SecretsKey []byte       // 32 bytes: seals single secrets (Sealer)
	Logger     *slog.Logger // nil discards
	Schema     int          // the newest schema that this program knows; a new store begins there
	// Free says how many bytes are free for the store; nil asks the file system. Below Reserve writes are refused with ErrNoRoom: the engine maps its
	// files into memory, and a full disk under a mapped file ends the process.
	Free    func() (uint64, error)
	Reserve uint64 // bytes; 0 = 192 MB
	Small   bool   // smaller caches still, for tests and small machines
}

// DB is an open store. Its methods may be called by many goroutines at once.
type DB struct {
	path     string // of the engine's files
	engine   *badger.DB
	combiner *combiner
	newest   *newest
	sealer   *Sealer
	secrets  []byte // Options.SecretsKey, for backups
	log      *slog.Logger
	known    int // Options.Schema
	schema   atomic.Int64

	readers atomic.Int64
	closing atomic.Bool
	idle    chan struct{} // a reader left while closing
	once    sync.Once
	closed  error
}

// Open opens the store in the data directory dir, and creates it if there is none. The engine's files are in
// dir/store. It fails with ErrLocked, ErrWrongKey, ErrForeign or ErrNewerSchema.
func Open(dir string, o Options) (*DB, error) {
	if len(o.Key) != 32 {
		return nil, fmt.Errorf("%w: it has %d bytes, not 32", ErrWrongKey, len(o.Key))
	}
	sealer, err := newSealer(o.SecretsKey)
	if err != nil {
		return nil, err
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	path := filepath.Join(dir, engineDir)
	if err := checkOurs(dir, path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("store: create directory: %w", err)
	}
	if err := withLock(path, func() error { return clearUnborn(path, log) }); err != nil {
		return nil, err
	}
	if err := newRoom(path, o).begin(); err != nil {
		return nil, err
	}
	engine, err := badger.Open(engineOptions(path, o, log))
	if err != nil {
		return nil, openError(path, err)
	}
	now := &newest{engine: engine}
	now.renew()
	db := &DB{
		path:     path,
		engine:   engine,
		combiner: newCombiner(engine, log, newRoom(path, o), now),
		newest:   now,
		sealer:   sealer,
		secrets:  bytes.Clone(o.SecretsKey),
		log:      log,
		known:    o.Schema,
		idle:     make(chan struct{}, 1),
	}
	go db.combiner.run()
	if err := db.readSchema(context.Background()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// engineOptions is the engine's profile: durable, encrypted, small in memory.
func engineOptions(path string, o Options, log *slog.Logger) badger.Options {
	e := badger.DefaultOptions(path)
	e.Logger = engineLog{log}
	e.SyncWrites = true
	e.DetectConflicts = false // there is one writer
	e.MetricsEnabled = false  // they are process-wide; see Stats
	e.MemTableSize = 8 << 20
	e.NumMemtables = 2
	e.TableSizeMultiplier = 1
	e.NumCompactors = 2
	e.ValueLogFileSize = 64 << 20
	// Each merge of level 0 rewrites most of the level below, since ids of devices lie all over it: merging half as often costs half.
	e.NumLevelZeroTables, e.NumLevelZeroTablesStall = 10, 20
	e.BlockCacheSize = 32 << 20
	e.IndexCacheSize = 16 << 20
	if o.Small {
		e.BlockCacheSize = 4 << 20
		e.IndexCacheSize = 2 << 20
	}
	e.ChecksumVerificationMode = options.OnBlockRead
	e.EncryptionKey = o.Key
	e.ExternalMagicVersion = magic
	return e
}

// checkOurs refuses a directory whose contents were not written by us, before anything is written to it.
func checkOurs(dir, path string) error {
	if _, err := os.Stat(filepath.Join(dir, badger.ManifestFilename)); err == nil {
		return fmt.Errorf("%w: %s holds another program's database", ErrForeign, dir)
	}
	files, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: read directory: %w", err)
	}
	var head [8]byte
	f, err := os.Open(filepath.Join(path, badger.ManifestFilename))
	if err == nil {
		n, _ := f.Read(head[:])
		_ = f.Close()
		if n < len(head) || string(head[:4]) != "Bdgr" || head[4] != byte(magic>>8) || head[5] != byte(magic&0xff) {
			return fmt.Errorf("%w: %s", ErrForeign, path)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("store: read manifest: %w", err)
	}
	for _, file := range files { // a first start may have ended before the manifest was in place
		switch file.Name() {
		case "LOCK", "MANIFEST-REWRITE":
		default:
			return fmt.Errorf("%w: %s has no manifest, but holds %s", ErrForeign, path, file.Name())
		}
	}
	return nil
}

// openError gives the engine's refusals our names. The engine wraps as text, so text is what there is to go by.
func openError(path string, err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, badger.ErrEncryptionKeyMismatch):
		return fmt.Errorf("%w: %s was encrypted with another key", ErrWrongKey, path)
	case strings.Contains(text, "Another process is using this Badger database"):
		return fmt.Errorf("%w: %s", ErrLocked, path)
	case strings.Contains(text, "magic number doesn't match"), strings.Contains(text, "manifest has bad magic"):
		return fmt.Errorf("%w: %s: %w", ErrForeign, path, err)
	}
	for _, cause := range []error{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC} {
		if !errors.Is(err, cause) && strings.Contains(text, cause.Error()) {
			err = causedError{err, cause}
		}
	}
	return fmt.Errorf("store: open %s: %w", path, err)
}

// causedError gives an error of the engine the cause that it told as text only.
type causedError struct {
	error
	cause error
}

func (e causedError) Unwrap() error { return e.cause }

// View runs fn on a snapshot, in the caller's goroutine. It returns fn's error. A context that has ended
// before or during a Scan ends it with the context's error.
func (db *DB) View(ctx context.Context, fn func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !db.enter() {
		return ErrClosed
	}
	defer db.leave()
	s := db.newest.get()
	defer s.leave()
	tx := &readTx{ctx: ctx, txn: s.txn}
	defer func() { tx.done = true }()
	return fn(tx)
}

// Update runs fn in a transaction and returns after what it wrote is synced to the disk. When fn returns an
// error or panics, nothing of it is written, and Update returns the error, or a PanicError. fn may run more
// than once, and runs in another goroutine; it must not call Update. A context that ends before fn runs
// cancels it; after that Update waits for the true outcome.
func (db *DB) Update(ctx context.Context, fn func(Tx) error) error {
	return db.combiner.do(ctx, fn)
}

// Syncs counts the durable commits so far. It moves after the engine's sync has returned and before any
// Update of that commit does.
func (db *DB) Syncs() uint64 { return db.combiner.syncs.Load() }

// Broken is closed when a commit has failed: every Update answers ErrFailed then, until the store is opened anew.
func (db *DB) Broken() <-chan struct{} { return db.combiner.broken }

// Sealer seals single secrets inside records.
func (db *DB) Sealer() *Sealer { return db.sealer }

// Close refuses new work, answers the updates that are queued, waits for running Views, and closes the files. Closing again returns the same.
//
// On a disk that is all but full it leaves the files as a crash would, and returns ErrNoRoom: the engine would write its newest records to a table that it
// maps into memory, and a full disk under that ends the process. Nothing is lost, for the log has those records; the lock stays until the process ends.
func (db *DB) Close() error {
	db.once.Do(func() {
		db.combiner.close()
		db.closing.Store(true)
		for db.readers.Load() > 0 {
			<-db.idle
		}
		db.newest.close()
		if err := db.combiner.room.end(); err != nil {
			db.log.Error("the disk is full, the store is left as it is and will be recovered at the next start", "err", err)
			db.closed = err
			return
		}
		if err := db.engine.Close(); err != nil {
			db.closed = fmt.Errorf("store: close: %w", err)
		}
	})
	return db.closed
}

// enter announces a reader, unless the store is closing.
func (db *DB) enter() bool {
	db.readers.Add(1)
	if db.closing.Load() {
		db.leave()
		return false
	}
	return true
}

func (db *DB) leave() {
	if db.readers.Add(-1) == 0 && db.closing.Load() {
		select {
		case db.idle <- struct{}{}:
		default:
		}
	}
}
