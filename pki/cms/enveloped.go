package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Cipher is a content cipher in CBC mode.
type Cipher int

// The ciphers that Decrypt reads; Encrypt writes only the AES ones.
const (
	DES Cipher = iota + 1
	TripleDES
	AES128
	AES192
	AES256
)

// String names the cipher as logs show it.
func (c Cipher) String() string {
	switch c {
	case DES:
		return "DES-CBC"
	case TripleDES:
		return "DES-EDE3-CBC"
	case AES128:
		return "AES-128-CBC"
	case AES192:
		return "AES-192-CBC"
	case AES256:
		return "AES-256-CBC"
	}
	return "unknown"
}

func (c Cipher) keySize() int {
	switch c {
	case DES:
		return 8
	case TripleDES, AES192:
		return 24
	case AES128:
		return 16
	case AES256:
		return 32
	}
	return 0
}

func (c Cipher) oid() asn1.ObjectIdentifier {
	switch c {
	case DES:
		return oidDESCBC
	case TripleDES:
		return oid3DESCBC
	case AES128:
		return oidAES128CBC
	case AES192:
		return oidAES192CBC
	case AES256:
		return oidAES256CBC
	}
	return nil
}

func (c Cipher) block(key []byte) (cipher.Block, error) {
	switch c {
	case DES:
		return des.NewCipher(key)
	case TripleDES:
		return des.NewTripleDESCipher(key)
	default:
		return aes.NewCipher(key)
	}
}

// Decrypt opens an EnvelopedData that is addressed to cert, whose RSA key is key, and says which cipher was used.
//
// A wrong RSA padding is not told from a wrong content key: decryption goes on with a random one (RFC 3218), so the
// only failures after ErrRecipient and ErrMalformed are ErrDecrypt.
func Decrypt(ber []byte, cert *x509.Certificate, key *rsa.PrivateKey) ([]byte, Cipher, error) {
	me, err := Of(cert)
	if err != nil {
		return nil, 0, err
	}
	der, err := Normalise(ber)
	if err != nil {
		return nil, 0, err
	}
	body, err := contentOf(der, oidEnvelopedData)
	if err != nil {
		return nil, 0, err
	}
	var version int64
	var recipients, content cryptobyte.String
	if !body.ReadASN1Integer(&version) || !body.SkipOptionalASN1(explicit0) || !body.ReadASN1(&recipients, cbasn1.SET) ||
		!body.ReadASN1(&content, cbasn1.SEQUENCE) {
		return nil, 0, fmt.Errorf("enveloped data: %w", ErrMalformed)
	}
	wrapped, err := findRecipient(recipients, me)
	if err != nil {
		return nil, 0, err
	}
	c, iv, encrypted, err := readEncrypted(content)
	if err != nil {
		return nil, 0, err
	}
	contentKey := make([]byte, c.keySize())
	if _, err := rand.Read(contentKey); err != nil {
		return nil, 0, err
	}
	if err := rsa.DecryptPKCS1v15SessionKey(nil, key, wrapped, contentKey); err != nil {
		return nil, c, ErrDecrypt
	}
	block, err := c.block(contentKey)
	if err != nil {
		return nil, c, ErrDecrypt
	}
	size := block.BlockSize()
	if len(iv) != size || len(encrypted) == 0 || len(encrypted)%size != 0 {
		return nil, c, ErrDecrypt
	}
	plain := make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, encrypted)
	n, ok := padding(plain, size)
	if ok != 1 {
		return nil, c, ErrDecrypt
	}
	return plain[:len(plain)-n], c, nil
}

// padding is the length of the PKCS #7 padding, found in time that does not depend on the content.
func padding(plain []byte, size int) (n, ok int) {
	last := plain[len(plain)-1]
	n = int(last)
	ok = subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, size)
	for i := 1; i <= size; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, n)
		same := subtle.ConstantTimeByteEq(plain[len(plain)-i], last)
		ok &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	return n, ok
}

