package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"muster/pki/cms"
)

// CertificateRequest is what is taken from a PKCS #10 request: its key, whose holder has proved to have it. Nothing else of a request counts.
type CertificateRequest struct {
	Key     crypto.PublicKey
	KeyHash string // hex SHA-256 of the SubjectPublicKeyInfo
}

// ReadRequest reads a certification request in DER and checks its signature and the strength of its key. Subjects that break the rules of
// their string type are let be: Windows sends an exclamation mark and a trailing NUL in a PrintableString. Errors: ErrMessage, ErrRefused,
// ErrSignature.
func ReadRequest(der []byte) (*CertificateRequest, error) {
	r, err := parseCSR(der)
	if err != nil {
		return nil, requestError(err)
	}
	return &CertificateRequest{Key: r.key, KeyHash: r.keyHash}, nil
}

// ReadSignedRequest reads a certification request inside SignedData (MS-WSTEP 3.1.4.1.2, a renewal) and returns the certificate that it was
// signed with. That certificate's validity, issuer and binding are the caller's to judge.
func ReadSignedRequest(ber []byte) (*x509.Certificate, *CertificateRequest, error) {
	signed, err := cms.ParseSigned(ber)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	if signed.Detached {
		return nil, nil, fmt.Errorf("%w: no request inside the signature", ErrMessage)
	}
	signer, err := VerifySigned(signed.Content, ber)
	if err != nil {
		return nil, nil, err
	}
	r, err := ReadRequest(signed.Content)
	if err != nil {
		return nil, nil, err
	}
	return signer, r, nil
}

// requestError gives a request's fault one of this package's names.
func requestError(err error) error {
	switch {
	case errors.Is(err, ErrMessage), errors.Is(err, ErrRefused):
		return err
	case errors.Is(err, cms.ErrSignature):
		return fmt.Errorf("%w: %v", ErrSignature, err)
	}
	return fmt.Errorf("%w: %v", ErrMessage, err)
}
