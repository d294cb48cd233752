package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"muster/store"
)

// errWrites says that an exchange cannot be had by reading alone.
var errWrites = errors.New("fleet: exchange has something to write")

// idleFor is how long it is taken for granted that nothing is to be done: settings, which change when facts are asked, have no generation.
const idleFor = 10 * time.Minute

// exchange is one message of a device being dealt with.
type exchange struct {
	c      Contact
	ans    *Answer
	s      *situation
	rows   bool // status rows may have changed
	device *Device
	order  *Order
	acted  bool      // an action was answered
	next   time.Time // when something becomes due on this channel by itself
}

// Exchange takes a device's answer (nil when it only calls) and hands out the next order (nil: nothing to do), in one
// transaction. An answer to an unknown or foreign order is logged and ignored. A device with nothing to do costs no write.
func (f *Fleet) Exchange(ctx context.Context, c Contact, ans *Answer) (order *Order, err error) {
	defer func() { f.tallies.exchanged(order, err) }()
	c = f.contact(c)
	d, e := c.Identity.Device, c.Identity.Enrolment
	if d == "" || e == "" {
		return nil, ErrNoRecord
	}
	unlock, err := f.planner.locks.Lock(ctx, lockKey(c))
	if err != nil {
		return nil, err
	}
	defer unlock()
	gen := f.gen.Load()
	epoch, busy := f.planner.idle.epoch(d)
	if ans == nil && !busy && !c.News {
		if f.planner.idle.holds(e, d, c.Channel, gen, f.now()) {
			f.planner.touches.note(d, e, c.heard(), c.From)
			return nil, nil
		}
		x := &exchange{c: c}
		err := f.db.View(ctx, func(tx store.Tx) error { return f.exchange(tx, x) })
		if err == nil {
			f.planner.touches.note(d, e, c.heard(), c.From)
			until := f.now().Add(idleFor)
			if !x.next.IsZero() && x.next.Before(until) {
				until = x.next
			}
			if !x.postponed() && !x.s.wasReset() { // what was put off is offered again in the next run
				f.planner.idle.remember(d, c.Channel, idleEntry{enrolment: e, gen: gen, until: until}, epoch)
			}
			return nil, nil
		}
		if !errors.Is(err, errWrites) {
			return nil, err
		}
	}
	var x *exchange
	if err := f.keyAhead(); err != nil {
		return nil, err
	}
	err = f.db.Update(ctx, func(tx store.Tx) error {
		x = &exchange{c: c, ans: ans}
		return f.exchange(tx, x)
	})
	if err != nil {
		return nil, err
	}
	f.planner.touches.note(d, e, c.heard(), c.From)
	return x.order, nil
}

// postponed says whether the device put off something in this run.
func (x *exchange) postponed() bool {
	ch := x.s.rep.Channels[x.c.Channel]
	return ch != nil && len(ch.Skipped) > 0
}

// exchange deals with one message inside a transaction; in a reading one it returns errWrites as soon as it would have to write.
func (f *Fleet) exchange(tx store.Tx, x *exchange) error {
	s, err := f.situationOf(tx, x.c.Identity, x.ans == nil)
	if err != nil {
		return err
	}
	x.s, x.device = s, s.device
	if !slices.Contains(s.device.Channels, x.c.Channel) {
		return nil // not reached yet: nothing is handed out
	}
	ch := s.rep.channel(x.c.Channel)
	if s.rep.Identity.Fingerprint != x.c.Identity.Fingerprint && x.c.Identity.Fingerprint != "" {
		if !tx.Writable() {
			return errWrites
		}
		if _, err := f.noteIdentity(tx, s.device, s.rep, x.c.Identity.Fingerprint); err != nil {
			return err
		}
	}
	if x.c.NewRun {
		ch.Skipped = nil
		s.askAfterReset()
	}
	if x.c.News && s.device.State == Managed {
		for _, q := range s.queries {
			ch.query(q).Wanted = true
		}
	}
	if x.ans != nil {
		ended, err := f.answer(tx, x)
		if err != nil || ended {
			return err
		}
	}
	if err := f.lostOnce(tx, x, ch); err != nil {
		return err
	}
	shown, err := f.notWiped(tx, x)
	if err != nil {
		return err
	}
	doubted, err := f.wipeDoubted(tx, x)
	if err != nil {
		return err
	}
	if err := f.replan(tx, x); err != nil {
		return err
	}
	diffs := plan(s)
	if x.c.Identity.Late && s.device.State == Managed {
		diffs = s.planIdentity()
	}
	if err := f.settleSync(tx, x); err != nil {
		return err
	}
	step := first(diffs, x.c.Channel)
	if step != nil {
		if !tx.Writable() {
			return errWrites
		}
		if err := f.handOver(tx, x, ch, step); err != nil {
			return err
		}
	} else if ch.InFlight != "" { // what was handed over is wanted no more
		ch.InFlight, ch.Doing = "", ""
	}
	if x.next = s.horizon(x.c.Channel, diffs); x.next.IsZero() {
		x.next = shown
		if shown.IsZero() {
			x.next = doubted
		}
	}
	return f.keepExchange(tx, x)
}

