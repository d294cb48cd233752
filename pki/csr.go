package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"muster/pki/cms"
)

var oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

const (
	minRSABits = 2048
	maxRSABits = 8192
)

// csr is what we take from a PKCS #10 request: the key, the proof that its holder asks, and the challenge. Subject and
// extensions are not even decoded: nothing is issued from them, and Windows sends subjects that crypto/x509 refuses
// (a PrintableString with an exclamation mark and a trailing NUL).
type csr struct {
	key       crypto.PublicKey
	keyHash   string // hex SHA-256 of the SubjectPublicKeyInfo
	challenge string
}

// parseCSR reads a certification request (RFC 2986) and checks its signature and the strength of its key.
func parseCSR(der []byte) (*csr, error) {
	input := cryptobyte.String(der)
	var whole, info, inner, spki, attributes, algorithm cryptobyte.String
	var version int64
	var oid asn1.ObjectIdentifier
	var signature asn1.BitString
	var hasAttributes bool
	ok := input.ReadASN1(&whole, cbasn1.SEQUENCE) &&
		whole.ReadASN1Element(&info, cbasn1.SEQUENCE)
	inner = info
	ok = ok && inner.ReadASN1(&inner, cbasn1.SEQUENCE) &&
		inner.ReadASN1Integer(&version) &&
		inner.SkipASN1(cbasn1.SEQUENCE) &&
		inner.ReadASN1Element(&spki, cbasn1.SEQUENCE) &&
		inner.ReadOptionalASN1(&attributes, &hasAttributes, cbasn1.Tag(0).Constructed().ContextSpecific()) &&
		whole.ReadASN1(&algorithm, cbasn1.SEQUENCE) &&
		algorithm.ReadASN1ObjectIdentifier(&oid) &&
		whole.ReadASN1BitString(&signature)
	if !ok {
		return nil, fmt.Errorf("%w: certification request", ErrMessage)
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: key: %v", ErrMessage, err)
	}
	if err := strongEnough(key); err != nil {
		return nil, err
	}
	hash := cms.SignatureHash(oid)
	if hash == 0 {
		return nil, fmt.Errorf("%w: signature algorithm %s", ErrMessage, oid)
	}
	h := hash.New()
	h.Write(info)
	if err := cms.VerifyDigest(key, hash, h.Sum(nil), signature.RightAlign()); err != nil {
		return nil, err
	}
	r := &csr{key: key, keyHash: hexSum(spki)}
	for !attributes.Empty() {
		var attribute, values cryptobyte.String
		var id asn1.ObjectIdentifier
		if !attributes.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&id) ||
			!attribute.ReadASN1(&values, cbasn1.SET) {
			return nil, fmt.Errorf("%w: attribute", ErrMessage)
		}
		if !id.Equal(oidChallengePassword) {
			continue
		}
		text, ok := readString(&values)
		if !ok || r.challenge != "" {
			return nil, fmt.Errorf("%w: challenge", ErrMessage)
		}
		r.challenge = text
	}
	return r, nil
}

// strongEnough refuses keys that are too weak to certify or too big to handle.
func strongEnough(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("%w: RSA key of %d bits", ErrRefused, bits)
		}
		return nil
	case *ecdsa.PublicKey:
		if bits := k.Curve.Params().BitSize; bits < 256 {
			return fmt.Errorf("%w: ECDSA key of %d bits", ErrRefused, bits)
		}
		return nil
	}
	return fmt.Errorf("%w: key of type %T", ErrRefused, key)
}

// readString reads one string of any of the types that a DirectoryString or an IA5String can have; padding of NULs at
// its end is dropped.
func readString(in *cryptobyte.String) (string, bool) {
	var value cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1(&value, &tag) {
		return "", false
	}
	switch tag {
	case cbasn1.PrintableString, cbasn1.UTF8String, cbasn1.IA5String, cbasn1.T61String, cbasn1.Tag(26):
		return strings.TrimRight(string(value), "\x00"), true
	case cbasn1.Tag(30): // BMPString
		if len(value)%2 != 0 {
			return "", false
		}
		units := make([]uint16, 0, len(value)/2)
		for i := 0; i < len(value); i += 2 {
			units = append(units, uint16(value[i])<<8|uint16(value[i+1]))
		}
		return strings.TrimRight(string(utf16.Decode(units)), "\x00"), true
	}
	return "", false
}
