package fleet

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// life is what the effects of the table have done to one device.
type life struct {
	state    State
	identity bool // a live management identity
	access   bool // live access certificates
	receipt  bool // an open receipt
	tomb     bool
	ordered  bool // a removal is ordered and neither proved nor withdrawn nor overtaken
}

func (l *life) apply(e lifecycleEvent, tr transition) {
	for _, fx := range tr.Effects {
		switch fx {
		case fxRevokeAccess:
			l.access = false
		case fxRevokeAll:
			l.access, l.identity = false, false
		case fxOpenReceipt:
			l.receipt = true
		case fxCloseReceipt:
			l.receipt = false
		case fxTombstone:
			l.tomb = true
		}
	}
	switch e {
	case evRetire, evWipe:
		l.ordered = true
	case evCallOff, evProved, evLeave, evDoor:
		l.ordered = false
	case evReenrol: // under a valid invitation: a new identity, a new enrolment
		l.ordered, l.identity, l.tomb = false, true, false
	}
	l.state = tr.To
	if l.state == Managed {
		l.access = true // profiles are delivered
	}
}

func TestLifecycleTable(t *testing.T) {
	events := []lifecycleEvent{evReach, evRetire, evWipe, evCallOff, evProved, evLeave, evDoor, evReenrol}
	rapid.Check(t, func(t *rapid.T) {
		l := &life{state: Enrolling, identity: true}
		for i := range rapid.IntRange(1, 40).Draw(t, "length") {
			e := rapid.SampledFrom(events).Draw(t, "event")
			before := *l
			tr, ok := lifecycleTable[l.state][e]
			if !ok {
				continue
			}
			l.apply(e, tr)
			switch {
			case l.state == Managed && !l.identity:
				t.Fatalf("step %d %s: managed without identity", i, e)
			case l.state.leaving() && l.access:
				t.Fatalf("step %d %s: leaving with access", i, e)
			case l.state.leaving() && !l.identity:
				t.Fatalf("step %d %s: leaving without a door", i, e)
			case l.state.leaving() && !l.receipt:
				t.Fatalf("step %d %s: leaving without receipt", i, e)
			case l.state.ended() && (l.identity || l.access || l.receipt || !l.tomb):
				t.Fatalf("step %d %s: ended with %+v", i, e, *l)
			case before.ordered && !l.ordered && !slices.Contains([]lifecycleEvent{evCallOff, evProved, evLeave, evDoor, evReenrol}, e):
				t.Fatalf("step %d %s: a removal was forgotten", i, e)
			case l.ordered != l.state.leaving():
				t.Fatalf("step %d %s: ordered %t in state %s", i, e, l.ordered, l.state)
			case before.state.ended() && e != evReenrol:
				t.Fatalf("step %d %s: leads out of an ended enrolment", i, e)
			}
		}
	})
	for s, row := range lifecycleTable {
		for e, tr := range row {
			if _, ok := lifecycleTable[tr.To]; !ok {
				t.Errorf("%s, %s leads to %q, which has no row", s, e, tr.To)
			}
			if s.ended() && e != evReenrol {
				t.Errorf("%s, %s: only re-enrolment leads out of an end", s, e)
			}
		}
	}
}

func TestPlanIsPureAndOrdered(t *testing.T) {
	rank := map[StepKind]int{StepAction: 0, StepRenew: 1, StepRemove: 2, StepInstall: 3, StepQuery: 4}
	rapid.Check(t, func(t *rapid.T) {
		s := drawSituation(t)
		one, two := plan(s), plan(s)
		if len(one) != len(two) {
			t.Fatalf("two plans of one situation: %d and %d differences", len(one), len(two))
		}
		seen := map[string]bool{}
		for i := range one {
			a, b := one[i], two[i]
			if a.Channel != b.Channel || stepKey(a.Step) != stepKey(b.Step) || a.Ready != b.Ready || a.Why.Code != b.Why.Code {
				t.Fatalf("two plans of one situation differ at %d: %+v, %+v", i, a, b)
			}
			if a.Why.Code == "" {
				t.Fatalf("a difference that waits for nothing known: %+v", a)
			}
			key := string(a.Channel) + " " + stepKey(a.Step)
			if seen[key] {
				t.Fatalf("%s is planned twice", key)
			}
			seen[key] = true
			if s.device.State == Managed && i > 0 && rank[one[i-1].Step.Kind] > rank[a.Step.Kind] {
				t.Fatalf("%s comes after %s", a.Step.Kind, one[i-1].Step.Kind)
			}
			if a.Ready && slices.Contains(s.rep.channel(a.Channel).Skipped, stepKey(a.Step)) {
				t.Fatalf("%s was postponed in this run and is offered again", key)
			}
			if s.device.State.ended() || s.device.State == Enrolling {
				t.Fatalf("a step in state %s", s.device.State)
			}
		}
		if s.device.State == Retiring && (len(one) == 0 || one[len(one)-1].Step.Kind != StepUnenrol) {
			t.Fatal("a removal does not end with the end of management")
		}
	})
}

