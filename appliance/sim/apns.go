package sim

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// APNs stands in for Apple's push service and for the portal that signs push
// certificates. It listens on loopback, over HTTP/2 only, and knows the tokens of the
// devices that were given it in Options.Push.
type APNs struct {
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey
	server  *http.Server
	ln      *gate
	done    chan struct{}

	mu     sync.Mutex
	lines  map[string]*line // token in lower-case hex
	moods  []Trouble
	counts Counts
}

// Trouble is an answer that the service gives instead of doing its work.
type Trouble struct {
	Status     int    // such as 429, 500, 503
	Reason     string // Apple's word for it; blank: the usual one
	RetryAfter int    // seconds; 0: no header
}

// Counts tells what arrived.
type Counts struct {
	Requests, Delivered, Refused int
	Reasons                      map[string]int // refusals by reason
	Connections                  int            // TLS connections accepted
}

// line is the way from the service to one channel of one device. A nil line belongs to
// a device that polls.
type line struct {
	service *APNs
	token   string
	topic   string
	dead    time.Time   // since when; zero while alive; guarded by the service's mu
	magic   chan string // the last push that waits; the service keeps one per device
}

// pushes returns the channel on which magics arrive; nil, which blocks for ever, for a device that polls.
func (l *line) pushes() <-chan string {
	if l == nil {
		return nil
	}
	return l.magic
}

// die makes the token answer 410 from now on.
func (l *line) die() {
	if l == nil {
		return
	}
	l.service.mu.Lock()
	defer l.service.mu.Unlock()
	if l.dead.IsZero() {
		l.dead = time.Now()
	}
}

// attach makes a token known.
func (a *APNs) attach(token []byte, topic string) *line {
	l := &line{service: a, token: hex.EncodeToString(token), topic: topic, magic: make(chan string, 1)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines[l.token] = l
	return l
}

// uidOID is the subject attribute that holds a push certificate's topic (userId, RFC 4519).
var uidOID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// NewAPNs starts the stand-in on a port of its own choice.
func NewAPNs() (*APNs, error) {
	root, key, err := standInRoot("Push Stand-in Root")
	if err != nil {
		return nil, err
	}
	a := &APNs{root: root, rootKey: key, lines: map[string]*line{}, done: make(chan struct{}), counts: Counts{Reasons: map[string]int{}}}
	cert, err := loopbackCertificate(root, key)
	if err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a.ln = &gate{Listener: inner, open: map[net.Conn]bool{}}
	a.server = &http.Server{Handler: a, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: 30 * time.Second,
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				a.mu.Lock()
				a.counts.Connections++
				a.mu.Unlock()
			}
		},
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"},
			Certificates: []tls.Certificate{cert}}}
	go func() {
		defer close(a.done)
		_ = a.server.ServeTLS(a.ln, "", "") // ends with ErrServerClosed
	}()
	return a, nil
}

// URL is the base address, in place of https://api.push.apple.com.
func (a *APNs) URL() string { return "https://" + a.ln.Addr().String() }

// Roots holds what a provider must trust to talk to the stand-in.
func (a *APNs) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// Close stops the service.
func (a *APNs) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = a.server.Close()
	}
	<-a.done
	return err
}

// SignPush plays the certificate portal: it signs a request in PEM for a year. The
// same topic renews; a blank one makes a new topic.
func (a *APNs) SignPush(csrPEM []byte, topic string) ([]byte, error) {
	return a.SignPushUntil(csrPEM, topic, time.Now().AddDate(1, 0, 0))
}

// SignPushUntil is SignPush with another end of validity.
func (a *APNs) SignPushUntil(csrPEM []byte, topic string, until time.Time) ([]byte, error) {
	block, _ := pem.Decode(csrPEM)
	if block == nil || !strings.HasSuffix(block.Type, "CERTIFICATE REQUEST") {
		return nil, errors.New("the request is not in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("checking the request: %w", err)
	}
	if pub, ok := csr.PublicKey.(*rsa.PublicKey); !ok || pub.N.BitLen() < 2048 {
		return nil, errors.New("the request's key is not RSA of 2048 bits or more")
	}
	if topic == "" {
		topic = "com.apple.mgmt.External." + strings.ToLower(newUUID())
	}
	c, err := a.issue(&x509.Certificate{NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		Subject: pkix.Name{CommonName: "APSP:" + strings.TrimPrefix(topic, "com.apple.mgmt.External."), Country: []string{"NL"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: uidOID, Value: topic}}}}, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), nil
}

// issue signs a certificate with the stand-in's root.
func (a *APNs) issue(t *x509.Certificate, pub any) (*x509.Certificate, error) {
	return issueUnder(a.root, a.rootKey, t, pub)
}

// Answer makes the next n pushes fail with t, after those that Answer was told before.
func (a *APNs) Answer(n int, t Trouble) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moods = append(a.moods, slices.Repeat([]Trouble{t}, n)...)
}

// Unreachable cuts all connections and refuses new ones while on.
func (a *APNs) Unreachable(on bool) { a.ln.shut(on) }

// Kill makes a token answer 410, as after an erase or a restore.
func (a *APNs) Kill(token []byte) {
	a.mu.Lock()
	l := a.lines[hex.EncodeToString(token)]
	a.mu.Unlock()
	l.die()
}

