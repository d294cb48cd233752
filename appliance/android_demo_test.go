package appliance

import (
	"context"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"muster/appliance/fleet"
)

// The Androids of the demo play their parts: each mode enrols through its page, Gmail is configured, a work profile is retired and a kiosk wiped, both
// with a receipt, and the one whose person sets no password waits for them.
func TestDemoAndroids(t *testing.T) {
	w, google := newWorldWithGoogle(t, func(*Config) {})
	d := w.DemoRun
	d.Google = google
	for _, step := range []func(context.Context) error{d.connectGoogle, d.addAndroidProfiles} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	t.Cleanup(func() { cancel(); g.Wait() })
	cast := slices.DeleteFunc(castOf(len(parts)), func(p part) bool { return p.android == "" })
	if len(cast) < 6 {
		t.Fatalf("only %d Androids play", len(cast))
	}
	if err := d.enrol(ctx, g, cast); err != nil {
		t.Fatal(err)
	}
	if err := d.histories(ctx); err != nil {
		t.Fatal(err)
	}
	modes := map[fleet.Mode]bool{}
	for _, dev := range d.Devices {
		modes[dev.part.android] = true
		device, err := w.Appliance.fleet.Device(t.Context(), w.Actor, dev.ID)
		if err != nil {
			t.Fatal(err)
		}
		if device.Mode != dev.part.android || device.Ownership != dev.part.ownership {
			t.Errorf("%s is managed as %s, %s", dev.part.name, device.Mode, device.Ownership)
		}
		phone := dev.Phone
		switch dev.part.order {
		case fleet.ActRetire, fleet.ActWipe:
			want, what := fleet.Retired, "work profile removed"
			if dev.part.order == fleet.ActWipe {
				want, what = fleet.Wiped, "factory reset"
			}
			w.eventually(dev.part.name+" is out of management", func() bool {
				now, err := w.Appliance.fleet.Device(t.Context(), w.Actor, dev.ID)
				return err == nil && now.State == want
			})
			if got := phone.State().Wiped; got != what {
				t.Errorf("%s: %q", dev.part.name, got)
			}
			if receipt := w.receipt(dev.ID); receipt.Outcome != "proved" {
				t.Errorf("%s: the receipt is %q", dev.part.name, receipt.Outcome)
			}
		default:
			w.eventually(dev.part.name+" has mail", func() bool { return len(phone.State().Mail) == 1 })
			if got := phone.State().Mail[0].Address; !strings.HasPrefix(got, strings.ToLower(dev.part.person)+"@") {
				t.Errorf("%s has the mail of %q", dev.part.name, got)
			}
		}
		if dev.part.weak {
			w.eventually(dev.part.name+" waits for its person", func() bool { return w.statuses(dev.ID)["Screen lock on Android"].Status == fleet.StatusWaitsPerson })
		}
	}
	if len(modes) != 4 {
		t.Errorf("the cast shows %v", modes)
	}
	for _, complaint := range google.Complaints() {
		t.Errorf("Google complains: %s", complaint)
	}
}
