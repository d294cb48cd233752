package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/pki"
	"muster/store"
)

// errWrites says that an exchange cannot be had by reading alone.
var errWrites = errors.New("fleet: exchange has something to write")

// challengeLife is how long a device may take to fetch a certificate after an order was handed to it.
const challengeLife = 24 * time.Hour

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
func (f *Fleet) Exchange(ctx context.Context, c Contact, ans *Answer) (*Order, error) {
	c = f.contact(c)
	d, e := c.Identity.Device, c.Identity.Enrolment
	if d == "" || e == "" {
		return nil, ErrNoRecord
	}
	unlock, err := f.planner.locks.lock(ctx, lockKey(c))
	if err != nil {
		return nil, err
	}
	defer unlock()
	gen := f.gen.Load()
	epoch, busy := f.planner.idle.epoch(d)
	if ans == nil && !busy {
		if f.planner.idle.holds(e, d, c.Channel, gen, f.now()) {
			f.planner.touches.note(d, e, c.At, c.From)
			return nil, nil
		}
		x := &exchange{c: c}
		err := f.db.View(ctx, func(tx store.Tx) error { return f.exchange(tx, x) })
		if err == nil {
			f.planner.touches.note(d, e, c.At, c.From)
			until := f.now().Add(idleFor)
			if !x.next.IsZero() && x.next.Before(until) {
				until = x.next
			}
			if !x.postponed() { // what was put off is offered again in the next run
				f.planner.idle.remember(d, c.Channel, idleEntry{enrolment: e, gen: gen, until: until}, epoch)
			}
			return nil, nil
		}
		if !errors.Is(err, errWrites) {
			return nil, err
		}
	}
	var x *exchange
	err = f.db.Update(ctx, func(tx store.Tx) error {
		x = &exchange{c: c, ans: ans}
		return f.exchange(tx, x)
	})
	if err != nil {
		return nil, err
	}
	f.planner.touches.note(d, e, c.At, c.From)
	return x.order, nil
}

// postponed says whether the device put off something in this run.
func (x *exchange) postponed() bool {
	ch := x.s.rep.Channels[x.c.Channel]
	return ch != nil && len(ch.Skipped) > 0
}

