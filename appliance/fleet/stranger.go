package fleet

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"time"

	"muster/pki"
	"muster/store"
)

// stranger is a certificate of our authority behind which no record stands: an older backup was restored. It can be adopted.
type stranger struct {
	Fingerprint string      `json:"fingerprint"`
	Serial      string      `json:"serial"`
	Subject     string      `json:"subject"`
	First       time.Time   `json:"first"`
	Last        time.Time   `json:"last"`
	Enrolment   EnrolmentID `json:"enrolment,omitempty"` // that the certificate was issued for
	DER         []byte      `json:"der,omitempty"`
	Platform    Platform    `json:"platform,omitempty"` // as the platform package took it from a message
	Hardware    string      `json:"hardware,omitempty"`
}

var strangers = store.Define("sg", func(s *stranger) string { return s.Fingerprint })

// strangerEvery is how often the last visit of an unknown device is written down.
const strangerEvery = time.Hour

// noteStranger remembers a device that has our certificate and no record, so that a person can adopt it.
func (f *Fleet) noteStranger(ctx context.Context, fp string, cert *x509.Certificate, c *pki.Certificate, now time.Time) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		s, err := strangers.Get(tx, fp)
		if errors.Is(err, store.ErrNotFound) {
			s, err = &stranger{Fingerprint: fp, Serial: hex.EncodeToString(cert.SerialNumber.Bytes()), Subject: clip(cert.Subject.String(), 300), First: now.UTC(), DER: cert.Raw}, nil
			switch {
			case c != nil:
				s.Enrolment = EnrolmentID(c.Binding.Enrolment)
			case len(cert.Subject.CommonName) == 26: // every management identity names its enrolment, see the platform packages
				s.Enrolment = EnrolmentID(cert.Subject.CommonName)
			}
			f.log.Warn("device with our certificate and without record", "serial", s.Serial, "subject", s.Subject)
			f.publish(tx, "overview", "")
		}
		if err != nil {
			return err
		}
		if now.Sub(s.Last) < strangerEvery {
			return nil
		}
		s.Last = now.UTC()
		return strangers.Put(tx, s)
	})
}

// Introduce notes what a message of a stranger says of its hardware: without that it cannot be adopted.
func (f *Fleet) Introduce(ctx context.Context, cert *x509.Certificate, p Platform, hardware string) error {
	if cert == nil || hardware == "" || len(hardware) > 200 {
		return nil
	}
	fp := pki.Fingerprint(cert)
	known := false
	err := f.db.View(ctx, func(tx store.Tx) error {
		s, err := strangers.Get(tx, fp)
		known = err == nil && s.Hardware == hardware && s.Platform == p
		return ignoreAbsent(err)
	})
	if err != nil || known {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		s, err := strangers.Get(tx, fp)
		if err != nil {
			return ignoreAbsent(err)
		}
		s.Hardware, s.Platform = hardware, p
		return strangers.Put(tx, s)
	})
}

// Stranger is a device that has a genuine certificate of ours and no record.
type Stranger struct {
	Fingerprint string    `json:"fingerprint"`
	Serial      string    `json:"serial"` // of the certificate
	Subject     string    `json:"subject"`
	First       time.Time `json:"first,omitzero"`
	Last        time.Time `json:"last,omitzero"`
	Platform    Platform  `json:"platform,omitempty"`
	Device      DeviceID  `json:"device,omitempty"` // the record that it belongs to: only its certificate is newer than the backup
	Name        string    `json:"name,omitempty"`
	Hindrance   *Reason   `json:"hindrance,omitempty"` // why it cannot be adopted
}

func listStrangers(tx store.Tx) ([]Stranger, error) {
	out := []Stranger{}
	err := strangers.Each(tx, store.Query{Limit: strangersShown}, func(s *stranger) (bool, error) {
		v := Stranger{Fingerprint: s.Fingerprint, Serial: s.Serial, Subject: s.Subject, First: s.First, Last: s.Last, Platform: s.Platform}
		d, err := s.known(tx)
		if err != nil {
			return false, err
		}
		if d != nil {
			v.Device, v.Name = d.ID, d.Name
		}
		if why := s.hindrance(d); why.Code != "" {
			v.Hindrance = &why
		}
		out = append(out, v)
		return true, nil
	})
	return out, err
}

// known is the device whose present enrolment the certificate was issued for; nil when there is none.
func (s *stranger) known(tx store.Tx) (*Device, error) {
	if s.Enrolment == "" {
		return nil, nil
	}
	d, err := devices.Find(tx, "enrolment", string(s.Enrolment))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return d, err
}

// hindrance says why a stranger cannot be adopted; the zero Reason when it can.
func (s *stranger) hindrance(known *Device) Reason {
	switch {
	case len(s.DER) == 0:
		return Why("stranger.waits")
	case known != nil:
		return Reason{}
	case s.Hardware == "" || s.Platform == "":
		return Why("stranger.silent")
	}
	return Reason{}
}

// Adopter is a Module that keeps records of its own for an enrolment and can make them again.
type Adopter interface {
	Adopted(ctx context.Context, tx store.Tx, d *Device) error
}

