package sim_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/sim"
)

// provider sends pushes as a management server does.
type provider struct {
	t    *testing.T
	a    *sim.APNs
	http *http.Client
}

// push is one notification; zero values are filled with what is right.
type push struct {
	token, body, path, method string
	header                    map[string]string
}

func newAPNs(t *testing.T) *sim.APNs {
	t.Helper()
	a, err := sim.NewAPNs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func newProvider(t *testing.T, a *sim.APNs, topic string) *provider {
	t.Helper()
	csr, key := csrPEM(t)
	certPEM, err := a.SignPush(csr, topic)
	if err != nil {
		t.Fatal(err)
	}
	return providerWith(t, a, certPEM, key)
}

func providerWith(t *testing.T, a *sim.APNs, certPEM []byte, key *rsa.PrivateKey) *provider {
	conf := &tls.Config{RootCAs: a.Roots()}
	if certPEM != nil {
		block, _ := pem.Decode(certPEM)
		conf.Certificates = []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}}
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &provider{t: t, a: a, http: &http.Client{Transport: tr, Timeout: 30 * time.Second}}
}

// send returns the status and the reason.
func (p *provider) send(m push) (int, string, http.Header, error) {
	if m.body == "" {
		m.body = `{"mdm":"magic"}`
	}
	if m.path == "" {
		m.path = "/3/device/" + m.token
	}
	if m.method == "" {
		m.method = http.MethodPost
	}
	req, err := http.NewRequest(m.method, p.a.URL()+m.path, strings.NewReader(m.body))
	if err != nil {
		p.t.Fatal(err)
	}
	for k, v := range map[string]string{"apns-topic": topic, "apns-push-type": "mdm", "apns-priority": "10", "apns-expiration": "0"} {
		req.Header.Set(k, v)
	}
	for k, v := range m.header {
		req.Header.Set(k, v)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.ProtoMajor != 2 || resp.Header.Get("apns-id") == "" {
		p.t.Errorf("%s with apns-id %q", resp.Proto, resp.Header.Get("apns-id"))
	}
	var v struct {
		Reason    string
		Timestamp int64
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &v); err != nil {
			p.t.Error(err)
		}
	}
	if (resp.StatusCode == http.StatusGone) != (v.Timestamp > 0) {
		p.t.Errorf("status %d with timestamp %d", resp.StatusCode, v.Timestamp)
	}
	return resp.StatusCode, v.Reason, resp.Header, nil
}

// tokenOf returns the push token that a device announced last, in hex, and its magic.
func tokenOf(s *server) (token, magic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.checkins {
		if m["MessageType"] == "TokenUpdate" && m["UserID"] == nil {
			token, magic = hex.EncodeToString(m["Token"].([]byte)), m["PushMagic"].(string)
		}
	}
	return token, magic
}

