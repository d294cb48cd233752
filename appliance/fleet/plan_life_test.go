package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

func TestReenrolment(t *testing.T) {
	w := newPlanWorld(t)
	pass := w.passcode()
	w.toAll(pass)
	p := w.phone("A1")
	first := w.ticket(fleet.Corporate, fleet.IOS)
	cert, _ := w.managementCertificate(first, 0)
	before := p.enrol(first)
	if _, err := w.Identify(ctx, cert); err != nil {
		t.Fatal(err)
	}
	p.call()
	name := "Reception"
	if _, err := w.UpdateDevice(ctx, w.admin, before.ID, fleet.DeviceInput{Name: &name, Tags: &[]fleet.Tag{"front"}}); err != nil {
		t.Fatal(errText(err))
	}
	lock := w.act(p, fleet.ActLock)
	retire := w.act(p, fleet.ActRetire)
	w.wantAction(lock.ID, fleet.ActionOvertaken)

	after := p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	if after.ID != before.ID || after.Name != name || !slices.Contains(after.Tags, "front") || after.State != fleet.Managed {
		t.Fatalf("device: %+v", after)
	}
	w.wantAction(retire.ID, fleet.ActionOvertaken)
	if rc := w.receipt(after.ID); rc.Outcome != "overtaken" || rc.Closed == nil || rc.Enrolment != first {
		t.Fatalf("receipt: %+v", rc)
	}
	_, err := w.Identify(ctx, cert)
	wantKind(t, err, fleet.ErrIdentity)
	wantSteps(t, p.call()[:1], "install:passcode")
	w.wantStatus(p, pass, fleet.StatusSucceeded, "")
	old := p.contact()
	old.Identity.Enrolment = first
	_, err = w.Exchange(ctx, old, nil)
	wantKind(t, err, fleet.ErrIdentity)
}

func TestEnrolRefusals(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	t.Run("an enrolment serves one device", func(t *testing.T) {
		other := w.phone("B2")
		_, err := other.tryEnrol(p.identity.Enrolment)
		wantKind(t, err, fleet.ErrIdentity)
	})
	t.Run("a repeated first message changes no order", func(t *testing.T) {
		retire := w.act(p, fleet.ActRetire)
		p.enrol(p.identity.Enrolment)
		if d := w.device(p); d.State != fleet.Retiring {
			t.Fatalf("state: %s", d.State)
		}
		p.call()
		w.wantAction(retire.ID, fleet.ActionDone)
	})
	t.Run("an ended enrolment enrols nobody", func(t *testing.T) {
		_, err := w.phone("A1").tryEnrol(p.identity.Enrolment)
		wantKind(t, err, fleet.ErrGone)
	})
	t.Run("an unknown enrolment is no reason to send anybody away", func(t *testing.T) {
		_, err := w.phone("C3").tryEnrol("01UNKNOWN")
		wantKind(t, err, fleet.ErrNoRecord)
	})
}

func TestStolen(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	d := w.device(p)
	wipe, err := w.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{Stolen: true}, d.Name)
	if err != nil {
		t.Fatal(errText(err))
	}
	_, err = w.phone("A1").tryEnrol(w.ticket(fleet.Corporate, fleet.IOS))
	wantKind(t, err, fleet.ErrConflict)
	w.wantAction(wipe.ID, fleet.ActionQueued)
	cleared := false
	if _, err := w.UpdateDevice(ctx, w.admin, d.ID, fleet.DeviceInput{Stolen: &cleared}); err != nil {
		t.Fatal(errText(err))
	}
	if _, err := w.phone("A1").tryEnrol(w.ticket(fleet.Corporate, fleet.IOS)); err != nil {
		t.Fatal(errText(err))
	}
	w.wantAction(wipe.ID, fleet.ActionOvertaken)
}

