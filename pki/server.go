package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"muster/store"
)

// serverLifetime is what Apple accepts of a server certificate at most, less the time that it is backdated.
const serverLifetime = 397*day - leafBackdate

// serverCache is the server certificate in use.
type serverCache struct {
	mu          sync.Mutex
	names       []string
	certificate *tls.Certificate
}

// IssueServer makes a certificate for our own TLS server with a new ECDSA key, at most 398 days long (EKU serverAuth).
// The first name becomes the subject. It is recorded, but its key is not kept: ServerCertificate does that.
func (a *Authority) IssueServer(ctx context.Context, names []string, ips []net.IP) (*tls.Certificate, error) {
	id, err := a.makeServer(names, ips)
	if err != nil {
		return nil, err
	}
	binding := Binding{Purpose: TLS, Subject: id.certificate.Subject, DNSNames: names}
	err = a.db.Update(ctx, func(tx store.Tx) error {
		return a.records.certificates.Put(tx, a.recordOf(id.certificate, binding))
	})
	if err != nil {
		return nil, err
	}
	return a.tlsCertificate(id), nil
}

// ServerCertificate is the one server certificate that the store keeps: made at first use, and again when the names
// change or half of its life is over. It is cheap enough to ask for at every handshake.
func (a *Authority) ServerCertificate(ctx context.Context, names []string, ips []net.IP) (*tls.Certificate, error) {
	wanted := serverNames(names, ips)
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	if c := a.server.certificate; c != nil && slices.Equal(a.server.names, wanted) && a.fresh(c.Leaf) {
		return c, nil
	}
	id, kept, err := a.load(ctx, roleServer)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	if err != nil || !slices.Equal(kept.Names, wanted) || !a.fresh(id.certificate) {
		if id, err = a.makeServer(names, ips); err != nil {
			return nil, err
		}
		if err := a.save(ctx, roleServer, wanted, id); err != nil {
			return nil, err
		}
		a.log.Info("server certificate made", "names", wanted, "expires", id.certificate.NotAfter)
	}
	a.server.names, a.server.certificate = wanted, a.tlsCertificate(id)
	return a.server.certificate, nil
}

func serverNames(names []string, ips []net.IP) []string {
	var all []string
	for _, n := range names {
		all = append(all, strings.ToLower(n))
	}
	for _, ip := range ips {
		all = append(all, ip.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (a *Authority) makeServer(names []string, ips []net.IP) (identity, error) {
	if len(names)+len(ips) == 0 {
		return identity{}, fmt.Errorf("%w: a server certificate needs a name", ErrBinding)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	common := append(slices.Clone(names), serverNames(nil, ips)...)[0]
	if len(common) > 64 {
		common = "" // longer than a common name may be; the alternative names count anyway
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{Organization: []string{a.config.Organisation}, CommonName: common},
		DNSNames:     names, IPAddresses: ips,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	template.NotBefore, template.NotAfter = a.validity(serverLifetime)
	a.addAddresses(template)
	return certify(template, a.issuing.certificate, key, a.issuing.key)
}

// tlsCertificate puts an identity in the form that crypto/tls takes, with the chain up to, but without, the root.
func (a *Authority) tlsCertificate(id identity) *tls.Certificate {
	return &tls.Certificate{
		Certificate: [][]byte{id.certificate.Raw, a.issuing.certificate.Raw},
		PrivateKey:  id.key, Leaf: id.certificate,
	}
}
