package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
)

// Limits of the listeners. SCEP by GET carries a whole message in its request line, hence 16 KiB of headers and more.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = 3 * time.Minute
	writeTimeout      = 10 * time.Minute // the export of a long audit log
	maxHeaderBytes    = 1 << 20          // Mdm-Signature is up to 1 MB, where devices call
	lessHeaderBytes   = 64 << 10         // elsewhere
)

// address is where a URL leads: host name and port.
type address struct{ host, port string }

func addressOf(raw string) address {
	u, err := url.Parse(raw)
	if err != nil {
		return address{}
	}
	a := address{host: strings.ToLower(u.Hostname()), port: u.Port()}
	if a.port == "" {
		a.port = "443"
	}
	return a
}

// doors says which listeners there are and on which of them a client certificate is asked for.
type doors struct {
	public, device address
	oneName        bool // --url and --device-url are the same: browsers and devices cannot be told apart before they speak
}

func newDoors(c Config) doors {
	d := doors{public: addressOf(c.URL), device: addressOf(c.DeviceURL)}
	d.oneName = d.public == d.device
	return d
}

// asksCertificate says whether a TLS handshake should ask for a client certificate: on the device port, or for the device's
// host name on a shared port. With one name for all it does so once there are PCs: Apple devices can sign their messages instead, Windows
// can only show its certificate, so that browsers on managed machines have to live with being asked.
func (d doors) asksCertificate(serverName string, devicePort, pcs bool) bool {
	if devicePort {
		return true
	}
	if d.oneName {
		return pcs && (strings.EqualFold(serverName, d.device.host) || serverName == "" && net.ParseIP(d.device.host) != nil)
	}
	return d.device.host != d.public.host && strings.EqualFold(serverName, d.device.host)
}

// tlsConfig of one listener. Certificates are requested, never required: the handlers check them per request, so that a device
// gets an answer it understands instead of a broken handshake.
func (a *Appliance) tlsConfig(devicePort bool) *tls.Config {
	base := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: a.tls.get,
		NextProtos:     []string{"h2", "http/1.1"},
	}
	asking := base.Clone()
	asking.ClientAuth = tls.RequestClientCert
	resumeWithCertificate(asking)
	if a.doors.oneName {
		// The names of the authorities whose certificates will do: a browser that has none of theirs asks its user nothing.
		asking.ClientCAs = x509.NewCertPool()
		asking.ClientCAs.AddCert(a.pki.Issuing())
	} else {
		// Devices speak HTTP/1.1 over one connection; HTTP/2 gains them nothing and costs the idle check-in a third.
		asking.NextProtos = []string{"http/1.1"}
	}
	challenge := base.Clone()
	challenge.NextProtos = []string{acmez.ACMETLS1Protocol}
	base.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if isChallenge(h) {
			return challenge, nil
		}
		if a.doors.asksCertificate(h.ServerName, devicePort, a.pcs.Load()) {
			return asking, nil
		}
		return nil, nil
	}
	return base
}

// resumeWithCertificate lets only those sessions be resumed that began with a client certificate. A client that enrols has none yet; were its
// session resumed, it would never be asked for the one that it got.
func resumeWithCertificate(c *tls.Config) {
	const mark = "muster: with certificate"
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		if len(cs.PeerCertificates) > 0 {
			ss.Extra = append(ss.Extra, []byte(mark))
		}
		return c.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := c.DecryptTicket(identity, cs)
		if ss == nil || err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(ss.Extra, func(x []byte) bool { return string(x) == mark }) {
			return nil, nil // a full handshake
		}
		return ss, nil
	}
}

// patient gives a reader a while to take an answer: one that takes none would hold its connection for ever. A live page is written to for as
// long as somebody looks.
func patient(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var until time.Time
		if routeClass(r.URL.Path) != "live" {
			until = time.Now().Add(writeTimeout)
		}
		_ = http.NewResponseController(w).SetWriteDeadline(until) // where there is none, nothing is lost
		h.ServeHTTP(w, r)
	})
}

// serve runs one HTTP server on ln until ctx ends, then lets requests finish for a while.
// With tc nil it speaks plain HTTP.
func (a *Appliance) serve(ctx context.Context, name string, ln net.Listener, tc *tls.Config, h http.Handler) error {
	headers := lessHeaderBytes
	if ln == a.device || ln == a.public && a.device == nil {
		headers = maxHeaderBytes
	}
	trusted, err := parseProxies(a.config.TrustedProxies)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: trusted.seen(a.metrics.measure(patient(h))), TLSConfig: tc, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headers, ErrorLog: quietLog(a.log, name),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		bye, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if srv.Shutdown(bye) != nil { // live pages hold their connection open
			srv.Close()
		}
	})
	if tc != nil {
		err = srv.ServeTLS(ln, "", "")
	} else {
		err = srv.Serve(ln)
	}
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("%s listener: %w", name, err)
}

// peer returns the client certificate of a request, or nil.
func peer(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}
