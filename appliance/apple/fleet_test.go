package apple

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	"github.com/smallstep/scep"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// world is the real domain with the real store and authority, served to devices over TLS.
type world struct {
	t      testing.TB
	db     *store.DB
	pki    *pki.Authority
	fleet  *fleet.Fleet
	apple  *Apple
	admin  fleet.Actor
	server *httptest.Server
	person *fleet.Person
	later  atomic.Int64 // how far the clock is put on, in nanoseconds
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	ctx := context.Background()
	key := make([]byte, 64)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.TempDir(), store.Options{Key: key[:32], SecretsKey: key[32:], Small: true})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	w := &world{t: t, db: db, admin: fleet.Job("test")}
	authority, err := pki.Open(ctx, db, pki.Config{Organisation: "Example BV", Clock: w.now})
	must(t, err)
	f, err := fleet.New(fleet.Config{DB: db, PKI: authority, Clock: w.now})
	must(t, err)
	conf := Config{Fleet: f, PKI: authority, DB: db, ServerRoots: func() [][]byte { return [][]byte{authority.Root().Raw} }, Clock: w.now, Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, c := range change {
		c(&conf)
	}
	a, err := New(conf)
	must(t, err)
	t.Cleanup(a.Close)
	f.Use(a, a)
	w.pki, w.fleet, w.apple = authority, f, a

	srv := httptest.NewUnstartedServer(a.Handler())
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	w.server = srv

	token, err := f.SetupLink(ctx, fleet.Actor{Kind: fleet.ActorSetup})
	must(t, err)
	_, err = f.Setup(ctx, token, "127.0.0.1", fleet.SetupInput{Organisation: "Example BV", Contact: "help@example.nl", AdminName: "Admin", AdminMail: "admin@example.nl",
		Password: "a long and odd passphrase", URL: srv.URL})
	must(t, err)
	s, err := f.Settings(ctx)
	must(t, err)
	next := *s
	next.URL, next.DeviceURL, next.SignMessages, next.SignProfiles = srv.URL, srv.URL, true, false
	_, err = f.SaveSettings(ctx, w.admin, next)
	must(t, err)
	w.uploadPush()
	name, mail := "Anna de Wit", "anna@example.nl"
	w.person, err = f.CreatePerson(ctx, w.admin, fleet.PersonInput{Name: &name, Mail: &mail})
	must(t, err)
	return w
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// uploadPush plays Apple's portal: it signs our request with a topic of its own.
func (w *world) uploadPush() {
	w.t.Helper()
	csrPEM, err := w.fleet.MakePushCSR(context.Background(), w.admin)
	must(w.t, err)
	block, _ := pem.Decode(csrPEM)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	must(w.t, err)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(w.t, err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Application Integration"}}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(300 * 24 * time.Hour),
		Subject: pkix.Name{CommonName: "APSP", ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: testTopic}}}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, csr.PublicKey, key)
	must(w.t, err)
	_, err = w.fleet.UploadPush(context.Background(), w.admin, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "it@example.nl")
	must(w.t, err)
}

// profile makes a profile and assigns it to all people.
func (w *world) profile(typ fleet.ProfileType, name string, settings map[string]any) *fleet.Profile {
	w.t.Helper()
	ctx := context.Background()
	b, err := json.Marshal(settings)
	must(w.t, err)
	platforms := []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
	p, err := w.fleet.CreateProfile(ctx, w.admin, fleet.ProfileInput{Type: typ, Name: &name, Platforms: &platforms, Settings: b})
	must(w.t, err)
	must(w.t, w.fleet.Assign(ctx, w.admin, p.ID, []fleet.Assignment{{Profile: p.ID, To: fleet.ToAllPeople}}, false))
	return p
}

// gadget is a simulated iPhone or Mac that keeps the rules of real ones: it replaces profiles by identifier, makes keys for SCEP
// payloads, lists what it has, and forgets all when its enrolment profile goes.
type gadget struct {
	*wire
	w         *world
	mac       bool
	installed map[string]dict // by channel and identifier
	certs     [][]byte
	seen      []string // request types, in order
	notNow    map[string]int
	refuse    map[string][]map[string]any        // request type to error chain, once
	always    func(kind string) []map[string]any // error chain for a request type, nil to obey
	gone      bool
	payload   dict // the MDM payload
	schema    *schema
}

