package sim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The services that a project can switch on.
const (
	amapiService  = "androidmanagement.googleapis.com"
	pubsubService = "pubsub.googleapis.com"
)

// Google stands in for Google's Android Management API, its token endpoint, its sign-up page and Pub/Sub. It listens on loopback
// over TLS, holds every request against the discovery document, and hands policies and commands to simulated Androids.
type Google struct {
	root   *x509.Certificate
	server *http.Server
	ln     *gate
	done   chan struct{} // closed when the service has ended
	ending chan struct{} // closed when it shall end: long pulls return

	key                   *rsa.PrivateKey // of the service account
	project, email, keyID string

	mu          sync.Mutex // guards what follows
	now         func() time.Time
	cond        GoogleConditions
	moods       []GoogleTrouble
	counts      GoogleCounts
	complaints  []string
	tokens      map[string]*bearer
	signups     map[string]*signup
	enterprises map[string]*enterprise
	play        map[string]playApp
	topics      map[string]*pubsubTopic
	subs        map[string]*subscription
	arrived     chan struct{} // closed and replaced whenever a notification arrives
	serial      int           // makes names
}

// GoogleConditions is the state of the Google side that a self-hosting organisation may meet. The zero value, but for the quota,
// is a project in order.
type GoogleConditions struct {
	DeviceQuota int  // devices that the project may have; 500 at first, 0 as in a new project
	APIOff      bool // the Android Management API is not switched on
	PubSubOff   bool // Pub/Sub is not switched on
	NoRole      bool // the service account lacks the role for device management
	NoTopicRole bool // it may neither make topics nor set who may publish
	CutOff      bool // Google has ended the project's use of the API
	KeyRevoked  bool // the service account's key was deleted
	Skewed      bool // Google's clock and ours differ too much: assertions are refused

	Lost       bool // notifications vanish
	Duplicated bool // each comes twice
	Shuffled   bool // the newest comes first

	NotModified bool // a patch without effect answers 304
	Oddities    bool // answers carry a field and a word that no schema has yet
}

// GoogleTrouble is an answer that the service gives instead of doing its work.
type GoogleTrouble struct {
	Path       string // strikes only calls whose method and path ("PATCH /v1/…") contain this; blank: any but /token
	Status     int    // such as 429, 500, 502, 503
	Reason     string // Google's word; blank: the usual one
	RetryAfter int    // seconds; 0: no header
	HTML       bool   // an HTML page instead of JSON, as from a front end
	After      bool   // the call is carried out, and only its answer is replaced
}

// GoogleCounts tells what arrived.
type GoogleCounts struct {
	Requests, Refused, Tokens int
	Methods                   map[string]int // calls by method id, such as enterprises.policies.patch
}

// bearer is an access token that was given out.
type bearer struct {
	expires time.Time
	scopes  []string
}

// NewGoogle starts the stand-in on a port of its own choice, with one project and one service account.
func NewGoogle() (*Google, error) {
	root, rootKey, err := standInRoot("Google Stand-in Root")
	if err != nil {
		return nil, err
	}
	cert, err := loopbackCertificate(root, rootKey)
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Google{root: root, ln: &gate{Listener: inner, open: map[net.Conn]bool{}}, done: make(chan struct{}), ending: make(chan struct{}), key: key,
		project: "sim-project", email: "muster@sim-project.iam.gserviceaccount.com", keyID: strings.ToLower(newUUID()), now: time.Now, cond: GoogleConditions{DeviceQuota: 500},
		counts: GoogleCounts{Methods: map[string]int{}}, tokens: map[string]*bearer{}, signups: map[string]*signup{}, enterprises: map[string]*enterprise{}, play: playStore(),
		topics: map[string]*pubsubTopic{}, subs: map[string]*subscription{}, arrived: make(chan struct{})}
	g.server = &http.Server{Handler: g, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: 30 * time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{cert}}}
	go func() {
		defer close(g.done)
		_ = g.server.ServeTLS(g.ln, "", "") // ends with ErrServerClosed
	}()
	return g, nil
}

// URL is the base address, in place of https://androidmanagement.googleapis.com.
func (g *Google) URL() string { return "https://" + g.ln.Addr().String() }

// PubSubURL is the base address in place of https://pubsub.googleapis.com.
func (g *Google) PubSubURL() string { return g.URL() }

// TokenURL is where assertions are exchanged, in place of https://oauth2.googleapis.com/token.
func (g *Google) TokenURL() string { return g.URL() + "/token" }

// Project is the Cloud project that the service account belongs to.
func (g *Google) Project() string { return g.project }

// Roots holds what a client must trust to talk to the stand-in.
func (g *Google) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(g.root)
	return pool
}

// ServiceAccount is the key file that an administrator would download from Google's console. Its token_uri is the stand-in's.
func (g *Google) ServiceAccount() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(g.key)
	if err != nil {
		panic(err) // an RSA key that was just made can be written
	}
	b, err := json.MarshalIndent(dict{"type": "service_account", "project_id": g.project, "private_key_id": g.keyID, "client_email": g.email, "client_id": "104729104729104729104",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": g.TokenURL(), "auth_uri": g.URL() + "/auth", "universe_domain": "googleapis.com"}, "", "  ")
	if err != nil {
		panic(err) // strings can be written
	}
	return b
}

// Close stops the service.
func (g *Google) Close() error {
	close(g.ending)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := g.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = g.server.Close()
	}
	<-g.done
	return err
}

// SetClock lets a test move the service's time, for expiries, redelivery and time stamps.
func (g *Google) SetClock(now func() time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = now
}

// clock is the stand-in's time.
func (g *Google) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now()
}

// Change changes the conditions.
func (g *Google) Change(f func(*GoogleConditions)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.cond)
}

// Answer makes the next n calls that t strikes fail with it, after those that Answer was told before.
func (g *Google) Answer(n int, t GoogleTrouble) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moods = append(g.moods, slices.Repeat([]GoogleTrouble{t}, n)...)
}

// Unreachable cuts all connections and refuses new ones while on. Devices go on reaching Google: only we do not.
func (g *Google) Unreachable(on bool) { g.ln.shut(on) }

// ExpireTokens makes every access token that was given out invalid at once.
func (g *Google) ExpireTokens() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.tokens)
}

// Counts returns what arrived so far.
func (g *Google) Counts() GoogleCounts {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts
	c.Methods = maps.Clone(g.counts.Methods)
	return c
}

// Complaints lists what the service took but a client had better not send: deprecated fields, an enrolment without a policy.
func (g *Google) Complaints() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.complaints)
}

// complain notes one. g.mu is held.
func (g *Google) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(g.complaints, text) {
		g.complaints = keepLast(g.complaints, text)
	}
}

// name makes the last part of a resource's name. g.mu is held.
func (g *Google) name(prefix string) string {
	g.serial++
	return fmt.Sprintf("%s%06x%s", prefix, g.serial, strings.ToLower(newUUID()[:4]))
}

// stamp writes a time as the service does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
