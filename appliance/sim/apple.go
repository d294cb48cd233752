package sim

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Errors that tell what became of a connection.
var (
	ErrUnmanaged = errors.New("the device is not under management (any more)") // never enrolled, removed, or sent away by 401 or 403
	ErrOffline   = errors.New("the device is offline")                         // switched off, without network, or a Mac behind its PIN
	ErrNoForm    = errors.New("the page offers no form to accept")             // a refused invitation; the text follows
)

// StatusError is an answer of the server that is not 200: the device gives up until
// the next push.
type StatusError struct {
	Code int
	Body string // its beginning
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Code, e.Body)
}

// Apple is one simulated device. Its methods may be called from any goroutine; it
// talks to the server about one thing at a time.
type Apple struct {
	o   Options
	hw  hardware
	log *slog.Logger

	turn chan struct{} // holds one token: who has it may talk to the server

	mu       sync.Mutex // guards what follows
	mood     Mood
	mdm      *management
	profiles []*installed
	accounts []*account
	passcode string
	locked   bool
	lockPIN  string
	offline  bool
	ddm      declarations
	seen     history
	wake     chan struct{} // tells Run that something changed; holds one token
}

// management is what a device keeps about the server that manages it.
type management struct {
	profile               string // top-level identifier of the enrolment profile
	topic                 string
	serverURL, checkInURL string
	account, mode         string // AssignedManagedAppleID and EnrollmentMode
	companion             int    // RequiredAppIDForMDM
	sign, checkOut        bool
	rights                int
	perUser, bootstrap    bool
	id                    *identity
	client                *http.Client
	device                *channel
	user                  *channel // macOS, once somebody has logged in
	unlockToken           []byte
	since                 time.Time
	owesToken             bool // a token update after renewal has not arrived yet; guarded by Apple.mu
}

// channel is one of the two lines between a device and its server.
type channel struct {
	user  bool
	token []byte
	magic string
	line  *line // nil: the device polls
}

// NewApple returns a device fresh from its box, not enrolled.
func NewApple(o Options) *Apple {
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	if o.Mood.NotNowFor <= 0 {
		o.Mood.NotNowFor = o.Poll
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Apple{o: o, hw: born(o), mood: o.Mood, passcode: o.Passcode, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	d.log = log.With("device", d.hw.name, "serial", d.hw.serial)
	if o.ManualAccount != "" {
		d.accounts = append(d.accounts, &account{Account: Account{Type: "com.apple.eas.account", Address: o.ManualAccount, User: o.ManualAccount}})
	}
	return d
}

// begin takes the right to talk to the server; end gives it back.
func (d *Apple) begin(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Apple) end() { <-d.turn }

// Close hangs up: it ends the connections that the device keeps open to its server.
// The device stays what it is and may connect again.
func (d *Apple) Close() {
	if m := d.managed(); m != nil {
		d.hangUp(m.client)
	}
}

// managed returns the management in force, or nil.
func (d *Apple) managed() *management {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mdm
}

// nudge lets Run look again.
func (d *Apple) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// complain notes something that a real device may tolerate but a server had better not do.
func (d *Apple) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen.complain(text)
	d.log.Warn("complaint", "about", text)
}

// failed notes err as the last error and returns it.
func (d *Apple) failed(err error) error {
	if err != nil {
		d.mu.Lock()
		d.seen.lastError = err.Error()
		d.mu.Unlock()
	}
	return err
}

// roots returns what the device trusts for TLS and signatures: its own list and the
// roots that came with enrolment or through management. nil: the system's.
func (d *Apple) roots(with ...*profile) *x509.CertPool {
	var more []*x509.Certificate
	collect := func(p *profile) {
		for i := range p.payloads {
			if !p.payloads[i].spec.authority || !p.payloads[i].known {
				continue
			}
			if c, ref := p.payloads[i].certificate(); ref == nil {
				more = append(more, c)
			}
		}
	}
	d.mu.Lock()
	for _, i := range d.profiles {
		if i.managed || i.enrolment {
			collect(i.profile)
		}
	}
	d.mu.Unlock()
	for _, p := range with {
		collect(p)
	}
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

// major is the first number of the device's OS version; 0 when there is none.
func (d *Apple) major() int {
	first, _, _ := strings.Cut(d.hw.os, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// newUUID makes a random UUID in Apple's capitals.
func newUUID() string {
	b := randomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := strings.ToUpper(hex.EncodeToString(b))
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// randomBytes returns n random bytes; the system's source cannot fail (crypto/rand ends the process if it does).
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
