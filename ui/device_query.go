package ui

import (
	"slices"
	"strings"
)

// nodeWord names what a device can be asked: in plain words where there are some, else by its address.
func (q *Request) nodeWord(node string) string {
	short := shortNode(node)
	if key := "node." + strings.ReplaceAll(short, "/", "."); q.Words.Has(key) {
		return q.T(key)
	}
	return short
}

func shortNode(node string) string {
	return strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(node, "./"), "Device/"), "Vendor/MSFT/")
}

// nodeOptions are the choices of a question: those with a plain name first, then the rest by address.
func (q *Request) nodeOptions(nodes []string) []Option {
	out := []Option{{Word: q.T("act.field.node.choose")}}
	var rest []Option
	for _, n := range nodes {
		o := Option{Value: n, Word: q.nodeWord(n)}
		if o.Word == shortNode(n) {
			rest = append(rest, o)
			continue
		}
		out = append(out, o)
	}
	slices.SortFunc(out[1:], func(a, b Option) int { return strings.Compare(strings.ToLower(a.Word), strings.ToLower(b.Word)) })
	return append(out, rest...)
}
