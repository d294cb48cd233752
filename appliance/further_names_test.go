package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

const (
	windowsName = "enterpriseenrollment.noordhaven.example"
	nowhere     = "nowhere.noordhaven.example" // leads nowhere
)

// testNames lead to this machine, but for one.
func testNames(_ context.Context, host string) ([]netip.Addr, error) {
	if host == nowhere {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// asked sends a request to the listener under any name, trusting roots alone, and follows nothing.
func (w *world) asked(method, url string, roots *x509.CertPool, body string) (*http.Response, string) {
	w.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w.config.Listen)
		},
	}}
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(raw)
}

// What a PC asks when its person typed an e-mail address alone (MS-MDE2, 3.1.4.1.1).
const discoverByMail = `<s:Envelope xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>` +
	`<a:Action s:mustUnderstand="1">http://schemas.microsoft.com/windows/management/2012/01/enrollment/IDiscoveryService/Discover</a:Action>` +
	`<a:MessageID>urn:uuid:748132ec-a575-4329-b01b-6171a9cf8478</a:MessageID><a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>` +
	`<a:To s:mustUnderstand="1">https://` + windowsName + `:443/EnrollmentServer/Discovery.svc</a:To></s:Header><s:Body>` +
	`<Discover xmlns="http://schemas.microsoft.com/windows/management/2012/01/enrollment"><request><EmailAddress>carla@noordhaven.example</EmailAddress>` +
	`<RequestVersion>5.0</RequestVersion><DeviceType>CIMClient_Windows</DeviceType><ApplicationVersion>10.0.26100.1</ApplicationVersion><OSEdition>48</OSEdition>` +
	`<AuthPolicies><AuthPolicy>OnPremise</AuthPolicy><AuthPolicy>Federated</AuthPolicy></AuthPolicies></request></Discover></s:Body></s:Envelope>`

