package sim

import (
	_ "embed"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// nodeTable lists the management tree of the CSPs that a PC has: one node a line,
// indented by one blank a level, as name, format, allowed verbs (Add, Delete, Exec, Get,
// Replace), the build it came with when later than its parent's (after a semicolon more
// servicing branches, each with the revision it came with), and after = the values of
// an integer. Names in braces stand for any name.
//
//go:embed windows_nodes.txt
var nodeTable string

// pcSpec is one node as the device description framework declares it.
type pcSpec struct {
	name    string // in braces: any
	format  string
	access  string // letters of A D E G R
	builds  string // "" as the parent's
	allowed string // ranges and values of an integer; "" any
	kids    []*pcSpec
}

func (s *pcSpec) dynamic() bool { return strings.HasPrefix(s.name, "{") }

func (s *pcSpec) interior() bool { return s.format == "node" }

// specOf returns the root of the tree; it is never changed.
var specOf = sync.OnceValue(func() *pcSpec {
	root := &pcSpec{format: "node", access: "G"}
	path := []*pcSpec{root}
	for line := range strings.Lines(nodeTable) {
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		f := strings.Fields(text)
		s := &pcSpec{name: f[0], format: "node", access: "G"}
		if len(f) > 2 {
			s.format, s.access = f[1], f[2]
		}
		for _, extra := range f[min(3, len(f)):] {
			if v, ok := strings.CutPrefix(extra, "="); ok {
				s.allowed = v
			} else {
				s.builds = extra
			}
		}
		path = append(path[:depth+1], s)
		path[depth].kids = append(path[depth].kids, s)
	}
	return root
})

// find returns the child of that name: a fixed one without regard to case, else the one for any name.
func (s *pcSpec) find(name string) *pcSpec {
	var any *pcSpec
	for _, k := range s.kids {
		if k.dynamic() {
			any = k
		} else if strings.EqualFold(k.name, name) {
			return k
		}
	}
	return any
}

// since reports whether a build has a node: the entry of its own servicing branch
// decides by revision, and every later release has it.
func since(builds string, build, revision int) bool {
	if builds == "" {
		return true
	}
	best, bestRevision := -1, 0
	for entry := range strings.SplitSeq(builds, ";") {
		b, r, _ := strings.Cut(entry, ".")
		n, err := strconv.Atoi(b)
		if err != nil || n > build || n < best {
			continue
		}
		best, bestRevision = n, 0
		if v, err := strconv.Atoi(r); err == nil {
			bestRevision = v
		}
	}
	switch {
	case best < 0:
		return false
	case branchOf(best) == branchOf(build):
		return revision >= bestRevision
	default:
		return true
	}
}

// branchOf maps the releases that share their revisions to the first of them.
func branchOf(build int) int {
	switch build {
	case 19042, 19043, 19044, 19045:
		return 19041
	case 22631:
		return 22621
	case 26200:
		return 26100
	}
	return build
}

// allows reports whether an integer is among the values of a node.
func allows(allowed, value string) bool {
	n, err := strconv.Atoi(value)
	if err != nil {
		return false
	}
	if allowed == "" {
		return true
	}
	for entry := range strings.SplitSeq(allowed, ",") {
		i := strings.LastIndex(entry, "-")
		if i <= 0 {
			if v, err := strconv.Atoi(entry); err == nil && v == n {
				return true
			}
			continue
		}
		low, err1 := strconv.Atoi(entry[:i])
		high, err2 := strconv.Atoi(entry[i+1:])
		if err1 == nil && err2 == nil && n >= low && n <= high {
			return true
		}
	}
	return false
}

// pcLoc is a place in the tree.
type pcLoc struct {
	segs  []string  // canonical, decoded; begins with Device, User, DevInfo, DevDetail or SyncML
	specs []*pcSpec // one for each segment
	list  bool      // with ?list=StructData
}

func (l pcLoc) spec() *pcSpec { return l.specs[len(l.specs)-1] }

// user reports whether the place belongs to the signed-in user.
func (l pcLoc) user() bool { return l.segs[0] == "User" }

// csp is the configuration service provider's name.
func (l pcLoc) csp() string {
	if len(l.segs) > 3 {
		return l.segs[3]
	}
	return l.segs[0]
}

// below are the segments under the provider's root.
func (l pcLoc) below() []string {
	if len(l.segs) > 4 && (l.segs[0] == "Device" || l.segs[0] == "User") {
		return l.segs[4:]
	}
	return nil
}

func (l pcLoc) parent() pcLoc {
	n := len(l.segs) - 1
	return pcLoc{segs: l.segs[:n:n], specs: l.specs[:n:n]}
}

// child is a place below; ok is false when there is no such node.
func (l pcLoc) child(names ...string) (pcLoc, bool) {
	for _, n := range names {
		s := l.spec().find(n)
		if s == nil {
			return l, false
		}
		name := n
		if !s.dynamic() {
			name = s.name
		}
		l = pcLoc{segs: append(l.segs[:len(l.segs):len(l.segs)], name), specs: append(l.specs[:len(l.specs):len(l.specs)], s)}
	}
	return l, true
}

// account is the place of the innermost node with a name of its own, if there is one.
func (l pcLoc) account() (pcLoc, bool) {
	for i := range l.specs {
		if l.specs[i].dynamic() {
			return pcLoc{segs: l.segs[: i+1 : i+1], specs: l.specs[: i+1 : i+1]}, true
		}
	}
	return pcLoc{}, false
}

func (l pcLoc) key() string { return keyOf(l.segs) }

func keyOf(segs []string) string { return strings.ToLower(strings.Join(segs, "\x1f")) }

// uri writes a place as a LocURI.
func (l pcLoc) uri() string { return uriOf(l.segs) }

func uriOf(segs []string) string {
	out := make([]string, len(segs))
	for i, s := range segs {
		out[i] = escapeSegment(s)
	}
	return "./" + strings.Join(out, "/")
}

// escapeSegment percent-encodes a name as the client does, braces included.
func escapeSegment(s string) string {
	return strings.NewReplacer("{", "%7B", "}", "%7D").Replace(url.PathEscape(s))
}

var (
	guidName = regexp.MustCompile(`^\{[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}$`)
	hashName = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)
)

// locate finds the place of a LocURI; the status is 200, or why there is none.
func locate(uri string) (pcLoc, int) {
	path, query, _ := strings.Cut(uri, "?")
	rest, ok := strings.CutPrefix(path, "./")
	if !ok || len(uri) > 2048 {
		return pcLoc{}, 404
	}
	loc := pcLoc{list: query == "list=StructData"}
	if query != "" && !loc.list {
		return pcLoc{}, 406
	}
	parts := strings.Split(rest, "/")
	if parts[0] == "Vendor" {
		parts = append([]string{"Device"}, parts...)
	}
	at := specOf()
	for _, p := range parts {
		name, err := url.PathUnescape(p)
		if err != nil || name == "" || strings.ContainsAny(p, "{}") {
			return pcLoc{}, 404
		}
		if at = at.find(name); at == nil {
			return pcLoc{}, 404
		}
		if !at.dynamic() {
			name = at.name
		}
		switch at.name {
		case "{AccountGUID}", "{ContentTypeGUID}", "{ProductID}", "{Guid}":
			if !guidName.MatchString(name) {
				return pcLoc{}, 404
			}
		case "{CertHash}":
			if !hashName.MatchString(name) {
				return pcLoc{}, 404
			}
		}
		loc.segs, loc.specs = append(loc.segs, name), append(loc.specs, at)
	}
	return loc, 200
}
