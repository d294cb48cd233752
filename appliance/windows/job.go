package windows

import (
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// job is an order on its way: commands in batches, each of which must have gone well before the next is sent. It is stored with the session.
type job struct {
	Order   fleet.OrderID   `json:"order,omitempty"` // "" = of our own: settle
	Channel fleet.Channel   `json:"channel"`
	Step    fleet.StepKind  `json:"step,omitempty"`
	Query   fleet.QueryKind `json:"query,omitempty"`
	Unit    string          `json:"unit,omitempty"`
	Facts   []fleet.FactKey `json:"facts,omitempty"`
	Push    string          `json:"push,omitempty"` // of our own: package family name, or pushOff
	Batches []batch         `json:"batches"`
	At      int             `json:"at"`
	From    int             `json:"from"`         // first command of the batch that is in the message under way
	To      int             `json:"to"`           // first that is not
	In      string          `json:"in,omitempty"` // MsgID of the message under way: what is said to it may take several
}

// batch is sent as one, as far as the device's message size allows.
type batch struct {
	Commands []command  `json:"commands"`
	If       *condition `json:"if,omitempty"` // nil = always
}

// condition looks at what an earlier batch brought: at the children that its first Get found, or at the answer to its first command.
type condition struct {
	Batch int    `json:"batch"`
	Names string `json:"names,omitempty"` // a child that the node has
	Code  int    `json:"code,omitempty"`  // the answer; then Names says nothing
	Not   bool   `json:"not,omitempty"`
}

// Bounds of one message of ours.
const (
	commandsMost = 50
	messageMost  = 400 << 10
)

// write puts the commands that are due into a message, as many as may be.
func (j *job) write(w *writer, most int) {
	if most <= 0 || most > messageMost {
		most = messageMost
	}
	list := j.Batches[j.At].Commands
	j.To = j.From
	for j.To < len(list) && j.To-j.From < commandsMost {
		mark, next := w.b.Len(), w.next
		probe := writer{next: w.next}
		probe.command(&list[j.To])
		if mark+probe.b.Len()+40 > most && j.To > j.From {
			w.next = next
			break
		}
		w.b.WriteString(probe.b.String())
		w.next = probe.next
		j.To++
	}
}

// sent are the commands of the message under way.
func (j *job) sent() []command { return j.Batches[j.At].Commands[j.From:j.To] }

// take notes what a message says to the commands under way; told says that it said anything.
func (j *job) take(m *message, msg string) (told bool) {
	byID := map[string]*command{}
	var index func(list []command)
	index = func(list []command) {
		for i := range list {
			byID[list[i].ID] = &list[i]
			index(list[i].Kids)
		}
	}
	index(j.sent())
	for _, in := range m.commands {
		if in.msgRef != "" && in.msgRef != msg {
			continue
		}
		c := byID[in.cmdRef]
		if c == nil || in.cmdRef == "" {
			continue
		}
		switch in.name {
		case "Status":
			if code, err := strconv.Atoi(in.data); err == nil && code > 0 && code < 1000 {
				c.Code, told = code, true
			}
		case "Results":
			if c.Verb != verbGet || len(in.items) == 0 {
				continue
			}
			v := strings.TrimSpace(in.items[0].data)
			c.Value, c.Kind, told = &v, strings.ToLower(in.items[0].format), true
			if c.Code == 0 {
				c.Code = 200
			}
		}
	}
	return told
}

// settled says whether all that is under way was answered. With last, a Get without its result has none.
func (j *job) settled(last bool) bool {
	list := j.sent()
	for i := range list {
		if c := &list[i]; !c.answered() {
			if last && c.Code != 0 {
				none := ""
				c.Value = &none
				continue
			}
			return false
		}
	}
	return true
}

// next goes on to what is to be sent after commands that were answered; false when the job is over, or when it failed and stops.
func (j *job) next() bool {
	list := j.sent()
	if j.Step != fleet.StepQuery && (j.Order != "" || j.Push != "") {
		for i := range list {
			if !list[i].good() {
				return false
			}
		}
	}
	j.From = j.To
	for j.From >= len(j.Batches[j.At].Commands) {
		if j.At+1 == len(j.Batches) {
			return false
		}
		j.At, j.From, j.To = j.At+1, 0, 0
		if c := j.Batches[j.At].If; c != nil && j.holds(c) == c.Not {
			j.From, j.To = len(j.Batches[j.At].Commands), len(j.Batches[j.At].Commands)
		}
	}
	return true
}

func (j *job) holds(c *condition) bool {
	if c.Code != 0 {
		list := j.Batches[c.Batch].Commands
		return len(list) > 0 && list[0].Code == c.Code
	}
	for _, x := range j.Batches[c.Batch].Commands {
		if x.Verb == verbGet && x.Value != nil {
			return slices.ContainsFunc(strings.Split(*x.Value, "/"), func(s string) bool { return strings.EqualFold(s, c.Names) })
		}
	}
	return false
}

// failed is the first command that did not go well, of an Atomic the child at fault; nil when all is well.
func (j *job) failed() *command {
	for b := range j.Batches {
		for i := range j.Batches[b].Commands {
			c := &j.Batches[b].Commands[i]
			if c.Code == 0 || c.good() {
				continue
			}
			for k := range c.Kids {
				if x := &c.Kids[k]; x.Code >= 400 && x.Code != 507 && x.Code != 516 {
					return x
				}
			}
			return c
		}
	}
	return nil
}

// each calls f for every top-level command that was answered.
func (j *job) each(f func(*command)) {
	for b := range j.Batches {
		for i := range j.Batches[b].Commands {
			if c := &j.Batches[b].Commands[i]; c.Code != 0 {
				f(c)
			}
		}
	}
}
