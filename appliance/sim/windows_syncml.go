package sim

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Namespaces of SyncML.
const (
	nsSyncML = "SYNCML:SYNCML1.2"
	nsMeta   = "syncml:metinf"
)

// syncHeader is the header of a server's message.
type syncHeader struct {
	session, message string
	target, source   string
	maxSize          int // 0: not given
}

// syncCommand is one command of a server's message.
type syncCommand struct {
	verb, id string
	items    []syncItem
	kids     []syncCommand // of Atomic and Sequence
	data     string        // of Alert and Status
	ref      string        // of Status: CmdRef
	msgRef   string
	cmd      string // of Status: Cmd
	auth     string // of Status: type of the challenge
	nonce    []byte // of Status: NextNonce
}

// syncItem is one item of a command.
type syncItem struct {
	target, source string
	format, kind   string
	data           string
	hasData        bool
	raw            bool // Data holds elements instead of text
}

// syncMessage is a server's message.
type syncMessage struct {
	header   syncHeader
	commands []syncCommand
	final    bool
	faults   []string // what a real client may swallow
}

// parseSyncML reads a message as strictly as the client does. What it tolerates is listed in faults.
func parseSyncML(b []byte) (*syncMessage, error) {
	root, err := parseXML(b)
	if err != nil {
		return nil, err
	}
	if root.name != "SyncML" || root.space != nsSyncML && root.space != "SYNCML:SYNCML1.1" {
		return nil, fmt.Errorf("the root is %s in %q", root.name, root.space)
	}
	if !slices.Equal(root.names(), []string{"SyncHdr", "SyncBody"}) {
		return nil, fmt.Errorf("SyncML holds %v, not SyncHdr and SyncBody", root.names())
	}
	m := &syncMessage{}
	if bytes.Contains(b, []byte("<![CDATA[")) {
		m.fault("a CDATA section, which some nodes do not take")
	}
	if err := m.readHeader(root.kids[0]); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for i, e := range root.kids[1].kids {
		if e.name == "Final" {
			if i != len(root.kids[1].kids)-1 {
				m.fault("Final is not the last element")
			}
			m.final = true
			continue
		}
		c, err := m.readCommand(e, ids, 0)
		if err != nil {
			return nil, err
		}
		m.commands = append(m.commands, c)
	}
	if !m.final {
		m.fault("Final is missing")
	}
	return m, nil
}

func (m *syncMessage) fault(format string, args ...any) {
	m.faults = append(m.faults, fmt.Sprintf(format, args...))
}

// readHeader reads SyncHdr, whose elements come in a fixed order.
func (m *syncMessage) readHeader(e *element) error {
	order := []string{"VerDTD", "VerProto", "SessionID", "MsgID", "Target", "Source", "RespURI", "NoResp", "Cred", "Meta"}
	if err := inOrder(e, order); err != nil {
		return fmt.Errorf("SyncHdr: %w", err)
	}
	for _, k := range e.kids {
		if !slices.Contains(order, k.name) {
			return fmt.Errorf("SyncHdr holds %s", k.name)
		}
	}
	version, protocol := e.kid("VerDTD").value(), e.kid("VerProto").value()
	if version != "1.2" && version != "1.1" || protocol != "DM/"+version {
		return fmt.Errorf("SyncHdr: version %q and protocol %q", version, protocol)
	}
	m.header = syncHeader{session: e.kid("SessionID").value(), message: e.kid("MsgID").value(), target: e.at("Target", "LocURI").value(), source: e.at("Source", "LocURI").value()}
	for name, v := range map[string]string{"SessionID": m.header.session, "MsgID": m.header.message, "Target": m.header.target, "Source": m.header.source} {
		if v == "" {
			return fmt.Errorf("SyncHdr: %s is missing", name)
		}
	}
	if size := e.at("Meta", "MaxMsgSize"); size != nil {
		n, err := strconv.Atoi(size.value())
		if err != nil || n <= 0 {
			return fmt.Errorf("SyncHdr: MaxMsgSize %q", size.value())
		}
		m.header.maxSize = n
	}
	return nil
}

