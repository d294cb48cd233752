package windows

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// personChannel is the channel of the person who enrolled: ./User, to be spoken to while they are signed in.
const personChannel fleet.Channel = "user:enrolled"

const (
	replayFor       = 5 * time.Minute // a repeated message gets the same answer for this long
	messagesMost    = 200             // of one session; then the rest waits for the next
	unrenderableMax = 16              // orders that cannot become commands, passed over in one message
)

// Alerts of devices (OMA DM 1.2, MS-MDM).
const (
	alertNext    = "1222"
	alertAbort   = "1223"
	alertClient  = "1224"
	alertGeneric = "1226"
)

// session deals with one message: answers what the device says, hears what it says to our commands, and hands out what is wanted next.
func (w *Windows) session(ctx context.Context, c fleet.Contact, m *message, body []byte) ([]byte, error) {
	e := c.Identity.Enrolment
	unlock, err := w.locks.Lock(ctx, string(e))
	if err != nil {
		return nil, err
	}
	defer unlock()
	st, epoch := w.rest.get(e)
	if st == nil {
		if err := w.db.View(ctx, func(tx store.Tx) (err error) {
			st, err = w.sessionOf(tx, e)
			return err
		}); err != nil {
			return nil, err
		}
	}
	if err := w.belongs(ctx, st, c.Identity, m.source); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(body)
	if len(st.Reply) > 0 && st.ID == m.session && st.Msg == m.msg && bytes.Equal(st.Digest, digest[:]) && c.At.Sub(st.At) < replayFor {
		return st.Reply, nil
	}
	rested, was := st.ID == "", *st
	t := &turn{w: w, c: c, m: m, st: st, begun: st.ID == "" || st.ID != m.session || m.msg == "1"}
	if t.begun {
		st.over()
	}
	out, err := t.take(ctx)
	if err != nil {
		return nil, err
	}
	if t.left {
		defer w.rest.forget(e)
		return out, w.db.Update(ctx, func(tx store.Tx) error { return forget(tx, e) })
	}
	if t.asks {
		st.ID, st.Msg, st.Digest, st.Reply, st.At = m.session, m.msg, digest[:], out, c.At.UTC()
		w.rest.drop(e)
	} else {
		st.over()
		if rested && st.sameRest(&was) { // a device with nothing to do costs no write
			w.rest.put(st, epoch)
			return out, nil
		}
	}
	if err := w.db.Update(ctx, func(tx store.Tx) error { return keepSession(tx, w.db.Sealer(), st) }); err != nil {
		w.rest.drop(e)
		return nil, err
	}
	w.rest.put(st, epoch)
	return out, nil
}

// belongs says whether the device that a message names is the one that its identity was given to.
func (w *Windows) belongs(ctx context.Context, st *session, id fleet.Identity, source string) error {
	if id.Device == "" {
		return bad("session before enrolment", nil)
	}
	if st.Hardware == "" { // the record is of an older backup
		d, err := w.fleet.Device(ctx, fleet.Job("windows"), id.Device)
		if err != nil {
			return err
		}
		st.Hardware, _, _ = strings.Cut(d.Hardware, "#")
	}
	if !strings.EqualFold(source, st.Hardware) {
		return fleet.ErrIdentity
	}
	return nil
}

// turn is one message being dealt with.
type turn struct {
	w     *Windows
	c     fleet.Contact
	m     *message
	st    *session
	out   *writer
	begun bool // the first message of a session
	asks  bool // our answer holds commands, so the session goes on
	left  bool // the enrolment has ended

	answered fleet.Channel // of the order that was answered
	settled  bool          // the poll schedule was just repeated
	goesOn   bool          // the device asks for our next message (Alert 1222): what it has to say is not all said
	asked    bool          // its push channel was just asked
}

func (t *turn) take(ctx context.Context) ([]byte, error) {
	s, err := t.w.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	t.out = begin(t.m.session, t.m.msg, t.m.source, deviceURL(s)+SessionPath)
	aborted, leaving := t.statuses()
	if leaving {
		t.left = true
		return t.out.end(), t.w.fleet.Leave(ctx, t.on(fleet.DeviceChannel))
	}
	if err := t.reach(ctx); err != nil {
		return nil, err
	}
	if aborted {
		return t.out.end(), nil
	}
	ans, wait, err := t.hear(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case wait:
		t.out.more()
		t.asks = true
	case t.st.Job == nil:
		if err := t.plan(ctx, ans); err != nil {
			return nil, err
		}
	}
	if t.st.Job != nil && !wait {
		if t.st.Count++; t.st.Count > messagesMost {
			t.w.log.Warn("session ended by its length", "device", t.c.Identity.Device)
			return t.out.end(), nil
		}
		t.st.Job.write(t.out, t.m.maxSize)
		t.st.Job.In = t.m.msg
		t.asks = true
	}
	return t.out.end(), nil
}

// on is the contact on a channel.
func (t *turn) on(ch fleet.Channel) fleet.Contact {
	c := t.c
	c.Channel = ch
	return c
}

// statuses answers the header and each command of the device, and takes in its alerts.
func (t *turn) statuses() (aborted, leaving bool) {
	t.out.status(t.m.msg, "0", "SyncHdr", "212")
	for _, in := range t.m.commands {
		if in.name == "Status" || in.name == "Results" {
			continue
		}
		if in.id != "" && len(in.id) <= 64 {
			t.out.status(t.m.msg, in.id, in.name, "200")
		}
		if in.name != "Alert" {
			continue
		}
		switch in.data {
		case alertNext:
			t.goesOn = true
		case alertAbort:
			aborted = true
			t.st.Job = nil
		case alertClient, alertGeneric:
			for _, i := range in.items {
				switch {
				case i.alertIs("com.microsoft/MDM/LoginStatus"):
					t.st.Login = oneOf(strings.TrimSpace(i.data), "user", "others", "none")
				case i.alertIs("com.microsoft.mdm.synctype"):
					t.st.Scope = oneOf(strings.TrimSpace(i.data), "user", "device")
				case i.alertIs("com.microsoft:mdm.unenrollment.userrequest"):
					leaving = true
				}
			}
		}
	}
	return aborted, leaving
}

