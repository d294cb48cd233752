package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/scep"

	"muster/pki"
	"muster/store"
)

// TestSCEPAlgorithms sends every cipher and digest in DER and in BER and wants AES and SHA-256 back.
func TestSCEPAlgorithms(t *testing.T) {
	f := newFixture(t)
	aes128 := must(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2})
	aes256 := must(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42})
	sha1 := must(t, digestOIDs[crypto.SHA1])
	answers := map[string][]byte{"des": aes128, "3des": aes128, "aes128": aes128, "aes192": aes256, "aes256": aes256}
	for _, ciph := range []string{"des", "3des", "aes128", "aes192", "aes256"} {
		for _, digest := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
			for _, ber := range []bool{false, true} {
				name := ciph + " " + digest.String() + map[bool]string{false: " DER", true: " BER"}[ber]
				t.Run(name, func(t *testing.T) {
					c := newClient(t, f)
					c.cipher, c.digest, c.ber = ciph, digest, ber
					issued, body := c.exchange(t, f, c.message(t, makeCSR(t, rsaKeys()[0], f.challenge(binding("E-"+name)))))
					if issued == nil {
						t.Fatal("refused")
					}
					if issued.Subject.CommonName != "E-"+name {
						t.Errorf("subject = %s", issued.Subject)
					}
					if !bytes.Contains(body, answers[ciph]) {
						t.Error("the answer's cipher is not the one wanted")
					}
					if bytes.Contains(body, sha1) {
						t.Error("the answer uses SHA-1")
					}
				})
			}
		}
	}
}

// TestSCEPIssuesFromTheBinding compares a certificate with the binding and the authority, not with the request.
func TestSCEPIssuesFromTheBinding(t *testing.T) {
	f := newFixture(t)
	b := binding("E1")
	b.Purpose, b.Profile, b.Person = pki.Access, "P1", "anna"
	b.Emails, b.UPN, b.URIs = []string{"anna@example.org", "änna@example.org"}, "anna@corp.example", []string{"urn:muster:E1"}
	b.DNSNames, b.Lifetime = []string{"phone.example.org"}, 30*24*time.Hour
	issued := newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], f.challenge(b)))
	if issued == nil {
		t.Fatal("refused")
	}
	if !slices.Equal(issued.EmailAddresses, b.Emails[:1]) || !slices.Equal(issued.DNSNames, b.DNSNames) || len(issued.URIs) != 1 {
		t.Errorf("names = %v %v %v", issued.EmailAddresses, issued.DNSNames, issued.URIs)
	}
	for _, text := range []string{b.UPN, b.Emails[1]} {
		if !bytes.Contains(issued.Raw, []byte(text)) {
			t.Errorf("%q is not in the certificate", text)
		}
	}
	if !slices.Equal(issued.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || issued.IsCA {
		t.Errorf("usage = %v, CA = %v", issued.ExtKeyUsage, issued.IsCA)
	}
	if !slices.Equal(issued.CRLDistributionPoints, []string{"http://mdm.example/crl/issuing.crl"}) ||
		!slices.Equal(issued.OCSPServer, []string{"http://mdm.example/ocsp"}) {
		t.Errorf("addresses = %v %v", issued.CRLDistributionPoints, issued.OCSPServer)
	}
	if d := time.Until(issued.NotAfter); d > b.Lifetime+time.Minute || d < b.Lifetime-time.Minute {
		t.Errorf("lives for %s, want %s", d, b.Lifetime)
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(f.a.Root())
	middle.AddCert(f.a.Issuing())
	if _, err := issued.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, KeyUsages: issued.ExtKeyUsage}); err != nil {
		t.Error(err)
	}
	r := f.record(issued)
	if r.Binding.Person != "anna" || r.Binding.Subject.CommonName != "E1" || r.Binding.Lifetime != b.Lifetime || r.Transaction == "" {
		t.Errorf("record = %+v", r)
	}

	t.Run("never beyond the issuer", func(t *testing.T) {
		b.Lifetime = 40 * 365 * 24 * time.Hour
		issued := newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], f.challenge(b)))
		if issued == nil || issued.NotAfter.After(f.a.Issuing().NotAfter) {
			t.Fatal("outlives the issuing CA")
		}
	})
}

