package windows

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
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
	WindowsPush(ctx context.Context) (*fleet.WindowsPush, error)
	WindowsPushSecret(ctx context.Context) (sid, secret string, err error)
	Device(ctx context.Context, a fleet.Actor, id fleet.DeviceID) (*fleet.Device, error)
	DeviceByHardware(ctx context.Context, hardware string) (*fleet.Device, error)

	Identify(ctx context.Context, cert *x509.Certificate) (*fleet.Identity, error)
	Enrol(ctx context.Context, c fleet.Contact, in fleet.EnrolInput) (*fleet.Device, error)
	Reach(ctx context.Context, c fleet.Contact, wake []byte) (*fleet.Device, error)
	Leave(ctx context.Context, c fleet.Contact) error
	Exchange(ctx context.Context, c fleet.Contact, ans *fleet.Answer) (*fleet.Order, error)
}

var _ Fleet = (*fleet.Fleet)(nil)

// Config of Windows. Fleet, PKI and DB are required.
type Config struct {
	Fleet Fleet
	PKI   *pki.Authority
	DB    *store.DB
	// SignInPage is the path, under the public address, of the page on which a person opens their invitation and accepts it while Windows waits.
	// It is given "appru" and "login_hint" as query, and ends by sending the browser to HandOverPath. "" = sign-in by name and code only.
	SignInPage string
	// Enrolled is called when a PC has got its certificate, before it hears of it; nil = nobody wants to know.
	Enrolled func()
	// Say gives the text of a key, for the hand-over page and for the event log of a PC whose enrolment is refused; nil = the key itself.
	Say    func(r *http.Request, key string) string
	Push   http.RoundTripper // to WNS and its token service; nil = the system's network
	Clock  func() time.Time  // nil = time.Now
	Logger *slog.Logger      // nil = discarded
}

// Windows manages PCs. It is safe for concurrent use.
type Windows struct {
	fleet    Fleet
	pki      *pki.Authority
	db       *store.DB
	signIn   string
	enrolled func()
	say      func(r *http.Request, key string) string
	now      func() time.Time
	log      *slog.Logger
	locks    fleet.KeyedLocks
	push     *wns
	rest     atRest
	stale    sync.Map // DeviceID of PCs whose channel is dead: it is read at their next call
}

var _ fleet.Module = (*Windows)(nil)

// New makes a Windows.
func New(c Config) (*Windows, error) {
	if c.Fleet == nil || c.PKI == nil || c.DB == nil {
		return nil, errors.New("windows: fleet, pki and database are required")
	}
	w := &Windows{fleet: c.Fleet, pki: c.PKI, db: c.DB, signIn: c.SignInPage, enrolled: c.Enrolled, say: c.Say, now: c.Clock, log: c.Logger}
	if w.now == nil {
		w.now = time.Now
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.push = newWNS(c.Fleet, c.Push, w.now)
	if w.enrolled == nil {
		w.enrolled = func() {}
	}
	if w.say == nil {
		w.say = func(_ *http.Request, key string) string { return key }
	}
	return w, nil
}

// Any says whether a PC is enrolled.
func (w *Windows) Any(ctx context.Context) (any bool, err error) {
	err = w.db.View(ctx, func(tx store.Tx) error {
		return sessions.Each(tx, store.Query{Limit: 1}, func(*sessionRecord) (bool, error) {
			any = true
			return false, nil
		})
	})
	return any, err
}

// Platforms that this package manages.
func (w *Windows) Platforms() []fleet.Platform { return []fleet.Platform{fleet.Windows} }

// deviceURL is the address that devices call, without a slash at its end.
func deviceURL(s *fleet.Settings) string {
	u := s.DeviceURL
	if u == "" {
		u = s.URL
	}
	return strings.TrimRight(u, "/")
}

func why(code string, pairs ...string) fleet.Reason { return fleet.Why(code, pairs...) }
