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
	s := ui.System{Version: Version, Started: a.started}
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
	for _, c := range a.tls.Certificates() {
		s.Certificates = append(s.Certificates, ui.SystemCertificate{Kind: "tls", Subject: c.Name, Fingerprint: c.Fingerprint, NotAfter: c.NotAfter, Source: string(c.Source)})
	}
	add("issuing", a.pki.Issuing())
	add("root", a.pki.Root())
	return s, nil
}
