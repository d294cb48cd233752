package pki

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"muster/pki/cms"
	"muster/store"
)

// The content types of SCEP answers (RFC 8894, 3.1 and 4.1); clients compare them exactly.
const (
	ContentTypeCaps     = "text/plain"
	ContentTypeCA       = "application/x-x509-ca-cert"
	ContentTypeCABundle = "application/x-x509-ca-ra-cert"
	ContentTypeSCEP     = "application/x-pki-message"
)

// SCEPNameRA, as the CA name in GetCACert (the profile key Name), asks for the registration authority's certificate
// alone. Clients that encrypt to every certificate they are given cannot use the bundle, because its CAs are ECDSA.
//
// Apple's client takes a single certificate as it is, whatever kind it is. In a bundle it wants the chain up to a root,
// and one certificate below it with both digitalSignature and keyEncipherment. A profile's CAFingerprint is compared
// with the single certificate, or with the root of the bundle.
const SCEPNameRA = "ra"

// scepCapabilities says what PKIOperation understands, one word a line (RFC 8894, 3.5.2).
const scepCapabilities = "POSTPKIOperation\nSHA-256\nSHA-1\nAES\nDES3\nSCEPStandard\nRenewal\n"

// maxSCEP bounds a PKIOperation message, in bytes; real ones have 2,000 to 8,000.
const maxSCEP = 64 << 10

// SCEP answers one request: operation GetCACaps, GetCACert (message = CA name) or PKIOperation (message = CMS). It
// returns the exact content type and body of an answer with HTTP status 200.
//
// Whatever is wrong with a PKIOperation that can be answered at all, the challenge, the encryption or the signature,
// the answer is the same: a CertRep with failInfo badRequest; only the log knows more. ErrMessage and ErrOperation are
// for status 400; any other error is our own trouble and worth a retry by the client.
func (a *Authority) SCEP(ctx context.Context, operation string, message []byte) (contentType string, body []byte, err error) {
	switch operation {
	case "GetCACaps":
		return ContentTypeCaps, []byte(scepCapabilities), nil
	case "GetCACert":
		if string(message) == SCEPNameRA {
			return ContentTypeCA, a.ra.certificate.Raw, nil
		}
		return ContentTypeCABundle, a.caBundle, nil
	case "PKIOperation":
		body, err := a.pkiOperation(ctx, message)
		return ContentTypeSCEP, body, err
	}
	return "", nil, fmt.Errorf("%w: %.40q", ErrOperation, operation)
}

// ParseSCEPQuery takes operation and message from a raw query string. It does not decode forms: clients send base64
// with a bare plus sign, which form decoding turns into a space. The message of PKIOperation is decoded from base64
// (standard or URL alphabet, padded or not); ErrMessage when it is none.
func ParseSCEPQuery(raw string) (operation string, message []byte, err error) {
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		if err != nil {
			return "", nil, fmt.Errorf("%w: query", ErrMessage)
		}
		switch {
		case key == "operation" && operation == "":
			operation = value
		case key == "message" && message == nil:
			message = []byte(value)
		}
	}
	if operation != "PKIOperation" || len(message) == 0 {
		return operation, message, nil
	}
	text := strings.NewReplacer("-", "+", "_", "/", " ", "+", "\r", "", "\n", "").Replace(string(message))
	message, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return operation, nil, fmt.Errorf("%w: message is not base64", ErrMessage)
	}
	return operation, message, nil
}

// pkiOperation answers one message of a client.
func (a *Authority) pkiOperation(ctx context.Context, message []byte) ([]byte, error) {
	m, err := parseSCEP(message)
	if err != nil {
		return nil, err
	}
	issued, cipher, err := a.decide(ctx, m)
	if refused(err) {
		a.log.Info("scep request refused", "type", m.kind, "transaction", hexSum([]byte(m.transaction))[:16], "reason", err.Error())
		return a.certRep(m, nil, 0)
	}
	if err != nil {
		return nil, err
	}
	return a.certRep(m, issued, cipher)
}

