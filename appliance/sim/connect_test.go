package sim_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"muster/appliance/sim"
	"software.sslmate.com/src/go-pkcs12"
)

func acknowledgedWith(t *testing.T, r dict) {
	t.Helper()
	if r["Status"] != "Acknowledged" {
		t.Errorf("answer %v", r)
	}
}

func TestDeviceInformation(t *testing.T) {
	s := newServer(t)
	phone, mac := enrolled(t, s, options(s, sim.IPhone)), enrolled(t, s, options(s, sim.Mac))
	ask := []any{"OSVersion", "SerialNumber", "EASDeviceIdentifier", "HostName", "Nonsense", "ServiceSubscriptions"}
	for d, want := range map[*sim.Apple][]string{phone: {"EASDeviceIdentifier", "OSVersion", "SerialNumber", "ServiceSubscriptions"}, mac: {"HostName", "OSVersion", "SerialNumber"}} {
		r := run(t, s, d, "DeviceInformation", dict{"Queries": ask})
		var got []string
		for k := range r["QueryResponses"].(dict) {
			got = append(got, k)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s answered %v, want %v", d.State().Kind, got, want)
		}
		if st := d.State(); r["QueryResponses"].(dict)["SerialNumber"] != st.Serial || r["UDID"] != st.UDID {
			t.Errorf("answer %v", r)
		}
	}
}

func TestRights(t *testing.T) {
	s := newServer(t)
	e := s.enrolment()
	e["PayloadContent"].([]any)[1].(dict)["AccessRights"] = 3 | 32 // profiles and network only
	d := sim.NewApple(options(s, sim.IPhone))
	if err := d.EnrolProfile(t.Context(), encode(t, e)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"SecurityInfo", "InstalledApplicationList", "DeviceLock", "EraseDevice", "ManagedApplicationList", "ClearPasscode"} {
		wantError(t, run(t, s, d, kind, nil), "MCMDMErrorDomain", 12007)
	}
	q := run(t, s, d, "DeviceInformation", dict{"Queries": []any{"SerialNumber", "WiFiMAC", "UDID"}})["QueryResponses"].(dict)
	if q["SerialNumber"] != nil || q["WiFiMAC"] == nil || q["UDID"] == nil {
		t.Errorf("answered %v", q)
	}
	if s.checkins[1]["UnlockToken"] != nil || s.checkins[0]["SerialNumber"] != nil {
		t.Error("check-ins told more than the rights allow")
	}
	if !d.State().Enrolled || d.State().Erased {
		t.Error("the device obeyed without right")
	}
}

func TestUnknownCommand(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	wantError(t, run(t, s, d, "Settings", nil), "MCMDMErrorDomain", 12021)
	s.mu.Lock()
	s.queue = append(s.queue, dict{"CommandUUID": "x", "Command": dict{}})
	s.mu.Unlock()
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.result("x"); r["Status"] != "CommandFormatError" {
		t.Errorf("answer %v", r)
	}
}

