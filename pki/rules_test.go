package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"go/parser"
	"go/token"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"muster/pki"
	"muster/store"
)

// TestIssueByOtherProtocols shows Issue and the retry that finds its certificate again.
func TestIssueByOtherProtocols(t *testing.T) {
	f := newFixture(t)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	f.update(func(tx store.Tx) error {
		if _, err := f.a.FindIssued(tx, "order 1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		c, err := f.a.Issue(tx, binding("E1"), p256.Public(), "order 1")
		if err != nil {
			return err
		}
		if found, err := f.a.FindIssued(tx, "order 1"); err != nil || found.Serial != c.Serial {
			t.Errorf("after: %v", err)
		}
		parsed, err := x509.ParseCertificate(c.DER)
		if err != nil || !f.a.Genuine(parsed) || parsed.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("certificate: usage %v, %v", parsed.KeyUsage, err)
		}
		for _, weak := range []crypto.PublicKey{p224.Public(), "a string"} {
			if _, err := f.a.Issue(tx, binding("E1"), weak, ""); !errors.Is(err, pki.ErrRefused) {
				t.Errorf("key %T: %v", weak, err)
			}
		}
		return nil
	})
}

// TestSCEPCertifiesECDSAKeys shows that the request's key may be ECDSA when the message is signed by an RSA key.
func TestSCEPCertifiesECDSAKeys(t *testing.T) {
	f := newFixture(t)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	issued := newClient(t, f).enrol(t, f, makeCSR(t, key, f.challenge(binding("E1"))))
	if issued == nil || !key.PublicKey.Equal(issued.PublicKey) {
		t.Fatal("refused")
	}
}

// TestSCEPChallengeStrings sends the challenge in string types that clients use.
func TestSCEPChallengeStrings(t *testing.T) {
	f := newFixture(t)
	bmp := func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u>>8), byte(u))
		}
		return b
	}
	for name, encode := range map[string]func(string) asn1.RawValue{
		"UTF8String": func(s string) asn1.RawValue { return asn1.RawValue{Tag: 12, Bytes: []byte(s)} },
		"IA5String":  func(s string) asn1.RawValue { return asn1.RawValue{Tag: 22, Bytes: []byte(s)} },
		"BMPString":  func(s string) asn1.RawValue { return asn1.RawValue{Tag: 30, Bytes: bmp(s)} },
		"padded":     func(s string) asn1.RawValue { return asn1.RawValue{Tag: 19, Bytes: []byte(s + "\x00")} },
	} {
		secret := f.challenge(binding("E-" + name))
		csr := makeCSR(t, rsaKeys()[0], "", func(i *csrInfo) {
			i.Attributes = append(i.Attributes, csrAttribute{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, Raw: []asn1.RawValue{encode(secret)}})
		})
		if newClient(t, f).enrol(t, f, csr) == nil {
			t.Errorf("%s: refused", name)
		}
	}
}

func TestRevokeForEnrolmentAndVoidAll(t *testing.T) {
	f := newFixture(t)
	one, other := f.enrol(binding("E1")), f.enrol(binding("E2"))
	secret := f.challenge(binding("E3"))
	f.update(func(tx store.Tx) error {
		if none, err := f.a.RevokeForEnrolment(tx, "", "", 0); err != nil || len(none) != 0 {
			t.Errorf("no enrolment: %d, %v", len(none), err)
		}
		revoked, err := f.a.RevokeForEnrolment(tx, "E1", pki.Management, pki.ReasonPrivilegeWithdrawn)
		if len(revoked) != 1 {
			t.Errorf("revoked %d", len(revoked))
		}
		return errors.Join(err, f.a.VoidAllChallenges(tx))
	})
	if !f.record(one).Revoked() || f.record(other).Revoked() {
		t.Error("the wrong one is revoked")
	}
	if newClient(t, f).enrol(t, f, makeCSR(t, rsaKeys()[0], secret)) != nil {
		t.Error("a voided challenge was granted")
	}
}

