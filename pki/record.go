package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"time"

	"muster/store"
)

// Certificate is our record of a certificate that the issuing CA signed.
type Certificate struct {
	Serial       string    `json:"serial"`      // lower-case hex, 32 digits
	Fingerprint  string    `json:"fingerprint"` // lower-case hex SHA-256 of DER
	Binding      Binding   `json:"binding"`
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	IssuedAt     time.Time `json:"issuedAt"`
	FirstSeen    time.Time `json:"firstSeen,omitzero"`     // zero until the first use
	RevokedAt    time.Time `json:"revokedAt,omitzero"`     // zero while not revoked
	RevokeReason int       `json:"revokeReason,omitempty"` // RFC 5280, 5.3.1
	DER          []byte    `json:"der"`
	Transaction  string    `json:"transaction,omitempty"` // of the SCEP request
	Key          string    `json:"key"`                   // hex SHA-256 of the SubjectPublicKeyInfo
	Request      string    `json:"request,omitempty"`     // names the request that it answers, so that a retry finds it
}

// Revoked says whether the certificate was revoked.
func (c *Certificate) Revoked() bool { return !c.RevokedAt.IsZero() }

// ValidAt says whether at lies in the certificate's time; it does not look at revocation.
func (c *Certificate) ValidAt(at time.Time) bool {
	return !at.Before(c.NotBefore) && at.Before(c.NotAfter)
}

// challenge is the record of a SCEP challenge; its secret is kept only as a hash, which is the id.
type challenge struct {
	Hash      string    `json:"hash"`
	Binding   Binding   `json:"binding"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`

	UsedAt      time.Time `json:"usedAt,omitzero"`
	Transaction string    `json:"transaction,omitempty"`
	Key         string    `json:"key,omitempty"`
	Serial      string    `json:"serial,omitempty"`
}

// authorityKey is a key of the authority itself with its certificate.
type authorityKey struct {
	Role      string    `json:"role"`
	DER       []byte    `json:"der"`
	SealedKey []byte    `json:"sealedKey"` // PKCS #8
	Names     []string  `json:"names,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// crlState remembers the last number that a revocation list had.
type crlState struct {
	ID     string `json:"id"`
	Number int64  `json:"number"`
}

// records are the collections of this package. They hold no state, only names.
type records struct {
	certificates *store.Collection[Certificate]
	challenges   *store.Collection[challenge]
	keys         *store.Collection[authorityKey]
	push         *store.Collection[pushKey]
	crl          *store.Collection[crlState]
}

func defineRecords() records {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	return records{
		certificates: store.Define("pkicert", func(c *Certificate) string { return c.Serial },
			store.Index[Certificate]{Name: "fingerprint", Unique: true, Values: func(c *Certificate) []string { return one(c.Fingerprint) }},
			store.Index[Certificate]{Name: "device", Values: func(c *Certificate) []string { return one(c.Binding.Device) }},
			store.Index[Certificate]{Name: "enrolment", Values: func(c *Certificate) []string { return one(c.Binding.Enrolment) }},
			store.Index[Certificate]{Name: "profile", Values: func(c *Certificate) []string { return one(c.Binding.Profile) }},
			store.Index[Certificate]{Name: "expiry", Values: func(c *Certificate) []string { return one(timeKey(c.NotAfter)) }},
			store.Index[Certificate]{Name: "request", Values: func(c *Certificate) []string { return one(c.Request) }},
			store.Index[Certificate]{Name: "slot", Values: func(c *Certificate) []string {
				if c.Revoked() {
					return nil
				}
				return one(c.Binding.slot())
			}},
			store.Index[Certificate]{Name: "revoked", Values: func(c *Certificate) []string {
				if !c.Revoked() {
					return nil
				}
				return one(timeKey(c.NotAfter))
			}},
		),
		challenges: store.Define("pkichal", func(c *challenge) string { return c.Hash },
			store.Index[challenge]{Name: "enrolment", Values: func(c *challenge) []string { return one(c.Binding.Enrolment) }},
			store.Index[challenge]{Name: "expiry", Values: func(c *challenge) []string { return one(timeKey(c.ExpiresAt)) }},
		),
		keys: store.Define("pkikey", func(k *authorityKey) string { return k.Role }),
		push: store.Define("pkipush", func(k *pushKey) string { return k.ID },
			store.Index[pushKey]{Name: "key", Values: func(k *pushKey) []string { return one(k.Key) }},
		),
		crl: store.Define("pkicrl", func(s *crlState) string { return s.ID }),
	}
}

// timeKey is a time that sorts as text, in whole seconds.
func timeKey(t time.Time) string { return t.UTC().Format("20060102150405") }

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// serialText is a serial number as records name it.
func serialText(n *big.Int) string {
	var b [16]byte
	if n.Sign() < 0 || n.BitLen() > 128 {
		return hex.EncodeToString(n.Bytes()) // foreign: never one of ours
	}
	return hex.EncodeToString(n.FillBytes(b[:]))
}

// Fingerprint is the name of a certificate in our records: the hex SHA-256 of its DER.
func Fingerprint(c *x509.Certificate) string { return hexSum(c.Raw) }
