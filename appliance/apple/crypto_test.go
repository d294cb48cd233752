package apple

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"testing"

	"github.com/smallstep/pkcs7"
)

// verifyCMS checks a signed message with another's CMS and gives the signer.
func verifyCMS(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	m, err := pkcs7.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(); err != nil {
		t.Fatal(err)
	}
	return m.GetOnlySigner()
}

// signature makes an Mdm-Signature header as a device does: a detached CMS message over the body.
func signature(t testing.TB, body []byte, id tls.Certificate) string {
	t.Helper()
	m, err := pkcs7.NewSignedData(body)
	if err != nil {
		t.Fatal(err)
	}
	m.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := m.AddSigner(id.Leaf, id.PrivateKey, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	m.Detach()
	der, err := m.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
