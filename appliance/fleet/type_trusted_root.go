package fleet

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"time"
)

// TypeTrustedRoot is a root certificate that devices are to trust: ours, or one that was uploaded (B7).
func trustedRootDeclaration() Declaration {
	return Declaration{
		Type:     TypeTrustedRoot,
		Targets:  targetsOf(TypeTrustedRoot),
		NameHint: "profile.trusted-root.name-hint",
		Fields: []Field{
			{Key: "source", Kind: KindChoice, Default: "internal", Required: true, Options: []string{"internal", "uploaded"}, Group: "certificate"},
			{Key: "certificate", Kind: KindCertificate, Required: true, When: "source=uploaded", Group: "certificate"},
		},
	}
}

// CertificateFacts describe a certificate to people.
type CertificateFacts struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`      // hex
	Fingerprint string    `json:"fingerprint"` // SHA-256, hex
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	CA          bool      `json:"ca"`
}

// DescribeCertificate says what a certificate is.
func DescribeCertificate(c *x509.Certificate) CertificateFacts {
	sum := sha256.Sum256(c.Raw)
	return CertificateFacts{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16),
		Fingerprint: hex.EncodeToString(sum[:]), NotBefore: c.NotBefore, NotAfter: c.NotAfter, CA: c.BasicConstraintsValid && c.IsCA}
}

// TrustedRoot returns the certificate that a trusted-root profile delivers.
func (f *Fleet) TrustedRoot(p *Profile) (*x509.Certificate, error) {
	v := p.Values()
	if v.String("source") == "internal" {
		return f.pki.Root(), nil
	}
	return ParseCertificate(v.String("certificate"))
}

var errOneCertificate = errors.New("fleet: not exactly one certificate")

// ParseCertificate reads one certificate as PEM, or as DER in base64.
func ParseCertificate(s string) (*x509.Certificate, error) {
	var der []byte
	if strings.Contains(s, "-----BEGIN") {
		block, rest := pem.Decode([]byte(s))
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errOneCertificate
		}
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), "")); err != nil {
			return nil, errOneCertificate
		}
	}
	return x509.ParseCertificate(der)
}

// checkCertificate accepts a CA certificate in any of its forms and keeps it as PEM.
func (fd Field) checkCertificate(name, s string, bad faults) (any, bool) {
	if strings.Contains(s, "PRIVATE KEY") {
		bad.put(name, "certificate.private-key")
		return nil, false
	}
	c, err := ParseCertificate(s)
	if err != nil {
		bad.put(name, "certificate.unreadable")
		return nil, false
	}
	if !c.BasicConstraintsValid || !c.IsCA {
		bad.put(name, "certificate.not-ca", "subject", c.Subject.String())
		return nil, false
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})), true
}
