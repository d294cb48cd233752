package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"strings"
	"time"

	"muster/ui/words"
)

// funcs are what templates may call, bound to one language. doc.go lists them.
func (r *Renderer) funcs(lang words.Lang) template.FuncMap {
	p := r.Printer(lang)
	return template.FuncMap{
		"t": func(key string, pairs ...any) (string, error) {
			args, err := pairArgs(pairs)
			return p.T(key, args), err
		},
		"n": func(key string, n int, pairs ...any) (string, error) {
			args, err := pairArgs(pairs)
			return p.N(key, n, args), err
		},
		"rich": func(key string, pairs ...any) (template.HTML, error) {
			args, err := pairArgs(pairs)
			return rich(p.T(key, args)), err
		},
		"has":        p.Has,
		"lang":       func() string { return string(lang) },
		"langs":      words.Langs,
		"ago":        func(t any) template.HTML { return timeElement(p, t, p.Ago, true, true) },
		"agocell":    func(t any) template.HTML { return timeElement(p, t, p.Ago, true, false) },
		"datetime":   func(t any) template.HTML { return timeElement(p, t, p.DateTime, false, false) },
		"date":       func(t any) template.HTML { return timeElement(p, t, p.Date, false, false) },
		"daymonth":   p.DayMonth,
		"number":     func(n int) string { return p.Number(int64(n)) },
		"bytes":      p.Bytes,
		"percent":    p.Percent,
		"duration":   p.Duration,
		"join":       p.List,
		"icon":       r.icon,
		"static":     r.assets.url,
		"dict":       dict,
		"list":       func(items ...any) []any { return items },
		"input":      newField,
		"paragraphs": paragraphs,
		"initials":   initials,
		"json":       prettyJSON,
		"upper":      strings.ToUpper,
		"capital":    capital,
		"breakable":  breakable,
	}
}

// icon draws a symbol of icons.svg; size is "s", "l" or more classes.
func (r *Renderer) icon(name string, size ...string) (template.HTML, error) {
	if !r.assets.icons[name] {
		return "", fmt.Errorf("no icon %q", name)
	}
	url, err := r.assets.url("icons.svg")
	if err != nil {
		return "", err
	}
	class := strings.Join(append([]string{"icon"}, size...), " ")
	return template.HTML(`<svg class="` + template.HTMLEscapeString(class) + `" aria-hidden="true"><use href="` + url + "#" + name + `"></use></svg>`), nil
}

// rich escapes a text and turns **words** into strong ones.
func rich(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "**") {
		if i%2 == 1 {
			b.WriteString("<strong>" + template.HTMLEscapeString(part) + "</strong>")
		} else {
			b.WriteString(template.HTMLEscapeString(part))
		}
	}
	return template.HTML(b.String())
}

// breakable lets a mail address begin its line anew at the @, where there is no room for it in one line.
func breakable(v any) any {
	s, ok := v.(string)
	if !ok || strings.Count(s, "@") != 1 || strings.Contains(s, " ") {
		return v
	}
	return template.HTML(strings.Replace(template.HTMLEscapeString(s), "@", "<wbr>@", 1))
}

// timeElement writes a time in words, with the exact moment on hover and, when
// focusable, on focus. Relative ones are kept current by the script. A zero time
// is "never".
func timeElement(p *words.Printer, v any, write func(time.Time) string, relative, focusable bool) template.HTML {
	var t time.Time
	switch v := v.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	}
	if t.IsZero() {
		return template.HTML(template.HTMLEscapeString(p.T("time.never", nil)))
	}
	attrs := ` datetime="` + t.UTC().Format(time.RFC3339) + `"`
	if relative {
		attrs += ` data-ago data-exact="` + template.HTMLEscapeString(p.DateTime(t)) + `"`
		if focusable {
			attrs += ` tabindex="0"`
		} else {
			attrs += ` title="` + template.HTMLEscapeString(p.DateTime(t)) + `"`
		}
	}
	return template.HTML("<time" + attrs + ">" + template.HTMLEscapeString(write(t)) + "</time>")
}

// dict makes a map of key, value pairs, to hand several things to a component.
func dict(pairs ...any) (map[string]any, error) {
	args, err := pairArgs(pairs)
	return args, err
}

func pairArgs(pairs []any) (words.Args, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("a key without a value")
	}
	args := words.Args{}
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("key %v is not a string", pairs[i])
		}
		args[key] = pairs[i+1]
	}
	return args, nil
}

// paragraphs splits plain text at blank lines.
func paragraphs(text string) []string {
	var out []string
	for _, p := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// initials gives up to two letters of a name for its round sign.
func initials(name string) string {
	fields := strings.Fields(name)
	if len(fields) == 0 {
		return "?"
	}
	first := []rune(fields[0])[:1]
	if len(fields) == 1 {
		return strings.ToUpper(string(first))
	}
	last := []rune(fields[len(fields)-1])[:1]
	return strings.ToUpper(string(first) + string(last))
}

// prettyJSON writes raw JSON with indentation, for the audit log.
func prettyJSON(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(raw)
	}
	return string(out)
}