func TestWipe(t *testing.T) {
	w := newPlanWorld(t)
	pass := w.passcode()
	w.toAll(pass)
	p := w.managed("A1", fleet.Corporate)
	d := w.device(p)
	t.Run("asks for the device's name", func(t *testing.T) {
		_, err := w.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{}, "another")
		wantKind(t, err, fleet.ErrInvalid)
	})
	t.Run("is called off while nothing was handed over", func(t *testing.T) {
		a := w.act(p, fleet.ActWipe)
		if err := w.CallOff(ctx, w.admin, a.ID); err != nil {
			t.Fatal(errText(err))
		}
		if d := w.device(p); d.State != fleet.Managed {
			t.Fatalf("state: %s", d.State)
		}
		if rc := w.receipt(d.ID); rc.Outcome != "called-off" {
			t.Fatalf("receipt: %s", rc.Outcome)
		}
	})
	t.Run("is repeated until it is proved", func(t *testing.T) {
		a := w.act(p, fleet.ActWipe)
		p.refuse["action:wipe"] = fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Reason{Code: "apple.error", DeviceWords: "Not now or ever."}}
		wantSteps(t, p.call(), "action:wipe")
		wantSteps(t, p.call())
		w.wantAction(a.ID, fleet.ActionQueued)
		delete(p.refuse, "action:wipe")
		w.sleep(6 * time.Minute)
		p.loseReply = func(*fleet.Order) bool { return true }
		wantSteps(t, p.call(), "action:wipe")
		p.erased, p.enrolled = false, true // the order did not reach it
		err := w.CallOff(ctx, w.admin, a.ID)
		wantKind(t, err, fleet.ErrConflict)
		p.loseReply = nil
		wantSteps(t, p.call(), "action:wipe")
		w.wantAction(a.ID, fleet.ActionDone)
		if d := w.device(p); d.State != fleet.Wiped {
			t.Fatalf("state: %s", d.State)
		}
		if rc := w.receipt(d.ID); rc.Outcome != "proved" || rc.Kind != "wipe" {
			t.Fatalf("receipt: %+v", rc)
		}
	})
	t.Run("is refused on a personal device with the words of the choice", func(t *testing.T) {
		q := w.managed("B2", fleet.Personal)
		d := w.device(q)
		_, err := w.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{}, d.Name)
		wantKind(t, err, fleet.ErrNotApplicable)
		var r *fleet.Refusal
		list, _ := w.ActionChoices(ctx, w.admin, d.ID)
		i := slices.IndexFunc(list, func(c fleet.ActionChoice) bool { return c.Type == fleet.ActWipe })
		if !errors.As(err, &r) || r.Reason.Code != list[i].Reason.Code {
			t.Fatalf("words: %v, %v", r, list[i].Reason)
		}
	})
}

func TestDelete(t *testing.T) {
	w := newPlanWorld(t)
	pass := w.passcode()
	w.toAll(pass)
	p := w.phone("A1")
	e := w.ticket(fleet.Corporate, fleet.IOS)
	cert, _ := w.managementCertificate(e, 0)
	d := p.enrol(e)
	if _, err := w.Identify(ctx, cert); err != nil {
		t.Fatal(err)
	}
	p.call()
	w.act(p, fleet.ActDelete)
	if l, err := w.Devices(ctx, w.admin, fleet.DeviceFilter{}, fleet.ListQuery{}); err != nil || len(l.Items) != 0 {
		t.Fatalf("still in the list: %v, %v", l.Items, err)
	}
	if c, err := w.Overview(ctx, w.admin); err != nil || c.Devices != 0 || len(c.ByState) != 0 {
		t.Fatalf("still counted: %+v, %v", c, err)
	}
	w.reopen()
	if _, err := w.Identify(ctx, cert); err != nil {
		t.Fatalf("the door is closed before the removal was fetched: %v", err)
	}
	wantSteps(t, p.call(), "remove:passcode", "query:profiles", "query:certificates", "unenrol")
	_, err := w.Device(ctx, w.admin, d.ID)
	wantKind(t, err, fleet.ErrNotFound)
	_, err = w.Identify(ctx, cert)
	wantKind(t, err, fleet.ErrUnrecognized)
	_, err = w.Exchange(ctx, p.contact(), nil)
	wantKind(t, err, fleet.ErrUnrecognized)
	if rc := w.receipt(d.ID); rc.Outcome != "proved" || rc.Kind != "delete" {
		t.Fatalf("receipt: %+v", rc)
	} else {
		purgeIsLogged(t, w, d, rc)
	}
	if n, err := w.ProfileCounts(ctx, w.admin, pass.ID); err != nil || len(n) != 0 {
		t.Fatalf("rows left: %v, %v", n, err)
	}
}

// purgeIsLogged looks at what the log keeps of a purge: that it happened, by whose order and where its proof stands, and nothing of what went.
func purgeIsLogged(t *testing.T, w *planWorld, d *fleet.Device, rc *fleet.Receipt) {
	t.Helper()
	l, err := w.Audit(ctx, w.admin, fleet.AuditQuery{Verb: "delete", Object: "device/" + string(d.ID)})
	var purge *fleet.AuditRecord
	for _, r := range l.Items {
		if r.Actor == "removal" {
			purge = r
		}
	}
	if err != nil || purge == nil {
		t.Fatalf("no record of the purge: %v, %v", l.Items, err)
	}
	for _, gone := range []string{d.Name, d.Serial, d.Hardware, d.Model} {
		if gone != "" && (purge.Label == gone || strings.Contains(string(purge.Before)+string(purge.After), `"`+gone+`"`)) {
			t.Errorf("%q was purged and stands in the log: %q %s %s", gone, purge.Label, purge.Before, purge.After)
		}
	}
	for _, kept := range []string{w.admin.Name, string(rc.ID), string(d.Enrolment)} {
		if !strings.Contains(string(purge.After), `"`+kept+`"`) {
			t.Errorf("the log does not say %q: %s", kept, purge.After)
		}
	}
}