// invite takes a person's device to the end of its enrolment.
func (w *world) invite(platform fleet.Platform, own fleet.Ownership, udid string) *gadget {
	w.t.Helper()
	ctx := context.Background()
	_, code, err := w.fleet.Invite(ctx, w.admin, fleet.InvitationInput{Person: w.person.ID, Platform: platform, Mode: fleet.ModeDevice, Ownership: own})
	must(w.t, err)
	opened, err := w.fleet.OpenInvitation(ctx, code, "127.0.0.1")
	must(w.t, err)
	ticket, err := w.fleet.Accept(ctx, code, opened.Terms.ID, "nl", "127.0.0.1", "Safari "+udid)
	must(w.t, err)
	xml, err := w.apple.EnrolmentProfile(ctx, ticket.Secret)
	must(w.t, err)
	g := &gadget{w: w, schema: loadSchema(w.t), mac: platform == fleet.MacOS, installed: map[string]dict{}, notNow: map[string]int{}, refuse: map[string][]map[string]any{},
		wire: &wire{rig: &rig{t: w.t}, server: w.server, udid: udid, sign: true}}
	if errs := g.install(xml, "device"); errs != nil {
		w.t.Fatalf("the enrolment profile is refused: %v", errs)
	}
	if got := g.hello(); got.status != 200 {
		w.t.Fatalf("Authenticate: %d %s", got.status, got.body)
	}
	if got := g.tokenUpdate(); got.status != 200 {
		w.t.Fatalf("TokenUpdate: %d %s", got.status, got.body)
	}
	return g
}

func (g *gadget) hello() answered {
	if g.mac {
		return g.checkIn("MessageType", "Authenticate", "Topic", testTopic, "OSVersion", "15.1", "ProductName", "Mac14,2", "Model", "Mac14,2", "ModelName", "MacBook Air",
			"DeviceName", "Anna's Mac", "SerialNumber", "C"+g.udid)
	}
	return g.checkIn("MessageType", "Authenticate", "Topic", testTopic, "OSVersion", "18.1", "BuildVersion", "22B83", "ProductName", "iPhone15,2", "SerialNumber", "F"+g.udid)
}

// install takes a configuration profile: keys for SCEP payloads, certificates, and for an MDM payload the identity of the line.
func (g *gadget) install(xml []byte, channel string) []map[string]any {
	top, err := readPlist(xml)
	must(g.t, err)
	var id tls.Certificate
	for _, v := range top.list("PayloadContent") {
		p := v.(dict)
		switch p.text("PayloadType") {
		case "com.apple.security.scep":
			cert, ok := g.scep(p.dict("PayloadContent").text("Challenge"))
			if !ok {
				return []map[string]any{{"ErrorDomain": "MCSCEPErrorDomain", "ErrorCode": 22013}}
			}
			id = cert
			if channel == "device" { // the list of certificates is of the system's keychain, not of a person's
				g.certs = append(g.certs, cert.Certificate[0])
			}
		case "com.apple.security.root":
			if channel == "device" {
				g.certs = append(g.certs, p.data("PayloadContent"))
			}
		case "com.apple.mdm":
			g.payload = p
			tr := g.w.server.Client().Transport.(*http.Transport).Clone()
			tr.TLSClientConfig.Certificates = []tls.Certificate{id}
			g.t.Cleanup(tr.CloseIdleConnections)
			g.wire.id, g.wire.client = id, &http.Client{Transport: tr}
		}
	}
	g.installed[channel+" "+top.text("PayloadIdentifier")] = top
	return nil
}

// scep fetches a certificate as a device does, with the SCEP of others.
func (g *gadget) scep(challenge string) (tls.Certificate, bool) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(g.t, err)
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "whoever"}, SignatureAlgorithm: x509.SHA256WithRSA}, ChallengePassword: challenge}, key)
	must(g.t, err)
	csr, err := x509.ParseCertificateRequest(der)
	must(g.t, err)
	own := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "whoever"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)
	must(g.t, err)
	own, err = x509.ParseCertificate(ownDER)
	must(g.t, err)
	recipients := []*x509.Certificate{g.w.pki.RA()}
	msg, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: recipients, SignerKey: key, SignerCert: own})
	must(g.t, err)
	_, body, err := g.w.pki.SCEP(context.Background(), "PKIOperation", msg.Raw)
	must(g.t, err)
	rep, err := scep.ParsePKIMessage(body, scep.WithCACerts(recipients))
	must(g.t, err)
	if rep.PKIStatus != scep.SUCCESS {
		return tls.Certificate{}, false
	}
	must(g.t, rep.DecryptPKIEnvelope(own, key))
	return tls.Certificate{Certificate: [][]byte{rep.Certificate.Raw}, PrivateKey: key, Leaf: rep.Certificate}, true
}