// readCommand reads one element of SyncBody, or of an Atomic or Sequence.
func (m *syncMessage) readCommand(e *element, ids map[string]bool, depth int) (syncCommand, error) {
	c := syncCommand{verb: e.name, id: e.kid("CmdID").value(), data: e.kid("Data").value()}
	switch e.name {
	case "Add", "Replace", "Delete", "Get", "Exec", "Atomic", "Sequence", "Alert", "Status", "Results":
	default:
		return c, fmt.Errorf("there is no command %s", e.name)
	}
	if e.space != nsSyncML && e.space != "SYNCML:SYNCML1.1" {
		return c, fmt.Errorf("%s is in the namespace %q", e.name, e.space)
	}
	if depth > 4 {
		return c, fmt.Errorf("commands are nested too deep")
	}
	switch {
	case c.id == "" || c.id == "0" || strings.ContainsAny(c.id, " \t\r\n"):
		m.fault("%s has the CmdID %q", e.name, c.id)
		c.id = ""
	case ids[c.id]:
		m.fault("the CmdID %s comes twice", c.id)
	}
	ids[c.id] = true
	if len(e.kids) > 0 && e.kids[0].name != "CmdID" {
		m.fault("%s does not begin with its CmdID", e.name)
	}
	if e.name == "Status" {
		return c, m.readStatus(e, &c)
	}
	for _, k := range e.kids {
		switch k.name {
		case "CmdID", "Meta", "Data", "NoResp", "Cred", "Correlator", "MsgRef", "CmdRef":
		case "Item":
			c.items = append(c.items, readItem(k, e.kid("Meta")))
		default:
			if e.name != "Atomic" && e.name != "Sequence" {
				return c, fmt.Errorf("%s holds %s", e.name, k.name)
			}
			kid, err := m.readCommand(k, ids, depth+1)
			if err != nil {
				return c, err
			}
			c.kids = append(c.kids, kid)
		}
	}
	return c, nil
}

// readStatus reads the parts of a Status.
func (m *syncMessage) readStatus(e *element, c *syncCommand) error {
	if err := inOrder(e, []string{"CmdID", "MsgRef", "CmdRef", "Cmd", "TargetRef", "SourceRef", "Cred", "Chal", "Data", "Item"}); err != nil {
		m.fault("Status: %v", err)
	}
	c.msgRef, c.ref, c.cmd = e.kid("MsgRef").value(), e.kid("CmdRef").value(), e.kid("Cmd").value()
	if _, err := strconv.Atoi(c.data); err != nil {
		return fmt.Errorf("a Status has the code %q", c.data)
	}
	if c.msgRef == "" || c.ref == "" || c.cmd == "" {
		m.fault("a Status lacks MsgRef, CmdRef or Cmd")
	}
	if meta := e.at("Chal", "Meta"); meta != nil {
		c.auth = meta.kid("Type").value()
		var err error
		if c.nonce, err = base64.StdEncoding.DecodeString(meta.kid("NextNonce").value()); err != nil {
			return fmt.Errorf("a challenge's NextNonce is not base64")
		}
		if !meta.kid("Type").is(nsMeta, "Type") {
			m.fault("a challenge's Type is not in %s", nsMeta)
		}
	}
	return nil
}

// readItem reads an Item; common is the command's own Meta.
func readItem(e, common *element) syncItem {
	i := syncItem{target: e.at("Target", "LocURI").value(), source: e.at("Source", "LocURI").value()}
	for _, meta := range []*element{common, e.kid("Meta")} {
		if f := meta.kid("Format"); f.is(nsMeta, "Format") {
			i.format = f.value()
		}
		if k := meta.kid("Type"); k.is(nsMeta, "Type") {
			i.kind = k.value()
		}
	}
	if data := e.kid("Data"); data != nil {
		i.data, i.hasData, i.raw = data.text, true, len(data.kids) > 0
	}
	return i
}

// syncWriter writes the client's own messages.
type syncWriter struct {
	b    strings.Builder
	next int // CmdID
}

// id takes the next CmdID of the message.
func (w *syncWriter) id() string {
	w.next++
	return strconv.Itoa(w.next)
}

