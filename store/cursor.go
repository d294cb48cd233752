package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
)

// A cursor is a byte for its form, a mark of the query that it belongs to, and the last key of the page
// without the base that the query implies. A made-up cursor can therefore not leave the query's range.
const (
	cursorForm = 1
	cursorMark = 6 // bytes
)

// cursor returns the cursor of q after key.
func (q Query) cursor(collection string, key []byte) string {
	b := append([]byte{cursorForm}, q.mark(collection)...)
	return base64.RawURLEncoding.EncodeToString(append(b, key...))
}

// position returns the key that q.Cursor holds, or ErrBadCursor.
func (q Query) position(collection string) ([]byte, error) {
	if len(q.Cursor) > 2*MaxKey {
		return nil, fmt.Errorf("%w: too long", ErrBadCursor)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil || len(b) < 1+cursorMark || b[0] != cursorForm {
		return nil, fmt.Errorf("%w: malformed", ErrBadCursor)
	}
	if !bytes.Equal(b[1:1+cursorMark], q.mark(collection)) {
		return nil, fmt.Errorf("%w: it belongs to another query", ErrBadCursor)
	}
	return b[1+cursorMark:], nil
}

// mark tells queries apart by all that decides which records come in which order.
func (q Query) mark(collection string) []byte {
	h := sha256.New()
	for _, part := range []string{collection, q.Index, q.Value, q.From, q.To, strconv.FormatBool(q.Reverse)} {
		_, _ = io.WriteString(h, strconv.Itoa(len(part))+":"+part)
	}
	return h.Sum(nil)[:cursorMark]
}

// later returns the greater of two starts of a range.
func later(a, b []byte) []byte {
	if bytes.Compare(a, b) >= 0 {
		return a
	}
	return b
}

// earlier returns the smaller of two ends of a range; nil is no end.
func earlier(a, b []byte) []byte {
	if a != nil && bytes.Compare(a, b) <= 0 {
		return a
	}
	return b
}
