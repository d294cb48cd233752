package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCertificates bounds what is looked at in one message.
const maxCertificates = 32

// Signed is a parsed SignedData with exactly one signer, or with none when it only carries certificates.
type Signed struct {
	Content      []byte // the signed octets; nil when the signature is detached
	Detached     bool   // no content inside
	Certificates []Certificate
	signer       *signerInfo
}

// signerInfo is RFC 5652 clause 5.3.
type signerInfo struct {
	issuer, serial []byte
	keyID          []byte // instead of issuer and serial
	digest         asn1.ObjectIdentifier
	attributes     []byte // content of the signed attributes, as received
	signed         bool   // signed attributes are present
	algorithm      asn1.ObjectIdentifier
	signature      []byte
}

var (
	explicit0 = cbasn1.Tag(0).Constructed().ContextSpecific()
	explicit1 = cbasn1.Tag(1).Constructed().ContextSpecific()
	implicit0 = cbasn1.Tag(0).ContextSpecific()
)

// ParseSigned reads a SignedData in BER. It verifies nothing.
func ParseSigned(ber []byte) (*Signed, error) {
	der, err := Normalise(ber)
	if err != nil {
		return nil, err
	}
	body, err := contentOf(der, oidSignedData)
	if err != nil {
		return nil, err
	}
	s := &Signed{}
	var version int64
	var digests, encap cryptobyte.String
	if !body.ReadASN1Integer(&version) || !body.ReadASN1(&digests, cbasn1.SET) || !body.ReadASN1(&encap, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("signed data: %w", ErrMalformed)
	}
	if err := s.readContent(encap); err != nil {
		return nil, err
	}
	var certs, signers cryptobyte.String
	var hasCerts bool
	if !body.ReadOptionalASN1(&certs, &hasCerts, explicit0) || !body.SkipOptionalASN1(explicit1) ||
		!body.ReadASN1(&signers, cbasn1.SET) {
		return nil, fmt.Errorf("signed data: %w", ErrMalformed)
	}
	for !certs.Empty() {
		var raw cryptobyte.String
		var tag cbasn1.Tag
		if !certs.ReadAnyASN1Element(&raw, &tag) || len(s.Certificates) == maxCertificates {
			return nil, fmt.Errorf("certificates: %w", ErrMalformed)
		}
		if tag != cbasn1.SEQUENCE {
			continue // attribute certificates and other formats
		}
		if c, err := ParseCertificate(raw); err == nil {
			s.Certificates = append(s.Certificates, c)
		}
	}
	if signers.Empty() {
		return s, nil
	}
	if s.signer, err = readSigner(&signers); err != nil {
		return nil, err
	}
	if !signers.Empty() {
		return nil, fmt.Errorf("%w: more than one signer", ErrMalformed)
	}
	return s, nil
}

// contentOf opens a ContentInfo of the wanted type.
func contentOf(der []byte, want asn1.ObjectIdentifier) (cryptobyte.String, error) {
	input := cryptobyte.String(der)
	var info, wrapped, body cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&oid) ||
		!info.ReadASN1(&wrapped, explicit0) || !wrapped.ReadASN1(&body, cbasn1.SEQUENCE) {
		return nil, fmt.Errorf("content info: %w", ErrMalformed)
	}
	if !oid.Equal(want) {
		return nil, fmt.Errorf("%w: content type %s", ErrMalformed, oid)
	}
	return body, nil
}

// readContent reads the EncapsulatedContentInfo. PKCS #7 1.5 clients put the inner structure there without an OCTET
// STRING around it; the digest then covers its content octets (RFC 2315, 9.3).
func (s *Signed) readContent(encap cryptobyte.String) error {
	var oid asn1.ObjectIdentifier
	var wrapped cryptobyte.String
	var present bool
	if !encap.ReadASN1ObjectIdentifier(&oid) || !encap.ReadOptionalASN1(&wrapped, &present, explicit0) {
		return fmt.Errorf("content: %w", ErrMalformed)
	}
	if !present || wrapped.Empty() {
		s.Detached = true
		return nil
	}
	var value cryptobyte.String
	var tag cbasn1.Tag
	if !wrapped.ReadAnyASN1(&value, &tag) {
		return fmt.Errorf("content: %w", ErrMalformed)
	}
	s.Content = value
	if s.Content == nil {
		s.Content = []byte{}
	}
	return nil
}

func readSigner(signers *cryptobyte.String) (*signerInfo, error) {
	var body, digest, algorithm, attributes, signature cryptobyte.String
	var version int64
	si := &signerInfo{}
	if !signers.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(&version) {
		return nil, fmt.Errorf("signer: %w", ErrMalformed)
	}
	if body.PeekASN1Tag(implicit0) {
		var id cryptobyte.String
		if !body.ReadASN1(&id, implicit0) {
			return nil, fmt.Errorf("signer: %w", ErrMalformed)
		}
		si.keyID = id
	} else {
		var err error
		if si.issuer, si.serial, err = readIssuerAndSerial(&body); err != nil {
			return nil, err
		}
	}
	ok := body.ReadASN1(&digest, cbasn1.SEQUENCE) &&
		digest.ReadASN1ObjectIdentifier(&si.digest) &&
		body.ReadOptionalASN1(&attributes, &si.signed, explicit0) &&
		body.ReadASN1(&algorithm, cbasn1.SEQUENCE) &&
		algorithm.ReadASN1ObjectIdentifier(&si.algorithm) &&
		body.ReadASN1(&signature, cbasn1.OCTET_STRING)
	if !ok {
		return nil, fmt.Errorf("signer: %w", ErrMalformed)
	}
	si.attributes, si.signature = attributes, signature
	return si, nil
}