func TestPINOutlivesTheDevice(t *testing.T) {
	w := newPlanWorld(t)
	p := w.phone("M1")
	p.platform = fleet.MacOS
	d := p.enrol(w.ticket(fleet.Corporate, fleet.MacOS))
	p.call()
	lock := w.act(p, fleet.ActLock)
	p.call()
	pin := p.orders[len(p.orders)-1].PIN
	if len(pin) != 6 {
		t.Fatalf("PIN %q", pin)
	}
	if w.holds(pin) {
		t.Error("the PIN stands in the store unsealed")
	}
	w.act(p, fleet.ActDelete)
	p.call()
	if _, err := w.Device(ctx, w.admin, d.ID); !errors.Is(err, fleet.ErrNotFound) {
		t.Fatalf("still there: %v", err)
	}
	got, err := w.RevealPIN(ctx, w.admin, lock.ID)
	if err != nil || got != pin {
		t.Fatalf("got %q, %v; want %q", got, err, pin)
	}
	_, err = w.RevealPIN(ctx, fleet.Actor{Kind: fleet.ActorAdmin, Permissions: map[fleet.Permission]bool{fleet.DevicesRead: true}, AllTags: true}, lock.ID)
	wantKind(t, err, fleet.ErrForbidden)
	l, err := w.Audit(ctx, w.admin, fleet.AuditQuery{Verb: "reveal-pin"})
	if err != nil || len(l.Items) != 1 {
		t.Fatalf("log: %v, %v", l.Items, err)
	}
}

func TestRefusedRemoval(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	w.toAll(root, id)
	p := w.phone("A1")
	p.issue = true
	e := w.ticket(fleet.Corporate, fleet.IOS)
	cert, _ := w.managementCertificate(e, 0)
	d := p.enrol(e)
	p.call()
	no := fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Reason{Code: "apple.error", DeviceWords: "Unknown request type (12021)"}}
	p.refuse["remove:access"], p.refuse["unenrol"] = no, no
	w.act(p, fleet.ActRetire)
	wantSteps(t, p.call(), "remove:access", "query:profiles", "query:certificates", "unenrol")
	rc := w.receipt(d.ID)
	certs := row(rc, "certificates")
	if rc.Outcome != "open" || certs.Proved != "not-proved" || certs.Why.DeviceWords != no.Reason.DeviceWords || len(certs.Serials) != 1 {
		t.Fatalf("certificates: %+v", certs)
	}
	if m := row(rc, "management"); m.Proved != "not-proved" || m.Why.DeviceWords != no.Reason.DeviceWords {
		t.Fatalf("management: %+v", m)
	}
	wantSteps(t, p.call())
	w.sleep(6 * time.Minute)
	wantSteps(t, p.call(), "remove:access", "query:profiles", "query:certificates", "unenrol")
	if err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if d := w.device(p); d.State != fleet.Retiring {
		t.Fatalf("state: %s", d.State)
	}
	w.sleep(31 * 24 * time.Hour)
	if err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if d := w.device(p); d.State != fleet.Closed {
		t.Fatalf("state: %s", d.State)
	}
	rc = w.receipt(d.ID)
	if rc.Outcome != "partly" || rc.Closed == nil || row(rc, "certificates").Proved != "not-proved" {
		t.Fatalf("receipt: %+v", rc)
	}
	_, err := w.Identify(ctx, cert)
	wantKind(t, err, fleet.ErrUnrecognized)
}

func TestLeave(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	w.toAll(root, id)
	p := w.phone("A1")
	p.issue = true
	d := p.enrol(w.ticket(fleet.Personal, fleet.IOS))
	p.call()
	for range 2 { // telling it twice changes nothing
		if err := w.Leave(ctx, p.contact()); err != nil {
			t.Fatal(errText(err))
		}
	}
	if d := w.device(p); d.State != fleet.Left {
		t.Fatalf("state: %s", d.State)
	}
	rc := w.receipt(d.ID)
	if rc.Kind != "left" || rc.Outcome != "proved" || len(row(rc, "certificates").Serials) != 1 || row(rc, "management").Evidence[0].What != "check-out" {
		t.Fatalf("receipt: %+v", rc)
	}
	l, err := w.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
	if err != nil || len(l.Items) != 1 {
		t.Fatalf("receipts: %d, %v", len(l.Items), err)
	}
	t.Run("during a removal it is the proof", func(t *testing.T) {
		q := w.managed("B2", fleet.Personal)
		a := w.act(q, fleet.ActRetire)
		q.loseReply = func(o *fleet.Order) bool { return o.Step.Kind == fleet.StepUnenrol }
		q.call()
		if err := w.Leave(ctx, q.contact()); err != nil {
			t.Fatal(errText(err))
		}
		w.wantAction(a.ID, fleet.ActionDone)
		if rc := w.receipt(q.identity.Device); rc.Outcome != "proved" {
			t.Fatalf("receipt: %+v", rc)
		}
	})
}

