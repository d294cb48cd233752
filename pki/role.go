package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"muster/store"
)

// roleLifetime is how long a signing key of the authority lives; it is replaced at half of it.
const roleLifetime = 2 * year

// role is a signing key that the issuing CA certifies and that renews itself.
type role struct {
	name    string
	purpose Purpose
	usage   x509.ExtKeyUsage
	title   string

	now atomic.Pointer[identity]
	mu  sync.Mutex // one renewal at a time
}

// oidNoCheck marks an OCSP signer whose own revocation is not asked for (RFC 6960, 4.2.2.2.1).
var oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// current is the role's identity, made at first use and again once half of its life is over. When a renewal fails the
// old one serves on while it is valid. It may write to the store, so never call it inside a transaction: the one writer
// would wait for itself.
func (a *Authority) current(ctx context.Context, r *role) (identity, error) {
	if id := r.now.Load(); id != nil && a.fresh(id.certificate) {
		return *id, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := r.now.Load(); id != nil && a.fresh(id.certificate) {
		return *id, nil
	}
	id, _, err := a.load(ctx, r.name)
	switch {
	case err == nil && a.fresh(id.certificate):
		r.now.Store(&id)
		return id, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return identity{}, err
	}
	made, makeErr := a.makeRole(r)
	if makeErr == nil {
		makeErr = a.save(ctx, r.name, nil, made)
	}
	if makeErr != nil {
		if err == nil && a.now().Before(id.certificate.NotAfter) {
			a.log.Warn("authority key not renewed", "role", r.name, "error", makeErr)
			r.now.Store(&id)
			return id, nil
		}
		return identity{}, makeErr
	}
	a.log.Info("authority key made", "role", r.name, "expires", made.certificate.NotAfter)
	r.now.Store(&made)
	return made, nil
}

// fresh says whether less than half of the certificate's life is over, and it has begun: one that was made while the clock ran ahead is of no use
// once the clock is right.
func (a *Authority) fresh(c *x509.Certificate) bool {
	now := a.now()
	return !now.Before(c.NotBefore) && now.Before(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore)/2))
}

func (a *Authority) makeRole(r *role) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	from, to := a.validity(roleLifetime)
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{Organization: []string{a.config.Organisation}, CommonName: a.config.Organisation + " " + r.title},
		NotBefore:    from, NotAfter: to,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{r.usage},
		BasicConstraintsValid: true,
	}
	if r.usage == x509.ExtKeyUsageOCSPSigning {
		template.ExtraExtensions = []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}}
	}
	return certify(template, a.issuing.certificate, key, a.issuing.key)
}

// validity is a span that begins a little before now and ends inside the issuer's life.
func (a *Authority) validity(lifetime time.Duration) (from, to time.Time) {
	now := a.now().UTC().Truncate(time.Second)
	from, to = now.Add(-leafBackdate), now.Add(lifetime)
	if from.Before(a.issuing.certificate.NotBefore) {
		from = a.issuing.certificate.NotBefore
	}
	if to.After(a.issuing.certificate.NotAfter) {
		to = a.issuing.certificate.NotAfter
	}
	return from, to
}
