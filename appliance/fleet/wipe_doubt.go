package fleet

import (
	"time"

	"muster/store"
)

// A refused wipe that may have happened all the same (a Mac). The answer says that it was refused, and the device may go on to erase itself; nothing
// that it says tells which. Its next call shows that it was not erased, and the order is given again; while it is silent, the device shows what was
// answered and what can be done. Silence proves nothing: the door closes on it in the end, or an enrolment anew overtakes it.

// MayEraseRefusing is a Module some of whose devices refuse a wipe and may carry it out all the same.
type MayEraseRefusing interface {
	ErasesRefusing(d *Device, o ActionOptions) bool
}

const codeWipeDoubt = "wipe.refused-maybe-erased"

// doubtWipe shows such a refusal on the device. It says false where a refusal is no more than that.
func (f *Fleet) doubtWipe(tx store.Tx, s *situation, a *Action, r Reason) (bool, error) {
	m, ok := f.modules[s.device.Platform].(MayEraseRefusing)
	if !ok || s.device.State != Wiping || s.rep.Removal == nil || !m.ErasesRefusing(s.device, a.Options) {
		return false, nil
	}
	at := s.now
	s.rep.Removal.Doubt = &at
	a.Reason = Reason{Code: codeWipeDoubt, DeviceWords: r.DeviceWords}
	return true, f.warnOfWipe(tx, s.device, a.Reason)
}

// wipeDoubted takes a device's call for what it shows: it was not erased, and the order is refused like any other. until is when a call will show it,
// zero when there is nothing to show.
func (f *Fleet) wipeDoubted(tx store.Tx, x *exchange) (until time.Time, err error) {
	s := x.s
	if s.device.State != Wiping || s.rep.Removal == nil || s.rep.Removal.Doubt == nil {
		return time.Time{}, nil
	}
	if at := s.rep.Removal.Doubt.Add(wipeStarts); s.now.Before(at) {
		return at, nil
	}
	if !tx.Writable() {
		return time.Time{}, errWrites
	}
	old := s.device.snapshot()
	s.rep.settleWipe(s.device)
	for _, a := range s.actions {
		if t := s.rep.Tries[a.ID]; t != nil && a.Reason.Code == codeWipeDoubt {
			a.Reason = t.Reason
			if err := actions.Put(tx, a); err != nil {
				return time.Time{}, err
			}
			f.publish(tx, "action", string(a.ID))
		}
	}
	ev := Evidence{Message: x.c.Message, At: x.c.At, What: "contact"}
	if err := f.event(tx, s.device.ID, Why("event.wipe-not-erased"), ev, ""); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, f.saveDevice(tx, old, s.device)
}

// settleWipe takes the doubt, and what was said of it, off a device.
func (r *reported) settleWipe(d *Device) {
	if r.Removal != nil {
		r.Removal.Doubt = nil
	}
	if d.Warning != nil && d.Warning.Code == codeWipeDoubt {
		d.Warning = nil
	}
}
