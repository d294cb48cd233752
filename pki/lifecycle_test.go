package pki_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/pki"
	"muster/store"
)

// enrol gets a certificate for the binding, with a fresh challenge.
func (f *fixture) enrol(b pki.Binding) *x509.Certificate {
	f.t.Helper()
	c := newClient(f.t, f)
	issued := c.enrol(f.t, f, makeCSR(f.t, rsaKeys()[0], f.challenge(b)))
	if issued == nil {
		f.t.Fatal("refused")
	}
	return issued
}

// live lists the serials of the unrevoked certificates of an enrolment.
func (f *fixture) live(enrolment string) map[string]bool {
	f.t.Helper()
	live := map[string]bool{}
	no := false
	f.view(func(tx store.Tx) error {
		page, err := f.a.Certificates(tx, pki.CertificateQuery{Enrolment: enrolment, Revoked: &no, Limit: 1000})
		for _, c := range page.Items {
			live[c.Fingerprint] = true
		}
		return err
	})
	return live
}

func TestTwoLiveIdentitiesAtMost(t *testing.T) {
	for _, purpose := range []pki.Purpose{pki.Management, pki.Access} {
		t.Run(string(purpose), func(t *testing.T) {
			f := newFixture(t)
			b := binding("E1")
			b.Purpose, b.Profile = purpose, "P1"
			first := f.enrol(b)
			f.seen(first)
			second := f.enrol(b)
			if live := f.live("E1"); len(live) != 2 {
				t.Fatalf("%d live, want both during renewal", len(live))
			}
			third := f.enrol(b) // the profile was sent again before the second was used
			if live := f.live("E1"); len(live) != 2 || !live[fingerprint(first)] || !live[fingerprint(third)] {
				t.Fatal("the one in use and the newest should live, and no other")
			}
			if !f.record(second).Revoked() {
				t.Error("the unused one lives")
			}
			f.seen(third)
			if live := f.live("E1"); len(live) != 1 || !live[fingerprint(third)] {
				t.Fatal("the old one should end when the new one is seen")
			}
			f.seen(third) // idempotent
			other := b
			other.Profile = "P2"
			f.enrol(other)
			if live := f.live("E1"); len(live) != 2 {
				t.Fatal("another profile's certificate took the place")
			}
		})
	}
}

// TestSeenOldIdentityKeepsTheNew shows that the old identity, used once more, does not end the new one.
func TestSeenOldIdentityKeepsTheNew(t *testing.T) {
	f := newFixture(t)
	old := f.enrol(binding("E1"))
	f.enrol(binding("E1"))
	f.seen(old)
	if live := f.live("E1"); len(live) != 2 {
		t.Fatalf("%d live", len(live))
	}
}

func TestBind(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(binding("E1"))
	bind := func(device string) error {
		return f.db.Update(context.Background(), func(tx store.Tx) error { return f.a.Bind(tx, fingerprint(c), device) })
	}
	if err := bind("D1"); err != nil {
		t.Fatal(err)
	}
	if err := bind("D1"); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := bind("D2"); !errors.Is(err, pki.ErrBoundElsewhere) {
		t.Errorf("another device: %v", err)
	}
	f.view(func(tx store.Tx) error {
		page, err := f.a.Certificates(tx, pki.CertificateQuery{Device: "D1"})
		if len(page.Items) != 1 {
			t.Errorf("%d certificates by device", len(page.Items))
		}
		return err
	})
}

