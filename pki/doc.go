// Package pki is Muster's certificate authority: a root and an issuing CA, the identities of devices and people, SCEP,
// revocation (CRL and OCSP), signed profiles, server certificates for the internal TLS mode, and the keys of push
// certificates.
//
// A certificate is made from a Binding, our own record of what it is for, never from what a request asks for. Private
// keys of the authority are sealed in the store. RSA work stays outside store transactions, because writers there are
// serialised; only the ECDSA signature of the issuing CA and the records happen inside.
package pki
