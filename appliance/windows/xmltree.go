package windows

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of what is read. Depth is that of an element below the root.
const (
	maxDepth    = 32
	maxElements = 100_000
)

var errXML = errors.New("windows: not well-formed, or beyond its bounds")

// node is one element of a message. Its methods may be called on nil, which is an absent element.
type node struct {
	name  string // local name: prefixes are the sender's choice
	attrs []xml.Attr
	text  string // its own character data, joined
	kids  []*node
}

// parseXML reads a document into a tree. Document types, and with them entities of one's own, are refused.
func parseXML(body []byte) (*node, error) {
	body = bytes.TrimRight(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), "\x00")
	d := xml.NewDecoder(bytes.NewReader(body))
	var root *node
	var open []*node
	var texts [][]byte // of the open elements; the buffers serve their siblings again
	count := 0
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errXML, err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("%w: document type", errXML)
		case xml.StartElement:
			if count++; count > maxElements || len(open) >= maxDepth || len(t.Attr) > 64 {
				return nil, fmt.Errorf("%w: too many elements", errXML)
			}
			n := &node{name: t.Name.Local, attrs: t.Attr}
			if len(open) > 0 {
				up := open[len(open)-1]
				up.kids = append(up.kids, n)
			} else if root != nil {
				return nil, fmt.Errorf("%w: two documents", errXML)
			} else {
				root = n
			}
			if open = append(open, n); len(texts) < len(open) {
				texts = append(texts, nil)
			}
			texts[len(open)-1] = texts[len(open)-1][:0]
		case xml.EndElement:
			last := len(open) - 1
			if last < 0 || open[last].name != t.Name.Local {
				return nil, fmt.Errorf("%w: %s ends and was not open", errXML, label(t.Name.Local))
			}
			open[last].text = string(texts[last])
			open = open[:last]
		case xml.CharData:
			if len(open) > 0 {
				texts[len(open)-1] = append(texts[len(open)-1], t...)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, fmt.Errorf("%w: text outside", errXML)
			}
		}
	}
	if root == nil || len(open) > 0 {
		return nil, fmt.Errorf("%w: cut off", errXML)
	}
	return root, nil
}

// child is the first child of a name; nil when there is none.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// find follows names downwards.
func (n *node) find(names ...string) *node {
	for _, name := range names {
		n = n.child(name)
	}
	return n
}

// all are the children of a name.
func (n *node) all(name string) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
	}
	return out
}

// value is the element's text without white space around it: clients pad values.
func (n *node) value() string {
	if n == nil {
		return ""
	}
	return strings.TrimSpace(n.text)
}

// get is the value found by following names.
func (n *node) get(names ...string) string { return n.find(names...).value() }

// attr is the value of an attribute, whatever its prefix.
func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// label makes a short printable word for the log of text that came from outside.
func label(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), 60)]
}

// escape makes text fit for element content and attributes. Characters that XML cannot hold become U+FFFD.
func escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// fill puts escaped values into a template's {{names}}, in one pass: a value that looks like a name stays what it is.
func fill(template string, pairs ...string) []byte {
	for i := 1; i < len(pairs); i += 2 {
		pairs[i-1], pairs[i] = "{{"+pairs[i-1]+"}}", escape(pairs[i])
	}
	return []byte(strings.NewReplacer(pairs...).Replace(template))
}

// plain says whether a text stands for itself in XML: most of what is sent does.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '&' || c == '<' || c == '>' || c == '"' || c == '\'' {
			return false
		}
	}
	return true
}
