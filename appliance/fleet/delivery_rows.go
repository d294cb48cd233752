package fleet

import (
	"slices"
	"time"

	"muster/store"
)

// refreshDeliveries derives the status rows of one device anew from what is wanted of it and what it reported.
func (f *Fleet) refreshDeliveries(tx store.Tx, d *Device) error {
	_, err := f.rederive(tx, d)
	return err
}

// rederive is refreshDeliveries, and gives the situation that the rows follow from; nil where no module serves the platform.
func (f *Fleet) rederive(tx store.Tx, d *Device) (*situation, error) {
	if f.modules[d.Platform] == nil {
		return nil, nil
	}
	s, err := f.situationFor(tx, d)
	if err != nil {
		return nil, err
	}
	return s, f.keepRows(tx, s)
}

// keepRows stores the status rows of a situation and drops those of profiles that are neither wanted nor were ever there.
func (f *Fleet) keepRows(tx store.Tx, s *situation) error {
	stored, err := deliveryRows(tx, s.device.ID)
	if err != nil {
		return err
	}
	old := make(map[ProfileID]*delivery, len(stored))
	for _, r := range stored {
		old[r.Profile] = r
	}
	for _, r := range s.statuses() { // one a profile
		if err := f.setDelivery(tx, s.config, s.device, old[r.Profile], r); err != nil {
			return err
		}
		delete(old, r.Profile)
	}
	for _, r := range stored {
		if old[r.Profile] == nil {
			continue
		}
		gone, keep := s.departed(r.ProfileStatus)
		if !keep {
			if err := f.dropDelivery(tx, s.device, r.Profile); err != nil {
				return err
			}
			continue
		}
		if err := f.setDelivery(tx, s.config, s.device, r, gone); err != nil {
			return err
		}
	}
	return nil
}

// departed is the row of a profile that is no longer wanted and no longer on the device. What was there leaves the row as proof of its going.
func (s *situation) departed(o ProfileStatus) (ProfileStatus, bool) {
	switch {
	case s.device.State.ended():
		return o, false // the receipt tells more
	case o.Status == StatusRemoved:
		return o, true
	case o.Status == StatusRemoving:
		o.Status, o.Reason, o.NextTry, o.Since = StatusRemoved, Why("profile.removed"), nil, time.Time{}
		if ch := s.rep.Channels[DeviceChannel]; ch != nil {
			if q := ch.Queries[QueryProfiles]; q != nil && !q.At.IsZero() {
				o.Evidence = Evidence{Message: q.Order, At: q.At, What: "profile-list"}
			}
		}
		return o, true
	}
	return o, false
}

