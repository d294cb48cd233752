package store

import (
	"bytes"
	"slices"
)

// entry is one pending write. It is never changed once it is in an overlay.
type entry struct {
	key, value []byte
	deleted    bool
}

// cost is an upper bound of what the engine counts for the entry against its transaction limit: key, value,
// the version suffix of the key and its bookkeeping.
func (e *entry) cost() int64 { return int64(len(e.key)+len(e.value)) + 24 }

// overlay is the pending writes over a snapshot, in key order. Copies of an overlay share their entries
// until one of them is written to, so that dropping a failed update is forgetting its copy.
type overlay struct {
	entries []*entry
	shared  bool // entries may be seen by a copy or by a running scan
	bytes   int64
}

// fork returns a copy that can be written to without changing o.
func (o *overlay) fork() overlay {
	o.shared = true
	return *o
}

// find returns the place of key, and whether it is there.
func (o *overlay) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(o.entries, key, func(e *entry, k []byte) int { return bytes.Compare(e.key, k) })
}

// put adds e, or replaces the entry with its key.
func (o *overlay) put(e *entry) {
	i, found := o.find(e.key)
	if o.shared {
		o.entries = append(make([]*entry, 0, len(o.entries)+8), o.entries...)
		o.shared = false
	}
	o.bytes += e.cost()
	if found {
		o.bytes -= o.entries[i].cost()
		o.entries[i] = e
		return
	}
	o.entries = slices.Insert(o.entries, i, e)
}

// slice returns the entries in r, in key order. Later writes to o do not show in it.
func (o *overlay) slice(r Range) []*entry {
	if len(o.entries) == 0 || r.empty() {
		return nil
	}
	from, to := 0, len(o.entries)
	if r.Start != nil {
		from, _ = o.find(r.Start)
	}
	if r.End != nil {
		to, _ = o.find(r.End)
	}
	if from >= to {
		return nil
	}
	o.shared = true
	return o.entries[from:to]
}
