package sim

import (
	"fmt"

	"github.com/micromdm/plist"
)

// dict is a property-list dictionary.
type dict = map[string]any

// parseDict reads a property list whose top level is a dictionary.
func parseDict(b []byte) (dict, error) {
	var v any
	if err := plist.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	d, ok := v.(dict)
	if !ok {
		return nil, fmt.Errorf("top level is %s, not a dictionary", typeName(v))
	}
	return d, nil
}

// writePlist renders a message as an XML property list.
func writePlist(d dict) ([]byte, error) { return plist.MarshalIndent(d, "\t") }

// typeName names the property-list type of a parsed value.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int64, uint64:
		return "integer"
	case float64, float32:
		return "real"
	case []byte:
		return "data"
	case []any:
		return "array"
	case dict:
		return "dictionary"
	case nil:
		return "nothing"
	default:
		return "date"
	}
}

// asInt reads an integer.
func asInt(v any) (int, bool) {
	switch n := v.(type) {
	case int64:
		return int(n), true
	case uint64:
		return int(n), true
	}
	return 0, false
}

func str(d dict, key string) string { s, _ := d[key].(string); return s }

// flag reads a boolean; integers count as macOS reads them, and reach here only on a Mac.
func flag(d dict, key string) bool {
	if b, ok := d[key].(bool); ok {
		return b
	}
	n, _ := asInt(d[key])
	return n != 0
}

// flagOr reads a boolean with a default.
func flagOr(d dict, key string, absent bool) bool {
	if _, there := d[key]; !there {
		return absent
	}
	return flag(d, key)
}

func num(d dict, key string) int { n, _ := asInt(d[key]); return n }

func data(d dict, key string) []byte { b, _ := d[key].([]byte); return b }

// strings lists the strings of an array; nil when the key is absent.
func stringList(d dict, key string) []string {
	a, ok := d[key].([]any)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(a))
	for _, v := range a {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
