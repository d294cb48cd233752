package sim

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// AndroidMode is a way in which an Android is managed.
type AndroidMode string

// The modes that a simulated Android may end up in, by the token that it is given and by whether it is factory-new.
const (
	AndroidWorkProfile AndroidMode = "work profile"         // on a personal phone
	AndroidCompany     AndroidMode = "company work profile" // on a company's phone that the person may use
	AndroidManaged     AndroidMode = "fully managed"
	AndroidKiosk       AndroidMode = "kiosk"
)

// AndroidOptions describe one Android phone or tablet. Blank names and numbers are made up from Seed.
type AndroidOptions struct {
	Google               *Google // which it reaches through the mobile network, so to speak
	Brand, Model, Serial string
	OSVersion            string // 8 … 17; blank: 15
	FactoryNew           bool   // just unpacked or reset: only then can it belong to a company
	Password             string // set before enrolment; blank: none
	PersonalApps         []string
	Seed                 int64          // the same seed makes the same phone
	Roots                *x509.CertPool // trusted by its browser; nil: the system's
	Poll                 time.Duration  // pause between calls of its own accord; 0: once an hour
	Mood                 AndroidMood
	Logger               *slog.Logger // nil: silent
}

// AndroidMood is how a phone departs from the obedient one. The zero mood is obedient.
type AndroidMood struct {
	RefusesPassword bool              // the person never sets a password that a rule asks for
	SlowInstalls    int               // so many reports tell of apps that are still being installed
	FailedApps      map[string]string // package → Google's reason why it is never installed
	Answers         map[string]string // command type → error code that it always gets

	OfflineAfterEnrol time.Duration // goes offline so long after enrolment (with OfflineFor)
	OfflineFor        time.Duration // stays offline so long; 0: never goes offline

	RemovesItselfAfter time.Duration // the person deletes the work profile so long after enrolment; 0: never. Nobody is told
}

// Android is one simulated Android. Its methods may be called from any goroutine.
type Android struct {
	o   AndroidOptions
	hw  androidHardware
	log *slog.Logger

	turn chan struct{} // holds one token: who has it may call in
	wake chan struct{} // tells Run that Google has something; holds one token

	mu      sync.Mutex // guards what follows
	mood    AndroidMood
	in      *enrolled // nil: not managed
	mode    AndroidMode
	new     bool
	offline bool
	work    androidSpace
	seen    androidHistory
	logs    []any // usage log events that wait
	logged  int
}

// NewAndroid returns a phone that nobody manages.
func NewAndroid(o AndroidOptions) *Android {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = time.Hour
	}
	d := &Android{o: o, hw: bornAndroid(o), mood: o.Mood, new: o.FactoryNew, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	d.work.password = o.Password
	d.log = log.With("device", d.hw.model, "serial", d.hw.serial)
	return d
}

func (d *Android) begin(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Android) end() { <-d.turn }

// nudge is the message by which Google wakes a phone.
func (d *Android) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Close ends what the phone keeps open: nothing.
func (d *Android) Close() {}

// failed notes err as the last error and returns it.
func (d *Android) failed(err error) error {
	if err != nil {
		d.mu.Lock()
		d.seen.lastError = err.Error()
		d.mu.Unlock()
	}
	return err
}

// managed returns the record in force; nil when there is none.
func (d *Android) managed() *enrolled {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.in
}

// EnrolToken sets management up with the text of an enrolment token, as by scanning a code, and calls in once.
func (d *Android) EnrolToken(ctx context.Context, token string) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	return d.failed(d.enrol(token))
}

func (d *Android) enrol(token string) error {
	g := d.o.Google
	switch {
	case d.managed() != nil:
		return &AndroidError{Text: "This device is set up for work already."}
	case d.hw.api < 23:
		return &AndroidError{Text: "This version of Android is not supported."}
	}
	d.mu.Lock()
	factoryNew := d.new
	d.mu.Unlock()
	in, err := g.enrol(d, token, factoryNew)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.in = in
	d.mode = modeOf(str(in.token.fields, "allowPersonalUsage"), factoryNew)
	d.work.reset(d.mode)
	d.seen.ended, d.seen.wiped = "", ""
	d.seen.enrolledAt = in.at
	d.new = false
	facts := d.facts(in)
	facts["appliedState"] = "PROVISIONING"
	d.mu.Unlock()
	g.enrolledNow(in, facts)
	d.log.Info("enrolled", "as", in.name, "mode", d.mode)
	return d.callIn()
}

// modeOf is what a token makes of a phone.
func modeOf(usage string, factoryNew bool) AndroidMode {
	switch {
	case !factoryNew:
		return AndroidWorkProfile
	case usage == usageUserless:
		return AndroidKiosk
	case usage == usageAllowed:
		return AndroidCompany
	}
	return AndroidManaged
}

// company reports whether the phone belongs to the company in this mode; profile, whether it has a work profile.
func (m AndroidMode) company() bool { return m != AndroidWorkProfile }
func (m AndroidMode) profile() bool { return m == AndroidWorkProfile || m == AndroidCompany }