// statuses are the rows of all profiles that are wanted of a device or still on it: from stored facts alone.
func (s *situation) statuses() []ProfileStatus {
	diffs := plan(s)
	var out []ProfileStatus
	for _, p := range s.profiles {
		if s.device.State.leaving() || s.device.State.ended() {
			break
		}
		out = append(out, s.statusOf(p, diffs))
	}
	for _, u := range s.unfit {
		out = append(out, ProfileStatus{Profile: u.Profile, Device: s.device.ID, Status: u.Status, Reason: u.Reason})
	}
	has := func(id ProfileID) bool {
		return slices.ContainsFunc(out, func(r ProfileStatus) bool { return r.Profile == id })
	}
	if s.device.State.ended() {
		return out
	}
	for _, ch := range s.rep.channels() {
		for _, u := range s.rep.Channels[ch].Units {
			if u.Unit.Version == "" && u.Present == "" {
				continue
			}
			for _, h := range u.holds() {
				if s.wanted(h.ID) {
					continue
				}
				r := s.removing(ch, u, h, diffs)
				i := slices.IndexFunc(out, func(r ProfileStatus) bool { return r.Profile == h.ID })
				if i >= 0 {
					out[i] = r // still on the device, whatever keeps it from being wanted
				} else if !has(h.ID) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// wanted says whether a profile is wanted now, blocked or not.
func (s *situation) wanted(id ProfileID) bool {
	return !s.device.State.leaving() && slices.ContainsFunc(s.profiles, func(p *Profile) bool { return p.ID == id })
}

// removing is the row of a profile that is on its way out.
func (s *situation) removing(ch Channel, u *unitReport, h Held, diffs []difference) ProfileStatus {
	r := ProfileStatus{Profile: h.ID, Device: s.device.ID, Name: h.Name, Type: h.Type, Version: h.Version, Status: StatusRemoving, Evidence: u.Acknowledged}
	switch {
	case !u.Removed.None():
		r.Reason, r.Evidence = Why("waiting.read-back"), u.Removed
	default:
		r.Reason = s.contactReason(ch)
		for _, d := range diffs {
			if d.Channel == ch && d.Step.Unit != nil && d.Step.Unit.Key == u.Unit.Key {
				r.Reason = d.Why
				r.NextTry = timeOrNil(d.Next)
			}
		}
	}
	return r
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// statusOf is the row of a profile that is wanted.
func (s *situation) statusOf(p *Profile, diffs []difference) ProfileStatus {
	r := ProfileStatus{Profile: p.ID, Device: s.device.ID, Name: p.Name, Type: p.Type, Version: p.Version, Status: StatusPending}
	if b := s.rep.Blocked[p.ID]; b != nil && b.Revision == p.Revision {
		r.Status, r.Reason, r.NextTry = StatusWaitsPerson, b.Reason, timeOrNil(b.Next)
		r.Evidence = Evidence{Message: b.Message, At: b.Next.Add(-blockedFor), What: "refused"}
		return r
	}
	var units []*Unit
	for i := range s.units {
		if slices.Contains(s.units[i].Profiles, p.ID) {
			units = append(units, &s.units[i])
		}
	}
	if len(units) == 0 {
		r.Reason = s.contactReason(DeviceChannel)
		if s.device.State == Managed {
			r.Status, r.Reason = StatusNotApplicable, Why("profile.in-no-unit")
		}
		return r
	}
	// A profile may travel in several units (one root for the device and for its person): the worst of them counts.
	best := true
	for _, u := range units {
		one := s.statusIn(p, u, diffs)
		if one.Status == StatusSucceeded {
			if best {
				r.Status, r.Reason, r.Evidence = one.Status, one.Reason, one.Evidence
			}
			continue
		}
		if best || one.Status == StatusError && r.Status != StatusError {
			r = one
		}
		best = false
	}
	return r
}

// statusIn is the row of a profile as far as one unit goes.
func (s *situation) statusIn(p *Profile, u *Unit, diffs []difference) ProfileStatus {
	r := ProfileStatus{Profile: p.ID, Device: s.device.ID, Name: p.Name, Type: p.Type, Version: p.Version, Status: StatusPending}
	if s.device.State != Managed {
		r.Reason = Why("waiting.reach", "platform", string(s.device.Platform))
		return r
	}
	chs := s.channelsFor(u)
	if len(chs) == 0 {
		r.Status, r.Reason = StatusWaitsPerson, Why("waiting.person-login")
		return r
	}
	for _, ch := range chs {
		var rep *unitReport
		if c := s.rep.Channels[ch]; c != nil {
			rep = c.Units[u.Key]
		}
		if rep != nil && rep.Present == u.Version && !rep.Confirmed.None() {
			if i := slices.IndexFunc(rep.Results, func(x Result) bool { return x.Profile == p.ID }); i >= 0 {
				r.Status, r.Reason, r.Evidence = rep.Results[i].Status, rep.Results[i].Reason, rep.Confirmed
				return r
			}
			r.Status, r.Reason, r.Evidence = StatusSucceeded, Why("profile.confirmed"), rep.Confirmed
			if rep.Confirmed.What == "unread" {
				r.Reason = Why("profile.taken-unread")
			}
			continue
		}
		if rep != nil && rep.Present == u.Version {
			r.Status, r.Reason, r.Evidence = StatusPending, Why("waiting.read-back"), rep.Acknowledged
			if rep.Later.Code != "" {
				r.Reason = rep.Later
			}
			return r
		}
		if rep != nil {
			r.Evidence = rep.Acknowledged
		}
		if rep != nil && rep.Failed != nil && rep.Failed.Version == u.Version {
			return s.statusFailed(r, p, u, rep.Failed)
		}
		r.Status, r.Reason = StatusPending, s.contactReason(ch)
		for _, d := range diffs {
			if d.Channel == ch && d.Step.Kind == StepInstall && d.Step.Unit.Key == u.Key {
				r.Reason, r.NextTry = d.Why, timeOrNil(d.Next)
			}
		}
		if rep != nil && rep.Postponed > 0 && r.Reason.Code != "waiting.answer" {
			r.Reason = Why("waiting.unlock")
			r.Evidence = rep.NotNow
		}
		return r
	}
	return r
}

// statusFailed tells apart the profile that an error speaks of from those that only travel with it.
func (s *situation) statusFailed(r ProfileStatus, p *Profile, u *Unit, x *failure) ProfileStatus {
	if !x.Fault {
		r.NextTry = timeOrNil(x.Next)
	}
	r.Evidence = Evidence{Message: x.Message, At: x.At, What: "refused"}
	culprit := ""
	for _, q := range s.profiles {
		if x.Blames != "" && q.Type == x.Blames && slices.Contains(u.Profiles, q.ID) {
			culprit = q.Name
		}
	}
	if culprit != "" && p.Type != x.Blames {
		r.Status, r.Reason = StatusPending, Why("waiting.unit", "profile", culprit)
		return r
	}
	r.Status, r.Reason = StatusError, x.Reason
	if x.Unfit {
		r.Status = StatusNotApplicable
	}
	if x.Fault {
		r.Reason = Reason{Code: "fault.malformed", Args: x.Reason.Args, DeviceWords: x.Reason.DeviceWords}
	}
	return r
}

// retryUnit has a refused or blocked profile tried again at the next contact, and asks the device to call.
func (f *Fleet) retryUnit(tx store.Tx, d *Device, p ProfileID) error {
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	if b := rep.Blocked[p]; b != nil {
		b.Next = f.now().UTC()
	}
	for _, c := range rep.Channels {
		for _, u := range c.Units {
			if slices.Contains(u.Unit.Profiles, p) || u.Failed != nil && len(u.Unit.Profiles) == 0 || slices.ContainsFunc(u.Profiles, func(h Held) bool { return h.ID == p }) {
				if u.Failed != nil {
					u.Failed.Next, u.Failed.Fault = f.now().UTC(), false
				}
				if u.NotRemoved != nil {
					u.NotRemoved.Next = f.now().UTC()
				}
			}
		}
		c.Skipped = nil
	}
	if err := reports.Put(tx, rep); err != nil {
		return err
	}
	if err := f.refreshDeliveries(tx, d); err != nil {
		return err
	}
	return f.wakeDevice(tx, d, "retry")
}
