package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"muster/pki"
	"muster/store"
)

// PushCertificate is what is known of a platform's push certificate (Apple: the MDM push certificate).
type PushCertificate struct {
	Topic        string    `json:"topic"`
	AppleAccount string    `json:"apple_account"` // with which it is renewed: nobody remembers otherwise
	NotAfter     time.Time `json:"not_after,omitzero"`
	Fingerprint  string    `json:"fingerprint"`
	Uploaded     time.Time `json:"uploaded,omitzero"`
	By           string    `json:"by"`
}

// pushRecord is the push certificate in use; its key is named, not held.
type pushRecord struct {
	PushCertificate
	Accepted pki.PushCertificate `json:"accepted"`
}

// readPush returns nil, nil when there is none yet.
func readPush(tx store.Tx) (*pushRecord, error) {
	b, err := tx.Get(keyPush)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read push certificate: %w", err)
	}
	r := new(pushRecord)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read push certificate: %w", err)
	}
	return r, nil
}

// MakePushCSR makes a key and returns the request to be signed, PEM. A request made before stays good: its key waits for its certificate.
func (f *Fleet) MakePushCSR(ctx context.Context, a Actor) ([]byte, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return nil, err
	}
	if err := f.pki.PrepareKey(); err != nil {
		return nil, fmt.Errorf("make push key: %w", err)
	}
	var out []byte
	err := f.db.Update(ctx, func(tx store.Tx) error {
		s, err := f.settings(tx)
		if err != nil {
			return err
		}
		name := clip(s.Organisation, 64) // the upper bound of X.520 names
		if name == "" {
			name = "Muster"
		}
		csr, id, err := f.pki.MakePushCSR(tx, pkix.Name{CommonName: name, Organization: []string{name}})
		if err != nil {
			return fmt.Errorf("make push request: %w", err)
		}
		out = csr
		return f.record(tx, a, "create", "push-request/"+id, name, nil, nil, nil)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// pushReasons says what each refusal of the authority means for people.
var pushReasons = []struct {
	err  error
	code string
}{
	{pki.ErrNotPush, "push.not-push"},
	{pki.ErrExpired, "push.not-valid-now"},
	{pki.ErrNoPushKey, "push.other-key"},
	{pki.ErrMessage, "push.unreadable"},
}

// pushMost is the largest upload that is looked at, in bytes.
const pushMost = 256 << 10

// UploadPush takes the certificate from Apple's portal. Topic guard: ErrConflict "push.topic-differs" while devices are enrolled
// under another topic.
func (f *Fleet) UploadPush(ctx context.Context, a Actor, certPEM []byte, appleAccount string) (*PushCertificate, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return nil, err
	}
	bad := faults{}
	bad.mail("apple_account", appleAccount, true)
	if len(certPEM) == 0 || len(certPEM) > pushMost {
		bad.put("certificate", "push.unreadable")
	}
	if err := bad.refuse("push.invalid"); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*PushCertificate, error) {
		accepted, err := f.pki.AcceptPush(tx, certPEM)
		if err != nil {
			return nil, refusedPush(err)
		}
		old, err := readPush(tx)
		if err != nil {
			return nil, err
		}
		if old == nil || old.Topic != accepted.Topic {
			if err := guardTopic(tx, accepted.Topic); err != nil {
				return nil, err
			}
		}
		next := &pushRecord{PushCertificate{Topic: accepted.Topic, AppleAccount: appleAccount, NotAfter: accepted.NotAfter.UTC(),
			Fingerprint: accepted.Fingerprint, Uploaded: f.now().UTC(), By: a.Name}, *accepted}
		b, err := json.Marshal(next)
		if err != nil {
			return nil, err
		}
		if err := tx.Put(keyPush, b); err != nil {
			return nil, fmt.Errorf("save push certificate: %w", err)
		}
		var before any
		if old != nil {
			before = old.PushCertificate
			if old.Accepted.KeyID != accepted.KeyID {
				if err := f.pki.ForgetPushKey(tx, old.Accepted.KeyID); err != nil {
					return nil, fmt.Errorf("forget old push key: %w", err)
				}
			}
		}
		if err := f.recordSave(tx, a, "push-certificate", accepted.Topic, nil, before, next.PushCertificate); err != nil {
			return nil, err
		}
		f.publish(tx, "settings", "")
		tx.OnCommit(f.retryPushes)
		return &next.PushCertificate, nil
	})
}

// refusedPush turns the authority's refusal into ours; what it does not know is no refusal.
func refusedPush(err error) error {
	for _, r := range pushReasons {
		if errors.Is(err, r.err) {
			return refuseField(ErrInvalid, "certificate", Why(r.code))
		}
	}
	return fmt.Errorf("accept push certificate: %w", err)
}

// guardTopic refuses a topic while a device is enrolled under another: it could not be woken any more, and would have to be enrolled anew (P12).
// The walk ends at the first such device.
func guardTopic(tx store.Tx, topic string) error {
	for _, s := range []State{Managed, Enrolling, Retiring, Wiping} {
		err := devices.Each(tx, store.Query{Index: "state", Value: string(s)}, func(d *Device) (bool, error) {
			e, err := enrolments.Get(tx, string(d.Enrolment))
			if errors.Is(err, store.ErrNotFound) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
			if e.Topic != "" && e.Topic != topic {
				return false, Refuse(ErrConflict, "push.topic-differs", "topic", topic, "enrolled", e.Topic, "device", d.Name)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// PushCertificate returns nil, nil when there is none yet.
func (f *Fleet) PushCertificate(ctx context.Context) (*PushCertificate, error) {
	var out *PushCertificate
	err := f.db.View(ctx, func(tx store.Tx) error {
		r, err := readPush(tx)
		if r != nil {
			out = &r.PushCertificate
		}
		return err
	})
	return out, err
}

// PushIdentity is the push certificate with its key, for the platform package's Waker; ErrNotFound "push.none" before there is one. It is read
// anew at each call, so that a renewed certificate is used at once (P13).
func (f *Fleet) PushIdentity(ctx context.Context) (*tls.Certificate, error) {
	return viewed(ctx, f, func(tx store.Tx) (*tls.Certificate, error) {
		r, err := readPush(tx)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, Refuse(ErrNotFound, "push.none")
		}
		return f.pki.PushTLS(tx, &r.Accepted)
	})
}
