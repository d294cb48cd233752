package fleet

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"muster/store"
)

// An identity certificate whose profile says so travels as a file with its key (PKCS #12), for devices and networks on which SCEP does not work
// (B7). Key and certificate are made when the order is handed over; the file is kept sealed in the order's record, so that an order that is handed
// over once more brings the same one, and struck from it with the answer: from then on only the device has the key. Renewal and revocation are
// those of the certificate, whichever way it came.

// IdentityFile is an identity for one device, with the password that opens it.
type IdentityFile struct {
	PKCS12   []byte
	Password string
}

// identityDelivery says whether the certificate of an identity profile travels as a file to a platform.
func identityDelivery(p *Profile, pl Platform) (byFile bool) {
	fd, _ := declarationOf(TypeIdentity).field("delivery")
	return p.Type == TypeIdentity && fd.Honours(pl) && p.Values().String("delivery") == "pkcs12"
}

// errKeys says that keys must be made before this can be handed over: making one takes long, and inside a transaction every other writer would wait.
var errKeys = errors.New("fleet: keys wanted")

// keyRounds is how often keys are made ahead before they are made inside the transaction, when others take them first.
const keyRounds = 8

// withKeys runs an update that hands over an order, making the keys that it wants before it runs again.
func (f *Fleet) withKeys(update func(ahead bool) error) error {
	for range keyRounds {
		err := update(true)
		if !errors.Is(err, errKeys) {
			return err
		}
		if err := f.pki.PrepareKey(); err != nil {
			return fmt.Errorf("prepare key: %w", err)
		}
	}
	return update(false)
}

// identityFiles puts the files of identity profiles into an order.
func (f *Fleet) identityFiles(tx store.Tx, x *exchange, rec *orderRecord, o *Order, again bool) error {
	var wanted []*Profile
	for _, p := range o.Profiles {
		if identityDelivery(p, x.s.device.Platform) {
			wanted = append(wanted, p)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	o.Files = map[ProfileID]IdentityFile{}
	if again && len(rec.Files) > 0 {
		return f.openFiles(rec, o)
	}
	if x.ahead && f.pki.SpareKeys() < len(wanted) {
		return errKeys
	}
	rec.Files = map[ProfileID][]byte{}
	for _, p := range wanted {
		b, err := accessBinding(p, x.s)
		if err != nil {
			return err
		}
		password := rand.Text()
		packed, c, err := f.pki.IssuePKCS12(tx, b, password)
		if err != nil {
			return fmt.Errorf("identity for profile %s: %w", p.ID, err)
		}
		file := IdentityFile{packed, password}
		plain, err := json.Marshal(file)
		if err != nil {
			return fmt.Errorf("encode identity: %w", err)
		}
		o.Files[p.ID] = file
		rec.Files[p.ID] = f.db.Sealer().Seal(orders.Name(), string(rec.ID)+"/"+string(p.ID), plain)
		rec.certificate(p.ID, b.Generation)
		f.log.Info("identity issued as a file", "device", string(x.s.device.ID), "profile", string(p.ID), "serial", c.Serial)
	}
	return nil
}

// openFiles takes the files from the record of an order that is handed over once more.
func (f *Fleet) openFiles(rec *orderRecord, o *Order) error {
	for id, sealed := range rec.Files {
		plain, err := f.db.Sealer().Open(orders.Name(), string(rec.ID)+"/"+string(id), sealed)
		if err != nil {
			return fmt.Errorf("identity of order %s: %w", rec.ID, err)
		}
		var file IdentityFile
		if err := json.Unmarshal(plain, &file); err != nil {
			return fmt.Errorf("identity of order %s: %w", rec.ID, err)
		}
		o.Files[id] = file
	}
	return nil
}

// certificate notes the generation of an identity profile's certificate.
func (o *orderRecord) certificate(p ProfileID, generation int) {
	if o.Certs == nil {
		o.Certs = map[ProfileID]int{}
	}
	o.Certs[p] = generation
}
