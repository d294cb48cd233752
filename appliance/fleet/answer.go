package fleet

import (
	"errors"
	"time"

	"muster/store"
)

// unitsMost bounds the units of a channel: a device may claim to hold any number.
const unitsMost = 50

// blockedFor is how long a profile that meets an existing account waits for its next try (B8).
const blockedFor = 24 * time.Hour

// answer takes in what a device says to an order. An answer that comes twice changes nothing. ended says that the enrolment came to its end.
func (f *Fleet) answer(tx store.Tx, x *exchange) (ended bool, err error) {
	s, ans := x.s, x.ans
	o, err := f.planner.orders.Take(tx, string(ans.Order))
	if errors.Is(err, store.ErrNotFound) || err == nil && (o.Device != s.device.ID || o.Enrolment != s.device.Enrolment || o.Channel != x.c.Channel) {
		f.log.Warn("answer to an order that is not this device's", "device", s.device.ID, "order", clip(string(ans.Order), 100), "channel", x.c.Channel)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !o.Answered.IsZero() {
		f.log.Info("answer came again", "device", s.device.ID, "order", o.ID)
		return false, nil
	}
	if ans.Outcome == Taken {
		return false, f.taken(tx, x, o)
	}
	o.Answered, o.Message, o.Outcome, o.Reason = s.now, x.c.Message, ans.Outcome, ans.Reason
	o.Reason.DeviceWords = clip(o.Reason.DeviceWords, 2000)
	ans.Reason.DeviceWords = o.Reason.DeviceWords
	if err := orders.Put(tx, o); err != nil {
		return false, err
	}
	ch := s.rep.channel(x.c.Channel)
	if ch.InFlight == o.ID {
		ch.InFlight, ch.Doing = "", ""
	}
	switch ans.Outcome {
	case Postponed:
		ch.skip(stepKey(o.Step))
	case Malformed:
		f.log.Error("device calls an order malformed", "device", s.device.ID, "order", o.ID, "step", stepKey(o.Step), "words", o.Reason.DeviceWords)
	}
	ev := Evidence{Message: string(o.ID), At: x.c.At, What: "acknowledged"}
	switch o.Step.Kind {
	case StepInstall:
		x.rows = true
		return false, f.answerInstall(tx, x, o, ch, ev)
	case StepRemove:
		x.rows = true
		return false, f.answerRemove(tx, x, o, ch, ev)
	case StepQuery:
		if len(ans.Later) > 0 { // nothing would have changed by asking at once
			ch.skip(stepKey(o.Step))
		}
		return false, f.answerQuery(tx, x, o, ch, ev)
	case StepAction:
		x.acted = true
		return f.answerAction(tx, x, o, ev)
	case StepRenew:
		switch ans.Outcome {
		case Done: // the new identity has still to be seen
			s.rep.Renewal = &failure{Reason: Why("waiting.identity-use"), At: ev.At, Next: ev.At.Add(24 * time.Hour), Message: ev.Message}
		case Postponed:
		default:
			s.rep.Renewal = failed(s.rep.Renewal, "", ans.Reason, ev, false) // a renewal is a standing wish: its tries never end
			return false, f.event(tx, s.device.ID, Reason{Code: "event.renewal-failed", DeviceWords: ans.Reason.DeviceWords}, ev, "")
		}
		return false, nil
	case StepUnenrol:
		return f.answerUnenrol(tx, x, ev)
	}
	return false, nil
}

// taken notes that a service holds an order for the device: it stays open under its id, and waits for the next run.
func (f *Fleet) taken(tx store.Tx, x *exchange, o *orderRecord) error {
	if err := f.planner.orders.Put(tx, o); err != nil {
		return err
	}
	x.s.rep.channel(x.c.Channel).skip(takenKey(o.Step))
	if o.Step.Kind != StepAction {
		return nil
	}
	a, err := actions.Get(tx, string(o.Step.Action))
	if err != nil || a.State != ActionSent {
		return ignoreAbsent(err)
	}
	x.acted = true
	a.State = ActionAcknowledged
	f.publish(tx, "action", string(a.ID))
	return actions.Put(tx, a)
}

// answerAction ends an action, or has a wipe tried again. ended says that the enrolment came to its end.
func (f *Fleet) answerAction(tx store.Tx, x *exchange, o *orderRecord, ev Evidence) (ended bool, err error) {
	s, ans := x.s, x.ans
	a, err := actions.Get(tx, string(o.Step.Action))
	if err != nil {
		return false, ignoreAbsent(err)
	}
	switch a.State {
	case ActionQueued, ActionSent, ActionAcknowledged:
	case ActionUnknown, ActionExpired: // the answer came late, and it is the truth
		if ans.Outcome == Done && s.isTarget(a) {
			return true, f.end(tx, s.device, s.rep, evProved, ev, deviceActor(s.device, x.c.From))
		}
		if ans.Outcome == Done {
			return false, f.endAction(tx, a, ActionDone, s.takeReply(a, ans, ev), ev)
		}
		return false, nil
	default:
		return false, nil
	}
	target := s.isTarget(a)
	switch ans.Outcome {
	case Postponed:
		a.requeue()
		return false, actions.Put(tx, a)
	case Done:
		if target {
			if s.rep.Removal != nil {
				s.rep.Removal.Handed = true
			}
			return true, f.end(tx, s.device, s.rep, evProved, ev, deviceActor(s.device, x.c.From))
		}
		if a.Type == ActWipe {
			s.rep.erased(ev.At)
			x.rows = true
		}
		return false, f.endAction(tx, a, ActionDone, s.takeReply(a, ans, ev), ev)
	}
	r := ans.Reason
	if ans.Outcome == Malformed {
		r = Reason{Code: "fault.malformed", DeviceWords: r.DeviceWords}
	}
	if !target {
		return false, f.endAction(tx, a, ActionFailed, r, ev)
	}
	// A wipe that was refused is tried again later: the refusal shows that it did not happen.
	if s.rep.Tries == nil {
		s.rep.Tries = map[ActionID]*failure{}
	}
	s.rep.Tries[a.ID] = failed(s.rep.Tries[a.ID], "", r, ev, ans.Outcome == Malformed)
	a.requeue()
	a.Reason = r
	if ans.Outcome == Failed {
		if x.rows, err = f.doubtWipe(tx, s, a, r); err != nil {
			return false, err
		}
	}
	if err := actions.Put(tx, a); err != nil {
		return false, err
	}
	f.publish(tx, "action", string(a.ID))
	if rm := s.rep.Removal; rm != nil {
		rm.Handed = false
		rm.Unenrol = s.rep.Tries[a.ID]
	}
	if err := f.updateReceipt(tx, s.rep); err != nil {
		return false, err
	}
	return false, f.event(tx, s.device.ID, Reason{Code: "event.action-failed", Args: map[string]string{"action": string(a.Type)}, DeviceWords: r.DeviceWords}, ev, "")
}

// answerUnenrol takes in the last answer of a removal.
func (f *Fleet) answerUnenrol(tx store.Tx, x *exchange, ev Evidence) (ended bool, err error) {
	s, ans := x.s, x.ans
	r := s.rep.Removal
	switch ans.Outcome {
	case Done, Absent:
		if s.device.State != Retiring {
			return false, nil // called off meanwhile; it cannot be, once handed over
		}
		return true, f.end(tx, s.device, s.rep, evProved, ev, deviceActor(s.device, x.c.From))
	case Postponed:
		return false, nil
	}
	if r == nil {
		return false, nil
	}
	r.Unenrol = failed(r.Unenrol, "", ans.Reason, ev, false)
	if err := f.updateReceipt(tx, s.rep); err != nil {
		return false, err
	}
	return false, f.event(tx, s.device.ID, Reason{Code: "event.unenrol-failed", DeviceWords: ans.Reason.DeviceWords}, ev, "")
}
