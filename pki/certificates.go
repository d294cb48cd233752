package pki

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"muster/store"
)

// Revocation reasons (RFC 5280, 5.3.1).
const (
	ReasonUnspecified          = 0
	ReasonKeyCompromise        = 1
	ReasonAffiliationChanged   = 3
	ReasonSuperseded           = 4
	ReasonCessationOfOperation = 5
	ReasonPrivilegeWithdrawn   = 9
)

// Certificate finds a certificate by its fingerprint; store.ErrNotFound when it is not ours. Whether it is revoked,
// expired or bound is the caller's to look at.
func (a *Authority) Certificate(tx store.Tx, fingerprint string) (*Certificate, error) {
	return a.records.certificates.Find(tx, "fingerprint", fingerprint)
}

// CertificateBySerial finds a certificate by its serial number in hex; store.ErrNotFound when it is not ours.
func (a *Authority) CertificateBySerial(tx store.Tx, serial string) (*Certificate, error) {
	return a.records.certificates.Get(tx, serial)
}

// CertificateQuery selects certificates. Empty fields ask for nothing; the first of Device, Enrolment, Profile and
// Expires decides the order, which is otherwise by serial.
type CertificateQuery struct {
	Device, Enrolment, Profile string
	Purpose                    Purpose
	ExpiresFrom, ExpiresTo     time.Time // [from, to)
	Revoked                    *bool
	Cursor                     string // from Page.Next
	Limit                      int    // 0 = 50; at most 1000
	Reverse                    bool
}

// Certificates lists what the query selects. A page may hold fewer certificates than Limit, even none, and still have
// a next one: only an empty Next ends the list.
func (a *Authority) Certificates(tx store.Tx, q CertificateQuery) (store.Page[Certificate], error) {
	sq := store.Query{Cursor: q.Cursor, Limit: q.Limit, Reverse: q.Reverse}
	switch {
	case q.Device != "":
		sq.Index, sq.Value = "device", q.Device
	case q.Enrolment != "":
		sq.Index, sq.Value = "enrolment", q.Enrolment
	case q.Profile != "":
		sq.Index, sq.Value = "profile", q.Profile
	case !q.ExpiresFrom.IsZero() || !q.ExpiresTo.IsZero():
		sq.Index = "expiry"
		if !q.ExpiresFrom.IsZero() {
			sq.From = timeKey(q.ExpiresFrom)
		}
		if !q.ExpiresTo.IsZero() {
			sq.To = timeKey(q.ExpiresTo)
		}
	}
	page, err := a.records.certificates.List(tx, sq)
	if err != nil {
		return page, err
	}
	kept := page.Items[:0]
	for _, c := range page.Items {
		if q.selects(c) {
			kept = append(kept, c)
		}
	}
	page.Items = kept
	return page, nil
}

func (q *CertificateQuery) selects(c *Certificate) bool {
	return (q.Device == "" || c.Binding.Device == q.Device) &&
		(q.Enrolment == "" || c.Binding.Enrolment == q.Enrolment) &&
		(q.Profile == "" || c.Binding.Profile == q.Profile) &&
		(q.Purpose == "" || c.Binding.Purpose == q.Purpose) &&
		(q.ExpiresFrom.IsZero() || !c.NotAfter.Before(q.ExpiresFrom)) &&
		(q.ExpiresTo.IsZero() || c.NotAfter.Before(q.ExpiresTo)) &&
		(q.Revoked == nil || c.Revoked() == *q.Revoked)
}

// Bind ties a certificate that was issued before its device was known to the device. Doing it twice for one device is
// no error; another device is refused with ErrBoundElsewhere.
func (a *Authority) Bind(tx store.Tx, fingerprint, device string) error {
	c, err := a.Certificate(tx, fingerprint)
	if err != nil {
		return err
	}
	switch c.Binding.Device {
	case device:
		return nil
	case "":
	default:
		return fmt.Errorf("%w: certificate %s", ErrBoundElsewhere, c.Serial)
	}
	c.Binding.Device = device
	return a.records.certificates.Put(tx, c)
}

