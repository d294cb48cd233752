package cms

import (
	"crypto"
	_ "crypto/sha1" // old clients still sign with it
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
)

// The object identifiers of RFC 5652, RFC 3370, RFC 3565 and RFC 5754 that are spoken here. They are returned by
// functions' values only and never change.
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}

	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}

	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}

	oidRSA         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidRSASHA1     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	oidRSASHA256   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidRSASHA384   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}
	oidRSASHA512   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidECDSASHA1   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}
	oidECDSASHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSASHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	oidECDSASHA512 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}

	oidDESCBC    = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}
	oid3DESCBC   = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	oidAES128CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// digestHash is the hash that a digest algorithm names, 0 when it is not spoken here. Some clients put a signature
// algorithm where a digest belongs.
func digestHash(oid asn1.ObjectIdentifier) crypto.Hash {
	switch {
	case oid.Equal(oidSHA1):
		return crypto.SHA1
	case oid.Equal(oidSHA256):
		return crypto.SHA256
	case oid.Equal(oidSHA384):
		return crypto.SHA384
	case oid.Equal(oidSHA512):
		return crypto.SHA512
	}
	h, _ := signatureHash(oid, 0)
	return h
}

type family int

const (
	familyNone family = iota
	familyRSA
	familyECDSA
)

// signatureHash is the hash and key family that a signature algorithm names. An algorithm that names only the key, as
// rsaEncryption does, takes the digest's hash.
func signatureHash(oid asn1.ObjectIdentifier, digest crypto.Hash) (crypto.Hash, family) {
	switch {
	case oid.Equal(oidRSA):
		return digest, familyRSA
	case oid.Equal(oidRSASHA1):
		return crypto.SHA1, familyRSA
	case oid.Equal(oidRSASHA256):
		return crypto.SHA256, familyRSA
	case oid.Equal(oidRSASHA384):
		return crypto.SHA384, familyRSA
	case oid.Equal(oidRSASHA512):
		return crypto.SHA512, familyRSA
	case oid.Equal(oidECPublicKey):
		return digest, familyECDSA
	case oid.Equal(oidECDSASHA1):
		return crypto.SHA1, familyECDSA
	case oid.Equal(oidECDSASHA256):
		return crypto.SHA256, familyECDSA
	case oid.Equal(oidECDSASHA384):
		return crypto.SHA384, familyECDSA
	case oid.Equal(oidECDSASHA512):
		return crypto.SHA512, familyECDSA
	}
	return 0, familyNone
}
