package fleet

import (
	"context"
	"errors"
	"strconv"

	"muster/store"
)

// Standing says in one sentence whether all is well with a device and, if not, the one thing to do.
func (f *Fleet) Standing(ctx context.Context, a Actor, id DeviceID) (*Standing, error) {
	return viewed(ctx, f, func(tx store.Tx) (*Standing, error) {
		d, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return nil, err
		}
		s, err := f.situationFor(tx, f.seenNow(d))
		if err != nil {
			return nil, err
		}
		if s.outage, err = f.outageOf(tx, d.Platform); err != nil {
			return nil, err
		}
		return s.standing(), nil
	})
}

// standing picks the one thing that matters most.
func (s *situation) standing() *Standing {
	d := s.device
	out := &Standing{Last: d.LastSeen}
	if w := s.wakes[DeviceChannel]; w != nil {
		if !w.Last.IsZero() {
			out.Nudged = timeOrNil(w.Last)
		}
		if w.Open && !w.Dead {
			out.NextTry = timeOrNil(w.Due)
			if s.outage != nil && s.outage.Next.After(w.Due) {
				out.NextTry = timeOrNil(s.outage.Next)
			}
		}
	}
	switch {
	case d.State.ended():
		out.Well, out.Reason = d.State != Closed, Why("standing."+string(d.State))
		return out
	case d.Warning != nil:
		out.Reason = *d.Warning
		return out
	case d.State == Enrolling:
		out.Reason = Why("standing.enrolling")
		return out
	}
	diffs := plan(s)
	if d.State.leaving() {
		out.Reason = Why("standing."+string(d.State), "waiting", waitingFor(diffs).Code)
		out.Reason.DeviceWords = waitingFor(diffs).DeviceWords
		return out
	}
	for _, row := range s.statuses() {
		switch row.Status {
		case StatusWaitsPerson, StatusError, StatusConflict:
			out.Reason = Reason{Code: "standing.profile", Args: map[string]string{"profile": s.nameOf(row), "status": string(row.Status), "reason": row.Reason.Code}, DeviceWords: row.Reason.DeviceWords}
			if row.NextTry != nil {
				out.NextTry = row.NextTry
			}
			return out
		}
	}
	if w := s.wakes[DeviceChannel]; w != nil && (w.Dead && !w.Calls || w.Open && (w.Result != "" && w.Result != "accepted" || s.outage != nil && !w.Calls)) {
		out.Reason = s.contactReason(DeviceChannel)
		return out
	}
	work := 0
	for _, x := range diffs {
		if x.Step.Kind != StepQuery {
			work++
		}
	}
	if work > 0 {
		out.Reason = waitingFor(diffs)
		out.Reason.Args = withArg(out.Reason.Args, "steps", strconv.Itoa(work))
		return out
	}
	out.Well, out.Reason = true, Why("well")
	return out
}

func withArg(m map[string]string, k, v string) map[string]string {
	out := map[string]string{k: v}
	for x, y := range m {
		out[x] = y
	}
	return out
}

// nameOf is the name of a row's profile.
func (s *situation) nameOf(r ProfileStatus) string {
	if r.Name != "" {
		return r.Name
	}
	for _, p := range s.profiles {
		if p.ID == r.Profile {
			return p.Name
		}
	}
	return string(r.Profile)
}

// waitingFor is what the first difference waits for.
func waitingFor(diffs []difference) Reason {
	for _, d := range diffs {
		if d.Ready {
			return d.Why
		}
	}
	for _, d := range diffs {
		return d.Why
	}
	return Reason{}
}

// progressMost is how many lines the person's page shows.
const progressMost = 50

// TicketProgress tells the person's page how far the device is: what has happened under this enrolment, in order. The device is nil until
// its first message.
func (f *Fleet) TicketProgress(ctx context.Context, ticket string) ([]Event, *Device, error) {
	var out []Event
	var d *Device
	err := f.db.View(ctx, func(tx store.Tx) error {
		e, err := findTicket(tx, ticket)
		if err != nil {
			return err
		}
		if e.Device == "" {
			return nil
		}
		d, err = devices.Get(tx, string(e.Device))
		if errors.Is(err, store.ErrNotFound) {
			d = nil
			return nil
		}
		if err != nil {
			return err
		}
		if d.Enrolment != e.ID {
			d = nil // it has enrolled under another since: that is not this ticket's to tell
			return nil
		}
		q := below(d.ID)
		return timeline.Each(tx, q, func(x *Event) (bool, error) {
			if !x.At.Before(e.Created) {
				out = append(out, *x)
			}
			return len(out) < progressMost, nil
		})
	})
	return out, d, err
}
