package sim

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of the XML that a PC reads.
const (
	maxXMLDepth    = 64
	maxXMLElements = 200_000
)

var errXML = errors.New("not well-formed XML")

// element is one element of an XML document.
type element struct {
	space, name string
	attrs       []xml.Attr
	text        string // its own character data, as it came
	kids        []*element
}

// parseXML reads a document without DTD, entities of its own, or any encoding but UTF-8.
func parseXML(b []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(b))
	var root *element
	var stack []*element
	var texts []*strings.Builder
	count := 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errXML, err)
		}
		switch t := tok.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("%w: a document type definition", errXML)
		case xml.StartElement:
			if count++; count > maxXMLElements || len(stack) >= maxXMLDepth {
				return nil, fmt.Errorf("%w: too large or too deep", errXML)
			}
			e := &element{space: t.Name.Space, name: t.Name.Local, attrs: t.Attr}
			switch {
			case len(stack) > 0:
				p := stack[len(stack)-1]
				p.kids = append(p.kids, e)
			case root != nil:
				return nil, fmt.Errorf("%w: a second root element", errXML)
			default:
				root = e
			}
			stack, texts = append(stack, e), append(texts, &strings.Builder{})
		case xml.EndElement:
			n := len(stack) - 1
			stack[n].text = texts[n].String()
			stack, texts = stack[:n], texts[:n]
		case xml.CharData:
			if len(stack) > 0 {
				texts[len(texts)-1].Write(t)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, fmt.Errorf("%w: text outside the root element", errXML)
			}
		}
	}
	if root == nil {
		return nil, fmt.Errorf("%w: no element", errXML)
	}
	return root, nil
}

// value is the element's text without the white space around it; "" for nil.
func (e *element) value() string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(e.text)
}

// kid returns the first child of that name, or nil.
func (e *element) kid(name string) *element {
	if e == nil {
		return nil
	}
	for _, k := range e.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// at follows names downwards; nil when one is missing.
func (e *element) at(names ...string) *element {
	for _, n := range names {
		e = e.kid(n)
	}
	return e
}

// attr returns an attribute without regard to its namespace.
func (e *element) attr(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.Name.Local == name && a.Name.Space != "xmlns" {
			return a.Value
		}
	}
	return ""
}

// declares reports whether the element itself declares a namespace prefix.
func (e *element) declares(prefix string) bool {
	for _, a := range e.attrs {
		if a.Name.Space == "xmlns" && a.Name.Local == prefix {
			return true
		}
	}
	return false
}

// is reports whether the element has that name in that namespace.
func (e *element) is(space, name string) bool {
	return e != nil && e.space == space && e.name == name
}

// names lists the children's names in order.
func (e *element) names() []string {
	if e == nil {
		return nil
	}
	out := make([]string, len(e.kids))
	for i, k := range e.kids {
		out[i] = k.name
	}
	return out
}

// esc escapes text for element content and attribute values.
func esc(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
