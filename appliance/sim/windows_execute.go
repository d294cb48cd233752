package sim

import (
	"slices"
	"strconv"
	"strings"
)

// dmRun carries out the commands of one message and keeps the answers.
type dmRun struct {
	d        *Windows
	s        *dmSession
	message  string // MsgID of the server's message
	commands bool   // there was something besides statuses
	final    bool
	leaves   bool // an Unenroll was carried out
	answers  []dmAnswer
	notes    []string // complaints

	atomic  int              // how deep in Atomics
	touched map[string]pcLoc // accounts that this command or Atomic changed
	undone  map[string]bool  // accounts that go although their Atomic failed
}

// dmAnswer is a status, and what a Get found.
type dmAnswer struct {
	ref, cmd, target string
	code             int
	found            []result
}

// execute carries out a message's commands. Nothing here waits for the network: what
// does is left for the time after the session.
func (d *Windows) execute(s *dmSession, m *syncMessage) *dmRun {
	r := &dmRun{d: d, s: s, message: m.header.message, final: m.final}
	d.mu.Lock()
	for _, c := range m.commands {
		if c.verb == "Status" || c.verb == "Results" {
			continue
		}
		r.commands = true
		r.command(c)
	}
	d.mu.Unlock()
	for _, n := range r.notes {
		d.complain("%s", n)
	}
	return r
}

func (r *dmRun) note(text string) { r.notes = append(r.notes, text) }

// write writes the answers into the next message.
func (r *dmRun) write(w *syncWriter) map[string]string {
	w.status(r.message, "0", "SyncHdr", "", 200)
	for _, a := range r.answers {
		w.status(r.message, a.ref, a.cmd, a.target, a.code)
		if len(a.found) > 0 {
			w.results(r.message, a.ref, a.found)
		}
	}
	sent := map[string]string{}
	if !r.final {
		sent[strconv.Itoa(w.next+1)] = "Alert"
		w.alert(pcAlert{code: "1222"})
	}
	return sent
}

func (r *dmRun) answer(c syncCommand, code int) {
	r.answers = append(r.answers, dmAnswer{ref: c.id, cmd: c.verb, code: code})
	r.remember(c, code)
}

// remember keeps what was asked for State.
func (r *dmRun) remember(c syncCommand, code int) {
	uris := make([]string, 0, 1)
	for _, i := range c.items {
		uris = append(uris, i.target)
	}
	r.d.seen.command(WindowsCommand{Verb: c.verb, LocURI: strings.Join(uris, " "), Status: code, Session: r.s.id, Message: r.message})
}

// command carries out one command of the message's top level.
func (r *dmRun) command(c syncCommand) {
	switch {
	case c.id == "":
		r.answer(c, 400)
	case c.verb == "Alert":
		if c.data == "1223" {
			r.note("the server aborted the session")
		}
		r.answer(c, 200)
	case c.verb == "Atomic":
		r.atomically(c)
	case c.verb == "Sequence":
		r.answer(c, 200)
		for _, k := range c.kids {
			r.command(k)
		}
	case len(c.items) == 0:
		r.answer(c, 400)
	default:
		r.touched = map[string]pcLoc{}
		codes, found := r.items(c)
		if r.settle() >= 0 {
			for n := range codes {
				codes[n] = 500
			}
		}
		r.report(c, codes, found)
	}
}

// items carries out the items of a command one after the other.
func (r *dmRun) items(c syncCommand) (codes []int, found []result) {
	for _, i := range c.items {
		code, got := r.item(c.verb, i)
		codes, found = append(codes, code), append(found, got...)
	}
	return codes, found
}

// report answers a command: one status when all items fared alike, else one for each.
func (r *dmRun) report(c syncCommand, codes []int, found []result) {
	if len(slices.Compact(slices.Clone(codes))) == 1 {
		r.answers = append(r.answers, dmAnswer{ref: c.id, cmd: c.verb, code: codes[0], found: found})
		r.remember(c, codes[0])
		return
	}
	for n, i := range c.items {
		a := dmAnswer{ref: c.id, cmd: c.verb, target: i.target, code: codes[n]}
		if n == len(c.items)-1 {
			a.found = found
		}
		r.answers = append(r.answers, a)
		r.remember(syncCommand{verb: c.verb, items: []syncItem{i}}, codes[n])
	}
}

