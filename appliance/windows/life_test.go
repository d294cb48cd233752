package windows

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

const testID = "A1B2C3D4E5F60718293A4B5C6D7E8F90"

// mailSet is the whole of what a person's PC is to get.
func (w *world) mailSet() {
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	w.profile(fleet.TypeIdentity, "Identity", map[string]any{"root": string(root.ID)})
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8, "max_failed": 5})
	w.profile(fleet.TypeEmail, "Mail", map[string]any{"host": "mail.example.nl"})
}

// TestFromInvitationToReceipt is the whole way of one PC through the real domain.
func TestFromInvitationToReceipt(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.mailSet()
	p := w.enrolled(testID, fleet.Corporate)
	if got := w.device(testID); got.State != fleet.Enrolling || got.OSVersion != "10.0.26100.1742" {
		t.Errorf("before its first session: %+v", got)
	}
	if got := p.run(); got != 200 {
		t.Fatalf("first session: %d", got)
	}
	d := w.device(testID)
	if d.State != fleet.Managed || d.Serial != "PF3A1B2C" || d.Name != "DESKTOP-7Q2" {
		t.Errorf("device %+v", d)
	}
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeIdentity: fleet.StatusSucceeded,
		fleet.TypePasscode: fleet.StatusSucceeded, fleet.TypeEmail: fleet.StatusSucceeded})
	if got := p.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"]; got != "8" {
		t.Errorf("length %q", got)
	}
	if got := p.tree["./Device/Vendor/MSFT/DMClient/Provider/Muster/Poll/IntervalForFirstSetOfRetries"]; got != "10" {
		t.Errorf("poll schedule %q", got)
	}
	facts, err := w.fleet.Facts(ctx, w.admin, d.ID)
	must(t, err)
	told := map[fleet.FactKey]any{}
	for _, f := range facts {
		told[f.Key] = f.Value
	}
	for k, want := range map[fleet.FactKey]any{fleet.FactOS: "Windows 11", fleet.FactBuild: "26100.1742", fleet.FactWiFiMAC: "00:15:5D:01:02:03", fleet.FactEncrypted: true, fleet.FactFirewall: true, fleet.FactEdition: "Pro"} {
		if told[k] != want {
			t.Errorf("fact %s is %v, want %v", k, told[k], want)
		}
	}
	before := len(p.seen)
	if p.run(); len(p.seen) != before {
		t.Errorf("a PC at rest is asked for more: %+v", p.seen[before:])
	}

	// Restart, then retirement: explicit removals, the end of management last, in a message of its own.
	_, err = w.fleet.Act(ctx, w.admin, d.ID, fleet.ActRestart, fleet.ActionOptions{}, "")
	must(t, err)
	p.run()
	if got := p.sentTo("./Device/Vendor/MSFT/Reboot"); !slices.Equal(got, []string{"Exec ./Device/Vendor/MSFT/Reboot/RebootNow"}) {
		t.Errorf("restart: %v", got)
	}
	_, err = w.fleet.Act(ctx, w.admin, d.ID, fleet.ActRetire, fleet.ActionOptions{}, d.Name)
	must(t, err)
	p.hook = func(c sentCommand) {
		if strings.HasSuffix(c.uri, "/Unenroll") {
			p.left = true
			p.msg = 1
			p.session++
			status, body := p.post(p.message(`<Alert><CmdID>2</CmdID><Data>1226</Data><Item><Meta><Type xmlns="syncml:metinf">com.microsoft:mdm.unenrollment.userrequest</Type><Format xmlns="syncml:metinf">int</Format></Meta><Data>1</Data></Item></Alert>`))
			if status != 200 || len(p.read(body)) != 0 {
				t.Errorf("farewell: %d %s", status, body)
			}
		}
	}
	p.run()
	if !p.left {
		t.Fatalf("management was not ended: %v", p.seen[before:])
	}
	for k := range p.tree {
		if strings.HasPrefix(k, "./User/") || strings.Contains(k, "DeviceLock") {
			t.Errorf("%s is left", k)
		}
	}
	if got := w.device(testID); got.State != fleet.Retired {
		t.Errorf("state %s", got.State)
	}
	p.left, p.hook = false, nil
	if got := p.run(); got != http.StatusForbidden {
		t.Errorf("after its end: %d, want 403", got)
	}
	receipts, err := w.fleet.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
	must(t, err)
	if len(receipts.Items) != 1 || receipts.Items[0].Outcome != "proved" {
		t.Errorf("receipts %+v", receipts.Items)
	}
}

func TestLostAnswersAndRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})
	p := w.enrolled(testID, fleet.Corporate)

	t.Run("a command without answer comes again", func(t *testing.T) {
		silent := true
		p.mute = func(c sentCommand) bool {
			return silent && (c.verb == "Atomic" || strings.Contains(c.uri, "DeviceLock"))
		}
		p.hook = func(c sentCommand) {
			if c.verb == "Atomic" {
				silent = len(p.sentTo("./Device/Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordEnabled")) < 2
			}
		}
		p.run()
		p.mute, p.hook = nil, nil
		w.wantStatuses(w.device(testID).ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypePasscode: fleet.StatusSucceeded})
	})

	t.Run("a node that the edition lacks", func(t *testing.T) {
		p2 := w.enrolled("B1B2C3D4E5F60718293A4B5C6D7E8F90", fleet.Corporate)
		p2.refuse["./Device/Vendor/MSFT/Policy/Config/DeviceLock/AllowSimpleDevicePassword"] = 405
		p2.run()
		list, err := w.fleet.DeviceProfiles(ctx, w.admin, w.device(p2.id).ID)
		must(t, err)
		if len(list) != 1 || list[0].Status != fleet.StatusNotApplicable || !strings.Contains(list[0].Reason.DeviceWords, "405 ./Device/Vendor/MSFT/Policy/Config/DeviceLock/AllowSimple") {
			t.Errorf("status %+v", list)
		}
		if len(p2.tree) > 0 && p2.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordEnabled"] != "" {
			t.Error("an Atomic left something behind")
		}
	})

	t.Run("a policy that vanished is delivered again", func(t *testing.T) {
		delete(p.tree, "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength")
		w.later.Add(int64(25 * time.Hour))
		p.run()
		if p.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"] != "8" {
			t.Error("it was not")
		}
	})

	t.Run("restart without answer is unknown and not repeated", func(t *testing.T) {
		d := w.device(testID)
		a, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActRestart, fleet.ActionOptions{}, "")
		must(t, err)
		p.hook = func(c sentCommand) { p.left = strings.Contains(c.uri, "Reboot") }
		p.run()
		p.hook, p.left = nil, false
		p.run()
		if got := p.sentTo("./Device/Vendor/MSFT/Reboot"); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
		a, err = w.fleet.Action(ctx, w.admin, a.ID)
		must(t, err)
		if a.State != fleet.ActionUnknown {
			t.Errorf("state %s", a.State)
		}
	})
}

func TestPersonNotSignedIn(t *testing.T) {
	w := newWorld(t)
	w.mailSet()
	p := w.enrolled(testID, fleet.Corporate)
	p.login = "none"
	p.run()
	if got := p.sentTo("./User"); len(got) != 0 {
		t.Errorf("sent %v to nobody", got)
	}
	d := w.device(testID)
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeIdentity: fleet.StatusWaitsPerson,
		fleet.TypePasscode: fleet.StatusSucceeded, fleet.TypeEmail: fleet.StatusWaitsPerson})
	p.login = "user"
	p.scep = "2"
	p.run()
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeIdentity: fleet.StatusPending,
		fleet.TypePasscode: fleet.StatusSucceeded, fleet.TypeEmail: fleet.StatusSucceeded}) // one that takes its time keeps no other waiting
	for k := range p.tree {
		if strings.HasSuffix(k, "/Install/Challenge") {
			base := strings.TrimSuffix(k, "/Install/Challenge")
			p.tree[base+"/Status"], p.tree[base+"/CertThumbprint"] = "1", p.fetch(p.tree[k])
		}
	}
	p.run() // soon afterwards: what the PC put off is asked again
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeIdentity: fleet.StatusSucceeded,
		fleet.TypePasscode: fleet.StatusSucceeded, fleet.TypeEmail: fleet.StatusSucceeded})
}