// Seen notes the first use of a certificate. The older live identities of its slot (same enrolment, purpose and
// profile) are revoked as superseded then: the device has switched. Later calls write nothing.
func (a *Authority) Seen(tx store.Tx, fingerprint string, at time.Time) error {
	c, err := a.Certificate(tx, fingerprint)
	if err != nil {
		return err
	}
	if !c.FirstSeen.IsZero() || c.Revoked() {
		return nil
	}
	c.FirstSeen = at.UTC()
	if err := a.records.certificates.Put(tx, c); err != nil {
		return err
	}
	live, err := a.live(tx, c.Binding.slot())
	if err != nil {
		return err
	}
	for _, other := range live {
		if older(other, c) < 0 {
			if err := a.revoke(tx, other, ReasonSuperseded, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// Revoke ends a certificate. It is idempotent: the first time and reason stay. store.ErrNotFound when it is not ours.
func (a *Authority) Revoke(tx store.Tx, serial string, reason int, at time.Time) error {
	c, err := a.records.certificates.Get(tx, serial)
	if err != nil {
		return err
	}
	return a.revoke(tx, c, reason, at)
}

// RevokeFor revokes what lives for a device, of one purpose or, with "", of all, and returns what it revoked now.
func (a *Authority) RevokeFor(tx store.Tx, device string, purpose Purpose, reason int) ([]Certificate, error) {
	if device == "" {
		return nil, nil
	}
	return a.revokeAll(tx, store.Query{Index: "device", Value: device}, purpose, reason)
}

// RevokeForEnrolment is RevokeFor by enrolment, for certificates that never met their device.
func (a *Authority) RevokeForEnrolment(tx store.Tx, enrolment string, purpose Purpose, reason int) ([]Certificate, error) {
	if enrolment == "" {
		return nil, nil
	}
	return a.revokeAll(tx, store.Query{Index: "enrolment", Value: enrolment}, purpose, reason)
}

// RevokeForProfile is RevokeFor by device and identity-certificate profile, for a profile that was taken away.
func (a *Authority) RevokeForProfile(tx store.Tx, device, profile string, reason int) ([]Certificate, error) {
	if device == "" || profile == "" {
		return nil, nil
	}
	var revoked []Certificate
	err := a.eachOf(tx, store.Query{Index: "device", Value: device}, func(c *Certificate) error {
		if c.Revoked() || c.Binding.Profile != profile {
			return nil
		}
		if err := a.revoke(tx, c, reason, a.now()); err != nil {
			return err
		}
		revoked = append(revoked, *c)
		return nil
	})
	return revoked, err
}

func (a *Authority) revokeAll(tx store.Tx, q store.Query, purpose Purpose, reason int) ([]Certificate, error) {
	var revoked []Certificate
	err := a.eachOf(tx, q, func(c *Certificate) error {
		if c.Revoked() || purpose != "" && c.Binding.Purpose != purpose {
			return nil
		}
		if err := a.revoke(tx, c, reason, a.now()); err != nil {
			return err
		}
		revoked = append(revoked, *c)
		return nil
	})
	return revoked, err
}

// eachOf calls f for every selected certificate, after reading, since f may write.
func (a *Authority) eachOf(tx store.Tx, q store.Query, f func(*Certificate) error) error {
	var all []*Certificate
	err := a.records.certificates.Each(tx, q, func(c *Certificate) (bool, error) {
		all = append(all, c)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

func (a *Authority) revoke(tx store.Tx, c *Certificate, reason int, at time.Time) error {
	if c.Revoked() {
		return nil
	}
	c.RevokedAt, c.RevokeReason = cmp.Or(at, a.now()).UTC(), reason
	if err := a.records.certificates.Put(tx, c); err != nil {
		return err
	}
	tx.OnCommit(func() { a.revisions.Add(1) })
	return nil
}

// isNotFound is for reads whose absence is an answer.
func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