// refused tells a request that deserves a refusal from trouble of our own.
func refused(err error) bool {
	for _, known := range []error{
		ErrRefused, ErrMessage, ErrBinding, ErrExpired, cms.ErrMalformed, cms.ErrTooBig, cms.ErrAlgorithm, cms.ErrSignature,
		cms.ErrNoSigner, cms.ErrRecipient, cms.ErrDecrypt,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// decide verifies, decrypts and judges a message. All RSA work is done here, before the transaction.
func (a *Authority) decide(ctx context.Context, m *scepMessage) (*Certificate, cms.Cipher, error) {
	if m.kind != scepPKCSReq && m.kind != scepRenewalReq {
		return nil, 0, fmt.Errorf("%w: message type %.8q", ErrRefused, m.kind)
	}
	if err := m.signed.Verify(m.signed.Content); err != nil {
		return nil, 0, err
	}
	if key, err := m.signer.PublicKey(); err != nil {
		return nil, 0, err
	} else if _, ok := key.(*rsa.PublicKey); !ok {
		return nil, 0, fmt.Errorf("%w: no answer can be encrypted to a key of type %T", ErrRefused, key)
	}
	plain, cipher, err := cms.Decrypt(m.signed.Content, a.ra.certificate, a.ra.key.(*rsa.PrivateKey))
	if err != nil {
		return nil, 0, err
	}
	request, err := parseCSR(plain)
	if err != nil {
		return nil, 0, err
	}
	grant := a.grantByChallenge
	if m.kind == scepRenewalReq {
		grant = a.grantRenewal
	}
	// Most floods of wrong requests end here, without a turn at the one writer.
	var issued *Certificate
	err = a.db.View(ctx, func(tx store.Tx) (err error) {
		issued, err = grant(tx, m, request, false)
		return err
	})
	if err != nil || issued != nil {
		return issued, cipher, err
	}
	err = a.db.Update(ctx, func(tx store.Tx) (err error) {
		issued, err = grant(tx, m, request, true)
		return err
	})
	return issued, cipher, err
}

// grantByChallenge turns a challenge into a certificate. Without write it only judges, and returns a certificate only
// when the request was answered before.
func (a *Authority) grantByChallenge(tx store.Tx, m *scepMessage, r *csr, write bool) (*Certificate, error) {
	if r.challenge == "" {
		return nil, fmt.Errorf("%w: no challenge", ErrRefused)
	}
	c, err := a.records.challenges.Get(tx, hexSum([]byte(r.challenge)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: unknown challenge", ErrRefused)
	}
	if err != nil {
		return nil, err
	}
	if !c.UsedAt.IsZero() {
		if c.Key != r.keyHash || c.Transaction != m.transaction {
			return nil, fmt.Errorf("%w: challenge used again with another key or transaction", ErrRefused)
		}
		return a.again(tx, c.Serial)
	}
	if !a.now().Before(c.ExpiresAt) {
		return nil, fmt.Errorf("%w: challenge expired", ErrRefused)
	}
	if !write {
		return nil, nil
	}
	issued, err := a.issue(tx, c.Binding, request{key: r.key, keyHash: r.keyHash, transaction: m.transaction})
	if err != nil {
		return nil, err
	}
	c.UsedAt, c.Transaction, c.Key, c.Serial = a.now().UTC(), m.transaction, r.keyHash, issued.Serial
	if err := a.records.challenges.Put(tx, c); err != nil {
		return nil, err
	}
	return issued, a.issuedBySCEP(tx, issued)
}

// grantRenewal replaces a live certificate, whose key signed the message, by one with the same binding.
func (a *Authority) grantRenewal(tx store.Tx, m *scepMessage, r *csr, write bool) (*Certificate, error) {
	old, err := a.Certificate(tx, hexSum(m.signer.Raw)) // the very certificate that we issued, byte for byte
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: renewal with a foreign certificate", ErrRefused)
	}
	switch {
	case err != nil:
		return nil, err
	case old.Revoked():
		return nil, fmt.Errorf("%w: renewal with a revoked certificate", ErrRefused)
	case !old.ValidAt(a.now()):
		return nil, fmt.Errorf("%w: renewal with an expired certificate", ErrRefused)
	case old.Binding.slot() == "" || old.Binding.Purpose != Management && old.Binding.Purpose != Access:
		return nil, fmt.Errorf("%w: renewal with an unbound certificate", ErrRefused)
	}
	id := hexSum([]byte(strings.Join([]string{"renewal", old.Serial, m.transaction, r.keyHash}, "\x00")))
	page, err := a.records.certificates.List(tx, store.Query{Index: "request", Value: id, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Items) > 0 {
		return a.again(tx, page.Items[0].Serial)
	}
	if !write {
		return nil, nil
	}
	if err := a.Seen(tx, old.Fingerprint, a.now()); err != nil {
		return nil, err
	}
	issued, err := a.issue(tx, old.Binding, request{key: r.key, keyHash: r.keyHash, transaction: m.transaction, id: id})
	if err != nil {
		return nil, err
	}
	return issued, a.issuedBySCEP(tx, issued)
}

// again is the answer to a request that was granted before.
func (a *Authority) again(tx store.Tx, serial string) (*Certificate, error) {
	c, err := a.records.certificates.Get(tx, serial)
	if err != nil {
		return nil, err
	}
	if c.Revoked() {
		return nil, fmt.Errorf("%w: its certificate was revoked since", ErrRefused)
	}
	return c, nil
}

func (a *Authority) issuedBySCEP(tx store.Tx, c *Certificate) error {
	if a.config.OnIssue == nil {
		return nil
	}
	return a.config.OnIssue(tx, c)
}
