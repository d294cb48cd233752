package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Attribute is a signed attribute with one value.
type Attribute struct {
	Type  asn1.ObjectIdentifier
	Value []byte // DER
}

// Signing says what Sign makes.
type Signing struct {
	Content     []byte // nil: no content inside; the digest covers the empty string unless Detached is set
	Detached    bool   // sign Content, but leave it out
	Certificate *x509.Certificate
	Key         crypto.Signer       // RSA or ECDSA
	Chain       []*x509.Certificate // put after Certificate
	Attributes  []Attribute         // beside contentType and messageDigest
	Time        time.Time           // signing time; zero = none
}

// Sign makes a SignedData in DER with SHA-256 and signed attributes in DER order.
func Sign(p Signing) ([]byte, error) {
	signer, err := Of(p.Certificate)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(p.Content)
	set, err := p.attributes(digest[:])
	if err != nil {
		return nil, err
	}
	covered := append(appendHeader(nil, byte(cbasn1.SET), len(set)), set...)
	hashed := sha256.Sum256(covered)
	signature, err := p.Key.Sign(rand.Reader, hashed[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(p.Content)+4096))
	contentInfo(b, oidSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { algorithm(b, oidSHA256, false) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidData)
			if p.Content != nil && !p.Detached {
				b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(p.Content) })
			}
		})
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
			b.AddBytes(p.Certificate.Raw)
			for _, c := range p.Chain {
				b.AddBytes(c.Raw)
			}
		})
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				issuerAndSerial(b, signer)
				algorithm(b, oidSHA256, false)
				b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddBytes(set) })
				switch p.Key.Public().(type) {
				case *rsa.PublicKey:
					algorithm(b, oidRSA, true)
				case *ecdsa.PublicKey:
					algorithm(b, oidECDSASHA256, false)
				default:
					b.SetError(fmt.Errorf("%w: key %T", ErrAlgorithm, p.Key.Public()))
				}
				b.AddASN1OctetString(signature)
			})
		})
	})
	return b.Bytes()
}

// attributes is the content of the signed attributes' SET in DER order (X.690, 11.6).
func (p Signing) attributes(digest []byte) ([]byte, error) {
	all := []Attribute{
		{oidContentType, element1(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })},
		{oidMessageDigest, element1(func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest) })},
	}
	if !p.Time.IsZero() {
		all = append(all, Attribute{oidSigningTime, element1(func(b *cryptobyte.Builder) {
			if t := p.Time.UTC(); t.Year() < 2050 { // RFC 5652, 11.3
				b.AddASN1UTCTime(t)
			} else {
				b.AddASN1GeneralizedTime(t)
			}
		})})
	}
	all = append(all, p.Attributes...)
	encoded := make([][]byte, 0, len(all))
	for _, a := range all {
		if len(a.Value) == 0 {
			return nil, fmt.Errorf("signed attribute %s: %w", a.Type, ErrMalformed)
		}
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.Type)
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(a.Value) })
		})
		der, err := b.Bytes()
		if err != nil {
			return nil, fmt.Errorf("signed attribute: %w", err)
		}
		encoded = append(encoded, der)
	}
	slices.SortFunc(encoded, bytes.Compare)
	return bytes.Join(encoded, nil), nil
}

// element1 builds one element; nil when the value cannot be encoded, which attributes reports.
func element1(f cryptobyte.BuilderContinuation) []byte {
	var b cryptobyte.Builder
	f(&b)
	der, err := b.Bytes()
	if err != nil {
		return nil
	}
	return der
}

// CertificatesOnly makes the degenerate SignedData that carries certificates and nothing else, in the given order.
func CertificatesOnly(certificates ...[]byte) ([]byte, error) {
	var b cryptobyte.Builder
	contentInfo(&b, oidSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
			for _, c := range certificates {
				b.AddBytes(c)
			}
		})
		b.AddASN1(explicit1, func(*cryptobyte.Builder) {}) // an empty CRL list: some old readers expect the field
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {})
	})
	return b.Bytes()
}

func contentInfo(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, body cryptobyte.BuilderContinuation) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, body) })
	})
}

func algorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, null bool) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if null {
			b.AddASN1NULL()
		}
	})
}

func issuerAndSerial(b *cryptobyte.Builder, c Certificate) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(c.Issuer)
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(c.Serial) })
	})
}
