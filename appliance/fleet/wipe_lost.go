package fleet

import (
	"errors"
	"strings"
	"time"

	"muster/store"
)

// A wipe that may happen at most once (Windows) is stored as sent before its bytes leave and is never repeated by itself. When no answer
// comes, one of three things is so: the PC is being erased and will never call again; it never got the order; or it could not carry it out.
// A call that comes some time afterwards tells that it was not erased; silence tells nothing. Both are for a person, who may order it again.

const (
	wipeAnswers = time.Hour       // after so long without answer nobody knows
	wipeStarts  = 5 * time.Minute // a PC that got the order may still call before it resets
)

// lostWipe is a wipe without an answer.
type lostWipe struct {
	Action  ActionID  `json:"action"`
	Sent    time.Time `json:"sent"`
	NotDone bool      `json:"not_done,omitempty"` // the device called since: it was not erased
}

const (
	codeWipeUnknown = "wipe.unknown"
	codeWipeNotDone = "wipe.not-done"
)

// loseWipe notes that the answer to a wipe did not come: the order ends as unknown, and the device asks for a person.
func (f *Fleet) loseWipe(tx store.Tx, d *Device, rep *reported, a *Action) error {
	if err := f.endAction(tx, a, ActionUnknown, Why(codeWipeUnknown), Evidence{}); err != nil {
		return err
	}
	if rep.Removal == nil {
		rep.Removal = &removalReport{}
	}
	sent := f.now()
	if a.Expires != nil {
		sent = a.Expires.Add(-wipeAnswers)
	}
	rep.Removal.Lost = &lostWipe{Action: a.ID, Sent: sent.UTC()}
	w := Why(codeWipeUnknown)
	d.Warning = &w
	return nil
}

// expireWipe does so when the time for an answer is over.
func (f *Fleet) expireWipe(tx store.Tx, a *Action) error {
	d, err := devices.Get(tx, string(a.Device))
	if err != nil {
		return ignoreAbsent(err)
	}
	if d.Enrolment != a.Enrolment || d.State != Wiping {
		return f.endAction(tx, a, ActionUnknown, Why(codeWipeUnknown), Evidence{})
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	old := d.snapshot()
	if err := f.loseWipe(tx, d, rep, a); err != nil {
		return err
	}
	if err := reports.Put(tx, rep); err != nil {
		return err
	}
	return f.saveDevice(tx, old, d)
}

// notWiped takes a device's call for what it shows: the wipe whose answer is missing did not happen. until is when a call will show it, zero
// when there is nothing to show.
func (f *Fleet) notWiped(tx store.Tx, x *exchange) (until time.Time, err error) {
	s := x.s
	if s.device.State != Wiping || s.rep.Removal == nil || s.rep.Removal.Lost == nil || s.rep.Removal.Lost.NotDone {
		return time.Time{}, nil
	}
	lost := s.rep.Removal.Lost
	if at := lost.Sent.Add(wipeStarts); s.now.Before(at) {
		return at, nil
	}
	if !tx.Writable() {
		return time.Time{}, errWrites
	}
	lost.NotDone = true
	s.rep.Removal.Handed = false
	a, err := actions.Get(tx, string(lost.Action))
	if err == nil {
		err = f.endAction(tx, a, ActionFailed, Why(codeWipeNotDone), Evidence{Message: x.c.Message, At: x.c.At, What: "contact"})
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return time.Time{}, err
	}
	return time.Time{}, f.warnOfWipe(tx, s.device, Why(codeWipeNotDone))
}

// warnOfWipe shows a warning on a device.
func (f *Fleet) warnOfWipe(tx store.Tx, d *Device, r Reason) error {
	old := d.snapshot()
	d.Warning = &r
	return f.saveDevice(tx, old, d)
}

// wipeAgain begins anew after a wipe that was lost.
func (r *reported) wipeAgain(d *Device) {
	if r.Removal != nil {
		r.Removal.Lost, r.Removal.Doubt, r.Removal.Handed, r.Removal.Unenrol = nil, nil, false, nil
	}
	if d.Warning != nil && strings.HasPrefix(d.Warning.Code, "wipe.") {
		d.Warning = nil
	}
}

// requeue has an order that was answered wait for its next try.
func (a *Action) requeue() {
	a.State = ActionQueued
	if a.Once && a.lifecycle() { // only an answer that is missing runs out
		a.Expires = nil
	}
}