func readIssuerAndSerial(in *cryptobyte.String) (issuer, serial []byte, err error) {
	var name, pair, number cryptobyte.String
	if !in.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1Element(&name, cbasn1.SEQUENCE) ||
		!pair.ReadASN1(&number, cbasn1.INTEGER) {
		return nil, nil, fmt.Errorf("issuer and serial: %w", ErrMalformed)
	}
	return name, number, nil
}

// Signer is the certificate of the signer, as found in the message.
func (s *Signed) Signer() (Certificate, error) {
	if s.signer == nil {
		return Certificate{}, ErrNoSigner
	}
	for _, c := range s.Certificates {
		if s.signer.keyID == nil && c.named(s.signer.issuer, s.signer.serial) || s.signer.keyID != nil && c.keyed(s.signer.keyID) {
			return c, nil
		}
	}
	return Certificate{}, ErrNoSigner
}

// Attribute is the DER of the single value of a signed attribute; false when it is absent, repeated or has another
// number of values than one.
func (s *Signed) Attribute(oid asn1.ObjectIdentifier) ([]byte, bool) {
	if s.signer == nil || !s.signer.signed {
		return nil, false
	}
	var found []byte
	rest := cryptobyte.String(s.signer.attributes)
	for !rest.Empty() {
		var attribute, values, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var tag cbasn1.Tag
		if !rest.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&id) ||
			!attribute.ReadASN1(&values, cbasn1.SET) {
			return nil, false
		}
		if !id.Equal(oid) {
			continue
		}
		if found != nil || !values.ReadAnyASN1Element(&value, &tag) || !values.Empty() {
			return nil, false
		}
		found = value
	}
	return found, found != nil
}

// Verify checks that the signature covers content and was made by the key of the certificate that Signer returns.
// It judges neither that certificate nor the signing time: validity is the caller's rule.
func (s *Signed) Verify(content []byte) error {
	cert, err := s.Signer()
	if err != nil {
		return err
	}
	key, err := cert.PublicKey()
	if err != nil {
		return err
	}
	digest := digestHash(s.signer.digest)
	if digest == 0 {
		return fmt.Errorf("%w: digest %s", ErrAlgorithm, s.signer.digest)
	}
	hash, kind := signatureHash(s.signer.algorithm, digest)
	if kind == familyNone {
		return fmt.Errorf("%w: signature %s", ErrAlgorithm, s.signer.algorithm)
	}
	if !s.signer.signed {
		return VerifyDigest(key, hash, sum(hash, content), s.signer.signature)
	}
	var claimed cryptobyte.String
	value, ok := s.Attribute(oidMessageDigest)
	raw := cryptobyte.String(value)
	if !ok || !raw.ReadASN1(&claimed, cbasn1.OCTET_STRING) {
		return fmt.Errorf("%w: no message digest", ErrSignature)
	}
	if subtle.ConstantTimeCompare(claimed, sum(digest, content)) != 1 {
		return fmt.Errorf("%w: content differs", ErrSignature)
	}
	// The signature covers the DER of the set (RFC 5652, 5.4). Nearly everyone sends it so; a few send another order.
	set := append(appendHeader(nil, byte(cbasn1.SET), len(s.signer.attributes)), s.signer.attributes...)
	if err = VerifyDigest(key, hash, sum(hash, set), s.signer.signature); err == nil {
		return nil
	}
	if sorted, changed := sortSet(s.signer.attributes); changed {
		set = append(appendHeader(nil, byte(cbasn1.SET), len(sorted)), sorted...)
		err = VerifyDigest(key, hash, sum(hash, set), s.signer.signature)
	}
	return err
}

// sortSet puts the elements of a SET OF in DER order and says whether that changed anything.
func sortSet(content []byte) ([]byte, bool) {
	var elements [][]byte
	rest := cryptobyte.String(content)
	for !rest.Empty() {
		var e cryptobyte.String
		var tag cbasn1.Tag
		if !rest.ReadAnyASN1Element(&e, &tag) {
			return content, false
		}
		elements = append(elements, e)
	}
	slices.SortStableFunc(elements, bytes.Compare)
	sorted := bytes.Join(elements, nil)
	return sorted, !bytes.Equal(sorted, content)
}

func sum(h crypto.Hash, content []byte) []byte {
	w := h.New()
	w.Write(content)
	return w.Sum(nil)
}

// maxRSABits bounds the work that a foreign RSA key can cause.
const maxRSABits = 8192

// VerifyDigest checks an RSA PKCS #1 v1.5 or ECDSA signature over digest.
func VerifyDigest(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > maxRSABits {
			return fmt.Errorf("%w: RSA key of %d bits", ErrAlgorithm, k.N.BitLen())
		}
		if rsa.VerifyPKCS1v15(k, hash, digest, signature) != nil {
			return ErrSignature
		}
		return nil
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(k, digest, signature) {
			return ErrSignature
		}
		return nil
	}
	return fmt.Errorf("%w: key %T", ErrAlgorithm, key)
}

// SignatureHash is the hash of a signature algorithm such as sha256WithRSAEncryption or ecdsa-with-SHA256; 0 when it
// is not spoken here. The key family is not compared: VerifyDigest takes it from the key.
func SignatureHash(oid asn1.ObjectIdentifier) crypto.Hash {
	h, _ := signatureHash(oid, 0)
	return h
}
