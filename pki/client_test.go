package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/smallstep/scep"
)

// client is a SCEP client of our own that can misbehave in every way that a test wants. Its encoder is encoding/asn1,
// which shares nothing with the code under test.
type client struct {
	cipher      string // des, 3des, aes128, aes192, aes256
	digest      crypto.Hash
	ber         bool // indefinite lengths and octet strings in pieces
	kind        string
	transaction string
	nonce       []byte
	signerKey   crypto.Signer
	signer      *x509.Certificate
	recipient   *x509.Certificate
	corrupt     func(csr, envelope []byte) []byte // nil = leave the envelope as it is
}

func newClient(t testing.TB, f *fixture) *client {
	key := rsaKeys()[3]
	return &client{
		cipher: "aes128", digest: crypto.SHA256, kind: "19", transaction: "T" + rand.Text(), nonce: []byte("0123456789abcdef"),
		signerKey: key, signer: selfSigned(t, key), recipient: f.a.RA(),
	}
}

var digestOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA1:   {1, 3, 14, 3, 2, 26},
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
	crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

func nameOf(c *x509.Certificate) issuerAndSerial {
	return issuerAndSerial{asn1.RawValue{FullBytes: c.RawIssuer}, c.SerialNumber}
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue
}

func wrap(t testing.TB, oid asn1.ObjectIdentifier, inner any) []byte {
	t.Helper()
	return must(t, contentInfo{oid, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: must(t, inner)}})
}

func must(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

var (
	oidData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSigned    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidRSA       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECDSA256  = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

func (c *client) envelope(t testing.TB, plain []byte) []byte {
	t.Helper()
	var oid asn1.ObjectIdentifier
	var block cipher.Block
	var err error
	key := make([]byte, 32)
	rand.Read(key)
	switch c.cipher {
	case "des":
		oid, key = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}, key[:8]
		block, err = des.NewCipher(key)
	case "3des":
		oid, key = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, key[:24]
		block, err = des.NewTripleDESCipher(key)
	case "aes128", "aes192", "aes256":
		n := map[string]int{"aes128": 2, "aes192": 22, "aes256": 42}[c.cipher]
		oid, key = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, n}, key[:map[int]int{2: 16, 22: 24, 42: 32}[n]]
		block, err = aes.NewCipher(key)
	}
	if err != nil || block == nil {
		t.Fatal(c.cipher, err)
	}
	iv := make([]byte, block.BlockSize())
	rand.Read(iv)
	n := block.BlockSize() - len(plain)%block.BlockSize()
	data := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, c.recipient.PublicKey.(*rsa.PublicKey), key)
	if err != nil {
		t.Fatal(err)
	}
	type recipient struct {
		Version   int
		Name      issuerAndSerial
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	return wrap(t, oidEnveloped, struct {
		Version    int
		Recipients []recipient `asn1:"set"`
		Content    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      asn1.RawValue
		}
	}{
		Recipients: []recipient{{Name: nameOf(c.recipient), Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}, Key: wrapped}},
		Content: struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      asn1.RawValue
		}{oidData, pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{Tag: 4, Bytes: iv}}, asn1.RawValue{Class: 2, Tag: 0, Bytes: data}},
	})
}

type cmsAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func attribute(t testing.TB, oid asn1.ObjectIdentifier, value any) cmsAttribute {
	t.Helper()
	return cmsAttribute{oid, asn1.RawValue{Tag: 17, IsCompound: true, Bytes: must(t, value)}}
}

func scepOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}
}

