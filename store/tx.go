package store

import "bytes"

// Limits of one key, one value.
const (
	MaxKey   = 60_000  // bytes
	MaxValue = 1 << 20 // bytes, exclusive; larger things belong in chunks or outside the store
)

// Tx is one transaction over ordered keys. It belongs to the function that it was handed to: it must not be
// kept after that function returns, nor used by two goroutines at once.
type Tx interface {
	// Get returns a copy of the value at key, or ErrNotFound.
	Get(key []byte) ([]byte, error)

	// Put writes value at key, replacing what was there. Both are copied.
	Put(key, value []byte) error

	// Delete removes key. An absent key is no error.
	Delete(key []byte) error

	// Scan calls fn for the keys in r, in key order (or the reverse), until fn returns false or an error,
	// which Scan returns. It sees what this transaction wrote before Scan began; what fn writes is not seen
	// by the same Scan. Key and value are valid during the call of fn only. Scans may be nested.
	Scan(r Range, fn func(key, value []byte) (more bool, err error)) error

	// OnCommit has fn run once, after the commit is durable and before Update returns; never when the
	// transaction fails, and once only when the function had to run again. Functions run in commit order.
	// They must be quick, and must not call Update, which would wait for itself. In a View fn never runs.
	OnCommit(fn func())

	// Writable tells whether this transaction may write.
	Writable() bool
}

// Range is the keys k with Start <= k < End. A nil Start is the first key, a nil End is beyond the last.
type Range struct {
	Start, End []byte
	Reverse    bool // from the last key to the first
}

// Prefix is the range of all keys that begin with p.
func Prefix(p []byte) Range {
	return Range{Start: p, End: prefixEnd(p)}
}

// prefixEnd returns the first key after all keys with prefix p; nil when there is none.
func prefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := bytes.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// empty tells whether no key can be in r.
func (r Range) empty() bool {
	return r.End != nil && bytes.Compare(r.Start, r.End) >= 0
}
