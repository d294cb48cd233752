package pki

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"muster/pki/cms"
	"muster/store"
)

const (
	day  = 24 * time.Hour
	year = 365 * day

	rootLifetime    = 20 * year
	issuingLifetime = 10 * year

	// leafBackdate lets devices with a slow clock use a fresh certificate; caBackdate keeps every leaf inside its issuer.
	leafBackdate = time.Hour
	caBackdate   = 24 * time.Hour
)

// The paths under Config.BaseURL that certificates point verifiers to. They should be served over plain HTTP too,
// since verifiers do not fetch them over HTTPS.
const (
	CRLPath    = "/crl/issuing.crl" // GET: Authority.CRL, application/pkix-crl
	OCSPPath   = "/ocsp"            // POST or GET: Authority.OCSP, application/ocsp-response
	IssuerPath = "/ca/issuing.crt"  // GET: Issuing().Raw, application/pkix-cert
)

// Config is what an Authority is told from outside.
type Config struct {
	Organisation string           // in the names of the CAs, when they are made; "" = Muster
	BaseURL      string           // http(s) base of the CRL and OCSP addresses in certificates; "" = none are written
	Clock        func() time.Time // nil = time.Now
	Logger       *slog.Logger     // nil = silent

	// OnIssue runs in the transaction that answers a SCEP request with a new certificate; nil is allowed. An error
	// undoes the issue: one that wraps ErrRefused tells the device so, any other counts as our own trouble. It does not
	// run again for a retry that gets the same certificate.
	OnIssue func(tx store.Tx, c *Certificate) error
}

// Authority is the certificate authority. Its methods may be called together.
type Authority struct {
	db      *store.DB
	config  Config
	now     func() time.Time
	log     *slog.Logger
	records records

	root, issuing, ra identity
	caBundle          []byte
	signer, responder role

	genuine   genuineCache
	crl       crlCache
	revisions atomic.Uint64 // counts committed revocations
	server    serverCache

	spareMu sync.Mutex
	spare   []*rsa.PrivateKey
}

// identity is a certificate with its private key.
type identity struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// Names of the keys that the authority keeps.
const (
	roleRoot      = "root"
	roleIssuing   = "issuing"
	roleRA        = "ra"
	roleResponder = "responder"
	roleSigner    = "signer"
	roleServer    = "server"
)

// Open reads the authority's keys from the store and makes those that are missing: a root CA (ECDSA P-256, 20 years),
// an issuing CA (ECDSA P-256, 10 years), an RSA-2048 registration authority for SCEP, and signers for OCSP and profiles.
func Open(ctx context.Context, db *store.DB, c Config) (*Authority, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Organisation == "" {
		c.Organisation = "Muster"
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	a := &Authority{db: db, config: c, now: c.Clock, log: c.Logger, records: defineRecords()}
	a.signer = role{name: roleSigner, purpose: Signing, usage: x509.ExtKeyUsageEmailProtection, title: "Profile Signing"}
	a.responder = role{name: roleResponder, purpose: Responder, usage: x509.ExtKeyUsageOCSPSigning, title: "OCSP"}
	for _, step := range []struct {
		role string
		into *identity
		make func() (identity, error)
	}{
		{roleRoot, &a.root, a.makeRoot},
		{roleIssuing, &a.issuing, a.makeIssuing},
		{roleRA, &a.ra, a.makeRA},
	} {
		id, err := a.keep(ctx, step.role, nil, step.make)
		if err != nil {
			return nil, fmt.Errorf("opening the %s key: %w", step.role, err)
		}
		*step.into = id
	}
	for _, r := range []*role{&a.signer, &a.responder} {
		if _, err := a.current(ctx, r); err != nil {
			return nil, fmt.Errorf("opening the %s key: %w", r.name, err)
		}
	}
	var err error
	a.caBundle, err = cms.CertificatesOnly(a.ra.certificate.Raw, a.issuing.certificate.Raw, a.root.certificate.Raw)
	return a, err
}

// Root is the root CA's certificate: what devices and people's systems trust.
func (a *Authority) Root() *x509.Certificate { return a.root.certificate }

// Issuing is the certificate of the CA that signs every other certificate.
func (a *Authority) Issuing() *x509.Certificate { return a.issuing.certificate }

// RA is the certificate that SCEP requests are encrypted to and SCEP answers are signed with.
func (a *Authority) RA() *x509.Certificate { return a.ra.certificate }

// load reads a kept key; store.ErrNotFound when there is none.
func (a *Authority) load(ctx context.Context, role string) (identity, *authorityKey, error) {
	var k *authorityKey
	err := a.db.View(ctx, func(tx store.Tx) (err error) {
		k, err = a.records.keys.Get(tx, role)
		return err
	})
	if err != nil {
		return identity{}, nil, err
	}
	plain, err := a.db.Sealer().Open(a.records.keys.Name(), role, k.SealedKey)
	if err != nil {
		return identity{}, nil, err
	}
	key, err := parseKey(plain)
	if err != nil {
		return identity{}, nil, err
	}
	certificate, err := x509.ParseCertificate(k.DER)
	return identity{certificate, key}, k, err
}

// save keeps a key with its certificate, in place of an older one, and records what the issuing CA signed.
func (a *Authority) save(ctx context.Context, role string, names []string, id identity) error {
	k, err := a.seal(role, names, id)
	if err != nil {
		return err
	}
	return a.db.Update(ctx, func(tx store.Tx) error {
		if a.issuing.certificate != nil && role != roleIssuing {
			binding := Binding{Purpose: purposeOf(role), Subject: id.certificate.Subject, DNSNames: id.certificate.DNSNames}
			if err := a.records.certificates.Put(tx, a.recordOf(id.certificate, binding)); err != nil {
				return err
			}
		}
		return a.records.keys.Put(tx, k)
	})
}

func (a *Authority) seal(role string, names []string, id identity) (*authorityKey, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		return nil, err
	}
	return &authorityKey{
		Role: role, DER: id.certificate.Raw, Names: names, CreatedAt: a.now(),
		SealedKey: a.db.Sealer().Seal(a.records.keys.Name(), role, plain),
	}, nil
}

