package ui

import (
	"fmt"
	"net/url"
)

// Form holds what a person typed, so that a refused form comes back filled in,
// with an error at each field that has one. The zero Form is an empty form.
type Form struct {
	Values url.Values
	Errors map[string]string // by field; "" = of the form as a whole
}

// Value returns the text of a field.
func (f Form) Value(name string) string { return f.Values.Get(name) }

// Has reports whether a field with several values holds this one.
func (f Form) Has(name, value string) bool {
	for _, v := range f.Values[name] {
		if v == value {
			return true
		}
	}
	return false
}

// Error returns the sentence that belongs at a field, or "".
func (f Form) Error(name string) string { return f.Errors[name] }

// Option is one choice of a select or of radio buttons.
type Option struct {
	Value, Word, Hint string
	Disabled          bool
}

// Field is one input with its label, hint and error; component "field". Type is
// an HTML input type, or "select", "textarea", "check", "checks", "radios",
// "choices" (large radio buttons with hints) or "code" (a six-digit code).
type Field struct {
	Form         Form
	Name, Label  string
	Type         string
	Hint         string
	Options      []Option
	Required     bool
	Autocomplete string
	Placeholder  string
	Unit         string
	Min, Max     string
	Rows         int
	Value        string
	Mono, Locked bool
	Needed       bool // not called optional, though the browser must not insist: the field may be hidden
	Autofocus    bool
	Describes    string // id of a text that describes the field as well
}

// ID is the element's id.
func (f Field) ID() string { return "f-" + f.Name }

// Error is the sentence shown at the field, or "".
func (f Field) Error() string { return f.Form.Error(f.Name) }

// Chosen reports whether the option with this value is chosen.
func (f Field) Chosen(value string) bool {
	if _, given := f.Form.Values[f.Name]; given {
		return f.Form.Has(f.Name, value)
	}
	return f.Value == value
}

// Checked reports whether a lone checkbox is ticked.
func (f Field) Checked() bool { return f.Form.Value(f.Name) != "" }

// DescribedBy lists the ids of hint and error for assistive technology.
func (f Field) DescribedBy() string {
	ids := f.Describes
	add := func(id string) {
		if ids != "" {
			ids += " "
		}
		ids += id
	}
	if f.Hint != "" {
		add(f.ID() + "-hint")
	}
	if f.Error() != "" {
		add(f.ID() + "-error")
	}
	return ids
}

// newField is the template function "input": input FORM NAME LABEL and then
// pairs such as "type" "email" "required" true.
func newField(form Form, name, label string, pairs ...any) (Field, error) {
	f := Field{Form: form, Name: name, Label: label, Type: "text", Value: form.Value(name)}
	args, err := pairArgs(pairs)
	if err != nil {
		return f, err
	}
	_, given := form.Values[name]
	for key, v := range args {
		ok := true
		switch key {
		case "type":
			f.Type, ok = v.(string)
		case "hint":
			f.Hint, ok = v.(string)
		case "options":
			f.Options, ok = v.([]Option)
		case "required":
			f.Required, ok = v.(bool)
		case "autocomplete":
			f.Autocomplete, ok = v.(string)
		case "placeholder":
			f.Placeholder, ok = v.(string)
		case "unit":
			f.Unit, ok = v.(string)
		case "min":
			f.Min = fmt.Sprint(v)
		case "max":
			f.Max = fmt.Sprint(v)
		case "rows":
			f.Rows, ok = v.(int)
		case "needed":
			f.Needed, ok = v.(bool)
		case "mono":
			f.Mono, ok = v.(bool)
		case "locked":
			f.Locked, ok = v.(bool)
		case "autofocus":
			f.Autofocus, ok = v.(bool)
		case "describes":
			f.Describes, ok = v.(string)
		case "value": // what stands there unless the person typed something
			if !given {
				f.Value = fmt.Sprint(v)
			}
		default:
			return f, fmt.Errorf("field %s: no property %q", name, key)
		}
		if !ok {
			return f, fmt.Errorf("field %s: %s cannot be %T", name, key, v)
		}
	}
	if f.Type == "password" {
		f.Value = "" // never sent back
	}
	return f, nil
}