// Counts returns what arrived so far.
func (a *APNs) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.counts
	c.Reasons = map[string]int{}
	for k, v := range a.counts.Reasons {
		c.Reasons[k] = v
	}
	return c
}

// refusal is an answer other than 200.
type pushRefusal struct {
	Trouble
	since time.Time // 410: when the token died
}

// usualReasons names the reason that belongs to a status.
func usualReason(status int) string {
	switch status {
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	case http.StatusGone:
		return "Unregistered"
	case http.StatusForbidden:
		return "BadCertificate"
	default:
		return "InternalServerError"
	}
}

// ServeHTTP takes one push.
func (a *APNs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("apns-id")
	if id == "" {
		id = newUUID()
	}
	w.Header().Set("apns-id", id)
	ref := a.take(r)
	a.mu.Lock()
	a.counts.Requests++
	if ref == nil {
		a.counts.Delivered++
	} else {
		a.counts.Refused++
		a.counts.Reasons[ref.Reason]++
	}
	a.mu.Unlock()
	if ref == nil {
		return // 200 without a body
	}
	w.Header().Set("Content-Type", "application/json")
	if ref.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(ref.RetryAfter))
	}
	w.WriteHeader(ref.Status)
	body := dict{"reason": ref.Reason}
	if !ref.since.IsZero() {
		body["timestamp"] = ref.since.UnixMilli()
	}
	_ = json.NewEncoder(w).Encode(body) // the provider may have hung up
}

// take checks one push and delivers it.
func (a *APNs) take(r *http.Request) *pushRefusal {
	bad := func(status int, reason string) *pushRefusal {
		return &pushRefusal{Trouble: Trouble{Status: status, Reason: reason}}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 5121))
	if err != nil {
		return bad(http.StatusBadRequest, "IdleTimeout")
	}
	topic := a.topicOf(r)
	token, isDevice := strings.CutPrefix(r.URL.Path, "/3/device/")
	var msg map[string]any
	_ = json.Unmarshal(body, &msg) // what is not JSON is an empty message
	magic, _ := msg["mdm"].(string)

	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.moods) > 0 {
		t := a.moods[0]
		a.moods = a.moods[1:]
		if t.Reason == "" {
			t.Reason = usualReason(t.Status)
		}
		return &pushRefusal{Trouble: t}
	}
	asked := r.Header.Get("apns-topic")
	switch {
	case r.ProtoMajor != 2:
		return bad(http.StatusHTTPVersionNotSupported, "HTTPVersionNotSupported")
	case topic == "":
		return bad(http.StatusForbidden, "BadCertificate")
	case !isDevice || strings.Contains(token, "/"):
		return bad(http.StatusNotFound, "BadPath")
	case r.Method != http.MethodPost:
		return bad(http.StatusMethodNotAllowed, "MethodNotAllowed")
	case len(body) > 4096:
		return bad(http.StatusRequestEntityTooLarge, "PayloadTooLarge")
	case asked != "" && asked != topic:
		return bad(http.StatusBadRequest, "BadTopic")
	case r.Header.Get("apns-push-type") != "" && r.Header.Get("apns-push-type") != "mdm":
		return bad(http.StatusBadRequest, "InvalidPushType")
	case !oneOf(r.Header.Get("apns-priority"), "", "1", "5", "10"):
		return bad(http.StatusBadRequest, "BadPriority")
	case !number(r.Header.Get("apns-expiration")):
		return bad(http.StatusBadRequest, "BadExpirationDate")
	case magic == "" || len(msg) != 1:
		return bad(http.StatusBadRequest, "PayloadEmpty")
	}
	l := a.lines[token] // so a token in capitals is unknown
	switch {
	case l == nil:
		return bad(http.StatusBadRequest, "BadDeviceToken")
	case l.topic != topic:
		return bad(http.StatusBadRequest, "DeviceTokenNotForTopic")
	case !l.dead.IsZero():
		return &pushRefusal{Trouble: Trouble{Status: http.StatusGone, Reason: "Unregistered"}, since: l.dead}
	}
	select { // only the latest notification is kept
	case <-l.magic:
	default:
	}
	l.magic <- magic
	return nil
}

func oneOf(s string, list ...string) bool { return slices.Contains(list, s) }

// number reports whether s is blank or a number.
func number(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return s == "" || err == nil
}

// topicOf reads the topic from the provider's certificate; "" when there is none that we signed and that is valid.
func (a *APNs) topicOf(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	c := r.TLS.PeerCertificates[0]
	if _, err := c.Verify(x509.VerifyOptions{Roots: a.Roots(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return ""
	}
	for _, n := range c.Subject.Names {
		if s, ok := n.Value.(string); ok && n.Type.Equal(uidOID) {
			return s
		}
	}
	return ""
}

// gate is a listener that can be shut without giving up its port.
type gate struct {
	net.Listener
	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		shut := g.closed
		conn := &gated{Conn: c, gate: g}
		if !shut {
			g.open[conn] = true
		}
		g.mu.Unlock()
		if !shut {
			return conn, nil
		}
		c.Close()
	}
}

func (g *gate) shut(on bool) {
	g.mu.Lock()
	g.closed = on
	var cut []net.Conn
	if on {
		for c := range g.open {
			cut = append(cut, c)
		}
	}
	g.mu.Unlock()
	for _, c := range cut {
		c.Close()
	}
}

// gated is a connection that its gate can cut.
type gated struct {
	net.Conn
	gate *gate
}

func (c *gated) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.open, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
