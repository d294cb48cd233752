package android

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
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
	Device(ctx context.Context, a fleet.Actor, id fleet.DeviceID) (*fleet.Device, error)
	Profile(ctx context.Context, a fleet.Actor, id fleet.ProfileID) (*fleet.Profile, error)
	WantedBeforehand(ctx context.Context, id fleet.EnrolmentID) (*fleet.Beforehand, error)
	StateOfEnrolment(ctx context.Context, id fleet.EnrolmentID) (*fleet.Enrolment, *fleet.Device, error)
	RefuseEnrolment(ctx context.Context, id fleet.EnrolmentID, why fleet.Reason) error

	IdentifyService(ctx context.Context, name string) (*fleet.Identity, error)
	Enrol(ctx context.Context, c fleet.Contact, in fleet.EnrolInput) (*fleet.Device, error)
	Reach(ctx context.Context, c fleet.Contact, wake []byte) (*fleet.Device, error)
	Vanish(ctx context.Context, c fleet.Contact) error
	Exchange(ctx context.Context, c fleet.Contact, ans *fleet.Answer) (*fleet.Order, error)
	NoteNetworkUse(ctx context.Context, c fleet.Contact, batch []byte, uses []fleet.NetworkUse) error

	Google(ctx context.Context, a fleet.Actor) (*fleet.GoogleAccount, error)
	GoogleAccess(ctx context.Context) (*fleet.GoogleAccount, []byte, error)
	SaveGoogle(ctx context.Context, a fleet.Actor, in fleet.GoogleInput) (*fleet.GoogleAccount, error)
	ForgetGoogle(ctx context.Context, a fleet.Actor) error
	BeginGoogleSignUp(ctx context.Context, a fleet.Actor) (string, error)
	NameGoogleSignUp(ctx context.Context, state, name string) error
	GoogleSignUp(ctx context.Context, state string) (name, by string, err error)
	EndGoogleSignUp(ctx context.Context, state, enterprise string) (*fleet.GoogleAccount, error)
}

var _ Fleet = (*fleet.Fleet)(nil)

// Config of Android. Fleet, PKI and DB are required.
type Config struct {
	Fleet Fleet
	PKI   *pki.Authority
	DB    *store.DB

	ManagementURL string         // "" = Google's Android Management API; with a relay, its own address counts
	PubSubURL     string         // "" = Google's Pub/Sub
	Roots         *x509.CertPool // whom to believe; nil = the system's

	PollEvery      time.Duration // without Pub/Sub, devices are looked over this often; 0 = 5 minutes
	ReconcileEvery time.Duration // with Pub/Sub; 0 = a day
	Backoff        time.Duration // unit of waiting after trouble; 0 = a second
	Rate           float64       // calls a second in the long run; 0 = 5

	Clock  func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = discarded
}

// Android manages Android devices through Google. It is safe for concurrent use.
type Android struct {
	fleet Fleet
	pki   *pki.Authority
	db    *store.DB
	c     Config
	now   func() time.Time
	log   *slog.Logger
	http  *http.Client
	queue *queue
	look  chan struct{} // rung to look all devices over now

	claiming sync.Mutex // held while a new device is taken in
	linking  sync.Mutex // held while a web app is made or changed

	mu     sync.Mutex
	conn   *connection
	known  [sha256.Size]byte // of what conn was made from
	heard  seenMessages
	lastly reconcileReport
	strays []string // titles of web apps at Google that no link of ours stands behind
}

var (
	_ fleet.Module          = (*Android)(nil)
	_ fleet.Waker           = (*Android)(nil)
	_ fleet.RemovesWhole    = (*Android)(nil)
	_ fleet.TellsGaps       = (*Android)(nil)
	_ fleet.SettingsChecker = (*Android)(nil)
	_ fleet.FindsConflicts  = (*Android)(nil)
	_ fleet.Noter           = (*Android)(nil)
	_ fleet.RendersFrame    = (*Android)(nil)
	_ fleet.BringsApps      = (*Android)(nil)
	_ fleet.ExpiryEnforcer  = (*Android)(nil)
)

// connection is a client with what it is for.
type connection struct {
	*client
	account fleet.GoogleAccount
}

// New makes an Android. Run has to be running for anything to reach Google by itself.
func New(c Config) (*Android, error) {
	if c.Fleet == nil || c.PKI == nil || c.DB == nil {
		return nil, errors.New("android: fleet, pki and database are required")
	}
	a := &Android{fleet: c.Fleet, pki: c.PKI, db: c.DB, c: c, now: c.Clock, log: c.Logger, queue: newQueue(), look: make(chan struct{}, 1)}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.c.ManagementURL == "" {
		a.c.ManagementURL = managementBase
	}
	if a.c.PubSubURL == "" {
		a.c.PubSubURL = pubsubBase
	}
	if a.c.PollEvery <= 0 {
		a.c.PollEvery = 5 * time.Minute
	}
	if a.c.ReconcileEvery <= 0 {
		a.c.ReconcileEvery = 24 * time.Hour
	}
	if a.c.Backoff <= 0 {
		a.c.Backoff = time.Second
	}
	if a.c.Rate <= 0 {
		a.c.Rate = callsPerSecond
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = workers
	a.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return a, nil
}

// Platforms that this package manages.
func (a *Android) Platforms() []fleet.Platform { return []fleet.Platform{fleet.Android} }

func why(code string, pairs ...string) fleet.Reason { return fleet.Why(code, pairs...) }

// job is who acts where nobody asked.
func job() fleet.Actor { return fleet.Job("android") }

// rootCertificate is the root of our own authority.
func (a *Android) rootCertificate() *x509.Certificate { return a.pki.Root() }

// connect gives the client of the connection as it is kept now. Errors: *trouble codeNotSetUp where there is none.
func (a *Android) connect(ctx context.Context) (*connection, error) {
	acc, secret, err := a.fleet.GoogleAccess(ctx)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil, &trouble{Code: codeNotSetUp, After: time.Hour, cause: err}
	}
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256([]byte(acc.Kind + "\x00" + acc.RelayURL + "\x00" + string(secret)))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil && a.known == key {
		return &connection{client: a.conn.client, account: *acc}, nil
	}
	c := &client{http: a.http, management: a.c.ManagementURL, pubsub: a.c.PubSubURL, limit: newLimiter(a.c.Rate, callsAtOnce),
		pause: &pause{}, pubPause: &pause{}, backoff: a.c.Backoff}
	if acc.Kind == fleet.GoogleRelay {
		c.management, c.pubsub, c.auth = acc.RelayURL, acc.RelayURL, shared(secret)
	} else if c.auth, err = newServiceAccount(secret, a.c.ManagementURL, a.http, a.now); err != nil {
		return nil, &trouble{Code: codeKeyRefused, Words: err.Error(), After: time.Hour}
	}
	a.conn, a.known = &connection{client: c, account: *acc}, key
	return &connection{client: c, account: *acc}, nil
}

// ready is connect, for an organisation that has signed up.
func (a *Android) ready(ctx context.Context) (*connection, error) {
	c, err := a.connect(ctx)
	if err == nil && c.account.Enterprise == "" {
		return nil, &trouble{Code: codeNotSetUp, After: time.Hour}
	}
	return c, err
}

// reasonOf is a trouble in a form for people.
func (t *trouble) reason() fleet.Reason {
	return fleet.Reason{Code: t.Code, DeviceWords: strings.TrimSpace(t.Words)}
}
