package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParseRoot reads one certificate, PEM or DER, that is to be trusted as a root. It refuses with ErrNotRoot what is not
// a CA, more than one certificate, and a private key beside it; a self-signature that does not verify is refused too,
// but an intermediate may be trusted on purpose. Validity is for the caller to show.
func ParseRoot(pemOrDER []byte) (*x509.Certificate, error) {
	data := bytes.TrimSpace(pemOrDER)
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		return nil, fmt.Errorf("%w: it holds a private key", ErrNotRoot)
	}
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		data = pemOrDER
	}
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	if len(chain) != 1 {
		return nil, fmt.Errorf("%w: %d certificates in one file", ErrNotRoot, len(chain))
	}
	c := chain[0]
	if c.Version >= 3 && !(c.BasicConstraintsValid && c.IsCA) {
		return nil, fmt.Errorf("%w: not a certificate authority", ErrNotRoot)
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("%w: it may not sign certificates", ErrNotRoot)
	}
	if bytes.Equal(c.RawSubject, c.RawIssuer) {
		if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrNotRoot, err)
		}
	}
	return c, nil
}

// PEM is a certificate in PEM, for downloads.
func PEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