// exchange deals with one message inside a transaction; in a reading one it returns errWrites as soon as it would have to write.
func (f *Fleet) exchange(tx store.Tx, x *exchange) error {
	s, err := f.situationOf(tx, x.c.Identity.Device, x.c.Identity.Enrolment, x.ans == nil)
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
	if err := f.replan(tx, x); err != nil {
		return err
	}
	diffs := plan(s)
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
	x.next = s.horizon(x.c.Channel, diffs)
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
		s.units = s.compose(f.modules[s.device.Platform])
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
		if err := reports.Put(tx, x.s.rep); err != nil {
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
	w := x.s.wakes[x.c.Channel]
	if w == nil {
		return nil
	}
	now := x.s.now
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
	if err := f.endAction(tx, a, ActionUnknown, Why("action.unknown"), Evidence{}); err != nil {
		return err
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

// handOver makes a step an order, stored before it is returned. A step that was handed over and not answered keeps its order's id.
func (f *Fleet) handOver(tx store.Tx, x *exchange, ch *channelReport, diff *difference) error {
	s, now := x.s, x.s.now
	step := diff.Step
	var rec *orderRecord
	again := false
	if ch.InFlight != "" && ch.Doing == stepKey(step) {
		old, err := orders.Get(tx, string(ch.InFlight))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && old.Answered.IsZero() && sameVersion(old.Step, step) {
			rec, again = old, true
			rec.Again = now
		}
	}
	if rec == nil {
		rec = &orderRecord{ID: OrderID(store.NewID()), Device: s.device.ID, Enrolment: s.device.Enrolment, Channel: x.c.Channel, Step: step, Sent: now}
	}
	rec.Tries++
	o := &Order{ID: rec.ID, Step: step, Device: s.device, Person: s.person}
	if err := f.fill(tx, x, rec, o, again); err != nil {
		return err
	}
	if err := orders.Put(tx, rec); err != nil {
		return err
	}
	ch.InFlight, ch.Doing = rec.ID, stepKey(step)
	x.order = o
	return nil
}

// sameVersion says whether two steps of one key are the same in content.
func sameVersion(a, b Step) bool {
	if a.Unit == nil || b.Unit == nil {
		return a.Unit == b.Unit
	}
	return a.Unit.Version == b.Unit.Version
}

// fill adds to an order what its kind needs, and notes in the report that it is handed over.
func (f *Fleet) fill(tx store.Tx, x *exchange, rec *orderRecord, o *Order, again bool) error {
	s := x.s
	switch o.Step.Kind {
	case StepInstall, StepRemove:
		for _, id := range o.Step.Unit.Profiles {
			p, err := profiles.Get(tx, string(id))
			if errors.Is(err, store.ErrNotFound) {
				continue // deleted meanwhile: a removal goes by the unit's key
			}
			if err != nil {
				return err
			}
			o.Profiles = append(o.Profiles, p)
		}
		if o.Step.Kind == StepInstall {
			return f.fillInstall(tx, x, rec, o, again)
		}
		return f.begun(tx, s)
	case StepQuery:
		m := f.modules[s.device.Platform]
		o.Facts = s.permitted(m.FactsOf(o.Step.Query, s.device))
		o.ManagedOnly = s.device.Ownership != Corporate
		return f.begun(tx, s)
	case StepAction:
		return f.fillAction(tx, x, o)
	case StepRenew:
		b := pki.Binding{Purpose: pki.Management}
		if c, err := f.pki.Certificate(tx, s.rep.Identity.Fingerprint); err == nil {
			b = c.Binding
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		b.Enrolment, b.Device, b.Person = string(s.device.Enrolment), string(s.device.ID), string(s.device.Person)
		b.Generation = s.rep.Identity.Generation + 1
		if again {
			if err := f.pki.VoidChallenges(tx, string(s.device.Enrolment)); err != nil {
				return err
			}
		}
		var err error
		o.Renewal, err = f.pki.NewChallenge(tx, b, challengeLife)
		return err
	case StepUnenrol:
		if s.rep.Removal != nil {
			s.rep.Removal.Handed = true
		}
		return f.begun(tx, s)
	}
	return nil
}

// begun notes that the first step of a removal goes out: it can no longer be called off.
func (f *Fleet) begun(tx store.Tx, s *situation) error {
	if s.rep.Removal == nil || !s.device.State.leaving() {
		return nil
	}
	s.rep.Removal.Begun = true
	for _, a := range s.actions {
		if !s.isTarget(a) || a.State != ActionQueued || a.Type == ActWipe || s.device.State == Wiping {
			continue
		}
		if err := f.sent(tx, s, a); err != nil {
			return err
		}
	}
	return nil
}

// sent notes that an action goes out.
func (f *Fleet) sent(tx store.Tx, s *situation, a *Action) error {
	first := a.Sent == nil
	if first {
		now := s.now
		a.Sent = &now
	}
	a.State = ActionSent
	a.Tries++
	if err := actions.Put(tx, a); err != nil {
		return err
	}
	if !first {
		return nil
	}
	f.publish(tx, "action", string(a.ID))
	return f.event(tx, s.device.ID, Why("event.action-sent", "action", string(a.Type)), Evidence{}, "")
}

func (f *Fleet) fillInstall(tx store.Tx, x *exchange, rec *orderRecord, o *Order, again bool) error {
	s := x.s
	u := s.rep.channel(x.c.Channel).unit(*o.Step.Unit, &s.rep.Next)
	rec.Held = s.held(o.Step.Unit)
	u.Unit, u.Handed, u.Removed, u.NotRemoved = *o.Step.Unit, rec.Held, Evidence{}, nil
	voided := false
	for _, p := range o.Profiles {
		if p.Type != TypeIdentity {
			continue
		}
		if again && !voided {
			if err := f.pki.VoidChallenges(tx, string(s.device.Enrolment)); err != nil {
				return err
			}
			voided = true
		}
		b, err := accessBinding(p, s)
		if err != nil {
			return err
		}
		secret, err := f.pki.NewChallenge(tx, b, challengeLife)
		if err != nil {
			return fmt.Errorf("challenge for profile %s: %w", p.ID, err)
		}
		if o.Secrets == nil {
			o.Secrets = map[ProfileID]string{}
		}
		o.Secrets[p.ID] = secret
		if rec.Certs == nil {
			rec.Certs = map[ProfileID]int{}
		}
		rec.Certs[p.ID] = b.Generation
	}
	return nil
}

func (f *Fleet) fillAction(tx store.Tx, x *exchange, o *Order) error {
	s := x.s
	var a *Action
	for _, y := range s.actions {
		if y.ID == o.Step.Action {
			a = y
		}
	}
	if a == nil {
		return fmt.Errorf("planned action %s is not open", o.Step.Action)
	}
	if err := f.sent(tx, s, a); err != nil {
		return err
	}
	if s.rep.Removal != nil && s.isTarget(a) {
		s.rep.Removal.Begun, s.rep.Removal.Handed = true, true
	}
	o.Action = a
	if len(a.Secret) > 0 {
		pin, err := f.db.Sealer().Open(actions.Name(), string(a.ID), a.Secret)
		if err != nil {
			return fmt.Errorf("open PIN of action %s: %w", a.ID, err)
		}
		o.PIN = string(pin)
	}
	return nil
}