// run calls and obeys until nothing is left to do; it gives the last status code.
func (g *gadget) run() int {
	g.t.Helper()
	got := g.command("Status", "Idle")
	for range 60 {
		if got.status != 200 || got.length == 0 {
			return got.status
		}
		env, err := readPlist(got.body)
		must(g.t, err)
		for _, fault := range g.schema.checkCommand(got.body, targetOf(map[bool]fleet.Platform{true: fleet.MacOS, false: fleet.IOS}[g.mac], g.channel()), rightsAll, true) {
			g.t.Error(fault)
		}
		result := g.obey(env.dict("Command"))
		if g.gone {
			return 0
		}
		got = g.command(append([]any{"CommandUUID", env.text("CommandUUID")}, result...)...)
	}
	g.t.Fatal("the server finds no end")
	return 0
}

func (g *gadget) channel() fleet.Channel {
	if g.user != "" {
		return fleet.Channel("user:" + g.user)
	}
	return fleet.DeviceChannel
}

// obey carries out a command and gives the result's keys.
func (g *gadget) obey(cmd dict) []any {
	kind, ch := cmd.text("RequestType"), string(g.channel())
	g.seen = append(g.seen, kind)
	if g.notNow[kind] > 0 {
		g.notNow[kind]--
		return []any{"Status", "NotNow"}
	}
	if chain := g.refuse[kind]; chain != nil {
		delete(g.refuse, kind)
		return []any{"Status", "Error", "ErrorChain", chain}
	}
	if g.always != nil {
		if chain := g.always(kind); chain != nil {
			return []any{"Status", "Error", "ErrorChain", chain}
		}
	}
	ok := []any{"Status", "Acknowledged"}
	switch kind {
	case "InstallProfile":
		if errs := g.install(cmd.data("Payload"), ch); errs != nil {
			return []any{"Status", "Error", "ErrorChain", errs}
		}
		return ok
	case "RemoveProfile":
		key := ch + " " + cmd.text("Identifier")
		if g.installed[key] == nil {
			return []any{"Status", "Error", "ErrorChain", []map[string]any{{"ErrorDomain": "MCMDMErrorDomain", "ErrorCode": 12075}}}
		}
		delete(g.installed, key)
		if cmd.text("Identifier") == enrolmentIdentifier {
			g.checkIn("MessageType", "CheckOut", "Topic", testTopic)
			g.gone = true
		}
		g.certs = nil
		return ok
	case "EraseDevice":
		return ok
	case "ProfileList":
		list := []any{}
		for k, p := range g.installed {
			if strings.HasPrefix(k, ch+" ") {
				list = append(list, map[string]any{"PayloadIdentifier": p.text("PayloadIdentifier"), "PayloadUUID": p.text("PayloadUUID"), "IsManaged": true})
			}
		}
		return append(ok, "ProfileList", list)
	case "CertificateList":
		list := []any{}
		for _, c := range g.certs {
			list = append(list, map[string]any{"CommonName": "x", "Data": c, "IsIdentity": true})
		}
		return append(ok, "CertificateList", list)
	case "DeviceInformation":
		all := map[string]any{"OSVersion": "18.2", "ModelName": "iPhone", "ProductName": "iPhone15,2", "SerialNumber": "F" + g.udid, "IsSupervised": false, "DeviceCapacity": 128.0}
		answers := map[string]any{}
		for _, q := range cmd.list("Queries") {
			if v, has := all[q.(string)]; has {
				answers[q.(string)] = v
			}
		}
		return append(ok, "QueryResponses", answers)
	case "SecurityInfo":
		return append(ok, "SecurityInfo", map[string]any{"PasscodePresent": true, "PasscodeCompliant": true, "PasscodeCompliantWithProfiles": true, "HardwareEncryptionCaps": 3})
	case "InstalledApplicationList":
		return append(ok, "InstalledApplicationList", []any{map[string]any{"Identifier": "nl.example.app", "Name": "App", "ShortVersion": "1"}})
	case "ManagedApplicationList":
		return append(ok, "ManagedApplicationList", map[string]any{})
	}
	return ok
}

