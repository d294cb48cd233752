package sim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
)

// The structures of CMS EnvelopedData (RFC 5652, section 6.1), as far as SCEP needs
// them. The CMS library's own encoder chooses its cipher by a variable of the whole
// process, which a guest should not touch.
type (
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	recipientInfo struct {
		Version      int
		Recipient    issuerAndSerial
		KeyAlgorithm pkix.AlgorithmIdentifier
		EncryptedKey []byte
	}
	encryptedContentInfo struct {
		ContentType      asn1.ObjectIdentifier
		Algorithm        pkix.AlgorithmIdentifier
		EncryptedContent asn1.RawValue
	}
	envelopedData struct {
		Version    int
		Recipients []recipientInfo `asn1:"set"`
		Content    encryptedContentInfo
	}
	contentInfo struct {
		ContentType asn1.ObjectIdentifier
		Content     asn1.RawValue
	}
)

var errRecipient = errors.New("the recipient's key is not RSA")

// envelope encrypts content with AES-128-CBC to the recipient's RSA key.
func envelope(content []byte, to *x509.Certificate) ([]byte, error) {
	pub, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errRecipient
	}
	secret := make([]byte, 32) // key and initial vector
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	key, iv := secret[:16], secret[16:]
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(content)%aes.BlockSize
	padded := append(bytes.Clone(content), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, pub, key) // SCEP fixes this padding (RFC 8894, section 3.1)
	if err != nil {
		return nil, err
	}
	ivDER, err := asn1.Marshal(iv)
	if err != nil {
		return nil, err
	}
	inner, err := asn1.Marshal(envelopedData{
		Recipients: []recipientInfo{{
			Recipient:    issuerAndSerial{Issuer: asn1.RawValue{FullBytes: to.RawIssuer}, Serial: to.SerialNumber},
			KeyAlgorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue},
			EncryptedKey: wrapped,
		}},
		Content: encryptedContentInfo{
			ContentType:      asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1},
			Algorithm:        pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, Parameters: asn1.RawValue{FullBytes: ivDER}},
			EncryptedContent: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: padded},
		},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{
		ContentType: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3},
		Content:     asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner},
	})
}
