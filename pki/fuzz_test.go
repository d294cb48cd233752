package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"net/url"
	"testing"

	"golang.org/x/crypto/ocsp"

	"muster/pki"
	"muster/store"
)

// FuzzPKIOperation wants an answer or ErrMessage for whatever comes, and no certificate without the challenge.
func FuzzPKIOperation(f *testing.F) {
	x := newFixture(f)
	c := newClient(f, x)
	for _, ber := range []bool{false, true} {
		c.ber = ber
		f.Add(c.message(f, makeCSR(f, rsaKeys()[0], "wrong")))
		f.Add(signedData(f, c.envelope(f, []byte("hello")), false, crypto.SHA1, c.signer, c.signerKey, nil))
	}
	f.Add([]byte{0x30, 0x80, 0x00, 0x00})
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 50))
	f.Fuzz(func(t *testing.T, message []byte) {
		_, body, err := x.a.SCEP(context.Background(), "PKIOperation", message)
		if err != nil && !errors.Is(err, pki.ErrMessage) || err == nil && len(body) == 0 {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
	})
}

// FuzzCSR puts arbitrary requests inside a proper message.
func FuzzCSR(f *testing.F) {
	x := newFixture(f)
	c := newClient(f, x)
	f.Add(makeCSR(f, rsaKeys()[0], "wrong"))
	f.Add(makeCSR(f, rsaKeys()[0], ""))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, csr []byte) {
		if len(csr) > 30_000 {
			return
		}
		if c.enrol(t, x, csr) != nil {
			t.Fatal("granted without a challenge")
		}
	})
}

// FuzzVerifySigned wants that nothing but the signed body verifies, and no panic.
func FuzzVerifySigned(f *testing.F) {
	body, key := []byte("body"), rsaKeys()[0]
	certificate := selfSigned(f, key)
	f.Add([]byte("body"), signedData(f, body, true, crypto.SHA256, certificate, key, []cmsAttribute{}))
	f.Add([]byte("body"), toBER(f, signedData(f, body, false, crypto.SHA1, certificate, key, nil)))
	f.Add([]byte(""), []byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, b, signature []byte) {
		got, err := pki.VerifySigned(b, signature)
		if err != nil && !errors.Is(err, pki.ErrSignature) {
			t.Fatal(err)
		}
		if err == nil && got.Equal(certificate) && !bytes.Equal(b, body) && bytes.Contains(signature, body) {
			t.Fatalf("%q verifies", b)
		}
	})
}

// FuzzOCSP wants an answer in the protocol for whatever comes.
func FuzzOCSP(f *testing.F) {
	x := newFixture(f)
	c := x.enrol(binding("E1"))
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		request, err := ocsp.CreateRequest(c, x.a.Issuing(), &ocsp.RequestOptions{Hash: h})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		got, err := x.a.OCSP(context.Background(), request)
		if err != nil || len(got) == 0 {
			t.Fatal(err)
		}
	})
}

// FuzzParseUploads reads what an administrator might upload.
func FuzzParseUploads(f *testing.F) {
	x := newFixture(f)
	f.Add(x.a.Root().Raw)
	f.Add(pki.PEM(x.a.Root()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := pki.ParseRoot(data); err == nil && !c.IsCA && c.Version >= 3 {
			t.Fatal("a leaf as root")
		}
		err := x.db.View(context.Background(), func(tx store.Tx) error {
			_, err := x.a.AcceptPush(tx, data)
			return err
		})
		if err == nil {
			t.Fatal("accepted a push certificate whose key is not ours")
		}
	})
}

// FuzzSCEPQuery gives the query of a GET arbitrary text, and what it is read as to the authority.
func FuzzSCEPQuery(f *testing.F) {
	x := newFixture(f)
	c := newClient(f, x)
	message := base64.StdEncoding.EncodeToString(c.message(f, makeCSR(f, rsaKeys()[0], "wrong")))
	f.Add("operation=PKIOperation&message=" + url.QueryEscape(message))
	f.Add("message=" + message + "&operation=PKIOperation&message=x")
	f.Add("operation=GetCACert&message=ra")
	f.Add("operation=%GG&&&=&operation")
	f.Fuzz(func(t *testing.T, raw string) {
		operation, message, err := pki.ParseSCEPQuery(raw)
		if err != nil {
			if !errors.Is(err, pki.ErrMessage) {
				t.Fatal(err)
			}
			return
		}
		if len(message) > len(raw) || len(operation) > len(raw) {
			t.Fatalf("%d bytes of %d", len(message), len(raw))
		}
		_, body, err := x.a.SCEP(context.Background(), operation, message)
		if err != nil && !errors.Is(err, pki.ErrMessage) && !errors.Is(err, pki.ErrOperation) || err == nil && len(body) == 0 {
			t.Fatalf("%q: %d bytes, %v", operation, len(body), err)
		}
	})
}
