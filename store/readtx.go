package store

import (
	"context"
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// readTx is the transaction of a View: a snapshot.
type readTx struct {
	ctx  context.Context
	txn  *badger.Txn
	done bool
}

var _ Tx = (*readTx)(nil)

func (t *readTx) Get(key []byte) ([]byte, error) {
	if t.done {
		return nil, ErrTxDone
	}
	return get(t.txn, key)
}

func (t *readTx) Put(_, _ []byte) error { return ErrReadOnly }
func (t *readTx) Delete(_ []byte) error { return ErrReadOnly }
func (t *readTx) OnCommit(func())       {}
func (t *readTx) Writable() bool        { return false }

// Scan ends with the context's error when the View's context ends.
func (t *readTx) Scan(r Range, fn func(key, value []byte) (bool, error)) error {
	if t.done {
		return ErrTxDone
	}
	n := 0
	return scan(t.txn, nil, r, func(key, value []byte) (bool, error) {
		if n++; n%256 == 0 {
			if err := t.ctx.Err(); err != nil {
				return false, err
			}
		}
		return fn(key, value)
	})
}

// get reads one key of the engine.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	item, err := txn.Get(key)
	if err != nil {
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil, ErrNotFound
		}
		return nil, err
	}
	return item.ValueCopy([]byte{})
}