func TestForbiddenFacts(t *testing.T) {
	for _, c := range []struct {
		own  fleet.Ownership
		imei bool
	}{{fleet.Personal, false}, {fleet.Corporate, true}} {
		t.Run(string(c.own), func(t *testing.T) {
			w := newPlanWorld(t)
			p := w.phone("A1")
			p.facts = map[fleet.FactKey]any{fleet.FactOSVersion: "19.3", fleet.FactIMEI: "356938035643809", fleet.FactLocation: "52.37,4.90-secret", "never-declared": "undeclared-secret"}
			p.apps = []fleet.App{{ID: "org.private.diary", Name: "private-diary"}}
			p.enrol(w.ticket(c.own, fleet.IOS))
			p.call()
			asked := 0
			for _, o := range p.orders {
				if o.Step.Query == fleet.QueryDevice {
					asked++
					if slices.Contains(o.Facts, fleet.FactIMEI) != c.imei {
						t.Errorf("asked for %v", o.Facts)
					}
				}
			}
			if asked != 1 {
				t.Fatalf("asked %d times", asked)
			}
			for text, may := range map[string]bool{"19.3": true, "356938035643809": c.imei, "52.37,4.90-secret": false, "undeclared-secret": false, "private-diary": c.imei} {
				if got := w.holds(text); got != may {
					t.Errorf("store holds %q: %t, want %t", text, got, may)
				}
			}
		})
	}
}

// A fact that a later answer lacks is kept with its own time, and is said to be reported no longer since then, until it is told again.
func TestFactsThatAnswersLack(t *testing.T) {
	w := newPlanWorld(t)
	p := w.phone("A1")
	p.facts = map[fleet.FactKey]any{fleet.FactSerial: "A1", fleet.FactOSVersion: "19.3", fleet.FactIMEI: "356938035643809"}
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.call()
	fact := func(k fleet.FactKey) fleet.Fact {
		t.Helper()
		list, err := w.Facts(ctx, w.admin, p.identity.Device)
		i := slices.IndexFunc(list, func(x fleet.Fact) bool { return x.Key == k })
		if err != nil || i < 0 {
			t.Fatalf("no %s: %v, %v", k, list, err)
		}
		return list[i]
	}
	told := fact(fleet.FactIMEI)
	if !told.Lacked.IsZero() {
		t.Fatalf("told just now, and said to be lacking: %+v", told)
	}
	delete(p.facts, fleet.FactIMEI)
	w.sleep(25 * time.Hour)
	since := w.now()
	p.call()
	for range 2 { // the first answer without it counts, not the last
		if x := fact(fleet.FactIMEI); x.Value != told.Value || !x.At.Equal(told.At) || x.Lacked.Before(since) || x.Lacked.After(since.Add(time.Hour)) {
			t.Fatalf("got %+v, told %+v, no longer since %v", x, told, since)
		}
		if x := fact(fleet.FactOSVersion); !x.Lacked.IsZero() || x.At.Before(since) {
			t.Fatalf("told again, and said to be lacking: %+v", x)
		}
		w.sleep(25 * time.Hour)
		p.call()
	}
	p.facts[fleet.FactIMEI] = "490154203237518"
	w.sleep(25 * time.Hour)
	p.call()
	if x := fact(fleet.FactIMEI); x.Value != "490154203237518" || !x.Lacked.IsZero() {
		t.Fatalf("told again: %+v", x)
	}
}

func TestOneSerialTwice(t *testing.T) {
	w := newPlanWorld(t)
	a := w.managed("SAME", fleet.Corporate)
	b := w.phone("SAME")
	b.hardware = "HW-other"
	b.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	for _, p := range []*phone{a, b} {
		d := w.device(p)
		if d.Warning == nil || d.Warning.Code != "device.serial-twice" {
			t.Fatalf("no warning on %s", d.ID)
		}
		if s, err := w.Standing(ctx, w.admin, d.ID); err != nil || s.Well {
			t.Fatalf("standing: %+v, %v", s, err)
		}
	}
	if a.identity.Device == b.identity.Device {
		t.Fatal("merged")
	}
	needs, err := w.Needs(ctx, w.admin)
	if err != nil || !slices.ContainsFunc(needs, func(n fleet.Need) bool { return strings.Contains(n.Reason.Code, "serial") }) {
		t.Errorf("needs: %+v, %v", needs, err)
	}
	b.call()
	w.act(b, fleet.ActRetire)
	b.call()
	if d := w.device(a); d.Warning != nil {
		t.Errorf("the warning outlives its cause: %+v", d.Warning)
	}
}