// has says whether a unit is installed on a channel kind.
func (g *gadget) has(identifier string) bool {
	for k := range g.installed {
		if strings.HasSuffix(k, " "+identifier) {
			return true
		}
	}
	return false
}

func (w *world) device(udid string) *fleet.Device {
	w.t.Helper()
	l, err := w.fleet.Devices(context.Background(), w.admin, fleet.DeviceFilter{Hidden: true}, fleet.ListQuery{})
	must(w.t, err)
	for _, d := range l.Items {
		if d.Hardware == udid {
			return d
		}
	}
	w.t.Fatalf("no device %s", udid)
	return nil
}

func (w *world) statuses(d fleet.DeviceID) map[fleet.ProfileType]fleet.ProfileStatus {
	w.t.Helper()
	list, err := w.fleet.DeviceProfiles(context.Background(), w.admin, d)
	must(w.t, err)
	out := map[fleet.ProfileType]fleet.ProfileStatus{}
	for _, s := range list {
		out[s.Type] = s
	}
	return out
}

// mailSet is the whole of what a person's device is to get: root, identity, passcode and e-mail with the identity.
func (w *world) mailSet() {
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	identity := w.profile(fleet.TypeIdentity, "Identity", map[string]any{"root": string(root.ID)})
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})
	w.profile(fleet.TypeEmail, "Mail", map[string]any{"host": "mail.example.nl", "sign_in": "certificate", "identity": string(identity.ID)})
}

// TestIPhoneFromInvitationToReceipt is the whole way of one phone through the real domain.
func TestIPhoneFromInvitationToReceipt(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.mailSet()
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-IPHONE-1")
	g.notNow["InstallProfile"] = 1
	g.run()
	if g.run() != 200 {
		t.Fatal("the second run fails")
	}
	d := w.device(g.udid)
	if d.State != fleet.Managed || d.OSVersion != "18.2" || d.Serial == "" {
		t.Errorf("device %+v", d)
	}
	if !g.has("muster.profile.access") || !g.has("muster.profile.passcode") {
		t.Errorf("installed: %v after %v", slices.Collect(keysOf(g.installed)), g.seen)
	}
	for typ, s := range w.statuses(d.ID) {
		if s.Status != fleet.StatusSucceeded {
			t.Errorf("%s is %s: %+v", typ, s.Status, s.Reason)
		}
	}
	before := len(g.seen)
	if g.run(); len(g.seen) != before {
		t.Errorf("a device at rest is asked for more: %v", g.seen[before:])
	}

	// A lock, then retirement, until nothing is left and the tombstone answers.
	_, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActLock, fleet.ActionOptions{Message: "Bel ons"}, "")
	must(t, err)
	g.run()
	if g.seen[len(g.seen)-1] != "DeviceLock" && !slices.Contains(g.seen, "DeviceLock") {
		t.Errorf("no lock among %v", g.seen)
	}
	_, err = w.fleet.Act(ctx, w.admin, d.ID, fleet.ActRetire, fleet.ActionOptions{}, d.Name)
	must(t, err)
	g.run()
	if !g.gone {
		g.run()
	}
	if !g.gone || g.has("muster.profile.access") || g.has("muster.profile.passcode") {
		t.Errorf("not gone; still installed %v; was told %v", slices.Collect(keysOf(g.installed)), g.seen)
	}
	if got := g.command("Status", "Idle"); got.status != 403 || !bytes.Contains(got.body, []byte("com.apple.unrecognized.device")) {
		t.Errorf("a retired device is answered %d %s", got.status, got.body)
	}
	list, err := w.fleet.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].Closed == nil || list.Items[0].Outcome != "proved" {
		t.Fatalf("receipts %+v", list.Items)
	}
	for _, row := range list.Items[0].Rows {
		if row.Proved == "not-proved" {
			t.Errorf("%s is not proved: %+v", row.Data, row)
		}
	}
}

