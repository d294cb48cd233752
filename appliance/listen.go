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
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
)

// Limits of the listeners. SCEP by GET carries a whole message in its request line, hence 16 KiB of headers and more.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = 3 * time.Minute
	maxHeaderBytes    = 1 << 20 // Mdm-Signature is up to 1 MB
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
	oneName        bool // --url and --device-url are the same: certificates cannot be asked for without disturbing browsers
}

func newDoors(c Config) doors {
	d := doors{public: addressOf(c.URL), device: addressOf(c.DeviceURL)}
	d.oneName = d.public == d.device
	return d
}

// asksCertificate says whether a TLS handshake should ask for a client certificate: on the device port, or for the device's
// host name on a shared port.
func (d doors) asksCertificate(serverName string, devicePort bool) bool {
	if devicePort {
		return true
	}
	return !d.oneName && d.device.host != d.public.host && strings.EqualFold(serverName, d.device.host)
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
	// Devices speak HTTP/1.1 over one connection; HTTP/2 gains them nothing and costs the idle check-in a third.
	asking.NextProtos = []string{"http/1.1"}
	challenge := base.Clone()
	challenge.NextProtos = []string{acmez.ACMETLS1Protocol}
	base.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if isChallenge(h) {
			return challenge, nil
		}
		if a.doors.asksCertificate(h.ServerName, devicePort) {
			return asking, nil
		}
		return nil, nil
	}
	return base
}

// serve runs one HTTP server on ln until ctx ends, then lets requests finish for a while.
// With tc nil it speaks plain HTTP.
func (a *Appliance) serve(ctx context.Context, name string, ln net.Listener, tc *tls.Config, h http.Handler) error {
	srv := &http.Server{
		Handler: h, TLSConfig: tc, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: quietLog(a.log, name),
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
	var err error
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
