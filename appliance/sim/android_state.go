package sim

import (
	"maps"
	"slices"
	"time"
)

// AndroidState is a copy of what a phone knows and holds at one moment.
type AndroidState struct {
	Serial, IMEI, Brand, Model, OSVersion string
	APILevel                              int
	EnterpriseID                          string // by which one organisation knows it; blank while unmanaged

	Enrolled      bool
	EnrolledAt    time.Time
	Name          string // enterprises/…/devices/…
	Mode          AndroidMode
	FactoryNew    bool
	PolicyName    string
	PolicyVersion int64
	Policy        map[string]any // in force
	Compliant     bool
	NonCompliance []string // setting, reason and package or specific reason of each detail

	Apps         map[string]AndroidApp // in the managed space
	PersonalApps []string
	Mail         []AndroidMail
	Roots        []Certificate
	Identities   map[string]Certificate // by alias
	WiFi         []string
	Password     string

	Blocked  bool   // work apps are suspended, or the phone is locked, until a rule is met
	Disabled string // the message of a device that was switched off; "-" without one
	Lost     bool
	Offline  bool

	Locks, Reboots, Resets int
	Cleared                map[string]int // by app, how often its data were cleared
	Wiped                  string         // "work profile removed" or "factory reset"; "" while managed or before

	TermsRead    string
	Commands     []AndroidCommand
	LastError    string
	EndedBecause string
	Syncs        int
}

// androidHistory is what a phone remembers of its past; bounded.
type androidHistory struct {
	terms, lastError, ended, wiped string
	commands                       []AndroidCommand
	locks, reboots, resets         int
	cleared                        map[string]int
	syncs, reports                 int
	enrolledAt                     time.Time
}

// State returns a copy of the phone's state.
func (d *Android) State() AndroidState {
	d.mu.Lock()
	defer d.mu.Unlock()
	w, h := &d.work, d.seen
	s := AndroidState{Serial: d.hw.serial, IMEI: d.hw.imei, Brand: d.hw.brand, Model: d.hw.model, OSVersion: d.hw.os, APILevel: d.hw.api, FactoryNew: d.new, PersonalApps: slices.Clone(d.o.PersonalApps),
		Password: w.password, Blocked: w.blocked, Lost: w.lost, Offline: d.offline, Locks: h.locks, Reboots: h.reboots, Resets: h.resets, Wiped: h.wiped,
		TermsRead: h.terms, Commands: slices.Clone(h.commands), LastError: h.lastError, EndedBecause: h.ended, Syncs: h.syncs, Cleared: maps.Clone(h.cleared), Apps: maps.Clone(w.apps), Identities: map[string]Certificate{}, WiFi: slices.Clone(w.wifi)}
	if h.resets > 0 {
		s.PersonalApps = nil
	}
	if d.in == nil {
		return s
	}
	s.Enrolled, s.EnrolledAt, s.Name, s.Mode, s.EnterpriseID = true, h.enrolledAt, d.in.name, d.mode, d.hw.enterpriseID(d.in.e.name)
	s.PolicyName, s.PolicyVersion, s.Policy, s.Compliant = w.name, w.version, w.policy, w.policy != nil && len(w.bad) == 0
	for _, b := range w.bad {
		text := str(b, "settingName") + " " + str(b, "nonComplianceReason")
		for _, k := range []string{"packageName", "installationFailureReason", "specificNonComplianceReason"} {
			if v := str(b, k); v != "" {
				text += " " + v
			}
		}
		s.NonCompliance = append(s.NonCompliance, text)
	}
	s.Mail = d.mailAccounts()
	for _, c := range w.roots {
		s.Roots = append(s.Roots, certificateOf(c, false, ""))
	}
	for alias, id := range w.ids {
		s.Identities[alias] = certificateOf(id.cert, true, "")
	}
	if w.isOff {
		if s.Disabled = w.disabled; s.Disabled == "" {
			s.Disabled = "-"
		}
	}
	return s
}
