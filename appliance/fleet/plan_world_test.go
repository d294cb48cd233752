package fleet_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// bench is a platform that behaves as Apple's does where the planner cares, and keeps no state.
type benchModule struct{}

var _ fleet.Module = benchModule{}

func (benchModule) Platforms() []fleet.Platform {
	return []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
}
func (benchModule) Applies(*fleet.Profile, fleet.Target) (bool, fleet.Reason) {
	return true, fleet.Reason{}
}
func (benchModule) Compose(d *fleet.Device, wanted []*fleet.Profile) []fleet.Unit {
	units := map[string]*fleet.Unit{}
	var order []string
	for _, p := range wanted {
		key, ch := "access", fleet.DeviceChannel
		switch {
		case p.Type == fleet.TypePasscode:
			key = "passcode"
		case p.Type == fleet.TypeEmail && d.Platform == fleet.MacOS:
			key, ch = "person", "user"
		}
		if units[key] == nil {
			units[key] = &fleet.Unit{Key: key, Channel: ch}
			order = append(order, key)
		}
		units[key].Profiles = append(units[key].Profiles, p.ID)
	}
	var out []fleet.Unit
	for _, k := range order {
		out = append(out, *units[k])
	}
	return out
}
func (benchModule) Marker(u fleet.Unit) string { return u.Key + ":" + u.Version }
func (benchModule) Choices(d *fleet.Device, _ map[fleet.FactKey]fleet.Fact) []fleet.ActionChoice {
	mac := d.Platform == fleet.MacOS
	return []fleet.ActionChoice{
		{Type: fleet.ActSync, Offered: true},
		{Type: fleet.ActLock, Offered: true, Options: []string{"message", "phone"}, NeedsPIN: mac},
		{Type: fleet.ActRestart, Offered: true},
		{Type: fleet.ActRetire, Offered: !strings.HasPrefix(d.Serial, "KIOSK"), Reason: fleet.Why("bench.kiosk"), Confirm: true},
		{Type: fleet.ActWipe, Offered: d.Ownership == fleet.Corporate, Reason: fleet.Why("bench.personal"), Confirm: true, NeedsPIN: mac, Options: []string{"stolen"}},
		{Type: fleet.ActDelete, Offered: true, Confirm: true},
	}
}
func (benchModule) Once(t fleet.ActionType) bool { return t == fleet.ActRestart }
func (benchModule) Lifetime(t fleet.ActionType) time.Duration {
	if t == fleet.ActRestart {
		return 15 * time.Minute
	}
	return 0
}
func (benchModule) Queries(*fleet.Device) []fleet.QueryKind {
	return []fleet.QueryKind{fleet.QueryDevice, fleet.QueryProfiles, fleet.QueryCertificates, fleet.QueryManagedApps}
}
func (benchModule) FactsOf(q fleet.QueryKind, _ *fleet.Device) []fleet.FactKey {
	switch q {
	case fleet.QueryDevice:
		return []fleet.FactKey{fleet.FactSerial, fleet.FactModelName, fleet.FactOSVersion, fleet.FactIMEI, fleet.FactPhoneNumber}
	case fleet.QueryManagedApps:
		return []fleet.FactKey{fleet.FactManagedApps}
	}
	return nil
}
func (benchModule) Removal(_ *fleet.Device, _ fleet.ActionType) []fleet.RemovalRow {
	row := func(data, code string) fleet.RemovalRow {
		return fleet.RemovalRow{Data: data, Outcome: fleet.Why(code)}
	}
	return []fleet.RemovalRow{row("settings", "removal.removed"), row("certificates", "removal.revoked"), row("management", "removal.removed"),
		row("email", "removal.removed"), row("wifi-vpn", "removal.removed"), row("other-apps", "removal.stays")}
}

// pushes is a Waker that remembers.
type pushes struct {
	mu   sync.Mutex
	sent []fleet.Wake
	say  func(fleet.Wake) fleet.WakeResult
}

