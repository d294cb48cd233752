package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"muster/pki"
	"muster/store"
)

// openssl runs the openssl binary, a judge that shares no code with us.
type openssl struct {
	t   *testing.T
	dir string
}

func needOpenSSL(t *testing.T) *openssl {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("MUSTER_REQUIRE_ALL") == "1" {
			t.Fatal("openssl is missing")
		}
		t.Skip("needs openssl")
	}
	return &openssl{t, t.TempDir()}
}

func (o *openssl) file(name string, content []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func (o *openssl) run(args ...string) (string, error) {
	o.t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	return string(out), err
}

func (o *openssl) must(want string, args ...string) {
	o.t.Helper()
	out, err := o.run(args...)
	if err != nil || !strings.Contains(out, want) {
		o.t.Errorf("openssl %s: %v, want %q in:\n%s", args[0], err, want, out)
	}
}

func TestOpenSSLChainAndCRL(t *testing.T) {
	o, f := needOpenSSL(t), newFixture(t)
	good, bad := f.enrol(binding("E1")), f.enrol(binding("E2"))
	f.update(func(tx store.Tx) error {
		return f.a.Revoke(tx, f.record(bad).Serial, pki.ReasonKeyCompromise, f.clock.now())
	})
	crl, err := f.a.CRL(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	der, crlPEM := o.file("crl.der", crl), filepath.Join(o.dir, "crl.pem")
	o.must("", "crl", "-inform", "DER", "-in", der, "-out", crlPEM)
	root, middle := o.file("root.pem", pki.PEM(f.a.Root())), o.file("issuing.pem", pki.PEM(f.a.Issuing()))
	o.must("OK", "crl", "-in", crlPEM, "-noout", "-CAfile", middle)
	o.must("Key Compromise", "crl", "-in", crlPEM, "-noout", "-text")
	verify := func(c *x509.Certificate) (string, error) {
		return o.run("verify", "-CAfile", root, "-untrusted", middle, "-CRLfile", crlPEM, "-crl_check",
			"-x509_strict", "-purpose", "sslclient", o.file("leaf.pem", pki.PEM(c)))
	}
	if out, err := verify(good); err != nil {
		t.Errorf("good certificate: %v\n%s", err, out)
	}
	if out, err := verify(bad); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("revoked certificate: %v\n%s", err, out)
	}
}

func TestOpenSSLOCSP(t *testing.T) {
	o, f := needOpenSSL(t), newFixture(t)
	good, bad := f.enrol(binding("E1")), f.enrol(binding("E2"))
	f.update(func(tx store.Tx) error {
		return f.a.Revoke(tx, f.record(bad).Serial, pki.ReasonSuperseded, f.clock.now())
	})
	root, middle := o.file("root.pem", pki.PEM(f.a.Root())), o.file("issuing.pem", pki.PEM(f.a.Issuing()))
	for name, c := range map[string]struct {
		certificate *x509.Certificate
		digest      string
		want        string
	}{
		"good, SHA-1":      {good, "-sha1", ": good"},
		"good, SHA-256":    {good, "-sha256", ": good"},
		"revoked":          {bad, "-sha1", ": revoked"},
		"unknown to us":    {nil, "-sha1", ": unknown"},
		"another issuer's": {f.a.Issuing(), "-sha1", "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			request, answer := filepath.Join(o.dir, "request.der"), filepath.Join(o.dir, "answer.der")
			args := []string{"ocsp", "-issuer", middle, c.digest}
			switch {
			case c.certificate == nil:
				args = append(args, "-serial", "0x4242")
			case c.certificate.Equal(f.a.Issuing()):
				args = []string{"ocsp", "-issuer", root, c.digest, "-cert", middle}
			default:
				args = append(args, "-cert", o.file("leaf.pem", pki.PEM(c.certificate)))
			}
			o.must("", append(args, "-reqout", request)...)
			body, err := os.ReadFile(request)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.a.OCSP(context.Background(), body)
			if err != nil {
				t.Fatal(err)
			}
			o.file("answer.der", got)
			out, _ := o.run(append(args, "-respin", answer, "-CAfile", root)...)
			if !strings.Contains(out, c.want) {
				t.Errorf("want %q in:\n%s", c.want, out)
			}
			if strings.HasPrefix(c.want, ":") && !strings.Contains(out, "Response verify OK") {
				t.Errorf("not verified:\n%s", out)
			}
		})
	}
}

