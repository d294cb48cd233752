package sim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	"github.com/smallstep/pkcs7"
)

// identity is a certificate with its private key.
type identity struct {
	cert *x509.Certificate
	key  any
}

// scepClient gets one identity as an Apple device does (RFC 8894; messages 3, 19 and 20).
type scepClient struct {
	http *http.Client
	keys *Keys
	bits int // least key size
	ber  bool
	name string // User-Agent
	now  time.Time
	note func(format string, args ...any) // takes complaints
}

// The signed attributes of SCEP, all beneath 2.16.840.1.113733.1.9.
func scepAttribute(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}
}

const (
	scepMessageType    = 2
	scepStatus         = 3
	scepFailInfo       = 4
	scepSenderNonce    = 5
	scepRecipientNonce = 6
	scepTransactionID  = 7
)

// printable is a PrintableString, which SCEP wants where Go would choose UTF8String.
func printable(s string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte(s)}
}

// obtain runs GetCACaps, GetCACert and PKIOperation with the settings of a SCEP
// payload's inner dictionary. commonName is used when the payload names no subject.
// The error is a *Refusal.
func (s scepClient) obtain(ctx context.Context, b dict, commonName string) (*identity, error) {
	base, name := str(b, "URL"), str(b, "Name")
	caps, err := s.capabilities(ctx, base, name)
	if err != nil {
		return nil, err
	}
	ca, ra, err := s.authorities(ctx, base, name, data(b, "CAFingerprint"))
	if err != nil {
		return nil, err
	}
	bits := num(b, "Keysize")
	if bits == 0 {
		bits = 1024 // Apple's default
	}
	// Go refuses RSA keys below 1024 bits; nobody loses when the default grows.
	key, err := s.keys.take(ctx, max(bits, s.bits, 1024))
	if err != nil {
		return nil, refuse(domainSCEP, 22001, "%v", err)
	}
	csr, err := request(b, key, commonName)
	if err != nil {
		return nil, refuse(domainSCEP, 22011, "%v", err)
	}
	self, err := selfSigned(csr, key, s.now)
	if err != nil {
		return nil, refuse(domainSCEP, 22008, "%v", err)
	}
	tx := sha256.Sum256(append(bytes.Clone(csr.RawSubjectPublicKeyInfo), str(b, "Challenge")...))
	x := exchange{scepClient: s, url: base, caps: caps, ca: ca, ra: ra, key: key, self: self, transaction: hex.EncodeToString(tx[:20])}
	cert, pending, err := x.send(ctx, "19", csr.Raw)
	retries, delay := 3, 10
	if _, there := b["Retries"]; there {
		retries = num(b, "Retries")
	}
	if _, there := b["RetryDelay"]; there {
		delay = num(b, "RetryDelay")
	}
	for try := 0; err == nil && pending && try < retries; try++ {
		if try > 0 { // the first retry is immediate
			if err := sleep(ctx, time.Duration(delay)*time.Second); err != nil {
				return nil, refuse(domainSCEP, 22005, "%v", err)
			}
		}
		poll, mErr := asn1.Marshal(struct{ Issuer, Subject asn1.RawValue }{asn1.RawValue{FullBytes: ca.RawSubject}, asn1.RawValue{FullBytes: csr.RawSubject}})
		if mErr != nil {
			return nil, refuse(domainSCEP, 22011, "%v", mErr)
		}
		cert, pending, err = x.send(ctx, "20", poll)
	}
	if err != nil {
		return nil, err
	}
	if pending {
		return nil, refuse(domainSCEP, 22013, "The SCEP server left the request pending.")
	}
	if pub, ok := cert.PublicKey.(*rsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return nil, refuse(domainSCEP, 22007, "The certificate is for another key.")
	}
	if s.now.After(cert.NotAfter) || s.now.Before(cert.NotBefore.Add(-5*time.Minute)) {
		return nil, refuse(domainSCEP, 22007, "The certificate is not valid now.")
	}
	return &identity{cert: cert, key: key}, nil
}

