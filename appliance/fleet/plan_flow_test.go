package fleet_test

import (
	"testing"
	"time"

	"muster/appliance/fleet"
)

func TestFromEnrolmentToReceipt(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	pass := w.passcode()
	mail := w.email()
	w.toAll(root, id, mail, pass)

	p := w.phone("A1")
	p.issue = true
	e := w.ticket(fleet.Corporate, fleet.IOS)
	cert, _ := w.managementCertificate(e, 0)
	who, err := w.Identify(ctx, cert)
	if err != nil || who.Enrolment != e || who.Device != "" {
		t.Fatalf("before the first message: %+v, %v", who, err)
	}
	d := p.enrol(e)
	if d.State != fleet.Managed || d.Serial != "A1" || d.Person != w.anna.ID {
		t.Fatalf("device: %+v", d)
	}
	if who, err = w.Identify(ctx, cert); err != nil || who.Device != d.ID {
		t.Fatalf("afterwards: %+v, %v", who, err)
	}
	p.identity = *who
	w.wantStatus(p, pass, fleet.StatusPending, "waiting.contact")

	wantSteps(t, p.call(), "install:access", "install:passcode", "query:profiles", "query:device", "query:certificates", "query:managed-apps")
	for _, pr := range []*fleet.Profile{root, id, mail, pass} {
		if r := w.wantStatus(p, pr, fleet.StatusSucceeded, "profile.confirmed"); r.Evidence.What != "profile-list" || r.Evidence.None() {
			t.Fatalf("evidence of %s: %+v", pr.Name, r.Evidence)
		}
	}
	if s, err := w.Standing(ctx, w.admin, d.ID); err != nil || !s.Well {
		t.Fatalf("standing: %+v, %v", s, err)
	}
	wantSteps(t, p.call())

	lock := w.act(p, fleet.ActLock)
	wantSteps(t, p.call(), "action:lock")
	if a := w.wantAction(lock.ID, fleet.ActionDone); a.Evidence.None() {
		t.Fatal("a lock is done without evidence")
	}

	retire := w.act(p, fleet.ActRetire)
	open := w.receipt(d.ID)
	if open.Outcome != "open" || len(row(open, "certificates").Serials) != 1 || row(open, "certificates").Evidence[0].What != "revocation" {
		t.Fatalf("open receipt: %+v", open)
	}
	if c, err := w.Certificates(ctx, w.admin, fleet.CertificateFilter{Device: d.ID}, fleet.ListQuery{}); err != nil || len(c.Items) != 2 {
		t.Fatalf("certificates: %+v, %v", c, err)
	}
	w.wantStatus(p, mail, fleet.StatusRemoving, "")
	wantSteps(t, p.call(), "remove:passcode", "remove:access", "query:profiles", "query:certificates", "unenrol")
	w.wantAction(retire.ID, fleet.ActionDone)
	rc := w.receipt(d.ID)
	if rc.Outcome != "proved" || rc.Closed == nil || rc.Kind != "retire" || rc.Person != "Anna" {
		t.Fatalf("receipt: %+v", rc)
	}
	for _, r := range rc.Rows {
		switch r.Data {
		case "other-apps", "wifi-vpn":
			if r.Proved != "not-needed" {
				t.Errorf("row %s: %s", r.Data, r.Proved)
			}
		default:
			if r.Proved != "proved" || len(r.Evidence) == 0 {
				t.Errorf("row %s: %s %+v", r.Data, r.Proved, r.Evidence)
			}
		}
	}
	if d := w.device(p); d.State != fleet.Retired {
		t.Fatalf("state: %s", d.State)
	}
	_, err = w.Identify(ctx, cert)
	wantKind(t, err, fleet.ErrUnrecognized)
	_, err = w.Exchange(ctx, p.contact(), nil)
	wantKind(t, err, fleet.ErrUnrecognized)
	if broken, n, err := w.VerifyAudit(ctx, w.admin); err != nil || broken != 0 || n == 0 {
		t.Fatalf("log: broken %d of %d, %v", broken, n, err)
	}
}

func TestLostAnswerKeepsTheOrder(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	w.toAll(root, id)
	p := w.phone("A1")
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.loseReply = func(*fleet.Order) bool { return true }
	wantSteps(t, p.call(), "install:access")
	wantSteps(t, p.call(), "install:access")
	w.reopen()
	wantSteps(t, p.call(), "install:access")
	p.loseReply = nil
	p.call()
	first, again, third := p.orders[0], p.orders[1], p.orders[2]
	if first.ID != again.ID || again.ID != third.ID || p.orders[3].ID != first.ID {
		t.Fatalf("orders: %s %s %s", first.ID, again.ID, third.ID)
	}
	if first.Secrets[id.ID] == "" || first.Secrets[id.ID] == again.Secrets[id.ID] {
		t.Fatal("the challenge of a repeated order is not fresh")
	}
	w.wantStatus(p, id, fleet.StatusSucceeded, "")
}

