package appliance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// acmeCA is a real ACME server, pebble, that really looks at the names: by a name server of its own, on the ports of the appliance.
type acmeCA struct {
	*httptest.Server
	roots  string                                // PEM: of its own HTTPS server, and of what it issues
	pool   *x509.CertPool                        // of what it issues
	orders atomic.Int32                          // new orders so far
	mood   atomic.Value                          // "", "down" or "limited"
	final  atomic.Pointer[func(context.Context)] // called instead of making a certificate; nil = it is made
}

// directory is where its directory lies.
func (c *acmeCA) directory() string { return c.URL + wfe.DirectoryPath }

func newACMECA(t *testing.T, tlsPort, httpPort string, eab map[string]string) *acmeCA {
	t.Helper()
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuing := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: 90 * 24 * 3600}})
	looks := va.New(quiet, atoi(t, httpPort), atoi(t, tlsPort), true, nameServer(t), store)
	for id, key := range eab {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	front := wfe.New(quiet, store, looks, issuing, []string{"pebble.test"}, true, eab != nil, 0, 0)
	handler := front.Handler()
	c := &acmeCA{pool: x509.NewCertPool()}
	c.mood.Store("")
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch c.mood.Load() {
		case "down":
			panic(http.ErrAbortHandler)
		case "limited":
			if r.Method == http.MethodPost {
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
				io.WriteString(w, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates already issued","status":429}`)
				return
			}
		}
		if f := c.final.Load(); f != nil && strings.Contains(r.URL.Path, "finalize") {
			io.Copy(io.Discard, r.Body) // only then is it noticed that the client hangs up
			(*f)(r.Context())
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(&orderCounter{w, r.URL.Path, c}, r)
	}))
	c.Config.ErrorLog = quiet
	t.Cleanup(c.Close)
	root := issuing.GetRootCert(0)
	issued, err := x509.ParseCertificate(root.DER)
	if err != nil {
		t.Fatal(err)
	}
	c.pool.AddCert(issued)
	for _, x := range []*x509.Certificate{c.Certificate(), issued} {
		c.roots += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw}))
	}
	return c
}

// orderCounter counts orders that were taken; those refused for a stale nonce come again.
type orderCounter struct {
	http.ResponseWriter
	path string
	ca   *acmeCA
}

func (o *orderCounter) WriteHeader(status int) {
	if status == http.StatusCreated && strings.Contains(o.path, "order-plz") {
		o.ca.orders.Add(1)
	}
	o.ResponseWriter.WriteHeader(status)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// nameServer answers that every name leads to this machine, but for one.
func nameServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(r)
		if q := r.Question[0]; q.Qtype == dns.TypeA && q.Name != nowhere+"." {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
		}
		w.WriteMsg(m)
	})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { srv.Shutdown() })
	return ln.Addr().String()
}