func TestOpenSSLProfileSignature(t *testing.T) {
	o, f := needOpenSSL(t), newFixture(t)
	server, err := f.a.IssueServer(context.Background(), []string{"mdm.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("<?xml version=\"1.0\"?>\n<plist/>\n")
	own, err := f.a.SignCMS(content)
	if err != nil {
		t.Fatal(err)
	}
	with, err := f.a.SignCMSWith(content, server)
	if err != nil {
		t.Fatal(err)
	}
	root := o.file("root.pem", pki.PEM(f.a.Root()))
	for name, signed := range map[string][]byte{"own signer": own, "TLS certificate": with} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			out := filepath.Join(o.dir, "content")
			o.must("successful", "cms", "-verify", "-binary", "-purpose", "any", "-inform", "DER", "-in", o.file("signed.der", signed), "-CAfile", root, "-out", out)
			if got, _ := os.ReadFile(out); string(got) != string(content) {
				t.Errorf("content = %q", got)
			}
		})
	}
}

// TestOpenSSLReadsCertRep lets openssl judge the answer's signature and encryption.
func TestOpenSSLReadsCertRep(t *testing.T) {
	o, f := needOpenSSL(t), newFixture(t)
	c := newClient(t, f)
	_, body := c.exchange(t, f, c.message(t, makeCSR(t, rsaKeys()[0], f.challenge(binding("E1")))))
	_, refusal := c.exchange(t, f, c.message(t, makeCSR(t, rsaKeys()[0], "wrong")))
	chain := o.file("chain.pem", append(pki.PEM(f.a.Root()), pki.PEM(f.a.Issuing())...))
	envelope := filepath.Join(o.dir, "envelope.der")
	verify := []string{"cms", "-verify", "-binary", "-purpose", "any", "-inform", "DER", "-CAfile", chain, "-out", envelope, "-in"}
	o.must("successful", append(verify, o.file("refusal.der", refusal), "-content", o.file("empty", nil))...)
	o.must("successful", append(verify, o.file("answer.der", body))...)
	key, err := x509.MarshalPKCS8PrivateKey(c.signerKey)
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(o.dir, "bundle.der")
	o.must("", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", envelope, "-recip", o.file("signer.pem", pki.PEM(c.signer)),
		"-inkey", o.file("key.der", key), "-keyform", "DER", "-out", bundle)
	o.must("CN = E1", "pkcs7", "-inform", "DER", "-in", bundle, "-print_certs", "-noout")
}

// TestOpenSSLEnvelopes enrols with requests that openssl encrypted.
func TestOpenSSLEnvelopes(t *testing.T) {
	o, f := needOpenSSL(t), newFixture(t)
	ra := o.file("ra.pem", pki.PEM(f.a.RA()))
	for _, cipher := range []string{"-des3", "-aes128", "-aes192", "-aes256"} {
		t.Run(cipher, func(t *testing.T) {
			o.t = t
			c := newClient(t, f)
			csr := makeCSR(t, rsaKeys()[0], f.challenge(binding("E"+cipher)))
			c.corrupt = func(csr, _ []byte) []byte {
				out := filepath.Join(o.dir, "envelope.der")
				// -stream makes openssl write indefinite lengths, as Apple devices do
				o.must("", "cms", "-encrypt", "-binary", "-stream", "-outform", "DER", cipher, "-in", o.file("csr.der", csr), "-out", out, ra)
				envelope, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				return envelope
			}
			if c.enrol(t, f, csr) == nil {
				t.Fatal("refused")
			}
		})
	}
}

