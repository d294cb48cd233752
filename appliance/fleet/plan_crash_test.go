package fleet_test

import (
	"flag"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/appliance/fleet"
)

// fewer runs a property a few times only: each time opens a real store again and again.
func fewer(t *testing.T, n string) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	old := f.Value.String()
	if old != f.DefValue {
		return // asked for on the command line
	}
	if err := flag.Set("rapid.checks", n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", old) })
}

// TestCrashConverges interrupts the life of a device at any point: answers get lost, the appliance restarts between any two messages,
// changes come in the middle of a run. In the end the device holds what is wanted of it, and nothing else.
func TestCrashConverges(t *testing.T) {
	fewer(t, "12")
	rapid.Check(t, func(r *rapid.T) {
		w := newPlanWorld(t)
		defer func() { _ = w.db.Close() }()
		pass, mail := w.passcode(), w.email()
		wanted := map[fleet.ProfileID]bool{}
		p := w.phone("A1")
		p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
		leaving := ""
		var pending *fleet.Answer
		for range rapid.IntRange(5, 25).Draw(r, "length") {
			switch rapid.SampledFrom([]string{"message", "message", "message", "message", "lost", "restart", "assign", "unassign", "lock", "fan out", "sleep", "retire", "sweep", "not now"}).Draw(r, "what") {
			case "message", "lost":
				if !p.enrolled {
					continue
				}
				c := p.contact()
				c.NewRun = pending == nil
				o, err := w.Exchange(ctx, c, pending)
				if err != nil {
					r.Fatalf("exchange: %s", errText(err))
				}
				pending = nil
				if o == nil {
					continue
				}
				ans := p.do(o)
				if !rapid.Bool().Draw(r, "answer is lost") {
					pending = ans
				}
			case "restart":
				w.reopen()
			case "assign", "unassign":
				pr := rapid.SampledFrom([]*fleet.Profile{pass, mail}).Draw(r, "profile")
				on := rapid.Bool().Draw(r, "on")
				var to []fleet.Assignment
				if on {
					to = []fleet.Assignment{{To: "all-devices"}}
				}
				if err := w.Assign(ctx, w.admin, pr.ID, to, false); err != nil {
					r.Fatalf("assign: %s", errText(err))
				}
				wanted[pr.ID] = on
			case "lock":
				_, _ = w.Act(ctx, w.admin, p.identity.Device, fleet.ActLock, fleet.ActionOptions{}, "")
			case "fan out":
				w.fanOut()
			case "sleep":
				w.sleep(time.Duration(rapid.IntRange(1, 2000).Draw(r, "minutes")) * time.Minute)
			case "retire":
				if leaving == "" && rapid.IntRange(0, 3).Draw(r, "really") == 0 {
					w.act(p, fleet.ActRetire)
					leaving = "retire"
				}
			case "sweep":
				if err := w.Sweep(ctx); err != nil {
					r.Fatalf("sweep: %v", err)
				}
			case "not now":
				p.postpone[rapid.SampledFrom([]string{"install:access", "install:passcode", "query:profiles", "remove:access", "unenrol"}).Draw(r, "step")]++
			}
		}
		w.reopen()
		w.fanOut()
		if pending != nil {
			if _, err := w.Exchange(ctx, p.contact(), pending); err != nil {
				r.Fatalf("last answer: %s", errText(err))
			}
		}
		for range 6 {
			if !p.enrolled {
				break
			}
			w.sleep(25 * time.Hour)
			p.call()
		}
		if leaving != "" {
			if d := w.device(p); d.State == fleet.Retiring && !p.enrolled { // its farewell was lost: the push service knows
				w.push.say = func(fleet.Wake) fleet.WakeResult { return fleet.WakeResult{Dead: true} }
				w.sleep(time.Hour)
				w.wakeUp()
			}
			if d := w.device(p); d.State != fleet.Retired || len(p.units) != 0 {
				r.Fatalf("after a retire: state %s, on the device %v", d.State, p.units)
			}
			if rc := w.receipt(p.identity.Device); rc.Outcome != "proved" {
				r.Fatalf("receipt: %s", rc.Outcome)
			}
			return
		}
		var want []string
		for pr, key := range map[*fleet.Profile]string{pass: "passcode", mail: "access"} {
			got := w.status(p, pr).Status
			if wanted[pr.ID] {
				want = append(want, key)
				if got != fleet.StatusSucceeded {
					r.Fatalf("%s: %s", pr.Name, got)
				}
			} else if got != "" && got != fleet.StatusRemoved {
				r.Fatalf("%s is not wanted: %s", pr.Name, got)
			}
		}
		var have []string
		for k := range p.units {
			have = append(have, k)
		}
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			r.Fatalf("on the device %v, wanted %v", have, want)
		}
		if steps := p.call(); len(steps) != 0 {
			r.Fatalf("it does not come to rest: %v", steps)
		}
	})
}