// TestSCEPRefusals shows that everything wrong with a request gets the same answer.
func TestSCEPRefusals(t *testing.T) {
	f := newFixture(t)
	key := rsaKeys()[0]
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	cases := map[string]func(c *client) []byte{
		"no challenge":          func(c *client) []byte { return c.message(t, makeCSR(t, key, "")) },
		"wrong challenge":       func(c *client) []byte { return c.message(t, makeCSR(t, key, "letmein")) },
		"weak key":              func(c *client) []byte { return c.message(t, makeCSR(t, small, f.challenge(binding("E")))) },
		"not a request":         func(c *client) []byte { return c.message(t, []byte("hello")) },
		"certificate poll":      func(c *client) []byte { c.kind = "20"; return c.message(t, makeCSR(t, key, f.challenge(binding("E")))) },
		"renewal by a stranger": func(c *client) []byte { c.kind = "17"; return c.message(t, makeCSR(t, key, f.challenge(binding("E")))) },
		"encrypted to another": func(c *client) []byte {
			c.recipient = selfSigned(t, rsaKeys()[1])
			return c.message(t, makeCSR(t, key, f.challenge(binding("E"))))
		},
		"wrong content key": func(c *client) []byte {
			fake := *f.a.RA()
			fake.PublicKey = &rsaKeys()[1].PublicKey // right name, wrong key: the RSA padding will not fit
			c.recipient = &fake
			return c.message(t, makeCSR(t, key, f.challenge(binding("E"))))
		},
		"broken ciphertext": func(c *client) []byte {
			c.corrupt = func(_, e []byte) []byte { e[len(e)-1] ^= 1; return e }
			return c.message(t, makeCSR(t, key, f.challenge(binding("E"))))
		},
		"broken signature": func(c *client) []byte {
			m := c.message(t, makeCSR(t, key, f.challenge(binding("E"))))
			m[len(m)-1] ^= 1
			return m
		},
		"request signed by another key": func(c *client) []byte {
			csr := makeCSR(t, key, f.challenge(binding("E")))
			csr[len(csr)-1] ^= 1
			return c.message(t, csr)
		},
		"no key to answer to": func(c *client) []byte {
			c.signerKey, c.signer = p256, selfSigned(t, p256)
			return c.message(t, makeCSR(t, key, f.challenge(binding("E"))))
		},
	}
	var size int
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, f)
			issued, body := c.exchange(t, f, make(c))
			if issued != nil {
				t.Fatal("granted")
			}
			if size == 0 {
				size = len(body)
			}
			if len(body) != size {
				t.Errorf("the refusal has %d bytes, others %d", len(body), size)
			}
		})
	}
	f.view(func(tx store.Tx) error {
		page, err := f.a.Certificates(tx, pki.CertificateQuery{Purpose: pki.Management})
		if len(page.Items) != 0 {
			t.Errorf("%d certificates were issued", len(page.Items))
		}
		return err
	})
}

// TestSCEPUnanswerable shows what is not worth an answer in the protocol, and that it is an error and no panic.
func TestSCEPUnanswerable(t *testing.T) {
	f := newFixture(t)
	c := newClient(t, f)
	whole := c.message(t, makeCSR(t, rsaKeys()[0], "x"))
	noTransaction := signedData(t, []byte("x"), false, crypto.SHA256, c.signer, c.signerKey, []cmsAttribute{attribute(t, scepOID(2), "19")})
	for name, m := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "half": whole[:len(whole)/2], "no transaction": noTransaction,
		"huge": bytes.Repeat([]byte{0x30}, 70_000), "deep": bytes.Repeat([]byte{0x30, 0x80}, 30_000),
	} {
		if _, _, err := f.a.SCEP(context.Background(), "PKIOperation", m); !errors.Is(err, pki.ErrMessage) {
			t.Errorf("%s: error = %v, want ErrMessage", name, err)
		}
	}
	if _, _, err := f.a.SCEP(context.Background(), "GetNextCACert", nil); !errors.Is(err, pki.ErrOperation) {
		t.Errorf("unknown operation: %v", err)
	}
}

