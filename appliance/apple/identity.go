package apple

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"

	"muster/appliance/fleet"
	"muster/pki"
)

// maxSignature bounds the Mdm-Signature header, base64.
const maxSignature = 1 << 20

// identified reads a message and says whose it is: by the TLS client certificate, by the signer of Mdm-Signature over the exact bytes of
// the body, or, with both, by the one that both name. A stranger's message is not even read where the connection tells.
func (a *Apple) identified(ctx context.Context, r *http.Request, limit int64) (body []byte, id *fleet.Identity, err error) {
	var cert *x509.Certificate
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		cert = r.TLS.PeerCertificates[0]
		if id, err = a.fleet.Identify(ctx, cert); err != nil {
			if errors.Is(err, fleet.ErrNoRecord) {
				if body, readErr := readBody(r, maxCheckIn); readErr == nil {
					a.introduce(ctx, cert, body)
				}
			}
			return nil, nil, err
		}
	}
	header := r.Header.Get("Mdm-Signature")
	if cert == nil && header == "" {
		return nil, nil, bad("no identity", nil)
	}
	if body, err = readBody(r, limit); err != nil || header == "" {
		return body, id, err
	}
	signer, err := signerOf(header, body)
	if err != nil {
		return nil, nil, err
	}
	if cert == nil {
		if id, err = a.fleet.Identify(ctx, signer); errors.Is(err, fleet.ErrNoRecord) {
			a.introduce(ctx, signer, body)
		}
		return body, id, err
	}
	if !bytes.Equal(cert.Raw, signer.Raw) {
		return nil, nil, bad("signature and connection name two identities", nil)
	}
	return body, id, nil
}

// signerOf verifies an Mdm-Signature header and gives the certificate that it was made with.
func signerOf(header string, body []byte) (*x509.Certificate, error) {
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