func TestLists(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	key := s.caKey
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(5), NotAfter: time.Now().Add(time.Hour)}, s.ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	old, err := pkcs12.Legacy.Encode(key, leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	modern, err := pkcs12.Modern.Encode(key, leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(p12 []byte) []byte {
		return encode(t, profileOf("example.bundle", 70, payloadOf("com.apple.security.root", "example.bundle.root", 71, dict{"PayloadContent": s.ca.Raw}),
			payloadOf("com.apple.security.pkcs12", "example.bundle.id", 72, dict{"PayloadContent": p12, "Password": "secret"}),
			payloadOf("com.example.unheard", "example.bundle.x", 73, nil)))
	}
	wantError(t, run(t, s, d, "InstallProfile", dict{"Payload": bundle(modern)}), "MCCertificateErrorDomain", 9000)
	acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": bundle(old)}))

	var ids, uuids []string
	for _, p := range run(t, s, d, "ProfileList", nil)["ProfileList"].([]any) {
		ids, uuids = append(ids, p.(dict)["PayloadIdentifier"].(string)), append(uuids, p.(dict)["PayloadUUID"].(string))
	}
	if !slices.Equal(ids, []string{"example.enrol", "example.bundle"}) || uuids[1] != uuid(70) {
		t.Errorf("profiles %v %v", ids, uuids)
	}
	identities, roots := 0, 0
	for _, c := range run(t, s, d, "CertificateList", dict{"ManagedOnly": true})["CertificateList"].([]any) {
		c := c.(dict)
		if _, err := x509.ParseCertificate(c["Data"].([]byte)); err != nil {
			t.Error(err)
		}
		if c["IsIdentity"].(bool) {
			identities++
		} else {
			roots++
		}
	}
	if identities != 2 || roots != 1 {
		t.Errorf("%d identities and %d others", identities, roots)
	}
	if st := d.State(); !slices.Equal(st.Profiles[1].Ignored, []string{"com.example.unheard"}) || len(st.Certificates) != 3 {
		t.Errorf("state %+v", st.Profiles)
	}
	if apps := run(t, s, d, "InstalledApplicationList", dict{"ManagedAppsOnly": true})["InstalledApplicationList"].([]any); len(apps) != 0 {
		t.Errorf("managed apps %v", apps)
	}
	apps := run(t, s, d, "InstalledApplicationList", dict{"Items": []any{"Identifier", "Name"}})["InstalledApplicationList"].([]any)
	if len(apps) == 0 || len(apps[0].(dict)) != 2 {
		t.Errorf("apps %v", apps)
	}
	acknowledgedWith(t, run(t, s, d, "ManagedApplicationList", nil))
	acknowledgedWith(t, run(t, s, d, "RemoveProfile", dict{"Identifier": "example.bundle"}))
	wantError(t, run(t, s, d, "RemoveProfile", dict{"Identifier": "example.bundle"}), "MCMDMErrorDomain", 12075)
	if st := d.State(); len(st.Profiles) != 1 || len(st.Certificates) != 1 {
		t.Errorf("left: %+v", st.Certificates)
	}
}

// TestPrompts shows which re-delivery asks the person for a password again.
func TestPrompts(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	give := func(want int, p dict) {
		t.Helper()
		acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, p)}))
		if got := d.State().Prompts; got != want {
			t.Errorf("%d prompts, want %d: %v", got, want, d.State().PromptLog)
		}
	}
	give(1, profileOf("example.mail", 20, easPayload(21, nil)))                                                                        // added
	give(1, profileOf("example.mail", 120, easPayload(21, dict{"MailNumberOfPastDaysToSync": 31})))                                    // updated in place
	give(2, profileOf("example.mail", 121, easPayload(22, nil)))                                                                       // the inner UUID changed: removed and added
	give(3, profileOf("example.mail", 122, easPayload(22, dict{"PayloadIdentifier": "example.mail.eas2"})))                            // and so did the identifier
	give(4, profileOf("example.mail", 123, easPayload(22, dict{"PayloadIdentifier": "example.mail.eas2", "Host": "new.example.org"}))) // another server
	give(5, profileOf("example.mail", 124, easPayload(22, dict{"PayloadIdentifier": "example.mail.eas2", "Host": "new.example.org", "OAuth": true})))
	if a := d.State().Accounts; len(a) != 1 || a[0].Updates != 3-1 || !a[0].OAuth {
		t.Errorf("accounts %+v", a)
	}
	// With a certificate nobody is asked.
	give(5, profileOf("example.mail", 125, easPayload(23, dict{"PayloadCertificateUUID": uuid(24)}), s.scepPayload("example.mail.id", 24)))
	give(7, profileOf("example.imap", 80, imapPayload(81, nil))) // for reading and for sending
	give(7, profileOf("example.imap", 82, imapPayload(81, nil)))
	acknowledgedWith(t, run(t, s, d, "RemoveProfile", dict{"Identifier": "example.imap"}))
	if a := d.State().Accounts; len(a) != 1 || !a[0].ByCertificate {
		t.Errorf("accounts %+v", a)
	}
}

