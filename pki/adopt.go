package pki

import (
	"crypto/x509"
	"errors"
	"fmt"

	"muster/store"
)

// Adopt records a certificate that the issuing CA signed and of which there is no record, because an older backup was restored. Its binding is the
// caller's, a person's decision. A certificate that is recorded already is left as it is.
func (a *Authority) Adopt(tx store.Tx, cert *x509.Certificate, b Binding) error {
	if !a.Genuine(cert) {
		return fmt.Errorf("%w: certificate of another authority", ErrBinding)
	}
	_, err := a.Certificate(tx, Fingerprint(cert))
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := b.validate(); err != nil {
		return err
	}
	return a.records.certificates.Put(tx, a.recordOf(cert, b))
}
