package sim

import (
	"context"
	"crypto/subtle"
	"slices"
)

// The bits of AccessRights that commands need.
const (
	rightInspect  = 1    // profiles and certificates
	rightProfiles = 2    // install and remove profiles
	rightLock     = 4    // lock, clear the passcode, restart
	rightErase    = 8    //
	rightDevice   = 16   // device information
	rightNetwork  = 32   // network information
	rightApps     = 256  // list installed apps
	rightSecurity = 1024 // security information
	rightManage   = 4096 // manage apps
)

// order is how one command is obeyed.
type order struct {
	right int
	user  bool // accepted on the user channel too
	do    func(*Apple, context.Context, *management, *channel, dict) answer
}

// orders lists the commands that the devices know; read only.
func orders() map[string]order {
	return map[string]order{
		"DeviceInformation":        {user: true, do: (*Apple).deviceInformation},
		"SecurityInfo":             {right: rightSecurity, user: true, do: (*Apple).securityInfo},
		"ProfileList":              {right: rightInspect, user: true, do: (*Apple).profileList},
		"CertificateList":          {right: rightInspect, user: true, do: (*Apple).certificateList},
		"InstalledApplicationList": {right: rightApps, user: true, do: (*Apple).installedApplicationList},
		"ManagedApplicationList":   {right: rightManage, user: true, do: (*Apple).managedApplicationList},
		"InstallProfile":           {right: rightProfiles, user: true, do: (*Apple).installProfile},
		"RemoveProfile":            {right: rightProfiles, user: true, do: (*Apple).removeProfile},
		"DeviceLock":               {right: rightLock, do: (*Apple).deviceLock},
		"ClearPasscode":            {right: rightLock, do: (*Apple).clearPasscode},
		"RestartDevice":            {right: rightLock, do: (*Apple).restartDevice},
		"EraseDevice":              {right: rightErase, do: (*Apple).eraseDevice},
		"DeclarativeManagement":    {user: true, do: (*Apple).declarativeManagement},
	}
}

// obey executes one command, or says why not.
func (d *Apple) obey(ctx context.Context, m *management, ch *channel, kind string, c dict) answer {
	o, known := orders()[kind]
	switch {
	case !known || ch.user && !o.user:
		return failedWith(refuse(domainMDM, 12021, "%s is not a valid request type.", kind))
	case m.rights&o.right != o.right:
		return failedWith(refuse(domainMDM, 12007, "The server is not authorised to send %s.", kind))
	}
	return o.do(d, ctx, m, ch, c)
}

func (d *Apple) installProfile(ctx context.Context, _ *management, ch *channel, c dict) answer {
	d.mu.Lock()
	later := d.mood.NotNow > 0 || d.locked && d.passcode != ""
	if d.mood.NotNow > 0 {
		d.mood.NotNow--
	}
	d.mu.Unlock()
	if later {
		return answer{status: "NotNow"}
	}
	b, ok := c["Payload"].([]byte)
	if !ok {
		return failedWith(malformed("Payload is %s, not data.", typeName(c["Payload"])))
	}
	if err := d.install(ctx, b, ch.user, true); err != nil {
		return failedWith(err)
	}
	return acknowledged(nil)
}

func (d *Apple) removeProfile(_ context.Context, m *management, ch *channel, c dict) answer {
	id, ok := c["Identifier"].(string)
	if !ok {
		return answer{status: "CommandFormatError", chain: refuse(domainMDM, 12008, "Identifier is missing.")}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.find(id, ch.user)
	switch {
	case i == nil:
		return failedWith(refuse(domainMDM, 12075, "The profile %q is not installed.", id))
	case i.enrolment:
		a := acknowledged(nil)
		a.then = func(ctx context.Context) bool {
			d.checkOut(ctx, m)
			d.leave(m, "the server removed the enrolment profile")
			return true
		}
		return a
	case !i.managed:
		return failedWith(refuse(domainMDM, 12013, "The profile %q was not installed by the server.", id))
	}
	d.drop(i)
	return acknowledged(nil)
}

// checkOut tells the server goodbye, once and as well as it goes.
func (d *Apple) checkOut(ctx context.Context, m *management) {
	d.mu.Lock()
	silent := d.mood.NoCheckOut
	if d.mdm != nil {
		m = d.mdm // the command may have come before a renewal
	}
	d.mu.Unlock()
	if !m.checkOut || silent {
		return
	}
	if _, err := d.checkIn(ctx, m, m.device, "CheckOut", dict{"Topic": m.topic}); err != nil {
		d.log.Info("check-out did not arrive", "error", err)
	}
}

func (d *Apple) deviceLock(_ context.Context, _ *management, _ *channel, c dict) answer {
	pin := str(c, "PIN")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hw.kind == Mac {
		if !sixDigits(pin) {
			return failedWith(refuse(domainMDM, 12008, "A Mac is locked with a PIN of six digits."))
		}
		a := acknowledged(nil)
		a.then = func(context.Context) bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.locked, d.lockPIN = true, pin
			return true // it restarts into the PIN screen and cannot be reached
		}
		return a
	}
	d.locked = true
	keys := dict{}
	if str(c, "Message") != "" || str(c, "PhoneNumber") != "" {
		keys["MessageResult"] = "Success"
		if d.passcode == "" {
			keys["MessageResult"] = "NoPasscodeSet"
		}
	}
	return acknowledged(keys)
}

func sixDigits(pin string) bool {
	return len(pin) == 6 && !slices.ContainsFunc([]byte(pin), func(b byte) bool { return b < '0' || b > '9' })
}

func (d *Apple) clearPasscode(_ context.Context, m *management, _ *channel, c dict) answer {
	if d.hw.kind == Mac {
		return failedWith(refuse(domainMDM, 12021, "ClearPasscode is not a valid request type."))
	}
	token, ok := c["UnlockToken"].([]byte)
	if !ok {
		return answer{status: "CommandFormatError", chain: refuse(domainMDM, 12008, "UnlockToken is missing or not data.")}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(m.unlockToken) == 0 || subtle.ConstantTimeCompare(token, m.unlockToken) != 1 {
		return failedWith(&Refusal{Chain: []Link{{domainPasscode, 5013, "The passcode cannot be cleared."}, {domainMDM, 12019, "The escrow keybag does not fit."}}})
	}
	d.passcode, d.locked = "", false
	return acknowledged(nil)
}

func (d *Apple) restartDevice(context.Context, *management, *channel, dict) answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.supervised() {
		return failedWith(refuse(domainOnly, 29000, "The device is not supervised."))
	}
	a := acknowledged(nil)
	a.then = func(context.Context) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.seen.restarts++
		d.nudge() // it connects after the start
		return true
	}
	return a
}

func (d *Apple) eraseDevice(_ context.Context, m *management, _ *channel, c dict) answer {
	if d.hw.kind == Mac && !d.hw.appleSilicon && !sixDigits(str(c, "PIN")) {
		return failedWith(refuse(domainMDM, 12008, "This Mac is erased with a PIN of six digits."))
	}
	a := acknowledged(nil)
	a.then = func(context.Context) bool {
		d.erase(m, "the server erased the device")
		d.mu.Lock()
		d.seen.wiped = true
		d.mu.Unlock()
		return true
	}
	return a
}

// erase takes everything off the device, the person's own things included. Nobody is told.
func (d *Apple) erase(m *management, why string) {
	if m != nil {
		d.leave(m, why)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.profiles, d.accounts, d.passcode, d.locked, d.lockPIN = nil, nil, "", false, ""
	d.seen.erased = true
}
