package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"muster/appliance/fleet"
)

// acmeNames are the certificates of one ACME authority for the names of this server.
//
// certmagic does the protocol, answers the challenges on our own listeners, keeps everything in our store and watches the dates and the
// authority's renewal information. What is done here is to ask for what is missing, by the appliance's own clock too, one attempt at a time,
// and to remember what came of it: a person must be able to see why there is no certificate, and when the next attempt is.
type acmeNames struct {
	a       *Appliance
	names   []string
	ca      string
	cache   *certmagic.Cache
	config  *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	storage *acmeStorage
	ctx     context.Context // ends with stop
	cancel  context.CancelFunc
	ended   sync.Once

	looking sync.Mutex // held during look
	mu      sync.Mutex
	tries   map[string]*attempts
}

// attempts at one certificate.
type attempts struct {
	failed  int
	problem *fleet.Reason
	tried   time.Time
	next    time.Time
	now     bool // somebody asked for it
}

// acmeAfter is how long to wait after so many failed attempts: eager at first, because a person may be mending it, then sparing, since
// authorities count failures (Let's Encrypt takes five an hour for a name).
var acmeAfter = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

const (
	acmeLimited = 3 * time.Hour    // wait when the authority says that there were too many requests
	acmeTakes   = 90 * time.Second // one certificate at most
	acmeAgain   = 24 * time.Hour   // a certificate that was made within this is not made again, whatever the clock says
)

// neverAsks is certmagic's issuer, but never asks on the terminal for an address: a server has nobody there.
type neverAsks struct{ *certmagic.ACMEIssuer }

func (i neverAsks) PreCheck(ctx context.Context, names []string, _ bool) error {
	return i.ACMEIssuer.PreCheck(ctx, names, false)
}

// newACMENames sets certmagic up and takes from the store what is there. It asks nobody.
func (a *Appliance) newACMENames(ctx context.Context, s fleet.ServerTLS) (*acmeNames, error) {
	n := &acmeNames{a: a, names: unique(append(a.hosts(), s.Names...)...), ca: s.Directory, tries: map[string]*attempts{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	log := zapTo(a.log)
	n.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return n.config, nil },
		Logger:           log,
	})
	n.storage = newACMEStorage(a.db, a.config.Clock)
	n.config = certmagic.New(n.cache, certmagic.Config{
		Storage: n.storage, Logger: log, DefaultServerName: n.names[0],
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // starting must not wait for an authority's servers
	})
	issuer := certmagic.ACMEIssuer{
		CA: s.Directory, Email: s.Mail, Agreed: true, Logger: log, CertObtainTimeout: acmeTakes, DisableHTTPChallenge: a.plain == nil,
	}
	issuer.ListenHost, issuer.AltTLSALPNPort = hostAndPort(a.public)
	if a.plain != nil {
		_, issuer.AltHTTPPort = hostAndPort(a.plain)
	}
	if roots := fleet.ParseRoots(s.Roots); roots != nil {
		issuer.TrustedRoots = x509.NewCertPool()
		for _, c := range roots {
			issuer.TrustedRoots.AddCert(c)
		}
	}
	if s.EABKeyID != "" {
		issuer.ExternalAccount = &acme.EAB{KeyID: s.EABKeyID, MACKey: s.EABKey}
	}
	n.issuer = certmagic.NewACMEIssuer(n.config, issuer)
	n.config.Issuers = []certmagic.Issuer{neverAsks{n.issuer}}
	for _, name := range n.names {
		n.tries[name] = &attempts{}
		if _, err := n.config.CacheManagedCertificate(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.stop()
			return nil, err
		}
	}
	return n, nil
}

// hostAndPort are where a listener listens; no host means everywhere. certmagic listens there itself when nobody else does.
func hostAndPort(ln net.Listener) (string, int) {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	n, _ := strconv.Atoi(port)
	return host, n
}

func (n *acmeNames) get(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if h.ServerName != "" && !isChallenge(h) && n.leaf(h.ServerName) == nil {
		return nil, fs.ErrNotExist // certmagic would log it
	}
	return n.config.GetCertificate(h)
}

// newest is the cached certificate for a name that lasts longest.
func (n *acmeNames) newest(name string) (best certmagic.Certificate, found bool) {
	for _, c := range n.cache.AllMatchingCertificates(name) {
		if c.Leaf != nil && (!found || c.Leaf.NotAfter.After(best.Leaf.NotAfter)) {
			best, found = c, true
		}
	}
	return best, found
}

func (n *acmeNames) leaf(name string) *x509.Certificate {
	c, _ := n.newest(name)
	return c.Leaf
}

// complete says whether there is a certificate for every name.
func (n *acmeNames) complete() bool {
	for _, name := range n.names {
		if n.leaf(name) == nil {
			return false
		}
	}
	return true
}

