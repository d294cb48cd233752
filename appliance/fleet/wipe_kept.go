package fleet

import "time"

// lifecycle says whether an action sets a lifecycle target. A wipe that keeps the enrolment does not: the device goes on as it was, with
// nothing on it.
func (a *Action) lifecycle() bool {
	return isLifecycle(a.Type) && !(a.Type == ActWipe && a.Options.KeepEnrolled)
}

// erased notes that nothing of what was delivered is on the device any more; it stays managed, and everything is wanted anew.
func (r *reported) erased(at time.Time) {
	for _, c := range r.Channels {
		*c = channelReport{}
	}
	r.Access, r.Blocked = nil, nil
	r.Reset = at.UTC()
}

// A PC says yes to such a wipe some minutes before it resets. What it were given meanwhile would go with the rest, so that it is given nothing; and for
// a while after that each of its calls reads back what it has, since it does not say when it was reset.

// resets says when a device that is about to reset itself may be given something again; zero when it is not.
func (s *situation) resets() time.Time {
	if until := s.rep.Reset.Add(wipeStarts); !s.rep.Reset.IsZero() && s.now.Before(until) {
		return until
	}
	return time.Time{}
}

// wasReset says whether a device may have been reset since its last call.
func (s *situation) wasReset() bool {
	return !s.rep.Reset.IsZero() && s.device.State == Managed && s.now.Before(s.rep.Reset.Add(wipeAnswers))
}

// askAfterReset has everything read back on each channel.
func (s *situation) askAfterReset() {
	if !s.wasReset() || !s.resets().IsZero() {
		return
	}
	for _, c := range s.rep.Channels {
		if len(c.Units) > 0 {
			c.query(QueryProfiles).Wanted = true
		}
	}
}
