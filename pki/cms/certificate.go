package cms

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificate is a certificate read only as far as CMS needs it. Throw-away certificates of SCEP clients break rules
// that crypto/x509 enforces (critical key identifiers, odd strings, no serial), which is harmless here.
type Certificate struct {
	Raw    []byte
	Issuer []byte // DER of the issuer's name
	Serial []byte // content of the INTEGER
	SPKI   []byte // DER of the SubjectPublicKeyInfo
}

// ParseCertificate reads the parts of a DER certificate that name it and its key; it verifies nothing.
func ParseCertificate(der []byte) (Certificate, error) {
	input := cryptobyte.String(der)
	var whole, cert, tbs, issuer, spki cryptobyte.String
	c := Certificate{}
	if !input.ReadASN1Element(&whole, cbasn1.SEQUENCE) {
		return c, fmt.Errorf("certificate: %w", ErrMalformed)
	}
	c.Raw = whole
	var serial cryptobyte.String
	ok := whole.ReadASN1(&cert, cbasn1.SEQUENCE) &&
		cert.ReadASN1(&tbs, cbasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) &&
		tbs.ReadASN1(&serial, cbasn1.INTEGER) &&
		tbs.SkipASN1(cbasn1.SEQUENCE) && // signature
		tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) &&
		tbs.SkipASN1(cbasn1.SEQUENCE) && // validity
		tbs.SkipASN1(cbasn1.SEQUENCE) && // subject
		tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE)
	if !ok {
		return c, fmt.Errorf("certificate: %w", ErrMalformed)
	}
	c.Issuer, c.Serial, c.SPKI = issuer, serial, spki
	return c, nil
}

// Of is the short form of a parsed certificate.
func Of(cert *x509.Certificate) (Certificate, error) { return ParseCertificate(cert.Raw) }

// PublicKey decodes the certificate's key.
func (c Certificate) PublicKey() (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(c.SPKI)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAlgorithm, err)
	}
	return key, nil
}

// named says whether issuer and serial name c.
func (c Certificate) named(issuer, serial []byte) bool {
	return bytes.Equal(c.Serial, serial) && bytes.Equal(c.Issuer, issuer)
}

// keyed says whether id is c's subject key identifier: its extension, or the SHA-1 of its key (RFC 5280, 4.2.1.2).
func (c Certificate) keyed(id []byte) bool {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.SPKI, &info); err == nil {
		if sum := sha1.Sum(info.Key.Bytes); bytes.Equal(sum[:], id) {
			return true
		}
	}
	cert, err := x509.ParseCertificate(c.Raw)
	return err == nil && len(id) > 0 && bytes.Equal(cert.SubjectKeyId, id)
}
