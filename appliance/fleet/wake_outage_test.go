package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// TestPushServiceOut shows that a push service that is out costs a few tries and one record, however many devices wait for it; that each of them
// says why; and that all are pushed when it is back.
func TestPushServiceOut(t *testing.T) {
	w := newPlanWorld(t)
	w.toAll(w.passcode())
	const many, together = 40, 16 // pushes go out sixteen at a time
	phones := map[fleet.DeviceID]*phone{}
	for i := range many {
		p := w.phone(fmt.Sprint("O", i))
		p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
		phones[p.identity.Device] = p
	}
	down := fleet.Reason{Code: "push.down", DeviceWords: "no route to host"}
	w.push.say = func(fleet.Wake) fleet.WakeResult { return fleet.WakeResult{Service: true, Reason: down} }
	w.sleep(2 * time.Second)
	before := w.db.Syncs()
	untried := func() fleet.DeviceID {
		w.push.mu.Lock()
		defer w.push.mu.Unlock()
		for d := range phones {
			tried := false
			for _, s := range w.push.sent {
				tried = tried || s.Device == d
			}
			if !tried {
				return d
			}
		}
		t.Fatalf("all %d devices were pushed in vain", many)
		return ""
	}
	standing := func(d fleet.DeviceID) *fleet.Standing {
		t.Helper()
		s, err := w.Standing(ctx, w.admin, d)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	w.runUntil("the outage is known", w.RunWakes, func() bool { return standing(untried()).Reason.Code == down.Code })
	n := w.push.count()
	if n > together || w.db.Syncs()-before > together {
		t.Errorf("%d pushes and %d syncs for an outage", n, w.db.Syncs()-before)
	}
	rows, err := w.DeviceProfiles(ctx, w.admin, untried())
	if err != nil || len(rows) != 1 || rows[0].Reason.Code != down.Code || rows[0].Reason.DeviceWords != down.DeviceWords || rows[0].NextTry == nil {
		t.Errorf("the profile of a device that waits: %+v, %v", rows, err)
	}

	w.sleep(11 * time.Second)
	w.runUntil("one push tries again", w.RunWakes, func() bool {
		next := standing(untried()).NextTry
		return next != nil && next.After(w.now().Add(20*time.Second))
	})
	if got := w.push.count(); got != n+1 {
		t.Errorf("%d pushes found out that the service is still out", got-n)
	}
	needs := func() (told bool) {
		list, err := w.Needs(ctx, w.admin)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			told = told || x.Object == "push-service"
		}
		return told
	}
	if needs() {
		t.Error("told of an outage of seconds")
	}
	w.sleep(10 * time.Minute)
	if !needs() {
		t.Error("an outage of ten minutes goes untold")
	}

	waiting := untried()
	w.push.mu.Lock()
	w.push.say = nil
	w.push.mu.Unlock()
	reached := map[fleet.DeviceID]bool{}
	from := w.push.count()
	w.runUntil("every device is pushed", w.RunWakes, func() bool {
		w.push.mu.Lock()
		defer w.push.mu.Unlock()
		for _, s := range w.push.sent[from:] {
			reached[s.Device] = true
		}
		return len(reached) == many
	})
	if s := standing(waiting); s.Reason.Code != "waiting.contact" || needs() {
		t.Errorf("the outage is over, and a device says %+v", s)
	}
}
