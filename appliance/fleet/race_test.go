package fleet_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"muster/appliance/fleet"
)

// Orders to remove a device, their being called off, and its coming back under two invitations meet in any order. Afterwards there is one record of the hardware that
// lives at most, no two open removals of one, and a log whose chain holds.
func TestRemovalsAndReturnsAtOnce(t *testing.T) {
	w := newPlanWorld(t)
	for _, serial := range []string{"A", "B", "C", "D"} {
		p := w.managed(serial, fleet.Corporate)
		id, name := p.identity.Device, "Phone "+serial
		var tickets []fleet.EnrolmentID
		for range 2 {
			tickets = append(tickets, w.ticket(fleet.Corporate, fleet.IOS))
		}
		var all sync.WaitGroup
		var back atomic.Int32
		try := func(what string, fn func() error) {
			all.Go(func() {
				var r *fleet.Refusal
				if err := fn(); err != nil && !errors.As(err, &r) && !errors.Is(err, fleet.ErrNotFound) && !errors.Is(err, fleet.ErrGone) && !errors.Is(err, fleet.ErrConflict) && !errors.Is(err, fleet.ErrIdentity) {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		for _, what := range []fleet.ActionType{fleet.ActRetire, fleet.ActWipe, fleet.ActDelete, fleet.ActRetire, fleet.ActWipe} {
			try(string(what), func() error {
				a, err := w.Act(ctx, w.admin, id, what, fleet.ActionOptions{}, name)
				if err == nil {
					_ = w.CallOff(ctx, w.admin, a.ID)
					_, err = w.Act(ctx, w.admin, id, what, fleet.ActionOptions{}, name)
				}
				return err
			})
		}
		for _, e := range append(tickets, tickets...) {
			try("return", func() error {
				_, err := w.phone(serial).tryEnrol(e)
				if err == nil {
					back.Add(1)
				}
				return err
			})
		}
		all.Wait()
		l, err := w.Devices(ctx, w.admin, fleet.DeviceFilter{Hidden: true}, fleet.ListQuery{Search: serial, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		living := 0
		for _, d := range l.Items {
			if d.State == fleet.Managed || d.State == fleet.Enrolling {
				living++
			}
			acts, err := w.Actions(ctx, w.admin, d.ID, fleet.ListQuery{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			open := 0
			for _, a := range acts.Items {
				if a.Ended == nil && (a.Type == fleet.ActRetire || a.Type == fleet.ActWipe) {
					open++
				}
			}
			if open > 1 {
				t.Errorf("%s: %d open removals of one device", serial, open)
			}
		}
		if living > 1 || back.Load() == 0 {
			t.Errorf("%s: %d records live, it came back %d times", serial, living, back.Load())
		}
	}
	if broken, _, err := w.VerifyAudit(ctx, w.admin); err != nil || broken != 0 {
		t.Errorf("the log: broken at %d, %v", broken, err)
	}
}