// get makes one GET and returns its body and content type.
func (s scepClient) get(ctx context.Context, base, query string) ([]byte, string, error) {
	return s.do(ctx, http.MethodGet, withQuery(base, query), nil)
}

func (s scepClient) do(ctx context.Context, method, link string, body []byte) ([]byte, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, link, bytes.NewReader(body))
	if err != nil {
		return nil, "", refuse(domainSCEP, 22005, "%v", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-pki-message")
	}
	req.Header.Set("User-Agent", s.name)
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, "", refuse(domainSCEP, 22005, "%v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, "", refuse(domainSCEP, 22005, "%v", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", refuse(domainSCEP, 22005, "The SCEP server answered %s.", resp.Status)
	}
	return b, resp.Header.Get("Content-Type"), nil
}

// withQuery adds to the query that the address may bring along.
func withQuery(base, query string) string {
	if strings.Contains(base, "?") {
		return base + "&" + query
	}
	return base + "?" + query
}

// capabilities reads GetCACaps and wants what a present-day device cannot do without.
func (s scepClient) capabilities(ctx context.Context, base, name string) (map[string]bool, error) {
	b, _, err := s.get(ctx, base, "operation=GetCACaps&message="+url.QueryEscape(name))
	if err != nil {
		return nil, err
	}
	caps := map[string]bool{}
	for l := range strings.Lines(string(b)) {
		caps[strings.ToUpper(strings.TrimSpace(l))] = true
	}
	if standard := caps["SCEPSTANDARD"]; !standard && !(caps["AES"] && caps["SHA-256"]) {
		return nil, refuse(domainSCEP, 22006, "The SCEP server offers neither AES with SHA-256 nor SCEPStandard.")
	}
	return caps, nil
}

// authorities reads GetCACert: the issuing certificate and the one to encrypt to.
func (s scepClient) authorities(ctx context.Context, base, name string, fingerprint []byte) (ca, ra *x509.Certificate, err error) {
	b, ctype, err := s.get(ctx, base, "operation=GetCACert&message="+url.QueryEscape(name))
	if err != nil {
		return nil, nil, err
	}
	var certs []*x509.Certificate
	switch ctype {
	case "application/x-x509-ca-cert":
		c, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, nil, refuse(domainSCEP, 22002, "The CA certificate cannot be read: %v", err)
		}
		certs = []*x509.Certificate{c}
	case "application/x-x509-ca-ra-cert":
		p7, err := pkcs7.Parse(b)
		if err != nil || len(p7.Certificates) == 0 {
			return nil, nil, refuse(domainSCEP, 22003, "The RA certificates cannot be read: %v", err)
		}
		certs = p7.Certificates
	default:
		return nil, nil, refuse(domainSCEP, 22002, "GetCACert came as %q.", ctype)
	}
	for _, c := range certs {
		if c.IsCA && ca == nil {
			ca = c
		}
		usable := c.KeyUsage&x509.KeyUsageKeyEncipherment != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature != 0
		if _, isRSA := c.PublicKey.(*rsa.PublicKey); isRSA && usable && (ra == nil || ra.IsCA) {
			ra = c
		}
	}
	// A CA alone is taken without keyEncipherment: servers in the field offer such.
	if _, isRSA := certs[0].PublicKey.(*rsa.PublicKey); ra == nil && ca != nil && isRSA && ctype == "application/x-x509-ca-cert" {
		s.note("the CA certificate for SCEP has no keyEncipherment")
		ra = ca
	}
	switch {
	case ra == nil:
		return nil, nil, refuse(domainSCEP, 22000, "No certificate with RSA, digitalSignature and keyEncipherment was offered.")
	case ca == nil:
		return nil, nil, refuse(domainSCEP, 22002, "No CA certificate was offered.")
	case len(fingerprint) != 0 && !matches(ca, fingerprint):
		return nil, nil, refuse(domainSCEP, 22002, "The CA certificate's fingerprint is another.")
	}
	return ca, ra, nil
}