func (n *acmeNames) state(name string) (*fleet.Reason, time.Time, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.tries[name]
	return t.problem, t.tried, t.next
}

// hurry makes the next look try at once.
func (n *acmeNames) hurry() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.tries {
		t.now = true
	}
}

// look gets what is missing and due, and says when to look again.
func (n *acmeNames) look(ctx context.Context) time.Duration {
	n.looking.Lock()
	defer n.looking.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	wait := lookEvery
	for _, name := range n.names {
		wait = min(wait, n.attempt(ctx, name))
	}
	return wait
}

// attempt does what is due for one name: nothing, mostly.
func (n *acmeNames) attempt(ctx context.Context, name string) time.Duration {
	n.mu.Lock()
	t := *n.tries[name]
	n.tries[name].now = false
	n.mu.Unlock()
	now := n.a.config.Clock()
	if left := t.next.Sub(now); t.problem != nil && !t.now && left > 0 && left <= acmeAfter[len(acmeAfter)-1] {
		return left
	}
	err := n.ensure(ctx, name)
	if ctx.Err() != nil {
		return lookEvery
	}
	now = n.a.config.Clock()
	next := &attempts{tried: now, next: now.Add(lookEvery)}
	if err != nil {
		next.failed = t.failed + 1
		after := acmeAfter[min(next.failed, len(acmeAfter))-1]
		next.problem = n.why(name, err)
		if next.problem.Code == "need.tls-limited" {
			after = max(after, acmeLimited)
		}
		next.next = now.Add(after)
		n.a.log.Warn("no certificate from the ACME authority", "name", name, "ca", n.ca, "next", next.next, "err", err)
	}
	n.mu.Lock()
	next.now = n.tries[name].now
	n.tries[name] = next
	n.mu.Unlock()
	n.a.fleet.Announce("settings")
	return next.next.Sub(now)
}

// ensure obtains the certificate for a name if there is none, and renews it when certmagic or our own clock says that it is time.
func (n *acmeNames) ensure(ctx context.Context, name string) error {
	old, err := n.config.CacheManagedCertificate(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := n.config.ObtainCertSync(ctx, name); err != nil {
			return err
		}
		_, err = n.config.CacheManagedCertificate(ctx, name)
		return err
	}
	if err != nil {
		return err
	}
	if !old.NeedsRenewal(n.config) && !n.due(ctx, name, old.Leaf) {
		return nil
	}
	if err := n.config.RenewCertSync(ctx, name, true); err != nil {
		return err
	}
	renewed, err := n.config.CacheManagedCertificate(ctx, name)
	if err == nil && renewed.Hash() != old.Hash() {
		n.cache.Remove([]string{old.Hash()})
	}
	return err
}

// due says whether two thirds of a certificate's life are over by the appliance's clock. What was made within a day is not made again: with a
// clock that is ahead every new certificate would seem due, until the authority refuses.
func (n *acmeNames) due(ctx context.Context, name string, leaf *x509.Certificate) bool {
	now := n.a.config.Clock()
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if now.Before(leaf.NotAfter.Add(-life / 3)) {
		return false
	}
	info, err := n.storage.Stat(ctx, certmagic.StorageKeys.SiteCert(n.issuer.IssuerKey(), name))
	return err != nil || now.Sub(info.Modified).Abs() > acmeAgain
}

// why says for people what an error of the authority means.
func (n *acmeNames) why(name string, err error) *fleet.Reason {
	code := "need.tls-unreachable"
	words := err.Error()
	var problem acme.Problem
	if errors.As(err, &problem) {
		code, words = "need.tls-refused", problem.Detail
		if words == "" {
			words = problem.Type
		}
		for _, sub := range problem.Subproblems {
			words += "; " + sub.Detail
		}
		if problem.Type == acme.ProblemTypeRateLimited || problem.Status == http.StatusTooManyRequests {
			code = "need.tls-limited"
		}
	}
	r := fleet.Why(code, "name", name, "ca", n.ca, "why", cut(words, 500))
	return &r
}

// answers says whether a request over plain HTTP was the authority's look at our control of a name (RFC 8555, 8.3), and answers it.
func (k *serverTLS) answers(w http.ResponseWriter, r *http.Request) bool {
	for _, n := range k.acmeNames() {
		if n.issuer.HandleHTTPChallenge(w, r) {
			return true
		}
	}
	return false
}

// stop ends everything. What is under way is broken off.
func (n *acmeNames) stop() {
	n.ended.Do(func() {
		n.cancel()
		n.looking.Lock()
		n.looking.Unlock() //nolint:staticcheck // waits for the attempt that is under way
		n.cache.Stop()
		n.storage.close()
	})
}
