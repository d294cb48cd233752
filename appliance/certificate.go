package appliance

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// certificate is the listener's own certificate. It is replaced without a restart: a handshake takes what is there at that
// moment, and sessions that run keep theirs.
type certificate struct {
	now  atomic.Pointer[tls.Certificate]
	load func(context.Context) (*tls.Certificate, error)
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }

// refresh loads the certificate anew; on error the old one stays.
func (c *certificate) refresh(ctx context.Context) error {
	cert, err := c.load(ctx)
	if err != nil {
		return err
	}
	c.now.Store(cert)
	return nil
}

// certificateSource chooses by mode where the certificate comes from.
func (a *Appliance) certificateSource() func(context.Context) (*tls.Certificate, error) {
	if a.config.TLS == TLSFiles {
		return func(context.Context) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(a.config.TLSCert, a.config.TLSKey)
			if err != nil {
				return nil, fmt.Errorf("reading the TLS certificate: %w", err)
			}
			return &cert, nil
		}
	}
	names, ips := a.serverNames()
	return func(ctx context.Context) (*tls.Certificate, error) {
		return a.pki.ServerCertificate(ctx, names, ips)
	}
}

// serverNames are the host names and addresses that the internal CA certifies: those of both URLs, and the loopback names for
// doctor on the machine itself.
func (a *Appliance) serverNames() (names []string, ips []net.IP) {
	seen := map[string]bool{}
	for _, h := range []string{a.doors.public.host, a.doors.device.host, "localhost", "127.0.0.1", "::1"} {
		if seen[h] {
			continue
		}
		seen[h] = true
		if ip := net.ParseIP(h); ip != nil {
			ips = append(ips, ip)
		} else if h != "" {
			names = append(names, h)
		}
	}
	return names, ips
}

// readable says early, in plain words, that a file is missing.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
