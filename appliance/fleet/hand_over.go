package fleet

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/pki"
	"muster/store"
)

// challengeLife is how long a device may take to fetch a certificate after an order was handed to it.
const challengeLife = 24 * time.Hour

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
	o := &Order{ID: rec.ID, Step: step, Device: s.device, Person: s.person, Frame: s.frame}
	if err := f.fill(tx, x, rec, o, again); err != nil {
		return err
	}
	if err := f.planner.orders.Put(tx, rec); err != nil {
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
			p := s.config.profile(id)
			if p == nil { // deleted meanwhile: a removal goes by the unit's key
				continue
			}
			if o.Step.Kind == StepInstall {
				var err error
				if p, err = f.unsealed(p); err != nil {
					return err
				}
			}
			o.Profiles = append(o.Profiles, p)
			for _, id := range s.config.refs[p.ID] {
				if ref := s.config.profile(id); ref != nil && !slices.Contains(o.Step.Unit.Profiles, id) {
					if o.Refs == nil {
						o.Refs = map[ProfileID]*Profile{}
					}
					o.Refs[id] = ref
				}
			}
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
	if a.Once && a.lifecycle() {
		end := s.now.Add(wipeAnswers)
		a.Expires = &end
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
		b, err := accessBinding(p, s, x.c.Channel)
		if err != nil {
			return err
		}
		if p.packed(s.device.Platform) {
			if err := f.pack(tx, s, o, p, b); err != nil {
				return err
			}
		} else {
			secret, err := f.pki.NewChallenge(tx, b, challengeLife)
			if err != nil {
				return fmt.Errorf("challenge for profile %s: %w", p.ID, err)
			}
			if o.Secrets == nil {
				o.Secrets = map[ProfileID]string{}
			}
			o.Secrets[p.ID] = secret
		}
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
