package fleet

import (
	"context"
	"errors"

	"muster/store"
)

// Devices that a service manages on our behalf: Android is spoken to through Google. Such a device never calls us and has no certificate of
// ours. Its identity is the name that the service gave it, bound to one enrolment; the platform package, which alone speaks to the service, holds
// the device's part of every exchange.

// IdentifyService says which enrolment a service's name for a device stands for. Errors as of Identify: ErrNoRecord for a name that nobody
// enrolled under, ErrUnrecognized when its enrolment has ended.
func (f *Fleet) IdentifyService(ctx context.Context, name string) (*Identity, error) {
	if name == "" {
		return nil, ErrNoRecord
	}
	return viewed(ctx, f, func(tx store.Tx) (*Identity, error) {
		var last *Enrolment
		var live *Identity
		err := enrolments.Each(tx, store.Query{Index: "service", Value: name}, func(e *Enrolment) (bool, error) {
			last = e
			if e.Ended != nil || e.Device == "" {
				return true, nil
			}
			live = &Identity{Enrolment: e.ID, Device: e.Device}
			return false, nil
		})
		switch {
		case err != nil:
			return nil, err
		case live != nil:
			return live, nil
		case last != nil:
			return nil, ErrUnrecognized
		}
		return nil, ErrNoRecord
	})
}

// oneService refuses a name that stands for another enrolment already: the caller is about to store e under it.
func oneService(tx store.Tx, e *Enrolment) error {
	if len(e.Service) > 300 {
		return Refuse(ErrInvalid, "enrol.message")
	}
	return enrolments.Each(tx, store.Query{Index: "service", Value: e.Service}, func(x *Enrolment) (bool, error) {
		if x.ID != e.ID && x.Ended == nil {
			return false, Refuse(ErrIdentity, "enrol.other-hardware")
		}
		return true, nil
	})
}

// Beforehand is what is wanted of a device that has not come yet: a service wants to know it before the device enrols.
type Beforehand struct {
	Enrolment *Enrolment
	Device    *Device    // as it will be, without id
	Person    *Person    // nil without one; shared, not to be changed
	Profiles  []*Profile // in the order of delivery; shared, not to be changed
	Frame     *Frame
}

// WantedBeforehand says what is wanted of the device of an enrolment. A device that has enrolled is asked about like any other: ErrConflict.
func (f *Fleet) WantedBeforehand(ctx context.Context, id EnrolmentID) (*Beforehand, error) {
	return viewed(ctx, f, func(tx store.Tx) (*Beforehand, error) {
		e, err := enrolments.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			return nil, ErrNoRecord
		}
		if err != nil {
			return nil, err
		}
		switch {
		case e.Ended != nil:
			return nil, Refuse(ErrGone, "enrol.ended")
		case e.Device != "":
			return nil, Refuse(ErrConflict, "ticket.enrolled")
		}
		d := &Device{Enrolment: e.ID, Person: e.Person, Platform: e.Platform, Mode: e.Mode, Ownership: e.Ownership, Tags: e.Tags,
			Switches: e.Switches, State: Enrolling}
		out := &Beforehand{Enrolment: e, Device: d}
		if out.Frame, err = f.frame(tx, d); err != nil {
			return nil, err
		}
		if e.Person != "" {
			if out.Person, err = people.Get(tx, string(e.Person)); err != nil {
				return nil, notFound(err, "person")
			}
		}
		wanted, _, err := f.wanted(tx, d, out.Person)
		if err != nil {
			return nil, err
		}
		for _, p := range wanted {
			if p, err = f.unsealed(p); err != nil {
				return nil, err
			}
			out.Profiles = append(out.Profiles, p)
		}
		return out, nil
	})
}

// permitted are all facts that may be taken from a device.
func permitted(s *Settings, d *Device) []FactKey {
	on := switchesFor(s, d.Switches, d.Ownership)
	var out []FactKey
	for _, r := range register {
		if Allowed(r.Key, d.Target(), on) {
			out = append(out, r.Key)
		}
	}
	return out
}

// StateOfEnrolment says how an enrolment stands: its record, and its device where there is one under it; ErrNoRecord when nobody knows of it.
func (f *Fleet) StateOfEnrolment(ctx context.Context, id EnrolmentID) (*Enrolment, *Device, error) {
	var e *Enrolment
	var d *Device
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		e, err = enrolments.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoRecord
		}
		if err != nil || e.Device == "" {
			return err
		}
		d, err = devices.Get(tx, string(e.Device))
		if errors.Is(err, store.ErrNotFound) || err == nil && d.Enrolment != id {
			d, err = nil, nil
		}
		return err
	})
	return e, d, err
}

// RefuseEnrolment ends an enrolment whose device was not let in, with a line in the log that says why. It is no error when it has ended already.
func (f *Fleet) RefuseEnrolment(ctx context.Context, id EnrolmentID, why Reason) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		e, err := enrolments.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			return ErrNoRecord
		}
		if err != nil {
			return err
		}
		if err := f.record(tx, Job("enrolment"), "refuse-enrolment", "enrolment/"+string(id), "", e.Tags, nil, why); err != nil {
			return err
		}
		if e.Ended != nil || e.Device != "" {
			return nil
		}
		now := f.now().UTC()
		e.Ended, e.EndReason = &now, "refused"
		return enrolments.Put(tx, e)
	})
}

// RemovesWhole is met by platforms on which ending a device's management takes away at one stroke all that was delivered: a retire of such
// a device asks for nothing else.
type RemovesWhole interface {
	RemovesWhole(d *Device) bool
}

// TellsGaps is met by platforms that know why a fact cannot be had of a device.
type TellsGaps interface {
	Gaps(d *Device, facts map[FactKey]Fact) map[FactKey]Reason
}

// FactGap is a fact that the register allows and that this device cannot give.
type FactGap struct {
	Key    FactKey `json:"key"`
	Reason Reason  `json:"reason,omitzero"`
}

// FactGaps says of the facts that a device did not tell why they cannot be had, in the order of the register: "not available", with the
// reason, is something else than "not told yet".
func (f *Fleet) FactGaps(ctx context.Context, a Actor, id DeviceID) ([]FactGap, error) {
	return viewed(ctx, f, func(tx store.Tx) ([]FactGap, error) {
		d, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return nil, err
		}
		m, ok := f.modules[d.Platform].(TellsGaps)
		if !ok {
			return nil, nil
		}
		sheet, err := factsOf(tx, id)
		if err != nil {
			return nil, err
		}
		gaps := m.Gaps(d, sheet.Facts)
		var out []FactGap
		for _, r := range register {
			reason, gap := gaps[r.Key]
			if _, told := sheet.Facts[r.Key]; gap && !told {
				out = append(out, FactGap{Key: r.Key, Reason: reason})
			}
		}
		return out, nil
	})
}