func TestWakes(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	w.wakeUp()
	if n := w.push.count(); n != 0 {
		t.Fatalf("%d pushes to a device with nothing to do", n)
	}
	pass := w.passcode()
	w.toAll(pass)
	w.sleep(2 * time.Second)
	w.wakeUp()
	if n := w.push.count(); n != 1 || string(w.push.sent[0].Address) != "address of A1" {
		t.Fatalf("%d pushes", n)
	}
	t.Run("again with back-off while it does not call", func(t *testing.T) {
		for i, wait := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
			w.sleep(wait - 10*time.Second)
			w.wakeUp()
			if n := w.push.count(); n != i+1 {
				t.Fatalf("push %d comes before %s: %d", i+2, wait, n)
			}
			w.sleep(11 * time.Second)
			w.wakeUp()
			if n := w.push.count(); n != i+2 {
				t.Fatalf("push %d does not come after %s: %d", i+2, wait, n)
			}
		}
	})
	t.Run("no more once it called", func(t *testing.T) {
		p.call()
		n := w.push.count()
		w.sleep(2 * time.Hour)
		w.wakeUp()
		if w.push.count() != n {
			t.Fatal("pushed though nothing is to be done")
		}
		w.sleep(25 * time.Hour) // facts are asked daily
		w.wakeUp()
		if w.push.count() != n+1 {
			t.Fatal("not pushed though its facts are old")
		}
		p.call()
	})
	t.Run("what hinders a push is the reason", func(t *testing.T) {
		w.push.say = func(fleet.Wake) fleet.WakeResult { return fleet.WakeResult{Reason: fleet.Why("push.expired")} }
		a := w.act(p, fleet.ActLock)
		w.sleep(2 * time.Second)
		w.wakeUp()
		if s, err := w.Standing(ctx, w.admin, p.identity.Device); err != nil || s.Reason.Code != "push.expired" {
			t.Fatalf("standing: %+v, %v", s, err)
		}
		p.call()
		w.wantAction(a.ID, fleet.ActionDone)
	})
	t.Run("a dead address is silent until the device reaches us", func(t *testing.T) {
		w.push.say = func(fleet.Wake) fleet.WakeResult { return fleet.WakeResult{Dead: true, Reason: fleet.Why("push.dead")} }
		w.act(p, fleet.ActLock)
		w.sleep(2 * time.Second)
		w.wakeUp()
		n := w.push.count()
		w.sleep(48 * time.Hour)
		w.wakeUp()
		if w.push.count() != n {
			t.Fatal("pushed a dead address")
		}
		w.push.say = nil
		if _, err := w.Reach(ctx, p.contact(), []byte("new address")); err != nil {
			t.Fatal(err)
		}
		w.sleep(2 * time.Second)
		w.wakeUp()
		if w.push.count() != n+1 {
			t.Fatal("not pushed at the new address")
		}
		p.call()
	})
	t.Run("and the proof of a removal", func(t *testing.T) {
		a := w.act(p, fleet.ActRetire)
		p.loseReply = func(o *fleet.Order) bool { return o.Step.Kind == fleet.StepUnenrol }
		p.call()
		w.push.say = func(fleet.Wake) fleet.WakeResult { return fleet.WakeResult{Dead: true} }
		w.sleep(2 * time.Minute)
		w.wakeUp()
		w.wantAction(a.ID, fleet.ActionDone)
		rc := w.receipt(p.identity.Device)
		if rc.Outcome != "proved" || row(rc, "management").Evidence[0].What != "push-410" {
			t.Fatalf("receipt: %+v", rc)
		}
	})
}