// TestMacWithItsPerson shows that e-mail waits for the person's channel and travels over it, and that of several people with a channel each has a
// certificate that no other's ends.
func TestMacWithItsPerson(t *testing.T) {
	w := newWorld(t)
	w.mailSet()
	g := w.invite(fleet.MacOS, fleet.Corporate, "UDID-MAC-1")
	g.run()
	d := w.device(g.udid)
	if d.Platform != fleet.MacOS || d.Name != "Anna's Mac" {
		t.Errorf("%s %q", d.Platform, d.Name)
	}
	if g.has("muster.profile.person") || !g.has("muster.profile.access") {
		t.Errorf("installed without a person: %v", slices.Collect(keysOf(g.installed)))
	}
	if s := w.statuses(d.ID)[fleet.TypeEmail]; s.Status == fleet.StatusSucceeded {
		t.Error("e-mail is said to be there before anybody has logged in")
	}
	if s := w.statuses(d.ID)[fleet.TypeTrustedRoot]; s.Status != fleet.StatusSucceeded {
		t.Errorf("the root is on the Mac, and is said to be %s: %+v", s.Status, s.Reason)
	}
	g.user = "7F0A1B2C-0000-4000-8000-000000000001"
	if got := g.tokenUpdate("UserLongName", "Anna"); got.status != 200 {
		t.Fatalf("TokenUpdate of the person: %d", got.status)
	}
	g.run()
	if !g.has("muster.profile.person") {
		t.Errorf("the person's unit did not come: %v", g.seen)
	}
	people := []string{g.user, "7F0A1B2C-0000-4000-8000-000000000002", "7F0A1B2C-0000-4000-8000-000000000003"}
	for _, g.user = range people[1:] {
		if got := g.tokenUpdate("UserLongName", "Bram"); got.status != 200 {
			t.Fatalf("TokenUpdate of the person %s: %d", g.user, got.status)
		}
		g.run()
	}
	g.user = ""
	g.run()
	for typ, s := range w.statuses(d.ID) {
		if s.Status != fleet.StatusSucceeded {
			t.Errorf("%s is %s: %+v", typ, s.Status, s.Reason)
		}
	}
	states := func() map[string]int {
		out := map[string]int{}
		page, err := w.fleet.Certificates(context.Background(), w.admin, fleet.CertificateFilter{Device: d.ID}, fleet.ListQuery{})
		must(t, err)
		for _, c := range page.Items {
			if c.Purpose == "access" {
				out[c.State]++
			}
		}
		return out
	}
	if got := states(); got[fleet.CertificateLive] != 3 || got[fleet.CertificateSuperseded] != 0 {
		t.Errorf("certificates of three people: %v", got)
	}
	// Each person's certificate is renewed, and the one before it ends, though the Mac's list of certificates names neither.
	w.later.Store(int64(345 * 24 * time.Hour))
	for _, g.user = range append(append([]string{""}, people...), "") {
		g.run()
	}
	if got := states(); got[fleet.CertificateLive] != 3 || got[fleet.CertificateSuperseded] != 3 {
		t.Errorf("certificates of three people after a renewal: %v", got)
	}
}

// TestAccountThatExistsAlready shows B8 end to end: the rest is delivered without the account, and the account after the person removed theirs.
func TestAccountThatExistsAlready(t *testing.T) {
	w := newWorld(t)
	w.mailSet()
	g := w.invite(fleet.IOS, fleet.Personal, "UDID-IPHONE-2")
	g.refuse["InstallProfile"] = []map[string]any{{"ErrorDomain": "MCInstallationErrorDomain", "ErrorCode": 4001},
		{"ErrorDomain": "MCEASErrorDomain", "ErrorCode": 21005, "LocalizedDescription": "De account bestaat al"}}
	g.run()
	d := w.device(g.udid)
	got := w.statuses(d.ID)
	mail := got[fleet.TypeEmail]
	if mail.Status == fleet.StatusSucceeded || mail.Reason.Code == "" || !strings.Contains(jsonOf(mail), "De account bestaat al") {
		t.Errorf("mail is %+v", mail)
	}
	if got[fleet.TypeTrustedRoot].Status != fleet.StatusSucceeded {
		t.Errorf("the root waits for the account: %+v", got[fleet.TypeTrustedRoot])
	}
	must(t, w.fleet.RetryProfile(context.Background(), w.admin, d.ID, mail.Profile))
	g.run()
	if s := w.statuses(d.ID)[fleet.TypeEmail]; s.Status != fleet.StatusSucceeded {
		t.Errorf("after the person removed the account mail is %+v", s)
	}
}

