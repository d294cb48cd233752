package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"muster/store"
)

// oidUserID is the subject attribute of a push certificate that holds the topic.
var oidUserID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// pushTopicPrefix is how every MDM topic begins.
const pushTopicPrefix = "com.apple.mgmt."

// pushKey is a private key for push certificates with its request, kept until the certificate comes and after.
type pushKey struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"` // hex SHA-256 of the SubjectPublicKeyInfo
	SealedKey []byte    `json:"sealedKey"`
	CSR       []byte    `json:"csr,omitempty"` // DER
	CreatedAt time.Time `json:"createdAt"`
}

// PushCertificate is an accepted push certificate. It can be stored as it is: its private key is named, not held.
type PushCertificate struct {
	KeyID       string    `json:"keyId"`
	Topic       string    `json:"topic"`
	Fingerprint string    `json:"fingerprint"` // hex SHA-256 of the leaf
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	Chain       [][]byte  `json:"chain"` // DER, the leaf first
}

// MakePushCSR makes an RSA key for a push certificate and a request for it in PEM (SHA-256). The key is sealed in the
// store and waits there for AcceptPush. See PrepareKey.
func (a *Authority) MakePushCSR(tx store.Tx, subject pkix.Name) (csrPEM []byte, keyID string, err error) {
	key, err := a.takeKey()
	if err != nil {
		return nil, "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: subject, SignatureAlgorithm: x509.SHA256WithRSA,
	}, key)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %v", ErrBinding, err)
	}
	keyID, err = a.keepPushKey(tx, key, der)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), keyID, nil
}

func (a *Authority) keepPushKey(tx store.Tx, key *rsa.PrivateKey, csr []byte) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	id := store.NewID()
	return id, a.records.push.Insert(tx, &pushKey{
		ID: id, Key: hexSum(spki), CSR: csr, CreatedAt: a.now().UTC(),
		SealedKey: a.db.Sealer().Seal(a.records.push.Name(), id, plain),
	})
}

// PushCSR is the request that belongs to a key, in DER: what a vendor signs. store.ErrNotFound when there is none.
func (a *Authority) PushCSR(tx store.Tx, keyID string) ([]byte, error) {
	k, err := a.records.push.Get(tx, keyID)
	if err != nil {
		return nil, err
	}
	if len(k.CSR) == 0 {
		return nil, store.ErrNotFound
	}
	return k.CSR, nil
}

// AcceptPush takes a push certificate in PEM (or DER), finds its key and reads its topic. It refuses a certificate
// without a topic (ErrNotPush), out of its time (ErrExpired), or of a foreign key (ErrNoPushKey). Whether the topic
// may change is the caller's to judge, before it stores the result.
func (a *Authority) AcceptPush(tx store.Tx, certPEM []byte) (*PushCertificate, error) {
	chain, err := parseChain(certPEM)
	if err != nil {
		return nil, err
	}
	for i, c := range chain {
		topic := PushTopic(c)
		if topic == "" {
			continue
		}
		if now := a.now(); now.Before(c.NotBefore) || !now.Before(c.NotAfter) {
			return nil, fmt.Errorf("%w: push certificate, %s to %s", ErrExpired,
				c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly))
		}
		id, _, err := a.PushKeyFor(tx, c)
		if err != nil {
			return nil, err
		}
		p := &PushCertificate{
			KeyID: id, Topic: topic, Fingerprint: hexSum(c.Raw), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
			Chain: [][]byte{c.Raw},
		}
		for j, other := range chain {
			if j != i {
				p.Chain = append(p.Chain, other.Raw)
			}
		}
		return p, nil
	}
	return nil, ErrNotPush
}

// ImportPush takes a push certificate whose key was made elsewhere: certificate and RSA key in PEM, unencrypted. An
// organisation that moves here keeps its topic, and so its enrolled devices, that way.
func (a *Authority) ImportPush(tx store.Tx, certPEM, keyPEM []byte) (*PushCertificate, error) {
	key, err := parseRSAKey(keyPEM)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(certPEM)
	if err != nil {
		return nil, err
	}
	for _, c := range chain {
		if PushTopic(c) == "" || !key.PublicKey.Equal(c.PublicKey) {
			continue
		}
		if _, _, err := a.PushKeyFor(tx, c); err == nil {
			return a.AcceptPush(tx, certPEM)
		}
		if _, err := a.keepPushKey(tx, key, nil); err != nil {
			return nil, err
		}
		return a.AcceptPush(tx, certPEM)
	}
	return nil, ErrNoPushKey
}