func (p *pushes) Wake(_ context.Context, w fleet.Wake) fleet.WakeResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, w)
	if p.say != nil {
		return p.say(w)
	}
	return fleet.WakeResult{Accepted: true}
}

func (p *pushes) count() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.sent) }

// planWorld is a fleet over a real store with a clock that the test moves.
type planWorld struct {
	*fleet.Fleet
	t     testing.TB
	dir   string
	db    *store.DB
	ca    *pki.Authority
	admin fleet.Actor
	push  *pushes
	mu    sync.Mutex
	at    time.Time
	n     int
	anna  *fleet.Person
}

var ctx = context.Background()

func newPlanWorld(t testing.TB) *planWorld {
	t.Helper()
	w := &planWorld{t: t, dir: t.TempDir(), push: &pushes{}, at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	w.admin = fleet.Job("test")
	w.open()
	t.Cleanup(func() { _ = w.db.Close() })
	if _, err := w.SaveTerms(ctx, w.admin, map[string]string{"en": "Terms.", "nl": "Voorwaarden."}); err != nil {
		t.Fatal(err)
	}
	name, mail := "Anna", "anna@example.org"
	var err error
	if w.anna, err = w.CreatePerson(ctx, w.admin, fleet.PersonInput{Name: &name, Mail: &mail}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *planWorld) open() {
	w.t.Helper()
	secret := make([]byte, 32)
	var err error
	if w.db, err = store.Open(w.dir, store.Options{Key: secret, SecretsKey: secret}); err != nil {
		w.t.Fatal(err)
	}
	if w.ca, err = pki.Open(ctx, w.db, pki.Config{Organisation: "Example", BaseURL: "http://localhost", Clock: w.now}); err != nil {
		w.t.Fatal(err)
	}
	if w.Fleet, err = fleet.New(fleet.Config{DB: w.db, PKI: w.ca, Clock: w.now, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	w.Use(benchModule{}, w.push)
}

// reopen is a restart: all that was in memory is gone.
func (w *planWorld) reopen() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// now moves by a little with each look, as a clock does.
func (w *planWorld) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(time.Microsecond)
	return w.at
}

func (w *planWorld) sleep(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// ticket is an accepted invitation.
func (w *planWorld) ticket(own fleet.Ownership, pl fleet.Platform) fleet.EnrolmentID {
	w.t.Helper()
	_, code, err := w.Invite(ctx, w.admin, fleet.InvitationInput{Person: w.anna.ID, Platform: pl, Mode: fleet.ModeDevice, Ownership: own})
	if err != nil {
		w.t.Fatal(err)
	}
	terms, err := w.Terms(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	tk, err := w.Accept(ctx, code, terms.ID, "en", "192.0.2.1", "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return tk.Enrolment
}

func (w *planWorld) profile(t fleet.ProfileType, settings map[string]any) *fleet.Profile {
	w.t.Helper()
	w.n++
	name := fmt.Sprintf("%s %d", t, w.n)
	raw, err := json.Marshal(settings)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := w.CreateProfile(ctx, w.admin, fleet.ProfileInput{Type: t, Name: &name, Settings: raw})
	if err != nil {
		w.t.Fatal(errText(err))
	}
	return p
}

func errText(err error) string {
	var r *fleet.Refusal
	if errors.As(err, &r) {
		return fmt.Sprintf("%v %+v", r, r.Reason)
	}
	return err.Error()
}

func (w *planWorld) passcode() *fleet.Profile {
	return w.profile(fleet.TypePasscode, map[string]any{"min_length": 6})
}

func (w *planWorld) email() *fleet.Profile {
	return w.profile(fleet.TypeEmail, map[string]any{"account": "exchange", "account_name": "Work", "address": "{{mail}}", "host": "mail.example.org", "sign_in": "password", "user_name_from": "upn"})
}

// identity is a root and an identity certificate that refers to it.
func (w *planWorld) identity() (root, id *fleet.Profile) {
	root = w.profile(fleet.TypeTrustedRoot, map[string]any{"source": "internal"})
	return root, w.profile(fleet.TypeIdentity, map[string]any{"root": root.ID, "common_name": "{{upn}}"})
}

// toAll assigns profiles to every device and lets the fan-out run.
func (w *planWorld) toAll(list ...*fleet.Profile) {
	w.t.Helper()
	for _, p := range list {
		if err := w.Assign(ctx, w.admin, p.ID, []fleet.Assignment{{To: "all-devices"}}, false); err != nil {
			w.t.Fatal(errText(err))
		}
	}
	w.fanOut()
}

func (w *planWorld) toNone(list ...*fleet.Profile) {
	w.t.Helper()
	for _, p := range list {
		if err := w.Assign(ctx, w.admin, p.ID, nil, false); err != nil {
			w.t.Fatal(errText(err))
		}
	}
	w.fanOut()
}

// fanOut runs the fan-out until it has nothing left.
func (w *planWorld) fanOut() {
	w.t.Helper()
	w.runUntil("the changes reach the devices", w.RunFanOut, func() bool {
		rests, err := w.FanOutRests(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		return rests
	})
}

// wakeUp runs the pusher until it has dealt with all that is due.
func (w *planWorld) wakeUp() {
	w.t.Helper()
	w.WakesStart()
	w.runUntil("what is due is pushed", w.RunWakes, w.WakesRest)
}

// runUntil runs a worker until so.
func (w *planWorld) runUntil(what string, run func(context.Context) error, so func() bool) {
	w.t.Helper()
	c, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- run(c) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// phone is a scripted device.
type phone struct {
	w         *planWorld
	hardware  string
	serial    string
	platform  fleet.Platform
	identity  fleet.Identity
	channel   fleet.Channel
	units     map[string]string // what is installed, by marker
	certs     []string
	enrolled  bool
	erased    bool
	postpone  map[string]int            // how often a step is answered "not now"
	refuse    map[string]fleet.Answer   // what a step is answered instead
	facts     map[fleet.FactKey]any     // told to every query, asked for or not
	apps      []fleet.App               //
	lie       bool                      // acknowledges installs without doing them
	loseReply func(o *fleet.Order) bool // the answer never arrives
	orders    []*fleet.Order
	issue     bool // fetch certificates when told to
}

func (w *planWorld) phone(serial string) *phone {
	return &phone{w: w, hardware: "HW-" + serial, serial: serial, platform: fleet.IOS, channel: fleet.DeviceChannel, units: map[string]string{},
		postpone: map[string]int{}, refuse: map[string]fleet.Answer{}, facts: map[fleet.FactKey]any{fleet.FactOSVersion: "19.3"}}
}

func (p *phone) contact() fleet.Contact {
	return fleet.Contact{Identity: p.identity, Channel: p.channel, From: "192.0.2.7"}
}

// enrol runs the first two messages under an accepted invitation.
func (p *phone) enrol(e fleet.EnrolmentID) *fleet.Device {
	p.w.t.Helper()
	d, err := p.tryEnrol(e)
	if err != nil {
		p.w.t.Fatalf("enrol: %s", errText(err))
	}
	return d
}

func (p *phone) tryEnrol(e fleet.EnrolmentID) (*fleet.Device, error) {
	p.identity = fleet.Identity{Enrolment: e}
	p.units, p.certs = map[string]string{}, nil
	d, err := p.w.Enrol(ctx, p.contact(), fleet.EnrolInput{Hardware: p.hardware, Platform: p.platform, Name: "Phone " + p.serial,
		Facts: map[fleet.FactKey]any{fleet.FactSerial: p.serial}})
	if err != nil {
		return nil, err
	}
	p.identity.Device = d.ID
	p.enrolled = true
	return p.w.Reach(ctx, p.contact(), []byte("address of "+p.serial))
}

// enrolled makes a phone that is managed and has answered all it was asked.
func (w *planWorld) managed(serial string, own fleet.Ownership) *phone {
	w.t.Helper()
	p := w.phone(serial)
	p.enrol(w.ticket(own, fleet.IOS))
	p.call()
	return p
}

func stepOf(o *fleet.Order) string {
	switch o.Step.Kind {
	case fleet.StepInstall, fleet.StepRemove:
		return string(o.Step.Kind) + ":" + o.Step.Unit.Key
	case fleet.StepQuery:
		return string(o.Step.Kind) + ":" + string(o.Step.Query)
	case fleet.StepAction:
		return string(o.Step.Kind) + ":" + string(o.Action.Type)
	}
	return string(o.Step.Kind)
}

// call is one connection run: the device calls and answers until there is nothing left. It returns the steps.
func (p *phone) call() []string {
	p.w.t.Helper()
	steps, err := p.tryCall()
	if err != nil {
		p.w.t.Fatalf("call after %v: %s", steps, errText(err))
	}
	return steps
}

func (p *phone) tryCall() ([]string, error) {
	c := p.contact()
	c.NewRun = true
	o, err := p.w.Exchange(ctx, c, nil)
	var steps []string
	for err == nil && o != nil {
		p.orders = append(p.orders, o)
		steps = append(steps, stepOf(o))
		if len(steps) > 100 {
			return steps, errors.New("the run does not end")
		}
		if p.loseReply != nil && p.loseReply(o) {
			p.do(o)
			return steps, nil
		}
		ans := p.do(o)
		o, err = p.w.Exchange(ctx, p.contact(), ans)
		if p.erased || !p.enrolled {
			break
		}
	}
	return steps, err
}

// do carries an order out and says what a device would say.
func (p *phone) do(o *fleet.Order) *fleet.Answer {
	step := stepOf(o)
	ans := &fleet.Answer{Order: o.ID, Outcome: fleet.Done}
	if p.postpone[step] > 0 {
		p.postpone[step]--
		ans.Outcome = fleet.Postponed
		return ans
	}
	if r, ok := p.refuse[step]; ok {
		r.Order = o.ID
		return &r
	}
	switch o.Step.Kind {
	case fleet.StepInstall:
		if !p.lie {
			p.units[o.Step.Unit.Key] = benchModule{}.Marker(*o.Step.Unit)
		}
		for id := range o.Secrets {
			if p.issue {
				p.certs = append(p.certs, p.w.accessCertificate(p, id))
			}
		}
	case fleet.StepRemove:
		if _, ok := p.units[o.Step.Unit.Key]; !ok {
			ans.Outcome = fleet.Absent
		}
		delete(p.units, o.Step.Unit.Key)
	case fleet.StepQuery:
		switch o.Step.Query {
		case fleet.QueryDevice:
			ans.Facts = p.facts
		case fleet.QueryProfiles:
			ans.Markers = map[string]string{}
			for k, v := range p.units {
				ans.Markers[k] = v
			}
		case fleet.QueryCertificates:
			ans.Certificates = append([]string{}, p.certs...)
		case fleet.QueryManagedApps, fleet.QueryApps:
			ans.Apps = p.apps
		}
	case fleet.StepAction:
		if o.Action.Type == fleet.ActWipe {
			p.erased, p.enrolled = true, false
		}
	case fleet.StepUnenrol:
		p.units, p.enrolled = map[string]string{}, false
	}
	return ans
}

// accessCertificate issues what a device would fetch with the challenge it was given.
func (w *planWorld) accessCertificate(p *phone, id fleet.ProfileID) string {
	w.t.Helper()
	var c *pki.Certificate
	if err := w.db.Update(ctx, func(tx store.Tx) (err error) {
		_, c, err = w.ca.IssuePKCS12(tx, pki.Binding{Purpose: pki.Access, Enrolment: string(p.identity.Enrolment), Device: string(p.identity.Device), Profile: string(id)}, "secret")
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return c.Fingerprint
}

// managementCertificate issues an identity for an enrolment.
func (w *planWorld) managementCertificate(e fleet.EnrolmentID, life time.Duration) (*x509.Certificate, string) {
	w.t.Helper()
	var c *pki.Certificate
	if err := w.db.Update(ctx, func(tx store.Tx) (err error) {
		_, c, err = w.ca.IssuePKCS12(tx, pki.Binding{Purpose: pki.Management, Enrolment: string(e), Lifetime: life}, "secret")
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	return cert, c.Fingerprint
}

func (w *planWorld) device(p *phone) *fleet.Device {
	w.t.Helper()
	d, err := w.Device(ctx, w.admin, p.identity.Device)
	if err != nil {
		w.t.Fatalf("device: %s", errText(err))
	}
	return d
}

// status of a profile on a device.
func (w *planWorld) status(p *phone, pr *fleet.Profile) fleet.ProfileStatus {
	w.t.Helper()
	rows, err := w.DeviceProfiles(ctx, w.admin, p.identity.Device)
	if err != nil {
		w.t.Fatal(errText(err))
	}
	for _, r := range rows {
		if r.Profile == pr.ID {
			return r
		}
	}
	return fleet.ProfileStatus{}
}

func (w *planWorld) wantStatus(p *phone, pr *fleet.Profile, status fleet.ProfileStatusCode, reason string) fleet.ProfileStatus {
	w.t.Helper()
	r := w.status(p, pr)
	if r.Status != status || reason != "" && r.Reason.Code != reason {
		w.t.Fatalf("status of %s: got %q (%q), want %q (%q)", pr.Name, r.Status, r.Reason.Code, status, reason)
	}
	return r
}

func (w *planWorld) act(p *phone, t fleet.ActionType) *fleet.Action {
	w.t.Helper()
	d := w.device(p)
	a, err := w.Act(ctx, w.admin, d.ID, t, fleet.ActionOptions{}, d.Name)
	if err != nil {
		w.t.Fatalf("%s: %s", t, errText(err))
	}
	return a
}

func (w *planWorld) action(id fleet.ActionID) *fleet.Action {
	w.t.Helper()
	a, err := w.Action(ctx, w.admin, id)
	if err != nil {
		w.t.Fatal(errText(err))
	}
	return a
}

func (w *planWorld) wantAction(id fleet.ActionID, s fleet.ActionState) *fleet.Action {
	w.t.Helper()
	a := w.action(id)
	if a.State != s {
		w.t.Fatalf("action %s: got %q (%v), want %q", a.Type, a.State, a.Reason, s)
	}
	return a
}

// receipt is the newest of a device.
func (w *planWorld) receipt(id fleet.DeviceID) *fleet.Receipt {
	w.t.Helper()
	l, err := w.Receipts(ctx, w.admin, id, fleet.ListQuery{})
	if err != nil || len(l.Items) == 0 {
		w.t.Fatalf("receipts: %d, %v", len(l.Items), err)
	}
	return l.Items[0]
}

func row(r *fleet.Receipt, data string) fleet.RemovalRow {
	for _, x := range r.Rows {
		if x.Data == data {
			return x
		}
	}
	return fleet.RemovalRow{}
}

func wantSteps(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("steps:\n got  %s\n want %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func wantKind(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error: got %v, want %v", err, kind)
	}
}

// holds says whether a text stands anywhere in the store.
func (w *planWorld) holds(text string) bool {
	found := false
	if err := w.db.View(ctx, func(tx store.Tx) error {
		return tx.Scan(store.Range{}, func(k, v []byte) (bool, error) {
			found = found || strings.Contains(string(k)+"\x00"+string(v), text)
			return !found, nil
		})
	}); err != nil {
		w.t.Fatal(err)
	}
	return found
}
