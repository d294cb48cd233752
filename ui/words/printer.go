package words

import (
	"fmt"
	"strings"
	"time"
)

// Printer writes texts in one language, by one clock and in one time zone.
type Printer struct {
	cat  *Catalogue
	lang Lang
	now  func() time.Time
	loc  *time.Location
}

// Lang returns the printer's language.
func (p *Printer) Lang() Lang { return p.lang }

// Has reports whether the printer's language has a text for key.
func (p *Printer) Has(key string) bool { return p.cat.Has(p.lang, key) }

// T returns the text for key with args filled in; see Catalogue.T.
func (p *Printer) T(key string, args Args) string {
	t, ok := p.cat.find(p.lang, key)
	if !ok {
		return key
	}
	if t.one != "" && counted(args) == "1" {
		return p.fill(t.one, args)
	}
	return p.fill(t.other, args)
}

// counted is the number that a counting text is chosen by when it comes among
// the arguments, as it does in reasons: the first of these that is there.
func counted(args Args) string {
	for _, name := range []string{"count", "devices", "people", "minutes", "days", "most", "least"} {
		if v, ok := args[name]; ok {
			return fmt.Sprint(v)
		}
	}
	return ""
}

// N returns the text for key that fits n things; see Catalogue.N.
func (p *Printer) N(key string, n int, args Args) string {
	t, ok := p.cat.find(p.lang, key)
	if !ok {
		return key
	}
	form := t.other
	if t.one != "" && n == 1 { // English and Dutch count alike: one, and the rest
		form = t.one
	}
	with := Args{"n": n}
	for k, v := range args {
		with[k] = v
	}
	return p.fill(form, with)
}

// Reason returns the sentence "reason.<code>" filled with args, followed by the
// device's own words, quoted, when there are any. A code without a text is shown
// as it is, since it still helps whoever looks it up.
func (p *Printer) Reason(code string, args Args, deviceWords string) string {
	if code == "" && deviceWords == "" {
		return ""
	}
	sentence := ""
	if code != "" {
		sentence = p.T("reason."+code, args)
	}
	if deviceWords = strings.TrimSpace(deviceWords); deviceWords != "" {
		said := p.T("words.device_says", Args{"words": deviceWords})
		if sentence == "" {
			return said
		}
		return sentence + " " + said
	}
	return sentence
}

// fill replaces the placeholders of s. One without an argument stays visible, so
// that the mistake is seen rather than hidden.
func (p *Printer) fill(s string, args Args) string {
	if !strings.Contains(s, "{") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.WriteString("{" + rest)
			return b.String()
		}
		name, format, _ := strings.Cut(inner, "|")
		if v, ok := args[name]; ok {
			b.WriteString(p.value(v, format))
		} else {
			b.WriteString("{" + inner + "}")
		}
		s = after
	}
}

// value writes v by format; see the package comment for the formats.
func (p *Printer) value(v any, format string) string {
	if prefix, ok := strings.CutPrefix(format, "word:"); ok {
		key := prefix + "." + fmt.Sprint(v)
		if p.cat.Has(English, key) {
			return p.T(key, nil)
		}
		return fmt.Sprint(v)
	}
	switch format {
	case "ago", "date", "datetime":
		t, ok := asTime(v)
		if !ok {
			return fmt.Sprint(v)
		}
		switch format {
		case "ago":
			return p.Ago(t)
		case "date":
			return p.Date(t)
		}
		return p.DateTime(t)
	case "duration":
		if d, ok := asDuration(v); ok {
			return p.Duration(d)
		}
	case "number":
		if f, ok := asFloat(v); ok {
			return p.Decimal(f, decimals(f))
		}
	case "bytes":
		if f, ok := asFloat(v); ok {
			return p.Bytes(int64(f))
		}
	case "percent":
		if f, ok := asFloat(v); ok {
			return p.Percent(f)
		}
	}
	switch v := v.(type) {
	case time.Time:
		return p.DateTime(v)
	case time.Duration:
		return p.Duration(v)
	case int:
		return p.Number(int64(v))
	case int64:
		return p.Number(v)
	case uint64:
		return p.Number(int64(v))
	case float64:
		return p.Decimal(v, decimals(v))
	}
	return fmt.Sprint(v)
}
