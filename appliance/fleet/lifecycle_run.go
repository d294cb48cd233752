package fleet

import (
	"errors"
	"slices"
	"time"

	"muster/pki"
	"muster/store"
)

// tombstone says that an enrolment has ended with its removal done, or with its door closed.
type tombstone struct {
	Enrolment EnrolmentID `json:"enrolment"`
	Device    DeviceID    `json:"device"`
	Receipt   ReceiptID   `json:"receipt,omitempty"`
	At        time.Time   `json:"at"`
}

var tombstones = store.Define("tb", func(t *tombstone) string { return string(t.Enrolment) })

// passage is a device on its way from one state to the next.
type passage struct {
	device   *Device
	rep      *reported
	by       string   // who ordered it; empty: the device
	action   *Action  // the order behind it, if any
	evidence Evidence // what proves it, if anything
	reason   string   // of the end of the enrolment
	revoked  []pki.Certificate
}

// snapshot is a copy to compare with after a change.
func (d *Device) snapshot() *Device {
	c := *d
	c.Tags, c.Channels, c.Switches = slices.Clone(d.Tags), slices.Clone(d.Channels), slices.Clone(d.Switches)
	return &c
}

// saveDevice stores a device, keeps the counters, and drops what is remembered of it. old is nil for a new one.
func (f *Fleet) saveDevice(tx store.Tx, old, d *Device) error {
	d.Version++
	if err := devices.Put(tx, d); err != nil {
		return err
	}
	if err := countDevice(tx, old, d); err != nil {
		return err
	}
	f.touched(tx, d.ID)
	return nil
}

// touched drops what is remembered of a device once the caller's transaction is durable, and tells live pages.
func (f *Fleet) touched(tx store.Tx, id DeviceID) {
	tx.OnCommit(func() { f.planner.idle.forget(id) })
	f.publish(tx, "device", string(id))
}

// transit makes a transition with all that it brings. The caller stores nothing afterwards: device and report are written here.
func (f *Fleet) transit(tx store.Tx, p *passage, e lifecycleEvent) error {
	d := p.device
	old := d.snapshot()
	t, ok := lifecycleTable[d.State][e]
	if !ok {
		return Refuse(ErrConflict, "device.state", "state", string(d.State), "event", string(e))
	}
	if e == evLeave && d.State != Retiring || e == evReenrol && !d.State.ended() {
		if err := f.ensureReceipt(tx, p, e); err != nil {
			return err
		}
	}
	from := d.State
	for _, fx := range t.Effects {
		if err := f.take(tx, p, e, fx); err != nil {
			return err
		}
	}
	d.State = t.To
	if e == evCallOff && !slices.Contains(d.Channels, DeviceChannel) {
		d.State = Enrolling // it never reached us
	}
	if d.State != from {
		r := Why("event.state", "from", string(from), "to", string(d.State), "cause", string(e))
		if err := f.event(tx, d.ID, r, p.evidence, p.by); err != nil {
			return err
		}
	}
	if d.State.ended() {
		p.rep.settleWipe(d)
		if err := f.partTwins(tx, d); err != nil {
			return err
		}
	}
	if d.State.ended() && d.Hidden {
		return f.purge(tx, old, d)
	}
	if err := reports.Put(tx, p.rep); err != nil {
		return err
	}
	if err := f.saveDevice(tx, old, d); err != nil {
		return err
	}
	f.publish(tx, "overview", "")
	return f.refreshDeliveries(tx, d)
}

