package pki

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"muster/store"
)

const (
	maxOCSP  = 4 << 10   // bytes of a request
	ocspLife = time.Hour // how long an answer may be used
)

// OCSP answers a request about one certificate of the issuing CA (RFC 6960), in DER; of several only the first is
// answered, and a nonce is not echoed. What cannot be answered gets the
// protocol's own refusal, unsigned: malformedRequest, or unauthorized for another issuer. An error is our own trouble;
// the caller may send OCSPTryLater then.
func (a *Authority) OCSP(ctx context.Context, request []byte) ([]byte, error) {
	if len(request) > maxOCSP {
		return ocsp.MalformedRequestErrorResponse, nil
	}
	r, err := ocsp.ParseRequest(request)
	if err != nil || r.SerialNumber == nil {
		return ocsp.MalformedRequestErrorResponse, nil
	}
	if !a.asksForIssuing(r) {
		return ocsp.UnauthorizedErrorResponse, nil
	}
	now := a.now().UTC().Truncate(time.Second)
	answer := ocsp.Response{
		Status: ocsp.Unknown, SerialNumber: r.SerialNumber, IssuerHash: r.HashAlgorithm,
		ThisUpdate: now, NextUpdate: now.Add(ocspLife),
	}
	err = a.db.View(ctx, func(tx store.Tx) error {
		c, err := a.records.certificates.Get(tx, serialText(r.SerialNumber))
		switch {
		case isNotFound(err):
			return nil
		case err != nil:
			return err
		case c.Revoked():
			answer.Status, answer.RevokedAt, answer.RevocationReason = ocsp.Revoked, c.RevokedAt, c.RevokeReason
		default:
			answer.Status = ocsp.Good
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	responder, err := a.current(ctx, &a.responder)
	if err != nil {
		return nil, err
	}
	answer.Certificate = responder.certificate
	der, err := ocsp.CreateResponse(a.issuing.certificate, responder.certificate, answer, responder.key)
	if err != nil {
		return nil, fmt.Errorf("signing the OCSP answer: %w", err)
	}
	return der, nil
}

// ParseOCSPPath takes the request out of a GET (RFC 6960, A.1): the last part of the path, base64 and percent-encoded.
// It wants the path as received, because a decoded one may hold slashes. ErrMessage when it is none.
func ParseOCSPPath(escaped string) ([]byte, error) {
	text, err := url.PathUnescape(strings.TrimPrefix(strings.TrimPrefix(escaped, OCSPPath), "/"))
	if err != nil || len(text) > 2*maxOCSP {
		return nil, fmt.Errorf("%w: OCSP path", ErrMessage)
	}
	request, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(request) == 0 {
		return nil, fmt.Errorf("%w: OCSP path", ErrMessage)
	}
	return request, nil
}

// OCSPTryLater is the unsigned answer that tells a verifier to ask again.
func OCSPTryLater() []byte { return bytes.Clone(ocsp.TryLaterErrorResponse) }

// asksForIssuing compares the request's hashes with our issuing CA's name and key.
func (a *Authority) asksForIssuing(r *ocsp.Request) bool {
	switch r.HashAlgorithm {
	case crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return false
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(a.issuing.certificate.RawSubjectPublicKeyInfo, &info); err != nil {
		return false
	}
	name, key := r.HashAlgorithm.New(), r.HashAlgorithm.New()
	name.Write(a.issuing.certificate.RawSubject)
	key.Write(info.Key.RightAlign())
	return bytes.Equal(name.Sum(nil), r.IssuerNameHash) && bytes.Equal(key.Sum(nil), r.IssuerKeyHash)
}
