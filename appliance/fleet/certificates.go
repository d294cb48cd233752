package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/pki"
	"muster/store"
)

// CertificateView is an issued certificate for people to look at.
type CertificateView struct {
	Serial      string     `json:"serial"`
	Subject     string     `json:"subject"`
	Purpose     string     `json:"purpose"`
	Fingerprint string     `json:"fingerprint"`
	Device      DeviceID   `json:"device"`
	DeviceName  string     `json:"device_name"`
	Profile     ProfileID  `json:"profile"`
	NotBefore   time.Time  `json:"not_before,omitzero"`
	NotAfter    time.Time  `json:"not_after,omitzero"`
	State       string     `json:"state"` // live, superseded, revoked, expired
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
	Evidence    Evidence   `json:"evidence,omitzero"` // first seen on the device; Message is the certificate's fingerprint
}

// States of a certificate.
const (
	CertificateLive       = "live"
	CertificateSuperseded = "superseded" // revoked because a newer one took its place
	CertificateRevoked    = "revoked"
	CertificateExpired    = "expired"
)

// CertificateFilter narrows a list of certificates.
type CertificateFilter struct {
	Device        DeviceID
	ExpiresBefore time.Time
	State         string
}

func certificateState(c *pki.Certificate, now time.Time) string {
	switch {
	case c.Revoked() && c.RevokeReason == pki.ReasonSuperseded:
		return CertificateSuperseded
	case c.Revoked():
		return CertificateRevoked
	case !now.Before(c.NotAfter):
		return CertificateExpired
	}
	return CertificateLive
}

// certificateDevice is the device that a certificate belongs to, nil when there is none (yet); ok says whether the actor may see the certificate.
func certificateDevice(tx store.Tx, a Actor, c *pki.Certificate) (d *Device, ok bool, err error) {
	id := c.Binding.Device
	if id == "" && c.Binding.Enrolment != "" {
		e, err := enrolments.Get(tx, c.Binding.Enrolment)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, false, err
		}
		if err == nil {
			if e.Device == "" {
				return nil, sees(a, e.Tags), nil
			}
			id = string(e.Device)
		}
	}
	if id == "" {
		return nil, a.AllTags, nil
	}
	d, err = devices.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, a.AllTags, nil
	}
	if err != nil {
		return nil, false, err
	}
	return d, sees(a, d.Tags), nil
}

// Certificates lists issued certificates: of one device, or ordered by their end, or by serial number. A page may be short and still have a next one.
func (f *Fleet) Certificates(ctx context.Context, a Actor, fl CertificateFilter, q ListQuery) (List[CertificateView], error) {
	out := List[CertificateView]{Total: -1}
	if err := need(a, CertsRead); err != nil {
		return out, err
	}
	now := f.now()
	limit := pageLimit(q.Limit)
	pq := pki.CertificateQuery{Device: string(fl.Device), ExpiresTo: fl.ExpiresBefore, Cursor: q.Cursor, Reverse: q.Reverse}
	wanted := splitSearch(q.Search)
	err := f.db.View(ctx, func(tx store.Tx) error {
		if fl.Device != "" {
			d, err := devices.Get(tx, string(fl.Device))
			if err != nil {
				return notFound(err, "device")
			}
			if !sees(a, d.Tags) {
				return Refuse(ErrNotFound, "not-found", "what", "device")
			}
		}
		for seen := 0; ; {
			pq.Limit = limit - len(out.Items)
			asked := pq.Limit
			page, err := f.pki.Certificates(tx, pq)
			if errors.Is(err, store.ErrBadCursor) {
				return Refuse(ErrInvalid, "input.cursor")
			}
			if err != nil {
				return fmt.Errorf("list certificates: %w", err)
			}
			for i := range page.Items {
				v, ok, err := viewCertificate(tx, a, page.Items[i], now)
				if err != nil {
					return err
				}
				if ok && (fl.State == "" || v.State == fl.State) && beginsWithAll(searchWords(v.Subject, v.Serial, v.DeviceName), wanted) {
					out.Items = append(out.Items, v)
				}
			}
			seen += asked
			pq.Cursor = page.Next
			if page.Next == "" || len(out.Items) >= limit || seen >= scanMost {
				out.Next = page.Next
				return nil
			}
		}
	})
	return out, err
}

func viewCertificate(tx store.Tx, a Actor, c *pki.Certificate, now time.Time) (CertificateView, bool, error) {
	d, ok, err := certificateDevice(tx, a, c)
	if err != nil || !ok {
		return CertificateView{}, false, err
	}
	v := CertificateView{Serial: c.Serial, Subject: c.Binding.Subject.String(), Purpose: string(c.Binding.Purpose), Fingerprint: c.Fingerprint,
		Device: DeviceID(c.Binding.Device), Profile: ProfileID(c.Binding.Profile), NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: certificateState(c, now)}
	if d != nil {
		v.Device, v.DeviceName = d.ID, d.Name
	}
	if c.Revoked() {
		at := c.RevokedAt
		v.RevokedAt = &at
	}
	if !c.FirstSeen.IsZero() {
		v.Evidence = Evidence{Message: c.Fingerprint, At: c.FirstSeen, What: "certificate-list"}
		if c.Binding.Purpose == pki.Management {
			v.Evidence.What = "first-use"
		}
	}
	return v, true, nil
}

// RevokeCertificate revokes one access certificate; the profile is issued a new one at the next contact. ErrConflict "certificate.not-access" for
// a device's own identity, which ends by retiring the device.
func (f *Fleet) RevokeCertificate(ctx context.Context, a Actor, serial string) error {
	if err := need(a, CertsRevoke); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		c, err := f.pki.CertificateBySerial(tx, clip(serial, 64))
		if err != nil {
			return notFound(err, "certificate")
		}
		d, ok, err := certificateDevice(tx, a, c)
		if err != nil {
			return err
		}
		if !ok {
			return Refuse(ErrNotFound, "not-found", "what", "certificate")
		}
		if c.Binding.Purpose != pki.Access {
			return Refuse(ErrConflict, "certificate.not-access")
		}
		if c.Revoked() {
			return nil
		}
		if err := f.pki.Revoke(tx, c.Serial, pki.ReasonPrivilegeWithdrawn, f.now()); err != nil {
			return fmt.Errorf("revoke certificate: %w", err)
		}
		var tags []Tag
		if d != nil {
			tags = d.Tags
		}
		if err := f.record(tx, a, "revoke", "certificate/"+c.Serial, c.Binding.Subject.CommonName, tags, nil, map[string]string{"device": c.Binding.Device, "profile": c.Binding.Profile}); err != nil {
			return err
		}
		if d == nil {
			return nil
		}
		f.publish(tx, "device", string(d.ID))
		return f.noteChange(tx, changeScope{Device: d.ID, Why: "certificate"})
	})
}