// take carries out one effect.
func (f *Fleet) take(tx store.Tx, p *passage, e lifecycleEvent, fx effect) error {
	d := p.device
	switch fx {
	case fxOvertake:
		return f.endActions(tx, p, e)
	case fxRevokeAccess:
		return f.revoke(tx, p, pki.Access, pki.ReasonPrivilegeWithdrawn)
	case fxRevokeAll:
		reason := pki.ReasonCessationOfOperation
		if e == evReenrol {
			reason = pki.ReasonSuperseded
		}
		if err := f.revoke(tx, p, "", reason); err != nil {
			return err
		}
		return f.pki.VoidChallenges(tx, string(d.Enrolment))
	case fxOpenReceipt:
		if err := f.openReceipt(tx, p, string(p.action.Type)); err != nil {
			return err
		}
		if len(p.rep.Removal.Units) > 0 {
			wantLists(p.rep) // also where every single removal is refused: the lists say what is there
		}
		return nil
	case fxCloseReceipt:
		return f.closeReceipt(tx, p, e)
	case fxTombstone:
		t := &tombstone{Enrolment: d.Enrolment, Device: d.ID, At: f.now().UTC()}
		if p.rep.Removal != nil {
			t.Receipt = p.rep.Removal.Receipt
		}
		if err := tombstones.Put(tx, t); err != nil {
			return err
		}
		if err := dropWakes(tx, d.ID); err != nil {
			return err
		}
		d.Channels = nil
		if err := f.dropSecrets(tx, d.Enrolment); err != nil {
			return err
		}
		return f.endEnrolment(tx, p, e)
	case fxEndEnrolment:
		if err := dropWakes(tx, d.ID); err != nil {
			return err
		}
		d.Channels = nil
		if err := f.dropSecrets(tx, d.Enrolment); err != nil {
			return err
		}
		return f.endEnrolment(tx, p, e)
	case fxFreshReport:
		*p.rep = reported{Device: d.ID, Enrolment: d.Enrolment}
	case fxForgetRemoval:
		p.rep.settleWipe(d)
		p.rep.Removal = nil
		for _, c := range p.rep.Channels {
			c.InFlight, c.Doing, c.Skipped = "", "", nil
			for _, u := range c.Units {
				u.NotRemoved = nil
			}
		}
	case fxWake:
		return f.wakeDevice(tx, d, string(e))
	}
	return nil
}

// revoke ends the certificates of a device's enrolment, of one purpose or of all, and remembers them for the receipt.
func (f *Fleet) revoke(tx store.Tx, p *passage, purpose pki.Purpose, reason int) error {
	one, err := f.pki.RevokeFor(tx, string(p.device.ID), purpose, reason)
	if err != nil {
		return err
	}
	two, err := f.pki.RevokeForEnrolment(tx, string(p.device.Enrolment), purpose, reason)
	if err != nil {
		return err
	}
	p.revoked = append(append(p.revoked, one...), two...)
	return nil
}

func (f *Fleet) endEnrolment(tx store.Tx, p *passage, e lifecycleEvent) error {
	en, err := enrolments.Get(tx, string(p.device.Enrolment))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now := f.now().UTC()
	if en.Ended == nil {
		en.Ended, en.EndReason = &now, p.reason
		if en.EndReason == "" {
			en.EndReason = map[lifecycleEvent]string{evProved: "removed", evLeave: "checked-out", evDoor: "door-closed", evReenrol: "overtaken"}[e]
		}
	}
	return enrolments.Put(tx, en)
}

// endActions ends the open actions that a transition puts an end to. The order behind the passage lives on when it is only beginning.
func (f *Fleet) endActions(tx store.Tx, p *passage, e lifecycleEvent) error {
	open, err := openActions(tx, p.device.ID)
	if err != nil {
		return err
	}
	for _, a := range open {
		if p.action != nil && a.ID == p.action.ID && (e == evRetire || e == evWipe) {
			continue
		}
		state, r := ActionOvertaken, Why("action.overtaken", "by", string(e))
		if a.lifecycle() {
			switch e {
			case evProved:
				state, r = ActionDone, Why("action.done")
			case evLeave:
				if p.device.State == Retiring {
					state, r = ActionDone, Why("action.done")
				}
			case evDoor:
				state, r = ActionFailed, Why("action.door-closed")
			}
		}
		if err := f.endAction(tx, a, state, r, p.evidence); err != nil {
			return err
		}
	}
	for _, c := range p.rep.Channels {
		c.InFlight, c.Doing, c.Skipped = "", "", nil
	}
	return nil
}

// isLifecycle says whether an action sets a lifecycle target.
func isLifecycle(t ActionType) bool { return t == ActRetire || t == ActWipe || t == ActDelete }