// portOf is the port of an address or URL.
func portOf(t *testing.T, addr string) string {
	t.Helper()
	if strings.Contains(addr, "://") {
		return addressOf(addr).port
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// movable is a clock that tests move.
type movable struct{ by atomic.Int64 }

func (m *movable) now() time.Time           { return time.Now().Add(time.Duration(m.by.Load())) }
func (m *movable) forward(by time.Duration) { m.by.Add(int64(by)) }

// named gives a world two names on one port.
func named(clock *movable) func(*Config) {
	return func(c *Config) {
		port := addressOf(c.URL).port
		c.TLS, c.URL, c.DeviceURL, c.lookup = "", "https://muster.test:"+port, "https://devices.muster.test:"+port, testNames
		if clock != nil {
			c.Clock = clock.now
		}
	}
}

// shake makes a TLS connection for a name, trusting roots alone.
func (w *world) shake(name string, roots *x509.CertPool) (*tls.Conn, error) {
	return tls.Dial("tcp", w.config.Listen, &tls.Config{ServerName: name, RootCAs: roots})
}

// serial of the certificate served for a name under roots; "" when it is not trusted.
func (w *world) serial(name string, roots *x509.CertPool) string {
	c, err := w.shake(name, roots)
	if err != nil {
		return ""
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// need finds one by its code.
func (w *world) need(code string) *fleet.Need {
	w.t.Helper()
	all, err := w.Appliance.fleet.Needs(w.t.Context(), w.Actor)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range all {
		if all[i].Reason.Code == code {
			return &all[i]
		}
	}
	return nil
}

func (w *world) useACME(c *acmeCA, change func(*fleet.ServerTLS)) error {
	in := fleet.ServerTLS{Mode: fleet.TLSACME, Directory: c.directory(), Mail: "it@noordhaven.example", Roots: c.roots, Confirmed: true}
	if change != nil {
		change(&in)
	}
	_, err := w.Appliance.fleet.SaveServerTLS(w.t.Context(), w.Actor, in)
	return err
}

// From the internal authority to ACME without a restart, for two names on one port by TLS-ALPN-01; a restart asks for nothing; renewal by the
// clock; an authority that is away or refuses is a warning, and what is served stays. Nobody's connection is cut by any of it.
func TestACMEIssuesRenewsAndKeepsServing(t *testing.T) {
	clock := &movable{}
	w := newWorldWith(t, t.TempDir(), named(clock))
	c := newACMECA(t, portOf(t, w.config.Listen), "1", nil)
	names := []string{"muster.test", "devices.muster.test"}

	held, err := w.shake("devices.muster.test", w.roots)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ask := func(when string) {
		t.Helper()
		fmt.Fprintf(held, "GET /ca/root.crt HTTP/1.1\r\nHost: devices.muster.test\r\n\r\n")
		held.SetReadDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, 4096)
		if n, err := held.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
			t.Fatalf("a device's connection %s: %v %q", when, err, buf[:n])
		}
	}
	ask("before")

	if err := w.useACME(c, nil); err != nil {
		t.Fatal(err)
	}
	first := map[string]string{}
	for _, name := range names {
		w.eventually("a certificate for "+name, func() bool { return w.serial(name, c.pool) != "" })
		first[name] = w.serial(name, c.pool)
	}
	if first[names[0]] == first[names[1]] {
		t.Error("one certificate for both names: whoever looks at one learns of the other")
	}
	ask("after the change of mode")
	if w.serial("localhost", w.roots) == "" {
		t.Error("doctor on the machine itself finds no certificate of ours for localhost")
	}
	if orders := c.orders.Load(); orders != 2 {
		t.Errorf("%d orders for two names", orders)
	}

	// A restart takes what the store holds.
	held.Close()
	w.restart()
	if held, err = w.shake("devices.muster.test", c.pool); err != nil {
		t.Fatal(err)
	}
	w.looked()
	for _, name := range names {
		if got := w.serial(name, c.pool); got != first[name] {
			t.Errorf("after a restart %s has certificate %s, had %s", name, got, first[name])
		}
	}
	if orders := c.orders.Load(); orders != 2 {
		t.Errorf("a restart led to %d orders", orders-2)
	}

	// Two thirds of its life later it is renewed, once.
	clock.forward(61 * 24 * time.Hour)
	w.looked()
	w.looked()
	second := map[string]string{}
	for _, name := range names {
		second[name] = w.serial(name, c.pool)
		if second[name] == "" || second[name] == first[name] {
			t.Errorf("%s was not renewed: %q", name, second[name])
		}
	}
	if orders := c.orders.Load(); orders != 4 {
		t.Errorf("%d orders after one renewal of two names, want 4", orders)
	}
	ask("after a renewal")

	// The authority is away: served as before, and a person is told.
	clock.forward(2 * 24 * time.Hour)
	for _, away := range [][2]string{{"down", "need.tls-unreachable"}, {"limited", "need.tls-limited"}} {
		mood, code := away[0], away[1]
		c.mood.Store(mood)
		w.looked()
		n := w.need(code)
		if n == nil || n.Severity != fleet.SeverityWarning || n.Reason.Args["why"] == "" || n.Link != "/settings/tls" {
			t.Errorf("%s: need %+v", mood, n)
		}
		if got := w.serial(names[0], c.pool); got != second[names[0]] {
			t.Errorf("%s: served %q", mood, got)
		}
	}
	for _, served := range w.Appliance.tls.Certificates() {
		if wait := served.Next.Sub(clock.now()); wait < 2*time.Hour {
			t.Errorf("%s: next attempt in %s although the authority is overrun", served.Name, wait)
		}
	}
	c.mood.Store("")
	w.looked()
	if w.need("need.tls-limited") != nil || w.serial(names[0], c.pool) == second[names[0]] {
		t.Error("the authority is back, and nothing was renewed")
	}
	ask("after everything")

	kept := w.serial(names[0], c.pool)

	// Back to the internal authority at once.
	if _, err := w.Appliance.fleet.SaveServerTLS(t.Context(), w.Actor, fleet.ServerTLS{Mode: fleet.TLSInternal}); err != nil {
		t.Fatal(err)
	}
	if w.serial(names[0], w.roots) == "" {
		t.Error("not served by the internal authority after the change back")
	}
	ask("after the change back")
	clock.forward(-63 * 24 * time.Hour)
	w.keepsFurtherNames(c, names[0], kept, ask)
}

// looked looks for new certificates and waits until that is done.
func (w *world) looked() {
	w.t.Helper()
	if err := w.Appliance.fleet.TryServerTLS(w.t.Context(), w.Actor); err != nil {
		w.t.Fatal(err)
	}
	w.Appliance.tls.look(w.t.Context())
}

// An authority that wants an external account gets it; without or with a wrong key a person is told what is missing.
func TestACMEBindsAnExternalAccount(t *testing.T) {
	key := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	w := newWorldWith(t, t.TempDir(), named(nil))
	c := newACMECA(t, portOf(t, w.config.Listen), "1", map[string]string{"noordhaven": key})
	wantFault(t, w.useACME(c, nil), "eab_key_id", "tls.eab-required")
	wantFault(t, w.useACME(c, func(s *fleet.ServerTLS) { s.EABKeyID, s.EABKey = "noordhaven", "short" }), "eab_key", "tls.eab-key")

	wrong := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("x"), 32))
	if err := w.useACME(c, func(s *fleet.ServerTLS) { s.EABKeyID, s.EABKey = "noordhaven", wrong }); err != nil {
		t.Fatal(err)
	}
	w.looked()
	if n := w.need("need.tls-refused"); n == nil || n.Severity != fleet.SeverityError {
		t.Errorf("with a wrong key: %+v", n)
	}
	if w.serial("muster.test", w.roots) == "" {
		t.Error("while there is no certificate of the authority, ours must be served")
	}
	if err := w.useACME(c, func(s *fleet.ServerTLS) { s.EABKeyID, s.EABKey = "noordhaven", key }); err != nil {
		t.Fatal(err)
	}
	w.looked()
	if w.serial("muster.test", c.pool) == "" || w.need("need.tls-refused") != nil {
		t.Errorf("with the right key: %+v", w.need("need.tls-refused"))
	}
	got, _, err := w.Appliance.fleet.ServerTLS(t.Context(), w.Actor)
	if err != nil || got.EABKey != "" || !got.EABSet {
		t.Errorf("%+v %v", got, err)
	}
	// Saving again without typing the key keeps it.
	if err := w.useACME(c, func(s *fleet.ServerTLS) { s.EABKeyID = "noordhaven" }); err != nil {
		t.Error(err)
	}
}

