package ui_test

import (
	"context"
	"sync"
	"time"

	"muster/appliance/fleet"
	"muster/ui"
)

// domain stands in for the fleet: it keeps just enough state for the pages of
// set-up, sign-in and enrolment. Passwords and codes are fixed.
type domain struct {
	ui.Domain // screens with tests of their own
	mu        sync.Mutex
	settings  *fleet.Settings
	admin     *fleet.Admin
	done      bool
	totp      bool
	sessions  map[string]bool
	opened    map[string]*fleet.Opened
	refuse    map[string]error // by invitation code or ticket
	tickets   map[string]string
	codes     int
	device    *fleet.Device
	events    []fleet.Event
	needs     []fleet.Need
	changes   chan fleet.Change
	accepted  []string // terms and language of each acceptance
	seenCode  string   // set-up token that came in
}

var _ ui.Domain = (*domain)(nil)

const (
	setupToken = "q0Yc6V7kS4l9mXz2p8BtNwE3rUa1HjDf"
	password   = "correct horse battery"
	totpCode   = "123456"
	totpURL    = "otpauth://totp/Muster:marit@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DP&issuer=Muster"
)

func newDomain() *domain {
	terms := &fleet.Terms{ID: "terms-3", Version: 3, Text: map[string]string{
		"en": "1. Work mail is for work.\n\nPlease use the account that is set up for you for work only, and lock your screen with a passcode of at least six digits.\n\n2. If the device is lost\n\nTell Marit at once. Work data is then removed from it.",
		"nl": "1. Werkmail is voor het werk.\n\nGebruik het account dat voor u wordt ingesteld alleen voor uw werk, en vergrendel uw scherm met een toegangscode van minstens zes cijfers.\n\n2. Bij verlies\n\nMeld het meteen bij Marit. De werkgegevens worden dan verwijderd.",
	}}
	facts := func(keys ...fleet.FactKey) (out []fleet.FactDeclaration) {
		why := map[fleet.FactKey]string{"serial": "why.identify", "model": "why.recognise", "os-version": "why.fit", "build": "why.fit", "baseband": "why.security", "language": "why.language", "last-check-in": "why.contact", "passcode-present": "why.passcode", "managed-profiles": "why.delivered", "managed-certs": "why.delivered", "push-address": "why.wake", "storage-free": "why.storage", "apps": "why.apps"}
		for _, k := range keys {
			category := fleet.CategoryDevice
			if k == "serial" || k == "model" || k == "baseband" || k == "storage-free" {
				category = fleet.CategoryHardware
			}
			out = append(out, fleet.FactDeclaration{Key: k, Category: category, Why: why[k]})
		}
		return out
	}
	never := []string{"never.calls", "never.browsing", "never.personal-mail", "never.messages", "never.contacts", "never.passwords", "never.calendar", "never.photos"}
	return &domain{
		settings: &fleet.Settings{Organisation: "Bakkerij De Korenaar", Contact: "Marit (toestel 12)", URL: "https://mdm.korenaar.example"},
		admin:    &fleet.Admin{ID: "admin-1", Name: "Marit Jansen", Mail: "marit@example.org"},
		done:     true, totp: true, sessions: map[string]bool{}, tickets: map[string]string{}, changes: make(chan fleet.Change, 8),
		opened: map[string]*fleet.Opened{
			"phone-code": {Organisation: "Bakkerij De Korenaar", Contact: "Marit (toestel 12)", Terms: terms, Person: &fleet.Person{Name: "Anna de Vries"},
				Target:    fleet.Target{Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: fleet.Personal},
				Collected: facts("serial", "model", "os-version", "build", "baseband", "language", "last-check-in", "passcode-present", "managed-profiles", "managed-certs", "push-address"),
				Never:     append(append([]string{}, never...), "never.location", "never.imei", "never.personal-apps"),
				Powers:    []fleet.Reason{fleet.Why("power.profiles"), fleet.Why("power.lock"), fleet.Why("power.retire"), fleet.Why("power.leave")}},
			"mac-code": {Organisation: "Bakkerij De Korenaar", Contact: "Marit (toestel 12)", Terms: terms,
				Target:    fleet.Target{Platform: fleet.MacOS, Mode: fleet.ModeDevice, Ownership: fleet.Corporate},
				Collected: facts("serial", "model", "os-version", "storage-free", "apps", "last-check-in"), Never: never,
				Powers: []fleet.Reason{fleet.Why("power.profiles"), fleet.Why("power.lock"), fleet.Why("power.retire"), fleet.Why("power.wipe")}},
			"pc-code": {Organisation: "Bakkerij De Korenaar", Contact: "Marit (toestel 12)", Terms: terms,
				Target:    fleet.Target{Platform: fleet.Windows, Mode: fleet.ModeDevice, Ownership: fleet.Corporate},
				Collected: facts("serial", "model", "os-version", "storage-free", "last-check-in"), Never: never,
				Powers: []fleet.Reason{fleet.Why("power.profiles"), fleet.Why("power.retire"), fleet.Why("power.wipe")}},
		},
		refuse: map[string]error{
			"used-code":    fleet.Refuse(fleet.ErrGone, "invitation.used"),
			"expired-code": fleet.Refuse(fleet.ErrGone, "invitation.expired", "expires", "2026-03-01T12:00:00Z"),
			"revoked-code": fleet.Refuse(fleet.ErrGone, "invitation.revoked"),
			"old-ticket":   fleet.Refuse(fleet.ErrGone, "ticket.expired"),
			"limited-code": &fleet.Refusal{Kind: fleet.ErrLimited, Reason: fleet.Why("limited", "minutes", "2"), RetryAfter: 2 * time.Minute},
		},
	}
}

