package appliance

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// TestPCWithOneName is an installation where people and devices use the same address. Nobody is asked for a certificate until there is a PC;
// then the PC lives, browsers are asked for one of our authority only, and a session that began without certificate is not resumed.
func TestPCWithOneName(t *testing.T) {
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.DeviceURL = c.URL })
	url := w.Appliance.config.URL
	var asked [][]byte
	browser := func() int {
		t.Helper()
		asked = nil
		count := 0
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: w.roots, GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			count++
			asked = r.AcceptableCAs
			return &tls.Certificate{}, nil
		}}}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(url + "/signin")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Errorf("the page: %s over %s", resp.Status, resp.Proto)
		}
		return count
	}
	if browser() != 0 {
		t.Error("a browser is asked for a certificate where no PC is managed")
	}
	pc, id := w.pc(sim.WindowsOptions{Name: "ONE-NAME", Seed: 3}, w.invitation("Carla", fleet.Windows, fleet.Corporate, 1))
	w.eventually("the PC is managed", func() bool {
		d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, id)
		return err == nil && d.State == fleet.Managed
	})
	if browser() != 1 || len(asked) != 1 || !bytes.Equal(asked[0], w.Appliance.pki.Issuing().RawSubject) {
		t.Errorf("asked for certificates of %q, want of our issuing authority only", asked)
	}

	// The same client, first without and then with its certificate, as one whose TLS library keeps sessions.
	cache := tls.NewLRUClientSessionCache(4)
	say := func(certs ...tls.Certificate) string {
		t.Helper()
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, ClientSessionCache: cache, Certificates: certs}}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Post(url+"/mdm/windows/session", "application/vnd.syncml.dm+xml", strings.NewReader("no message"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return strings.TrimSpace(string(body))
	}
	if got := say(); got != "no identity" {
		t.Errorf("without certificate: %q", got)
	}
	own := pc.ClientCertificate()
	for range 2 { // the second time the session is resumed
		if got := say(own); got != "message" {
			t.Errorf("with its certificate: %q", got)
		}
	}

	if n := w.need("need.one-name-pcs"); n == nil || n.Severity != fleet.SeverityHint {
		t.Errorf("nobody is told of the browsers' question: %+v", n)
	}
	w.restart()
	if !w.Appliance.pcs.Load() {
		t.Error("after a restart the PC is not asked")
	}
}