func TestManualAccount(t *testing.T) {
	s := newServer(t)
	o := options(s, sim.IPhone)
	o.ManualAccount = "Anna@example.org"
	d := enrolled(t, s, o)
	p := encode(t, profileOf("example.mail", 20, easPayload(21, nil)))
	r := run(t, s, d, "InstallProfile", dict{"Payload": p})
	wantError(t, r, "MCEASErrorDomain", 21005)
	if first := r["ErrorChain"].([]any)[0].(dict); first["ErrorDomain"] != "MCInstallationErrorDomain" || first["ErrorCode"] != uint64(4001) {
		t.Errorf("outermost %v", first)
	}
	if a := d.State().Accounts; len(a) != 1 || a[0].Managed {
		t.Errorf("accounts %+v", a)
	}
	d.RemoveManualAccount()
	acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": p}))
	other := profileOf("example.mail2", 90, easPayload(91, nil))
	wantError(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, other)}), "MCEASErrorDomain", 21005)
}

func TestNotNow(t *testing.T) {
	s := newServer(t)
	o := options(s, sim.IPhone)
	o.Mood.NotNow = 1
	d := enrolled(t, s, o)
	id := s.order("InstallProfile", dict{"Payload": encode(t, profileOf("example.mail", 20, easPayload(21, nil)))})
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.result(id); r["Status"] != "NotNow" {
		t.Fatalf("answer %v", r)
	}
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	acknowledgedWith(t, s.result(id))
	if c := d.State().Complaints; len(c) != 0 {
		t.Errorf("complaints %v", c)
	}
}

// TestNotNowLoop shows that a device notices a server that does not let go of a command.
func TestNotNowLoop(t *testing.T) {
	s := newServer(t)
	o := options(s, sim.IPhone)
	o.Mood.NotNow = 9
	d := enrolled(t, s, o)
	asked := 0
	s.answer = func(dict) (int, string, string) {
		asked++
		return 200, "application/xml", string(encode(t, dict{"CommandUUID": "x", "Command": dict{"RequestType": "InstallProfile", "Payload": []byte("x")}}))
	}
	if err := d.Connect(t.Context()); err == nil || asked > 5 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if c := d.State().Complaints; len(c) != 3 {
		t.Errorf("complaints %v", c)
	}
}

func TestLockedPhone(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	if r := run(t, s, d, "DeviceLock", dict{"Message": "Lost"}); r["MessageResult"] != "NoPasscodeSet" || !d.State().Locked {
		t.Errorf("answer %v", r)
	}
	d.Unlock()
	if err := d.SetPasscode("135790"); err != nil {
		t.Fatal(err)
	}
	if r := run(t, s, d, "DeviceLock", dict{"Message": "Lost"}); r["MessageResult"] != "Success" {
		t.Errorf("answer %v", r)
	}
	id := s.order("InstallProfile", dict{"Payload": encode(t, profileOf("example.mail", 20, easPayload(21, nil)))})
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.result(id); r["Status"] != "NotNow" {
		t.Errorf("answer while locked %v", r)
	}
	d.Unlock()
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	acknowledgedWith(t, s.result(id))
}

func TestLockedMac(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.Mac))
	wantError(t, run(t, s, d, "DeviceLock", nil), "MCMDMErrorDomain", 12008)
	acknowledgedWith(t, run(t, s, d, "DeviceLock", dict{"PIN": "123456"}))
	if st := d.State(); !st.Locked || st.LockPIN != "123456" {
		t.Errorf("state %v %q", st.Locked, st.LockPIN)
	}
	if err := d.Connect(t.Context()); !errors.Is(err, sim.ErrOffline) {
		t.Errorf("connect behind the PIN: %v", err)
	}
	d.Unlock()
	if err := d.Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLostAnswers shows that a command whose acknowledgement is lost comes and is done twice.
func TestLostAnswers(t *testing.T) {
	s := newServer(t)
	o := options(s, sim.IPhone)
	o.Mood.LosesAnswers = 1
	d := enrolled(t, s, o)
	acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, profileOf("example.mail", 20, easPayload(21, nil)))}))
	st := d.State()
	if len(st.Commands) != 2 || !st.Commands[0].Lost || st.Commands[1].Lost || st.Profiles[1].Installs != 2 || st.Prompts != 1 {
		t.Errorf("commands %+v, profiles %+v, prompts %d", st.Commands, st.Profiles, st.Prompts)
	}
}