func TestPushChecks(t *testing.T) {
	a, s := newAPNs(t), newServer(t)
	o := options(s, sim.IPhone)
	o.Push = a
	d := enrolled(t, s, o)
	token, _ := tokenOf(s)
	right, other := newProvider(t, a, topic), newProvider(t, a, "com.apple.mgmt.External.other")
	nobody := providerWith(t, a, nil, nil)
	foreignCSR, key := csrPEM(t)
	foreignCert, err := newAPNs(t).SignPush(foreignCSR, topic)
	if err != nil {
		t.Fatal(err)
	}
	foreign := providerWith(t, a, foreignCert, key)
	expiredCert, err := a.SignPushUntil(foreignCSR, topic, time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		by     *provider
		m      push
		status int
		reason string
	}{
		{"right", right, push{token: token}, 200, ""},
		{"without headers", right, push{token: token, header: map[string]string{"apns-topic": "", "apns-push-type": "", "apns-priority": "", "apns-expiration": ""}}, 200, ""},
		{"no certificate", nobody, push{token: token}, 403, "BadCertificate"},
		{"certificate of somebody else", foreign, push{token: token}, 403, "BadCertificate"},
		{"expired certificate", providerWith(t, a, expiredCert, key), push{token: token}, 403, "BadCertificate"},
		{"topic of another certificate", right, push{token: token, header: map[string]string{"apns-topic": "com.example"}}, 400, "BadTopic"},
		{"token of another topic", other, push{token: token, header: map[string]string{"apns-topic": ""}}, 400, "DeviceTokenNotForTopic"},
		{"unknown token", right, push{token: strings.Repeat("00", 32)}, 400, "BadDeviceToken"},
		{"token in capitals", right, push{token: strings.ToUpper(token)}, 400, "BadDeviceToken"},
		{"push type", right, push{token: token, header: map[string]string{"apns-push-type": "alert"}}, 400, "InvalidPushType"},
		{"priority", right, push{token: token, header: map[string]string{"apns-priority": "7"}}, 400, "BadPriority"},
		{"expiration", right, push{token: token, header: map[string]string{"apns-expiration": "soon"}}, 400, "BadExpirationDate"},
		{"aps dictionary", right, push{token: token, body: `{"mdm":"m","aps":{}}`}, 400, "PayloadEmpty"},
		{"not JSON", right, push{token: token, body: "mdm"}, 400, "PayloadEmpty"},
		{"too large", right, push{token: token, body: `{"mdm":"` + strings.Repeat("x", 5000) + `"}`}, 413, "PayloadTooLarge"},
		{"GET", right, push{token: token, method: http.MethodGet}, 405, "MethodNotAllowed"},
		{"path", right, push{path: "/2/device/" + token}, 404, "BadPath"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, reason, _, err := c.by.send(c.m)
			if err != nil || status != c.status || reason != c.reason {
				t.Errorf("%d %q %v, want %d %q", status, reason, err, c.status, c.reason)
			}
		})
	}
	if n := a.Counts(); n.Delivered != 2 || n.Refused != 15 || n.Reasons["BadDeviceToken"] != 2 {
		t.Errorf("counts %+v", n)
	}
	a.Answer(1, sim.Trouble{Status: 429, RetryAfter: 3})
	a.Answer(1, sim.Trouble{Status: 503, Reason: "Shutdown"})
	for _, want := range []string{"TooManyRequests", "Shutdown", ""} {
		_, reason, h, err := right.send(push{token: token})
		if err != nil || reason != want || (h.Get("Retry-After") == "3") != (want == "TooManyRequests") {
			t.Errorf("reason %q (%v), want %q", reason, err, want)
		}
	}
	a.Unreachable(true)
	if _, _, _, err := right.send(push{token: token}); err == nil {
		t.Error("the service was reached while unreachable")
	}
	a.Unreachable(false)
	if status, _, _, err := right.send(push{token: token}); err != nil || status != 200 {
		t.Errorf("afterwards %d %v", status, err)
	}
	if err := d.EraseByHand(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, reason, _, _ := right.send(push{token: token}); status != 410 || reason != "Unregistered" {
		t.Errorf("after the erase %d %s", status, reason)
	}
}

func TestPortal(t *testing.T) {
	a := newAPNs(t)
	csr, key := csrPEM(t)
	read := func(b []byte) *x509.Certificate {
		block, _ := pem.Decode(b)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	uid := func(c *x509.Certificate) (s string) {
		for _, n := range c.Subject.Names {
			if n.Type.String() == "0.9.2342.19200300.100.1.1" {
				s, _ = n.Value.(string)
			}
		}
		return s
	}
	b, err := a.SignPush(csr, "")
	if err != nil {
		t.Fatal(err)
	}
	first := read(b)
	if !strings.HasPrefix(uid(first), "com.apple.mgmt.External.") || !key.PublicKey.Equal(first.PublicKey) {
		t.Errorf("subject %v", first.Subject)
	}
	if b, err = a.SignPush(csr, uid(first)); err != nil {
		t.Fatal(err)
	}
	if again := read(b); uid(again) != uid(first) || again.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Errorf("renewed with %v", again.Subject)
	}
	for _, bad := range [][]byte{nil, ecCSR(t), bytes.Replace(csr, []byte("REQUEST"), []byte("REQUESX"), 2)} {
		if _, err := a.SignPush(bad, ""); err == nil {
			t.Errorf("signed %q", bad)
		}
	}
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}

