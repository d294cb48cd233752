package store

import (
	"bytes"

	"github.com/dgraph-io/badger/v4"
)

// scan walks the keys of r in txn, with the pending writes laid over them.
func scan(txn *badger.Txn, pending []*entry, r Range, fn func(key, value []byte) (bool, error)) error {
	if r.empty() {
		return nil
	}
	o := badger.IteratorOptions{Reverse: r.Reverse, Prefix: narrow(r)}
	it := txn.NewIterator(o)
	defer it.Close()
	seekFirst(it, r)

	next := 0 // how many of pending are done, from the end that the scan begins at
	peek := func() *entry {
		switch {
		case next >= len(pending):
			return nil
		case r.Reverse:
			return pending[len(pending)-1-next]
		default:
			return pending[next]
		}
	}
	for {
		var item *badger.Item
		if it.Valid() {
			item = it.Item()
			if !within(r, item.Key()) {
				item = nil
			}
		}
		e := peek()
		if item == nil && e == nil {
			return nil
		}
		if e != nil {
			order := -1
			if item != nil {
				order = bytes.Compare(e.key, item.Key())
				if r.Reverse {
					order = -order
				}
			}
			if order == 0 { // the pending write hides the stored one
				it.Next()
			}
			if order <= 0 {
				next++
				if e.deleted {
					continue
				}
				if more, err := fn(e.key, e.value); err != nil || !more {
					return err
				}
				continue
			}
		}
		more := false
		err := item.Value(func(value []byte) (err error) {
			more, err = fn(item.Key(), value)
			return err
		})
		if err != nil || !more {
			return err
		}
		it.Next()
	}
}

// seekFirst puts it on the first key of r in the direction of r.
func seekFirst(it *badger.Iterator, r Range) {
	switch {
	case r.Reverse && r.End != nil:
		it.Seek(r.End)
		if it.Valid() && bytes.Equal(it.Item().Key(), r.End) { // End is exclusive
			it.Next()
		}
	case r.Reverse:
		it.Rewind()
	case len(r.Start) > 0:
		it.Seek(r.Start)
	default:
		it.Rewind()
	}
}

// within tells whether key, met in the direction of r, has not yet left r.
func within(r Range, key []byte) bool {
	if r.Reverse {
		return bytes.Compare(key, r.Start) >= 0
	}
	return r.End == nil || bytes.Compare(key, r.End) < 0
}

// narrow returns a prefix that all keys of r share, and the seek key too, so that the engine can leave
// tables aside. It may be empty.
func narrow(r Range) []byte {
	if r.End == nil {
		return nil
	}
	if !r.Reverse && bytes.Equal(r.End, prefixEnd(r.Start)) {
		return r.Start
	}
	n := 0
	for n < len(r.Start) && n < len(r.End) && r.Start[n] == r.End[n] {
		n++
	}
	return r.Start[:n]
}
