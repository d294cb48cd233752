package fleet

import (
	"slices"
	"time"
)

// FactKey names a declared fact.
type FactKey string

// Category of stored data (D1).
type Category string

// Categories of D1.
const (
	CategoryAccess    Category = "access-control"
	CategoryAdmin     Category = "admin-account"
	CategoryAdminMade Category = "admin-made"
	CategoryApps      Category = "app-inventory"
	CategoryAudit     Category = "audit"
	CategoryDevice    Category = "device"
	CategoryHardware  Category = "hardware-inventory"
	CategoryManaged   Category = "managed-app"
	CategorySupport   Category = "support"
	CategoryTenant    Category = "tenant"
	CategoryUser      Category = "user"
)

// FactDeclaration says of one fact what it is, from whom it may be taken and why (D1). What is not declared cannot
// be stored.
type FactDeclaration struct {
	Key       FactKey     `json:"key"`
	Category  Category    `json:"category"`
	Required  bool        `json:"required"`
	Platforms []Platform  `json:"platforms,omitempty"`  // empty: nothing that a device reports
	Ownership []Ownership `json:"ownership,omitempty"`  // from which ownership it may be taken; empty with empty Platforms
	Switch    string      `json:"switch"`               // settings switch that must be on as well, and named in the accepted terms; "" = none
	SwitchFor []Ownership `json:"switch_for,omitempty"` // whom the switch concerns; the others need none. Empty = all
	Accepted  bool        `json:"accepted,omitempty"`   // also of a corporate device it is taken only if the terms accepted for it named it
	Kind      string      `json:"kind"`                 // text, number, bytes, bool, time, list
	Why       string      `json:"why"`                  // word key of the reason
}

// needsSwitch says whether the fact may be taken from this ownership only with its switch on.
func (d *FactDeclaration) needsSwitch(o Ownership) bool {
	return d.Switch != "" && (len(d.SwitchFor) == 0 || slices.Contains(d.SwitchFor, o))
}

// Fact is one stored fact.
type Fact struct {
	Key    FactKey   `json:"key"`
	Value  any       `json:"value"`
	At     time.Time `json:"at,omitzero"`     // when the device told it last
	Lacked time.Time `json:"lacked,omitzero"` // since when its answers no longer hold it; zero while they do
}

// Declarations returns the register: every fact about devices, people and administrators, in the order in which it is shown.
func Declarations() []FactDeclaration { return slices.Clone(register) }

// DeclarationOf returns one declaration; false when nothing of that name may be stored.
func DeclarationOf(k FactKey) (FactDeclaration, bool) {
	i, ok := registerIndex[k]
	if !ok {
		return FactDeclaration{}, false
	}
	return register[i], true
}

// Allowed says whether a fact may be taken from a target with these switches on (see switchesFor). It is the one gate: what it
// refuses is neither asked of a device nor kept when a device tells it unasked.
func Allowed(k FactKey, t Target, switches map[string]bool) bool {
	i, ok := registerIndex[k]
	if !ok {
		return false
	}
	d := &register[i]
	if !slices.Contains(d.Platforms, t.Platform) || !slices.Contains(d.Ownership, t.Ownership) {
		return false
	}
	return !d.needsSwitch(t.Ownership) || switches[d.Switch]
}

// switchesFor says which switches count for a device. A corporate one follows the settings; on a personal one, and for facts of which everybody is to be
// told beforehand, a switch counts only if every fact that it stands for was accepted (D2).
func switchesFor(s *Settings, accepted []FactKey, o Ownership) map[string]bool {
	on := map[string]bool{}
	for i := range register {
		d := &register[i]
		if !d.needsSwitch(o) {
			continue
		}
		was, seen := on[d.Switch]
		now := s.Switches[d.Switch] && (o != Personal && !d.Accepted || slices.Contains(accepted, d.Key))
		on[d.Switch] = now && (was || !seen)
	}
	return on
}

// switchedFacts are the facts that the settings' switches add for an ownership: what the terms page names and Acceptance keeps.
func switchedFacts(s *Settings, o Ownership) []FactKey {
	var out []FactKey
	for i := range register {
		if d := &register[i]; slices.Contains(d.Ownership, o) && d.needsSwitch(o) && s.Switches[d.Switch] {
			out = append(out, d.Key)
		}
	}
	return out
}

// collectedFrom lists what the settings allow to be taken from a target.
func collectedFrom(s *Settings, t Target) []FactDeclaration {
	on := switchesFor(s, switchedFacts(s, t.Ownership), t.Ownership)
	var out []FactDeclaration
	for _, d := range register {
		if Allowed(d.Key, t, on) {
			out = append(out, d)
		}
	}
	return out
}

// NeverCollected returns the word keys of what is never collected from a target (D4; for personal devices also what D2 and D3 keep out).
func NeverCollected(t Target) []string {
	out := []string{"never.calls", "never.browsing", "never.personal-mail", "never.messages", "never.contacts",
		"never.passwords", "never.calendar", "never.photos"}
	if t.Ownership == Personal {
		out = append(out, "never.location", "never.imei", "never.personal-apps")
	}
	return out
}

// settingSwitches are the switches that an administrator may set.
func settingSwitches() []string {
	return []string{SwitchPhoneNumber, SwitchCarrier, SwitchMAC, SwitchManagedApps, SwitchDeviceQuery, SwitchNetworkUse}
}
