package apple

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// Fleet is what this package needs of the domain. *fleet.Fleet is it.
type Fleet interface {
	Redeem(ctx context.Context, ticket string) (*fleet.Enrolment, *fleet.Opened, error)
	Settings(ctx context.Context) (*fleet.Settings, error)
	PushCertificate(ctx context.Context) (*fleet.PushCertificate, error)
	PushIdentity(ctx context.Context) (*tls.Certificate, error)
	Device(ctx context.Context, a fleet.Actor, id fleet.DeviceID) (*fleet.Device, error)

	Identify(ctx context.Context, cert *x509.Certificate) (*fleet.Identity, error)
	Introduce(ctx context.Context, cert *x509.Certificate, p fleet.Platform, hardware string) error
	Enrol(ctx context.Context, c fleet.Contact, in fleet.EnrolInput) (*fleet.Device, error)
	Reach(ctx context.Context, c fleet.Contact, wake []byte) (*fleet.Device, error)
	Leave(ctx context.Context, c fleet.Contact) error
	KeepSecret(ctx context.Context, c fleet.Contact, name string, value []byte) error
	ReadSecret(ctx context.Context, c fleet.Contact, name string) ([]byte, error)
	Exchange(ctx context.Context, c fleet.Contact, ans *fleet.Answer) (*fleet.Order, error)
}

var _ Fleet = (*fleet.Fleet)(nil)

// Config of Apple. Fleet, PKI and DB are required.
type Config struct {
	Fleet Fleet
	PKI   *pki.Authority
	DB    *store.DB
	// ServerRoots are the root certificates, DER, that enrolment profiles have devices trust, so that they accept the server's TLS certificate:
	// none while a public authority certifies it. nil = none ever.
	ServerRoots func() [][]byte
	// PushURL is the base address of APNs; "" = Apple's own.
	PushURL string
	// PushRoots verifies APNs; nil = the system's roots.
	PushRoots *x509.CertPool
	// PushAtOnce bounds the pushes under way at one time; 0 = 64.
	PushAtOnce int
	Clock      func() time.Time // nil = time.Now
	Logger     *slog.Logger     // nil = discarded
}

// Apple manages iPhones, iPads and Macs. It is safe for concurrent use.
type Apple struct {
	fleet    Fleet
	pki      *pki.Authority
	db       *store.DB
	roots    func() [][]byte
	now      func() time.Time
	log      *slog.Logger
	push     *pusher
	hardware *hardwareCache
}

var (
	_ fleet.Module = (*Apple)(nil)
	_ fleet.Waker  = (*Apple)(nil)
)

// New makes an Apple.
func New(c Config) (*Apple, error) {
	if c.Fleet == nil || c.PKI == nil || c.DB == nil {
		return nil, errors.New("apple: fleet, pki and database are required")
	}
	a := &Apple{fleet: c.Fleet, pki: c.PKI, db: c.DB, roots: c.ServerRoots, now: c.Clock, log: c.Logger,
		hardware: &hardwareCache{}}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.push = newPusher(c, a.now)
	return a, nil
}

// Close ends idle connections to APNs.
func (a *Apple) Close() { a.push.close() }

// Platforms that this package manages.
func (a *Apple) Platforms() []fleet.Platform {
	return []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
}

// hardwareCache remembers which hardware an enrolment belongs to: a fact that never changes within one enrolment, asked at each message.
// It is emptied when full, which costs one look-up a device.
type hardwareCache struct {
	mu sync.RWMutex
	m  map[fleet.EnrolmentID]string
}

const hardwareCacheSize = 200_000

func (h *hardwareCache) get(e fleet.EnrolmentID) (string, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s, ok := h.m[e]
	return s, ok
}

func (h *hardwareCache) put(e fleet.EnrolmentID, hardware string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m == nil || len(h.m) >= hardwareCacheSize {
		h.m = make(map[fleet.EnrolmentID]string)
	}
	h.m[e] = hardware
}