// AdoptInput is what nobody can know of a device whose record is lost.
type AdoptInput struct {
	Person    PersonID
	Ownership Ownership
}

// Adopt makes the record of a stranger again, and the device goes on with the certificate that it has. When the record is there and only the
// certificate is newer, the certificate is recorded. ErrConflict when it cannot be adopted, with the reason.
func (f *Fleet) Adopt(ctx context.Context, a Actor, fingerprint string, in AdoptInput) (*Device, error) {
	for _, p := range []Permission{DevicesEdit, InviteWrite} {
		if err := need(a, p); err != nil {
			return nil, err
		}
	}
	if !a.AllTags {
		return nil, Refuse(ErrForbidden, "forbidden", "permission", string(DevicesEdit))
	}
	return updated(ctx, f, func(tx store.Tx) (*Device, error) {
		s, err := strangers.Get(tx, fingerprint)
		if err != nil {
			return nil, notFound(err, "device")
		}
		d, err := s.known(tx)
		if err != nil {
			return nil, err
		}
		if why := s.hindrance(d); why.Code != "" {
			return nil, &Refusal{Kind: ErrConflict, Reason: why}
		}
		cert, err := x509.ParseCertificate(s.DER)
		if err != nil {
			return nil, err
		}
		if d == nil {
			d, err = f.adoptDevice(ctx, tx, a, s, cert, in)
		} else {
			err = f.adoptIdentity(tx, d, cert)
		}
		if err != nil {
			return nil, err
		}
		if err := strangers.Delete(tx, fingerprint); err != nil {
			return nil, err
		}
		f.publish(tx, "overview", "")
		return d, f.record(tx, a, "adopt", "device/"+string(d.ID), d.Name, d.Tags, nil, map[string]any{"certificate": s.Serial, "person": d.Person, "ownership": d.Ownership})
	})
}

// adoptIdentity records a renewed certificate of a device whose record is there.
func (f *Fleet) adoptIdentity(tx store.Tx, d *Device, cert *x509.Certificate) error {
	if d.State.ended() {
		return Refuse(ErrConflict, "stranger.ended", "device", d.Name)
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	b := pki.Binding{Purpose: pki.Management, Enrolment: string(d.Enrolment), Device: string(d.ID), Person: string(d.Person), Generation: rep.Identity.Generation + 1, Subject: cert.Subject}
	enrolment := d.Enrolment
	tx.OnCommit(func() { f.planner.identities.forget(enrolment) })
	return f.pki.Adopt(tx, cert, b)
}

// adoptDevice makes enrolment and device again, as if the device had just enrolled with the certificate that it has.
func (f *Fleet) adoptDevice(ctx context.Context, tx store.Tx, a Actor, s *stranger, cert *x509.Certificate, in AdoptInput) (*Device, error) {
	bad := faults{}
	bad.oneOf("ownership", string(in.Ownership), []string{string(Personal), string(Corporate)})
	if in.Person != "" {
		if _, err := f.personSeen(tx, a, in.Person); err != nil {
			bad.put("person", "not-found", "what", "person")
		}
	}
	if err := bad.refuse("stranger.invalid"); err != nil {
		return nil, err
	}
	now := f.now().UTC()
	e := &Enrolment{ID: s.Enrolment, Person: in.Person, Platform: s.Platform, Mode: ModeDevice, Ownership: in.Ownership, Created: now, TicketEnds: now}
	if gone, err := tombstones.Has(tx, string(e.ID)); err != nil {
		return nil, err
	} else if gone {
		return nil, Refuse(ErrConflict, "stranger.ended", "device", s.Serial)
	}
	if e.ID == "" {
		e.ID = EnrolmentID(store.NewID())
	}
	if err := enrolments.Put(tx, e); err != nil {
		return nil, err
	}
	if err := f.pki.Adopt(tx, cert, pki.Binding{Purpose: pki.Management, Enrolment: string(e.ID), Person: string(e.Person), Generation: 1, Subject: cert.Subject}); err != nil {
		return nil, err
	}
	c := f.contact(Contact{Identity: Identity{Enrolment: e.ID, Fingerprint: s.Fingerprint, Serial: s.Serial}, Channel: DeviceChannel})
	d, refusal, err := f.enrol(tx, c, EnrolInput{Hardware: s.Hardware, Platform: s.Platform})
	if err = errors.Join(err, refusal); err != nil {
		return nil, err
	}
	if m, ok := f.modules[s.Platform].(Adopter); ok {
		if err := m.Adopted(ctx, tx, d); err != nil {
			return nil, err
		}
	}
	// It calls although nobody can wake it: how it is woken it tells with its next token, which devices send after a restart.
	rep, err := reportOf(tx, d)
	if err != nil {
		return nil, err
	}
	old := d.snapshot()
	d.Channels = []Channel{DeviceChannel}
	rep.channel(DeviceChannel)
	if err := f.saveDevice(tx, old, d); err != nil {
		return nil, err
	}
	return d, f.transit(tx, &passage{device: d, rep: rep, by: a.Name}, evReach)
}