func TestSCEPChallengeRules(t *testing.T) {
	hooked := 0
	f := newFixture(t, func(c *pki.Config) {
		c.OnIssue = func(_ store.Tx, c *pki.Certificate) error {
			hooked++
			if c.Binding.Enrolment == "E-cancelled" {
				return pki.ErrRefused
			}
			return nil
		}
	})
	secret := f.challenge(binding("E1"))
	c := newClient(t, f)
	csr := makeCSR(t, rsaKeys()[0], secret)
	first := c.enrol(t, f, csr)
	if first == nil {
		t.Fatal("refused")
	}
	t.Run("the same transaction and key get the same certificate", func(t *testing.T) {
		again := *c
		again.signerKey, again.nonce = rsaKeys()[1], []byte("another nonce")
		again.signer = selfSigned(t, rsaKeys()[1])
		second := again.enrol(t, f, csr)
		if second == nil || !second.Equal(first) {
			t.Fatal("another certificate, or none")
		}
		if hooked != 1 {
			t.Errorf("the hook ran %d times", hooked)
		}
	})
	t.Run("another key is refused", func(t *testing.T) {
		again := *c
		if again.enrol(t, f, makeCSR(t, rsaKeys()[1], secret)) != nil {
			t.Fatal("granted")
		}
	})
	t.Run("another transaction is refused", func(t *testing.T) {
		if newClient(t, f).enrol(t, f, csr) != nil {
			t.Fatal("granted")
		}
	})
	t.Run("a retry of a revoked certificate is refused", func(t *testing.T) {
		f.update(func(tx store.Tx) error {
			return f.a.Revoke(tx, f.record(first).Serial, pki.ReasonUnspecified, f.clock.now())
		})
		if c.enrol(t, f, csr) != nil {
			t.Fatal("granted")
		}
	})
	t.Run("expired", func(t *testing.T) {
		secret := f.challenge(binding("E2"))
		f.clock.advance(time.Hour)
		defer f.clock.advance(-time.Hour)
		if newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], secret)) != nil {
			t.Fatal("granted")
		}
	})
	t.Run("voided", func(t *testing.T) {
		secret := f.challenge(binding("E3"))
		other := f.challenge(binding("E4"))
		f.update(func(tx store.Tx) error { return f.a.VoidChallenges(tx, "E3") })
		if newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], secret)) != nil {
			t.Fatal("granted")
		}
		if newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], other)) == nil {
			t.Fatal("another enrolment's challenge was voided too")
		}
	})
	t.Run("a hook's refusal undoes the issue", func(t *testing.T) {
		if newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], f.challenge(binding("E-cancelled")))) != nil {
			t.Fatal("granted")
		}
		f.view(func(tx store.Tx) error {
			page, err := f.a.Certificates(tx, pki.CertificateQuery{Enrolment: "E-cancelled"})
			if len(page.Items) != 0 {
				t.Error("the certificate was recorded")
			}
			return err
		})
	})
	t.Run("tidied away long after", func(t *testing.T) {
		f.clock.advance(30 * 24 * time.Hour)
		defer f.clock.advance(-30 * 24 * time.Hour)
		if err := f.a.Tidy(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(-30 * 24 * time.Hour)
		defer f.clock.advance(30 * 24 * time.Hour)
		if c.enrol(t, f, csr) != nil {
			t.Fatal("still known")
		}
	})
	t.Run("stored only as a hash", func(t *testing.T) {
		secret := f.challenge(binding("E5"))
		f.view(func(tx store.Tx) error {
			return tx.Scan(store.Range{}, func(k, v []byte) (bool, error) {
				if bytes.Contains(k, []byte(secret)) || bytes.Contains(v, []byte(secret)) {
					t.Errorf("the challenge is in the store under %q", k)
				}
				return true, nil
			})
		})
	})
}

