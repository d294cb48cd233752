package appliance

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"

	"muster/appliance/fleet"
)

// lookEvery is how often the certificate in use is looked at: files are read again, and one that nears its end is made anew.
const lookEvery = time.Hour

// serverTLS keeps the listener's own certificate in one of three modes, and changes mode and certificate without a restart: a handshake takes
// what is there at that moment, and sessions that run keep theirs.
//
// What is served never gets worse by a failure. A new mode serves its own certificate as soon as there is one; until then, and when files
// become unreadable or the authority does not answer, the last good certificate stays.
type serverTLS struct {
	a    *Appliance
	kick chan struct{}

	turn sync.Mutex // held while what is served changes by settings, so that a look with older settings cannot undo it

	mu       sync.Mutex
	settings fleet.ServerTLS
	problem  *fleet.Reason // why the files could not be used

	current atomic.Pointer[served]       // internal or files: for every name that no ACME certificate is for
	spare   atomic.Pointer[served]       // internal: for further names that current is not made out for; nil = there is none
	acme    atomic.Pointer[[]*acmeNames] // newest first; the older serve until the newest has every certificate that they have
}

// served is a certificate with where it came from.
type served struct {
	certificate *tls.Certificate
	source      fleet.TLSMode
	public      bool // devices trust it by themselves
}

var _ fleet.TLSKeeper = (*serverTLS)(nil)

// openTLS takes the settings into use. It asks nobody: certificates from ACME come from the store, and new ones while serving.
func (a *Appliance) openTLS(ctx context.Context) error {
	k := &serverTLS{a: a, kick: make(chan struct{}, 1)}
	a.tls = k
	s, err := a.fleet.TLSToKeep(ctx, fleet.Job("tls"))
	if err != nil {
		return err
	}
	k.settings = s
	if s.Mode == fleet.TLSFiles {
		if err := k.loadFiles(s); err != nil {
			if s.Locked {
				return fmt.Errorf("reading the TLS certificate: %w", err)
			}
			a.log.Error("the TLS certificate cannot be used; serving one of the internal authority", "err", err)
		}
	}
	if k.current.Load() == nil {
		if err := k.loadInternal(ctx, s); err != nil {
			return err
		}
	}
	if err := k.loadSpare(ctx, s); err != nil {
		return err
	}
	if s.Mode == fleet.TLSACME {
		return k.addACME(ctx, s)
	}
	return nil
}

// get is crypto/tls's GetCertificate.
func (k *serverTLS) get(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, n := range k.acmeNames() {
		if c, err := n.get(h); err == nil && c != nil && len(c.Certificate) > 0 {
			return c, nil
		}
	}
	if isChallenge(h) {
		return nil, errors.New("no challenge is open for this name")
	}
	return k.serving(h.ServerName).certificate, nil
}

// serving is what a name is served with when there is no ACME certificate for it.
func (k *serverTLS) serving(name string) *served {
	now, spare := k.current.Load(), k.spare.Load()
	if spare != nil && k.isFurther(name) && leafOf(now.certificate).VerifyHostname(name) != nil {
		return spare
	}
	return now
}

// further are the names of the settings that are not those of the addresses.
func (k *serverTLS) further() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	hosts := k.a.hosts()
	return slices.DeleteFunc(slices.Clone(k.settings.Names), func(n string) bool { return slices.Contains(hosts, n) })
}

func (k *serverTLS) isFurther(name string) bool {
	return slices.ContainsFunc(k.further(), func(n string) bool { return strings.EqualFold(n, name) })
}

func (k *serverTLS) acmeNames() []*acmeNames {
	if p := k.acme.Load(); p != nil {
		return *p
	}
	return nil
}

// isChallenge says whether a handshake is the authority's look at our control of the name (RFC 8737): it offers this protocol alone.
func isChallenge(h *tls.ClientHelloInfo) bool {
	return len(h.SupportedProtos) == 1 && h.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

// run looks after the certificates until ctx ends: at once when settings change, again when an attempt failed. The job "certificate" looks every hour.
func (k *serverTLS) run(ctx context.Context) error {
	defer k.stop()
	for {
		wait := k.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-k.kick:
		case <-time.After(wait):
		}
	}
}

// refresh is a look as a job: it fails when something stands in the way of a certificate.
func (k *serverTLS) refresh(ctx context.Context) error {
	k.look(ctx)
	for _, c := range k.Certificates() {
		if c.Problem != nil && !c.Further { // for a further name a person is warned; the server can do its work without
			return fmt.Errorf("%s: %s: %s", c.Name, c.Problem.Code, c.Problem.Args["why"])
		}
	}
	return ctx.Err()
}

