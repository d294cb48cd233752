package windows

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// wiping is a managed PC whose wipe was ordered, sent, and not answered.
func (w *world) wiping(id string, o fleet.ActionOptions) (*pc, *fleet.Device, *fleet.Action) {
	w.t.Helper()
	p := w.enrolled(id, fleet.Corporate)
	p.run()
	d := w.device(id)
	a, err := w.fleet.Act(context.Background(), w.admin, d.ID, fleet.ActWipe, o, d.Name)
	must(w.t, err)
	p.hook = func(c sentCommand) { p.left = strings.Contains(c.uri, "RemoteWipe") } // off before it answers
	p.run()
	p.hook, p.left = nil, false
	if got := len(p.sentTo(wipeNode)); got != 1 {
		w.t.Fatalf("the wipe was sent %d times", got)
	}
	return p, d, a
}

func (w *world) wantAction(id fleet.ActionID, state fleet.ActionState, code string) {
	w.t.Helper()
	a, err := w.fleet.Action(context.Background(), w.admin, id)
	must(w.t, err)
	if a.State != state || a.Reason.Code != code {
		w.t.Errorf("action %s (%s), want %s (%s)", a.State, a.Reason.Code, state, code)
	}
}

// TestWipeIsSentOnce: whatever becomes of its answer, a wipe is never sent twice unless a person orders it twice.
func TestWipeIsSentOnce(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})

	t.Run("the PC never calls again", func(t *testing.T) {
		p, d, a := w.wiping(testID, fleet.ActionOptions{})
		w.wantAction(a.ID, fleet.ActionSent, "")
		w.later.Add(int64(61 * time.Minute))
		must(t, w.fleet.Sweep(ctx))
		w.wantAction(a.ID, fleet.ActionUnknown, "wipe.unknown")
		s, err := w.fleet.Standing(ctx, w.admin, d.ID)
		must(t, err)
		if s.Reason.Code != "wipe.unknown" || s.Well {
			t.Errorf("the PC's page says %+v", s.Reason)
		}
		needs, err := w.fleet.Needs(ctx, w.admin)
		must(t, err)
		shown := false
		for _, n := range needs {
			shown = shown || n.Reason.Code == "wipe.unknown" && n.Object == "device/"+string(d.ID)
		}
		if !shown {
			t.Errorf("nobody is asked: %+v", needs)
		}
		w.later.Add(int64(31 * 24 * time.Hour))
		must(t, w.fleet.Sweep(ctx))
		if got := w.device(testID).State; got != fleet.Closed {
			t.Errorf("after its door closed: %s", got)
		}
		receipts, err := w.fleet.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
		must(t, err)
		if len(receipts.Items) != 1 || receipts.Items[0].Outcome == "proved" {
			t.Errorf("receipts %+v", receipts.Items)
		}
		if got := len(p.sentTo(wipeNode)); got != 1 {
			t.Errorf("sent %d times", got)
		}
	})

	t.Run("the PC calls again, and a person orders it again", func(t *testing.T) {
		const id = "B1B2C3D4E5F60718293A4B5C6D7E8F90"
		p, d, a := w.wiping(id, fleet.ActionOptions{})
		p.run() // at once: it may be about to reset
		w.wantAction(a.ID, fleet.ActionUnknown, "wipe.unknown")
		w.later.Add(int64(10 * time.Minute))
		if got := p.run(); got != 200 {
			t.Errorf("it is answered %d", got)
		}
		w.wantAction(a.ID, fleet.ActionFailed, "wipe.not-done")
		for range 3 {
			w.later.Add(int64(24 * time.Hour))
			p.run()
		}
		if got := len(p.sentTo(wipeNode)); got != 1 {
			t.Fatalf("sent %d times without being ordered again", got)
		}
		s, err := w.fleet.Standing(ctx, w.admin, d.ID)
		must(t, err)
		if s.Reason.Code != "wipe.not-done" {
			t.Errorf("the PC's page says %+v", s.Reason)
		}
		again, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{Method: methodProtected}, d.Name)
		must(t, err)
		if _, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{}, d.Name); err == nil {
			t.Error("two wipes at a time")
		}
		p.run()
		w.wantAction(again.ID, fleet.ActionDone, "action.done")
		if got := w.device(id); got.State != fleet.Wiped || got.Warning != nil {
			t.Errorf("state %s, warning %+v", got.State, got.Warning)
		}
		if got := p.run(); got != http.StatusForbidden {
			t.Errorf("afterwards: %d", got)
		}
	})

	t.Run("the PC that stays managed calls again", func(t *testing.T) {
		const id = "C1B2C3D4E5F60718293A4B5C6D7E8F90"
		p, d, a := w.wiping(id, fleet.ActionOptions{KeepEnrolled: true})
		delete(p.tree, "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength") // it was erased
		p.run()
		w.wantAction(a.ID, fleet.ActionUnknown, "action.unknown")
		if got := p.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"]; got != "8" {
			t.Errorf("what was erased did not come back: %q", got)
		}
		if got := len(p.sentTo(wipeNode)); got != 1 {
			t.Errorf("sent %d times", got)
		}
		if got := w.device(id); got.State != fleet.Managed || got.Enrolment != d.Enrolment {
			t.Errorf("state %s", got.State)
		}
	})

	t.Run("the answer gets lost, not the order: the message comes again", func(t *testing.T) {
		const id = "D1B2C3D4E5F60718293A4B5C6D7E8F90"
		p := w.enrolled(id, fleet.Corporate)
		p.run()
		d := w.device(id)
		_, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{}, d.Name)
		must(t, err)
		p.session, p.msg = p.session+1, 1
		hello := p.message(p.hello())
		_, first := p.post(hello)
		if _, second := p.post(hello); string(second) != string(first) || !strings.Contains(string(first), "doWipe") {
			t.Errorf("the same message got %s and %s", first, second)
		}
		a, err := w.fleet.Actions(ctx, w.admin, d.ID, fleet.ListQuery{})
		must(t, err)
		if len(a.Items) != 1 || a.Items[0].State != fleet.ActionSent || a.Items[0].Tries != 1 {
			t.Errorf("actions %+v", a.Items)
		}
	})
}
