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
