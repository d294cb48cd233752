package fleet

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"muster/pki"
	"muster/store"
)

// packed says whether an identity is sent to a platform with its key.
func (p *Profile) packed(pl Platform) bool {
	if p.Type != TypeIdentity {
		return false
	}
	switch p.Values().String("delivery") {
	case DeliverMixed:
		return pl == Android
	case DeliverSCEP:
		return false
	}
	fd, _ := declarationOf(TypeIdentity).field("delivery")
	return fd.Honours(pl)
}

// pack makes key and certificate for an order. Neither is kept: an order that is handed over again carries others, of which the device holds the
// last. Android's are kept: see packAgain.
func (f *Fleet) pack(tx store.Tx, s *situation, o *Order, p *Profile, b pki.Binding) error {
	f.packs.Store(true)
	var x *PackedIdentity
	var err error
	if s.device.Platform == Android {
		x, err = f.packAgain(tx, s, p, b)
	} else {
		password := make([]byte, 20)
		_, _ = rand.Read(password) // never fails
		x, err = f.packNew(tx, b, base32.StdEncoding.EncodeToString(password))
	}
	if err != nil {
		return fmt.Errorf("identity of profile %s: %w", p.ID, err)
	}
	if o.Packed == nil {
		o.Packed = map[ProfileID]PackedIdentity{}
	}
	o.Packed[p.ID] = *x
	return nil
}

func (f *Fleet) packNew(tx store.Tx, b pki.Binding, password string) (*PackedIdentity, error) {
	data, c, err := f.pki.IssuePKCS12(tx, b, password)
	if err != nil {
		return nil, err
	}
	return &PackedIdentity{PKCS12: data, Password: password, Certificate: c.DER, Fingerprint: c.Fingerprint}, nil
}

// keptIdentity is a packed identity that is sent again with every change of a device's one document, sealed.
type keptIdentity struct {
	Revision int            `json:"revision"`
	Binding  pki.Binding    `json:"binding"`
	Packed   PackedIdentity `json:"packed"`
}

// keptName names it among the device's secrets.
func keptName(p ProfileID) string { return "identity/" + string(p) }

// packAgain gives the identity that a device has already, and makes one only where there is none, or another is wanted. Android's policy is one
// document that holds every identity: made anew each time, a device would change its keys with every app it is given. It has no password,
// because Open Network Configuration knows none.
func (f *Fleet) packAgain(tx store.Tx, s *situation, p *Profile, b pki.Binding) (*PackedIdentity, error) {
	id := string(s.device.Enrolment) + "/" + keptName(p.ID)
	sealed, err := deviceSecrets.Get(tx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		plain, err := f.db.Sealer().Open(deviceSecrets.Name(), id, sealed.Sealed)
		if err != nil {
			return nil, err
		}
		var k keptIdentity
		if err := json.Unmarshal(plain, &k); err != nil {
			return nil, err
		}
		c, err := f.pki.Certificate(tx, k.Packed.Fingerprint)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil && !c.Revoked() && c.ValidAt(s.now) && k.Revision == p.Revision && sameBinding(&k.Binding, &b) {
			return &k.Packed, nil
		}
	}
	x, err := f.packNew(tx, b, "")
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(keptIdentity{Revision: p.Revision, Binding: b, Packed: *x})
	if err != nil {
		return nil, err
	}
	return x, deviceSecrets.Put(tx, &deviceSecret{Enrolment: s.device.Enrolment, Name: keptName(p.ID), At: s.now, Sealed: f.db.Sealer().Seal(deviceSecrets.Name(), id, plain)})
}

// sameBinding says whether two certificates would say the same of the same.
func sameBinding(a, b *pki.Binding) bool {
	return a.Device == b.Device && a.Person == b.Person && a.Generation == b.Generation && a.Subject.String() == b.Subject.String() &&
		a.UPN == b.UPN && slices.Equal(a.Emails, b.Emails)
}

// endIdentity ends the certificates that a device was given by a profile, and forgets what was kept of them.
func (f *Fleet) endIdentity(tx store.Tx, s *situation, p ProfileID) error {
	if _, err := f.pki.RevokeForProfile(tx, string(s.device.ID), string(p), pki.ReasonCessationOfOperation); err != nil {
		return err
	}
	delete(s.rep.Access, p)
	err := deviceSecrets.Delete(tx, string(s.device.Enrolment)+"/"+keptName(p))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// endUnwanted ends identities that went out of a unit that stayed: it was read back without them.
func (f *Fleet) endUnwanted(tx store.Tx, s *situation) error {
	if s.device.State != Managed || len(s.rep.Access) == 0 {
		return nil
	}
	var there []ProfileID
	for _, ch := range s.rep.Channels {
		for _, u := range ch.Units {
			if u.Confirmed.None() {
				return nil // what it holds is not known yet
			}
			there = append(there, idsOf(u.holds())...)
		}
	}
	for p := range s.rep.Access {
		if s.wanted(p) || slices.Contains(there, p) {
			continue
		}
		if err := f.endIdentity(tx, s, p); err != nil {
			return err
		}
	}
	return nil
}

// keyAhead makes the key for the next packed identity before the transaction that uses it, in which every other writer would wait for it.
func (f *Fleet) keyAhead() error {
	if !f.packs.Load() || f.pki.KeyReady() {
		return nil
	}
	return f.pki.PrepareKey()
}
