package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"

	"muster/store"
)

// maxSpare bounds the RSA keys that wait to be used.
const maxSpare = 16

// PrepareKey makes an RSA key and keeps it in memory for the next IssuePKCS12 or MakePushCSR. Call it before the
// transaction that calls one of them: making a key takes long, and inside the transaction every other writer would wait
// for it. Without it they still work.
func (a *Authority) PrepareKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	a.spareMu.Lock()
	defer a.spareMu.Unlock()
	if len(a.spare) < maxSpare {
		a.spare = append(a.spare, key)
	}
	return nil
}

// KeyReady says whether a key waits to be used.
func (a *Authority) KeyReady() bool {
	a.spareMu.Lock()
	defer a.spareMu.Unlock()
	return len(a.spare) > 0
}

// takeKey is a prepared key, or a new one. No key is handed out twice.
func (a *Authority) takeKey() (*rsa.PrivateKey, error) {
	a.spareMu.Lock()
	if n := len(a.spare); n > 0 {
		key := a.spare[n-1]
		a.spare = a.spare[:n-1]
		a.spareMu.Unlock()
		return key, nil
	}
	a.spareMu.Unlock()
	return rsa.GenerateKey(rand.Reader, 2048)
}

// IssuePKCS12 makes a key and a certificate for the binding and packs both, protected by password, in the legacy form
// (3DES and SHA-1): the only one that Apple's importer takes on all releases in use. The key is not kept. The file must
// not leave a protected channel. See PrepareKey.
func (a *Authority) IssuePKCS12(tx store.Tx, b Binding, password string) ([]byte, *Certificate, error) {
	key, err := a.takeKey()
	if err != nil {
		return nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	c, err := a.issue(tx, b, request{key: key.Public(), keyHash: hexSum(spki)})
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, nil, err
	}
	packed, err := pkcs12.LegacyDES.Encode(key, certificate, nil, password)
	if err != nil {
		return nil, nil, fmt.Errorf("packing the identity: %w", err)
	}
	return packed, c, nil
}