func TestNotNow(t *testing.T) {
	w := newPlanWorld(t)
	pass, mail := w.passcode(), w.email()
	w.toAll(pass, mail)
	p := w.phone("A1")
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.postpone["install:access"] = 3
	for i := range 3 {
		steps := p.call()
		n := 0
		for _, s := range steps {
			if s == "install:access" {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("run %d offers it %d times: %v", i, n, steps)
		}
		w.wantStatus(p, mail, fleet.StatusPending, "waiting.unlock")
		w.wantStatus(p, pass, fleet.StatusSucceeded, "")
	}
	p.call()
	w.wantStatus(p, mail, fleet.StatusSucceeded, "")
	// a device that only ever says "not now" never ends a run in a loop, and keeps being asked
	p.postpone["query:device"] = 1000
	for range 5 {
		w.sleep(25 * time.Hour)
		p.call()
	}
}

func TestAnswersThatDoNotCount(t *testing.T) {
	w := newPlanWorld(t)
	pass := w.passcode()
	w.toAll(pass)
	p := w.phone("A1")
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.call()
	install := p.orders[0]
	t.Run("a second time", func(t *testing.T) {
		before := w.status(p, pass)
		o, err := w.Exchange(ctx, p.contact(), &fleet.Answer{Order: install.ID, Outcome: fleet.Failed, Reason: fleet.Why("x")})
		if err != nil || o != nil {
			t.Fatalf("%+v, %v", o, err)
		}
		if after := w.status(p, pass); after.Status != before.Status || after.Evidence != before.Evidence {
			t.Fatalf("got %+v, want %+v", after, before)
		}
	})
	t.Run("to an order nobody gave", func(t *testing.T) {
		if o, err := w.Exchange(ctx, p.contact(), &fleet.Answer{Order: "01INVENTED", Outcome: fleet.Done}); err != nil || o != nil {
			t.Fatalf("%+v, %v", o, err)
		}
	})
	t.Run("to another device's order", func(t *testing.T) {
		other := w.phone("B2")
		other.enrol(w.ticket(fleet.Corporate, fleet.IOS))
		other.loseReply = func(*fleet.Order) bool { return true }
		other.call()
		if _, err := w.Exchange(ctx, p.contact(), &fleet.Answer{Order: other.orders[0].ID, Outcome: fleet.Done}); err != nil {
			t.Fatal(err)
		}
		w.wantStatus(other, pass, fleet.StatusPending, "")
	})
}

func TestAtMostOnce(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	a := w.act(p, fleet.ActRestart)
	p.loseReply = func(o *fleet.Order) bool { return o.Step.Kind == fleet.StepAction }
	wantSteps(t, p.call(), "action:restart")
	w.wantAction(a.ID, fleet.ActionSent)
	wantSteps(t, p.call())
	w.wantAction(a.ID, fleet.ActionUnknown)
	wantSteps(t, p.call())
	if _, err := w.Exchange(ctx, p.contact(), &fleet.Answer{Order: p.orders[len(p.orders)-1].ID, Outcome: fleet.Done}); err != nil {
		t.Fatal(err)
	}
	w.wantAction(a.ID, fleet.ActionDone) // the answer came late, and it is the truth

	b := w.act(p, fleet.ActRestart)
	w.sleep(16 * time.Minute)
	p.loseReply = nil
	wantSteps(t, p.call())
	if err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	w.wantAction(b.ID, fleet.ActionExpired)
}

func TestAccountExists(t *testing.T) {
	w := newPlanWorld(t)
	root := w.profile(fleet.TypeTrustedRoot, map[string]any{"source": "internal"})
	mail := w.email()
	w.toAll(root, mail)
	p := w.phone("A1")
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	taken := fleet.Answer{Outcome: fleet.Failed, Account: true, Blames: fleet.TypeEmail, Reason: fleet.Reason{Code: "apple.account-exists", DeviceWords: "The account is not unique."}}
	p.refuse["install:access"] = taken
	c := p.contact()
	c.NewRun = true
	o, err := w.Exchange(ctx, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err = w.Exchange(ctx, p.contact(), p.do(o))
	if err != nil || o == nil || stepOf(o) != "install:access" || len(o.Profiles) != 1 || o.Profiles[0].ID != root.ID {
		t.Fatalf("the rest is not delivered without it: %+v, %v", o, err)
	}
	delete(p.refuse, "install:access")
	if _, err = w.Exchange(ctx, p.contact(), p.do(o)); err != nil {
		t.Fatal(err)
	}
	p.call()
	r := w.wantStatus(p, mail, fleet.StatusWaitsPerson, "apple.account-exists")
	if r.Reason.DeviceWords != "The account is not unique." || r.NextTry == nil {
		t.Fatalf("row: %+v", r)
	}
	w.wantStatus(p, root, fleet.StatusSucceeded, "")
	wantSteps(t, p.call())

	t.Run("tried again daily", func(t *testing.T) {
		w.sleep(25 * time.Hour)
		p.refuse["install:access"] = taken
		steps := p.call()
		if steps[0] != "install:access" {
			t.Fatalf("steps: %v", steps)
		}
		w.wantStatus(p, mail, fleet.StatusWaitsPerson, "")
		w.wantStatus(p, root, fleet.StatusSucceeded, "")
	})
	t.Run("and when somebody says that the account is gone", func(t *testing.T) {
		delete(p.refuse, "install:access")
		if err := w.RetryProfile(ctx, w.admin, p.identity.Device, mail.ID); err != nil {
			t.Fatal(errText(err))
		}
		p.call()
		w.wantStatus(p, mail, fleet.StatusSucceeded, "")
	})
}

func TestRefusedInstall(t *testing.T) {
	w := newPlanWorld(t)
	pass := w.passcode()
	w.toAll(pass)
	p := w.phone("A1")
	p.refuse["install:passcode"] = fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Reason{Code: "apple.error", DeviceWords: "No."}}
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	tries := func() int {
		n := 0
		for _, s := range p.call() {
			if s == "install:passcode" {
				n++
			}
		}
		return n
	}
	if tries() != 1 {
		t.Fatal("not tried")
	}
	if r := w.wantStatus(p, pass, fleet.StatusError, "apple.error"); r.Reason.DeviceWords != "No." || r.NextTry == nil {
		t.Fatalf("row: %+v", r)
	}
	for i, wait := range []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
		w.sleep(wait - time.Minute)
		if tries() != 0 {
			t.Fatalf("try %d comes before %s", i+2, wait)
		}
		w.sleep(time.Minute)
		if tries() != 1 {
			t.Fatalf("try %d does not come after %s", i+2, wait)
		}
	}
	t.Run("a new version is tried at once", func(t *testing.T) {
		pr, err := w.UpdateProfile(ctx, w.admin, pass.ID, fleet.ProfileInput{Settings: []byte(`{"min_length":8}`)})
		if err != nil {
			t.Fatal(errText(err))
		}
		w.fanOut()
		if tries() != 1 {
			t.Fatal("not tried")
		}
		delete(p.refuse, "install:passcode")
		w.sleep(6 * time.Minute)
		p.call()
		if r := w.wantStatus(p, pass, fleet.StatusSucceeded, ""); r.Version != pr.Version {
			t.Fatalf("version: %d", r.Version)
		}
	})
	t.Run("what the device calls malformed is not repeated unchanged", func(t *testing.T) {
		p.refuse["install:passcode"] = fleet.Answer{Outcome: fleet.Malformed, Reason: fleet.Why("apple.format")}
		if _, err := w.UpdateProfile(ctx, w.admin, pass.ID, fleet.ProfileInput{Settings: []byte(`{"min_length":9}`)}); err != nil {
			t.Fatal(errText(err))
		}
		w.fanOut()
		if tries() != 1 {
			t.Fatal("not tried")
		}
		w.wantStatus(p, pass, fleet.StatusError, "fault.malformed")
		w.sleep(100 * 24 * time.Hour)
		if tries() != 0 {
			t.Fatal("tried again")
		}
	})
}