func TestPasscode(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	rule := profileOf("example.pass", 50, payloadOf("com.apple.mobiledevice.passwordpolicy", "example.pass.rule", 51, dict{"forcePIN": true, "minLength": 6, "allowSimple": false}))
	acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, rule)}))
	compliant := func() any {
		return run(t, s, d, "SecurityInfo", nil)["SecurityInfo"].(dict)["PasscodeCompliantWithProfiles"]
	}
	if compliant() != false {
		t.Error("compliant without a passcode")
	}
	for _, code := range []string{"1357", "123456", "777777", "987654", ""} {
		if d.SetPasscode(code) == nil {
			t.Errorf("%q was accepted", code)
		}
	}
	if err := d.SetPasscode("135791"); err != nil || compliant() != true {
		t.Errorf("set: %v", err)
	}
	wantError(t, run(t, s, d, "ClearPasscode", dict{"UnlockToken": []byte("wrong")}), "MCMDMErrorDomain", 12019)
	if !d.State().PasscodeSet {
		t.Error("a wrong token cleared the passcode")
	}
	acknowledgedWith(t, run(t, s, d, "ClearPasscode", dict{"UnlockToken": s.checkins[1]["UnlockToken"]}))
	if d.State().PasscodeSet {
		t.Error("the passcode is still set")
	}
}

func TestRestart(t *testing.T) {
	s := newServer(t)
	wantError(t, run(t, s, enrolled(t, s, options(s, sim.IPhone)), "RestartDevice", nil), "MCChaperoneErrorDomain", 29000)
	o := options(s, sim.IPad)
	o.Supervised = true
	for _, d := range []*sim.Apple{enrolled(t, s, o), enrolled(t, s, options(s, sim.Mac))} {
		acknowledgedWith(t, run(t, s, d, "RestartDevice", nil))
		if d.State().Restarts != 1 {
			t.Errorf("%d restarts", d.State().Restarts)
		}
	}
}

func TestRemovalByServer(t *testing.T) {
	for _, silent := range []bool{false, true} {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Mood.NoCheckOut, o.ManualAccount = silent, "me@home.example"
		d := enrolled(t, s, o)
		acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, profileOf("example.mail", 20, easPayload(21, nil)))}))
		acknowledgedWith(t, run(t, s, d, "RemoveProfile", dict{"Identifier": "example.enrol"}))
		want := []string{"Authenticate", "TokenUpdate", "CheckOut"}
		if silent {
			want = want[:2]
		}
		if got := s.messages(); !slices.Equal(got, want) {
			t.Errorf("check-ins %v, want %v", got, want)
		}
		st := d.State()
		if st.Enrolled || len(st.Profiles)+len(st.Certificates) != 0 || len(st.Accounts) != 1 || st.Accounts[0].Managed {
			t.Errorf("left: %+v %+v", st.Profiles, st.Accounts)
		}
		if err := d.Connect(t.Context()); !errors.Is(err, sim.ErrUnmanaged) {
			t.Errorf("connect: %v", err)
		}
		// The same device may enrol again.
		if err := d.EnrolProfile(t.Context(), encode(t, s.enrolment())); err != nil || !d.State().Enrolled {
			t.Errorf("again: %v", err)
		}
	}
}

func TestRemovalByPerson(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	wantCause(t, d.EnrolProfile(t.Context(), encode(t, s.enrolment())), "MCMDMErrorDomain", 12001)
	if err := d.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.messages(); got[len(got)-1] != "CheckOut" || d.State().Enrolled {
		t.Errorf("check-ins %v", got)
	}
	if err := d.RemoveManagement(t.Context()); !errors.Is(err, sim.ErrUnmanaged) {
		t.Errorf("again: %v", err)
	}
}

func TestErase(t *testing.T) {
	s := newServer(t)
	o := options(s, sim.IPhone)
	o.ManualAccount, o.Passcode = "me@home.example", "1234"
	d := enrolled(t, s, o)
	acknowledgedWith(t, run(t, s, d, "EraseDevice", nil))
	st := d.State()
	if st.Enrolled || !st.Erased || !st.Wiped || len(st.Accounts)+len(st.Profiles) != 0 || st.PasscodeSet {
		t.Errorf("state %+v", st)
	}
	if got := s.messages(); slices.Contains(got, "CheckOut") {
		t.Errorf("check-ins %v", got)
	}
	m := options(s, sim.Mac)
	m.ProductName = "MacBookPro16,1"
	old := enrolled(t, s, m)
	wantError(t, run(t, s, old, "EraseDevice", nil), "MCMDMErrorDomain", 12008)
	acknowledgedWith(t, run(t, s, old, "EraseDevice", dict{"PIN": "123456"}))
	if !old.State().Erased {
		t.Error("the Mac was not erased")
	}
}

