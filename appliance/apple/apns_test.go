package apple

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// pushCertificate makes a push certificate of a topic.
func pushCertificate(t testing.TB, topic string, notAfter time.Time) *tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "APSP", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}}}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: notAfter.Add(-365 * 24 * time.Hour),
		NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, &x509.Certificate{Subject: subject}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// apns stands in for Apple's push service: HTTP/2 over TLS with client certificates.
type apns struct {
	server *httptest.Server
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request)]

	mu     sync.Mutex
	seen   []*http.Request
	bodies []string
	conns  map[string]bool // remote address and client certificate
	at     atomic.Int32
	most   atomic.Int32
}

func newAPNs(t testing.TB) *apns {
	a := &apns{conns: map[string]bool{}}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := a.at.Add(1)
		defer a.at.Add(-1)
		for {
			most := a.most.Load()
			if now <= most || a.most.CompareAndSwap(most, now) {
				break
			}
		}
		b, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.seen, a.bodies = append(a.seen, r), append(a.bodies, string(b))
		a.conns[fmt.Sprintf("%s %x", r.RemoteAddr, r.TLS.PeerCertificates[0].SerialNumber)] = true
		a.mu.Unlock()
		if f := a.answer.Load(); f != nil {
			(*f)(w, r)
		}
	}))
	a.server.EnableHTTP2 = true
	a.server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	return a
}

func (a *apns) answers(status int, body string, headers ...string) {
	f := func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
	a.answer.Store(&f)
}

// pushing is a rig that pushes to a stand-in.
func pushing(t testing.TB, a *apns, cert func() (*tls.Certificate, error)) *rig {
	r := newRig(t, func(c *Config) {
		c.PushURL = a.server.URL
		c.PushRoots = poolOf(a.server.Certificate())
		c.PushAtOnce = 4
	})
	r.fleet.pushID = cert
	return r
}

func (r *rig) wake(topic string, at time.Time) fleet.Wake {
	r.t.Helper()
	sealed, err := r.apple.sealAddress("01D", fleet.DeviceChannel, wakeAddress{Token: []byte{0xAB, 0xCD, 0x01}, Magic: `MA"GIC`, Topic: topic, At: at})
	if err != nil {
		r.t.Fatal(err)
	}
	return fleet.Wake{ID: "01D/device", Device: "01D", Channel: fleet.DeviceChannel, Address: sealed}
}

func TestPush(t *testing.T) {
	a := newAPNs(t)
	cert := pushCertificate(t, testTopic, time.Now().Add(time.Hour))
	r := pushing(t, a, func() (*tls.Certificate, error) { return cert, nil })
	res := r.apple.Wake(context.Background(), r.wake(testTopic, r.now))
	if !res.Accepted || res.Dead || res.Reason.Code != codePushAccepted {
		t.Fatalf("got %+v", res)
	}
	got := a.seen[0]
	if got.ProtoMajor != 2 || got.Method != "POST" || got.URL.Path != "/3/device/abcd01" || a.bodies[0] != `{"mdm":"MA\"GIC"}` {
		t.Errorf("%s %s %s: %s", got.Proto, got.Method, got.URL.Path, a.bodies[0])
	}
	for k, want := range map[string]string{"Apns-Topic": testTopic, "Apns-Push-Type": "mdm", "Apns-Priority": "10", "Content-Type": "application/json"} {
		if v := got.Header.Get(k); v != want {
			t.Errorf("%s is %q, want %q", k, v, want)
		}
	}
	var expires int64
	if _, err := fmt.Sscan(got.Header.Get("Apns-Expiration"), &expires); err != nil || time.Unix(expires, 0).Before(time.Now().Add(24*time.Hour)) {
		t.Errorf("expires %v: a device that is off for a night would miss it", expires)
	}
	if !bytes.Equal(got.TLS.PeerCertificates[0].Raw, cert.Certificate[0]) {
		t.Error("not with the push certificate")
	}
}