func (d *domain) Settings(context.Context) (*fleet.Settings, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.done {
		return nil, fleet.ErrNotFound
	}
	return d.settings, nil
}

func (d *domain) Needs(context.Context, fleet.Actor) ([]fleet.Need, error) { return d.needs, nil }

func (d *domain) Authenticate(_ context.Context, secret, from string) (fleet.Actor, *fleet.Admin, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sessions[secret] {
		return fleet.Actor{}, nil, fleet.ErrSignIn
	}
	return fleet.Actor{Kind: fleet.ActorAdmin, ID: string(d.admin.ID), From: from, Permissions: map[fleet.Permission]bool{fleet.DevicesRead: true}}, d.admin, nil
}

func (d *domain) UpdateAdmin(_ context.Context, _ fleet.Actor, _ fleet.AdminID, in fleet.AdminInput) (*fleet.Admin, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Theme != nil {
		d.admin.Theme = *in.Theme
	}
	if in.Language != nil {
		d.admin.Language = *in.Language
	}
	return d.admin, nil
}

func (d *domain) Subscribe(context.Context, fleet.Actor) <-chan fleet.Change { return d.changes }

func (d *domain) SetupState(context.Context) (fleet.SetupState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fleet.SetupState{Done: d.done}, nil
}

func (d *domain) Setup(_ context.Context, token, _ string, in fleet.SetupInput) (*fleet.Admin, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seenCode = token
	if token != setupToken {
		return nil, fleet.Refuse(fleet.ErrSignIn, "ticket.unknown")
	}
	if in.Organisation == "" {
		return nil, &fleet.Refusal{Kind: fleet.ErrInvalid, Fields: map[string]fleet.Reason{"organisation": fleet.Why("invitation.unknown")}}
	}
	d.settings.Organisation, d.done = in.Organisation, true
	return d.admin, nil
}

func (d *domain) SignIn(_ context.Context, mail, pass, _, _ string) (*fleet.SignInResult, error) {
	if mail != d.admin.Mail || pass != password {
		return nil, fleet.ErrSignIn
	}
	if !d.totp {
		return &fleet.SignInResult{Next: "totp-setup", Pending: "pending-1", TOTPURL: totpURL}, nil
	}
	return &fleet.SignInResult{Next: "totp", Pending: "pending-1"}, nil
}

func (d *domain) SignInCode(_ context.Context, pending, code, _, _ string) (*fleet.SignInResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if pending != "pending-1" {
		return nil, fleet.ErrGone
	}
	if code != totpCode {
		return nil, fleet.ErrSignIn
	}
	d.sessions["session-1"] = true
	result := &fleet.SignInResult{Session: "session-1"}
	if !d.totp {
		d.totp = true
		result.Codes = []string{"7kf2-9qxm", "m3w8-tz4p", "c6vd-1hny", "x9pa-5rjg", "b2ku-8sew", "q4tf-6mzc", "h7yn-3vdx", "w1rg-9kap"}
	}
	return result, nil
}

func (d *domain) SignOut(_ context.Context, secret string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, secret)
	return nil
}

func (d *domain) OpenInvitation(_ context.Context, code, _ string) (*fleet.Opened, error) {
	if err := d.refuse[code]; err != nil {
		return nil, err
	}
	if o := d.opened[code]; o != nil {
		return o, nil
	}
	return nil, fleet.Refuse(fleet.ErrNotFound, "invitation.unknown")
}

func (d *domain) Accept(_ context.Context, code string, terms fleet.TermsID, language, _, _ string) (*fleet.Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refuse[code]; err != nil {
		return nil, err
	}
	if terms != "terms-3" {
		return nil, fleet.Refuse(fleet.ErrConflict, "terms.changed")
	}
	d.accepted = append(d.accepted, string(terms)+" "+language)
	ticket := "ticket-of-" + code
	d.tickets[ticket] = code
	return &fleet.Ticket{Secret: ticket}, nil
}

func (d *domain) Redeem(_ context.Context, ticket string) (*fleet.Enrolment, *fleet.Opened, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	code, ok := d.tickets[ticket]
	if !ok {
		return nil, nil, fleet.Refuse(fleet.ErrNotFound, "ticket.unknown")
	}
	return &fleet.Enrolment{}, d.opened[code], nil
}

func (d *domain) TicketProgress(_ context.Context, ticket string) ([]fleet.Event, *fleet.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refuse[ticket]; err != nil {
		return nil, nil, err
	}
	if _, ok := d.tickets[ticket]; !ok {
		return nil, nil, fleet.Refuse(fleet.ErrNotFound, "ticket.unknown")
	}
	return d.events, d.device, nil
}

// call lets the device behind every ticket call in.
func (d *domain) call(state fleet.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.device = &fleet.Device{Name: "Anna’s iPhone", Platform: fleet.IOS, State: state}
	d.events = []fleet.Event{{At: time.Now(), Reason: fleet.Why("event.enrol", "platform", "ios")}}
}

func (d *domain) Recovery(context.Context, fleet.Actor) (*fleet.Recovery, error) {
	return &fleet.Recovery{Name: "made"}, nil
}
