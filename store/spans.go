package store

import (
	"bytes"
	"slices"
)

// Bounds of what the writer remembers of ranges.
const (
	spanEntries = 32      // of one range
	spanBytes   = 8 << 10 // of one range
	spansBytes  = 2 << 20 // of each half
)

// span is all that a small range of keys holds before the batch.
type span struct {
	entries []*entry // none deleted
	bytes   int
	large   bool // it holds more than is worth remembering
}

// spans remembers small ranges as latest remembers keys, and for the same reason: the rows of one device are few, are asked for at each of its
// messages, and looking for them walks all of the engine's tables, and every former version of a row that changes often. Ranges are those of
// collections' layouts: all keys with a prefix that ends a name, an id's part or an index's value.
type spans struct {
	young, old map[string]*span
	bytes      int // of young
}

// remembered tells whether a range is of the kind that is remembered, and by which prefix.
func remembered(r Range) ([]byte, bool) {
	p := r.Start
	return p, len(p) > 1 && endsPart(p, len(p)-1) && bytes.Equal(r.End, prefixEnd(p))
}

// endsPart tells whether a prefix that is remembered can end at key[i].
func endsPart(key []byte, i int) bool {
	return key[i] == '/' || key[i] == valueEnd[1] && i > 0 && key[i-1] == valueEnd[0]
}

// get returns what a prefix's range holds; nil when that is not known.
func (s *spans) get(prefix []byte) *span {
	if sp := s.young[string(prefix)]; sp != nil {
		return sp
	}
	sp := s.old[string(prefix)]
	if sp != nil {
		delete(s.old, string(prefix))
		s.keep(prefix, sp)
	}
	return sp
}

// keep remembers what a prefix's range holds.
func (s *spans) keep(prefix []byte, sp *span) {
	if s.bytes > spansBytes {
		s.old, s.young, s.bytes = s.young, nil, 0
	}
	if s.young == nil {
		s.young = map[string]*span{}
	}
	s.bytes += len(prefix) + sp.bytes + 64
	s.young[string(prefix)] = sp
}

// wrote follows a batch on its way: e is in the range of each prefix that ends within its key.
func (s *spans) wrote(e *entry) {
	for i := range e.key {
		if i == 0 || !endsPart(e.key, i) {
			continue
		}
		sp := s.young[string(e.key[:i+1])]
		if sp == nil {
			sp = s.old[string(e.key[:i+1])]
		}
		if sp != nil {
			sp.wrote(e)
		}
	}
}

func (sp *span) wrote(e *entry) {
	if sp.large {
		return
	}
	at, found := slices.BinarySearchFunc(sp.entries, e.key, func(e *entry, k []byte) int { return bytes.Compare(e.key, k) })
	switch {
	case found && e.deleted:
		sp.bytes -= sp.entries[at].size()
		sp.entries = slices.Delete(sp.entries, at, at+1)
	case found:
		sp.bytes += e.size() - sp.entries[at].size()
		sp.entries[at] = e
	case !e.deleted:
		sp.bytes += e.size()
		sp.entries = slices.Insert(sp.entries, at, e)
	}
	sp.bound()
}

// bound forgets the entries of a range that has grown too large.
func (sp *span) bound() {
	if len(sp.entries) > spanEntries || sp.bytes > spanBytes {
		sp.entries, sp.bytes, sp.large = nil, 0, true
	}
}

func (e *entry) size() int { return len(e.key) + len(e.value) }

// span returns what the range of r holds before the batch, or nil when it has to be looked for in the engine.
func (t *writeTx) span(r Range) (*span, error) {
	prefix, ok := remembered(r)
	if !ok {
		return nil, nil
	}
	sp := t.spans.get(prefix)
	if sp == nil {
		sp = &span{}
		r.Reverse = false
		err := scan(t.base, t.before.slice(r), r, func(key, value []byte) (bool, error) {
			e := &entry{key: bytes.Clone(key), value: append([]byte{}, value...)}
			sp.entries, sp.bytes = append(sp.entries, e), sp.bytes+e.size()
			sp.bound()
			return !sp.large, nil
		})
		if err != nil {
			return nil, err
		}
		t.spans.keep(prefix, sp)
	}
	if sp.large {
		return nil, nil
	}
	return sp, nil
}

// scanEntries calls fn for the entries that are not deleted, in order or in reverse.
func scanEntries(entries []*entry, reverse bool, fn func(key, value []byte) (bool, error)) error {
	for i := range entries {
		e := entries[i]
		if reverse {
			e = entries[len(entries)-1-i]
		}
		if e.deleted {
			continue
		}
		if more, err := fn(e.key, e.value); err != nil || !more {
			return err
		}
	}
	return nil
}
