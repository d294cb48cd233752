package fleet

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"muster/pki"
	"muster/store"
)

// identityCache remembers which identities were good. An entry holds for one revision of the authority and until an enrolment that it may
// concern changes. The zero identityCache is ready.
type identityCache struct {
	mu      sync.RWMutex
	epoch   uint64
	entries map[string]knownIdentity // by fingerprint
	of      map[EnrolmentID][]string // fingerprints
}

type knownIdentity struct {
	identity Identity
	revision uint64
	ends     time.Time
}

// identitiesMost bounds the cache; beyond it it starts anew.
const identitiesMost = 200_000

func (c *identityCache) get(fp string, revision uint64, now time.Time) (*Identity, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, ok := c.entries[fp]
	if !ok || k.revision != revision || !now.Before(k.ends) {
		return nil, false
	}
	id := k.identity
	return &id, true
}

func (c *identityCache) now() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.epoch
}

func (c *identityCache) put(fp string, k knownIdentity, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if c.entries == nil || len(c.entries) >= identitiesMost {
		c.entries, c.of = map[string]knownIdentity{}, map[EnrolmentID][]string{}
	}
	if _, ok := c.entries[fp]; !ok {
		c.of[k.identity.Enrolment] = append(c.of[k.identity.Enrolment], fp)
	}
	c.entries[fp] = k
}

// forget drops the entries of an enrolment. What is being read meanwhile is not remembered.
func (c *identityCache) forget(e EnrolmentID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for _, fp := range c.of[e] {
		delete(c.entries, fp)
	}
	delete(c.of, e)
}

// Identify checks chain, binding and revocation of a certificate, per request, resumed TLS sessions included; cached. The first use of a
// renewed identity ends the older one. One whose time is over is Late: see there.
// Errors: ErrForeign, ErrNoRecord, ErrUnrecognized, ErrIdentity.
func (f *Fleet) Identify(ctx context.Context, cert *x509.Certificate) (*Identity, error) {
	if cert == nil || !f.pki.Genuine(cert) {
		return nil, ErrForeign
	}
	sum := sha256.Sum256(cert.Raw)
	fp := hex.EncodeToString(sum[:])
	now := f.now()
	revision, epoch := f.pki.Revision(), f.planner.identities.now()
	if id, ok := f.planner.identities.get(fp, revision, now); ok {
		return id, nil
	}
	var id *Identity
	var c *pki.Certificate
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		if id, c, err = f.identify(tx, fp); err != nil || now.Before(c.NotAfter) {
			return err
		}
		return f.late(tx, id, c, now)
	})
	if errors.Is(err, ErrNoRecord) {
		if err := f.noteStranger(ctx, fp, cert, c, now); err != nil {
			return nil, err
		}
		return nil, ErrNoRecord
	}
	if err != nil {
		return nil, err
	}
	if id.Late {
		return id, nil
	}
	if c.FirstSeen.IsZero() {
		if err := f.db.Update(ctx, func(tx store.Tx) error { return f.firstUse(tx, id, now) }); err != nil {
			return nil, err
		}
		return id, nil // and is remembered the next time
	}
	f.planner.identities.put(fp, knownIdentity{*id, revision, c.NotAfter}, epoch)
	return id, nil
}

// identify says whose a certificate is. Its beginning is not looked at: it is what our own clock said when it was issued, and a clock that ran ahead
// then must not cost a device its management.
func (f *Fleet) identify(tx store.Tx, fp string) (*Identity, *pki.Certificate, error) {
	c, err := f.pki.Certificate(tx, fp)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, ErrNoRecord
	}
	if err != nil {
		return nil, nil, err
	}
	if c.Binding.Purpose != pki.Management || c.Binding.Enrolment == "" {
		return nil, c, ErrIdentity
	}
	gone, err := tombstones.Has(tx, c.Binding.Enrolment)
	if err != nil {
		return nil, c, err
	}
	if gone {
		return nil, c, ErrUnrecognized
	}
	if c.Revoked() {
		return nil, c, ErrIdentity
	}
	e, err := enrolments.Get(tx, c.Binding.Enrolment)
	if errors.Is(err, store.ErrNotFound) {
		return nil, c, ErrNoRecord
	}
	if err != nil {
		return nil, c, err
	}
	id := &Identity{Enrolment: e.ID, Device: e.Device, Fingerprint: fp, Serial: c.Serial}
	if e.Device == "" {
		return id, c, nil
	}
	d, err := devices.Get(tx, string(e.Device))
	if errors.Is(err, store.ErrNotFound) {
		return nil, c, ErrNoRecord
	}
	if err != nil {
		return nil, c, err
	}
	if d.Enrolment != e.ID || c.Binding.Device != "" && c.Binding.Device != string(d.ID) {
		return nil, c, ErrIdentity
	}
	return id, c, nil
}

// lateMost is how long after its end an identity still fetches its renewal.
const lateMost = 365 * 24 * time.Hour

// late lets an identity whose time is over speak for its device all the same, where the platform's devices renew theirs when we tell them to: one that
// lay in a drawer for months would otherwise have to be enrolled anew. It must be the very identity that the device used last.
func (f *Fleet) late(tx store.Tx, id *Identity, c *pki.Certificate, now time.Time) error {
	if id.Device == "" || !now.Before(c.NotAfter.Add(lateMost)) {
		return ErrIdentity
	}
	d, err := devices.Get(tx, string(id.Device))
	if err != nil {
		return err
	}
	if m, ok := f.modules[d.Platform].(LateRenewer); !ok || !m.RenewsLate() {
		return ErrIdentity
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	if rep.Identity.Fingerprint != id.Fingerprint {
		return ErrIdentity
	}
	id.Late = true
	return nil
}

// firstUse marks an identity as seen, which revokes the one before it, and notes it in the device's report.
func (f *Fleet) firstUse(tx store.Tx, id *Identity, now time.Time) error {
	if err := f.pki.Seen(tx, id.Fingerprint, now); err != nil {
		return err
	}
	tx.OnCommit(func() { f.planner.identities.forget(id.Enrolment) })
	if id.Device == "" {
		return nil
	}
	d, err := devices.Get(tx, string(id.Device))
	if err != nil {
		return err
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	changed, err := f.noteIdentity(tx, d, rep, id.Fingerprint)
	if err != nil || !changed {
		return err
	}
	f.touched(tx, d.ID)
	return reports.Put(tx, rep)
}

// noteIdentity copies what the planner must know of the identity that the device uses.
func (f *Fleet) noteIdentity(tx store.Tx, d *Device, rep *reported, fp string) (changed bool, err error) {
	if fp == "" || rep.Identity.Fingerprint == fp {
		return false, nil
	}
	c, err := f.pki.Certificate(tx, fp)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	renewed := rep.Identity.Fingerprint != ""
	rep.Identity = identityReport{Fingerprint: fp, Serial: c.Serial, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Generation: c.Binding.Generation}
	rep.Renewal = nil
	if c.Binding.Device == "" {
		if err := f.pki.Bind(tx, fp, string(d.ID)); err != nil {
			return false, err
		}
	}
	if renewed {
		err = f.event(tx, d.ID, Why("event.identity-renewed", "until", dayOf(c.NotAfter)), Evidence{Message: c.Serial, At: f.now().UTC(), What: "identity-used"}, "")
	}
	return true, err
}
