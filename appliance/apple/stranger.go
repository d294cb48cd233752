package apple

import (
	"context"
	"crypto/x509"
	"fmt"

	"muster/appliance/fleet"
	"muster/store"
)

// introduce notes which hardware speaks with a certificate of ours that has no record, so that it can be adopted. The device is refused all the same;
// that it is not noted harms nobody, hence no error.
func (a *Apple) introduce(ctx context.Context, cert *x509.Certificate, body []byte) {
	msg, err := readPlist(body)
	if err != nil {
		return
	}
	if err := a.fleet.Introduce(ctx, cert, platformOf(msg), hardwareOf(msg)); err != nil {
		a.log.Error("unknown device not noted", "err", err)
	}
}

var _ fleet.Adopter = (*Apple)(nil)

// Adopted makes the record that a renewal needs again. What the device's profile holds nobody knows any more: the present settings are the best guess,
// and where they have changed since, the renewal is refused by the device and the person enrols again.
func (a *Apple) Adopted(ctx context.Context, tx store.Tx, d *fleet.Device) error {
	s, err := a.fleet.Settings(ctx)
	if err != nil {
		return err
	}
	push, err := a.fleet.PushCertificate(ctx)
	if err != nil {
		return err
	}
	topic := ""
	if push != nil {
		topic = push.Topic
	}
	if err := enrolmentRecords.Put(tx, a.newEnrolmentData(d.Enrolment, d.Platform, d.Ownership, s, topic)); err != nil {
		return fmt.Errorf("record of the enrolment profile: %w", err)
	}
	return nil
}
