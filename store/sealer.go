package store

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealVersion is the first byte of everything sealed: XChaCha20-Poly1305, then a nonce of 24 bytes.
const sealVersion = 1

// Sealer seals secrets for one record: authenticated, which the engine's encryption is not, and of no use in
// another record. It may be used by many goroutines at once.
type Sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*Sealer, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("%w: secrets key: %w", ErrWrongKey, err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts plain for the record id of collection.
func (s *Sealer) Seal(collection, id string, plain []byte) []byte {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	out[0] = sealVersion
	nonce := out[1:]
	_, _ = rand.Read(nonce) // never fails, see crypto/rand
	return s.aead.Seal(out, nonce, plain, sealContext(collection, id))
}

// Open decrypts what Seal made for the same record, or returns ErrUnsealable.
func (s *Sealer) Open(collection, id string, sealed []byte) ([]byte, error) {
	const head = 1 + chacha20poly1305.NonceSizeX
	if len(sealed) < head+chacha20poly1305.Overhead || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%w: %s %s: not in sealed form", ErrUnsealable, collection, id)
	}
	plain, err := s.aead.Open([]byte{}, sealed[1:head], sealed[head:], sealContext(collection, id))
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s", ErrUnsealable, collection, id)
	}
	return plain, nil
}

// sealContext binds a sealed secret to its place. Names of collections hold no zero byte.
func sealContext(collection, id string) []byte {
	return []byte(collection + "\x00" + id)
}
