package apple

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the plist reader: what a device has reason to send lies far below them.
const (
	maxPlistDepth = 32
	maxPlistNodes = 300_000
)

// errPlist: the message is no well-formed XML property list, or breaks a limit.
var errPlist = errors.New("apple: not a property list")

// dict is a decoded property-list dictionary. Its values are string, int64, float64, bool, time.Time, []byte,
// []any, dict or unreadable.
type dict map[string]any

// unreadable stands for a scalar whose text does not fit its element, <integer>x</integer>. It is of no wanted type, so
// an optional key with it counts as absent.
type unreadable struct{}

// readPlist decodes an XML property list whose root is a dictionary, as devices send them (PropertyList-1.0.dtd). It is
// written by hand because it stands in the way of every message: a general XML decoder with reflection takes
// fifty times as long. A key that stands twice in one dictionary is refused, for two readers could disagree about
// which device a message names. Internal DTD subsets are refused.
func readPlist(b []byte) (dict, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not UTF-8", errPlist)
	}
	r := plistReader{s: strings.TrimPrefix(string(b), "\ufeff")}
	d, err := r.document()
	if err != nil {
		return nil, fmt.Errorf("%w: %s at byte %d", errPlist, err, r.i)
	}
	return d, nil
}

type plistReader struct {
	s     string
	i     int
	nodes int
}

var (
	errEOF   = errors.New("ends early")
	errShape = errors.New("unexpected markup")
	errLimit = errors.New("too deep or too many values")
	errTwice = errors.New("key given twice")
)

func (r *plistReader) document() (dict, error) {
	tag, err := r.open()
	if err != nil {
		return nil, err
	}
	wrapped := tag.name == "plist"
	if wrapped {
		if tag.empty {
			return nil, errShape
		}
		if tag, err = r.open(); err != nil {
			return nil, err
		}
	}
	if tag.name != "dict" {
		return nil, errShape
	}
	d := dict{}
	if !tag.empty {
		if d, err = r.dict(1); err != nil {
			return nil, err
		}
	}
	if wrapped {
		if tag, err = r.open(); err != nil {
			return nil, err
		}
		if tag.name != "/plist" {
			return nil, errShape
		}
	}
	if err := r.misc(); err != nil {
		return nil, err
	}
	if r.i != len(r.s) {
		return nil, errShape
	}
	return d, nil
}

// misc skips space, comments, processing instructions and a document type without internal subset.
func (r *plistReader) misc() error {
	for r.i < len(r.s) {
		switch c := r.s[r.i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			r.i++
		case strings.HasPrefix(r.s[r.i:], "<!--"):
			if err := r.past("-->"); err != nil {
				return err
			}
		case strings.HasPrefix(r.s[r.i:], "<?"):
			if err := r.past("?>"); err != nil {
				return err
			}
		case strings.HasPrefix(r.s[r.i:], "<!DOCTYPE"):
			start := r.i
			if err := r.past(">"); err != nil {
				return err
			}
			if strings.Contains(r.s[start:r.i], "[") {
				return errShape
			}
		default:
			return nil
		}
	}
	return nil
}

func (r *plistReader) past(end string) error {
	n := strings.Index(r.s[r.i:], end)
	if n < 0 {
		return errEOF
	}
	r.i += n + len(end)
	return nil
}

// tag is one markup tag; name begins with "/" for an end tag.
type tag struct {
	name  string
	empty bool
}

// open reads the next tag after any space.
func (r *plistReader) open() (tag, error) {
	if err := r.misc(); err != nil {
		return tag{}, err
	}
	if r.i >= len(r.s) {
		return tag{}, errEOF
	}
	if r.s[r.i] != '<' {
		return tag{}, errShape
	}
	r.i++
	start := r.i
	for r.i < len(r.s) {
		c := r.s[r.i]
		if c == '>' || c == ' ' || c == '\t' || c == '\r' || c == '\n' || (c == '/' && r.i > start) {
			break
		}
		if c == '<' {
			return tag{}, errShape
		}
		r.i++
	}
	t := tag{name: r.s[start:r.i]}
	var quote byte
	for ; r.i < len(r.s); r.i++ {
		c := r.s[r.i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			return tag{}, errShape
		case c == '>':
			t.empty = r.s[r.i-1] == '/' && r.i-1 >= start+len(t.name)
			r.i++
			return t, nil
		}
	}
	return tag{}, errEOF
}

func (r *plistReader) dict(depth int) (dict, error) {
	if depth > maxPlistDepth {
		return nil, errLimit
	}
	d := dict{}
	for {
		t, err := r.open()
		if err != nil {
			return nil, err
		}
		if t.name == "/dict" {
			return d, nil
		}
		if t.name != "key" {
			return nil, errShape
		}
		key := ""
		if !t.empty {
			if key, err = r.text("key"); err != nil {
				return nil, err
			}
		}
		if _, twice := d[key]; twice {
			return nil, errTwice
		}
		if t, err = r.open(); err != nil {
			return nil, err
		}
		if d[key], err = r.value(t, depth); err != nil {
			return nil, err
		}
	}
}