// header writes everything before SyncBody's content.
func (w *syncWriter) header(session, message, target, source, cred string, maxSize int) {
	w.b.WriteString(`<?xml version="1.0" encoding="utf-8"?><SyncML xmlns="` + nsSyncML + `"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>` + session +
		`</SessionID><MsgID>` + message + `</MsgID><Target><LocURI>` + esc(target) + `</LocURI></Target><Source><LocURI>` + esc(source) + `</LocURI></Source>` + cred)
	if maxSize > 0 {
		w.b.WriteString(`<Meta><MaxMsgSize xmlns="` + nsMeta + `">` + strconv.Itoa(maxSize) + `</MaxMsgSize></Meta>`)
	}
	w.b.WriteString(`</SyncHdr><SyncBody>`)
}

// finish ends the message.
func (w *syncWriter) finish() []byte {
	w.b.WriteString(`<Final/></SyncBody></SyncML>`)
	return []byte(w.b.String())
}

// status answers a command, or one item of it.
func (w *syncWriter) status(msgRef, cmdRef, cmd, target string, code int) {
	w.b.WriteString(`<Status><CmdID>` + w.id() + `</CmdID><MsgRef>` + msgRef + `</MsgRef><CmdRef>` + esc(cmdRef) + `</CmdRef><Cmd>` + cmd + `</Cmd>`)
	if target != "" {
		w.b.WriteString(`<TargetRef>` + esc(target) + `</TargetRef>`)
	}
	w.b.WriteString(`<Data>` + strconv.Itoa(code) + `</Data></Status>`)
}

// result is one item of a Get that was found.
type result struct{ uri, format, data string }

// results writes what a Get found.
func (w *syncWriter) results(msgRef, cmdRef string, found []result) {
	w.b.WriteString(`<Results><CmdID>` + w.id() + `</CmdID><MsgRef>` + msgRef + `</MsgRef><CmdRef>` + esc(cmdRef) + `</CmdRef>`)
	for _, r := range found {
		w.b.WriteString(`<Item><Source><LocURI>` + esc(r.uri) + `</LocURI></Source>`)
		if r.format != "" && r.format != "chr" {
			w.b.WriteString(`<Meta><Format xmlns="` + nsMeta + `">` + r.format + `</Format></Meta>`)
		}
		w.b.WriteString(`<Data>` + esc(r.data) + `</Data></Item>`)
	}
	w.b.WriteString(`</Results>`)
}

// alert writes an alert, with an item when it has a type.
func (w *syncWriter) alert(a pcAlert) {
	w.b.WriteString(`<Alert><CmdID>` + w.id() + `</CmdID><Data>` + a.code + `</Data>`)
	if a.kind != "" {
		w.b.WriteString(`<Item>`)
		if a.source != "" {
			w.b.WriteString(`<Source><LocURI>` + esc(a.source) + `</LocURI></Source>`)
		}
		w.b.WriteString(`<Meta><Type xmlns="` + nsMeta + `">` + esc(a.kind) + `</Type>`)
		if a.format != "" {
			w.b.WriteString(`<Format xmlns="` + nsMeta + `">` + a.format + `</Format>`)
		}
		w.b.WriteString(`</Meta><Data>` + esc(a.data) + `</Data></Item>`)
	}
	w.b.WriteString(`</Alert>`)
}

// cred writes a login: MD5 over name, secret and nonce (OMA-DM 1.2 security, section 5.3), or the basic form.
func (c pcCredential) cred(kind string) string {
	format := func(kind, data string) string {
		return `<Cred><Meta><Format xmlns="` + nsMeta + `">b64</Format><Type xmlns="` + nsMeta + `">` + kind + `</Type></Meta><Data>` + data + `</Data></Cred>`
	}
	if kind == "BASIC" {
		return format("syncml:auth-basic", base64.StdEncoding.EncodeToString([]byte(c.name+":"+c.secret)))
	}
	inner := md5.Sum([]byte(c.name + ":" + c.secret))
	outer := md5.Sum(append([]byte(base64.StdEncoding.EncodeToString(inner[:])+":"), c.nonce...))
	return format("syncml:auth-md5", base64.StdEncoding.EncodeToString(outer[:]))
}