func TestPushKeys(t *testing.T) {
	f := newFixture(t)
	var id string
	f.update(func(tx store.Tx) (err error) {
		_, id, err = f.a.MakePushCSR(tx, pkix.Name{CommonName: "Acme"})
		return err
	})
	f.update(func(tx store.Tx) error {
		der, err := f.a.PushCSR(tx, id)
		if err != nil {
			return err
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || csr.SignatureAlgorithm != x509.SHA256WithRSA || csr.Subject.CommonName != "Acme" {
			t.Errorf("request = %v, %v", csr, err)
		}
		return errors.Join(f.a.ForgetPushKey(tx, id), f.a.ForgetPushKey(tx, id))
	})
	f.view(func(tx store.Tx) error {
		if _, err := f.a.PushCSR(tx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after: %v", err)
		}
		return nil
	})
}

// TestVerifySignedAttributeOrder signs the DER order of the attributes and sends another, as a few clients do.
func TestVerifySignedAttributeOrder(t *testing.T) {
	body, certificate := []byte("body"), selfSigned(t, rsaKeys()[0])
	time2026 := attribute(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	signature := signedData(t, body, true, crypto.SHA256, certificate, rsaKeys()[0], []cmsAttribute{time2026})
	digest := must(t, attribute(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, func() []byte { h := crypto.SHA256.New(); h.Write(body); return h.Sum(nil) }()))
	when := must(t, time2026)
	moved := bytes.Replace(bytes.Replace(signature, digest, nil, 1), when, append(bytes.Clone(digest), when...), 1)
	if bytes.Equal(moved, signature) {
		moved = bytes.Replace(bytes.Replace(signature, when, nil, 1), digest, append(bytes.Clone(digest), when...), 1)
	}
	if bytes.Equal(moved, signature) || len(moved) != len(signature) {
		t.Fatal("the case shows nothing: the order is the same")
	}
	if _, err := pki.VerifySigned(body, moved); err != nil {
		t.Error(err)
	}
}

// TestOpenSSLKeyIdentifiers lets openssl name signer and recipient by key identifier.
func TestOpenSSLKeyIdentifiers(t *testing.T) {
	o := needOpenSSL(t)
	key := rsaKeys()[0]
	template := &x509.Certificate{
		SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "keyed"}, NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte("an identifier"),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(o.dir, "signature.der")
	for _, digest := range []string{"sha1", "sha256", "sha384", "sha512"} {
		o.must("", "cms", "-sign", "-binary", "-keyid", "-md", digest, "-outform", "DER", "-in", o.file("body", []byte("body")),
			"-signer", o.file("signer.pem", pki.PEM(certificate)), "-inkey", o.file("key.der", keyDER), "-keyform", "DER", "-out", out)
		signature, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pki.VerifySigned([]byte("body"), signature); err != nil || !got.Equal(certificate) {
			t.Errorf("%s: %v", digest, err)
		}
	}
}

// TestSCEPNeedsAWorkingStore shows that our own trouble is an error, not a refusal that a device would believe.
func TestSCEPNeedsAWorkingStore(t *testing.T) {
	f := newFixture(t)
	c := newClient(t, f)
	message := c.message(t, makeCSR(t, rsaKeys()[0], f.challenge(binding("E1"))))
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.a.SCEP(context.Background(), "PKIOperation", message); !errors.Is(err, store.ErrClosed) {
		t.Errorf("error = %v, want ErrClosed", err)
	}
	if _, err := f.a.CRL(context.Background()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("list: error = %v, want ErrClosed", err)
	}
}

// TestTidyRenewsTheProfileSigner shows the signer's certificate renewed after half of its life, and SignCMS usable
// inside a transaction all the while.
func TestTidyRenewsTheProfileSigner(t *testing.T) {
	f := newFixture(t)
	signer := func() (c *x509.Certificate) {
		f.update(func(tx store.Tx) error {
			signed, err := f.a.SignCMS([]byte("<plist/>"))
			if err != nil {
				return err
			}
			c, err = pki.VerifySigned([]byte("<plist/>"), signed)
			return err
		})
		return c
	}
	first := signer()
	f.clock.advance(400 * 24 * time.Hour)
	if !signer().Equal(first) {
		t.Error("renewed while signing")
	}
	if err := f.a.Tidy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if second := signer(); second.Equal(first) || !second.NotAfter.After(first.NotAfter) {
		t.Error("not renewed by Tidy")
	}
}

// TestDependencies holds the arrow: the authority knows the store and nothing else of ours, and CMS knows nothing.
func TestDependencies(t *testing.T) {
	for dir, allowed := range map[string][]string{".": {"muster/store", "muster/pki/cms"}, "cms": nil} {
		packages, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(packages) == 0 {
			t.Fatal("no sources", err)
		}
		for _, name := range packages {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range file.Imports {
				if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, "muster") && !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
}