func TestOpenSSLPKCS12(t *testing.T) {
	o, f := needOpenSSL(t), newFixture(t)
	if err := f.a.PrepareKey(); err != nil {
		t.Fatal(err)
	}
	b := binding("E1")
	b.Purpose, b.Device = pki.Access, "D1"
	var packed []byte
	var c *pki.Certificate
	f.update(func(tx store.Tx) (err error) {
		packed, c, err = f.a.IssuePKCS12(tx, b, "pass word")
		return err
	})
	path := o.file("identity.p12", packed)
	o.must("CN = E1", "pkcs12", "-legacy", "-in", path, "-passin", "pass:pass word", "-nodes")
	o.must("pbeWithSHA1And3-KeyTripleDES-CBC", "pkcs12", "-legacy", "-in", path, "-passin", "pass:pass word", "-info", "-noout")
	if _, err := o.run("pkcs12", "-legacy", "-in", path, "-passin", "pass:wrong", "-nodes"); err == nil {
		t.Error("opens with a wrong password")
	}
	f.view(func(tx store.Tx) error {
		_, err := f.a.CertificateBySerial(tx, c.Serial)
		return err
	})
}

// TestCRLCache shows when a list is made anew.
func TestCRLCache(t *testing.T) {
	f := newFixture(t)
	get := func() *x509.RevocationList {
		t.Helper()
		der, err := f.a.CRL(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(f.a.Issuing()); err != nil {
			t.Fatal(err)
		}
		return list
	}
	c := f.enrol(binding("E1"))
	first := get()
	if again := get(); again.Number.Cmp(first.Number) != 0 {
		t.Error("not cached")
	}
	f.update(func(tx store.Tx) error {
		return f.a.Revoke(tx, f.record(c).Serial, pki.ReasonSuperseded, f.clock.now())
	})
	second := get()
	if second.Number.Cmp(first.Number) <= 0 || len(second.RevokedCertificateEntries) != 1 {
		t.Errorf("after a revocation: number %v after %v, %d entries", second.Number, first.Number, len(second.RevokedCertificateEntries))
	}
	f.clock.advance(4 * 24 * time.Hour)
	if third := get(); third.Number.Cmp(second.Number) <= 0 || !third.ThisUpdate.After(second.ThisUpdate) {
		t.Error("not made anew at half of its life")
	}
	f.clock.advance(380 * 24 * time.Hour)
	if last := get(); len(last.RevokedCertificateEntries) != 0 {
		t.Error("a certificate long expired is still listed")
	}
}

func TestOCSPRefusals(t *testing.T) {
	f := newFixture(t)
	for name, request := range map[string][]byte{"empty": nil, "text": []byte("hello"), "huge": make([]byte, 10_000)} {
		got, err := f.a.OCSP(context.Background(), request)
		if err != nil || string(got) != string(ocsp.MalformedRequestErrorResponse) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	c := f.enrol(binding("E1"))
	request, err := ocsp.CreateRequest(c, f.a.Issuing(), &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	check := func() *ocsp.Response {
		t.Helper()
		got, err := f.a.OCSP(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := ocsp.ParseResponseForCert(got, c, f.a.Issuing())
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	path := pki.OCSPPath + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(request))
	if got, err := pki.ParseOCSPPath(path); err != nil || !bytes.Equal(got, request) {
		t.Errorf("GET: %x, %v", got, err)
	}
	if _, err := pki.ParseOCSPPath(pki.OCSPPath + "/%zz"); !errors.Is(err, pki.ErrMessage) {
		t.Errorf("GET of nonsense: %v", err)
	}
	first := check()
	if first.Status != ocsp.Good {
		t.Errorf("status = %d", first.Status)
	}
	f.clock.advance(400 * 24 * time.Hour)
	if second := check(); second.Certificate.Equal(first.Certificate) {
		t.Error("the responder's certificate was not renewed at half of its life")
	}
}
