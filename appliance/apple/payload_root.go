package apple

import (
	"crypto/x509"

	"muster/appliance/fleet"
)

// rootPayload is a certificate to be trusted (com.apple.security.root).
type rootPayload struct {
	header
	PayloadCertificateFileName string `plist:",omitempty"`
	PayloadContent             []byte // DER
}

func newRoot(h header, cert *x509.Certificate) rootPayload {
	return rootPayload{header: h, PayloadCertificateFileName: h.PayloadIdentifier + ".cer", PayloadContent: cert.Raw}
}

const roleRoot = "root"

// trustedRoot renders a trusted-root profile: the root of our own CA, or one that was uploaded.
func (r *rendering) trustedRoot(p *fleet.Profile) ([]any, error) {
	v, cert := r.settings[p.ID], r.root
	if v.String("source") != "internal" {
		var err error
		if cert, err = fleet.ParseCertificate(v.String("certificate")); err != nil {
			return nil, err
		}
	}
	return []any{newRoot(r.head("com.apple.security.root", p, roleRoot), cert)}, nil
}
