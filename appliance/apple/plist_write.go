package apple

import (
	"fmt"

	"github.com/micromdm/plist"
)

// writePlist encodes a value as an XML property list.
func writePlist(v any) ([]byte, error) {
	b, err := plist.MarshalIndent(v, "\t")
	if err != nil {
		return nil, fmt.Errorf("property list: %w", err)
	}
	return b, nil
}

// mustPlist encodes a value whose type is known to be encodable.
func mustPlist(v any) []byte {
	b, err := writePlist(v)
	if err != nil {
		panic(err)
	}
	return b
}
