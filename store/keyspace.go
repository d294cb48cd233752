package store

import (
	"bytes"
	"fmt"
	"strings"
)

// Keys of a collection c with index i, where "/" separates and is never part of c or i:
//
//	c/<id>                                  → the record, JSON
//	ix/c/i/<escaped value><end><id>         → empty        (plain index)
//	ix/c/i/<escaped value><end>             → the id       (unique index)
//
// In an escaped value 0x00 is written 0x00 0xff, and the end is 0x00 0x01, so that entries sort by value,
// then by id, whatever bytes a value holds.
const indexBase = "ix/"

var valueEnd = []byte{0x00, 0x01}

// maxName is the longest name of a collection or an index.
const maxName = 64

// checkName refuses names that would break the layout of keys.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name %q is empty or longer than %d", name, maxName)
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)) {
			return fmt.Errorf("name %q holds %q", name, r)
		}
	}
	return nil
}

// appendEscaped appends value so that it sorts as its bytes do and can be told from what follows it.
func appendEscaped(key []byte, value string) []byte {
	for {
		i := strings.IndexByte(value, 0)
		if i < 0 {
			return append(key, value...)
		}
		key = append(key, value[:i]...)
		key = append(key, 0x00, 0xff)
		value = value[i+1:]
	}
}

// splitEntry takes an index key without its base apart; ok is false when it is not one.
func splitEntry(rest []byte) (value, id string, ok bool) {
	var v []byte
	for {
		i := bytes.IndexByte(rest, 0)
		if i < 0 || i+1 >= len(rest) {
			return "", "", false
		}
		v = append(v, rest[:i]...)
		mark := rest[i+1]
		rest = rest[i+2:]
		switch mark {
		case valueEnd[1]:
			return string(v), string(rest), true
		case 0xff:
			v = append(v, 0)
		default:
			return "", "", false
		}
	}
}