// signedData signs content; nil extra means no signed attributes at all.
func signedData(t testing.TB, content []byte, detached bool, digest crypto.Hash, signer *x509.Certificate, key crypto.Signer, extra []cmsAttribute) []byte {
	t.Helper()
	hash := func(b []byte) []byte { h := digest.New(); h.Write(b); return h.Sum(nil) }
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
	if _, ok := key.Public().(*rsa.PublicKey); !ok {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: oidECDSA256}
	}
	var signedAttributes asn1.RawValue
	covered := hash(content)
	if extra != nil {
		set := struct {
			A []cmsAttribute `asn1:"set"`
		}{append([]cmsAttribute{
			attribute(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, oidData),
			attribute(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, hash(content)),
		}, extra...)}
		var inner asn1.RawValue
		var outer asn1.RawValue
		if _, err := asn1.Unmarshal(must(t, set), &outer); err != nil {
			t.Fatal(err)
		}
		if _, err := asn1.Unmarshal(outer.Bytes, &inner); err != nil {
			t.Fatal(err)
		}
		covered = hash(inner.FullBytes)
		signedAttributes = asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: inner.Bytes}
	}
	signature, err := key.Sign(rand.Reader, covered, digest)
	if err != nil {
		t.Fatal(err)
	}
	type info struct {
		Version    int
		Name       issuerAndSerial
		Digest     pkix.AlgorithmIdentifier
		Attributes asn1.RawValue `asn1:"optional"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
	}
	encap := contentInfo{Type: oidData}
	if !detached {
		encap.Content = asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: must(t, content)}
	}
	encapDER := must(t, encap)
	if detached {
		encapDER = must(t, struct{ Type asn1.ObjectIdentifier }{oidData})
	}
	return wrap(t, oidSigned, struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      asn1.RawValue
		Certificates asn1.RawValue
		Signers      []info `asn1:"set"`
	}{
		1, []pkix.AlgorithmIdentifier{{Algorithm: digestOIDs[digest]}}, asn1.RawValue{FullBytes: encapDER},
		asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: signer.Raw},
		[]info{{1, nameOf(signer), pkix.AlgorithmIdentifier{Algorithm: digestOIDs[digest]}, signedAttributes, algorithm, signature}},
	})
}

// message is the whole request around a CSR.
func (c *client) message(t testing.TB, csr []byte) []byte {
	t.Helper()
	envelope := c.envelope(t, csr)
	if c.corrupt != nil {
		envelope = c.corrupt(csr, envelope)
	}
	if c.ber {
		envelope = toBER(t, envelope)
	}
	attributes := []cmsAttribute{
		attribute(t, scepOID(2), c.kind), attribute(t, scepOID(7), c.transaction), attribute(t, scepOID(5), c.nonce),
	}
	m := signedData(t, envelope, false, c.digest, c.signer, c.signerKey, attributes)
	if c.ber {
		m = toBER(t, m)
	}
	return m
}

// enrol sends a CSR and returns the certificate, or nil for a CertRep failure.
func (c *client) enrol(t testing.TB, f *fixture, csr []byte) *x509.Certificate {
	t.Helper()
	issued, _ := c.exchange(t, f, c.message(t, csr))
	return issued
}

// exchange sends a message as it is and reads the answer with another implementation.
func (c *client) exchange(t testing.TB, f *fixture, message []byte) (*x509.Certificate, []byte) {
	t.Helper()
	contentType, body, err := f.a.SCEP(context.Background(), "PKIOperation", message)
	if err != nil || contentType != "application/x-pki-message" {
		t.Fatalf("PKIOperation: %q, %v", contentType, err)
	}
	answer, err := scep.ParsePKIMessage(body)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	if string(answer.TransactionID) != c.transaction || !bytes.Equal(answer.RecipientNonce, c.nonce) {
		t.Errorf("transaction or nonce do not come back: %q, %x", answer.TransactionID, answer.RecipientNonce)
	}
	switch answer.PKIStatus {
	case scep.FAILURE:
		if answer.FailInfo != scep.BadRequest {
			t.Errorf("failInfo = %v, want badRequest", answer.FailInfo)
		}
		return nil, body
	case scep.SUCCESS:
		if err := answer.DecryptPKIEnvelope(c.signer, c.signerKey); err != nil {
			t.Fatal(err)
		}
		return answer.Certificate, body
	}
	t.Fatalf("status = %v", answer.PKIStatus)
	return nil, nil
}

// toBER rewrites DER as Apple devices encode: indefinite lengths, and longer octet strings in pieces.
func toBER(t testing.TB, der []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			t.Fatal(err)
		}
		der = rest
		tag := v.FullBytes[0]
		switch {
		case v.IsCompound:
			out.WriteByte(tag)
			out.WriteByte(0x80)
			out.Write(toBER(t, v.Bytes))
			out.Write([]byte{0, 0})
		case (tag == 0x04 || tag == 0x80 && v.Class == 2) && len(v.Bytes) > 20:
			out.WriteByte(tag | 0x20)
			out.WriteByte(0x80)
			for part := v.Bytes; len(part) > 0; {
				n := min(len(part), 100)
				out.Write([]byte{0x04, byte(n)})
				out.Write(part[:n])
				part = part[n:]
			}
			out.Write([]byte{0, 0})
		default:
			out.Write(v.FullBytes)
		}
	}
	return out.Bytes()
}