// TestSCEPOneChallengeManyKeys lets many requests with different keys race for one challenge.
func TestSCEPOneChallengeManyKeys(t *testing.T) {
	f := newFixture(t)
	secret := f.challenge(binding("E1"))
	var wg sync.WaitGroup
	granted := make([]*x509.Certificate, len(rsaKeys()))
	for i, key := range rsaKeys() {
		c, csr := newClient(t, f), makeCSR(t, key, secret)
		wg.Go(func() { granted[i] = c.enrol(t, f, csr) })
	}
	wg.Wait()
	n := 0
	for _, g := range granted {
		if g != nil {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d certificates for one challenge", n)
	}
}

func TestSCEPRenewal(t *testing.T) {
	f := newFixture(t)
	oldKey := rsaKeys()[0]
	b := binding("E1")
	b.Device, b.Emails = "D1", []string{"d1@example.org"}
	old := newClient(t, f).enrol(t, f, makeCSR(t, oldKey, f.challenge(b)))
	renewer := func() *client {
		c := newClient(t, f)
		c.kind, c.signer, c.signerKey = "17", old, oldKey
		return c
	}
	c := renewer()
	csr := makeCSR(t, rsaKeys()[1], "")
	renewed := c.enrol(t, f, csr)
	if renewed == nil {
		t.Fatal("refused")
	}
	if got := f.record(renewed).Binding; got.Enrolment != "E1" || got.Device != "D1" || renewed.EmailAddresses[0] != "d1@example.org" {
		t.Errorf("binding = %+v", got)
	}
	if f.record(old).Revoked() {
		t.Error("the old one ended before the new one was seen")
	}
	if again := c.enrol(t, f, csr); again == nil || !again.Equal(renewed) {
		t.Error("the same transaction and key do not get the same answer")
	}
	t.Run("a forged signature is refused", func(t *testing.T) {
		c := renewer()
		c.signerKey = rsaKeys()[2]
		message := c.message(t, csr)
		if issued, _ := c.exchange(t, f, message); issued != nil {
			t.Fatal("granted")
		}
	})
	t.Run("an expired certificate is refused", func(t *testing.T) {
		f.clock.advance(366 * 24 * time.Hour)
		defer f.clock.advance(-366 * 24 * time.Hour)
		if renewer().enrol(t, f, csr) != nil {
			t.Fatal("granted")
		}
	})
	t.Run("a revoked certificate is refused", func(t *testing.T) {
		f.seen(renewed)
		if !f.record(old).Revoked() || f.record(old).RevokeReason != pki.ReasonSuperseded {
			t.Fatal("the old one lives on after the new one was seen")
		}
		if renewer().enrol(t, f, csr) != nil {
			t.Fatal("granted")
		}
	})
}

// TestGetCACertForApple holds the bundle against the rules of Apple's client: every certificate leads to one root, and
// exactly one below it may both sign and be encrypted to.
func TestGetCACertForApple(t *testing.T) {
	f := newFixture(t)
	contentType, body, err := f.a.SCEP(context.Background(), "GetCACert", []byte("device"))
	if err != nil || contentType != "application/x-x509-ca-ra-cert" {
		t.Fatal(contentType, err)
	}
	bundle, err := scep.CACerts(body)
	if err != nil {
		t.Fatal(err)
	}
	roots, all := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range bundle {
		all.AddCert(c)
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			roots.AddCert(c)
		}
	}
	registrars := 0
	for _, c := range bundle {
		chains, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: all, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err != nil || !chains[0][len(chains[0])-1].Equal(f.a.Root()) {
			t.Errorf("%s does not lead to the root: %v", c.Subject, err)
			continue
		}
		sign, encrypt := c.KeyUsage&x509.KeyUsageDigitalSignature != 0, c.KeyUsage&x509.KeyUsageKeyEncipherment != 0
		if len(chains[0]) > 1 && sign != encrypt {
			t.Errorf("%s would be taken for half a registrar", c.Subject)
		}
		if sign && encrypt {
			registrars++
			if _, ok := c.PublicKey.(*rsa.PublicKey); !ok {
				t.Error("the registrar's key is not RSA")
			}
		}
	}
	if registrars != 1 {
		t.Errorf("%d registrars", registrars)
	}
	contentType, body, err = f.a.SCEP(context.Background(), "GetCACert", []byte(pki.SCEPNameRA))
	if err != nil || contentType != "application/x-x509-ca-cert" || !bytes.Equal(body, f.a.RA().Raw) {
		t.Error("the single form is not the registrar's certificate", contentType, err)
	}
}

