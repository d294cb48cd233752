package fleet

import (
	"encoding/json"
	"strings"
)

// checkJSON takes an object and keeps it as it was written, on one line or several. Templates may stand within its texts; each is looked at by itself, since
// the braces of an object are none.
func (fd Field) checkJSON(name, s string, bad faults) (any, bool) {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	if s == "" {
		if fd.Required {
			bad.put(name, "input.required")
		}
		return nil, false
	}
	if !bad.text(name, s, 0, fd.Max) {
		return nil, false
	}
	var o map[string]any
	if json.Unmarshal([]byte(s), &o) != nil || len(o) == 0 {
		bad.put(name, "input.object")
		return nil, false
	}
	names, err := jsonVariables(o)
	if err != nil || len(names) > 0 && !fd.Template {
		bad.put(name, "input.template")
		return nil, false
	}
	for _, n := range names {
		if variables[n] == nil {
			bad.put(name, "input.variable", "variable", clip(n, 60))
			return nil, false
		}
	}
	return s, true
}

// jsonVariables are the names of the templates in the texts of a JSON value.
func jsonVariables(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return templateVariables(v)
	case []any:
		var out []string
		for _, x := range v {
			names, err := jsonVariables(x)
			if err != nil {
				return nil, err
			}
			out = append(out, names...)
		}
		return out, nil
	case map[string]any:
		var out []string
		for _, x := range v {
			names, err := jsonVariables(x)
			if err != nil {
				return nil, err
			}
			out = append(out, names...)
		}
		return out, nil
	}
	return nil, nil
}

// variablesIn are the names of the templates in a field's value.
func (fd Field) variablesIn(s string) []string {
	if fd.Kind != KindJSON {
		names, _ := templateVariables(s)
		return names
	}
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return nil
	}
	names, _ := jsonVariables(v)
	return names
}

// FillText fills a template from a person, who may be nil.
func FillText(s string, p *Person) (string, error) { return fillText(s, p) }
