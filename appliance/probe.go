package appliance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"muster/appliance/fleet"
)

// probe looks at the server as a device does: by its public names, over IPv4 and IPv6 (P4), with the clock of an authority beside ours. It
// contacts nobody but itself and, where the certificates come from ACME, that authority.
type probe struct {
	mu    sync.Mutex
	needs []fleet.Need
	fine  []reached
}

// reached is an address that answered as it should.
type reached struct{ Address, Family string }

const (
	probeTakes = 10 * time.Second // one connection
	clockOff   = 2 * time.Minute  // a clock that is further off is a matter
)

// probeNeeds are what the last probe found.
func (a *Appliance) probeNeeds(context.Context) ([]fleet.Need, error) {
	a.probe.mu.Lock()
	defer a.probe.mu.Unlock()
	return a.probe.needs, nil
}

// lookAtItself probes, and keeps what it found.
func (a *Appliance) lookAtItself(ctx context.Context) error {
	var needs []fleet.Need
	var fine []reached
	add := func(severity, object, code string, pairs ...string) {
		needs = append(needs, fleet.NewNeed(severity, object, fleet.Why(code, pairs...)))
	}
	addresses := unique(a.config.URL, a.config.DeviceURL)
	for i, raw := range append(addresses, a.furtherAddresses()...) {
		where := addressOf(raw)
		grave := fleet.SeverityError
		if i >= len(addresses) { // a further name: what comes to the addresses finds its way
			grave = fleet.SeverityWarning
		}
		ips, err := a.config.lookup(ctx, where.host)
		if err != nil {
			add(grave, "name/"+where.host, "need.name-unknown", "name", where.host)
			continue
		}
		answered := 0
		tried := map[string]error{}
		for _, ip := range ips {
			family := "IPv6"
			if ip.Unmap().Is4() {
				family = "IPv4"
			}
			if err, done := tried[family]; done && err == nil {
				continue
			}
			tried[family] = a.reach(ctx, where.host, net.JoinHostPort(ip.Unmap().String(), where.port))
			if tried[family] == nil {
				answered++
				fine = append(fine, reached{raw, family})
			}
		}
		for _, family := range []string{"IPv4", "IPv6"} {
			err := tried[family]
			severity := fleet.SeverityWarning
			if answered == 0 {
				severity = grave
			}
			switch {
			case err == nil:
			case errors.Is(err, errElsewhere):
				add(severity, "address/"+raw, "need.name-elsewhere", "address", raw, "family", family)
			case errors.Is(err, errUntrusted):
				add(severity, "address/"+raw, "need.tls-chain", "name", where.host)
			default:
				a.log.Debug("the server does not reach itself", "address", raw, "family", family, "err", err)
				add(severity, "address/"+raw, "need.name-unreachable", "address", raw, "family", family)
			}
		}
	}
	if base := revocationBase(a.config); a.plain != nil {
		if err := a.reachPlain(ctx, base); err != nil {
			add(fleet.SeverityWarning, "revocation", "need.name-unreachable", "address", base, "family", "HTTP")
		}
	}
	if than, off := a.clockAgainst(ctx); off.Abs() > clockOff {
		add(fleet.SeverityError, "clock", "need.clock-off", "by", off.Abs().Round(time.Second).String(), "than", than)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.probe.mu.Lock()
	a.probe.needs, a.probe.fine = needs, fine
	a.probe.mu.Unlock()
	a.fleet.Announce("settings")
	return nil
}

// furtherAddresses are the further names of the settings as people and PCs reach them.
func (a *Appliance) furtherAddresses() (out []string) {
	for _, name := range a.tls.further() {
		address := "https://" + name
		if port := a.doors.public.port; port != "443" {
			address += ":" + port
		}
		out = append(out, address)
	}
	return out
}

var (
	errElsewhere = errors.New("another server answers")
	errUntrusted = errors.New("the certificate that answers is not trusted")
)

// reach asks what answers at addr under a host name for our root certificate: that tells us from another server, behind a proxy too.
func (a *Appliance) reach(ctx context.Context, host, addr string) error {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, der := range append(a.tls.roots(), a.pki.Root().Raw) {
		if c, err := x509.ParseCertificate(der); err == nil {
			roots.AddCert(c)
		}
	}
	// A proxy in front has a certificate of its own, and a device must trust that one; so it is looked at after the answer.
	var shown atomic.Pointer[tls.ConnectionState] // a handshake may still be going on when the request has been given up
	client := &http.Client{Timeout: probeTakes, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: probeTakes}).DialContext(ctx, network, addr)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: host, VerifyConnection: func(s tls.ConnectionState) error { shown.Store(&s); return nil }},
	}}
	_, port, _ := net.SplitHostPort(addr)
	body, err := fetch(ctx, client, "https://"+net.JoinHostPort(host, port)+"/ca/root.crt")
	state := shown.Load()
	switch {
	case err != nil && state == nil:
		return err
	case err != nil || !bytes.Equal(body, a.pki.Root().Raw):
		return errElsewhere
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between, CurrentTime: a.config.Clock()}); err != nil {
		return fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return nil
}

// reachPlain asks for the root certificate where verifiers will ask for revocation lists.
func (a *Appliance) reachPlain(ctx context.Context, base string) error {
	client := &http.Client{Timeout: probeTakes, Transport: &http.Transport{DisableKeepAlives: true}}
	body, err := fetch(ctx, client, base+"/ca/root.crt")
	if err == nil && !bytes.Equal(body, a.pki.Root().Raw) {
		err = errElsewhere
	}
	return err
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 64<<10))
}

// clockAgainst says how far our clock is ahead, and of what: of the ACME authority's, which is asked anyway, or of the birth of our own
// authority, which cannot lie ahead of us.
func (a *Appliance) clockAgainst(ctx context.Context) (than string, off time.Duration) {
	now := a.config.Clock()
	if born := a.pki.Root().NotBefore; now.Before(born) {
		return a.pki.Root().Subject.CommonName, now.Sub(born)
	}
	a.tls.mu.Lock()
	s := a.tls.settings
	a.tls.mu.Unlock()
	if s.Mode != fleet.TLSACME {
		return "", 0
	}
	_, at, err := readDirectory(ctx, s)
	if err != nil || at.IsZero() {
		return "", 0
	}
	return addressOf(s.Directory).host, a.config.Clock().Sub(at)
}