// TestRenewal shows that the identity changes in good time, that a NotNow does not end the tries, and that the old identity ends with
// the first use of the new one.
func TestRenewal(t *testing.T) {
	w := newWorld(t)
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-IPHONE-3")
	g.run()
	old := *g.wire
	before := len(g.seen)
	w.later.Store(int64(330 * 24 * time.Hour))
	g.notNow["InstallProfile"] = 1
	g.run()
	if bytes.Equal(g.id.Certificate[0], old.id.Certificate[0]) {
		g.run()
	}
	if bytes.Equal(g.id.Certificate[0], old.id.Certificate[0]) {
		t.Fatalf("not renewed; was told %v", g.seen[before:])
	}
	if got := g.run(); got != 200 {
		t.Fatalf("with the new identity: %d", got)
	}
	if got := old.command("Status", "Idle"); got.status != 400 {
		t.Errorf("the old identity is answered %d, want 400", got.status)
	}
	drawer := w.invite(fleet.IOS, fleet.Corporate, "UDID-IPHONE-IN-A-DRAWER")
	drawer.run()
	ended := *drawer.wire
	w.later.Store(int64(500 * 24 * time.Hour))
	if got := g.run(); got != 200 {
		t.Errorf("after the first identity's end: %d", got)
	}
	// An identity whose time is over fetches its renewal and nothing else, and then is worth nothing.
	w.later.Store(int64((330 + 365 + 300) * 24 * time.Hour))
	d := w.device(drawer.udid)
	if _, err := w.fleet.Act(context.Background(), w.admin, d.ID, fleet.ActLock, fleet.ActionOptions{}, ""); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Authenticate", "GetBootstrapToken", "SetBootstrapToken", "DeclarativeManagement"} {
		if got := drawer.checkIn("MessageType", kind, "Topic", testTopic, "Endpoint", "tokens"); got.status != 400 {
			t.Errorf("%s with an identity that has ended: %d, want 400", kind, got.status)
		}
	}
	drawer.refuse["InstallProfile"] = []map[string]any{{"ErrorDomain": "MCSCEPErrorDomain", "ErrorCode": 22005}}
	drawer.seen = nil
	if got := drawer.run(); got != 200 || !slices.Equal(drawer.seen, []string{"InstallProfile"}) {
		t.Errorf("after its identity's end: %d, told %v, want the renewal alone", got, drawer.seen)
	}
	w.later.Add(int64(25 * time.Hour))
	drawer.run()
	if bytes.Equal(drawer.id.Certificate[0], ended.id.Certificate[0]) {
		t.Fatalf("not renewed; was told %v", drawer.seen)
	}
	if drawer.run() != 200 || !slices.Contains(drawer.seen, "DeviceLock") {
		t.Errorf("with the new identity it was told %v", drawer.seen)
	}
	if got := ended.command("Status", "Idle"); got.status != 400 {
		t.Errorf("the ended identity, once the new one was seen, is answered %d, want 400", got.status)
	}
}

// TestLongEndedIdentity shows that an identity fetches a removal after its end too, does not speak for its device for ever, and does so before its
// beginning, which our own clock gave it.
func TestLongEndedIdentity(t *testing.T) {
	w := newWorld(t)
	g, gone := w.invite(fleet.IOS, fleet.Corporate, "UDID-LATE-1"), w.invite(fleet.IOS, fleet.Corporate, "UDID-LATE-2")
	g.run()
	gone.run()
	w.later.Store(int64(400 * 24 * time.Hour))
	d := w.device(g.udid)
	if _, err := w.fleet.Act(context.Background(), w.admin, d.ID, fleet.ActRetire, fleet.ActionOptions{}, d.Name); err != nil {
		t.Fatal(err)
	}
	if g.run(); !g.gone || w.device(g.udid).State != fleet.Retired {
		t.Errorf("the removal was not fetched: told %v", g.seen)
	}
	w.later.Store(int64(2 * 366 * 24 * time.Hour))
	if got := gone.command("Status", "Idle"); got.status != 400 {
		t.Errorf("a year after its end the identity is answered %d, want 400", got.status)
	}
	future := w.invite(fleet.IOS, fleet.Corporate, "UDID-FUTURE")
	w.later.Store(int64(500 * 24 * time.Hour))
	if got := future.run(); got != 200 {
		t.Errorf("issued by a clock that ran ahead, the identity is answered %d", got)
	}
}

