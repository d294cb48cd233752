package fleet_test

import (
	"errors"
	"testing"

	"muster/appliance/fleet"
)

// A yes after a restore is to the very removals that were looked at. As many others, or another order for the same device, are not those.
func TestReleaseIsOfTheListThatWasSeen(t *testing.T) {
	w := newPlanWorld(t)
	anna, bert := w.managed("ANNA", fleet.Corporate), w.managed("BERT", fleet.Corporate)
	if err := w.AfterRestore(ctx, w.now()); err != nil {
		t.Fatal(err)
	}
	order := func(p *phone, what fleet.ActionType) *fleet.Action {
		t.Helper()
		a, err := w.Act(ctx, w.admin, p.identity.Device, what, fleet.ActionOptions{}, "Phone "+p.serial)
		if err != nil {
			t.Fatal(errText(err))
		}
		return a
	}
	seen := func() string {
		t.Helper()
		r, err := w.Restored(ctx, w.admin)
		if err != nil || !r.Held || r.Count != 1 || len(r.Removals) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		return r.List
	}
	refused := func(what, list string) {
		t.Helper()
		var r *fleet.Refusal
		if err := w.Release(ctx, w.admin, list); !errors.As(err, &r) || r.Reason.Code != "restored.other-list" {
			t.Errorf("%s: %v", what, err)
		}
	}
	first := order(anna, fleet.ActRetire)
	list := seen()
	if err := w.CallOff(ctx, w.admin, first.ID); err != nil {
		t.Fatal(errText(err))
	}
	second := order(anna, fleet.ActWipe)
	refused("a wipe in place of a retirement", list)
	list = seen()
	if err := w.CallOff(ctx, w.admin, second.ID); err != nil {
		t.Fatal(errText(err))
	}
	order(bert, fleet.ActWipe)
	refused("another device", list)
	refused("no list", "")
	if err := w.Release(ctx, w.admin, seen()); err != nil {
		t.Fatal(errText(err))
	}
}
