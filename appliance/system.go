package appliance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"muster/ui"
)

// system says for the pages how the appliance itself stands: version, store, and its own certificates.
func (a *Appliance) system(context.Context) (ui.System, error) {
	s := ui.System{Version: Version, Started: a.started, TLSInternal: a.config.TLS == TLSInternal}
	var err error
	if s.StoreBytes, err = a.db.Size(); err != nil {
		return s, err
	}
	add := func(kind string, c *x509.Certificate) {
		if c == nil {
			return
		}
		sum := sha256.Sum256(c.Raw)
		s.Certificates = append(s.Certificates, ui.SystemCertificate{Kind: kind, Subject: c.Subject.CommonName, Fingerprint: hex.EncodeToString(sum[:]), NotAfter: c.NotAfter})
	}
	if now := a.certificate.now.Load(); now != nil {
		leaf := now.Leaf
		if leaf == nil && len(now.Certificate) > 0 {
			if leaf, err = x509.ParseCertificate(now.Certificate[0]); err != nil {
				return s, err
			}
		}
		add("tls", leaf)
	}
	add("issuing", a.pki.Issuing())
	add("root", a.pki.Root())
	return s, nil
}