// drawSituation makes a situation that need not be reachable: the planner has to be sane in all of them.
func drawSituation(t *rapid.T) *situation {
	s := &situation{now: testNow, device: &Device{ID: "d", Enrolment: "e", Platform: IOS, Channels: []Channel{DeviceChannel, "user:1"},
		State: rapid.SampledFrom([]State{Enrolling, Managed, Retiring, Wiping, Retired, Closed}).Draw(t, "state")},
		rep: &reported{Device: "d", Enrolment: "e"}, settings: &Settings{}, wakes: map[Channel]*Wake{}}
	keys := []string{"a", "b", "c"}
	version := rapid.SampledFrom([]string{"", "1", "2"})
	fail := func(name string) *failure {
		if !rapid.Bool().Draw(t, name) {
			return nil
		}
		return &failure{Version: version.Draw(t, name+" version"), Reason: Why("x"), Fault: rapid.Bool().Draw(t, name+" fault"), Next: testNow.Add(retryAfter(rapid.IntRange(1, 4).Draw(t, name+" tries")) - 20*60e9)}
	}
	for _, ch := range s.device.Channels {
		c := s.rep.channel(ch)
		for i, k := range keys {
			if !rapid.Bool().Draw(t, "unit "+k) {
				continue
			}
			u := &unitReport{Seq: i, Unit: Unit{Key: k, Channel: ch.kind(), Version: version.Draw(t, "sent")}, Present: version.Draw(t, "present"), Failed: fail("failed"), NotRemoved: fail("kept")}
			if rapid.Bool().Draw(t, "removed") {
				u.Removed = Evidence{Message: "m", At: testNow}
			}
			if c.Units == nil {
				c.Units = map[string]*unitReport{}
			}
			c.Units[k] = u
		}
		for _, q := range []QueryKind{QueryProfiles, QueryDevice, QueryCertificates} {
			if rapid.Bool().Draw(t, "query "+string(q)) {
				*c.query(q) = queryReport{At: testNow.Add(-retryAfter(rapid.IntRange(1, 4).Draw(t, "age"))), Wanted: rapid.Bool().Draw(t, "asked"), Failed: fail("unanswered")}
			}
		}
		c.Skipped = rapid.SliceOf(rapid.SampledFrom([]string{"install:a", "remove:b", "query:device", "renew"})).Draw(t, "skipped")
	}
	for _, k := range keys {
		if rapid.Bool().Draw(t, "wanted "+k) {
			s.units = append(s.units, Unit{Key: k, Channel: rapid.SampledFrom([]Channel{DeviceChannel, userChannel}).Draw(t, "kind"), Version: "1"})
		}
	}
	s.queries = []QueryKind{QueryDevice, QueryProfiles, QueryCertificates}
	if rapid.Bool().Draw(t, "old identity") {
		s.rep.Identity = identityReport{Fingerprint: "f", NotBefore: testNow.AddDate(-1, 0, 0), NotAfter: testNow.AddDate(0, 0, 10)}
		s.rep.Renewal = fail("renewal")
	}
	for i, typ := range []ActionType{ActLock, ActWipe, ActRetire} {
		if rapid.Bool().Draw(t, "order "+string(typ)) && (!isLifecycle(typ) || s.device.State.leaving()) {
			s.actions = append(s.actions, &Action{ID: ActionID(rune('x' + i)), Type: typ, State: ActionQueued})
		}
	}
	return s
}
