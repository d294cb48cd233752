package sim

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// RemoveManagement is the person removing the enrolment profile in Settings.
func (d *Apple) RemoveManagement(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	m := d.managed()
	if m == nil {
		return ErrUnmanaged
	}
	if !d.State().Offline {
		d.checkOut(ctx, m)
	}
	d.leave(m, "the person removed management")
	return nil
}

// SetPasscode is the person setting a passcode; "" takes it off. A passcode that
// breaks the rules of a profile is refused with a *Refusal.
func (d *Apple) SetPasscode(code string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ref := d.compliant(code); ref != nil {
		return ref
	}
	d.passcode = code
	return nil
}

// Unlock is the person opening a locked device: an iPhone by its passcode, a Mac by
// the PIN that locked it. Neither has to be told here.
func (d *Apple) Unlock() {
	d.mu.Lock()
	d.locked, d.lockPIN = false, ""
	d.mu.Unlock()
	d.nudge()
}

// SetOffline takes the device off the network, or puts it back.
func (d *Apple) SetOffline(off bool) {
	d.mu.Lock()
	d.offline = off
	d.mu.Unlock()
	if !off {
		d.nudge()
	}
}

// RemoveManualAccount is the person deleting the account that was set up by hand.
func (d *Apple) RemoveManualAccount() {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.accounts[:0:0]
	for _, a := range d.accounts {
		if a.Managed {
			kept = append(kept, a)
		}
	}
	d.accounts = kept
}

// EraseByHand is the person resetting the device: everything goes, the server is not told.
func (d *Apple) EraseByHand(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	d.erase(d.managed(), "the person erased the device")
	return nil
}

// UserLogsIn is somebody logging in to a Mac, which opens the user channel if the
// server wants one. Without one nothing happens.
func (d *Apple) UserLogsIn(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	d.mu.Lock()
	m, directory := d.mdm, d.mood.DirectoryUser
	d.mu.Unlock()
	if m == nil {
		return ErrUnmanaged
	}
	if d.hw.kind != Mac || !m.perUser || m.user != nil {
		return nil
	}
	ch := d.newChannel(true, m)
	if directory {
		if open, err := d.userAuthenticate(ctx, m, ch); !open {
			ch.line.die()
			return d.failed(err)
		}
	}
	if err := d.tokenUpdate(ctx, m, ch, true); err != nil {
		ch.line.die()
		return d.failed(err)
	}
	d.mu.Lock()
	m.user = ch
	d.mu.Unlock()
	d.nudge()
	return nil
}

// userAuthenticate announces a directory user. The server declines with 410, which is
// no error, or accepts with an empty challenge.
func (d *Apple) userAuthenticate(ctx context.Context, m *management, ch *channel) (open bool, err error) {
	b, err := d.checkIn(ctx, m, ch, "UserAuthenticate", nil)
	if isStatus(err, http.StatusGone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	v, err := parseDict(b)
	if err != nil {
		return false, err
	}
	if s, ok := v["DigestChallenge"].(string); !ok || s != "" {
		return false, errors.New("UserAuthenticate was answered without an empty DigestChallenge")
	}
	_, err = d.checkIn(ctx, m, ch, "UserAuthenticate", dict{"DigestResponse": strings.Repeat("0", 32)})
	return err == nil, err
}

// RotateToken gives the device channel a new push token, as happens after an OS update
// or out of the blue, and tells the server, without the token that unlocks the device.
func (d *Apple) RotateToken(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	m := d.managed()
	if m == nil {
		return ErrUnmanaged
	}
	fresh := d.newChannel(false, m)
	if err := d.tokenUpdate(ctx, m, fresh, false); err != nil {
		fresh.line.die()
		return d.failed(err)
	}
	d.mu.Lock()
	m.device.line.die()
	m.device.token, m.device.magic, m.device.line = fresh.token, fresh.magic, fresh.line
	d.mu.Unlock()
	d.nudge()
	return nil
}

// FetchBootstrapToken asks the server for the token that a Mac has deposited; nil when it keeps none.
func (d *Apple) FetchBootstrapToken(ctx context.Context) ([]byte, error) {
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	defer d.end()
	m := d.managed()
	if m == nil {
		return nil, ErrUnmanaged
	}
	b, err := d.checkIn(ctx, m, m.device, "GetBootstrapToken", dict{"AwaitingConfiguration": false})
	if err != nil {
		return nil, d.failed(err)
	}
	v, err := parseDict(b)
	if err != nil {
		return nil, d.failed(err)
	}
	return data(v, "BootstrapToken"), nil
}