// keepsFurtherNames goes through the three sources with two names beside those of the addresses, of which one leads nowhere. The world is served by
// its own authority, and has certificates of c for its two addresses in store.
func (w *world) keepsFurtherNames(c *acmeCA, address, kept string, ask func(when string)) {
	t, f := w.t, w.Appliance.fleet
	t.Helper()
	further := []string{windowsName, nowhere}
	sources := func() map[string]fleet.TLSMode {
		out := map[string]fleet.TLSMode{}
		for _, x := range w.Appliance.tls.Certificates() {
			if x.Covers {
				out[x.Name] = x.Source
			}
			if x.Further != slices.Contains(further, x.Name) {
				t.Errorf("%s: further is %v", x.Name, x.Further)
			}
		}
		return out
	}
	if _, err := f.SaveServerTLS(t.Context(), w.Actor, fleet.ServerTLS{Mode: fleet.TLSInternal, Names: []string{"Enterpriseenrollment.Noordhaven.example.", nowhere, windowsName, address}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(slices.Clone(further), address) {
		if w.serial(name, w.roots) == "" {
			t.Errorf("our own authority certifies %s not", name)
		}
	}
	for _, bad := range []string{"192.0.2.7", "https://" + windowsName, "*.noordhaven.example", "bürgel.example", "mdm", "a_b.example"} {
		_, err := f.SaveServerTLS(t.Context(), w.Actor, fleet.ServerTLS{Mode: fleet.TLSInternal, Names: []string{bad}})
		wantFault(t.(*testing.T), err, "names", "tls.name")
	}

	// By ACME: each name has a certificate of its own, and the one that cannot be had is a warning.
	if err := w.useACME(c, func(s *fleet.ServerTLS) { s.Names = further }); err != nil {
		t.Fatal(err)
	}
	w.looked()
	if w.serial(windowsName, c.pool) == "" {
		t.Errorf("no certificate for a further name: %+v", w.need("need.tls-refused"))
	}
	if got := w.serial(address, c.pool); got != kept {
		t.Errorf("the address is served %q, had %q", got, kept)
	}
	n := w.need("need.tls-refused")
	if n == nil || n.Severity != fleet.SeverityWarning || n.Reason.Args["name"] != nowhere || n.Reason.Args["why"] == "" {
		t.Errorf("the name that leads nowhere: %+v", n)
	}
	if w.serial(nowhere, w.roots) == "" {
		t.Error("until there is a certificate, ours serves the further name")
	}
	if err := w.Appliance.tls.refresh(t.Context()); err != nil {
		t.Errorf("a further name fails the job: %v", err)
	}
	if n := len(w.Appliance.tls.acmeNames()); n != 1 {
		t.Errorf("%d authorities serve, want the newest alone", n)
	}
	if roots := w.Appliance.tls.roots(); len(roots) != 2 {
		t.Errorf("%d roots are told to devices, want those of the authority alone", len(roots))
	}
	ask("with further names")

	// A PC finds its way from that name to the addresses; a browser is led to them.
	resp, body := w.asked("GET", "https://"+windowsName+"/EnrollmentServer/Discovery.svc", c.pool, "")
	if resp.StatusCode != http.StatusOK || body != "" {
		t.Errorf("discovery is probed: %d %q", resp.StatusCode, body)
	}
	resp, body = w.asked("POST", "https://"+windowsName+"/EnrollmentServer/Discovery.svc", c.pool, discoverByMail)
	if resp.StatusCode != http.StatusOK || strings.Contains(body, windowsName) {
		t.Errorf("discovery: %d %s", resp.StatusCode, body)
	}
	for _, want := range []string{w.config.DeviceURL + "/EnrollmentServer/Enrollment.svc", w.config.DeviceURL + "/EnrollmentServer/Policy.svc", w.config.URL + "/EnrollmentServer/"} {
		if !strings.Contains(body, want) {
			t.Errorf("discovery does not name %s: %s", want, body)
		}
	}
	resp, _ = w.asked("GET", "https://"+windowsName+"/sign-in?x=1", c.pool, "")
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || got != w.config.URL+"/sign-in?x=1" {
		t.Errorf("a page under a further name: %d %s", resp.StatusCode, got)
	}

	// The look at ourselves takes in each name.
	if err := w.Appliance.lookAtItself(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.need("need.name-unknown"); n == nil || n.Severity != fleet.SeverityWarning || n.Reason.Args["name"] != nowhere {
		t.Errorf("DNS does not know a further name: %+v", n)
	}
	_, port, _ := net.SplitHostPort(w.config.Listen)
	if at := "https://" + windowsName + ":" + port; !slices.Contains(w.Appliance.probe.fine, reached{at, "IPv4"}) {
		t.Errorf("%s was not reached: %+v", at, w.Appliance.probe.fine)
	}

	// A certificate of one's own need not have the name, but then a person is told.
	own := func(names ...string) {
		chain, key := pairPEM(t.(*testing.T), w.Appliance.pki, names, nil)
		if _, err := f.SaveServerTLS(t.Context(), w.Actor, fleet.ServerTLS{Mode: fleet.TLSFiles, Chain: strings.Join(chain, ""), Key: key, Names: further, Confirmed: true}); err != nil {
			t.Fatal(err)
		}
		w.looked()
	}
	own("muster.test", "devices.muster.test")
	if got := sources(); got["muster.test"] != fleet.TLSFiles || got[windowsName] != fleet.TLSInternal || w.serial(windowsName, w.roots) == "" {
		t.Errorf("served by %v", got)
	}
	if n := w.need("need.tls-name-own"); n == nil || n.Severity != fleet.SeverityWarning {
		t.Errorf("an own certificate without the names: %+v", n)
	}
	own("muster.test", "devices.muster.test", windowsName, nowhere)
	if got := sources(); got[windowsName] != fleet.TLSFiles || w.need("need.tls-name-own") != nil {
		t.Errorf("served by %v, %+v", got, w.need("need.tls-name-own"))
	}
	ask("with an own certificate")
}

// The names may be given at the start, where the other things about TLS are.
func TestFurtherNamesAsFlags(t *testing.T) {
	c, err := ParseServe([]string{"--tls", "internal", "--tls-names", windowsName + ", Mdm.example.org," + windowsName}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.lockedTLS()
	if err != nil || !slices.Equal(s.Names, []string{windowsName, "mdm.example.org"}) {
		t.Errorf("%+v %v", s, err)
	}
	for _, args := range [][]string{{"--tls-names", windowsName}, {"--tls", "internal", "--tls-names", "https://x.example"}} {
		if _, err := ParseServe(args, io.Discard); err == nil || !strings.Contains(err.Error(), "--tls-names") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