func TestReadBack(t *testing.T) {
	w := newPlanWorld(t)
	pass := w.passcode()
	w.toAll(pass)
	p := w.phone("A1")
	p.lie = true
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	t.Run("an acknowledged install that is not there did not succeed", func(t *testing.T) {
		p.call()
		w.wantStatus(p, pass, fleet.StatusError, "profile.not-found")
	})
	p.lie = false
	w.sleep(time.Hour)
	p.call()
	w.wantStatus(p, pass, fleet.StatusSucceeded, "")
	t.Run("what the person removed is delivered again", func(t *testing.T) {
		delete(p.units, "passcode")
		w.sleep(25 * time.Hour)
		p.call()
		if p.units["passcode"] == "" {
			t.Fatal("not delivered again")
		}
		w.wantStatus(p, pass, fleet.StatusSucceeded, "")
	})
	t.Run("what is assigned no longer goes, and the list proves it", func(t *testing.T) {
		w.toNone(pass)
		w.wantStatus(p, pass, fleet.StatusRemoving, "waiting.contact")
		wantSteps(t, p.call(), "remove:passcode", "query:profiles")
		if r := w.wantStatus(p, pass, fleet.StatusRemoved, ""); r.Evidence.What != "profile-list" {
			t.Fatalf("evidence: %+v", r.Evidence)
		}
	})
	t.Run("what is there and was never ordered goes", func(t *testing.T) {
		p.units["passcode"] = "passcode:of-an-older-life"
		w.sleep(25 * time.Hour)
		p.call()
		if len(p.units) != 0 {
			t.Fatalf("units: %v", p.units)
		}
	})
}

