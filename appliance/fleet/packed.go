package fleet

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"

	"muster/pki"
	"muster/store"
)

// packed says whether an identity is sent to a platform with its key.
func (p *Profile) packed(pl Platform) bool {
	if p.Type != TypeIdentity || p.Values().String("delivery") != DeliverPKCS12 {
		return false
	}
	fd, _ := declarationOf(TypeIdentity).field("delivery")
	return fd.Honours(pl)
}

// pack makes key and certificate for an order. Neither is kept: an order that is handed over again carries others, of which the device holds the
// last.
func (f *Fleet) pack(tx store.Tx, o *Order, id ProfileID, b pki.Binding) error {
	f.packs.Store(true)
	password := make([]byte, 20)
	_, _ = rand.Read(password) // never fails
	x := PackedIdentity{Password: base32.StdEncoding.EncodeToString(password)}
	data, c, err := f.pki.IssuePKCS12(tx, b, x.Password)
	if err != nil {
		return fmt.Errorf("identity of profile %s: %w", id, err)
	}
	x.PKCS12, x.Certificate = data, c.DER
	if o.Packed == nil {
		o.Packed = map[ProfileID]PackedIdentity{}
	}
	o.Packed[id] = x
	return nil
}

// keyAhead makes the key for the next packed identity before the transaction that uses it, in which every other writer would wait for it.
func (f *Fleet) keyAhead() error {
	if !f.packs.Load() || f.pki.KeyReady() {
		return nil
	}
	return f.pki.PrepareKey()
}
