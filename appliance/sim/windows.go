package sim

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// ErrSessionAborted tells that a session ended before the server had nothing more to say.
var ErrSessionAborted = errors.New("the session was aborted")

// WindowsError is why Windows gave up: what its dialogue and event log show.
type WindowsError struct {
	Step    string // which part of the way: discovery, sign-in, policy, enrolment, provisioning, renewal
	HRESULT uint32
	Text    string
}

func (e *WindowsError) Error() string {
	return fmt.Sprintf("%s: 0x%08X: %s", e.Step, e.HRESULT, e.Text)
}

// The results that the client raises by itself (winerror.h, MENROLL_E_*).
const (
	hrMessageFormat  = 0x80180001
	hrAuthentication = 0x80180002
	hrAuthorization  = 0x80180003
	hrCertRequest    = 0x80180004
	hrConfigService  = 0x80180005
	hrInternal       = 0x80180006
	hrSecurity       = 0x80180007
	hrUnknown        = 0x80180008
	hrAlready        = 0x8018000A
	hrCertDates      = 0x8018000D
	hrAuthBroker     = 0x8018000F
	hrConnect        = 0x80180010
	hrUntrusted      = 0x80180012
	hrAccountConfig  = 0x80180023
	hrNoSOAP         = 0x801900C8
	hrProvisioning   = 0x83750005
)

func gaveUp(step string, hr uint32, format string, args ...any) *WindowsError {
	return &WindowsError{Step: step, HRESULT: hr, Text: fmt.Sprintf(format, args...)}
}

// Windows is one simulated PC. Its methods may be called from any goroutine; it talks
// to the server about one thing at a time.
type Windows struct {
	o   WindowsOptions
	hw  pcHardware
	log *slog.Logger

	turn chan struct{} // holds one token: who has it may talk to the server

	mu      sync.Mutex // guards what follows
	mood    WindowsMood
	mdm     *pcManagement
	tree    *pcTree
	login   string // LoginStatus: user, others or none
	offline bool
	later   []func(context.Context) // work that the session's commands left behind
	alerts  []pcAlert               // to be told in the next session
	again   bool                    // a session was asked for (InitiateSession)
	push    bool                    // the next session answers a push
	seen    pcHistory
	wake    chan struct{} // tells Run that something changed; holds one token
}

// pcManagement is what a PC keeps about the server that manages it.
type pcManagement struct {
	provider, name, addr string
	discovery            string // where renewal finds the enrolment service again
	upn, kind            string // kind: Full or Device
	id                   *identity
	chain                [][]byte // the certificate and what leads to its root, as sent in TLS
	roots                []*x509.Certificate
	client               *http.Client

	deviceAuth          pcCredential // how the PC logs in (APPSRV)
	sessions            int          // opened since enrolment; the next one's number
	first               bool         // no session has ended well yet
	retries             int          // of one message within a session
	backoff, maxBackoff time.Duration
	renewPeriod         int // days before expiry when renewal starts
	retryInterval       int // days between attempts
	robo                bool
	since               time.Time
	lastContact         time.Time
	lastRenewal         time.Time // attempt
}

// pcCredential is one digest login with the nonce that comes next.
type pcCredential struct {
	kind, name, secret string // kind: BASIC or DIGEST; blank: none
	nonce              []byte
}

// pcAlert is an alert that waits for the next session.
type pcAlert struct{ code, kind, format, source, data string }

// NewWindows returns a PC fresh from its box: signed in, not enrolled.
func NewWindows(o WindowsOptions) *Windows {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Minute <= 0 {
		o.Minute = time.Minute
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	hw := bornPC(o)
	d := &Windows{o: o, hw: hw, mood: o.Mood, login: "user", turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if o.Mood.SignedOut {
		d.login = "none"
	}
	d.tree = newPCTree(hw)
	d.log = log.With("device", hw.name, "serial", hw.serial)
	return d
}

// begin takes the right to talk to the server; end gives it back.
func (d *Windows) begin(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Windows) end() { <-d.turn }

// Close hangs up: it ends the connections that the PC keeps open to its server. The PC
// stays what it is and may connect again.
func (d *Windows) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mdm != nil {
		d.mdm.client.CloseIdleConnections()
	}
}

// managed returns the management in force, or nil.
func (d *Windows) managed() *pcManagement {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mdm
}

// nudge lets Run look again.
func (d *Windows) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// complain notes something that a real client may swallow but a server had better not do.
func (d *Windows) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen.complain(text)
	d.log.Warn("complaint", "about", text)
}

// failed notes err as the last error and returns it.
func (d *Windows) failed(err error) error {
	if err != nil {
		d.mu.Lock()
		d.seen.lastError = err.Error()
		d.mu.Unlock()
	}
	return err
}

// roots returns what the PC trusts for TLS: its own list, the root of its enrolment
// and those that management installed. nil: the system's.
func (d *Windows) roots(more ...*x509.Certificate) *x509.CertPool {
	d.mu.Lock()
	if d.mdm != nil {
		more = append(more, d.mdm.roots...)
	}
	more = append(more, d.tree.trusted()...)
	d.mu.Unlock()
	if len(more) == 0 {
		return d.o.Roots
	}
	pool := x509.NewCertPool()
	if d.o.Roots != nil {
		pool = d.o.Roots.Clone()
	} else if system, err := x509.SystemCertPool(); err == nil {
		pool = system
	}
	for _, c := range more {
		pool.AddCert(c)
	}
	return pool
}