// TestCertificateServesOneDevice draws random lives and holds three rules after every step: a certificate never
// changes its device, never leaves its enrolment, and of one slot at most two live.
func TestCertificateServesOneDevice(t *testing.T) {
	f := newFixture(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		served := map[string]string{}   // fingerprint → device
		enrolled := map[string]string{} // fingerprint → enrolment
		var all []*x509.Certificate
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			enrolment := fmt.Sprintf("R%d-E%d", run, rapid.IntRange(0, 1).Draw(t, "enrolment"))
			device := fmt.Sprintf("R%d-D%d", run, rapid.IntRange(0, 2).Draw(t, "device"))
			pick := func() string { return fingerprint(all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]) }
			switch step := rapid.IntRange(0, 4).Draw(t, "step"); {
			case step == 0 || len(all) == 0:
				b := binding(enrolment)
				if rapid.Bool().Draw(t, "known") {
					b.Device = device
				}
				c := f.enrol(b)
				all = append(all, c)
				enrolled[fingerprint(c)] = enrolment
				if b.Device != "" {
					served[fingerprint(c)] = b.Device
				}
			case step == 1:
				fp := pick()
				err := f.db.Update(context.Background(), func(tx store.Tx) error { return f.a.Bind(tx, fp, device) })
				switch had := served[fp]; {
				case err == nil && had != "" && had != device:
					t.Fatalf("bound to %s after %s", device, had)
				case err == nil:
					served[fp] = device
				case had == "":
					t.Fatal(err)
				}
			case step == 2:
				fp := pick()
				f.update(func(tx store.Tx) error { return f.a.Seen(tx, fp, f.clock.now()) })
			case step == 3:
				f.update(func(tx store.Tx) error {
					_, err := f.a.RevokeFor(tx, device, "", pki.ReasonCessationOfOperation)
					return err
				})
			case step == 4:
				old := all[len(all)-1]
				c := newClient(f.t, f)
				c.kind, c.signer, c.signerKey = "17", old, rsaKeys()[0]
				if renewed := c.enrol(f.t, f, makeCSR(f.t, rsaKeys()[1], "")); renewed != nil {
					enrolled[fingerprint(renewed)], served[fingerprint(renewed)] = enrolled[fingerprint(old)], served[fingerprint(old)]
				}
			}
			for _, c := range all {
				r := f.record(c)
				if r.Binding.Device != served[r.Fingerprint] || r.Binding.Enrolment != enrolled[r.Fingerprint] {
					t.Fatalf("certificate serves %q of %q, want %q of %q", r.Binding.Device, r.Binding.Enrolment, served[r.Fingerprint], enrolled[r.Fingerprint])
				}
				if live := f.live(r.Binding.Enrolment); len(live) > 2 {
					t.Fatalf("%d live identities", len(live))
				}
			}
		}
	})
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	b := binding("E1")
	b.Device = "D1"
	management := f.enrol(b)
	b.Purpose, b.Profile = pki.Access, "P1"
	mail := f.enrol(b)
	b.Profile = "P2"
	wifi := f.enrol(b)

	revokeFor := func(purpose pki.Purpose) (n int) {
		f.update(func(tx store.Tx) error {
			revoked, err := f.a.RevokeFor(tx, "D1", purpose, pki.ReasonCessationOfOperation)
			n = len(revoked)
			for _, r := range revoked {
				if !r.Revoked() {
					t.Error("returned unrevoked")
				}
			}
			return err
		})
		return n
	}
	f.update(func(tx store.Tx) error {
		_, err := f.a.RevokeForProfile(tx, "D1", "P2", pki.ReasonSuperseded)
		return err
	})
	if !f.record(wifi).Revoked() || f.record(mail).Revoked() {
		t.Error("by profile: the wrong one")
	}
	if n := revokeFor(pki.Access); n != 1 || f.record(management).Revoked() {
		t.Errorf("by purpose: revoked %d", n)
	}
	if n := revokeFor(""); n != 1 {
		t.Errorf("all that is left: revoked %d", n)
	}
	if n := revokeFor(""); n != 0 {
		t.Errorf("again: revoked %d", n)
	}
	was := f.record(management)
	f.clock.advance(time.Hour)
	f.update(func(tx store.Tx) error { return f.a.Revoke(tx, was.Serial, pki.ReasonKeyCompromise, f.clock.now()) })
	if is := f.record(management); !is.RevokedAt.Equal(was.RevokedAt) || is.RevokeReason != was.RevokeReason {
		t.Error("a second revocation changed the first")
	}
	err := f.db.Update(context.Background(), func(tx store.Tx) error { return f.a.Revoke(tx, "00", 0, f.clock.now()) })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown serial: %v", err)
	}
}

