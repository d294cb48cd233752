package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"muster/pki"
	"muster/store"
)

// pushPortal signs push requests as Apple's portal does: the subject is its own, with the topic as user id.
type pushPortal struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newPushPortal(t testing.TB, now time.Time) *pushPortal {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Portal"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pushPortal{t, key, root}
}

func (p *pushPortal) sign(csrPEM []byte, topic string, from time.Time) []byte {
	p.t.Helper()
	block, _ := pem.Decode(csrPEM)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		p.t.Fatalf("request: %v", err)
	}
	name := pkix.Name{CommonName: "APSP:1", ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}}}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(from.Unix()), Subject: name, NotBefore: from.Add(-time.Minute), NotAfter: from.AddDate(1, 0, 0)},
		p.root, csr.PublicKey, p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

const (
	topicA = "com.apple.mgmt.External.aaaa"
	topicB = "com.apple.mgmt.External.bbbb"
)

func TestPushCertificate(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	portal := newPushPortal(t, h.clock.now())
	csr, err := h.MakePushCSR(ctx, h.owner)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := h.PushCertificate(ctx); p != nil || err != nil {
		t.Fatalf("%v, %v", p, err)
	}
	_, err = h.PushIdentity(ctx)
	wantRefusal(t, err, ErrNotFound, "push.none")
	first := portal.sign(csr, topicA, h.clock.now())
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	foreignCSR, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	foreign := portal.sign(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: foreignCSR}), topicA, h.clock.now())
	tests := []struct {
		name        string
		pem         []byte
		account     string
		field, code string
	}{
		{"nothing", nil, "it@acme.example", "certificate", "push.unreadable"},
		{"not a certificate", []byte("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----"), "it@acme.example", "certificate", "push.unreadable"},
		{"a megabyte", []byte(strings.Repeat("A", 1<<20)), "it@acme.example", "certificate", "push.unreadable"},
		{"no Apple account", first, "", "apple_account", "input.required"},
		{"somebody else's key", foreign, "it@acme.example", "certificate", "push.other-key"},
		{"no topic", portal.sign(csr, "com.example.other", h.clock.now()), "it@acme.example", "certificate", "push.not-push"},
		{"over", portal.sign(csr, topicA, h.clock.now().AddDate(-2, 0, 0)), "it@acme.example", "certificate", "push.not-valid-now"},
		{"an ordinary certificate", pki.PEM(h.pki.Root()), "it@acme.example", "certificate", "push.not-push"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.UploadPush(ctx, h.owner, tt.pem, tt.account)
			wantField(t, err, tt.field, tt.code)
		})
	}
	got, err := h.UploadPush(ctx, h.owner, first, "it@acme.example")
	if err != nil || got.Topic != topicA || got.By != "Olga Owner" {
		t.Fatalf("%+v, %v", got, err)
	}
	if id, err := h.PushIdentity(ctx); err != nil || id.PrivateKey == nil || pki.PushTopic(id.Leaf) != topicA {
		t.Fatalf("%v, %v", id, err)
	}
	second, err := h.MakePushCSR(ctx, h.owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("without devices the topic may change", func(t *testing.T) {
		if _, err := h.UploadPush(ctx, h.owner, portal.sign(second, topicB, h.clock.now()), "it@acme.example"); err != nil {
			t.Fatal(err)
		}
		third, err := h.MakePushCSR(ctx, h.owner)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.UploadPush(ctx, h.owner, portal.sign(third, topicA, h.clock.now()), "it@acme.example"); err != nil {
			t.Fatal(err)
		}
	})
	fourth, err := h.MakePushCSR(ctx, h.owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		state   State
		refused bool
	}{{Managed, true}, {Enrolling, true}, {Retiring, true}, {Wiping, true}, {Retired, false}, {Left, false}} {
		t.Run("topic guard with a device "+string(tt.state), func(t *testing.T) {
			put(h, enrolments, &Enrolment{ID: "e1", Topic: topicA})
			put(h, devices, &Device{ID: "d1", Enrolment: "e1", Name: "Anna's iPhone", State: tt.state})
			_, err := h.UploadPush(ctx, h.owner, portal.sign(fourth, topicB, h.clock.now()), "it@acme.example")
			if !tt.refused {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			r := wantRefusal(t, err, ErrConflict, "push.topic-differs")
			if r.Reason.Args["device"] != "Anna's iPhone" || r.Reason.Args["enrolled"] != topicA {
				t.Errorf("%v", r.Reason.Args)
			}
			if now, _ := h.PushCertificate(ctx); now.Topic != topicA {
				t.Error("the certificate in use changed")
			}
			if _, err := h.UploadPush(ctx, h.owner, portal.sign(fourth, topicA, h.clock.now()), "it@acme.example"); err != nil {
				t.Errorf("a renewal with the same topic: %v", err)
			}
		})
	}
	t.Run("rights", func(t *testing.T) {
		_, err := h.MakePushCSR(ctx, Actor{})
		wantRefusal(t, err, ErrForbidden, "forbidden")
		_, err = h.UploadPush(ctx, Actor{}, first, "x@example.org")
		wantRefusal(t, err, ErrForbidden, "forbidden")
	})
	if log := h.auditText(); strings.Contains(log, "PRIVATE") || strings.Contains(log, "sealedKey") {
		t.Error("a key is in the log")
	}
}

// need finds a need by its code.
func (h *house) need(a Actor, code string) *Need {
	h.t.Helper()
	list, err := h.Needs(context.Background(), a)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range list {
		if list[i].Reason.Code == code {
			return &list[i]
		}
	}
	return nil
}

func TestNeeds(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	portal := newPushPortal(t, h.clock.now())
	want := func(a Actor, code, severity string) {
		t.Helper()
		if n := h.need(a, code); n == nil || n.Severity != severity || !strings.HasPrefix(n.Link, "/") {
			t.Errorf("%s: %+v, want %s", code, n, severity)
		}
	}
	none := func(a Actor, code string) {
		t.Helper()
		if n := h.need(a, code); n != nil {
			t.Errorf("%s: %+v, want none", code, n)
		}
	}
	want(h.owner, "need.terms-missing", "error")
	want(h.owner, "need.push-missing", "info") // there is no Apple device that could not be woken
	none(Actor{Kind: ActorAdmin, Permissions: map[Permission]bool{DevicesRead: true}}, "need.push-missing")
	_, err := h.Needs(ctx, Actor{})
	wantRefusal(t, err, ErrForbidden, "forbidden")
	h.terms()
	none(h.owner, "need.terms-missing")
	csr, err := h.MakePushCSR(ctx, h.owner)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.UploadPush(ctx, h.owner, portal.sign(csr, topicA, h.clock.now()), "it@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	none(h.owner, "need.push-missing")
	start := h.clock.now()
	for _, tt := range []struct {
		left     time.Duration
		severity string
		days     string
	}{{61 * 24 * time.Hour, "", ""}, {60 * 24 * time.Hour, "info", "60"}, {30 * 24 * time.Hour, "warning", "30"}, {14 * 24 * time.Hour, "warning", "14"},
		{7 * 24 * time.Hour, "error", "7"}, {24 * time.Hour, "error", "1"}, {time.Hour, "error", "1"}} {
		h.clock.move(p.NotAfter.Add(-tt.left).Sub(h.clock.now()))
		n := h.need(h.owner, "need.push-ends")
		if tt.severity == "" {
			if n != nil {
				t.Errorf("%v left: %+v", tt.left, n)
			}
			continue
		}
		if n == nil || n.Severity != tt.severity || n.Reason.Args["days"] != tt.days || n.Reason.Args["account"] != "it@acme.example" {
			t.Errorf("%v left: %+v, want %s, %s days", tt.left, n, tt.severity, tt.days)
		}
	}
	h.clock.move(time.Hour)
	want(h.owner, "need.push-expired", "error")
	h.clock.move(start.Sub(h.clock.now()))

	now := h.clock.now()
	put(h, devices, &Device{ID: "d1", Hardware: "1", Name: "Quiet", State: Managed, LastSeen: now.Add(-15 * 24 * time.Hour), Tags: []Tag{"north"}},
		&Device{ID: "d2", Hardware: "2", Name: "Lively", State: Managed, LastSeen: now, Tags: []Tag{"south"}},
		&Device{ID: "d3", Hardware: "3", Name: "Gone", State: Retired, LastSeen: now.Add(-90 * 24 * time.Hour)},
		&Device{ID: "d4", Hardware: "4", Name: "Twin", State: Managed, LastSeen: now, Tags: []Tag{"south"}, Warning: ptr(Why("device.serial-twice"))})
	closed := now
	put(h, receipts, &Receipt{ID: ReceiptID(store.NewID()), Device: "d3", Name: "Gone", Opened: now.Add(-24 * time.Hour), Closed: &closed, Outcome: "not-proved", Tags: []Tag{"north"}})
	put(h, strangers, &stranger{Fingerprint: "f"})
	h.clock.move(needsFresh)
	want(h.owner, "need.devices-silent", "warning")
	if n := h.need(h.owner, "need.devices-silent"); n.Reason.Args["count"] != "1" || n.Reason.Args["device"] != "Quiet" {
		t.Errorf("%v", n.Reason.Args)
	}
	want(h.owner, "device.serial-twice", "warning")
	want(h.owner, "need.removal-not-proved", "warning")
	want(h.owner, "need.strangers", "warning")
	south := h.scoped("south")
	none(south, "need.devices-silent")
	none(south, "need.removal-not-proved")
	none(south, "need.strangers")
	want(south, "device.serial-twice", "warning")

	none(h.owner, "need.sign-in-attacks")
	for range attacksLeast {
		if _, err := h.SignIn(ctx, "nobody@acme.example", "wrong password here", "203.0.113.9", "x"); err == nil {
			t.Fatal("signed in")
		}
	}
	want(h.owner, "need.sign-in-attacks", "warning")
	h.clock.move(attacksBack + time.Minute)
	none(h.owner, "need.sign-in-attacks")
}

func TestCertificates(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	put(h, devices, &Device{ID: "d1", Hardware: "1", Enrolment: "e1", Name: "Anna's iPhone", Platform: IOS, State: Managed, Tags: []Tag{"north"}},
		&Device{ID: "d2", Hardware: "2", Enrolment: "e2", Name: "Bert's iPhone", Platform: IOS, State: Managed, Tags: []Tag{"south"}})
	issue := func(device, enrolment string, purpose pki.Purpose, lifetime time.Duration) *pki.Certificate {
		t.Helper()
		if err := h.pki.PrepareKey(); err != nil {
			t.Fatal(err)
		}
		var c *pki.Certificate
		h.update(func(tx store.Tx) error {
			var err error
			_, c, err = h.pki.IssuePKCS12(tx, pki.Binding{Purpose: purpose, Device: device, Enrolment: enrolment, Profile: "pr", Subject: pkix.Name{CommonName: "Access " + device}, Lifetime: lifetime}, "secret password")
			return err
		})
		return c
	}
	one := issue("d1", "e1", pki.Access, 30*24*time.Hour)
	issue("d2", "e2", pki.Access, 300*24*time.Hour)
	identity := issue("d2", "e2", pki.Management, 300*24*time.Hour)
	list := func(a Actor, fl CertificateFilter) []CertificateView {
		t.Helper()
		var out []CertificateView
		q := ListQuery{Limit: 1}
		for {
			page, err := h.Certificates(ctx, a, fl, q)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, page.Items...)
			if q.Cursor = page.Next; q.Cursor == "" {
				return out
			}
		}
	}
	ofDevices := map[string]bool{}
	own := 0
	for _, v := range list(h.owner, CertificateFilter{}) {
		if v.Device != "" {
			ofDevices[v.Serial] = true
		} else if v.Purpose != string(pki.Access) && v.Purpose != string(pki.Management) {
			own++ // the authority's own: registrar, responder, signer
		}
	}
	if len(ofDevices) != 3 || own == 0 {
		t.Errorf("%d certificates of devices, want 3; %d of the authority", len(ofDevices), own)
	}
	if got := list(h.owner, CertificateFilter{ExpiresBefore: h.clock.now().Add(60 * 24 * time.Hour)}); len(got) != 1 || got[0].Serial != one.Serial || got[0].DeviceName != "Anna's iPhone" || got[0].State != CertificateLive {
		t.Errorf("ending soon: %+v", got)
	}
	north := h.scoped("north")
	if got := list(north, CertificateFilter{}); len(got) != 1 || got[0].Serial != one.Serial {
		t.Errorf("the north sees %+v", got)
	}
	_, err := h.Certificates(ctx, north, CertificateFilter{Device: "d2"}, ListQuery{})
	wantRefusal(t, err, ErrNotFound, "not-found")
	wantRefusal(t, h.RevokeCertificate(ctx, h.scoped("south"), one.Serial), ErrNotFound, "not-found")
	wantRefusal(t, h.RevokeCertificate(ctx, h.owner, "00"), ErrNotFound, "not-found")
	wantRefusal(t, h.RevokeCertificate(ctx, h.owner, identity.Serial), ErrConflict, "certificate.not-access")
	wantRefusal(t, h.RevokeCertificate(ctx, Actor{}, one.Serial), ErrForbidden, "forbidden")
	for range 2 {
		if err := h.RevokeCertificate(ctx, h.owner, one.Serial); err != nil {
			t.Fatal(err)
		}
	}
	got := list(h.owner, CertificateFilter{Device: "d1", State: CertificateRevoked})
	if len(got) != 1 || got[0].RevokedAt == nil {
		t.Errorf("%+v", got)
	}
	page, err := h.Audit(ctx, h.owner, AuditQuery{Object: "certificate/" + one.Serial})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("logged %d times, %v", len(page.Items), err)
	}
	h.clock.move(301 * 24 * time.Hour)
	if got := list(h.owner, CertificateFilter{Device: "d2", State: CertificateExpired}); len(got) != 2 {
		t.Errorf("%d expired, want 2", len(got))
	}
	want := func(a Actor, count string) {
		t.Helper()
		h.clock.move(needsFresh)
		if n := h.need(a, "need.identities-end"); (n != nil) != (count != "") || n != nil && (n.Reason.Args["count"] != count || n.Reason.Args["device"] != "Bert's iPhone") {
			t.Errorf("identities that end: %+v, want %q", n, count)
		}
	}
	h.clock.move(-32 * 24 * time.Hour)
	want(h.owner, "")
	h.clock.move(2 * 24 * time.Hour)
	want(h.owner, "1")
	want(h.scoped("north"), "")
	h.update(func(tx store.Tx) error { return h.pki.Revoke(tx, identity.Serial, pki.ReasonSuperseded, h.clock.now()) })
	want(h.owner, "") // its successor was seen
}