// atomically carries out an Atomic: all or nothing.
func (r *dmRun) atomically(c syncCommand) {
	t := r.d.tree
	before := t.copy()
	later, again := len(r.d.later), r.d.again
	r.touched, r.undone = map[string]pcLoc{}, map[string]bool{}
	r.atomic++
	codes := make([]int, len(c.kids))
	failed := -1
	if r.mixed(c.kids) {
		r.note("an Atomic mixes ./User and ./Device, or adds and replaces the same node")
		failed = 0
		for n := range codes {
			codes[n] = 215
		}
		if len(codes) > 0 {
			codes[0] = 500
		}
	}
	for n, k := range c.kids {
		if failed >= 0 {
			codes[n] = max(codes[n], 215)
			continue
		}
		codes[n] = r.kid(k)
		if codes[n] >= 300 {
			failed = n
		}
	}
	r.atomic--
	if failed < 0 {
		if bad := r.settle(); bad >= 0 {
			failed = len(c.kids)
		}
	}
	whole := 200
	if failed >= 0 {
		whole = 507
		undone := 216
		if r.d.mood.RollbackBad {
			undone = 516
		} else {
			r.d.tree = before
			r.d.later, r.d.again = r.d.later[:later], again
			for key := range r.undone {
				r.dropKey(key)
			}
		}
		for n := range min(failed, len(codes)) {
			codes[n] = undone
		}
	}
	r.answer(c, whole)
	for n, k := range c.kids {
		r.answer(k, codes[n])
	}
}

// kid carries out a command inside an Atomic.
func (r *dmRun) kid(c syncCommand) int {
	switch {
	case c.id == "":
		return 400
	case c.verb == "Get", c.verb == "Atomic", c.verb == "Sequence", c.verb == "Alert":
		return 500
	case len(c.items) == 0:
		return 400
	}
	codes, _ := r.items(c)
	return slices.Max(codes)
}

// mixed reports whether an Atomic asks for what cannot be one transaction.
func (r *dmRun) mixed(kids []syncCommand) bool {
	scopes, verbs := map[bool]bool{}, map[string]string{}
	for _, k := range kids {
		for _, i := range k.items {
			loc, code := locate(i.target)
			if code != 200 {
				continue
			}
			scopes[loc.user()] = true
			was := verbs[loc.key()]
			if was != "" && was != k.verb && (k.verb == "Add" || k.verb == "Replace") && (was == "Add" || was == "Replace") {
				return true
			}
			verbs[loc.key()] = k.verb
		}
	}
	return len(scopes) > 1
}

// item carries out one item.
func (r *dmRun) item(verb string, i syncItem) (int, []result) {
	if !strings.HasPrefix(i.target, "./") {
		r.note("the LocURI " + strconv.Quote(i.target) + " does not begin with ./")
	}
	if strings.ContainsAny(i.target, "{} ") {
		r.note("the LocURI " + strconv.Quote(i.target) + " has braces or blanks that are not percent-encoded")
	}
	for prefix, code := range r.d.mood.Answers {
		if strings.HasPrefix(i.target, prefix) {
			return code, nil
		}
	}
	loc, code := locate(i.target)
	if code != 200 {
		return code, nil
	}
	t := r.d.tree
	if !t.has(loc) {
		return 404, nil
	}
	if loc.user() && r.d.login != "user" {
		return 500, nil
	}
	if i.raw {
		r.note("Data at " + i.target + " holds XML that is not escaped")
		return 400, nil
	}
	letter := map[string]string{"Add": "A", "Replace": "R", "Delete": "D", "Get": "G", "Exec": "E"}[verb]
	if r.foreign(loc) && verb != "Get" {
		return 425, nil
	}
	if !strings.Contains(loc.spec().access, letter) {
		return 405, nil
	}
	switch verb {
	case "Get":
		return r.get(loc, i.target)
	case "Delete":
		return r.remove(loc), nil
	case "Exec":
		return r.exec(loc, i), nil
	case "Add":
		if t.exists(loc) {
			return r.addTwice(loc), nil
		}
		return r.store(loc, i, false), nil
	default:
		return r.replace(loc, i), nil
	}
}

// foreign reports whether a place belongs to another management server.
func (r *dmRun) foreign(l pcLoc) bool {
	own := func(at int, name, want string) bool {
		return len(l.segs) > at && strings.EqualFold(l.segs[at-1], name) && !strings.EqualFold(l.segs[at], want)
	}
	switch l.csp() {
	case "DMClient", "DeviceManageability":
		return own(5, "Provider", r.d.tree.provider)
	case "SyncML":
		return own(2, "DMAcc", r.d.tree.uid)
	}
	return false
}