// replan composes anew after an answer: certificates, blocked profiles and open actions may have changed.
func (f *Fleet) replan(tx store.Tx, x *exchange) error {
	s := x.s
	if x.ans == nil {
		return nil
	}
	var err error
	if x.acted {
		if s.actions, err = s.rep.open(tx); err != nil {
			return err
		}
	}
	if s.device.State == Managed {
		if err := f.dueCertificates(tx, s); err != nil {
			return err
		}
		s.compose(f.modules[s.device.Platform])
	}
	return nil
}

// keepExchange writes what has changed: the report, the status rows and the wake.
func (f *Fleet) keepExchange(tx store.Tx, x *exchange) error {
	changed := x.ans != nil || x.order != nil
	if !changed {
		after, err := json.Marshal(x.s.rep)
		if err != nil {
			return err
		}
		changed = !bytes.Equal(x.s.read, after)
	}
	if changed {
		if !tx.Writable() {
			return errWrites
		}
		if err := f.planner.reports.Put(tx, x.s.rep); err != nil {
			return err
		}
		id := x.device.ID
		tx.OnCommit(func() { f.planner.idle.forget(id) })
	}
	if err := f.keepWake(tx, x); err != nil {
		return err
	}
	if x.rows {
		f.publish(tx, "device", string(x.device.ID))
		return f.keepRows(tx, x.s)
	}
	return nil
}

// keepWake leaves the channel's wake as it must be after this message: pushed again soon when an order was handed over and stays
// unanswered; else asleep until something becomes due by itself.
func (f *Fleet) keepWake(tx store.Tx, x *exchange) error {
	known := x.s.wakes[x.c.Channel]
	if known == nil {
		return nil
	}
	now, next := x.s.now, *known // known is shared
	w := &next
	if x.order != nil {
		if w.Open && w.Attempt > 0 && w.Due.After(now.Add(answerWithin/2)) {
			return nil
		}
		w.Open, w.Attempt, w.Due, w.Reason = true, 1, now.Add(answerWithin), "unanswered"
	} else {
		if !w.Open && w.Due.Equal(x.next) {
			return nil
		}
		if !w.Open && !w.Due.IsZero() && !x.next.IsZero() && w.Due.Before(x.next) && w.Due.After(now) && x.next.Sub(w.Due) < time.Minute {
			return nil
		}
		w.Open, w.Attempt, w.Due, w.Reason = false, 0, x.next, "due"
	}
	if !tx.Writable() {
		return errWrites
	}
	if err := wakes.Put(tx, w); err != nil {
		return err
	}
	due := w.Due
	tx.OnCommit(func() { f.rouse(due) })
	return nil
}

// lostOnce ends an action that may happen at most once and whose answer did not come with the device's next call: it may have happened,
// nobody knows, and it is not repeated.
func (f *Fleet) lostOnce(tx store.Tx, x *exchange, ch *channelReport) error {
	if ch.InFlight == "" {
		return nil
	}
	o, err := orders.Get(tx, string(ch.InFlight))
	if errors.Is(err, store.ErrNotFound) {
		ch.InFlight, ch.Doing = "", ""
		return nil
	}
	if err != nil {
		return err
	}
	if o.Step.Kind != StepAction || !o.Answered.IsZero() {
		return nil
	}
	a, err := actions.Get(tx, string(o.Step.Action))
	if err != nil || !a.Once || a.State != ActionSent {
		return ignoreAbsent(err)
	}
	if !tx.Writable() {
		return errWrites
	}
	ch.InFlight, ch.Doing = "", ""
	switch {
	case a.lifecycle():
		old := x.s.device.snapshot()
		if err := f.loseWipe(tx, x.s.device, x.s.rep, a); err != nil {
			return err
		}
		if err := f.saveDevice(tx, old, x.s.device); err != nil {
			return err
		}
	default:
		if err := f.endAction(tx, a, ActionUnknown, Why("action.unknown"), Evidence{}); err != nil {
			return err
		}
		if a.Type == ActWipe { // it may have taken everything: the lists say what is there
			wantLists(x.s.rep)
		}
	}
	x.s.actions = slices.DeleteFunc(x.s.actions, func(y *Action) bool { return y.ID == a.ID })
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// settleSync ends "sync now" once every query was asked after it was ordered.
func (f *Fleet) settleSync(tx store.Tx, x *exchange) error {
	s := x.s
	if s.device.State != Managed {
		return nil
	}
	for _, a := range s.actions {
		if a.Type != ActSync {
			continue
		}
		rep := s.rep.channel(DeviceChannel)
		var last Evidence
		open := false
		for _, q := range s.queries {
			seen := rep.Queries[q]
			if seen == nil || seen.Wanted {
				open = true
				break
			}
			if seen.At.After(last.At) {
				last = Evidence{Message: seen.Order, At: seen.At, What: "acknowledged"}
			}
		}
		if open {
			continue
		}
		if !tx.Writable() {
			return errWrites
		}
		if last.None() {
			last = Evidence{Message: x.c.Message, At: x.c.At, What: "contact"}
		}
		if err := f.endAction(tx, a, ActionDone, Why("action.done"), last); err != nil {
			return err
		}
	}
	return nil
}