// oneOf is s in lower case when it is among the words, else "".
func oneOf(s string, words ...string) string {
	s = strings.ToLower(s)
	if slices.Contains(words, s) {
		return s
	}
	return ""
}

// channels that can be spoken to now: the person's first, because the end of management comes over the device's.
func (t *turn) channels() []fleet.Channel {
	var out []fleet.Channel
	if t.person() {
		out = append(out, personChannel)
	}
	if t.st.Scope != "user" {
		out = append(out, fleet.DeviceChannel)
	}
	return out
}

// person says whether ./User can be spoken to.
func (t *turn) person() bool { return t.st.Login == "user" && t.st.Scope != "device" }

// reach tells fleet of channels that are there for the first time.
func (t *turn) reach(ctx context.Context) error {
	for _, ch := range []fleet.Channel{fleet.DeviceChannel, personChannel} {
		if slices.Contains(t.st.Reached, ch) || ch == personChannel && !t.person() {
			continue
		}
		if _, err := t.w.fleet.Reach(ctx, t.on(ch), nil); err != nil {
			return err
		}
		t.st.Reached = append(t.st.Reached, ch)
	}
	return nil
}

// hear takes in what the device says to the commands under way. wait: it has more to say. ans is the answer to the order when that is done.
func (t *turn) hear(ctx context.Context) (ans *fleet.Answer, wait bool, err error) {
	j := t.st.Job
	if j == nil {
		return nil, false, nil
	}
	told := j.take(t.m, cmp.Or(j.In, t.st.Msg))
	last := t.m.final && !t.goesOn
	if !j.settled(last) {
		if (told || t.goesOn) && !last {
			return nil, true, nil
		}
		if j.Step != fleet.StepUnenrol {
			t.w.log.Info("commands without answer", "device", t.c.Identity.Device, "step", j.Step)
		}
		t.st.Job = nil // fleet has it handed over, and hands it over again or says that nobody knows
		return nil, false, nil
	}
	if j.next() {
		return nil, false, nil
	}
	ans, more, err := t.w.finish(ctx, t, j)
	if err != nil {
		return nil, false, err
	}
	if more != nil { // what was learnt asks for another batch
		j.Batches = append(j.Batches, *more)
		j.At, j.From, j.To = len(j.Batches)-1, 0, 0
		return nil, false, nil
	}
	t.st.Job, t.answered = nil, j.Channel
	switch {
	case j.Push != "":
		if err := t.channelTold(ctx, j); err != nil {
			return nil, false, err
		}
		t.asked = true
	case j.Order == "":
		t.st.Settled, t.settled = true, true
	}
	return ans, false, nil
}

// plan has fleet take an answer, if there is one, and hand out the next order on any channel that can be spoken to.
func (t *turn) plan(ctx context.Context, ans *fleet.Answer) error {
	if !t.st.Settled && ans == nil && t.st.Scope != "user" {
		t.st.Job = settle()
		return nil
	}
	if ans == nil && !t.asked && (t.begun || t.settled) {
		j, err := t.pushJob(ctx)
		if err != nil || j != nil {
			t.st.Job = j
			return err
		}
	}
	list := t.channels()
	if ans != nil {
		first := t.answered
		list = append([]fleet.Channel{first}, slices.DeleteFunc(list, func(c fleet.Channel) bool { return c == first })...)
	}
	done := false
	for _, ch := range list {
		c := t.on(ch)
		c.NewRun = t.begun
		for range unrenderableMax {
			o, err := t.w.fleet.Exchange(ctx, c, ans)
			if done && ans == nil && errors.Is(err, fleet.ErrUnrecognized) {
				t.left = true // the answer just given was the end
				return nil
			}
			if err != nil {
				return err
			}
			done = done || ans != nil
			ans, c.NewRun = nil, false
			if o == nil {
				break
			}
			j, err := t.w.jobFor(ctx, t, ch, o)
			if err == nil {
				t.st.Job = j
				return nil
			}
			var cannot *unrenderable
			if !errors.As(err, &cannot) {
				return err
			}
			if cannot.outcome != fleet.Postponed {
				t.w.log.Error("order cannot be rendered", "device", o.Device.ID, "order", o.ID, "step", o.Step.Kind, "reason", cannot.reason.Code, "err", cannot.cause)
			}
			ans = &fleet.Answer{Order: o.ID, Outcome: cannot.outcome, Reason: cannot.reason, Unfit: cannot.unfit}
		}
		ans = nil
	}
	return nil
}

// settle repeats the poll schedule, which a PC may have corrected.
func settle() *job {
	base := "./Device/Vendor/MSFT/DMClient/Provider/" + providerID + "/Poll/"
	var list []command
	for _, n := range [][2]string{
		{"IntervalForFirstSetOfRetries", pollMinutes}, {"NumberOfFirstRetries", "0"},
		{"IntervalForSecondSetOfRetries", "0"}, {"NumberOfSecondRetries", "0"},
		{"IntervalForRemainingScheduledRetries", "0"}, {"NumberOfRemainingScheduledRetries", "0"},
	} {
		list = append(list, set(verbReplace, base+n[0], "int", n[1]))
	}
	list = append(list, set(verbReplace, base+"PollOnLogin", "bool", "true"))
	return &job{Channel: fleet.DeviceChannel, Batches: []batch{{Commands: list}}}
}