func TestIdleCallsCostNoWrite(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	p.call()
	before := w.db.Syncs()
	seen := w.device(p).LastSeen
	for range 50 {
		wantSteps(t, p.call())
	}
	if n := w.db.Syncs() - before; n != 0 {
		t.Fatalf("%d commits for nothing", n)
	}
	if d := w.device(p); !d.LastSeen.After(seen) {
		t.Fatal("last contact is not known")
	}
	w.sleep(24 * time.Hour)
	p.call()
	if err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	if d := w.device(p); !d.LastSeen.After(seen.Add(23 * time.Hour)) {
		t.Fatalf("last contact was not written: %s", d.LastSeen)
	}
	c, err := w.Overview(ctx, w.admin)
	if err != nil || len(c.CheckIns) != 30 || c.CheckIns[29].N != 1 || c.CheckIns[28].N != 1 {
		t.Fatalf("check-ins: %+v, %v", c.CheckIns, err)
	}
	t.Run("but a change is seen at the next call", func(t *testing.T) {
		p.call()
		w.act(p, fleet.ActLock)
		wantSteps(t, p.call(), "action:lock")
		wantSteps(t, p.call())
		pass := w.passcode()
		if err := w.Assign(ctx, w.admin, pass.ID, []fleet.Assignment{{To: "all-devices"}}, false); err != nil {
			t.Fatal(errText(err))
		}
		if steps := p.call(); len(steps) == 0 || steps[0] != "install:passcode" { // though the fan-out has not run
			t.Fatalf("steps: %v", steps)
		}
	})
}

func TestIdentityRenewal(t *testing.T) {
	w := newPlanWorld(t)
	p := w.phone("A1")
	e := w.ticket(fleet.Corporate, fleet.IOS)
	first, fp := w.managementCertificate(e, 0)
	if _, err := w.Identify(ctx, first); err != nil {
		t.Fatal(err)
	}
	p.identity.Fingerprint = fp
	d := p.enrol(e)
	p.identity.Fingerprint = fp
	if _, err := w.Reach(ctx, p.contact(), []byte("address")); err != nil {
		t.Fatal(err)
	}
	p.call()
	w.sleep(310 * 24 * time.Hour)
	p.refuse["renew"] = fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Why("apple.error")}
	if steps := p.call(); steps[0] != "renew" {
		t.Fatalf("steps: %v", steps)
	}
	for range 6 { // a failed try never ends the tries
		w.sleep(25 * time.Hour)
		if steps := p.call(); steps[0] != "renew" {
			t.Fatalf("steps: %v", steps)
		}
	}
	delete(p.refuse, "renew")
	w.sleep(25 * time.Hour)
	p.call()
	if o := p.orders[len(p.orders)-1]; o == nil {
		t.Fatal("no order")
	}
	second, fp2 := w.managementCertificate(e, 0)
	if _, err := w.Identify(ctx, first); err != nil {
		t.Fatalf("the old identity ended before the new one was seen: %v", err)
	}
	if _, err := w.Identify(ctx, second); err != nil {
		t.Fatal(err)
	}
	_, err := w.Identify(ctx, first)
	wantKind(t, err, fleet.ErrIdentity)
	p.identity.Fingerprint = fp2
	w.sleep(25 * time.Hour)
	if steps := p.call(); slices.Contains(steps, "renew") {
		t.Fatalf("renewed again: %v", steps)
	}
	_ = d
}