// TestChangeWakesTheDevice shows that a change reaches APNs as a push to the device's token, and that 410 ends the pushes.
func TestChangeWakesTheDevice(t *testing.T) {
	a := newAPNs(t)
	w := newWorld(t, func(c *Config) { c.PushURL, c.PushRoots = a.server.URL, poolOf(a.server.Certificate()) })
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-IPHONE-7")
	g.run()
	g.run()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- w.fleet.RunWakes(ctx) }()
	go func() { done <- w.fleet.RunFanOut(ctx) }()
	t.Cleanup(func() { stop(); <-done; <-done })
	pushes := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.seen)
	}
	before := pushes()
	w.mailSet()
	for deadline := time.Now().Add(time.Minute); pushes() == before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no push came")
		}
	}
	a.mu.Lock()
	last, body := a.seen[len(a.seen)-1], a.bodies[len(a.bodies)-1]
	a.mu.Unlock()
	if last.URL.Path != "/3/device/"+strings.Repeat("07", 32) || body != `{"mdm":"MAGIC"}` || last.Header.Get("Apns-Topic") != testTopic {
		t.Errorf("%s %s %v", last.URL.Path, body, last.Header)
	}
	if g.run() != 200 || !g.has("muster.profile.access") {
		t.Errorf("woken, it got %v", g.seen)
	}
}

// TestRepeatedMessages shows that a result that comes twice changes nothing, nor does one for an order that nobody gave.
func TestRepeatedMessages(t *testing.T) {
	w := newWorld(t)
	w.mailSet()
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-IPHONE-4")
	first := g.command("Status", "Idle")
	again := g.command("Status", "Idle") // the answer was lost
	one, err := readPlist(first.body)
	must(t, err)
	two, err := readPlist(again.body)
	must(t, err)
	if one.text("CommandUUID") == "" || one.text("CommandUUID") != two.text("CommandUUID") {
		t.Errorf("a lost command came back as another: %s, then %s", one.text("CommandUUID"), two.text("CommandUUID"))
	}
	refusal := []any{"CommandUUID", one.text("CommandUUID"), "Status", "Error", "ErrorChain", []map[string]any{{"ErrorDomain": "MCMDMErrorDomain", "ErrorCode": 12021}}}
	g.command(refusal...)
	d := w.device(g.udid)
	settled := jsonOf(w.statuses(d.ID))
	for range 3 {
		if got := g.command(refusal...); got.status != 200 {
			t.Fatalf("a repeated result: %d", got.status)
		}
	}
	if got := g.command("CommandUUID", "nobody-gave-this", "Status", "Acknowledged"); got.status != 200 {
		t.Errorf("a result for an unknown command: %d, want 200", got.status)
	}
	if got := jsonOf(w.statuses(d.ID)); got != settled {
		t.Errorf("repeated results changed\n%s\nto\n%s", settled, got)
	}
	if g.hello().status != 200 || g.tokenUpdate().status != 200 {
		t.Error("a repeated Authenticate is refused")
	}
	if g.run() != 200 || !g.has("muster.profile.access") {
		t.Errorf("it does not converge: %v", g.seen)
	}
}

// TestPeerThatKnowsThreeCommands is a client like the simulators of others: all but three commands are answered 12021. The receipt of its
// retirement must say honestly that the removal is not proved.
func TestPeerThatKnowsThreeCommands(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.mailSet()
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-PEER-1")
	unknown := []map[string]any{{"ErrorDomain": "MCMDMErrorDomain", "ErrorCode": 12021, "LocalizedDescription": "unknown request type"}}
	g.always = func(kind string) []map[string]any {
		switch kind {
		case "DeviceInformation", "ProfileList", "InstallProfile":
			return nil
		}
		return unknown
	}
	g.run()
	g.run()
	d := w.device(g.udid)
	if !g.has("muster.profile.access") {
		t.Fatalf("what it does not know kept it from what it knows: %v", g.seen)
	}
	_, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActRetire, fleet.ActionOptions{}, d.Name)
	must(t, err)
	for range 4 {
		if g.run() == 403 {
			break
		}
	}
	list, err := w.fleet.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
	must(t, err)
	for _, row := range list.Items[0].Rows {
		if row.Data == "email" && row.Proved == "proved" {
			t.Error("the receipt claims that e-mail was removed")
		}
		if row.Data == "certificates" && len(row.Serials) == 0 {
			t.Error("the receipt does not name the revoked certificates")
		}
	}
}

