package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of one transaction of a migration.
const (
	walkKeys  = 200
	walkBytes = 128 << 10
)

// Migration brings the data from schema To-1 to schema To.
type Migration struct {
	To   int
	Name string // for the log
	// Step does the work through progress, in transactions of bounded size, so that a step that was
	// interrupted goes on where it stopped when the program starts again. It may write outside progress
	// only what it may write twice.
	Step func(ctx context.Context, db *DB, progress *Progress) error
}

// Migrate runs the migrations that the data still needs, in order, and stamps the schema after each. It must
// run before anything else uses the store. Every schema above that of the data up to Options.Schema must have
// exactly one migration. An interrupted Migrate is simply called again.
func (db *DB) Migrate(ctx context.Context, migrations []Migration) error {
	byTo := make(map[int]Migration, len(migrations))
	for _, m := range migrations {
		if _, twice := byTo[m.To]; twice || m.Step == nil {
			return fmt.Errorf("store: migration to schema %d is there twice or has no step", m.To)
		}
		if m.To > db.known {
			return fmt.Errorf("store: migration to schema %d, but the newest known is %d", m.To, db.known)
		}
		byTo[m.To] = m
	}
	for to := db.Schema() + 1; to <= db.known; to++ {
		if _, ok := byTo[to]; !ok {
			return fmt.Errorf("store: no migration to schema %d", to)
		}
	}
	for to := db.Schema() + 1; to <= db.known; to++ {
		m := byTo[to]
		began := time.Now()
		db.log.Info("migration begins", "schema", to, "name", m.Name)
		p := &Progress{db: db, base: fmt.Sprintf("%s%d/", progressKeyBase, to)}
		if err := m.Step(ctx, db, p); err != nil {
			return fmt.Errorf("store: migration to schema %d (%s): %w", to, m.Name, err)
		}
		err := db.Update(ctx, func(tx Tx) error {
			if err := deleteAll(tx, Prefix([]byte(p.base))); err != nil {
				return err
			}
			return db.putSchema(tx, to)
		})
		if err != nil {
			return fmt.Errorf("store: migration to schema %d (%s): stamp: %w", to, m.Name, err)
		}
		db.log.Info("migration done", "schema", to, "name", m.Name, "took", time.Since(began))
	}
	return nil
}

// Progress remembers, in the store itself, how far one migration is.
type Progress struct {
	db   *DB
	base string
}

// Marks of a progress record: the part is done, or it is done up to and with the key that follows.
const (
	partDone = 'd'
	partAt   = 'a'
)

// Do runs fn in one transaction, once: when the part called name was committed before, it does nothing.
func (p *Progress) Do(ctx context.Context, name string, fn func(Tx) error) error {
	return p.db.Update(ctx, func(tx Tx) error {
		_, done, err := p.load(tx, name)
		if err != nil || done {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Put(p.key(name), []byte{partDone})
	})
}

// Walk calls fn for every key in r, in key order, in transactions of bounded size, each of which also
// remembers how far it came. Each key is thus handled in exactly one committed transaction, however often
// the program is stopped. fn may change and delete; what it adds to r behind the key at hand is met again.
// Parts of one migration have different names. Range.Reverse is not honoured.
func (p *Progress) Walk(ctx context.Context, name string, r Range, fn func(tx Tx, key, value []byte) error) error {
	keys := walkKeys
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		finished := false
		err := p.db.Update(ctx, func(tx Tx) (err error) {
			finished, err = p.walkSome(tx, name, r, keys, fn)
			return err
		})
		switch {
		case errors.Is(err, ErrTooBig) && keys > 1: // fn writes far more than it reads
			keys = max(1, keys/8)
		case err != nil:
			return err
		case finished:
			return nil
		}
	}
}

// walkSome handles up to n keys and tells whether the walk is finished.
func (p *Progress) walkSome(tx Tx, name string, r Range, n int, fn func(tx Tx, key, value []byte) error) (bool, error) {
	at, done, err := p.load(tx, name)
	if err != nil || done {
		return done, err
	}
	rest := Range{Start: r.Start, End: r.End}
	if at != nil {
		rest.Start = append(at, 0)
	}
	var last []byte
	seen, size, more := 0, 0, false
	err = tx.Scan(rest, func(key, value []byte) (bool, error) {
		if seen == n || size > walkBytes {
			more = true
			return false, nil
		}
		seen++
		size += len(key) + len(value)
		last = bytes.Clone(key)
		return true, fn(tx, last, bytes.Clone(value))
	})
	if err != nil {
		return false, err
	}
	if !more {
		return true, tx.Put(p.key(name), []byte{partDone})
	}
	return false, tx.Put(p.key(name), append([]byte{partAt}, last...))
}

func (p *Progress) key(name string) []byte { return []byte(p.base + name) }

// load tells how far the part is: the last key handled, nil for none, or that it is done.
func (p *Progress) load(tx Tx, name string) (at []byte, done bool, err error) {
	b, err := tx.Get(p.key(name))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case len(b) == 0:
		return nil, false, fmt.Errorf("store: progress of %q is damaged", name)
	}
	return slices.Clip(b[1:]), b[0] == partDone, nil
}

// deleteAll deletes the keys in r, which must be few.
func deleteAll(tx Tx, r Range) error {
	return tx.Scan(r, func(key, _ []byte) (bool, error) {
		return true, tx.Delete(key)
	})
}

// Reindex writes the index entries of the whole collection anew, as part of a migration: after an index was
// added, or its Values or Unique changed. It fails with an ExistsError when two records hold one unique value.
func (c *Collection[T]) Reindex(ctx context.Context, p *Progress) error {
	all := Prefix([]byte(indexBase + c.name + "/"))
	err := p.Walk(ctx, "reindex-clear-"+c.name, all, func(tx Tx, key, _ []byte) error { return tx.Delete(key) })
	if err != nil {
		return err
	}
	return p.Walk(ctx, "reindex-fill-"+c.name, Prefix(c.base("")), func(tx Tx, key, value []byte) error {
		v, err := c.decode(value)
		if err != nil {
			return err
		}
		return c.reconcile(tx, string(key[len(c.name)+1:]), v, nil)
	})
}

// Migrating tells whether a migration was begun and not finished.
func (db *DB) Migrating(ctx context.Context) (begun bool, err error) {
	err = db.View(ctx, func(tx Tx) error {
		return tx.Scan(Prefix([]byte(progressKeyBase)), func(_, _ []byte) (bool, error) {
			begun = true
			return false, nil
		})
	})
	return begun, err
}
