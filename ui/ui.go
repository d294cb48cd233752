package ui

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// Domain is what the pages ask of the domain, by role; *fleet.Fleet meets it.
type Domain interface {
	house
	entry
	serverTLS
	enrolment
	overviewDomain
	devicesDomain
	deviceDomain
	actionDomain
	receiptsDomain
	peopleDomain
	groupsDomain
	invitationsDomain
	profilesDomain
	termsDomain
	certificateList
	auditLog
	administration
	tokens
	organisation
	googleDomain
	finder
	jobsDomain
	backupDomain
	rulesDomain
}

var _ Domain = (*fleet.Fleet)(nil)

// house is what every page shows around its content.
type house interface {
	Settings(ctx context.Context) (*fleet.Settings, error)
	Needs(ctx context.Context, a fleet.Actor) ([]fleet.Need, error)
	Authenticate(ctx context.Context, secret, from string) (fleet.Actor, *fleet.Admin, error)
	UpdateAdmin(ctx context.Context, a fleet.Actor, id fleet.AdminID, in fleet.AdminInput) (*fleet.Admin, error)
	Subscribe(ctx context.Context, a fleet.Actor) <-chan fleet.Change
}

// Config holds what a UI needs. Fleet and Words are required.
type Config struct {
	Fleet  Domain
	Words  *words.Catalogue
	Logger *slog.Logger     // nil = discarded
	Clock  func() time.Time // nil = time.Now
	Demo   bool             // label every page

	// EnrolProfile gives the address of the enrolment profile for a ticket. nil
	// means "/mdm/apple/enroll/" + ticket.
	EnrolProfile func(ticket string) string

	// WindowsCode makes what a person needs to connect a PC, for a ticket. A newer
	// code ends the one before it. nil = there are no invitations for Windows.
	WindowsCode func(ctx context.Context, ticket string) (WindowsCode, error)

	// WindowsTicket gives the ticket behind a user name and the one-time code that
	// WindowsCode made. ErrNotFound when they do not belong together.
	WindowsTicket func(ctx context.Context, user, code string) (ticket string, err error)

	// AndroidEntry makes what a person needs to bring an Android under management,
	// for a ticket; asked again, it gives the same while that is good. nil = there are
	// no invitations for Android.
	AndroidEntry func(ctx context.Context, ticket string) (AndroidEntry, error)

	// Google speaks to Google for the page about Android. nil = there is no such page.
	Google Google

	// HandOver gives the address that hands Windows its token for a ticket, and says
	// whether the app that is to get it may. nil = Windows opens no page of ours.
	HandOver func(ticket, appru string) (address string, ok bool)

	// BehindTLS says that something in front of us speaks TLS: cookies are then
	// Secure although the request itself came in plain.
	BehindTLS bool

	// System says how the appliance itself stands, for the pages about health and
	// certificates. nil = nothing is known.
	System func(context.Context) (System, error)
}

// UI serves the pages. It is safe for concurrent use.
type UI struct {
	fleet         Domain
	render        *Renderer
	log           *slog.Logger
	now           func() time.Time
	demo          bool
	behindTLS     bool
	enrolProfile  func(ticket string) string
	windowsCode   func(ctx context.Context, ticket string) (WindowsCode, error)
	androidEntry  func(ctx context.Context, ticket string) (AndroidEntry, error)
	google        Google
	windowsTicket func(ctx context.Context, user, code string) (string, error)
	handOver      func(ticket, appru string) (string, bool)
	about         func(context.Context) (System, error)
	mux           *http.ServeMux
	handler       http.Handler
	expiries      expiries // of the overview
}

// New parses the templates and registers the routes.
func New(c Config) (*UI, error) {
	if c.Fleet == nil || c.Words == nil {
		return nil, errors.New("ui: fleet and words are required")
	}
	u := &UI{fleet: c.Fleet, log: c.Logger, now: c.Clock, demo: c.Demo, behindTLS: c.BehindTLS, enrolProfile: c.EnrolProfile, windowsCode: c.WindowsCode, androidEntry: c.AndroidEntry, google: c.Google, windowsTicket: c.WindowsTicket, handOver: c.HandOver, about: c.System, mux: http.NewServeMux()}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	if u.now == nil {
		u.now = time.Now
	}
	if u.enrolProfile == nil {
		u.enrolProfile = func(ticket string) string { return "/mdm/apple/enroll/" + ticket }
	}
	if u.windowsCode == nil {
		u.windowsCode = func(context.Context, string) (WindowsCode, error) { return WindowsCode{}, fleet.ErrNotFound }
	}
	if u.androidEntry == nil {
		u.androidEntry = func(context.Context, string) (AndroidEntry, error) { return AndroidEntry{}, fleet.ErrNotFound }
	}
	if u.windowsTicket == nil {
		u.windowsTicket = func(context.Context, string, string) (string, error) { return "", fleet.ErrNotFound }
	}
	if u.handOver == nil {
		u.handOver = func(string, string) (string, bool) { return "", false }
	}
	var err error
	if u.render, err = NewRenderer(c.Words, u.now, nil); err != nil {
		return nil, err
	}
	u.mux.Handle("GET /static/", u.render.assets)
	u.routes()
	u.open("/", func(q *Request) error { return errNoPage })

	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(u.adapt(false, func(q *Request) error { return errOrigin }))
	u.handler = Secure(limitBody(origin.Handler(u.mux)))
	return u, nil
}

// routes registers every screen; each file of screens has one line here.
func (u *UI) routes() {
	u.houseRoutes()
	u.entryRoutes()
	u.enrolRoutes()
	u.windowsRoutes()
	u.overviewRoutes()
	u.devicesRoutes()
	u.deviceRoutes()
	u.actionRoutes()
	u.receiptRoutes()
	u.peopleRoutes()
	u.groupRoutes()
	u.invitationRoutes()
	u.profileRoutes()
	u.termsRoutes()
	u.certificateRoutes()
	u.auditRoutes()
	u.adminRoutes()
	u.roleRoutes()
	u.accountRoutes()
	u.tokenRoutes()
	u.settingsRoutes()
	u.tlsRoutes()
	u.appleRoutes()
	u.pcSettingsRoutes()
	u.googleRoutes()
	u.registerRoutes()
	u.searchRoutes()
	u.healthRoutes()
	u.jobRoutes()
	u.backupRoutes()
	u.rulesRoutes()
	u.helpRoutes()
}

// ServeHTTP serves the pages. Mount it at "/", after the routes of API and devices.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) { u.handler.ServeHTTP(w, r) }

// open registers a page that needs no sign-in.
func (u *UI) open(pattern string, h handler) { u.mux.Handle(pattern, u.adapt(false, h)) }

// admin registers a page for signed-in administrators.
func (u *UI) admin(pattern string, h handler) { u.mux.Handle(pattern, u.adapt(true, h)) }