func (r *plistReader) array(depth int) ([]any, error) {
	if depth > maxPlistDepth {
		return nil, errLimit
	}
	a := []any{}
	for {
		t, err := r.open()
		if err != nil {
			return nil, err
		}
		if t.name == "/array" {
			return a, nil
		}
		v, err := r.value(t, depth)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
}

func (r *plistReader) value(t tag, depth int) (any, error) {
	if r.nodes++; r.nodes > maxPlistNodes {
		return nil, errLimit
	}
	switch t.name {
	case "dict":
		if t.empty {
			return dict{}, nil
		}
		return r.dict(depth + 1)
	case "array":
		if t.empty {
			return []any{}, nil
		}
		return r.array(depth + 1)
	case "true", "false":
		if !t.empty {
			if s, err := r.text(t.name); err != nil || strings.TrimSpace(s) != "" {
				return nil, errShape
			}
		}
		return t.name == "true", nil
	case "string", "integer", "real", "date", "data":
		s := ""
		if !t.empty {
			var err error
			if s, err = r.text(t.name); err != nil {
				return nil, err
			}
		}
		return scalar(t.name, s), nil
	}
	return nil, errShape
}

// scalar reads the text of a scalar element.
func scalar(element, s string) any {
	if element == "string" {
		return s
	}
	switch element {
	case "data":
		if b, err := base64.StdEncoding.DecodeString(unspaced(s)); err == nil {
			return b
		}
	case "integer":
		if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return n
		}
	case "real":
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return f
		}
	case "date":
		if t, err := time.Parse(time.RFC3339, strings.TrimSpace(s)); err == nil {
			return t.UTC()
		}
	}
	return unreadable{}
}

// unspaced drops the white space that plist data may hold anywhere. DecodeString itself forgives only line breaks.
func unspaced(s string) string {
	if !strings.ContainsAny(s, " \t") {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '\t' {
			return -1
		}
		return c
	}, s)
}

// text reads character data up to the end tag of an element.
func (r *plistReader) text(element string) (string, error) {
	n := strings.IndexByte(r.s[r.i:], '<')
	if n < 0 {
		return "", errEOF
	}
	// The common case: nothing but characters before the end tag.
	raw := r.s[r.i : r.i+n]
	if r.closes(r.i+n, element) {
		r.i += n
		if _, err := r.open(); err != nil {
			return "", err
		}
		return unescape(raw)
	}
	var out strings.Builder
	for {
		n := strings.IndexByte(r.s[r.i:], '<')
		if n < 0 {
			return "", errEOF
		}
		part, err := unescape(r.s[r.i : r.i+n])
		if err != nil {
			return "", err
		}
		out.WriteString(part)
		r.i += n
		rest := r.s[r.i:]
		switch {
		case strings.HasPrefix(rest, "<![CDATA["):
			start := r.i + len("<![CDATA[")
			r.i = start
			if err := r.past("]]>"); err != nil {
				return "", err
			}
			out.WriteString(r.s[start : r.i-len("]]>")])
		case strings.HasPrefix(rest, "<!--"):
			if err := r.past("-->"); err != nil {
				return "", err
			}
		case r.closes(r.i, element):
			_, err := r.open()
			return out.String(), err
		default:
			return "", errShape
		}
	}
}

// closes says whether the end tag of an element stands at i.
func (r *plistReader) closes(i int, element string) bool {
	rest := r.s[i:]
	if !strings.HasPrefix(rest, "</") || !strings.HasPrefix(rest[2:], element) {
		return false
	}
	rest = strings.TrimLeft(rest[2+len(element):], " \t\r\n")
	return strings.HasPrefix(rest, ">")
}

func unescape(s string) (string, error) {
	amp := strings.IndexByte(s, '&')
	if amp < 0 {
		return s, nil
	}
	var out strings.Builder
	for amp >= 0 {
		out.WriteString(s[:amp])
		s = s[amp:]
		semi := strings.IndexByte(s, ';')
		if semi < 0 {
			return "", errShape
		}
		name := s[1:semi]
		s = s[semi+1:]
		switch name {
		case "lt":
			out.WriteByte('<')
		case "gt":
			out.WriteByte('>')
		case "amp":
			out.WriteByte('&')
		case "quot":
			out.WriteByte('"')
		case "apos":
			out.WriteByte('\'')
		default:
			c, ok := charRef(name)
			if !ok {
				return "", errShape
			}
			out.WriteRune(c)
		}
		amp = strings.IndexByte(s, '&')
	}
	out.WriteString(s)
	return out.String(), nil
}

// charRef reads a character reference without its & and ;.
func charRef(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n == 0 || !utf8.ValidRune(rune(n)) || n > utf8.MaxRune {
		return 0, false
	}
	return rune(n), true
}

// The readers below give the zero value for a key that is absent or of another type: devices send optional keys in odd types.

func (d dict) text(key string) string {
	s, _ := d[key].(string)
	return s
}

func (d dict) data(key string) []byte {
	b, _ := d[key].([]byte)
	return b
}

func (d dict) dict(key string) dict {
	v, _ := d[key].(dict)
	return v
}

func (d dict) list(key string) []any {
	v, _ := d[key].([]any)
	return v
}

// flag reads a boolean; older systems write 0 and 1.
func (d dict) flag(key string) (value, ok bool) {
	switch v := d[key].(type) {
	case bool:
		return v, true
	case int64:
		return v != 0, v == 0 || v == 1
	}
	return false, false
}

// number reads an integer or a real.
func (d dict) number(key string) (float64, bool) {
	switch v := d[key].(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}