// TestSCEPOddSubjects sends subjects that crypto/x509 refuses to parse.
func TestSCEPOddSubjects(t *testing.T) {
	f := newFixture(t)
	name := "DEVICE!0123\x00"
	rdn := append([]byte{0x31, byte(len(name) + 9), 0x30, byte(len(name) + 7), 0x06, 0x03, 0x55, 0x04, 0x03, 0x13, byte(len(name))}, name...)
	odd := append([]byte{0x30, byte(len(rdn))}, rdn...)
	for what, subject := range map[string][]byte{"Windows": odd, "empty": {0x30, 0}} {
		csr := makeCSR(t, rsaKeys()[0], f.challenge(binding("E-"+what)), func(i *csrInfo) { i.Subject = asn1.RawValue{FullBytes: subject} })
		if what == "Windows" {
			if _, err := x509.ParseCertificateRequest(csr); err == nil {
				t.Error("crypto/x509 takes the subject: the case shows nothing")
			}
		}
		issued := newClient(t, f).enrol(t, f, csr)
		if issued == nil || issued.Subject.CommonName != "E-"+what {
			t.Errorf("%s: refused", what)
		}
	}
}

func TestParseSCEPQuery(t *testing.T) {
	message := []byte{0xfb, 0xff, 0xbf, 0x30, 0x80} // base64 with + and /
	text := base64.StdEncoding.EncodeToString(message)
	for name, query := range map[string]string{
		"bare, as Apple sends it":  "operation=PKIOperation&message=" + strings.ReplaceAll(text, "=", "%3D"),
		"escaped":                  "operation=PKIOperation&message=" + url.QueryEscape(text),
		"unpadded":                 "message=" + strings.TrimRight(text, "=") + "&operation=PKIOperation",
		"URL alphabet":             "ticket=1&operation=PKIOperation&message=" + base64.URLEncoding.EncodeToString(message),
		"with an escaped new line": "operation=PKIOperation&message=" + text[:4] + "%0A" + text[4:],
	} {
		operation, got, err := pki.ParseSCEPQuery(query)
		if err != nil || operation != "PKIOperation" || !bytes.Equal(got, message) {
			t.Errorf("%s: %q, %x, %v", name, operation, got, err)
		}
	}
	if operation, got, err := pki.ParseSCEPQuery("operation=GetCACert&message=ra"); err != nil || operation != "GetCACert" || string(got) != "ra" {
		t.Errorf("GetCACert: %q, %q, %v", operation, got, err)
	}
	if _, _, err := pki.ParseSCEPQuery("operation=PKIOperation&message=***"); !errors.Is(err, pki.ErrMessage) {
		t.Errorf("not base64: %v", err)
	}
}
