package apple

import (
	"errors"

	"muster/appliance/fleet"
)

// pkcs12Payload is an identity with its key (com.apple.security.pkcs12). It has a password although both stand side by side: without one the device
// asks, which through management it cannot.
type pkcs12Payload struct {
	header
	PayloadCertificateFileName string
	PayloadContent             []byte
	Password                   string
	KeyIsExtractable           *bool `plist:",omitempty"` // macOS 10.15; the schema's words for it are the wrong way round
}

// packedIdentity renders an identity-certificate profile whose certificate is sent with its key.
func (r *rendering) packedIdentity(p *fleet.Profile) ([]any, error) {
	file, ok := r.order.Packed[p.ID]
	if !ok {
		return nil, errors.New("no packed identity")
	}
	h := r.head("com.apple.security.pkcs12", p, roleIdentity)
	out := pkcs12Payload{header: h, PayloadCertificateFileName: h.PayloadIdentifier + ".p12", PayloadContent: file.PKCS12, Password: file.Password}
	if r.platform == fleet.MacOS {
		out.KeyIsExtractable = ref(false)
	}
	return []any{out}, nil
}
