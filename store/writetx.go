package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// reserved begins the keys that belong to the engine.
var reserved = []byte("!badger!")

// errNoRoom says that the update does not fit behind the ones before it in the batch: it runs again in the
// next one. It never leaves the package.
var errNoRoom = errors.New("store: batch is full")

// limits is what one transaction of the engine takes.
type limits struct {
	entries int
	bytes   int64
}

// writeTx is the transaction of one Update: its own overlay over the batch that it is part of.
type writeTx struct {
	base   *badger.Txn // snapshot, read only
	before overlay     // what was on its way to the disk when the batch began
	latest *latest     // what keys hold before the batch, as far as it is known
	spans  *spans      // and what small ranges hold
	over   overlay
	limits limits
	first  bool // nothing is written in the batch before it, so that what does not fit never will
	broken error
	hooks  []func()
	done   bool
}

var _ Tx = (*writeTx)(nil)

func (t *writeTx) Get(key []byte) ([]byte, error) {
	if t.done {
		return nil, ErrTxDone
	}
	if i, found := t.over.find(key); found {
		if e := t.over.entries[i]; !e.deleted {
			return append([]byte{}, e.value...), nil
		}
		return nil, ErrNotFound
	}
	if h, known := t.latest.get(key); known {
		if h.absent {
			return nil, ErrNotFound
		}
		return append([]byte{}, h.value...), nil
	}
	if i, found := t.before.find(key); found {
		if e := t.before.entries[i]; !e.deleted {
			return append([]byte{}, e.value...), nil
		}
		return nil, ErrNotFound
	}
	value, err := get(t.base, key)
	switch {
	case err == nil && len(value) <= latestBytes/64:
		t.latest.keep(key, held{value: bytes.Clone(value)})
	case errors.Is(err, ErrNotFound):
		t.latest.keep(key, held{absent: true})
	}
	return value, err
}

func (t *writeTx) Put(key, value []byte) error {
	if len(value) >= MaxValue {
		return t.fail(fmt.Errorf("%w: value of %d bytes", ErrTooBig, len(value)))
	}
	return t.write(&entry{key: bytes.Clone(key), value: append([]byte{}, value...)})
}

func (t *writeTx) Delete(key []byte) error {
	return t.write(&entry{key: bytes.Clone(key), deleted: true})
}

func (t *writeTx) write(e *entry) error {
	if t.done {
		return ErrTxDone
	}
	if t.broken != nil {
		return t.broken
	}
	if err := checkKey(e.key); err != nil {
		if errors.Is(err, ErrTooBig) {
			return t.fail(err)
		}
		return err
	}
	if len(t.over.entries)+1 > t.limits.entries || t.over.bytes+e.cost() > t.limits.bytes {
		if !t.first {
			return t.fail(errNoRoom)
		}
		return t.fail(fmt.Errorf("%w: transaction of more than %d writes or %d bytes", ErrTooBig, t.limits.entries, t.limits.bytes))
	}
	t.over.put(e)
	return nil
}

// fail makes sure that the transaction cannot commit, whatever its function does with the error.
func (t *writeTx) fail(err error) error {
	if t.broken == nil {
		t.broken = err
	}
	return err
}

func (t *writeTx) Scan(r Range, fn func(key, value []byte) (bool, error)) error {
	if t.done {
		return ErrTxDone
	}
	own := t.over.slice(r)
	sp, err := t.span(r)
	switch {
	case err != nil:
		return err
	case sp != nil:
		return scanEntries(layered(sp.entries, own), r.Reverse, fn)
	}
	return scan(t.base, layered(t.before.slice(r), own), r, fn)
}

func (t *writeTx) OnCommit(fn func()) {
	if !t.done && fn != nil {
		t.hooks = append(t.hooks, fn)
	}
}

func (t *writeTx) Writable() bool { return true }

// checkKey refuses keys that the engine would not take.
func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("%w: empty", ErrBadKey)
	case len(key) > MaxKey:
		return fmt.Errorf("%w: key of %d bytes", ErrTooBig, len(key))
	case bytes.HasPrefix(key, reserved):
		return fmt.Errorf("%w: reserved prefix", ErrBadKey)
	}
	return nil
}
