package store

import (
	"bytes"
	"sync"
)

// Memo remembers decoded records of one collection together with the bytes that they were decoded from. A record is always read
// from the transaction; the memo spares decoding it when its bytes are those of last time. It therefore never answers otherwise than the
// transaction would, whatever was written meanwhile, by whom, and whether it was committed. It is safe for concurrent use.
type Memo[T any] struct {
	c    *Collection[T]
	most int

	mu      sync.Mutex
	entries map[string]memoEntry[T]
}

type memoEntry[T any] struct {
	encoded []byte
	v       *T
}

// NewMemo makes a memo of at most so many records; beyond that an arbitrary one gives way.
func NewMemo[T any](c *Collection[T], most int) *Memo[T] {
	return &Memo[T]{c: c, most: max(most, 1), entries: map[string]memoEntry[T]{}}
}

// Get returns the record id, or ErrNotFound. It is shared with other callers: it must not be changed.
func (m *Memo[T]) Get(tx Tx, id string) (*T, error) {
	b, v, err := m.find(tx, id, false)
	if err != nil || v != nil {
		return v, err
	}
	if v, err = m.c.decode(b); err != nil {
		return nil, err
	}
	m.keep(id, b, v)
	return v, nil
}

// Take returns the record id, or ErrNotFound, for the caller alone, who may change it: the memo forgets it until Put brings it back.
// A collection is either taken from or got from, not both.
func (m *Memo[T]) Take(tx Tx, id string) (*T, error) {
	b, v, err := m.find(tx, id, true)
	if err != nil || v != nil {
		return v, err
	}
	return m.c.decode(b)
}

// Put writes a record as Collection.Put does and remembers it after the commit. The caller gives v away: it must not change it
// once its transaction's function has returned.
func (m *Memo[T]) Put(tx Tx, v *T) error {
	id := m.c.id(v)
	if len(m.c.indexes) > 0 {
		return m.c.Put(tx, v)
	}
	b, err := m.c.encode(id, v)
	if err != nil {
		return err
	}
	if err := tx.Put(m.c.key(id), b); err != nil {
		return err
	}
	if !bytes.Contains(b, replacement) { // else v is not what will be read back
		tx.OnCommit(func() { m.keep(id, b, v) })
	}
	return nil
}

// find reads the bytes of a record, and the record itself where they are known.
func (m *Memo[T]) find(tx Tx, id string, take bool) ([]byte, *T, error) {
	if id == "" {
		return nil, nil, ErrNotFound
	}
	b, err := tx.Get(m.c.key(id))
	if err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[id]
	if !ok {
		return b, nil, nil
	}
	same := bytes.Equal(e.encoded, b)
	if take || !same {
		delete(m.entries, id)
	}
	if !same {
		return b, nil, nil
	}
	return b, e.v, nil
}

func (m *Memo[T]) keep(id string, encoded []byte, v *T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[id]; !ok && len(m.entries) >= m.most {
		for other := range m.entries {
			delete(m.entries, other)
			break
		}
	}
	m.entries[id] = memoEntry[T]{encoded, v}
}