func TestSync(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	a := w.act(p, fleet.ActSync)
	p.facts[fleet.FactOSVersion] = "20.0"
	wantSteps(t, p.call(), "query:device", "query:profiles", "query:certificates", "query:managed-apps")
	w.wantAction(a.ID, fleet.ActionDone)
	if d := w.device(p); d.OSVersion != "20.0" {
		t.Fatalf("system: %s", d.OSVersion)
	}
}

func TestUserChannel(t *testing.T) {
	w := newPlanWorld(t)
	mail, pass := w.email(), w.passcode()
	w.toAll(mail, pass)
	p := w.phone("M1")
	p.platform = fleet.MacOS
	p.enrol(w.ticket(fleet.Corporate, fleet.MacOS))
	p.call()
	w.wantStatus(p, pass, fleet.StatusSucceeded, "")
	w.wantStatus(p, mail, fleet.StatusWaitsPerson, "waiting.person-login")
	user := w.phone("M1")
	user.identity, user.channel, user.enrolled = p.identity, "user:501", true
	if _, err := w.Reach(ctx, user.contact(), []byte("user address")); err != nil {
		t.Fatal(err)
	}
	w.wantStatus(p, mail, fleet.StatusPending, "waiting.contact")
	wantSteps(t, user.call(), "install:person", "query:profiles")
	w.wantStatus(p, mail, fleet.StatusSucceeded, "")
	wantSteps(t, p.call())
	w.toNone(mail)
	wantSteps(t, p.call())
	wantSteps(t, user.call(), "remove:person", "query:profiles")
	w.wantStatus(p, mail, fleet.StatusRemoved, "")
}

func TestBlamedProfile(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	w.toAll(root, id)
	p := w.phone("A1")
	p.refuse["install:access"] = fleet.Answer{Outcome: fleet.Failed, Blames: fleet.TypeIdentity, Reason: fleet.Why("apple.scep")}
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.call()
	w.wantStatus(p, id, fleet.StatusError, "apple.scep")
	if r := w.wantStatus(p, root, fleet.StatusPending, "waiting.unit"); r.Reason.Args["profile"] != id.Name {
		t.Fatalf("reason: %+v", r.Reason)
	}
	if s, err := w.Standing(ctx, w.admin, p.identity.Device); err != nil || s.Well || s.Reason.Code != "standing.profile" {
		t.Fatalf("standing: %+v, %v", s, err)
	}
}

func TestCalledOffRemovalRestoresAccess(t *testing.T) {
	w := newPlanWorld(t)
	root, id := w.identity()
	w.toAll(root, id)
	p := w.phone("A1")
	p.issue = true
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	p.call()
	a := w.act(p, fleet.ActRetire)
	if err := w.CallOff(ctx, w.admin, a.ID); err != nil {
		t.Fatal(errText(err))
	}
	if steps := p.call(); len(steps) == 0 || steps[0] != "install:access" || len(p.certs) != 2 {
		t.Fatalf("the revoked certificate is not replaced: %v", steps)
	}
	w.wantStatus(p, id, fleet.StatusSucceeded, "")
	b := w.act(p, fleet.ActRetire)
	p.loseReply = func(*fleet.Order) bool { return true }
	p.call()
	wantKind(t, w.CallOff(ctx, w.admin, b.ID), fleet.ErrConflict)
}