// get reads a leaf, lists an interior node, or renders a subtree.
func (r *dmRun) get(l pcLoc, asked string) (int, []result) {
	t := r.d.tree
	if l.list {
		return r.subtree(l)
	}
	if n, there := r.special(l); there {
		return 200, []result{{asked, n.format, n.data}}
	}
	if !t.exists(l) {
		return 404, nil
	}
	if !l.spec().interior() {
		n, _ := t.get(l)
		return 200, []result{{asked, n.format, n.data}}
	}
	var names []string
	if l.csp() != "EMAIL2" { // its accounts cannot be listed
		for _, n := range t.children(l) {
			names = append(names, escapeSegment(n))
		}
	}
	return 200, []result{{asked, "node", strings.Join(names, "/")}}
}

// subtree answers ?list=StructData, which only some providers know.
func (r *dmRun) subtree(l pcLoc) (int, []result) {
	switch l.csp() {
	case "EnterpriseModernAppManagement", "EnterpriseDesktopAppManagement", "RootCATrustedCertificates", "CertificateStore", "ClientCertificateInstall":
	default:
		return 406, nil
	}
	if !r.d.tree.exists(l) {
		return 404, nil
	}
	out := []result{{l.uri(), "node", strings.Join(r.d.tree.children(l), "/")}}
	for _, n := range r.d.tree.leaves(l) {
		out = append(out, result{uriOf(n.segs), n.format, n.data})
	}
	return 200, out
}

// remove deletes a node with everything below.
func (r *dmRun) remove(l pcLoc) int {
	if !r.d.tree.exists(l) {
		return 404
	}
	r.removing(l)
	r.d.tree.remove(l)
	return 200
}

// replace sets a leaf, creating it where its provider does.
func (r *dmRun) replace(l pcLoc, i syncItem) int {
	if l.spec().interior() {
		return 405
	}
	exists := r.d.tree.exists(l)
	if !exists && r.needsAccount(l) {
		return 404
	}
	if exists && r.fixed(l) {
		return 405
	}
	return r.store(l, i, exists)
}

// needsAccount reports whether a Replace fails because what it belongs to is not there.
func (r *dmRun) needsAccount(l pcLoc) bool {
	switch l.csp() {
	case "EMAIL2", "ActiveSync", "WiFi", "VPNv2", "RootCATrustedCertificates", "ClientCertificateInstall", "EnterpriseDesktopAppManagement":
		account, ok := l.account()
		return ok && !r.d.tree.exists(account)
	}
	return false
}

// store checks a value and sets it.
func (r *dmRun) store(l pcLoc, i syncItem, exists bool) int {
	s := l.spec()
	if s.interior() {
		if i.hasData && strings.TrimSpace(i.data) != "" {
			return 400
		}
		r.d.tree.set(l, "node", "")
		r.touch(l)
		return 200
	}
	format, code := r.format(l, i)
	if code != 200 {
		return code
	}
	if code := r.accept(l, i.data, exists); code != 200 {
		return code
	}
	r.d.tree.set(l, format, i.data)
	r.touch(l)
	return 200
}

// format holds the item's format and value against the node's.
func (r *dmRun) format(l pcLoc, i syncItem) (string, int) {
	want, got := l.spec().format, i.format
	if got == "" {
		if want != "chr" && want != "null" && i.hasData {
			r.note("no Format at " + l.uri() + ", which is " + want)
		}
		got = want
	}
	switch {
	case want == "null", want == got: // null: settled by policy
	case want == "bin" && (got == "chr" || got == "b64"), want == "b64" && (got == "chr" || got == "bin"), want == "xml" && got == "chr", want == "time" && got == "chr":
	default:
		return "", 415
	}
	value := strings.TrimSpace(i.data)
	switch want {
	case "int":
		if _, err := strconv.Atoi(value); err != nil {
			return "", 415
		}
		if !allows(l.spec().allowed, value) {
			return "", 500
		}
	case "bool":
		if value != "true" && value != "false" && value != "0" && value != "1" {
			return "", 415
		}
		if value == "0" || value == "1" {
			r.note("the boolean " + l.uri() + " is given as " + value)
		}
	case "null":
		if _, err := strconv.Atoi(value); got == "int" && err != nil {
			return "", 415
		}
		return got, 200
	}
	return want, 200
}

// touch marks the account that a change belongs to.
func (r *dmRun) touch(l pcLoc) {
	if account, ok := l.account(); ok {
		r.touched[account.key()] = account
	}
}

// dropKey removes a subtree by its key.
func (r *dmRun) dropKey(key string) {
	for k := range r.d.tree.nodes {
		if k == key || strings.HasPrefix(k, key+"\x1f") {
			delete(r.d.tree.nodes, k)
		}
	}
}
