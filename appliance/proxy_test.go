package appliance

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

// Behind a reverse proxy the outside address is said once, with --url: pages, redirects and the look at ourselves use it. The audit log has the
// address of the person, not of the proxy, and nobody can write another there.
func TestBehindAReverseProxy(t *testing.T) {
	inside := ownPort(t)
	target := &url.URL{Scheme: "https", Host: "127.0.0.1:" + inside}
	front := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host; r.SetXForwarded() },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	})
	t.Cleanup(front.Close)
	w := newWorldWith(t, t.TempDir(), func(c *Config) {
		c.TLS, c.Listen, c.URL, c.DeviceURL, c.TrustedProxies = "", "127.0.0.1:"+inside, front.URL, "", "127.0.0.1"
	})
	w.roots.AddCert(front.Certificate())
	c := w.browser()
	resp, err := c.Get(front.URL + "/devices")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Request.URL; got.Host != strings.TrimPrefix(front.URL, "https://") || got.Path != "/signin" {
		t.Errorf("sent to %s", got)
	}
	for _, path := range []string{"/metrics"} {
		resp, err := c.Get(front.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s through the proxy: %s", path, resp.Status)
		}
	}
	if err := w.Appliance.lookAtItself(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.need("need.name-elsewhere"); n != nil {
		t.Errorf("takes itself behind the proxy for another: %+v", n)
	}
	if w.need("need.tls-chain") == nil {
		t.Error("nobody is told that devices do not trust the proxy's certificate")
	}

	// A failed sign-in with an invented address before the real one.
	req, _ := http.NewRequestWithContext(t.Context(), "POST", front.URL+"/signin", strings.NewReader(url.Values{"mail": {"nobody@noordhaven.example"}, "password": {"wrong"}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", front.URL)
	req.Header.Set("X-Forwarded-For", "203.0.113.66")
	if resp, err = c.Do(req); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	l, err := w.Appliance.fleet.Audit(t.Context(), w.Actor, fleet.AuditQuery{Verb: "sign-in-failed"})
	if err != nil || len(l.Items) == 0 {
		t.Fatalf("no failed sign-in in the log: %v, %s", err, resp.Status)
	}
	if from := l.Items[0].From; from != "127.0.0.1" {
		t.Errorf("the log has it from %q", from)
	}
}

// Only a trusted proxy is believed, and of what it passes on only what it or another of them added.
func TestTrustedProxiesAreBelieved(t *testing.T) {
	p, err := parseProxies("10.0.0.5, 192.168.4.0/24,fd00::/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, said, want string }{
		{"203.0.113.9:4000", "198.51.100.1", "203.0.113.9"},
		{"10.0.0.5:4000", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.5:4000", "198.51.100.7, 198.51.100.1", "198.51.100.1"},
		{"10.0.0.5:4000", "198.51.100.1, 192.168.4.9", "198.51.100.1"},
		{"10.0.0.5:4000", "nonsense, 192.168.4.9", "192.168.4.9"},
		{"10.0.0.5:4000", "", "10.0.0.5"},
		{"[::ffff:10.0.0.5]:4000", "2001:db8::1", "2001:db8::1"},
	} {
		var got string
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		if c.said != "" {
			r.Header.Set("X-Forwarded-For", c.said)
		}
		p.seen(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _, _ = net.SplitHostPort(r.RemoteAddr) })).ServeHTTP(nil, r)
		if got != c.want {
			t.Errorf("%s says %q: %s, want %s", c.from, c.said, got, c.want)
		}
	}
	if _, err := parseProxies("proxy.example"); err == nil {
		t.Error("a name is taken for an address")
	}
}

// Headers are as long as the one client that needs long ones makes them, on the door that it uses.
func TestHeadersAreBounded(t *testing.T) {
	w := newWorld(t)
	for base, want := range map[string]int{w.Appliance.config.URL: http.StatusRequestHeaderFieldsTooLarge, w.Appliance.config.DeviceURL: http.StatusOK} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/ca/root.crt", nil)
		req.Header.Set("Mdm-Signature", strings.Repeat("x", 200<<10))
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}} // HTTP/1.1
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tr.CloseIdleConnections()
		if resp.StatusCode != want {
			t.Errorf("200 KB of headers at %s: %s, want %d", base, resp.Status, want)
		}
	}
}