func TestWipes(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})
	p := w.enrolled(testID, fleet.Corporate)
	p.run()
	d := w.device(testID)

	t.Run("keeping enrolment and account, everything is delivered anew", func(t *testing.T) {
		a, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{KeepEnrolled: true}, d.Name)
		must(t, err)
		p.hook = func(c sentCommand) {
			if strings.HasSuffix(c.uri, "/doWipePersistUserData") {
				for k := range p.tree {
					if strings.Contains(k, "DeviceLock") {
						delete(p.tree, k)
					}
				}
			}
		}
		p.run()
		p.hook = nil
		a, err = w.fleet.Action(ctx, w.admin, a.ID)
		must(t, err)
		if got := w.device(testID).State; a.State != fleet.ActionDone || got != fleet.Managed {
			t.Errorf("action %s, device %s", a.State, got)
		}
		p.run()
		if p.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"] != "" {
			t.Error("the password rules were delivered to a PC that may not have reset itself yet")
		}
		w.later.Add(int64(6 * time.Minute))
		p.run()
		if p.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"] != "8" {
			t.Error("the password rules did not come back")
		}
		w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypePasscode: fleet.StatusSucceeded})
		for k := range p.tree { // it reset itself late
			if strings.Contains(k, "DeviceLock") {
				delete(p.tree, k)
			}
		}
		w.later.Add(int64(10 * time.Minute))
		p.run()
		if p.tree["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"] != "8" {
			t.Error("what a late reset took was not seen to be missing")
		}
	})

	t.Run("refused, tried again, done", func(t *testing.T) {
		_, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{Method: methodProtected, Stolen: true}, d.Name)
		must(t, err)
		p.refuse[wipeNode+"doWipeProtected"] = 500
		p.run()
		if got := w.device(testID).State; got != fleet.Wiping {
			t.Errorf("state %s", got)
		}
		delete(p.refuse, wipeNode+"doWipeProtected")
		w.later.Add(int64(24 * time.Hour))
		p.run()
		if got := w.device(testID).State; got != fleet.Wiped {
			t.Errorf("state %s", got)
		}
		if got := p.run(); got != http.StatusForbidden {
			t.Errorf("it calls: %d", got)
		}
	})

	t.Run("stolen, it cannot come back", func(t *testing.T) {
		thief := w.newPC(testID)
		token, err := w.windows.newToken(ctx, w.ticket(w.newPerson("Thief", "thief@example.org"), fleet.Corporate).Secret)
		must(t, err)
		status, body := thief.soap(EnrolmentPath, thief.tokenRequest(userToken(token), csr(t, thief.key, tagPrintable)))
		if status != 500 || !strings.Contains(string(body), "s:Authorization") || !strings.Contains(string(body), "device.stolen") {
			t.Errorf("%d %s", status, body)
		}
	})

	t.Run("personal and old ones", func(t *testing.T) {
		for _, c := range w.windows.Choices(&fleet.Device{Platform: fleet.Windows, Ownership: fleet.Personal}, nil) {
			if c.Offered && (c.Type == fleet.ActWipe || c.Type == fleet.ActLock) {
				t.Errorf("%s is offered", c.Type)
			}
		}
		for _, c := range w.windows.Choices(&fleet.Device{Platform: fleet.Windows, Ownership: fleet.Corporate, OSVersion: "10.0.15063.0"}, nil) {
			if c.Type == fleet.ActWipe && (slices.Contains(c.Options, "keep-enrolled") || !slices.Contains(c.Options, "protected")) {
				t.Errorf("options %v before 1709", c.Options)
			}
		}
	})
}

func TestRenewal(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	p := w.enrolled(testID, fleet.Corporate)
	p.run()
	w.later.Add(int64(310 * 24 * time.Hour))
	p.run()
	if got := p.sentTo("./Device/Vendor/MSFT/CertificateStore"); len(got) != 1 {
		t.Fatalf("renewal: %v", got)
	}
	old, oldClient := p.cert, p.client
	next := w.newPC(testID)
	status, body := p.soap(EnrolmentPath, p.renewalRequest(next.key, old))
	if status != 200 {
		t.Fatalf("renewal: %d %s", status, body)
	}
	if _, again := p.soap(EnrolmentPath, p.renewalRequest(next.key, old)); parm(at(document(t, again), "CertificateStore", "My", "User").kids[0], "EncodedCertificate") !=
		parm(at(document(t, body), "CertificateStore", "My", "User").kids[0], "EncodedCertificate") {
		t.Error("asked again, it gives another certificate")
	}
	if got := p.run(); got != 200 {
		t.Errorf("the old identity before the new one was seen: %d", got)
	}
	p.key = next.key
	p.provision(document(t, body), "User")
	if got := p.run(); got != 200 {
		t.Errorf("the new identity: %d", got)
	}
	p.client = oldClient
	if got := p.run(); got == 200 {
		t.Error("the old identity lives on")
	}
	if _, _, err := w.windows.redeem(ctx, "nothing"); !errors.Is(err, fleet.ErrNotFound) {
		t.Error("a ticket of nothing")
	}
}

// TestPersonalPCIsAskedLess holds what is asked of a personal PC against the register: no name, no maker, no address, no storage.
func TestPersonalPCIsAskedLess(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(testID, fleet.Personal)
	p.run()
	asked := strings.Join(p.sentTo("./"), "\n")
	for _, node := range []string{"DNSComputerName", "DeviceName", "/Man", "WLANMACAddress", "Storage", "Edition", "Firewall", "Encryption"} {
		if strings.Contains(asked, node) {
			t.Errorf("%s is asked of a personal PC", node)
		}
	}
	for _, node := range []string{"SMBIOSSerialNumber", "SwV", "/Mod", "/Lang"} {
		if !strings.Contains(asked, node) {
			t.Errorf("%s is not asked", node)
		}
	}
}