// TestRenewal shows a new identity within the same enrolment.
func TestRenewal(t *testing.T) {
	for _, identity := range []sim.Identity{sim.IdentityBoth, sim.IdentityTLS, sim.IdentitySignature} {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Identity = identity
		d := enrolled(t, s, o)
		before := d.State()
		e := s.enrolment()
		e["PayloadUUID"] = uuid(200)
		e["PayloadContent"].([]any)[1].(dict)["AccessRights"] = 7927 // fewer are allowed
		acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, e)}))
		after := d.State()
		if !after.Enrolled || after.Identity.Serial == before.Identity.Serial || after.Profiles[0].UUID != uuid(200) || len(after.Profiles) != 1 || after.Rights != 7927 {
			t.Errorf("after: %+v", after)
		}
		if last := s.certs[len(s.certs)-1]; last != after.Identity.Serial {
			t.Errorf("the acknowledgement came with %s, want %s", last, after.Identity.Serial)
		}
		if got := s.checkins[len(s.checkins)-1]; got["MessageType"] != "TokenUpdate" || got["UnlockToken"] != nil {
			t.Errorf("after renewal: %v", got)
		}
		e["PayloadContent"].([]any)[1].(dict)["AccessRights"] = 8191
		wantError(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, e)}), "MCMDMErrorDomain", 12009)
	}
}

// TestRenewalDuringOutage shows that a device that has a new identity keeps it, and
// sends the token update that did not arrive at its next connection.
func TestRenewalDuringOutage(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	before := d.State().Identity.Serial
	s.answer = func(m dict) (int, string, string) {
		if m["MessageType"] == "TokenUpdate" {
			return 500, "", ""
		}
		return 0, "", ""
	}
	acknowledgedWith(t, run(t, s, d, "InstallProfile", dict{"Payload": encode(t, s.enrolment())}))
	if got := len(s.messages()); got != 2 || d.State().Identity.Serial == before {
		t.Errorf("%d check-ins, identity %s", got, d.State().Identity.Serial)
	}
	s.answer = nil
	for range 2 {
		if err := d.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.messages(); !slices.Equal(got[2:], []string{"TokenUpdate"}) {
		t.Errorf("check-ins %v", got)
	}
}

func TestUserChannel(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.Mac))
	mail := encode(t, profileOf("example.imap", 80, imapPayload(81, nil)))
	wantError(t, run(t, s, d, "InstallProfile", dict{"Payload": mail}), "MCInstallationErrorDomain", 4023)
	if err := d.UserLogsIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	tu := s.checkins[len(s.checkins)-1]
	if tu["MessageType"] != "TokenUpdate" || tu["UserID"] == nil || tu["UserShortName"] == nil || tu["PushMagic"] == s.checkins[1]["PushMagic"] {
		t.Errorf("TokenUpdate %v", tu)
	}
	id := s.orderOn(&s.userQ, "InstallProfile", dict{"Payload": mail})
	lock := s.orderOn(&s.userQ, "DeviceLock", dict{"PIN": "123456"})
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	acknowledgedWith(t, s.result(id))
	if s.result(id)["UserID"] == nil || !d.State().Profiles[1].User {
		t.Errorf("answer %v", s.result(id))
	}
	wantError(t, s.result(lock), "MCMDMErrorDomain", 12021)
	if list := run(t, s, d, "ProfileList", nil)["ProfileList"].([]any); len(list) != 1 {
		t.Errorf("the device channel lists %v", list)
	}
}

func TestDirectoryUser(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		open   bool
	}{
		{"declined", 410, "", false},
		{"accepted", 0, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			o := options(s, sim.Mac)
			o.Mood.DirectoryUser = true
			d := enrolled(t, s, o)
			s.answer = func(m dict) (int, string, string) {
				if m["MessageType"] != "UserAuthenticate" || m["DigestResponse"] != nil {
					return 0, "", ""
				}
				if c.open {
					return 200, "application/xml", `<plist version="1.0"><dict><key>DigestChallenge</key><string></string></dict></plist>`
				}
				return c.status, "", ""
			}
			if err := d.UserLogsIn(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d.State().UserChannel != c.open {
				t.Errorf("user channel %v", d.State().UserChannel)
			}
		})
	}
}

