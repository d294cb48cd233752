package apple

import (
	"errors"

	"muster/appliance/fleet"
	"muster/pki"
)

// scepPath is where the server answers SCEP.
const scepPath = "/scep"

// SCEPBundle is the name under which the server offers its exchange certificate with the chain, as RFC 8894 has it.
const SCEPBundle = "muster"

// scepName is what a device puts into GetCACert: it chooses the form of the answer.
func scepName(s *fleet.Settings) string {
	if s.SCEPSingle {
		return pki.SCEPNameRA
	}
	return SCEPBundle
}

// scepPayload asks the device to make a key and have a certificate issued for it (com.apple.security.scep). What the certificate
// says is decided by the record behind the challenge, so the subject is only a label.
type scepPayload struct {
	header
	PayloadContent scepContent
}

type scepContent struct {
	URL              string
	Name             string
	Subject          [][][]string
	Challenge        string
	Keysize          int
	KeyType          string `plist:"Key Type"`
	KeyUsage         int    `plist:"Key Usage"`  // 1 signing, 4 encryption
	KeyIsExtractable *bool  `plist:",omitempty"` // macOS 10.13.4
}

// newSCEP fills in what all our identities have in common: RSA, because Apple's SCEP knows nothing else, with 2048 bits, because its
// own default is 1024.
func newSCEP(h header, url, name, label, challenge string, platform fleet.Platform) scepPayload {
	c := scepContent{URL: url, Name: name, Subject: [][][]string{{{"CN", label}}}, Challenge: challenge,
		Keysize: 2048, KeyType: "RSA", KeyUsage: 5}
	if platform == fleet.MacOS {
		no := false
		c.KeyIsExtractable = &no
	}
	return scepPayload{h, c}
}

const roleIdentity = "identity"

// identity renders an identity-certificate profile: SCEP at our own CA with a one-time challenge. Size and use of the key are the
// profile's; the certificate itself is issued from fleet's record.
func (r *rendering) identity(p *fleet.Profile) ([]any, error) {
	if r.settings[p.ID].String("delivery") == fleet.DeliverPKCS12 {
		return r.packedIdentity(p)
	}
	challenge := r.order.Secrets[p.ID]
	if challenge == "" {
		return nil, errors.New("no challenge for the identity")
	}
	want, err := fleet.IdentityFor(p, r.order.Person)
	if err != nil {
		return nil, err
	}
	out := newSCEP(r.head("com.apple.security.scep", p, roleIdentity), r.scepURL, r.scepName, want.Subject.CommonName, challenge, r.platform)
	out.PayloadContent.Keysize = want.KeySize
	switch want.KeyUsage {
	case "signature":
		out.PayloadContent.KeyUsage = 1
	case "encipherment":
		out.PayloadContent.KeyUsage = 4
	}
	return []any{out}, nil
}
