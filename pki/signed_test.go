package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"muster/pki"
	"muster/store"
)

func TestVerifySigned(t *testing.T) {
	body := []byte("<plist><dict><key>MessageType</key><string>Authenticate</string></dict></plist>")
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signingTime := attribute(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}, time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
	none := []cmsAttribute{}
	for keyName, key := range map[string]crypto.Signer{"RSA": rsaKeys()[0], "ECDSA": p256} {
		certificate := selfSigned(t, key)
		for _, digest := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
			if keyName == "ECDSA" && digest != crypto.SHA256 {
				continue
			}
			for name, signature := range map[string][]byte{
				"detached":                     signedData(t, body, true, digest, certificate, key, none),
				"embedded":                     signedData(t, body, false, digest, certificate, key, none),
				"without signed attributes":    signedData(t, body, true, digest, certificate, key, nil),
				"signing time out of validity": signedData(t, body, true, digest, certificate, key, []cmsAttribute{signingTime}),
				"BER":                          toBER(t, signedData(t, body, false, digest, certificate, key, none)),
				"trailing new line":            append(signedData(t, body, true, digest, certificate, key, none), '\n'),
			} {
				t.Run(fmt.Sprint(keyName, " ", digest, " ", name), func(t *testing.T) {
					got, err := pki.VerifySigned(body, signature)
					if err != nil || !got.Equal(certificate) {
						t.Fatal(err)
					}
					if _, err := pki.VerifySigned(append(bytes.Clone(body), '\n'), signature); !errors.Is(err, pki.ErrSignature) {
						t.Errorf("another body: %v", err)
					}
					broken := bytes.Clone(signature)
					i := bytes.LastIndex(signature, signature[len(signature)-20:len(signature)-15])
					broken[i] ^= 1
					if _, err := pki.VerifySigned(body, broken); !errors.Is(err, pki.ErrSignature) {
						t.Errorf("broken signature: %v", err)
					}
				})
			}
		}
	}
	t.Run("made by smallstep/pkcs7", func(t *testing.T) {
		certificate := selfSigned(t, rsaKeys()[1])
		sd, err := pkcs7.NewSignedData(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := sd.AddSigner(certificate, rsaKeys()[1], pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		sd.Detach()
		signature, err := sd.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pki.VerifySigned(body, signature); err != nil || !got.Equal(certificate) {
			t.Fatal(err)
		}
	})
	t.Run("a certificate alone is no signature", func(t *testing.T) {
		f := newFixture(t)
		_, bundle, err := f.a.SCEP(context.Background(), "GetCACert", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pki.VerifySigned(nil, bundle); !errors.Is(err, pki.ErrSignature) {
			t.Error(err)
		}
	})
	t.Run("another's certificate in the message", func(t *testing.T) {
		victim := selfSigned(t, rsaKeys()[1])
		if _, err := pki.VerifySigned(body, signedData(t, body, true, crypto.SHA256, victim, rsaKeys()[2], none)); !errors.Is(err, pki.ErrSignature) {
			t.Error(err)
		}
	})
}

func TestServerCertificate(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	names, ips := []string{"mdm.example"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	get := func(names []string) *tls.Certificate {
		t.Helper()
		c, err := f.a.ServerCertificate(ctx, names, ips)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := get(names)
	if d := first.Leaf.NotAfter.Sub(first.Leaf.NotBefore); d > 398*24*time.Hour {
		t.Errorf("lives for %s", d)
	}
	if !get(names).Leaf.Equal(first.Leaf) {
		t.Error("another certificate without need")
	}
	reopened, err := pki.Open(ctx, f.db, pki.Config{Clock: f.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := reopened.ServerCertificate(ctx, names, ips); err != nil || !c.Leaf.Equal(first.Leaf) {
		t.Error("not kept in the store", err)
	}
	f.clock.advance(200 * 24 * time.Hour)
	if get(names).Leaf.Equal(first.Leaf) {
		t.Error("not renewed at half of its life")
	}
	f.clock.advance(-200 * 24 * time.Hour)
	if c := get([]string{"mdm.example", "other.example"}); c.Leaf.VerifyHostname("other.example") != nil {
		t.Error("not made anew for another name")
	}
	if _, err := f.a.IssueServer(ctx, nil, nil); !errors.Is(err, pki.ErrBinding) {
		t.Errorf("without a name: %v", err)
	}

	pool := x509.NewCertPool()
	pool.AddCert(f.a.Root())
	client, server := net.Pipe()
	go tls.Server(server, &tls.Config{Certificates: []tls.Certificate{*get(names)}}).Handshake()
	if err := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: "mdm.example"}).Handshake(); err != nil {
		t.Error(err)
	}
}

// pushCertificate plays Apple: a certificate for the key of a request.
func pushCertificate(t *testing.T, csrPEM []byte, topic string, notAfter time.Time) []byte {
	t.Helper()
	block, _ := pem.Decode(csrPEM)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "APSP:1"}
	if topic != "" {
		subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, selfSigned(t, rsaKeys()[0]), csr.PublicKey, rsaKeys()[0])
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestPushCertificate(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	makeCSR := func(f *fixture) (csr []byte, id string) {
		f.update(func(tx store.Tx) (err error) {
			csr, id, err = f.a.MakePushCSR(tx, pkix.Name{CommonName: "Acme", Country: []string{"NL"}})
			return err
		})
		return csr, id
	}
	accept := func(f *fixture, certificate []byte) (p *pki.PushCertificate, err error) {
		err = f.db.Update(context.Background(), func(tx store.Tx) (err error) {
			p, err = f.a.AcceptPush(tx, certificate)
			return err
		})
		return p, err
	}
	const topic = "com.apple.mgmt.External.1234"
	csr, id := makeCSR(f)
	makeCSR(f) // a second request does not spoil the first
	certificate := pushCertificate(t, csr, topic, time.Now().Add(365*24*time.Hour))
	p, err := accept(f, certificate)
	if err != nil || p.Topic != topic || p.KeyID != id {
		t.Fatalf("accepted = %+v, %v", p, err)
	}
	f.view(func(tx store.Tx) error {
		c, err := f.a.PushTLS(tx, p)
		if err != nil {
			return err
		}
		if public, ok := c.PrivateKey.(crypto.Signer); !ok || !c.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(public.Public()) {
			t.Error("key and certificate do not fit")
		}
		return nil
	})
	for name, c := range map[string]struct {
		certificate []byte
		want        error
	}{
		"no topic":          {pushCertificate(t, csr, "", time.Now().Add(time.Hour)), pki.ErrNotPush},
		"expired":           {pushCertificate(t, csr, topic, time.Now().Add(-time.Minute)), pki.ErrExpired},
		"text":              {[]byte("hello"), pki.ErrMessage},
		"a request instead": {csr, pki.ErrMessage},
	} {
		if _, err := accept(f, c.certificate); !errors.Is(err, c.want) {
			t.Errorf("%s: error = %v, want %v", name, err, c.want)
		}
	}
	if _, err := accept(other, certificate); !errors.Is(err, pki.ErrNoPushKey) {
		t.Errorf("another installation's: %v", err)
	}
	t.Run("imported with its key", func(t *testing.T) {
		var key []byte
		f.view(func(tx store.Tx) error {
			c, err := f.a.PushTLS(tx, p)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
			key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
			return err
		})
		other.update(func(tx store.Tx) error {
			got, err := other.a.ImportPush(tx, certificate, key)
			if err == nil && got.Topic != topic {
				t.Errorf("topic = %q", got.Topic)
			}
			return err
		})
		other.view(func(tx store.Tx) error {
			return tx.Scan(store.Range{}, func(k, v []byte) (bool, error) {
				block, _ := pem.Decode(key)
				if bytes.Contains(v, block.Bytes) || bytes.Contains(v, []byte("PRIVATE KEY")) {
					t.Errorf("an unsealed key under %q", k)
				}
				return true, nil
			})
		})
	})
}

func TestParseRoot(t *testing.T) {
	f := newFixture(t)
	root := f.a.Root()
	broken := bytes.Clone(root.Raw)
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"DER":             {root.Raw, nil},
		"PEM":             {pki.PEM(root), nil},
		"PEM with text":   {append([]byte("\n# our root\n"), pki.PEM(root)...), nil},
		"an intermediate": {f.a.Issuing().Raw, nil},
		"a leaf":          {f.a.RA().Raw, pki.ErrNotRoot},
		"two":             {append(pki.PEM(root), pki.PEM(root)...), pki.ErrNotRoot},
		"broken":          {broken, pki.ErrNotRoot},
		"text":            {[]byte("hello"), pki.ErrMessage},
		"a huge key":      {hugeKey(t, root), pki.ErrMessage},
		"a key beside it": {append(pki.PEM(root), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})...), pki.ErrNotRoot},
	} {
		got, err := pki.ParseRoot(c.data)
		if !errors.Is(err, c.want) || err == nil && got == nil {
			t.Errorf("%s: error = %v, want %v", name, err, c.want)
		}
	}
}

// hugeKey is a certificate with the key of an RSA modulus of a hundred thousand bits in place of its own.
func hugeKey(t *testing.T, c *x509.Certificate) []byte {
	t.Helper()
	var outer struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 100_000, 1), E: 1<<31 - 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		t.Fatal(err)
	}
	tbs := bytes.Replace(outer.TBS.Bytes, c.RawSubjectPublicKeyInfo, spki, 1)
	outer.TBS = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: tbs}
	der, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		t.Fatalf("refused for another reason: %v", err)
	}
	return der
}