// look does what is due, and says when to look again.
func (k *serverTLS) look(ctx context.Context) time.Duration {
	k.turn.Lock()
	k.mu.Lock()
	s := k.settings
	k.mu.Unlock()
	if s.Mode == fleet.TLSACME {
		if err := k.loadRest(ctx, s); err != nil {
			k.a.log.Error("TLS certificate not refreshed", "err", err)
		}
		k.turn.Unlock()
		names := k.acmeNames()
		if len(names) == 0 {
			return lookEvery
		}
		wait := names[0].look(ctx)
		if k.settled() {
			k.drop(1)
		}
		return wait
	}
	defer k.turn.Unlock()
	switch s.Mode {
	case fleet.TLSFiles:
		if err := k.loadFiles(s); err != nil {
			k.a.log.Error("TLS certificate not refreshed", "err", err)
		}
		if err := k.loadSpare(ctx, s); err != nil {
			k.a.log.Error("TLS certificate not refreshed", "err", err)
		}
	case fleet.TLSInternal:
		if err := k.loadInternal(ctx, s); err != nil {
			k.a.log.Error("TLS certificate not refreshed", "err", err)
		}
	}
	return lookEvery
}

// internalFor is the certificate of the internal authority for all names.
func (k *serverTLS) internalFor(ctx context.Context, s fleet.ServerTLS) (*served, error) {
	names, ips := k.a.serverNames(s.Names)
	c, err := k.a.pki.ServerCertificate(ctx, names, ips)
	if err != nil {
		return nil, err
	}
	return &served{certificate: c, source: fleet.TLSInternal}, nil
}

// loadInternal serves a certificate of the internal authority.
func (k *serverTLS) loadInternal(ctx context.Context, s fleet.ServerTLS) error {
	c, err := k.internalFor(ctx, s)
	if err != nil {
		return err
	}
	k.current.Store(c)
	k.spare.Store(nil)
	return nil
}

// loadSpare keeps a certificate of the internal authority at hand for further names that an own certificate is not made out for: whoever knows that
// authority is served by them all the same.
func (k *serverTLS) loadSpare(ctx context.Context, s fleet.ServerTLS) error {
	now := k.current.Load()
	leaf := leafOf(now.certificate)
	if now.source == fleet.TLSInternal || !slices.ContainsFunc(k.further(), func(n string) bool { return leaf.VerifyHostname(n) != nil }) {
		k.spare.Store(nil)
		return nil
	}
	c, err := k.internalFor(ctx, s)
	if err == nil {
		k.spare.Store(c)
	}
	return err
}

// loadRest keeps up to date what serves the names that ACME has no certificate for.
func (k *serverTLS) loadRest(ctx context.Context, s fleet.ServerTLS) error {
	if k.current.Load().source == fleet.TLSInternal {
		return k.loadInternal(ctx, s)
	}
	return k.loadSpare(ctx, s)
}

// ownPair is the certificate and key that were given: as PEM, which is kept in the store, or as files.
func ownPair(s fleet.ServerTLS) (tls.Certificate, error) {
	if s.Chain != "" {
		return tls.X509KeyPair([]byte(s.Chain), []byte(s.Key))
	}
	return tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
}

// loadFiles reads the files and serves what they hold; on error what is served stays.
func (k *serverTLS) loadFiles(s fleet.ServerTLS) error {
	c, err := ownPair(s)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		why := fleet.Why("need.tls-files", "file", cmp.Or(s.CertFile, "PEM"), "why", err.Error())
		k.problem = &why
		return err
	}
	k.problem = nil
	k.current.Store(&served{&c, fleet.TLSFiles, publicChain(&c)})
	return nil
}

// Apply takes settings into use at once.
func (k *serverTLS) Apply(s fleet.ServerTLS) {
	ctx := context.Background()
	k.turn.Lock()
	defer k.turn.Unlock()
	k.mu.Lock()
	k.settings, k.problem = s, nil
	k.mu.Unlock()
	var err error
	switch s.Mode {
	case fleet.TLSInternal:
		if err = k.loadInternal(ctx, s); err == nil {
			k.drop(0)
		}
	case fleet.TLSFiles:
		if err = k.loadFiles(s); err == nil {
			k.drop(0)
		}
		err = errors.Join(err, k.loadSpare(ctx, s))
	case fleet.TLSACME:
		err = errors.Join(k.loadRest(ctx, s), k.addACME(ctx, s))
	}
	if err != nil {
		k.a.log.Error("taking TLS settings into use", "mode", s.Mode, "err", err)
	}
	k.Try()
}

// settled says that nothing is served by an older authority that the newest has no certificate for.
func (k *serverTLS) settled() bool {
	all := k.acmeNames()
	if len(all) == 0 {
		return true
	}
	for _, name := range all[0].names {
		if all[0].leaf(name) == nil && slices.ContainsFunc(all[1:], func(n *acmeNames) bool { return n.leaf(name) != nil }) {
			return false
		}
	}
	return true
}

// addACME begins with an authority. Those before it serve until it has each certificate that they have.
func (k *serverTLS) addACME(ctx context.Context, s fleet.ServerTLS) error {
	n, err := k.a.newACMENames(ctx, s)
	if err != nil {
		return err
	}
	k.mu.Lock()
	all := append([]*acmeNames{n}, k.acmeNames()...)
	k.acme.Store(&all)
	k.mu.Unlock()
	if n.complete() {
		k.drop(1)
	}
	return nil
}

