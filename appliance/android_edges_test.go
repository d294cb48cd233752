package appliance

import (
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// An invitation for a personal device does not make a company's device of one that is set up anew: it is put out again, and nothing of it is kept.
func TestAndroidOfWrongOwnership(t *testing.T) {
	w := newAndroids(t)
	entry, err := w.Appliance.android.NewEntry(t.Context(), w.ticket("Anna", fleet.ModeWorkProfile))
	if err != nil {
		t.Fatal(err)
	}
	d := sim.NewAndroid(sim.AndroidOptions{Google: w.google, Roots: w.roots, FactoryNew: true, Seed: 61, Password: "2580", Poll: 300 * time.Millisecond})
	if err := d.EnrolToken(t.Context(), entry.Token); err != nil {
		t.Fatal(err)
	}
	w.eventually("it was let go", func() bool {
		_ = d.Sync(t.Context()) // it calls, and is told
		s := d.State()
		return !s.Enrolled && s.Wiped != ""
	})
	l, err := w.Appliance.fleet.Devices(t.Context(), w.Actor, fleet.DeviceFilter{}, fleet.ListQuery{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Items) != 0 {
		t.Errorf("%d devices are on the list", len(l.Items))
	}
}