// PushKeyFor finds the private key of a push certificate; ErrNoPushKey when it is not ours.
func (a *Authority) PushKeyFor(tx store.Tx, cert *x509.Certificate) (keyID string, key crypto.Signer, err error) {
	page, err := a.records.push.List(tx, store.Query{Index: "key", Value: hexSum(cert.RawSubjectPublicKeyInfo), Limit: 1})
	if err != nil {
		return "", nil, err
	}
	if len(page.Items) == 0 {
		return "", nil, ErrNoPushKey
	}
	k := page.Items[0]
	key, err = a.openPushKey(k)
	return k.ID, key, err
}

func (a *Authority) openPushKey(k *pushKey) (crypto.Signer, error) {
	plain, err := a.db.Sealer().Open(a.records.push.Name(), k.ID, k.SealedKey)
	if err != nil {
		return nil, err
	}
	return parseKey(plain)
}

// PushTLS is the client certificate for APNs: an accepted certificate with its unsealed key.
func (a *Authority) PushTLS(tx store.Tx, p *PushCertificate) (*tls.Certificate, error) {
	if len(p.Chain) == 0 {
		return nil, ErrNotPush
	}
	leaf, err := x509.ParseCertificate(p.Chain[0])
	if err != nil {
		return nil, err
	}
	k, err := a.records.push.Get(tx, p.KeyID)
	if isNotFound(err) {
		return nil, ErrNoPushKey
	}
	if err != nil {
		return nil, err
	}
	key, err := a.openPushKey(k)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: p.Chain, PrivateKey: key, Leaf: leaf}, nil
}

// ForgetPushKey deletes a key whose certificate is no longer in use.
func (a *Authority) ForgetPushKey(tx store.Tx, keyID string) error {
	if err := a.records.push.Delete(tx, keyID); err != nil && !isNotFound(err) {
		return err
	}
	return nil
}

// PushTopic is the topic of a push certificate, the user id in its subject; "" when it is none.
func PushTopic(c *x509.Certificate) string {
	for _, n := range c.Subject.Names {
		if topic, ok := n.Value.(string); ok && n.Type.Equal(oidUserID) && strings.HasPrefix(topic, pushTopicPrefix) {
			return topic
		}
	}
	return ""
}

// maxPEM bounds an uploaded certificate or key, in bytes.
const maxPEM = 256 << 10

// parseChain reads certificates in PEM, or one in DER.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%w: certificate of %d bytes", ErrMessage, len(data))
	}
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		c, err := parseUploaded(data)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{c}, nil
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := parseUploaded(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: no certificate in it", ErrMessage)
	}
	return chain, nil
}

// parseUploaded reads a certificate whose key is not too big to handle: one signature of an RSA key of 700,000 bits takes most of a minute to check.
func parseUploaded(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSABits {
		return nil, fmt.Errorf("%w: RSA key of %d bits", ErrMessage, k.N.BitLen())
	}
	return c, nil
}

// maxKeyDER bounds a private key, in bytes: one of maxRSABits has less than 5,000.
const maxKeyDER = 8 << 10

func parseRSAKey(data []byte) (*rsa.PrivateKey, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%w: key of %d bytes", ErrMessage, len(data))
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if len(block.Bytes) > maxKeyDER {
			return nil, fmt.Errorf("%w: key of %d bytes", ErrMessage, len(block.Bytes))
		}
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %v", ErrMessage, err)
			}
			return key, nil
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %v", ErrMessage, err)
			}
			if k, ok := key.(*rsa.PrivateKey); ok {
				return k, nil
			}
			return nil, fmt.Errorf("%w: key of type %T", ErrMessage, key)
		}
	}
	return nil, fmt.Errorf("%w: no private key in it", ErrMessage)
}
