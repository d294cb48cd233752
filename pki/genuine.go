package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"
)

// genuineKeep bounds the cache of certificates known to be genuine, 32 bytes each.
const genuineKeep = 1 << 15

// genuineCache remembers fingerprints of genuine certificates in two generations: when the young one is full, the old
// one is dropped. Only genuine ones are kept, so that strangers cannot fill it.
type genuineCache struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]struct{}
}

func (g *genuineCache) has(k [sha256.Size]byte) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if _, ok := g.young[k]; ok {
		return true
	}
	_, ok := g.old[k]
	return ok
}

func (g *genuineCache) add(k [sha256.Size]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.young == nil || len(g.young) >= genuineKeep/2 {
		g.young, g.old = make(map[[sha256.Size]byte]struct{}), g.young
	}
	g.young[k] = struct{}{}
}

// Genuine says whether our issuing CA signed the certificate as a client's. It looks at neither time nor revocation,
// since an expired but genuine identity has rules of its own. Pure and cheap: the signature is checked once.
func (a *Authority) Genuine(cert *x509.Certificate) bool {
	if cert == nil || !bytes.Equal(cert.RawIssuer, a.issuing.certificate.RawSubject) ||
		!slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return false
	}
	k := sha256.Sum256(cert.Raw)
	if a.genuine.has(k) {
		return true
	}
	if cert.CheckSignatureFrom(a.issuing.certificate) != nil {
		return false
	}
	a.genuine.add(k)
	return true
}
