package api

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// A time or a structure that is not set is left out of answers: nobody takes the year 1 for a date.
func TestAnswersLeaveOutWhatIsNotSet(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(x reflect.Type) {
		switch x.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(x.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if x == reflect.TypeFor[time.Time]() || seen[x] {
			return
		}
		seen[x] = true
		for f := range x.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if f.Type.Kind() == reflect.Struct && name != "" && !strings.Contains(options, "omitzero") {
				t.Errorf("%s.%s: no omitzero", x, f.Name)
			}
			walk(f.Type)
		}
	}
	for _, rt := range routes {
		if rt.Out != nil {
			walk(reflect.TypeOf(rt.Out))
		}
	}
}
