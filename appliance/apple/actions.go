package apple

import (
	"time"

	"muster/appliance/fleet"
)

// Choices says which actions apply to a device, and of the rest why they do not (C4).
func (a *Apple) Choices(d *fleet.Device, facts map[fleet.FactKey]fleet.Fact) []fleet.ActionChoice {
	mac, personal := d.Platform == fleet.MacOS, d.Ownership == fleet.Personal
	sync := fleet.ActionChoice{Type: fleet.ActSync, Offered: true, Reason: fleet.Why("apple.sync")}

	lock := fleet.ActionChoice{Type: fleet.ActLock, Offered: true, Reason: fleet.Why("apple.lock.phone"), Options: []string{"message", "phone"}}
	if mac {
		lock.Reason, lock.NeedsPIN, lock.Options = fleet.Why("apple.lock.mac"), true, append(lock.Options, "pin")
	} else if v, known := facts["passcode-present"].Value.(bool); known && !v {
		lock.Reason = fleet.Why(codeNoPasscode)
	}

	passcode := fleet.ActionChoice{Type: fleet.ActClearPasscode, Offered: true, Reason: fleet.Why("apple.clear-passcode")}
	switch {
	case mac:
		passcode.Offered, passcode.Reason = false, fleet.Why("apple.clear-passcode.mac")
	case personal:
		passcode.Offered, passcode.Reason = false, fleet.Why("apple.clear-passcode.personal")
	}

	restart := fleet.ActionChoice{Type: fleet.ActRestart, Offered: true, Reason: fleet.Why("apple.restart")}
	if supervised, _ := facts["supervised"].Value.(bool); !mac && !supervised {
		restart.Offered, restart.Reason = false, fleet.Why("apple.restart.unsupervised")
	}

	retire := fleet.ActionChoice{Type: fleet.ActRetire, Offered: true, Reason: fleet.Why("apple.retire"), Confirm: true}

	wipe := fleet.ActionChoice{Type: fleet.ActWipe, Offered: true, Confirm: true, Options: []string{"stolen"}}
	switch {
	case personal:
		wipe = fleet.ActionChoice{Type: fleet.ActWipe, Reason: fleet.Why("apple.wipe.personal")}
	case mac:
		wipe.Reason, wipe.NeedsPIN = fleet.Why("apple.wipe.mac"), true
		wipe.Options = append(wipe.Options, "pin", "obliterate")
	default:
		wipe.Reason = fleet.Why("apple.wipe.phone")
		wipe.Options = append(wipe.Options, "keep-data-plan", "no-proximity")
	}

	remove := fleet.ActionChoice{Type: fleet.ActDelete, Offered: true, Reason: fleet.Why("apple.delete"), Confirm: true}
	return []fleet.ActionChoice{sync, lock, passcode, restart, retire, wipe, remove}
}

// Once says whether an action must not happen twice: a second restart would cost a person's unsaved work again. Everything else
// has the same end if it happens twice.
func (a *Apple) Once(t fleet.ActionType) bool { return t == fleet.ActRestart }

// ErasesRefusing says whether a wipe that is answered Error may happen all the same: a Mac that cannot erase all content and settings answers Error
// and then tries to obliterate itself, unless it was told another way (EraseDevice, ObliterationBehavior: absent is Default).
func (a *Apple) ErasesRefusing(d *fleet.Device, o fleet.ActionOptions) bool {
	return d.Platform == fleet.MacOS && (o.Obliterate == "" || o.Obliterate == "Default")
}

// Lifetime is how long an action may wait for the device. A restart or an opened passcode that comes days later surprises; a
// lock stays wanted for a week.
func (a *Apple) Lifetime(t fleet.ActionType) time.Duration {
	switch t {
	case fleet.ActRestart:
		return 15 * time.Minute
	case fleet.ActClearPasscode:
		return 24 * time.Hour
	case fleet.ActSync:
		return time.Hour
	case fleet.ActLock:
		return 7 * 24 * time.Hour
	}
	return 0 // retire, wipe, delete: until proved
}

// RenewsLate: a device signs with its identity after its end too, and takes the enrolment profile again, with which it makes a new one.
func (a *Apple) RenewsLate() bool { return true }

// Queries that a device should have answered lately. Whether a fact may be taken is fleet's to say; a right that a
// personal enrolment lacks would only earn an error.
func (a *Apple) Queries(d *fleet.Device) []fleet.QueryKind {
	out := []fleet.QueryKind{fleet.QueryDevice, fleet.QuerySecurity, fleet.QueryProfiles, fleet.QueryCertificates}
	if d.Ownership == fleet.Corporate {
		out = append(out, fleet.QueryApps)
	}
	return append(out, fleet.QueryManagedApps)
}

// Applies says whether a profile can be delivered to a target.
func (a *Apple) Applies(p *fleet.Profile, t fleet.Target) (bool, fleet.Reason) {
	if t.Platform != fleet.IOS && t.Platform != fleet.IPadOS && t.Platform != fleet.MacOS {
		return false, fleet.Why("apple.not-applicable.platform", "platform", string(t.Platform))
	}
	if t.Mode != fleet.ModeDevice {
		return false, fleet.Why("apple.not-applicable.mode", "mode", string(t.Mode))
	}
	if renderers[p.Type] == nil {
		return false, fleet.Why("apple.not-applicable.type", "type", string(p.Type))
	}
	switch p.Type {
	case fleet.TypeRestrictions:
		return restrictionsApply(p.Values(), t)
	case fleet.TypeCustom:
		return customApplies(p.Values(), t)
	}
	return true, fleet.Reason{}
}