func TestLostAcknowledgementIsReadBack(t *testing.T) {
	w := newPlanWorld(t)
	pass, mail := w.passcode(), w.email()
	w.toAll(mail)
	p := w.managed("A1", fleet.Corporate)
	w.toAll(pass)
	p.loseReply = func(o *fleet.Order) bool { return stepOf(o) == "install:passcode" }
	p.call()
	// the device holds it, and a later list says so before the order is handed out again
	p.loseReply = nil
	p.postpone["install:passcode"] = 1
	w.sleep(25 * time.Hour)
	p.call()
	w.wantStatus(p, pass, fleet.StatusSucceeded, "profile.confirmed")
	w.wantStatus(p, mail, fleet.StatusSucceeded, "")

	// The certificate that it fetched meanwhile is known, and renewed in its time.
	p.issue = true
	p.loseReply = func(o *fleet.Order) bool { return stepOf(o) == "install:access" }
	root, id := w.identity()
	w.toAll(root, id)
	p.call()
	p.loseReply = nil
	p.postpone["install:access"] = 1
	w.sleep(25 * time.Hour)
	p.call()
	w.wantStatus(p, id, fleet.StatusSucceeded, "profile.confirmed")
	if len(p.certs) != 1 {
		t.Fatalf("%d certificates", len(p.certs))
	}
	w.sleep(340 * 24 * time.Hour)
	if p.call(); len(p.certs) != 2 {
		t.Errorf("a certificate whose acknowledgement was lost is not renewed: %d certificates", len(p.certs))
	}
}

func TestOneMessageAtATime(t *testing.T) {
	w := newPlanWorld(t)
	w.toAll(w.passcode())
	p := w.phone("A1")
	p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
	ids := make(chan fleet.OrderID, 16)
	for range cap(ids) {
		go func() {
			c := p.contact()
			c.NewRun = true
			o, err := w.Exchange(ctx, c, nil)
			if err != nil || o == nil {
				ids <- ""
				return
			}
			ids <- o.ID
		}()
	}
	first := <-ids
	for range cap(ids) - 1 {
		if id := <-ids; id == "" || id != first {
			t.Fatalf("two orders in flight: %q and %q", first, id)
		}
	}
}

func TestUnboundedDevices(t *testing.T) {
	w := newPlanWorld(t)
	p := w.managed("A1", fleet.Corporate)
	c := p.contact()
	for i := range 200 {
		c.Channel = fleet.Channel("user:" + time.Duration(i).String())
		_, _ = w.Reach(ctx, c, nil)
	}
	if n := len(w.device(p).Channels); n > 32 {
		t.Errorf("%d channels", n)
	}
	for i := range 500 {
		p.units["u"+time.Duration(i).String()] = "x"
	}
	p.facts[fleet.FactModelName] = []string{string(make([]byte, 1<<20))}
	w.sleep(25 * time.Hour)
	if steps, err := p.tryCall(); err != nil && len(steps) <= 100 {
		t.Fatal(err)
	}
	if w.holds(string(make([]byte, 5000))) {
		t.Error("a fact of any size is stored")
	}
}

func TestTicketProgress(t *testing.T) {
	w := newPlanWorld(t)
	_, code, err := w.Invite(ctx, w.admin, fleet.InvitationInput{Person: w.anna.ID, Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: fleet.Personal})
	if err != nil {
		t.Fatal(err)
	}
	terms, err := w.Terms(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tk, err := w.Accept(ctx, code, terms.ID, "en", "192.0.2.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	if lines, d, err := w.TicketProgress(ctx, tk.Secret); err != nil || len(lines) != 0 || d != nil {
		t.Fatalf("before: %v %v %v", lines, d, err)
	}
	p := w.phone("A1")
	p.enrol(tk.Enrolment)
	lines, d, err := w.TicketProgress(ctx, tk.Secret)
	if err != nil || d == nil || len(lines) < 2 || lines[0].Reason.Code != "event.enrol" {
		t.Fatalf("after: %v %v %v", lines, d, err)
	}
	_, _, err = w.TicketProgress(ctx, "wrong")
	wantKind(t, err, fleet.ErrNotFound)
}

func TestRemovalPreview(t *testing.T) {
	w := newPlanWorld(t)
	mail := w.email()
	w.toAll(mail)
	p := w.managed("A1", fleet.Corporate)
	before := w.db.Syncs()
	rows, err := w.RemovalPreview(ctx, w.admin, p.identity.Device, fleet.ActRetire)
	if err != nil {
		t.Fatal(errText(err))
	}
	for _, r := range rows {
		if r.Data == "email" && (len(r.Items) != 1 || r.Items[0] != mail.Name) {
			t.Errorf("e-mail: %+v", r)
		}
	}
	if w.db.Syncs() != before {
		t.Error("a preview writes")
	}
	_, err = w.RemovalPreview(ctx, w.admin, p.identity.Device, fleet.ActLock)
	wantKind(t, err, fleet.ErrInvalid)
}