// TestPersonLeaves is a person who presses Disconnect.
func TestPersonLeaves(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(testID, fleet.Personal)
	p.run()
	p.session, p.msg = p.session+1, 1
	farewell := p.message(`<Alert><CmdID>2</CmdID><Data>1224</Data><Item><Meta><Type xmlns="syncml:metinf">Reversed-Domain-Name:com.microsoft:mdm.unenrollment.userrequest</Type></Meta><Data>1</Data></Item></Alert>`)
	if status, _ := p.post(farewell); status != 200 {
		t.Errorf("farewell: %d", status)
	}
	if got := w.device(testID).State; got != fleet.Left {
		t.Errorf("state %s", got)
	}
	if status, _ := p.post(farewell); status != http.StatusForbidden {
		t.Errorf("afterwards: %d", status)
	}
}

// BenchmarkIdleSession is a PC with nothing to do, over a connection that is kept: one message and its answer.
func BenchmarkIdleSession(b *testing.B) {
	w := newWorld(b)
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})
	p := w.enrolled(testID, fleet.Corporate)
	p.run()
	p.session, p.msg = 77, 1
	body := p.message(p.hello())
	b.ResetTimer()
	for b.Loop() {
		if status, _ := p.post(body); status != 200 {
			b.Fatal(status)
		}
	}
}

// TestIdentityIsRenewedWithoutGap shows that a certificate is fetched anew before its end, and that the one before it goes only when the new
// one is there.
func TestIdentityIsRenewedWithoutGap(t *testing.T) {
	w := newWorld(t)
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	w.profile(fleet.TypeIdentity, "Identity", map[string]any{"root": string(root.ID)})
	p := w.enrolled(testID, fleet.Corporate)
	ids := func() (out []string) {
		for k := range p.tree {
			if strings.HasSuffix(k, "/CertThumbprint") {
				out = append(out, k)
			}
		}
		return out
	}
	p.scep = "2"
	p.run()
	fetched := func() {
		for k := range p.tree {
			if base, ok := strings.CutSuffix(k, "/Install/Challenge"); ok && p.tree[base+"/Status"] == "2" {
				p.tree[base+"/Status"], p.tree[base+"/CertThumbprint"] = "1", p.fetch(p.tree[k])
			}
		}
	}
	fetched()
	p.run()
	first := ids()
	w.later.Add(int64(340 * 24 * time.Hour))
	p.run()
	if got := ids(); !slices.Equal(got, first) || len(first) != 1 {
		t.Errorf("while the new one is fetched: %v, first %v", got, first)
	}
	fetched()
	p.run()
	if got := ids(); len(got) != 1 || slices.Equal(got, first) {
		t.Errorf("afterwards: %v, first %v", got, first)
	}
	w.wantStatuses(w.device(testID).ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeIdentity: fleet.StatusSucceeded})
}

// TestOneAccountTwice: of two mail profiles with one address on one host none is delivered, and each names the other (B8); on two hosts both are.
func TestOneAccountTwice(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	one := w.profile(fleet.TypeEmail, "One", map[string]any{"account": "exchange", "host": "mail.example.nl"})
	w.profile(fleet.TypeEmail, "Two", map[string]any{"account": "exchange", "host": "MAIL.example.nl", "account_name": "Again"})
	w.profile(fleet.TypeEmail, "Three", map[string]any{"account": "exchange", "host": "mail.example.com"})
	p := w.enrolled(testID, fleet.Corporate)
	p.run()
	list, err := w.fleet.DeviceProfiles(ctx, w.admin, w.device(testID).ID)
	must(t, err)
	for _, s := range list {
		switch {
		case s.Name == "Three" && s.Status != fleet.StatusSucceeded, s.Name == "One" && (s.Status != fleet.StatusConflict || s.Reason.Args["other"] != "Two"), s.Name == "Two" && s.Status != fleet.StatusConflict:
			t.Errorf("%s is %s, %+v", s.Name, s.Status, s.Reason)
		}
	}
	reach, err := w.fleet.PreviewAssign(ctx, w.admin, one.ID, nil, []fleet.Assignment{{To: fleet.ToAllPeople}})
	must(t, err)
	if !slices.ContainsFunc(reach.Warnings, func(r fleet.Reason) bool { return r.Code == "assign.same-account" && r.Args["other"] == "Two" }) {
		t.Errorf("nobody is warned beforehand: %+v", reach.Warnings)
	}
}
