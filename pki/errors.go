package pki

import "errors"

var (
	// ErrRefused means that a request for a certificate is not granted. A hook returns an error that wraps it to have
	// the device told so; any other error of a hook counts as our own trouble.
	ErrRefused = errors.New("certificate request refused")
	// ErrMessage means that a SCEP or OCSP request is so broken that it cannot be answered in its own protocol.
	ErrMessage = errors.New("malformed request")
	// ErrOperation means that the SCEP operation is not one of GetCACaps, GetCACert and PKIOperation.
	ErrOperation = errors.New("unknown SCEP operation")
	// ErrBinding means that a Binding cannot become a certificate.
	ErrBinding = errors.New("binding unfit for a certificate")
	// ErrBoundElsewhere means that a certificate already serves another device.
	ErrBoundElsewhere = errors.New("certificate serves another device")
	// ErrSignature means that a signed message does not verify, or signs something else.
	ErrSignature = errors.New("signature does not verify")
	// ErrNoPushKey means that a push certificate belongs to none of our keys.
	ErrNoPushKey = errors.New("no private key for this push certificate")
	// ErrNotPush means that a certificate is no MDM push certificate: it has no topic.
	ErrNotPush = errors.New("not a push certificate")
	// ErrExpired means that a certificate's time is over, or has not come.
	ErrExpired = errors.New("certificate is not valid now")
	// ErrNotRoot means that a certificate cannot be trusted as a root.
	ErrNotRoot = errors.New("not a root certificate")
)
