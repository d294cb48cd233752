package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/pki"
	"muster/store"
)

// clock is a time that a test can move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// fixture is an authority over a store of its own.
type fixture struct {
	t     testing.TB
	db    *store.DB
	a     *pki.Authority
	clock *clock
	dir   string
}

func storeOptions() store.Options {
	return store.Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32), Small: true}
}

func newFixture(t testing.TB, change ...func(*pki.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &clock{}, dir: t.TempDir()}
	db, err := store.Open(f.dir, storeOptions())
	if err != nil {
		t.Fatal(err)
	}
	f.db = db
	t.Cleanup(func() { f.db.Close() })
	config := pki.Config{Organisation: "Acme", BaseURL: "http://mdm.example/", Clock: f.clock.now}
	for _, c := range change {
		c(&config)
	}
	if f.a, err = pki.Open(context.Background(), db, config); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) update(fn func(store.Tx) error) {
	f.t.Helper()
	if err := f.db.Update(context.Background(), fn); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) view(fn func(store.Tx) error) {
	f.t.Helper()
	if err := f.db.View(context.Background(), fn); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) challenge(b pki.Binding) (secret string) {
	f.t.Helper()
	f.update(func(tx store.Tx) (err error) {
		secret, err = f.a.NewChallenge(tx, b, time.Hour)
		return err
	})
	return secret
}

// record is our record of an issued certificate.
func (f *fixture) record(c *x509.Certificate) (r *pki.Certificate) {
	f.t.Helper()
	f.view(func(tx store.Tx) (err error) {
		r, err = f.a.Certificate(tx, fingerprint(c))
		return err
	})
	return r
}

func (f *fixture) seen(c *x509.Certificate) {
	f.t.Helper()
	f.update(func(tx store.Tx) error { return f.a.Seen(tx, fingerprint(c), f.clock.now()) })
}

func fingerprint(c *x509.Certificate) string { return pki.Fingerprint(c) }

func binding(enrolment string) pki.Binding {
	return pki.Binding{Purpose: pki.Management, Enrolment: enrolment, Subject: pkix.Name{CommonName: enrolment}}
}

// rsaKeys hands out a few RSA keys again and again, because making one takes long.
var rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	var keys []*rsa.PrivateKey
	for range 4 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
})

func selfSigned(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "SCEP client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// makeCSR makes a request that asks for much more than it should get. crypto/x509 cannot write a challengePassword, so
// the request is put together here.
func makeCSR(t testing.TB, key crypto.Signer, challenge string, change ...func(*csrInfo)) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	subject, err := asn1.Marshal(pkix.Name{CommonName: "administrator", Organization: []string{"Elsewhere"}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	info := csrInfo{Subject: asn1.RawValue{FullBytes: subject}, SPKI: asn1.RawValue{FullBytes: spki}}
	if challenge != "" {
		info.Attributes = append(info.Attributes, csrAttribute{
			Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7},
			Raw:  []asn1.RawValue{{FullBytes: must(t, challenge)}},
		})
	}
	for _, c := range change {
		c(&info)
	}
	tbs, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	algorithm := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	if _, ok := key.Public().(*rsa.PublicKey); !ok {
		algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	}
	h := crypto.SHA256.New()
	h.Write(tbs)
	signature, err := key.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: algorithm}, asn1.BitString{Bytes: signature, BitLength: len(signature) * 8}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

type csrInfo struct {
	Version    int
	Subject    asn1.RawValue
	SPKI       asn1.RawValue
	Attributes []csrAttribute `asn1:"tag:0,set"`
}

type csrAttribute struct {
	Type asn1.ObjectIdentifier
	Raw  []asn1.RawValue `asn1:"set"`
}