func TestBootstrapToken(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.Mac))
	deposited := s.checkins[2]["BootstrapToken"].([]byte)
	s.answer = func(m dict) (int, string, string) {
		if m["MessageType"] != "GetBootstrapToken" {
			return 0, "", ""
		}
		return 200, "application/xml", string(encode(t, dict{"BootstrapToken": deposited}))
	}
	got, err := d.FetchBootstrapToken(t.Context())
	if err != nil || string(got) != string(deposited) {
		t.Errorf("got %q: %v", got, err)
	}
}

// TestDeclarations shows the order of the exchange and that an unchanged token ends it.
func TestDeclarations(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	var asked []string
	var report []byte
	s.answer = func(m dict) (int, string, string) {
		if m["MessageType"] != "DeclarativeManagement" {
			return 0, "", ""
		}
		e := m["Endpoint"].(string)
		asked = append(asked, e)
		switch e {
		case "tokens":
			return 200, "application/json", `{"SyncTokens":{"DeclarationsToken":"t1","Timestamp":"2025-01-31T12:00:00Z"}}`
		case "declaration-items":
			return 200, "application/json", `{"Declarations":{"Activations":[{"Identifier":"a","ServerToken":"1"}],"Configurations":[{"Identifier":"c","ServerToken":"1"},{"Identifier":"gone","ServerToken":"1"}],"Assets":[],"Management":[]},"DeclarationsToken":"t1"}`
		case "declaration/activation/a":
			return 200, "application/json", `{"Type":"com.apple.activation.simple","Identifier":"a","ServerToken":"1","Payload":{"StandardConfigurations":["c"]}}`
		case "declaration/configuration/c":
			return 200, "application/json", `{"Type":"com.apple.configuration.account.exchange","Identifier":"c","ServerToken":"1","Payload":{}}`
		case "status":
			report = m["Data"].([]byte)
			return 200, "", ""
		}
		return 404, "", ""
	}
	acknowledgedWith(t, run(t, s, d, "DeclarativeManagement", nil))
	want := []string{"tokens", "declaration-items", "declaration/activation/a", "declaration/configuration/c", "declaration/configuration/gone", "status"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %v", asked)
	}
	if !contains(report, `"Error.ConfigurationNotSupported"`, `"server-token":"1"`, `"valid":"valid"`) {
		t.Errorf("report %s", report)
	}
	if h := d.State().Declarations; len(h) != 2 {
		t.Errorf("holds %v", h)
	}
	asked = nil
	acknowledgedWith(t, run(t, s, d, "DeclarativeManagement", nil))
	if !slices.Equal(asked, []string{"tokens"}) {
		t.Errorf("asked again %v", asked)
	}
}

// TestRedirect shows that a redirect is followed with the same message and forgotten.
func TestRedirect(t *testing.T) {
	s := newServer(t)
	e := s.enrolment()
	e["PayloadContent"].([]any)[1].(dict)["ServerURL"] = s.URL + "/old"
	d := sim.NewApple(options(s, sim.IPhone))
	if err := d.EnrolProfile(t.Context(), encode(t, e)); err != nil {
		t.Fatal(err)
	}
	acknowledgedWith(t, run(t, s, d, "DeviceInformation", nil))
	if s.redirects != 4 { // Authenticate, TokenUpdate, Idle, the answer
		t.Errorf("%d redirects, want 4", s.redirects)
	}
}

func TestSameSeedSameDevice(t *testing.T) {
	a, b, c := sim.NewApple(sim.Options{Seed: 3}).State(), sim.NewApple(sim.Options{Seed: 3}).State(), sim.NewApple(sim.Options{Seed: 4}).State()
	if a.Serial != b.Serial || a.UDID != b.UDID || a.Serial == c.Serial || a.UDID == c.UDID {
		t.Errorf("serials %s %s %s", a.Serial, b.Serial, c.Serial)
	}
	if a.Kind != sim.IPhone || len(a.UDID) != 25 {
		t.Errorf("made %s with UDID %s", a.Kind, a.UDID)
	}
}
