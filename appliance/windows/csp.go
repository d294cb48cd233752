package windows

import (
	_ "embed"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// cspTable lists the nodes of the configuration service providers that are spoken to, and those that a custom profile may name: one node a
// line, indented by one blank a level, as name, format, allowed verbs (Add, Delete, Exec, Get, Replace), the build it came with where that
// is later than its parent's (after a semicolon further servicing branches, each with the revision it came with), and after = the values of
// a number. A name in braces stands for any. The facts are those of Microsoft's device description files (DDF v2).
//
//go:embed csp_nodes.txt
var cspTable string

// cspNode is one node as its provider declares it.
type cspNode struct {
	name   string
	format string // "chr", "int", "bool", "b64", "bin", "xml", "time", "null", "node"
	access string // letters of ADEGR
	builds string // "" = the parent's
	values string // of a number: "0-16", "0,4-16"; "" = any
	parent *cspNode
	kids   []*cspNode
}

// matches says how well a name fits: 3 for the very name, 2 for an end of it, 1 for any name, 0 not at all.
func (n *cspNode) matches(name string) int {
	if !strings.HasPrefix(n.name, "{") {
		if strings.EqualFold(n.name, name) {
			return 3
		}
		return 0
	}
	_, end, _ := strings.Cut(n.name, "}")
	switch {
	case end == "":
		return 1
	case len(name) > len(end) && strings.EqualFold(name[len(name)-len(end):], end):
		return 2
	}
	return 0
}

var cspRoot = sync.OnceValue(func() *cspNode {
	root := &cspNode{format: "node", access: "G"}
	path := []*cspNode{root}
	for line := range strings.Lines(cspTable) {
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		f := strings.Fields(text)
		n := &cspNode{name: f[0], format: "node", access: "G", parent: path[depth]}
		if len(f) > 2 {
			n.format, n.access = f[1], f[2]
			for _, x := range f[3:] {
				if v, is := strings.CutPrefix(x, "="); is {
					n.values = v
				} else {
					n.builds = x
				}
			}
		}
		path = append(path[:depth+1], n)
		path[depth].kids = append(path[depth].kids, n)
	}
	return root
})

// cspOf finds the node of a LocURI, nil when there is none. Names are compared without regard to case; ./Vendor is ./Device/Vendor; what a
// name in braces stands for must be percent-encoded.
func cspOf(uri string) *cspNode {
	rest, ok := strings.CutPrefix(uri, "./")
	if !ok {
		return nil
	}
	if strings.HasPrefix(rest, "Vendor/") {
		rest = "Device/" + rest
	}
	at := cspRoot()
	for part := range strings.SplitSeq(rest, "/") {
		name, err := url.PathUnescape(part)
		if err != nil || name == "" || strings.ContainsAny(part, "{}? ") {
			return nil
		}
		var found *cspNode
		best := 0
		for _, k := range at.kids {
			if m := k.matches(name); m > best {
				found, best = k, m
			}
		}
		if found == nil {
			return nil
		}
		at = found
	}
	return at
}

// allows says whether a verb may be sent to a node.
func (n *cspNode) allows(verb string) bool {
	return verb != "" && verb != verbAtomic && strings.Contains(n.access, verb[:1])
}

// least is the lowest build that has the node, in any servicing branch.
func (n *cspNode) least() int {
	for at := n; at != nil; at = at.parent {
		if at.builds == "" {
			continue
		}
		low := 0
		for b := range strings.SplitSeq(at.builds, ";") {
			b, _, _ = strings.Cut(b, ".")
			if v, err := strconv.Atoi(b); err == nil && (low == 0 || v < low) {
				low = v
			}
		}
		return low
	}
	return 0
}

// takes says whether a value has the node's format and lies within its bounds.
func (n *cspNode) takes(value string) bool {
	switch n.format {
	case "int":
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return false
		}
		if n.values == "" {
			return true
		}
		return slices.ContainsFunc(strings.Split(n.values, ","), func(s string) bool { return within(s, v) })
	case "bool":
		return value == "true" || value == "false"
	case "b64", "bin":
		_, err := decodeBase64(value)
		return err == nil
	}
	return true
}

// within says whether v lies in "low-high" or is the number itself; both may be negative.
func within(bounds string, v int64) bool {
	low, high, span := bounds, bounds, false
	if i := strings.LastIndex(bounds, "-"); i > 0 && bounds[i-1] != '-' {
		low, high, span = bounds[:i], bounds[i+1:], true
	}
	a, err := strconv.ParseInt(low, 10, 64)
	b, err2 := strconv.ParseInt(high, 10, 64)
	return err == nil && err2 == nil && (v == a || span && v >= a && v <= b)
}
