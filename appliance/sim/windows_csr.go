package sim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"

	"github.com/smallstep/pkcs7"
)

// The PKCS #10 structures (RFC 2986). Windows writes what crypto/x509 refuses to: a
// PrintableString with an exclamation mark and a trailing NUL.
type (
	pcRequestInfo struct {
		Version   int
		Subject   asn1.RawValue
		PublicKey asn1.RawValue
		Attrs     asn1.RawValue // [0] IMPLICIT SET OF
	}
	pcRequest struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
)

// pcSubjectName is the common name of a device's request: a GUID cut short, an
// exclamation mark, the device id, and the NUL that ends the C string.
func pcSubjectName(deviceID string) string {
	return newUUID()[:30] + "!" + deviceID + "\x00"
}

// certificateRequest makes the device's request for its management certificate.
func (d *Windows) certificateRequest(key *rsa.PrivateKey) ([]byte, error) {
	tag := asn1.TagPrintableString
	if d.o.UTF8Subject {
		tag = asn1.TagUTF8String
	}
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	cn, err := asn1.Marshal([][]attribute{})
	if err != nil {
		return nil, err
	}
	pair, err := asn1.Marshal(attribute{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{Tag: tag, Bytes: []byte(pcSubjectName(d.hw.deviceID))}})
	if err != nil {
		return nil, err
	}
	set, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: pair})
	if err != nil {
		return nil, err
	}
	if cn, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: set}); err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	attrs, err := requestedExtensions(d.hw.deviceID)
	if err != nil {
		return nil, err
	}
	info, err := asn1.Marshal(pcRequestInfo{Subject: asn1.RawValue{FullBytes: cn}, PublicKey: asn1.RawValue{FullBytes: spki},
		Attrs: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: attrs}})
	if err != nil {
		return nil, err
	}
	hash, oid := crypto.SHA256, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	sum256 := sha256.Sum256(info)
	sum := sum256[:]
	if d.o.SHA1Request {
		hash, oid = crypto.SHA1, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
		sum1 := sha1.Sum(info)
		sum = sum1[:]
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, hash, sum)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pcRequest{Info: asn1.RawValue{FullBytes: info}, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue},
		Signature: asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
}

// requestedExtensions is the request's one attribute: client authentication, and the
// device id with its NUL in Microsoft's own extension, raw and not ASN.1.
func requestedExtensions(deviceID string) ([]byte, error) {
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 2}})
	if err != nil {
		return nil, err
	}
	exts := []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: eku},
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 66, 1, 0}, Value: []byte(deviceID + "\x00")},
	}
	return asn1.Marshal(struct {
		Type   asn1.ObjectIdentifier
		Values [][]pkix.Extension `asn1:"set"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}, [][]pkix.Extension{exts}})
}

// signedRequest wraps a renewal request in PKCS #7, signed by the certificate that it replaces.
func signedRequest(csr []byte, old *identity) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(csr)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(old.cert, old.key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	return sd.Finish()
}

// thumbprint is a certificate's SHA-1 as Windows writes it: 40 upper-case hex digits.
func thumbprint(der []byte) string {
	const digits = "0123456789ABCDEF"
	sum := sha1.Sum(der)
	var b strings.Builder
	for _, c := range sum {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