func TestRevocationIsTransactional(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(binding("E1"))
	before, err := f.a.CRL(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	undo := errors.New("undo")
	err = f.db.Update(context.Background(), func(tx store.Tx) error {
		if err := f.a.Revoke(tx, f.record(c).Serial, 0, f.clock.now()); err != nil {
			return err
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	after, err := f.a.CRL(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if f.record(c).Revoked() || string(before) != string(after) {
		t.Error("an undone revocation shows")
	}
}

func TestGenuine(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	ours, theirs := f.enrol(binding("E1")), other.enrol(binding("E1"))
	for range 2 { // the second time from the cache
		if !f.a.Genuine(ours) {
			t.Error("ours is not genuine")
		}
		if f.a.Genuine(theirs) {
			t.Error("another authority's is genuine")
		}
	}
	forged := *theirs
	forged.RawIssuer = f.a.Issuing().RawSubject
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "E1"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	fake, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{RawSubject: f.a.Issuing().RawSubject, PublicKey: key.Public()}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	byName, err := x509.ParseCertificate(fake)
	if err != nil {
		t.Fatal(err)
	}
	server, err := f.a.IssueServer(context.Background(), []string{"mdm.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*x509.Certificate{
		"nil": nil, "issuer's name only": byName, "swapped issuer": &forged, "the CA itself": f.a.Issuing(), "a server's": server.Leaf,
		"the registration authority's": f.a.RA(),
	} {
		if f.a.Genuine(c) {
			t.Errorf("%s is genuine", name)
		}
	}
}

func TestCertificatesQuery(t *testing.T) {
	f := newFixture(t)
	for i := range 5 {
		b := binding(fmt.Sprintf("E%d", i))
		b.Device, b.Lifetime = "D", time.Duration(i+1)*24*time.Hour
		b.Purpose = pki.Access
		f.enrol(b)
	}
	f.view(func(tx store.Tx) error {
		q := pki.CertificateQuery{ExpiresFrom: f.clock.now(), ExpiresTo: f.clock.now().Add(3*24*time.Hour + time.Hour), Purpose: pki.Access}
		page, err := f.a.Certificates(tx, q)
		if err != nil || len(page.Items) != 3 {
			t.Errorf("expiring within three days: %d, %v", len(page.Items), err)
		}
		n := 0
		q = pki.CertificateQuery{Device: "D", Limit: 2}
		for {
			page, err := f.a.Certificates(tx, q)
			if err != nil {
				return err
			}
			n += len(page.Items)
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if n != 5 {
			t.Errorf("paging found %d", n)
		}
		return nil
	})
}

// TestReopen shows that a second start finds the same authority and its records, and that the keys are sealed.
func TestReopen(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(binding("E1"))
	before, _ := f.a.CRL(context.Background())
	was := f.a
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(f.dir, storeOptions())
	if err != nil {
		t.Fatal(err)
	}
	f.db = db
	if f.a, err = pki.Open(context.Background(), db, pki.Config{Organisation: "Renamed", Clock: f.clock.now}); err != nil {
		t.Fatal(err)
	}
	if !f.a.Root().Equal(was.Root()) || !f.a.Issuing().Equal(was.Issuing()) || !f.a.RA().Equal(was.RA()) {
		t.Error("the authority changed")
	}
	if !f.a.Genuine(c) || f.record(c).Binding.Enrolment != "E1" {
		t.Error("the certificate is forgotten")
	}
	after, err := f.a.CRL(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	x, _ := x509.ParseRevocationList(before)
	y, err := x509.ParseRevocationList(after)
	if err != nil || y.Number.Cmp(x.Number) <= 0 {
		t.Errorf("revocation list number %v after %v, %v", y.Number, x.Number, err)
	}
}

func TestBindingIsChecked(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*pki.Binding){
		"no purpose":        func(b *pki.Binding) { b.Purpose = "" },
		"not an address":    func(b *pki.Binding) { b.Emails = []string{"anna"} },
		"a display name":    func(b *pki.Binding) { b.Emails = []string{"Anna <anna@example.org>"} },
		"a unicode host":    func(b *pki.Binding) { b.DNSNames = []string{"bücher.example"} },
		"a relative URI":    func(b *pki.Binding) { b.URIs = []string{"/path"} },
		"negative lifetime": func(b *pki.Binding) { b.Lifetime = -time.Hour },
		"broken UTF-8":      func(b *pki.Binding) { b.Subject.CommonName = "a\xffb" },
	} {
		b := binding("E1")
		change(&b)
		err := f.db.Update(context.Background(), func(tx store.Tx) error {
			_, err := f.a.NewChallenge(tx, b, time.Hour)
			return err
		})
		if !errors.Is(err, pki.ErrBinding) {
			t.Errorf("%s: error = %v, want ErrBinding", name, err)
		}
	}
}