// matches compares a certificate with its MD5, SHA-1 or SHA-256, told apart by length.
func matches(c *x509.Certificate, sum []byte) bool {
	switch len(sum) {
	case md5.Size:
		h := md5.Sum(c.Raw)
		return bytes.Equal(h[:], sum)
	case sha1.Size:
		h := sha1.Sum(c.Raw)
		return bytes.Equal(h[:], sum)
	default:
		h := sha256.Sum256(c.Raw)
		return bytes.Equal(h[:], sum)
	}
}

// request makes the PKCS #10 request that a payload asks for.
func request(b dict, key *rsa.PrivateKey, commonName string) (*x509.CertificateRequest, error) {
	rdns, err := subject(b)
	if err != nil {
		return nil, err
	}
	if len(rdns) == 0 {
		rdns = pkix.Name{CommonName: commonName}.ToRDNSequence()
	}
	raw, err := asn1.Marshal(rdns)
	if err != nil {
		return nil, err
	}
	n, err := altNames(b)
	if err != nil {
		return nil, err
	}
	t := x509util.CertificateRequest{ChallengePassword: str(b, "Challenge")}
	t.RawSubject, t.SignatureAlgorithm = raw, x509.SHA256WithRSA
	if ext, err := n.extension(); err != nil {
		return nil, err
	} else if ext != nil {
		t.ExtraExtensions = append(t.ExtraExtensions, *ext)
	}
	if usage := num(b, "Key Usage"); usage != 0 {
		var bits byte
		if usage&1 != 0 {
			bits |= 0x80 // digitalSignature
		}
		if usage&4 != 0 {
			bits |= 0x20 // keyEncipherment
		}
		v, err := asn1.Marshal(asn1.BitString{Bytes: []byte{bits}, BitLength: 3})
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: v})
	}
	der, err := x509util.CreateCertificateRequest(rand.Reader, &t, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}

// extension renders the alternative names, or nil when there are none.
func (n names) extension() (*pkix.Extension, error) {
	var values []asn1.RawValue
	for tag, list := range map[int][]string{1: n.mail, 2: n.dns, 6: n.uri} {
		for _, s := range list {
			values = append(values, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(s)})
		}
	}
	if n.upn != "" {
		der, err := asn1.MarshalWithParams(struct {
			ID    asn1.ObjectIdentifier
			Value string `asn1:"utf8,explicit,tag:0"`
		}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, n.upn}, "tag:0")
		if err != nil {
			return nil, err
		}
		values = append(values, asn1.RawValue{FullBytes: der})
	}
	if len(values) == 0 {
		return nil, nil
	}
	der, err := asn1.Marshal(values)
	return &pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}, err
}

// selfSigned makes the throw-away certificate that signs a request before there is another.
func selfSigned(csr *x509.CertificateRequest, key *rsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	t := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: csr.RawSubject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// exchange is one transaction with a SCEP server.
type exchange struct {
	scepClient
	url         string
	caps        map[string]bool
	ca, ra      *x509.Certificate
	key         *rsa.PrivateKey
	self        *x509.Certificate
	transaction string
}

// send makes one PKIOperation: the certificate, or that the server keeps it pending.
func (x exchange) send(ctx context.Context, messageType string, content []byte) (cert *x509.Certificate, pending bool, err error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, false, refuse(domainSCEP, 22011, "%v", err)
	}
	msg, err := x.message(messageType, content, nonce)
	if err != nil {
		return nil, false, refuse(domainSCEP, 22011, "%v", err)
	}
	var b []byte
	if x.caps["POSTPKIOPERATION"] || x.caps["SCEPSTANDARD"] {
		b, _, err = x.do(ctx, http.MethodPost, withQuery(x.url, "operation=PKIOperation"), msg)
	} else {
		// Apple leaves + and / of the base64 as they are and escapes only the =.
		enc := strings.ReplaceAll(base64.StdEncoding.EncodeToString(msg), "=", "%3D")
		b, _, err = x.get(ctx, x.url, "operation=PKIOperation&message="+enc)
	}
	if err != nil {
		return nil, false, err
	}
	return x.reply(b, nonce)
}