// Sync calls in: takes commands, applies the policy and reports. A phone without a network gives ErrOffline.
func (d *Android) Sync(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	return d.failed(d.callIn())
}

// callIn is one contact with Google. The turn is held.
func (d *Android) callIn() error {
	d.mu.Lock()
	in, offline := d.in, d.offline
	d.mu.Unlock()
	switch {
	case in == nil:
		return ErrUnmanaged
	case offline:
		d.alone(d.o.Google.clock())
		return ErrOffline
	}
	g := d.o.Google
	o := g.callIn(in)
	if o.deleted {
		d.leave("Google deleted the device")
		g.removed(in)
		return nil
	}
	d.mu.Lock()
	d.work.play = o.play
	d.mu.Unlock()
	for _, op := range o.commands {
		if d.obey(in, op, o.now) {
			return nil // management is gone
		}
	}
	if o.policy == nil && o.now.Sub(in.at) > noPolicyLife {
		d.leave("no policy came within five minutes of the enrolment")
		return nil // nobody is told
	}
	d.mu.Lock()
	d.seen.syncs++
	events := d.logs
	if o.policy != nil {
		d.apply(o)
	}
	report := d.report(in, o)
	if d.enforce(o.now) {
		d.mu.Unlock()
		d.leave(ruledOut)
		g.removed(in)
		return nil
	}
	d.logs = nil
	d.seen.reports++
	d.mu.Unlock()
	g.report(in, report)
	if len(events) > 0 {
		g.usageLogs(in, events)
	}
	return nil
}

// ruledOut is why a phone leaves that breaks its rules for too long.
const ruledOut = "the policy's enforcement rules wiped it"

// alone is what a phone without a network does: its clock for broken rules goes on. Nobody is told.
func (d *Android) alone(now time.Time) {
	d.mu.Lock()
	wipe := d.work.policy != nil && d.enforce(now)
	d.mu.Unlock()
	if wipe {
		d.leave(ruledOut)
	}
}

// noPolicyLife is how long a new device waits for its policy before it gives up.
const noPolicyLife = 5 * time.Minute

// leave ends management: the work profile goes, or everything does.
func (d *Android) leave(because string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in == nil {
		return
	}
	what := "factory reset"
	if d.mode == AndroidWorkProfile {
		what = "work profile removed"
	}
	d.forget(because, what)
}

// forget drops everything of management. d.mu is held.
func (d *Android) forget(because, what string) {
	d.seen.ended, d.seen.wiped = because, what
	if what == "factory reset" {
		d.new = true
		d.seen.resets++
		d.work.password = ""
	}
	d.work.reset("")
	d.in, d.logs = nil, nil
	d.log.Info("management ended", "because", because, "what", what)
}

// RemoveWorkProfile is the person deleting the work profile in Settings, or resetting a company's phone. Nobody is told.
func (d *Android) RemoveWorkProfile(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in == nil {
		return ErrUnmanaged
	}
	if d.mode.company() && d.work.policy["factoryResetDisabled"] == true {
		return &AndroidError{Text: "Action not allowed: contact your IT admin."}
	}
	what := "factory reset"
	if d.mode == AndroidWorkProfile {
		what = "work profile removed"
	}
	d.forget("the person removed it", what)
	return nil
}

// SetOffline takes the phone off the network, or puts it back.
func (d *Android) SetOffline(off bool) {
	d.mu.Lock()
	d.offline = off
	d.mu.Unlock()
	if !off {
		d.nudge()
	}
}

// SetPassword is the person choosing another password; blank takes it away where the phone allows that.
func (d *Android) SetPassword(p string) {
	d.mu.Lock()
	d.work.password = p
	d.mu.Unlock()
	d.nudge()
}

// Visit is an app looking a name up and opening a connection; a phone whose policy logs network activity notes it.
func (d *Android) Visit(pkg, host string, port int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in == nil || !d.logsNetwork() {
		return
	}
	now := stamp(time.Now())
	d.logged += 2
	d.logs = append(d.logs,
		dict{"eventId": fmt.Sprint(d.logged - 1), "eventTime": now, "eventType": "DNS", "dnsEvent": dict{"hostname": host, "ipAddresses": []any{"192.0.2.80"}, "totalIpAddressesReturned": "1", "packageName": pkg}},
		dict{"eventId": fmt.Sprint(d.logged), "eventTime": now, "eventType": "CONNECT", "connectEvent": dict{"destinationIpAddress": "192.0.2.80", "destinationPort": port, "packageName": pkg}})
}

// logsNetwork reports whether the policy in force logs network activity on such a phone. d.mu is held.
func (d *Android) logsNetwork() bool {
	log, _ := d.work.policy["usageLog"].(dict)
	for _, t := range stringList(log, "enabledLogTypes") {
		if t == "NETWORK_ACTIVITY_LOGS" {
			return d.mode.company() && (!d.mode.profile() || d.hw.api >= 31)
		}
	}
	return false
}