func TestPushResults(t *testing.T) {
	a := newAPNs(t)
	cert := pushCertificate(t, testTopic, time.Now().Add(time.Hour))
	r := pushing(t, a, func() (*tls.Certificate, error) { return cert, nil })
	updated := r.now
	before, after := updated.Add(-time.Hour).UnixMilli(), updated.Add(time.Hour).UnixMilli()
	for _, c := range []struct {
		status  int
		body    string
		headers []string
		dead    bool
		code    string
		retry   time.Duration
	}{
		{410, fmt.Sprintf(`{"reason":"Unregistered","timestamp":%d}`, after), nil, true, codePushTokenDead, 0},
		{410, `{"reason":"ExpiredToken"}`, nil, true, codePushTokenDead, 0},
		{410, fmt.Sprintf(`{"reason":"Unregistered","timestamp":%d}`, before), nil, false, codePushFault, 15 * time.Minute},
		{400, `{"reason":"BadDeviceToken"}`, nil, false, codePushFault, time.Hour},
		{400, `{"reason":"DeviceTokenNotForTopic"}`, nil, false, codePushTopic, time.Hour},
		{400, `{"reason":"TopicDisallowed"}`, nil, false, codePushTopic, time.Hour},
		{400, `{"reason":"IdleTimeout"}`, nil, false, codePushUnreachable, time.Minute},
		{403, `{"reason":"BadCertificate"}`, nil, false, codePushRefused, time.Hour},
		{404, `{"reason":"BadPath"}`, nil, false, codePushFault, time.Hour},
		{413, `{"reason":"PayloadTooLarge"}`, nil, false, codePushFault, time.Hour},
		{429, `{"reason":"TooManyRequests"}`, nil, false, codePushBusy, 15 * time.Minute},
		{429, `{"reason":"TooManyRequests"}`, []string{"Retry-After", "90"}, false, codePushBusy, 90 * time.Second},
		{500, `{"reason":"InternalServerError"}`, nil, false, codePushBusy, 0},
		{503, `not JSON at all`, []string{"Retry-After", "999999999"}, false, codePushBusy, 24 * time.Hour},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.body), func(t *testing.T) {
			a.answers(c.status, c.body, c.headers...)
			res := r.apple.Wake(context.Background(), r.wake(testTopic, updated))
			if res.Accepted || res.Dead != c.dead || res.Reason.Code != c.code || res.RetryAfter != c.retry || res.Reason.DeviceWords == "" {
				t.Errorf("got %+v, want dead %v, %s after %s", res, c.dead, c.code, c.retry)
			}
		})
	}
}

func TestPushWithoutAskingApple(t *testing.T) {
	a := newAPNs(t)
	good, old := pushCertificate(t, testTopic, time.Now().Add(time.Hour)), pushCertificate(t, testTopic, time.Now().Add(-time.Hour))
	for _, c := range []struct {
		name  string
		cert  func() (*tls.Certificate, error)
		topic string
		code  string
	}{
		{"no push certificate", func() (*tls.Certificate, error) { return nil, nil }, testTopic, codePushNoCert},
		{"an expired one", func() (*tls.Certificate, error) {
			return old, nil
		}, testTopic, codePushExpired},
		{"a device of another topic", func() (*tls.Certificate, error) { return good, nil }, "com.apple.mgmt.External.older", codePushTopic},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := pushing(t, a, c.cert)
			if res := r.apple.Wake(context.Background(), r.wake(c.topic, r.now)); res.Accepted || res.Dead || res.Reason.Code != c.code || res.RetryAfter == 0 {
				t.Errorf("got %+v", res)
			}
		})
	}
	if len(a.seen) != 0 {
		t.Error("APNs was asked all the same")
	}
	r := pushing(t, a, func() (*tls.Certificate, error) { return good, nil })
	w := r.wake(testTopic, r.now)
	w.Device = "another"
	if res := r.apple.Wake(context.Background(), w); res.Reason.Code != codePushAddress || res.Dead {
		t.Errorf("an address that does not open: %+v", res)
	}
	a.server.Close()
	if res := r.apple.Wake(context.Background(), r.wake(testTopic, r.now)); res.Reason.Code != codePushUnreachable || res.Dead {
		t.Errorf("nobody there: %+v", res)
	}
}

// TestPushCertificateIsReplacedWhileRunning shows that pushes share one connection, and that a new certificate gets a new one.
func TestPushCertificateIsReplacedWhileRunning(t *testing.T) {
	a := newAPNs(t)
	first, second := pushCertificate(t, testTopic, time.Now().Add(time.Hour)), pushCertificate(t, testTopic, time.Now().Add(time.Hour))
	var current atomic.Pointer[tls.Certificate]
	current.Store(first)
	r := pushing(t, a, func() (*tls.Certificate, error) { return current.Load(), nil })
	slow := func(w http.ResponseWriter, _ *http.Request) { time.Sleep(5 * time.Millisecond) }
	a.answer.Store(&slow)
	wake := r.wake(testTopic, r.now)
	if res := r.apple.Wake(context.Background(), wake); !res.Accepted {
		t.Fatalf("got %+v", res)
	}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if res := r.apple.Wake(context.Background(), wake); !res.Accepted {
				t.Errorf("got %+v", res)
			}
		})
	}
	wg.Wait()
	if len(a.conns) != 1 {
		t.Errorf("%d connections for one certificate", len(a.conns))
	}
	if most := a.most.Load(); most > 4 {
		t.Errorf("%d pushes at one time, want at most 4", most)
	}
	current.Store(second)
	if res := r.apple.Wake(context.Background(), wake); !res.Accepted {
		t.Fatalf("got %+v", res)
	}
	last := a.seen[len(a.seen)-1]
	if !bytes.Equal(last.TLS.PeerCertificates[0].Raw, second.Certificate[0]) {
		t.Error("the replaced certificate is still used")
	}
}
