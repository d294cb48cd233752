package android

import (
	"time"

	"muster/appliance/fleet"
)

// Choices says which actions apply to a device, and of the rest why they do not (C4): a work profile on a personal device can be retired only, a
// kiosk and a fully managed device wiped only, a company's device with a work profile both.
func (a *Android) Choices(d *fleet.Device, _ map[fleet.FactKey]fleet.Fact) []fleet.ActionChoice {
	offer := func(t fleet.ActionType, code string) fleet.ActionChoice {
		return fleet.ActionChoice{Type: t, Offered: true, Reason: why(code)}
	}
	deny := func(t fleet.ActionType, code string) fleet.ActionChoice {
		return fleet.ActionChoice{Type: t, Reason: why(code)}
	}
	sync := offer(fleet.ActSync, "android.sync")
	lock := offer(fleet.ActLock, "android.lock")
	reset := offer(fleet.ActClearPasscode, "android.reset-password")
	reset.NeedsPIN = true
	clear := offer(fleet.ActClearApp, "android.clear-app")
	clear.Options = []string{"app"}
	if v := major(d.OSVersion); v > 0 && v < 9 { // Command.CLEAR_APP_DATA
		clear = deny(fleet.ActClearApp, "android.clear-app.old")
	}
	restart := deny(fleet.ActRestart, "android.restart.profile")
	retire, wipe := deny(fleet.ActRetire, "android.retire.none"), offer(fleet.ActWipe, "android.wipe")
	wipe.Confirm, wipe.Options = true, []string{"stolen"}
	remove := offer(fleet.ActDelete, "android.delete.reset")
	remove.Confirm = true
	switch d.Mode {
	case fleet.ModeWorkProfile:
		retire = offer(fleet.ActRetire, "android.retire.profile")
		wipe = deny(fleet.ActWipe, "android.wipe.personal")
		remove.Reason = why("android.delete.profile")
	case fleet.ModeCompanyWorkProfile:
		retire = offer(fleet.ActRetire, "android.retire.company")
		remove.Reason = why("android.delete.company")
	case fleet.ModeKiosk:
		lock = offer(fleet.ActLock, "android.lock.kiosk")
		restart = offer(fleet.ActRestart, "android.restart")
	default:
		restart = offer(fleet.ActRestart, "android.restart")
	}
	if retire.Offered {
		retire.Confirm = true
	}
	return []fleet.ActionChoice{sync, lock, reset, clear, restart, retire, wipe, remove}
}

// Once says whether an action must not happen twice. Here none is repeated blindly: each command is written down before it is sent, and what became of it is
// asked of Google.
func (a *Android) Once(fleet.ActionType) bool { return false }

// Lifetime is how long an action may wait for the device. Google forgets a command sooner: then it is sent again.
func (a *Android) Lifetime(t fleet.ActionType) time.Duration {
	switch t {
	case fleet.ActLock, fleet.ActClearPasscode, fleet.ActClearApp:
		return 24 * time.Hour
	case fleet.ActRestart:
		return 30 * time.Minute
	case fleet.ActSync:
		return 24 * time.Hour
	}
	return 0 // retire, wipe, delete: until proved
}