// Where plain HTTP is served, the authority may look there.
func TestACMEByPlainHTTP(t *testing.T) {
	var port string
	w := newWorldWith(t, t.TempDir(), func(c *Config) {
		named(nil)(c)
		port = ownPort(t)
		c.HTTP = "127.0.0.1:" + port
	})
	c := newACMECA(t, "1", port, nil) // nobody listens for TLS-ALPN where it looks
	if err := w.useACME(c, nil); err != nil {
		t.Fatal(err)
	}
	w.looked()
	if w.serial("muster.test", c.pool) == "" {
		t.Errorf("no certificate: %+v", w.need("need.tls-refused"))
	}
}

// A phone that enrolled under the internal authority goes on when the certificate comes from a private ACME authority; one that enrols then is
// told to trust that one. The change has to be confirmed, since devices that trust neither would be cut off.
func TestPhonesOutliveAChangeOfAuthority(t *testing.T) {
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.TLS = "" })
	c := newACMECA(t, portOf(t, w.config.Listen), "1", nil)
	for _, x := range fleet.ParseRoots(c.roots) {
		w.roots.AddCert(x) // an administrator gave it to the devices before
	}
	old, oldID := w.device(sim.Options{Kind: sim.IPhone, Seed: 51, Passcode: "482913"}, "Anna", fleet.Corporate)
	w.settle(oldID, fleet.StatusSucceeded)

	err := w.useACME(c, func(s *fleet.ServerTLS) { s.Confirmed = false })
	wantCode(t, err, "tls.cuts-off")
	if err := w.useACME(c, nil); err != nil {
		t.Fatal(err)
	}
	w.looked()
	if w.serial("127.0.0.1", c.pool) == "" {
		t.Fatalf("no certificate for an address: %+v", w.need("need.tls-refused"))
	}
	w.sync(old, oldID)

	young, youngID := w.device(sim.Options{Kind: sim.IPhone, Seed: 52, Passcode: "482913"}, "Bram", fleet.Corporate)
	w.settle(youngID, fleet.StatusSucceeded)
	for _, p := range []*sim.Apple{old, young} {
		if c := p.State().Complaints; len(c) > 0 {
			t.Errorf("a phone complains: %q", c)
		}
	}
	if roots := w.Appliance.tls.roots(); len(roots) != 2 || bytes.Equal(roots[1], w.Appliance.pki.Root().Raw) {
		t.Errorf("%d roots are told to devices", len(roots))
	}
}

// wantFault wants a refusal that blames one field.
func wantFault(t *testing.T, err error, field, code string) {
	t.Helper()
	var r *fleet.Refusal
	if !errors.As(err, &r) || r.Fields[field].Code != code {
		t.Errorf("got %v, want %s at %s", err, code, field)
	}
}

// wantCode wants a refusal with one reason.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var r *fleet.Refusal
	if !errors.As(err, &r) || r.Reason.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}