// drop ends all but the newest few.
func (k *serverTLS) drop(keep int) {
	k.mu.Lock()
	all := k.acmeNames()
	if len(all) <= keep {
		k.mu.Unlock()
		return
	}
	left := slices.Clone(all[:keep])
	k.acme.Store(&left)
	k.mu.Unlock()
	for _, n := range all[keep:] {
		n.stop()
	}
}

func (k *serverTLS) stop() { k.drop(0) }

// Try looks for new certificates now.
func (k *serverTLS) Try() {
	for _, n := range k.acmeNames() {
		n.hurry()
	}
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// hosts are the host names of both addresses, each once.
func (a *Appliance) hosts() []string { return unique(a.doors.public.host, a.doors.device.host) }

// Certificates says what is in use for each name, and what stands in the way of a newer one.
func (k *serverTLS) Certificates() []fleet.ServerCertificate {
	k.mu.Lock()
	problem, mode := k.problem, k.settings.Mode
	k.mu.Unlock()
	var out []fleet.ServerCertificate
	hosts := k.a.hosts()
	for i, name := range append(slices.Clone(hosts), k.further()...) {
		now := k.serving(name)
		leaf, source, trusted := leafOf(now.certificate), now.source, now.source != fleet.TLSFiles || now.public
		c := fleet.ServerCertificate{Name: name, Further: i >= len(hosts), Problem: problem}
		if c.Further && mode == fleet.TLSFiles && problem == nil && source == fleet.TLSInternal {
			why := fleet.Why("need.tls-name-own", "name", name)
			c.Problem = &why
		}
		for i, n := range k.acmeNames() {
			if i == 0 {
				c.Problem, c.Tried, c.Next = n.state(name)
			}
			if l := n.leaf(name); l != nil {
				leaf, source, trusted = l, fleet.TLSACME, true
				break
			}
		}
		if leaf != nil {
			sum := sha256.Sum256(leaf.Raw)
			c.Source, c.Issuer, c.Fingerprint = source, issuerName(leaf), hex.EncodeToString(sum[:])
			c.NotBefore, c.NotAfter = leaf.NotBefore, leaf.NotAfter
			c.Covers, c.Trusted = leaf.VerifyHostname(name) == nil, trusted
		}
		out = append(out, c)
	}
	return out
}

func issuerName(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func leafOf(c *tls.Certificate) *x509.Certificate {
	if c == nil || c.Leaf != nil || len(c.Certificate) == 0 {
		if c == nil {
			return nil
		}
		return c.Leaf
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// internal says whether either address is served with a certificate of our own authority.
func (k *serverTLS) internal() bool {
	return slices.ContainsFunc(k.Certificates(), func(c fleet.ServerCertificate) bool { return c.Source == fleet.TLSInternal && !c.Further })
}

// roots are the authorities that a device must be told to trust before it can call: our own while it certifies this server, and those of a
// private authority. Public ones it knows.
func (k *serverTLS) roots() [][]byte {
	var out [][]byte
	if k.internal() {
		out = append(out, k.a.pki.Root().Raw)
	}
	k.mu.Lock()
	s := k.settings
	k.mu.Unlock()
	if s.Mode == fleet.TLSACME {
		for _, c := range fleet.ParseRoots(s.Roots) {
			out = append(out, c.Raw)
		}
	}
	if now := k.current.Load(); s.Mode == fleet.TLSFiles && now.source == fleet.TLSFiles && !now.public {
		if last := topOf(now.certificate); last != nil && last.CheckSignatureFrom(last) == nil {
			out = append(out, last.Raw)
		}
	}
	return out
}

// topOf is the topmost certificate of a chain.
func topOf(c *tls.Certificate) *x509.Certificate {
	if c == nil || len(c.Certificate) < 2 {
		return nil
	}
	last, err := x509.ParseCertificate(c.Certificate[len(c.Certificate)-1])
	if err != nil {
		return nil
	}
	return last
}

// publicChain says whether a chain leads to a root that this system knows.
func publicChain(c *tls.Certificate) bool {
	leaf := leafOf(c)
	if leaf == nil {
		return false
	}
	between := x509.NewCertPool()
	for _, der := range c.Certificate[1:] {
		if x, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(x)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Minute)})
	return err == nil
}

// readable says early, in plain words, that a file is missing.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// serverNames are the host names and addresses that the internal CA certifies: those of both URLs, the loopback names for
// doctor on the machine itself, and further ones.
func (a *Appliance) serverNames(further []string) (names []string, ips []net.IP) {
	for _, h := range unique(append(append(a.hosts(), "localhost", "127.0.0.1", "::1"), further...)...) {
		if ip := net.ParseIP(h); ip != nil {
			ips = append(ips, ip)
		} else if h != "" {
			names = append(names, h)
		}
	}
	return names, ips
}
