package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Keys of the store's own records. No collection is called "meta".
var (
	schemaKey       = []byte("meta/schema")
	progressKeyBase = "meta/migration/"
)

// Schema returns the schema version of the data, which is below Options.Schema until Migrate has run.
func (db *DB) Schema() int { return int(db.schema.Load()) }

// readSchema learns the version of the data, and stamps a new store with ours.
func (db *DB) readSchema(ctx context.Context) error {
	fresh := false
	err := db.View(ctx, func(tx Tx) error {
		v, err := getSchema(tx)
		if errors.Is(err, ErrNotFound) {
			fresh = true
			return tx.Scan(Range{}, func(_, _ []byte) (bool, error) {
				return false, fmt.Errorf("%w: it has records but no schema", ErrForeign)
			})
		}
		if err != nil {
			return err
		}
		if v > db.known {
			return fmt.Errorf("%w: its schema is %d, this program knows up to %d", ErrNewerSchema, v, db.known)
		}
		db.schema.Store(int64(v))
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	return db.Update(ctx, func(tx Tx) error { return db.putSchema(tx, db.known) })
}

func getSchema(tx Tx) (int, error) {
	b, err := tx.Get(schemaKey)
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(string(b))
	if err != nil {
		return 0, fmt.Errorf("store: schema version: %w", err)
	}
	return v, nil
}

func (db *DB) putSchema(tx Tx, v int) error {
	tx.OnCommit(func() { db.schema.Store(int64(v)) })
	return tx.Put(schemaKey, strconv.AppendInt(nil, int64(v), 10))
}
