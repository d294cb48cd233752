package fleet

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Values decodes the settings, with the defaults of the declaration for what is absent. Settings that do not decode yield the
// defaults alone: what is stored was checked when it was saved.
func (p *Profile) Values() Values {
	if d := p.decoded; d != nil && d.still(p) {
		return maps.Clone(d.values)
	}
	v := Values{}
	if json.Unmarshal(p.Settings, &v) != nil || v == nil {
		v = Values{}
	}
	for _, fd := range declarationOf(p.Type).Fields {
		if _, ok := v[fd.Key]; !ok && fd.Default != nil {
			v[fd.Key] = fd.Default
		}
	}
	return v
}

// decoded are the values of settings that many devices' plans ask for: decoding them for each is a good part of a plan.
type decoded struct {
	of     json.RawMessage
	values Values
	refs   []ProfileID
}

// still says whether the settings are those that were decoded, and not others that a copy of the profile was given.
func (d *decoded) still(p *Profile) bool {
	return len(d.of) > 0 && len(d.of) == len(p.Settings) && &d.of[0] == &p.Settings[0]
}

// String is the text under a key, "" when there is none.
func (v Values) String(key string) string {
	s, _ := v[key].(string)
	return s
}

// Int is the whole number under a key, 0 when there is none.
func (v Values) Int(key string) int {
	n, _ := wholeNumber(v[key])
	return n
}

// Bool is the switch under a key, false when there is none.
func (v Values) Bool(key string) bool {
	b, _ := v[key].(bool)
	return b
}

// Has says whether a key is present.
func (v Values) Has(key string) bool {
	_, ok := v[key]
	return ok
}

// Counts says whether a field counts under these values: its When holds, and so does that of the field it looks at.
func (v Values) Counts(d Declaration, fd Field) bool {
	for range len(d.Fields) {
		if fd.When == "" {
			return true
		}
		key, want, _ := strings.Cut(fd.When, "=")
		other, ok := d.field(key)
		if !ok || !slices.Contains(strings.Split(want, "|"), v.text(other)) {
			return false
		}
		fd = other
	}
	return false
}

// text is a value as When compares it.
func (v Values) text(fd Field) string {
	x, ok := v[fd.Key]
	if !ok {
		x = fd.Default
	}
	switch x := x.(type) {
	case string:
		return x
	case bool:
		if x {
			return "true"
		}
		return "false"
	}
	return ""
}

// variables are the template variables in active fields, sorted.
func (v Values) variables(t ProfileType) []string {
	d := declarationOf(t)
	var out []string
	for _, fd := range d.Fields {
		if !fd.Template || !v.Counts(d, fd) {
			continue
		}
		out = append(out, fd.variablesIn(v.String(fd.Key))...)
	}
	if from := v.String("user_name_from"); t == TypeEmail && from != "template" {
		out = append(out, from)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// refs are the profiles that active fields refer to.
func (v Values) refs(t ProfileType) []ProfileID {
	d := declarationOf(t)
	var out []ProfileID
	for _, fd := range d.Fields {
		if fd.Kind == "profile" && v.Counts(d, fd) && v.String(fd.Key) != "" {
			out = append(out, ProfileID(v.String(fd.Key)))
		}
	}
	return out
}

// sortedKeys of a map of counts.
func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }

// wholeNumber reads an integer as encoding/json or Go code gives it.
func wholeNumber(x any) (int, bool) {
	switch x := x.(type) {
	case int:
		return x, true
	case float64:
		n := int(x)
		return n, float64(n) == x
	case json.Number:
		n, err := x.Int64()
		return int(n), err == nil
	}
	return 0, false
}

// Refers lists the profiles that a profile's settings refer to.
func (p *Profile) Refers() []ProfileID {
	if d := p.decoded; d != nil && d.still(p) {
		return slices.Clone(d.refs)
	}
	return p.Values().refs(p.Type)
}
