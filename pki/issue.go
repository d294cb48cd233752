package pki

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"muster/store"
)

var (
	oidAlternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN             = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidSmtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9} // RFC 9598
)

// request is what a certificate is issued for, beside its binding.
type request struct {
	key         crypto.PublicKey
	keyHash     string
	id          string // Certificate.Request
	transaction string
}

// issue signs a client certificate for the binding, records it, and makes room for it: of one slot at most two live.
// It is meant to run inside a transaction: the ECDSA signature is all the work there is.
func (a *Authority) issue(tx store.Tx, b Binding, r request) (*Certificate, error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	if err := a.makeRoom(tx, &b); err != nil {
		return nil, err
	}
	lifetime := b.Lifetime
	if lifetime == 0 {
		lifetime = year
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               b.Subject,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	template.NotBefore, template.NotAfter = a.validity(lifetime)
	if !template.NotAfter.After(a.now()) {
		return nil, fmt.Errorf("%w: the issuing CA has expired", ErrExpired)
	}
	if _, ok := r.key.(*rsa.PublicKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	a.addAddresses(template)
	if err := addAlternativeNames(template, &b); err != nil {
		return nil, err
	}
	signed, err := sign(template, a.issuing.certificate, r.key, a.issuing.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBinding, err)
	}
	c := a.recordOf(signed, b)
	c.Key, c.Request, c.Transaction = r.keyHash, r.id, r.transaction
	if err := a.records.certificates.Insert(tx, c); err != nil {
		return nil, err
	}
	return c, nil
}

// makeRoom revokes all live certificates of the binding's slot but one, so that the one to come is the second: the
// newest that was seen in use stays, or the newest when none was.
func (a *Authority) makeRoom(tx store.Tx, b *Binding) error {
	live, err := a.live(tx, b.slot())
	if err != nil || len(live) < 2 {
		return err
	}
	keep := live[len(live)-1]
	for _, c := range live {
		if !c.FirstSeen.IsZero() {
			keep = c
		}
	}
	for _, c := range live {
		if c == keep {
			continue
		}
		if err := a.revoke(tx, c, ReasonSuperseded, a.now()); err != nil {
			return err
		}
	}
	return nil
}

// live lists the unrevoked, unexpired certificates of a slot, the oldest first.
func (a *Authority) live(tx store.Tx, slot string) ([]*Certificate, error) {
	if slot == "" {
		return nil, nil
	}
	var live []*Certificate
	now := a.now()
	err := a.records.certificates.Each(tx, store.Query{Index: "slot", Value: slot}, func(c *Certificate) (bool, error) {
		if now.Before(c.NotAfter) {
			live = append(live, c)
		}
		return true, nil
	})
	slices.SortFunc(live, older)
	return live, err
}

// older orders certificates by their time of issue.
func older(x, y *Certificate) int {
	return cmp.Or(x.IssuedAt.Compare(y.IssuedAt), cmp.Compare(x.Serial, y.Serial))
}

// recordOf is the record of a certificate that was just signed.
func (a *Authority) recordOf(c *x509.Certificate, b Binding) *Certificate {
	return &Certificate{
		Serial: serialText(c.SerialNumber), Fingerprint: hexSum(c.Raw), Binding: b,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, IssuedAt: a.now().UTC(),
		DER: c.Raw, Key: hexSum(c.RawSubjectPublicKeyInfo),
	}
}

// addAddresses writes where revocation can be asked for.
func (a *Authority) addAddresses(template *x509.Certificate) {
	if a.config.BaseURL == "" {
		return
	}
	template.CRLDistributionPoints = []string{a.config.BaseURL + CRLPath}
	template.OCSPServer = []string{a.config.BaseURL + OCSPPath}
	template.IssuingCertificateURL = []string{a.config.BaseURL + IssuerPath}
}

// addAlternativeNames writes the binding's names. crypto/x509 knows neither user principal names nor addresses outside
// ASCII, so the extension is made here; it is critical when there is no subject (RFC 5280, 4.2.1.6).
func addAlternativeNames(template *x509.Certificate, b *Binding) error {
	if len(b.Emails)+len(b.DNSNames)+len(b.URIs) == 0 && b.UPN == "" {
		return nil
	}
	other := func(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, value string) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
			})
		})
	}
	plain := func(b *cryptobyte.Builder, tag uint8, value string) {
		b.AddASN1(cbasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	}
	var builder cryptobyte.Builder
	builder.AddASN1(cbasn1.SEQUENCE, func(names *cryptobyte.Builder) {
		for _, e := range b.Emails {
			if isASCII(e) {
				plain(names, 1, e)
			} else {
				other(names, oidSmtpUTF8Mailbox, e)
			}
		}
		for _, d := range b.DNSNames {
			plain(names, 2, d)
		}
		for _, u := range b.URIs {
			plain(names, 6, u)
		}
		if b.UPN != "" {
			other(names, oidUPN, b.UPN)
		}
	})
	value, err := builder.Bytes()
	if err != nil {
		return fmt.Errorf("%w: %v", ErrBinding, err)
	}
	template.ExtraExtensions = append(template.ExtraExtensions,
		pkix.Extension{Id: oidAlternativeName, Critical: len(b.Subject.ToRDNSequence()) == 0, Value: value})
	return nil
}

// Issue makes a client certificate for the binding and a public key whose holder the caller has already proved: for
// protocols other than SCEP. The request names what it answers, so that FindIssued gives a retry the same certificate;
// "" when the caller needs no retries.
func (a *Authority) Issue(tx store.Tx, b Binding, key crypto.PublicKey, requestID string) (*Certificate, error) {
	if err := strongEnough(key); err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrRefused, err)
	}
	r := request{key: key, keyHash: hexSum(spki)}
	if requestID != "" {
		r.id = hexSum([]byte("request\x00" + requestID))
	}
	return a.issue(tx, b, r)
}

// FindIssued is the certificate that Issue made for a request; store.ErrNotFound when there is none.
func (a *Authority) FindIssued(tx store.Tx, requestID string) (*Certificate, error) {
	q := store.Query{Index: "request", Value: hexSum([]byte("request\x00" + requestID)), Limit: 1}
	page, err := a.records.certificates.List(tx, q)
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, store.ErrNotFound
	}
	return page.Items[0], nil
}
