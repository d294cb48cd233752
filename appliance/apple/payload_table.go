package apple

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/appliance/fleet"
)

// payloadKeys is what Apple's published schema says of every type of payload, in short: its keys with their types and bounds, and where they
// exist. TestPayloadTable holds it against the schema's own files.
//
//go:embed payload_keys.json
var payloadKeys []byte

// payloadType is one type of payload. On says by "i" and "m" (iPhone and iPad; Mac) where it does not exist ("-") or only under supervision ("s").
type payloadType struct {
	Keys    map[string]payloadKey `json:"k"`
	On      map[string]string     `json:"o"`
	Channel string                `json:"c"` // of a Mac: "d" only the device's, "u" only a person's
}

// payloadKey is one key: a letter for its type, as in the table of kinds below; whether it must be there; the values or the range that it may have,
// and the keys inside it. Those of an array's items stand under the empty name.
type payloadKey struct {
	Type     string                `json:"t"`
	Required int                   `json:"r"`
	List     []string              `json:"l"`
	Range    []*float64            `json:"n"`
	On       map[string]string     `json:"o"`
	Keys     map[string]payloadKey `json:"k"`
}

var payloadTable = sync.OnceValue(func() map[string]payloadType {
	var out map[string]payloadType
	if err := json.Unmarshal(payloadKeys, &out); err != nil {
		panic(err) // embedded, and read by every test
	}
	return out
})

// onPlatform is the letter of a platform in the table.
func onPlatform(p fleet.Platform) string {
	if p == fleet.MacOS {
		return "m"
	}
	return "i"
}

// on says whether the type exists on a platform.
func (t payloadType) on(p fleet.Platform) bool { return t.On[onPlatform(p)] != "-" }

// inChannel says whether a Mac takes the type in a person's channel, or in the device's.
func (t payloadType) inChannel(person bool) bool {
	return t.Channel == "" || person == (t.Channel == "u")
}

// payloadFault is the first thing that is wrong with a payload.
type payloadFault struct{ code, key, detail string }

// check holds a payload against its type.
func (t payloadType) check(d dict) *payloadFault {
	rest := dict{}
	for k, v := range d {
		if !slices.Contains(commonKeys, k) {
			rest[k] = v
		}
	}
	return checkKeys("", rest, t.Keys)
}

func checkKeys(path string, d dict, keys map[string]payloadKey) *payloadFault {
	for _, name := range sortedNames(d) {
		k, ok := keys[name]
		if !ok {
			k, ok = keys["ANY"]
		}
		if !ok {
			return &payloadFault{"apple.custom.key", path + name, ""}
		}
		if fault := k.check(path+name, d[name]); fault != nil {
			return fault
		}
	}
	for _, name := range sortedNames(keys) {
		if _, there := d[name]; !there && keys[name].Required == 1 && name != "ANY" && len(keys[name].On) == 0 {
			return &payloadFault{"apple.custom.missing", path + name, ""}
		}
	}
	return nil
}

func sortedNames[T any, M ~map[string]T](m M) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// kindsOfKeys are the types of keys by letter.
var kindsOfKeys = map[string]string{"s": "string", "i": "integer", "b": "true or false", "r": "real", "d": "data", "t": "date", "D": "dict", "a": "array", "*": "any"}

// letterOf is the letter of a value's type.
func letterOf(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case int64:
		return "i"
	case bool:
		return "b"
	case float64:
		return "r"
	case []byte:
		return "d"
	case time.Time:
		return "t"
	case dict:
		return "D"
	case []any:
		return "a"
	}
	return ""
}

func (k payloadKey) check(path string, v any) *payloadFault {
	letter := letterOf(v)
	if k.Type != "*" && letter != k.Type && !(k.Type == "r" && letter == "i") {
		return &payloadFault{"apple.custom.kind", path, kindsOfKeys[k.Type]}
	}
	switch v := v.(type) {
	case dict:
		if len(k.Keys) > 0 {
			return checkKeys(path+".", v, k.Keys)
		}
		return nil
	case []any:
		item, ok := k.Keys[""]
		for i, x := range v {
			if !ok || letterOf(x) == "s" && len(item.Keys) > 0 { // a list of permitted words, each with its own limits
				break
			}
			if fault := item.check(path+"["+strconv.Itoa(i)+"]", x); fault != nil {
				return fault
			}
		}
		return nil
	case int64:
		if len(k.Range) == 2 && (k.Range[0] != nil && float64(v) < *k.Range[0] || k.Range[1] != nil && float64(v) > *k.Range[1]) {
			return &payloadFault{"apple.custom.value", path, strconv.FormatInt(v, 10)}
		}
	}
	if text := fmt.Sprint(v); len(k.List) > 0 && letter != "d" && !slices.ContainsFunc(k.List, func(s string) bool { return strings.EqualFold(s, text) }) {
		return &payloadFault{"apple.custom.value", path, text}
	}
	return nil
}
