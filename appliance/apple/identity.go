package apple

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"

	"muster/appliance/fleet"
	"muster/pki"
)

// maxSignature bounds the Mdm-Signature header, base64.
const maxSignature = 1 << 20

// certificateOf gives the certificate that a message is proved with: the TLS client certificate, the signer of Mdm-Signature over the
// exact bytes of the body, or, with both, the one that both name.
func certificateOf(r *http.Request, body []byte) (*x509.Certificate, error) {
	var cert *x509.Certificate
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		cert = r.TLS.PeerCertificates[0]
	}
	header := r.Header.Get("Mdm-Signature")
	if header == "" {
		if cert == nil {
			return nil, bad("no identity", nil)
		}
		return cert, nil
	}
	if len(header) > maxSignature {
		return nil, bad("signature too large", nil)
	}
	der, err := base64.StdEncoding.DecodeString(unspaced(header))
	if err != nil {
		return nil, bad("signature encoding", err)
	}
	signer, err := pki.VerifySigned(body, der)
	if err != nil {
		return nil, bad("signature", err)
	}
	if cert != nil && !bytes.Equal(cert.Raw, signer.Raw) {
		return nil, bad("signature and connection name two identities", nil)
	}
	return signer, nil
}

// belongs says whether the hardware that a message names is the one that the identity was given to.
func (a *Apple) belongs(ctx context.Context, id fleet.Identity, hardware string) error {
	if id.Device == "" {
		return bad("message before Authenticate", nil)
	}
	known, ok := a.hardware.get(id.Enrolment)
	if !ok {
		d, err := a.fleet.Device(ctx, fleet.Job("apple"), id.Device)
		if err != nil {
			return err
		}
		if d.Enrolment != id.Enrolment {
			return fleet.ErrIdentity
		}
		known = d.Hardware
		a.hardware.put(id.Enrolment, known)
	}
	if hardware == "" || known != hardware {
		return fleet.ErrIdentity
	}
	return nil
}

// hardwareOf is the identifier under which a device is known: its UDID, or the EnrollmentID of user enrolment.
func hardwareOf(msg dict) string {
	if u := msg.text("UDID"); u != "" {
		return u
	}
	return msg.text("EnrollmentID")
}