// message encrypts content to the authority and signs it.
func (x exchange) message(messageType string, content, nonce []byte) ([]byte, error) {
	env, err := envelope(content, x.ra)
	if err != nil {
		return nil, err
	}
	if x.ber {
		env = toBER(env)
	}
	sd, err := pkcs7.NewSignedData(env)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	err = sd.AddSigner(x.self, x.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		{Type: scepAttribute(scepMessageType), Value: printable(messageType)},
		{Type: scepAttribute(scepTransactionID), Value: printable(x.transaction)},
		{Type: scepAttribute(scepSenderNonce), Value: nonce},
	}})
	if err != nil {
		return nil, err
	}
	der, err := sd.Finish()
	if err == nil && x.ber {
		der = toBER(der)
	}
	return der, err
}

// reply verifies and opens a CertRep.
func (x exchange) reply(b, nonce []byte) (*x509.Certificate, bool, error) {
	bad := func(format string, args ...any) error { return refuse(domainSCEP, 22013, format, args...) }
	p7, err := pkcs7.Parse(b)
	if err != nil {
		return nil, false, bad("The SCEP answer cannot be read: %v", err)
	}
	if err := p7.Verify(); err != nil {
		return nil, false, bad("The SCEP answer is not signed properly: %v", err)
	}
	if s := p7.GetOnlySigner(); s == nil || !(s.Equal(x.ra) || s.Equal(x.ca)) {
		return nil, false, bad("The SCEP answer is signed by somebody else.")
	}
	attr := map[int]string{}
	for _, n := range []int{scepMessageType, scepStatus, scepTransactionID} {
		var v asn1.RawValue
		if err := p7.UnmarshalSignedAttribute(scepAttribute(n), &v); err != nil || v.Tag != asn1.TagPrintableString {
			return nil, false, bad("The SCEP answer lacks its attribute %d as a PrintableString.", n)
		}
		attr[n] = string(v.Bytes)
	}
	var echoed, sender []byte
	if err := p7.UnmarshalSignedAttribute(scepAttribute(scepRecipientNonce), &echoed); err != nil || !bytes.Equal(echoed, nonce) {
		return nil, false, bad("The SCEP answer does not return the nonce.")
	}
	if err := p7.UnmarshalSignedAttribute(scepAttribute(scepSenderNonce), &sender); err != nil || len(sender) == 0 {
		return nil, false, bad("The SCEP answer has no nonce of its own.")
	}
	if attr[scepMessageType] != "3" || attr[scepTransactionID] != x.transaction {
		return nil, false, bad("The SCEP answer belongs to another request.")
	}
	switch attr[scepStatus] {
	case "0":
	case "3":
		return nil, true, nil
	default:
		var v asn1.RawValue
		_ = p7.UnmarshalSignedAttribute(scepAttribute(scepFailInfo), &v) // its absence shows as an empty reason
		return nil, false, bad("The SCEP server refused the request (status %s, reason %s).", attr[scepStatus], v.Bytes)
	}
	inner, err := pkcs7.Parse(p7.Content)
	if err != nil {
		return nil, false, bad("The certificate's envelope cannot be read: %v", err)
	}
	plain, err := inner.Decrypt(x.self, crypto.PrivateKey(x.key))
	if err != nil {
		return nil, false, bad("The certificate's envelope cannot be opened: %v", err)
	}
	certs, err := pkcs7.Parse(plain)
	if err != nil || len(certs.Certificates) == 0 {
		return nil, false, refuse(domainSCEP, 22007, "The envelope holds no certificate: %v", err)
	}
	for _, c := range certs.Certificates {
		if pub, ok := c.PublicKey.(*rsa.PublicKey); ok && pub.Equal(&x.key.PublicKey) {
			return c, false, nil
		}
	}
	return nil, false, refuse(domainSCEP, 22007, "The certificate is for another key.")
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting: %w", ctx.Err())
	}
}