// live runs a device until the test ends and returns a function that stops it earlier.
func live(t *testing.T, d *sim.Apple) (stopped chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	stopped = make(chan error, 1)
	done := make(chan struct{})
	go func() { stopped <- d.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return stopped
}

func (s *server) idle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idles
}

func TestRunByPush(t *testing.T) {
	a, s := newAPNs(t), newServer(t)
	o := options(s, sim.Mac)
	o.Push, o.Mood.UserLogsInAfter = a, time.Millisecond
	d := enrolled(t, s, o)
	p := newProvider(t, a, topic)
	live(t, d)
	eventually(t, "the user channel", func() bool { return d.State().UserChannel && s.idle() >= 2 })
	token, magic := tokenOf(s)
	id := s.order("DeviceInformation", nil)
	if _, _, _, err := p.send(push{token: token, body: `{"mdm":"wrong"}`}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the complaint", func() bool { return len(d.State().Complaints) == 1 })
	if s.result(id) != nil {
		t.Error("a push with a wrong magic was obeyed")
	}
	if _, _, _, err := p.send(push{token: token, body: `{"mdm":"` + magic + `"}`}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer", func() bool { return s.result(id) != nil })

	if err := d.RotateToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, _, _, _ := p.send(push{token: token}); status != 410 {
		t.Errorf("the old token answers %d", status)
	}
	token, magic = tokenOf(s)
	id = s.order("DeviceInformation", nil)
	if status, _, _, err := p.send(push{token: token, body: `{"mdm":"` + magic + `"}`}); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	eventually(t, "the answer by the new token", func() bool { return s.result(id) != nil })
}

func TestRunMoods(t *testing.T) {
	t.Run("offline for a while", func(t *testing.T) {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Poll, o.Mood.OfflineFor = 5*time.Millisecond, 3*time.Second // from its enrolment on: it must be seen before that is over
		d := enrolled(t, s, o)
		live(t, d)
		eventually(t, "offline", func() bool { return d.State().Offline })
		id := s.order("DeviceInformation", nil)
		eventually(t, "back", func() bool { return !d.State().Offline })
		eventually(t, "the answer", func() bool { return s.result(id) != nil })
	})
	t.Run("removes management by itself", func(t *testing.T) {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Push, o.Mood.RemovesItselfAfter = newAPNs(t), 50*time.Millisecond
		d := enrolled(t, s, o)
		select {
		case err := <-live(t, d):
			if got := s.messages(); err != nil || got[len(got)-1] != "CheckOut" || d.State().Enrolled {
				t.Errorf("ended with %v, check-ins %v", err, got)
			}
		case <-time.After(time.Minute):
			t.Fatal("Run did not end")
		}
	})
	t.Run("reconnects after NotNow without a push", func(t *testing.T) {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Push, o.Mood.NotNow, o.Mood.NotNowFor = newAPNs(t), 2, 20*time.Millisecond
		d := enrolled(t, s, o)
		id := s.order("InstallProfile", dict{"Payload": encode(t, profileOf("example.mail", 20, easPayload(21, nil)))})
		live(t, d)
		eventually(t, "the installation", func() bool { return len(d.State().Accounts) == 1 })
		eventually(t, "the acknowledgement", func() bool { return s.result(id)["Status"] == "Acknowledged" })
	})
	t.Run("ends when it is sent away", func(t *testing.T) {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Poll = 5 * time.Millisecond
		d := enrolled(t, s, o)
		stopped := live(t, d)
		s.mu.Lock()
		s.answer = func(dict) (int, string, string) { return 401, "", "" }
		s.mu.Unlock()
		select {
		case err := <-stopped:
			if err != nil || d.State().Enrolled {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("Run did not end")
		}
	})
	t.Run("survives an outage", func(t *testing.T) {
		s := newServer(t)
		o := options(s, sim.IPhone)
		o.Poll = 5 * time.Millisecond
		d := enrolled(t, s, o)
		live(t, d)
		s.mu.Lock()
		s.answer = func(dict) (int, string, string) { return 500, "", "" }
		s.mu.Unlock()
		eventually(t, "the error", func() bool { return strings.Contains(d.State().LastError, "500") })
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		id := s.order("DeviceInformation", nil)
		eventually(t, "the answer", func() bool { return s.result(id) != nil })
	})
}
