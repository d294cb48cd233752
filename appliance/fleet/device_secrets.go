package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster/store"
)

// deviceSecret is something that opens a device, sealed.
type deviceSecret struct {
	Enrolment EnrolmentID `json:"enrolment"`
	Name      string      `json:"name"`
	Sealed    []byte      `json:"sealed"`
	At        time.Time   `json:"at"`
}

var deviceSecrets = store.Define("sc", func(s *deviceSecret) string { return string(s.Enrolment) + "/" + s.Name })

// secretMost is the greatest size of a device secret, in bytes.
const secretMost = 64 << 10

// KeepSecret keeps a device secret (Apple: UnlockToken, BootstrapToken) sealed; each read is audited. nil forgets. name is a fact of the
// register: what that does not declare is refused, what it does not allow of this device is dropped.
func (f *Fleet) KeepSecret(ctx context.Context, c Contact, name string, value []byte) error {
	if name == "" || strings.ContainsAny(name, "/\x00") || len(value) > secretMost {
		return Refuse(ErrInvalid, "input.characters")
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		d, err := f.speaking(tx, c)
		if err != nil {
			return err
		}
		if _, declared := DeclarationOf(FactKey(name)); !declared {
			return Refuse(ErrInvalid, "input.characters")
		}
		if value != nil && !Allowed(FactKey(name), d.Target(), nil) {
			return nil
		}
		id := string(d.Enrolment) + "/" + name
		if value == nil {
			if err := deviceSecrets.Delete(tx, id); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}
		return deviceSecrets.Put(tx, &deviceSecret{Enrolment: d.Enrolment, Name: name, At: f.now().UTC(), Sealed: f.db.Sealer().Seal(deviceSecrets.Name(), id, value)})
	})
}

// ReadSecret returns a kept secret, for the device's own use or an order to it. ErrNotFound when there is none.
func (f *Fleet) ReadSecret(ctx context.Context, c Contact, name string) ([]byte, error) {
	var out []byte
	err := f.db.Update(ctx, func(tx store.Tx) error {
		d, err := f.speaking(tx, c)
		if err != nil {
			return err
		}
		id := string(d.Enrolment) + "/" + name
		s, err := deviceSecrets.Get(tx, id)
		if err != nil {
			return notFound(err, "secret")
		}
		if out, err = f.db.Sealer().Open(deviceSecrets.Name(), id, s.Sealed); err != nil {
			return fmt.Errorf("open %s of device %s: %w", name, d.ID, err)
		}
		return f.record(tx, deviceActor(d, c.From), "read-secret", "device/"+string(d.ID), d.Name, d.Tags, nil, map[string]string{"name": name})
	})
	return out, err
}

// dropSecrets forgets what opened a device under an enrolment that ended.
func (f *Fleet) dropSecrets(tx store.Tx, e EnrolmentID) error {
	var ids []string
	err := deviceSecrets.Each(tx, store.Query{From: string(e) + "/", To: string(e) + "0"}, func(s *deviceSecret) (bool, error) {
		ids = append(ids, string(s.Enrolment)+"/"+s.Name)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := deviceSecrets.Delete(tx, id); err != nil {
			return err
		}
	}
	return nil
}