func TestAccessCertificateRenewal(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	w.toAll(root, id)
	p := w.phone("A1")
	p.issue = true
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.call()
	one := p.certs[0]
	t.Run("some time before its end", func(t *testing.T) {
		w.sleep(340 * 24 * time.Hour)
		steps := p.call()
		if steps[0] != "install:access" || len(p.certs) != 2 {
			t.Fatalf("steps: %v", steps)
		}
		wantSteps(t, p.call())
		p.certs = p.certs[1:]
	})
	t.Run("after it was revoked", func(t *testing.T) {
		l, err := w.Certificates(ctx, w.admin, fleet.CertificateFilter{Device: p.identity.Device, State: fleet.CertificateLive}, fleet.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range l.Items {
			if c.Purpose == "access" {
				n++
				if c.Fingerprint == one {
					t.Error("the older certificate outlives the newer one's arrival")
				}
				if err := w.RevokeCertificate(ctx, w.admin, c.Serial); err != nil {
					t.Fatal(errText(err))
				}
			}
		}
		if n != 1 {
			t.Fatalf("%d live certificates", n)
		}
		if steps := p.call(); steps[0] != "install:access" {
			t.Fatalf("steps: %v", steps)
		}
		wantSteps(t, p.call())
		p.certs = p.certs[1:]
	})
	t.Run("after it vanished", func(t *testing.T) {
		p.certs = nil
		w.sleep(25 * time.Hour)
		p.call()
		if len(p.certs) != 1 {
			t.Fatalf("certificates: %d", len(p.certs))
		}
		wantSteps(t, p.call())
	})
}

func TestStranger(t *testing.T) {
	w := newPlanWorld(t)
	cert, _ := w.managementCertificate("01GONE", 0)
	for range 3 {
		_, err := w.Identify(ctx, cert)
		wantKind(t, err, fleet.ErrNoRecord)
	}
	needs, err := w.Needs(ctx, w.admin)
	if err != nil || !slices.ContainsFunc(needs, func(n fleet.Need) bool {
		return strings.Contains(n.Reason.Code, "stranger") || strings.Contains(n.Reason.Code, "unknown")
	}) {
		t.Errorf("needs: %+v, %v", needs, err)
	}
	_, err = w.Identify(ctx, w.ca.Root())
	if err == nil {
		t.Fatal("a CA is a device")
	}
}

func TestSweepEndsEnrolmentsNeverBegun(t *testing.T) {
	w := newPlanWorld(t)
	e := w.ticket(fleet.Corporate, fleet.IOS)
	w.sleep(48 * time.Hour)
	if err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := w.phone("A1").tryEnrol(e)
	wantKind(t, err, fleet.ErrGone)
}

func TestScope(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	d := w.device(p)
	if _, err := w.UpdateDevice(ctx, w.admin, d.ID, fleet.DeviceInput{Tags: &[]fleet.Tag{"north"}}); err != nil {
		t.Fatal(errText(err))
	}
	all := w.admin.Permissions
	south := fleet.Actor{Kind: fleet.ActorAdmin, ID: "s", Permissions: all, Tags: []fleet.Tag{"south"}}
	nobody := fleet.Actor{}
	for name, call := range map[string]func(fleet.Actor) error{
		"device":   func(a fleet.Actor) error { _, err := w.Device(ctx, a, d.ID); return err },
		"facts":    func(a fleet.Actor) error { _, err := w.Facts(ctx, a, d.ID); return err },
		"apps":     func(a fleet.Actor) error { _, err := w.Apps(ctx, a, d.ID); return err },
		"timeline": func(a fleet.Actor) error { _, err := w.Timeline(ctx, a, d.ID, fleet.ListQuery{}); return err },
		"standing": func(a fleet.Actor) error { _, err := w.Standing(ctx, a, d.ID); return err },
		"choices":  func(a fleet.Actor) error { _, err := w.ActionChoices(ctx, a, d.ID); return err },
		"act": func(a fleet.Actor) error {
			_, err := w.Act(ctx, a, d.ID, fleet.ActLock, fleet.ActionOptions{}, "")
			return err
		},
		"preview": func(a fleet.Actor) error { _, err := w.RemovalPreview(ctx, a, d.ID, fleet.ActRetire); return err },
		"update":  func(a fleet.Actor) error { _, err := w.UpdateDevice(ctx, a, d.ID, fleet.DeviceInput{}); return err },
		"actions": func(a fleet.Actor) error { _, err := w.Actions(ctx, a, d.ID, fleet.ListQuery{}); return err },
	} {
		wantKind(t, call(south), fleet.ErrNotFound)
		if err := call(nobody); !errors.Is(err, fleet.ErrForbidden) {
			t.Errorf("%s by nobody: %v", name, err)
		}
		if err := call(fleet.Actor{Kind: fleet.ActorAdmin, ID: "n", Permissions: all, Tags: []fleet.Tag{"north"}}); err != nil {
			t.Errorf("%s within scope: %v", name, err)
		}
	}
	l, err := w.Devices(ctx, south, fleet.DeviceFilter{}, fleet.ListQuery{})
	if err != nil || len(l.Items) != 0 {
		t.Fatalf("list: %v, %v", l.Items, err)
	}
	if c, err := w.Overview(ctx, south); err != nil || c.Devices != 0 {
		t.Fatalf("overview: %+v, %v", c, err)
	}
	_, err = w.Act(ctx, fleet.Actor{Kind: fleet.ActorAdmin, Permissions: map[fleet.Permission]bool{fleet.DevicesRead: true}, AllTags: true}, d.ID, fleet.ActRetire, fleet.ActionOptions{}, d.Name)
	wantKind(t, err, fleet.ErrForbidden)
}

func TestDeviceList(t *testing.T) {
	w := newPlanWorld(t)
	var ids []fleet.DeviceID
	for i := range 7 {
		p := w.phone("L" + string(rune('0'+i)))
		ids = append(ids, p.enrol(w.ticket(fleet.Corporate, fleet.IOS)).ID)
		w.sleep(time.Hour)
	}
	var got []fleet.DeviceID
	cursor := ""
	for range 10 {
		l, err := w.Devices(ctx, w.admin, fleet.DeviceFilter{State: fleet.Managed}, fleet.ListQuery{Limit: 3, Cursor: cursor})
		if err != nil {
			t.Fatal(errText(err))
		}
		for _, d := range l.Items {
			got = append(got, d.ID)
		}
		if cursor = l.Next; cursor == "" {
			break
		}
	}
	slices.Reverse(ids)
	if !slices.Equal(got, ids) {
		t.Fatalf("pages: %v, want %v", got, ids)
	}
	l, err := w.Devices(ctx, w.admin, fleet.DeviceFilter{}, fleet.ListQuery{Search: "l3"})
	if err != nil || len(l.Items) != 1 || l.Items[0].Serial != "L3" {
		t.Fatalf("search: %v, %v", l.Items, err)
	}
	l, err = w.Devices(ctx, w.admin, fleet.DeviceFilter{SilentFor: 5*time.Hour + time.Minute}, fleet.ListQuery{})
	if err != nil || len(l.Items) != 2 {
		t.Fatalf("silent: %d, %v", len(l.Items), err)
	}
	if err := w.db.View(ctx, func(store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestPersonalDeviceGivesAwayNoMore(t *testing.T) {
	w := newPlanWorld(t)
	p := w.phone("A1")
	e := w.ticket(fleet.Personal, fleet.IOS)
	p.identity = fleet.Identity{Enrolment: e}
	c := p.contact()
	c.From = "203.0.113.77"
	d, err := w.Enrol(ctx, c, fleet.EnrolInput{Hardware: p.hardware, Platform: fleet.IOS, Name: "Anna's secret phone", Facts: map[fleet.FactKey]any{fleet.FactModelName: "iPhone 17", fleet.FactDeviceName: "Anna's secret phone"}})
	if err != nil {
		t.Fatal(errText(err))
	}
	if d.Name != "iPhone 17 (Anna)" {
		t.Errorf("name: %s", d.Name)
	}
	p.identity.Device, p.enrolled = d.ID, true
	c = p.contact()
	c.From = "203.0.113.77"
	if _, err := w.Reach(ctx, c, []byte("address")); err != nil {
		t.Fatal(err)
	}
	if err := w.KeepSecret(ctx, c, string(fleet.FactUnlockToken), []byte("unlock")); err != nil {
		t.Fatal(err)
	}
	_, err = w.ReadSecret(ctx, c, string(fleet.FactUnlockToken))
	wantKind(t, err, fleet.ErrNotFound)
	wantKind(t, w.KeepSecret(ctx, c, "undeclared", []byte("x")), fleet.ErrInvalid)
	p.call()
	if err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"203.0.113.77", "secret phone"} {
		if w.holds(text) {
			t.Errorf("the store holds %q", text)
		}
	}
}

func TestDeviceSecrets(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	name := string(fleet.FactUnlockToken)
	if err := w.KeepSecret(ctx, p.contact(), name, []byte("open sesame")); err != nil {
		t.Fatal(err)
	}
	if w.holds("open sesame") {
		t.Error("kept unsealed")
	}
	got, err := w.ReadSecret(ctx, p.contact(), name)
	if err != nil || string(got) != "open sesame" {
		t.Fatalf("%q, %v", got, err)
	}
	l, err := w.Audit(ctx, w.admin, fleet.AuditQuery{Verb: "read-secret"})
	if err != nil || len(l.Items) != 1 {
		t.Fatalf("log: %v, %v", l.Items, err)
	}
	w.act(p, fleet.ActRetire)
	p.call()
	_, err = w.ReadSecret(ctx, p.contact(), name)
	wantKind(t, err, fleet.ErrUnrecognized)
}

func TestApps(t *testing.T) {
	list := []fleet.App{{ID: "org.private.diary", Name: "private-diary"}, {ID: "org.example.mail", Managed: true}}
	for _, c := range []struct {
		name     string
		own      fleet.Ownership
		switched bool
		want     []string
	}{
		{"personal", fleet.Personal, false, nil},
		{"personal, switched on and accepted", fleet.Personal, true, []string{"org.example.mail"}},
		{"corporate", fleet.Corporate, false, []string{"org.example.mail", "org.private.diary"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newPlanWorld(t)
			if c.switched {
				s, err := w.Settings(ctx)
				if err != nil {
					t.Fatal(err)
				}
				s.Organisation, s.URL, s.Switches = "Example", "https://muster.example.org", map[string]bool{fleet.SwitchManagedApps: true}
				if _, err := w.SaveSettings(ctx, w.admin, *s); err != nil {
					t.Fatal(errText(err))
				}
			}
			p := w.phone("A1")
			p.apps = list
			d := p.enrol(w.ticket(c.own, fleet.IOS))
			p.call()
			apps, err := w.Apps(ctx, w.admin, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range apps {
				got = append(got, a.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if want := c.own == fleet.Corporate; w.holds("private-diary") != want {
				t.Errorf("the person's own app is stored: %t", !want)
			}
		})
	}
}
