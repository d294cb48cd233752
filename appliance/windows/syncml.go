package windows

import (
	"fmt"
	"strconv"
	"strings"
)

// maxCommands bounds what one message of a device may hold.
const maxCommands = 5000

// message is a SyncML message of a device, as far as it is looked at.
type message struct {
	session  string
	msg      string
	target   string
	source   string
	maxSize  int // the device's limit for our messages; 0 = none told
	final    bool
	commands []incoming
}

// incoming is one command, status or result of a device.
type incoming struct {
	name   string
	id     string
	msgRef string
	cmdRef string
	cmd    string // of a Status: what it is about
	data   string
	items  []item
}

type item struct {
	source, target, format, kind, data string
}

// readMessage reads a SyncML message leniently: by local names, in any order, known elements only. Final may be missing.
func readMessage(body []byte) (*message, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, err
	}
	hdr, inner := root.child("SyncHdr"), root.child("SyncBody")
	if root.name != "SyncML" || hdr == nil || inner == nil {
		return nil, fmt.Errorf("%w: not SyncML", errXML)
	}
	m := &message{session: hdr.get("SessionID"), msg: hdr.get("MsgID"), target: hdr.get("Target", "LocURI"), source: hdr.get("Source", "LocURI")}
	if m.session == "" || len(m.session) > 64 || m.msg == "" || len(m.msg) > 32 || len(m.source) > 200 || len(m.target) > 1000 {
		return nil, fmt.Errorf("%w: header", errXML)
	}
	if n, err := strconv.Atoi(hdr.get("Meta", "MaxMsgSize")); err == nil && n > 0 {
		m.maxSize = n
	}
	for _, k := range inner.kids {
		if k.name == "Final" {
			m.final = true
			continue
		}
		if len(m.commands) == maxCommands {
			return nil, fmt.Errorf("%w: too many commands", errXML)
		}
		m.commands = append(m.commands, readCommand(k))
	}
	return m, nil
}

func readCommand(n *node) incoming {
	c := incoming{name: n.name, id: n.get("CmdID"), msgRef: n.get("MsgRef"), cmdRef: n.get("CmdRef"), cmd: n.get("Cmd"), data: n.get("Data")}
	for _, i := range n.all("Item") {
		meta := i.child("Meta")
		if meta == nil {
			meta = n.child("Meta")
		}
		c.items = append(c.items, item{source: i.get("Source", "LocURI"), target: i.get("Target", "LocURI"), format: meta.get("Format"),
			kind: meta.get("Type"), data: i.child("Data").whole()})
	}
	return c
}

// whole is an element's text as sent, white space and all.
func (n *node) whole() string {
	if n == nil {
		return ""
	}
	return n.text
}

// alertIs compares the type of an alert: prefixes and capitals differ between releases.
func (i item) alertIs(kind string) bool {
	return strings.HasSuffix(strings.ToLower(i.kind), strings.ToLower(kind))
}

// Verbs of commands that are sent.
const (
	verbGet     = "Get"
	verbAdd     = "Add"
	verbReplace = "Replace"
	verbDelete  = "Delete"
	verbExec    = "Exec"
	verbAtomic  = "Atomic"
)

// command is one that is sent, with what came of it.
type command struct {
	Verb   string    `json:"verb"`
	URI    string    `json:"uri,omitempty"`
	Format string    `json:"format,omitempty"` // of Data; "" = neither Meta nor Data is sent
	Data   string    `json:"data,omitempty"`
	Kids   []command `json:"kids,omitempty"` // of an Atomic
	OK     []int     `json:"ok,omitempty"`   // codes beyond 2xx that are as good

	ID    string  `json:"id,omitempty"`    // in the message under way
	Code  int     `json:"code,omitempty"`  // 0 = no Status yet
	Value *string `json:"value,omitempty"` // of a Get
	Kind  string  `json:"kind,omitempty"`  // format of Value, as told
}

func get(uri string) command { return command{Verb: verbGet, URI: uri} }
func del(uri string) command { return command{Verb: verbDelete, URI: uri, OK: []int{404}} }

func set(verb, uri, format, data string) command {
	return command{Verb: verb, URI: uri, Format: format, Data: data}
}

// good says whether a command did what it should.
func (c *command) good() bool {
	if c.Code >= 200 && c.Code < 300 && c.Code != 214 && c.Code != 215 && c.Code != 216 {
		return true
	}
	for _, ok := range c.OK {
		if c.Code == ok {
			return true
		}
	}
	return false
}

// answered says whether a command has its Status, and a Get that went well its value.
func (c *command) answered() bool {
	return c.Code != 0 && (c.Verb != verbGet || c.Code != 200 || c.Value != nil)
}

// writer makes a SyncML message. Bytes depend on nothing but what is put in.
type writer struct {
	b    strings.Builder
	next int
}

// begin writes everything before the first command.
func begin(sessionID, msgID, device, address string) *writer {
	w := &writer{}
	w.all(`<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>`, escape(sessionID), `</SessionID><MsgID>`, escape(msgID),
		`</MsgID><Target><LocURI>`, escape(device), `</LocURI></Target><Source><LocURI>`, escape(address), `</LocURI></Source></SyncHdr><SyncBody>`)
	return w
}

// all writes parts that are ready to be written.
func (w *writer) all(parts ...string) {
	for _, p := range parts {
		w.b.WriteString(p)
	}
}

func (w *writer) id() string {
	w.next++
	return strconv.Itoa(w.next)
}

// status answers one command of the device; ref "0" is its header.
func (w *writer) status(msgRef, ref, cmd, code string) {
	w.all(`<Status><CmdID>`, w.id(), `</CmdID><MsgRef>`, escape(msgRef), `</MsgRef><CmdRef>`, escape(ref), `</CmdRef><Cmd>`, escape(cmd), `</Cmd><Data>`, escape(code), `</Data></Status>`)
}

// more asks for the rest of what the device has to say (Alert 1222).
func (w *writer) more() {
	w.b.WriteString(`<Alert><CmdID>` + w.id() + `</CmdID><Data>1222</Data></Alert>`)
}

// command writes one command and those inside it, and gives them their ids.
func (w *writer) command(c *command) {
	c.ID = w.id()
	w.b.WriteString("<" + c.Verb + "><CmdID>" + c.ID + "</CmdID>")
	if c.Verb == verbAtomic {
		for i := range c.Kids {
			w.command(&c.Kids[i])
		}
	} else {
		w.b.WriteString("<Item><Target><LocURI>" + escape(c.URI) + "</LocURI></Target>")
		if c.Format != "" {
			w.b.WriteString(`<Meta><Format xmlns="syncml:metinf">` + c.Format + `</Format><Type xmlns="syncml:metinf">text/plain</Type></Meta>`)
			if c.Format != "null" {
				w.b.WriteString("<Data>" + escape(c.Data) + "</Data>")
			}
		}
		w.b.WriteString("</Item>")
	}
	w.b.WriteString("</" + c.Verb + ">")
}

// end writes Final, which is always the last element.
func (w *writer) end() []byte {
	w.b.WriteString("<Final/></SyncBody></SyncML>")
	return []byte(w.b.String())
}
