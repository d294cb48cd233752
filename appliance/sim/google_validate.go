package sim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// apiViolation is one thing wrong with a request.
type apiViolation struct{ field, text string }

// apiWalk reads a request body against a schema, as strictly as the service: unknown names, wrong types and unknown words are
// refused, and so are output-only fields, which the service would ignore or refuse.
type apiWalk struct {
	spec *apiSpec
	bad  []apiViolation
	old  []string // deprecated fields that were used
}

// checkBody returns what is wrong with a body of a schema that the request calls root, and the deprecated fields that it uses.
func (s *apiSpec) checkBody(schema, root string, body dict) ([]apiViolation, []string) {
	w := &apiWalk{spec: s}
	w.object(schema, root, body)
	return w.bad, w.old
}

func (w *apiWalk) fail(at, format string, args ...any) {
	w.bad = append(w.bad, apiViolation{at, fmt.Sprintf(format, args...)})
}

func (w *apiWalk) object(schema, at string, v dict) {
	fields := w.spec.schemas[schema]
	for _, name := range slices.Sorted(maps.Keys(v)) {
		f, known := fields[name]
		if !known {
			w.fail(at, "Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", name, at)
			continue
		}
		if v[name] == nil {
			continue // null unsets
		}
		here := at + "." + snake(name)
		if f.out || slices.Contains(outputOnlyByText[schema], name) {
			w.fail(here, "Field %s is output only.", here)
			continue
		}
		if f.old {
			w.old = append(w.old, schema+"."+name)
		}
		w.value(f.apiType, here, v[name])
	}
}

func (w *apiWalk) value(t apiType, at string, v any) {
	invalid := func(name string) {
		b, _ := json.Marshal(v) // it came as JSON
		w.fail(at, "Invalid value at '%s' (%s), %s", at, name, b)
	}
	switch t.kind {
	case "any":
	case "ref":
		o, ok := v.(dict)
		if !ok {
			invalid("type.googleapis.com/google.android.devicemanagement.v1." + t.ref)
			return
		}
		w.object(t.ref, at, o)
	case "list":
		l, ok := v.([]any)
		if !ok {
			w.fail(at, "Invalid JSON payload received. Unknown name %q at '%s': Proto field is not repeating, cannot start list.", at, at)
			return
		}
		for i, e := range l {
			w.value(*t.elem, at+"["+strconv.Itoa(i)+"]", e)
		}
	case "map":
		o, ok := v.(dict)
		if !ok {
			invalid("MAP")
			return
		}
		for _, k := range slices.Sorted(maps.Keys(o)) {
			w.value(*t.elem, at+"["+strconv.Quote(k)+"]", o[k])
		}
	default:
		if name, ok := t.scalar(v); !ok {
			invalid(name)
		}
	}
}

var (
	durationForm = regexp.MustCompile(`^-?\d+(\.\d{1,9})?s$`)
	maskForm     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.,]*$`)
)

// scalar reports whether v is of the type, and how the service calls the type.
func (t apiType) scalar(v any) (string, bool) {
	s, isString := v.(string)
	n, isNumber := v.(json.Number)
	switch t.kind {
	case "bool":
		_, ok := v.(bool)
		return "TYPE_BOOL", ok
	case "int32":
		f, err := n.Float64()
		return "TYPE_INT32", isNumber && err == nil && f == math.Trunc(f) && f >= math.MinInt32 && f <= math.MaxInt32
	case "float", "double":
		_, err := n.Float64()
		return "TYPE_" + strings.ToUpper(t.kind), isNumber && err == nil
	case "int64":
		_, err := strconv.ParseInt(s, 10, 64)
		return "TYPE_INT64", isString && err == nil
	case "uint64":
		_, err := strconv.ParseUint(s, 10, 64)
		return "TYPE_UINT64", isString && err == nil
	case "duration":
		return "type.googleapis.com/google.protobuf.Duration", isString && durationForm.MatchString(s)
	case "time":
		_, err := time.Parse(time.RFC3339Nano, s)
		return "type.googleapis.com/google.protobuf.Timestamp", isString && err == nil
	case "mask":
		return "type.googleapis.com/google.protobuf.FieldMask", isString && maskForm.MatchString(s)
	case "bytes":
		_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "="))
		return "TYPE_BYTES", isString && err == nil
	case "enum":
		return "type.googleapis.com/google.android.devicemanagement.v1 enum", isString && slices.Contains(t.words, s)
	}
	return "TYPE_STRING", isString
}

// queryValue checks one value of a query parameter.
func (t apiType) queryValue(s string) bool {
	switch t.kind {
	case "list":
		return t.elem.queryValue(s)
	case "bool":
		return s == "true" || s == "false"
	case "int32":
		_, err := strconv.ParseInt(s, 10, 32)
		return err == nil
	}
	_, ok := t.scalar(s)
	return ok
}

// snake writes a JSON name as the service's messages do.
func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
