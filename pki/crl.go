package pki

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"sync"
	"time"

	"muster/store"
)

// crlLife is how long a revocation list may be used; it is made anew at half of it, or when something was revoked.
const crlLife = 7 * day

// issuingCRL names the state of the issuing CA's list.
const issuingCRL = "issuing"

type crlCache struct {
	mu       sync.Mutex
	der      []byte
	revision uint64
	until    time.Time
}

// CRL is the issuing CA's revocation list in DER (RFC 5280, 5). It is kept until something is revoked or half of its
// life is over; each new one has a higher number, after a restore too, because numbers never fall behind the clock.
func (a *Authority) CRL(ctx context.Context) ([]byte, error) {
	a.crl.mu.Lock()
	defer a.crl.mu.Unlock()
	now := a.now()
	revision := a.revisions.Load()
	if a.crl.der != nil && a.crl.revision == revision && now.Before(a.crl.until) && a.crl.until.Sub(now) <= crlLife/2 { // else the clock was set back
		return a.crl.der, nil
	}
	list := &x509.RevocationList{ThisUpdate: now.UTC(), NextUpdate: now.Add(crlLife).UTC()}
	err := a.db.View(ctx, func(tx store.Tx) error {
		list.RevokedCertificateEntries = nil
		// One that expired stays for a list's life, so that it is on at least one list after its end.
		q := store.Query{Index: "revoked", From: timeKey(now.Add(-crlLife))}
		return a.records.certificates.Each(tx, q, func(c *Certificate) (bool, error) {
			serial, err := hex.DecodeString(c.Serial)
			if err != nil {
				return false, err
			}
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
				SerialNumber: new(big.Int).SetBytes(serial), RevocationTime: c.RevokedAt, ReasonCode: c.RevokeReason,
			})
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	number, err := a.nextCRLNumber(ctx, now)
	if err != nil {
		return nil, err
	}
	list.Number = big.NewInt(number)
	der, err := x509.CreateRevocationList(rand.Reader, list, a.issuing.certificate, a.issuing.key)
	if err != nil {
		return nil, err
	}
	a.crl.der, a.crl.revision, a.crl.until = der, revision, now.Add(crlLife/2)
	return der, nil
}

// nextCRLNumber is one more than the last, or the time in seconds when that is more. The lists are signed after it is
// durable, so that no number is used twice.
func (a *Authority) nextCRLNumber(ctx context.Context, now time.Time) (number int64, err error) {
	const id = issuingCRL
	err = a.db.Update(ctx, func(tx store.Tx) error {
		state, err := a.records.crl.Get(tx, id)
		if isNotFound(err) {
			state, err = &crlState{ID: id}, nil
		}
		if err != nil {
			return err
		}
		state.Number = max(state.Number+1, now.Unix())
		number = state.Number
		return a.records.crl.Put(tx, state)
	})
	return number, err
}