// findRecipient is the wrapped content key for c.
func findRecipient(recipients cryptobyte.String, c Certificate) ([]byte, error) {
	for n := 0; !recipients.Empty() && n < maxCertificates; n++ {
		var info, algorithm, wrapped cryptobyte.String
		var tag cbasn1.Tag
		var version int64
		if !recipients.ReadAnyASN1(&info, &tag) {
			return nil, fmt.Errorf("recipient: %w", ErrMalformed)
		}
		if tag != cbasn1.SEQUENCE {
			continue // key agreement and the like
		}
		if !info.ReadASN1Integer(&version) {
			return nil, fmt.Errorf("recipient: %w", ErrMalformed)
		}
		mine := false
		if info.PeekASN1Tag(implicit0) {
			var id cryptobyte.String
			if !info.ReadASN1(&id, implicit0) {
				return nil, fmt.Errorf("recipient: %w", ErrMalformed)
			}
			mine = c.keyed(id)
		} else {
			issuer, serial, err := readIssuerAndSerial(&info)
			if err != nil {
				return nil, err
			}
			mine = c.named(issuer, serial)
		}
		if !mine {
			continue
		}
		var oid asn1.ObjectIdentifier
		if !info.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
			!info.ReadASN1(&wrapped, cbasn1.OCTET_STRING) {
			return nil, fmt.Errorf("recipient: %w", ErrMalformed)
		}
		if !oid.Equal(oidRSA) {
			return nil, fmt.Errorf("%w: key transport %s", ErrAlgorithm, oid)
		}
		return wrapped, nil
	}
	return nil, ErrRecipient
}

// readEncrypted reads an EncryptedContentInfo; its content comes whole or in pieces.
func readEncrypted(content cryptobyte.String) (c Cipher, iv, encrypted []byte, err error) {
	var kind, id asn1.ObjectIdentifier
	var algorithm, vector, value cryptobyte.String
	var tag cbasn1.Tag
	if !content.ReadASN1ObjectIdentifier(&kind) || !content.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&id) || !content.ReadAnyASN1(&value, &tag) {
		return 0, nil, nil, fmt.Errorf("encrypted content: %w", ErrMalformed)
	}
	for _, known := range []Cipher{AES128, AES256, TripleDES, DES, AES192} {
		if known.oid().Equal(id) {
			c = known
		}
	}
	if c == 0 {
		return 0, nil, nil, fmt.Errorf("%w: cipher %s", ErrAlgorithm, id)
	}
	if !algorithm.ReadASN1(&vector, cbasn1.OCTET_STRING) {
		return 0, nil, nil, fmt.Errorf("initialisation vector: %w", ErrMalformed)
	}
	switch tag {
	case implicit0:
		return c, vector, value, nil
	case explicit0:
		var pieces bytes.Buffer
		for !value.Empty() {
			var piece cryptobyte.String
			if !value.ReadASN1(&piece, cbasn1.OCTET_STRING) {
				return 0, nil, nil, fmt.Errorf("encrypted content: %w", ErrMalformed)
			}
			pieces.Write(piece)
		}
		return c, vector, pieces.Bytes(), nil
	}
	return 0, nil, nil, fmt.Errorf("encrypted content: %w", ErrMalformed)
}

// Encrypt makes an EnvelopedData in DER for one recipient with an RSA key (PKCS #1 v1.5, which SCEP asks for) and an
// AES cipher.
func Encrypt(content []byte, recipient Certificate, c Cipher) ([]byte, error) {
	if c != AES128 && c != AES192 && c != AES256 {
		return nil, fmt.Errorf("%w: cipher %s", ErrAlgorithm, c)
	}
	public, err := recipient.PublicKey()
	if err != nil {
		return nil, err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok || key.N.BitLen() > maxRSABits {
		return nil, fmt.Errorf("%w: encrypting to %T", ErrAlgorithm, public)
	}
	secret := make([]byte, c.keySize()+aes.BlockSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	contentKey, iv := secret[:c.keySize()], secret[c.keySize():]
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, key, contentKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAlgorithm, err)
	}
	block, err := c.block(contentKey)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(content)%aes.BlockSize
	encrypted := append(bytes.Clone(content), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(encrypted, encrypted)

	b := cryptobyte.NewBuilder(make([]byte, 0, len(encrypted)+1024))
	contentInfo(b, oidEnvelopedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(0)
				issuerAndSerial(b, recipient)
				algorithm(b, oidRSA, true)
				b.AddASN1OctetString(wrapped)
			})
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidData)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(c.oid())
				b.AddASN1OctetString(iv)
			})
			b.AddASN1(implicit0, func(b *cryptobyte.Builder) { b.AddBytes(encrypted) })
		})
	})
	return b.Bytes()
}
