package windows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// Builds from which on something is there.
const (
	build1607 = 14393
	build1703 = 15063
	build1709 = 16299
	build11H2 = 22621 // Windows 11 22H2
)

// Ways of erasing, ActionOptions.Method. Each is an option of the wipe where the build has it.
const (
	methodProtected    = "protected"         // goes on after a power cut, and may leave a PC that does not start
	methodProvisioning = "keep-provisioning" // provisioning packages are applied again
	methodCloud        = "cloud"             // with a fresh system from the internet
)

// Choices says which actions apply to a PC, and of the rest why they do not (C4).
func (w *Windows) Choices(d *fleet.Device, facts map[fleet.FactKey]fleet.Fact) []fleet.ActionChoice {
	text := func(k fleet.FactKey) string { s, _ := facts[k].Value.(string); return s }
	build := buildOf(text(fleet.FactOSVersion))
	if build == 0 {
		build = buildOf(d.OSVersion)
	}
	sync := fleet.ActionChoice{Type: fleet.ActSync, Offered: true, Reason: why("windows.sync")}
	lock := fleet.ActionChoice{Type: fleet.ActLock, Reason: why("windows.lock.none")}
	passcode := fleet.ActionChoice{Type: fleet.ActClearPasscode, Reason: why("windows.clear-passcode.none")}

	restart := fleet.ActionChoice{Type: fleet.ActRestart, Offered: true, Reason: why("windows.restart")}
	switch {
	case home(text(fleet.FactEdition)): // Home and its kin have no Reboot
		restart.Offered, restart.Reason = false, why("windows.restart.home")
	case build > 0 && build < build1607:
		restart.Offered, restart.Reason = false, why("windows.restart.old")
	}

	retire := fleet.ActionChoice{Type: fleet.ActRetire, Offered: true, Reason: why("windows.retire"), Confirm: true}
	wipe := fleet.ActionChoice{Type: fleet.ActWipe, Reason: why("windows.wipe.personal")}
	if d.Ownership != fleet.Personal {
		wipe = fleet.ActionChoice{Type: fleet.ActWipe, Offered: true, Reason: why("windows.wipe"), Confirm: true, Options: []string{"stolen", methodProvisioning}}
		if build >= build1703 {
			wipe.Options = append(wipe.Options, methodProtected)
		}
		if build >= build1709 {
			wipe.Options = append(wipe.Options, "keep-enrolled")
		}
		if build >= build11H2 {
			wipe.Options = append(wipe.Options, methodCloud)
		}
	}
	remove := fleet.ActionChoice{Type: fleet.ActDelete, Offered: true, Reason: why("windows.delete"), Confirm: true}
	return []fleet.ActionChoice{sync, queryChoice(d, build), lock, passcode, restart, retire, wipe, remove}
}

// Once says whether an action must not happen twice: a second restart would cost a person's unsaved work again, a second wipe of a PC that
// stays managed all that was put back. A wipe that ends management is sent once, too: an answer that is missing may mean that it happened.
func (w *Windows) Once(t fleet.ActionType) bool { return t == fleet.ActRestart || t == fleet.ActWipe }

// Lifetime is how long an action may wait for the PC: it calls every ten minutes while it is on.
func (w *Windows) Lifetime(t fleet.ActionType) time.Duration {
	switch t {
	case fleet.ActRestart:
		return 30 * time.Minute
	case fleet.ActSync:
		return time.Hour
	case fleet.ActQuery:
		return 24 * time.Hour
	}
	return 0 // retire, wipe, delete: until proved
}

const wipeNode = "./Device/Vendor/MSFT/RemoteWipe/"

// actionFor is the command of an action. Retire and delete need none: they are made of other steps.
func actionFor(o *fleet.Order) (command, error) {
	if o.Action == nil {
		return command{}, ours(errors.New("action step without an action"))
	}
	switch o.Action.Type {
	case fleet.ActQuery:
		if !mayAsk(o.Action.Options.Node) {
			return command{}, ours(fmt.Errorf("question about %q", o.Action.Options.Node))
		}
		return get(o.Action.Options.Node), nil
	case fleet.ActRestart:
		return set(verbExec, "./Device/Vendor/MSFT/Reboot/RebootNow", "null", ""), nil
	case fleet.ActWipe:
		name := map[string]string{"": "doWipe", methodProtected: "doWipeProtected", methodProvisioning: "doWipePersistProvisionedData", methodCloud: "doWipeCloud"}[o.Action.Options.Method]
		if o.Action.Options.KeepEnrolled {
			name = map[string]string{"": "doWipePersistUserData", methodCloud: "doWipeCloudPersistUserData"}[o.Action.Options.Method]
		} else if strings.Contains(o.Action.Options.Method, methodCloud) {
			name = "doWipeCloud"
		}
		if name == "" {
			return command{}, ours(fmt.Errorf("wipe method %q", o.Action.Options.Method))
		}
		return set(verbExec, wipeNode+name, "chr", ""), nil
	}
	return command{}, ours(fmt.Errorf("action %q", o.Action.Type))
}