// TestWipe shows that an erased phone is turned away afterwards or stays wanted, and that its order is given with its options.
func TestWipe(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-IPHONE-5")
	g.run()
	d := w.device(g.udid)
	_, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{KeepDataPlan: true}, d.Name)
	must(t, err)
	got := g.command("Status", "Idle")
	env, err := readPlist(got.body)
	must(t, err)
	for env.dict("Command").text("RequestType") != "EraseDevice" {
		got = g.command(append([]any{"CommandUUID", env.text("CommandUUID")}, g.obey(env.dict("Command"))...)...)
		env, err = readPlist(got.body)
		must(t, err)
	}
	if env.dict("Command")["PreserveDataPlan"] != true {
		t.Errorf("command %v", env)
	}
	g.command("CommandUUID", env.text("CommandUUID"), "Status", "Acknowledged")
	if s := w.device(g.udid).State; s != fleet.Wiping && s != fleet.Wiped {
		t.Errorf("the device is %s", s)
	}
	personal := w.invite(fleet.IOS, fleet.Personal, "UDID-IPHONE-6")
	personal.run()
	p := w.device(personal.udid)
	if _, err := w.fleet.Act(ctx, w.admin, p.ID, fleet.ActWipe, fleet.ActionOptions{}, p.Name); !errors.Is(err, fleet.ErrNotApplicable) {
		t.Errorf("wipe of somebody's own phone: %v", err)
	}
}

// TestMacThatRefusesAWipeAndMayEraseItself shows that such an answer is explained while the Mac is silent, that its next call settles that it was not
// erased, that enrolling it anew ends the order, and that none of it proves the wipe.
func TestMacThatRefusesAWipeAndMayEraseItself(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	g := w.invite(fleet.MacOS, fleet.Corporate, "UDID-MAC-9")
	g.run()
	d := w.device(g.udid)
	refuse := func() {
		g.refuse["EraseDevice"] = []map[string]any{{"ErrorDomain": "MCMDMErrorDomain", "ErrorCode": 12099, "LocalizedDescription": "Preflight failed"}}
		g.run()
	}
	const doubt = "wipe.refused-maybe-erased"
	standing := func() fleet.Reason {
		t.Helper()
		s, err := w.fleet.Standing(ctx, w.admin, d.ID)
		must(t, err)
		return s.Reason
	}
	order, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{Obliterate: "DoNotObliterate"}, d.Name)
	must(t, err)
	refuse()
	if got := standing(); got.Code == doubt {
		t.Errorf("a Mac that was told not to obliterate itself is doubted: %+v", got)
	}
	must(t, w.fleet.CallOff(ctx, w.admin, order.ID))
	order, err = w.fleet.Act(ctx, w.admin, d.ID, fleet.ActWipe, fleet.ActionOptions{}, d.Name)
	must(t, err)
	refuse()
	told := func() {
		t.Helper()
		a, err := w.fleet.Action(ctx, w.admin, order.ID)
		must(t, err)
		if got := standing(); got.Code != doubt || a.Reason.Code != doubt || !strings.Contains(a.Reason.DeviceWords, "Preflight failed") || a.State != fleet.ActionQueued {
			t.Errorf("the refusal is told as %+v, the action is %s: %+v", got, a.State, a.Reason)
		}
	}
	told()
	g.run() // so soon it may still be about to erase itself
	told()
	w.later.Add(int64(6 * time.Minute))
	refuse() // its call shows that it is there: the wipe is given again, and refused again
	told()
	lines, err := w.fleet.Timeline(ctx, w.admin, d.ID, fleet.ListQuery{Limit: 200})
	must(t, err)
	if n := strings.Count(jsonOf(lines.Items), "event.wipe-not-erased"); n != 1 {
		t.Errorf("%d lines say that it was not erased", n)
	}
	again := w.invite(fleet.MacOS, fleet.Corporate, g.udid)
	again.run()
	if got := w.device(g.udid); got.ID != d.ID || got.State != fleet.Managed || got.Warning != nil {
		t.Errorf("enrolled anew it is %s with %+v", got.State, got.Warning)
	}
	a, err := w.fleet.Action(ctx, w.admin, order.ID)
	must(t, err)
	list, err := w.fleet.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
	must(t, err)
	if a.State != fleet.ActionOvertaken || list.Items[0].Outcome == "proved" || list.Items[0].Outcome == "open" {
		t.Errorf("the order is %s, its receipt %q", a.State, list.Items[0].Outcome)
	}
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