// endAction gives an action its last state.
func (f *Fleet) endAction(tx store.Tx, a *Action, s ActionState, r Reason, ev Evidence) error {
	now := f.now().UTC()
	a.State, a.Reason, a.Ended = s, r, &now
	if !ev.None() && (s == ActionDone || a.Evidence.None()) {
		a.Evidence = ev
	}
	if err := actions.Put(tx, a); err != nil {
		return err
	}
	f.publish(tx, "action", string(a.ID))
	return f.event(tx, a.Device, Reason{Code: "event.action-" + string(s), Args: map[string]string{"action": string(a.Type)}, DeviceWords: r.DeviceWords}, ev, "")
}

// purged is what the log keeps of a device that was purged: no name, no serial number, nothing that it told. Whose order it was and where the
// proof stands are what the record of a deletion is for.
type purged struct {
	Platform  Platform    `json:"platform"`
	Ownership Ownership   `json:"ownership"`
	Enrolment EnrolmentID `json:"enrolment"`
	State     State       `json:"state"`
	By        string      `json:"by,omitempty"`      // who ordered that it be deleted
	Receipt   ReceiptID   `json:"receipt,omitempty"` // of the removal
}

func purgedBy(tx store.Tx, d *Device) (purged, error) {
	out := purged{Platform: d.Platform, Ownership: d.Ownership, Enrolment: d.Enrolment, State: d.State}
	err := actions.Each(tx, store.Query{Index: "device", Value: string(d.ID), Reverse: true}, func(a *Action) (bool, error) {
		if a.Type != ActDelete {
			return true, nil
		}
		out.By = a.By
		return false, nil
	})
	if err != nil {
		return out, err
	}
	return out, receipts.Each(tx, store.Query{Index: "enrolment", Value: string(d.Enrolment), Reverse: true}, func(r *Receipt) (bool, error) {
		out.Receipt = r.ID
		return false, nil
	})
}

// linesMost bounds what one transaction deletes: no device comes near it.
const linesMost = 20_000

// purge takes a deleted device's record away for good (C6). Receipts, orders with their PINs, the tombstone and the log stay; into the log goes
// only that it was purged, not what it was.
func (f *Fleet) purge(tx store.Tx, old, d *Device) error {
	rows, err := f.deliveriesOf(tx, d.ID)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := f.dropDelivery(tx, d, r.Profile); err != nil {
			return err
		}
	}
	if err := dropWakes(tx, d.ID); err != nil {
		return err
	}
	for _, drop := range []func() error{
		func() error { return dropReplies(tx, d.ID) },
		func() error { return reports.Delete(tx, string(d.ID)) },
		func() error { return facts.Delete(tx, string(d.ID)) },
		func() error { return inventories.Delete(tx, string(d.ID)) },
		func() error { return networkHeard.Delete(tx, string(d.ID)) },
		func() error { return devices.Delete(tx, string(d.ID)) },
	} {
		if err := drop(); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	var lines []string
	if err := timeline.Each(tx, below(d.ID), func(e *Event) (bool, error) {
		lines = append(lines, e.ID)
		return len(lines) < linesMost, nil
	}); err != nil {
		return err
	}
	for _, id := range lines {
		if err := timeline.Delete(tx, id); err != nil {
			return err
		}
	}
	var member []string
	if err := memberships.Each(tx, store.Query{Index: "member", Value: string(d.ID)}, func(m *membership) (bool, error) {
		member = append(member, string(m.Group)+"."+m.Member)
		return true, nil
	}); err != nil {
		return err
	}
	for _, id := range member {
		if err := memberships.Delete(tx, id); err != nil {
			return err
		}
	}
	if err := countDevice(tx, old, nil); err != nil {
		return err
	}
	f.touched(tx, d.ID)
	f.publish(tx, "overview", "")
	why, err := purgedBy(tx, d)
	if err != nil {
		return err
	}
	return f.record(tx, Job("removal"), "delete", "device/"+string(d.ID), "", d.Tags, nil, why)
}