// keep loads a key or makes it and keeps it.
func (a *Authority) keep(ctx context.Context, role string, names []string, make func() (identity, error)) (identity, error) {
	id, _, err := a.load(ctx, role)
	if !errors.Is(err, store.ErrNotFound) {
		return id, err
	}
	if id, err = make(); err != nil {
		return identity{}, err
	}
	if err := a.save(ctx, role, names, id); err != nil {
		return identity{}, err
	}
	a.log.Info("authority key made", "role", role, "subject", id.certificate.Subject.String(), "expires", id.certificate.NotAfter)
	return id, nil
}

func purposeOf(role string) Purpose {
	switch role {
	case roleRA:
		return Registrar
	case roleResponder:
		return Responder
	case roleServer:
		return TLS
	}
	return Signing
}

func parseKey(pkcs8 []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of type %T cannot sign", key)
	}
	return signer, nil
}

// caName names a CA so that two installations of one organisation do not have CAs of the same name.
func (a *Authority) caName(title string, key crypto.Signer) (pkix.Name, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return pkix.Name{}, err
	}
	sum := sha256.Sum256(spki)
	return pkix.Name{
		Organization: []string{a.config.Organisation},
		CommonName:   fmt.Sprintf("%s %s %s", a.config.Organisation, title, strings.ToUpper(hex.EncodeToString(sum[:2]))),
	}, nil
}

func (a *Authority) makeRoot() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	name, err := a.caName("Root CA", key)
	if err != nil {
		return identity{}, err
	}
	template := caTemplate(name, a.now(), rootLifetime)
	return certify(template, template, key, key)
}

func (a *Authority) makeIssuing() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	name, err := a.caName("Device CA", key)
	if err != nil {
		return identity{}, err
	}
	template := caTemplate(name, a.now(), issuingLifetime)
	template.MaxPathLenZero = true
	if template.NotAfter.After(a.root.certificate.NotAfter) {
		template.NotAfter = a.root.certificate.NotAfter
	}
	return certify(template, a.root.certificate, key, a.root.key)
}

// makeRA makes the one RSA certificate: SCEP needs RSA for key transport, and Apple demands both usages in it
// (-67731 "certificate key usage is incorrect" otherwise).
func (a *Authority) makeRA() (identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return identity{}, err
	}
	name, err := a.caName("Registration", key)
	if err != nil {
		return identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: name,
		NotBefore: a.issuing.certificate.NotBefore, NotAfter: a.issuing.certificate.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
	}
	return certify(template, a.issuing.certificate, key, a.issuing.key)
}

func caTemplate(name pkix.Name, now time.Time, lifetime time.Duration) *x509.Certificate {
	from := now.Add(-caBackdate).UTC().Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber: newSerial(), Subject: name,
		NotBefore: from, NotAfter: from.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
	}
}

// sign makes a certificate for a public key, signed by the issuer's key.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, issuer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, issuer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// certify makes an identity from a key of our own.
func certify(template, parent *x509.Certificate, key, issuer crypto.Signer) (identity, error) {
	certificate, err := sign(template, parent, key.Public(), issuer)
	return identity{certificate, key}, err
}

// newSerial is a random positive number of 127 bits (RFC 5280 asks for at most 20 octets, browsers for 64 random bits).
func newSerial() *big.Int {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never returns an error since Go 1.24
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}
