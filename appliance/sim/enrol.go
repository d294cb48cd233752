package sim

import (
	"context"
	"errors"
	"slices"
	"time"
)

// EnrolProfile installs an enrolment profile as a person does who opens the file and
// confirms: identity, Authenticate, TokenUpdate. When anything fails, everything is
// rolled back and the error (a *Refusal, unless the network failed) says why. A profile
// without a management payload is installed like any other, unmanaged.
func (d *Apple) EnrolProfile(ctx context.Context, b []byte) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	return d.failed(d.enrol(ctx, b))
}

// enrol does the work of EnrolProfile.
func (d *Apple) enrol(ctx context.Context, b []byte) error {
	p, err := reader{kind: d.hw.kind, roots: d.roots(), now: time.Now()}.read(b)
	if err != nil {
		return err
	}
	pl := p.find("com.apple.mdm")
	if pl == nil {
		return d.install(ctx, b, false, false)
	}
	if d.managed() != nil {
		return notInstalled(refuse(domainMDM, 12001, "The device is managed already."))
	}
	ids, err := d.identities(ctx, p)
	if err != nil {
		return err
	}
	m := managementOf(p, pl, ids)
	m.client = d.mdmClient(m.id, p)
	m.device = d.newChannel(false, m)

	d.mu.Lock()
	before := slices.Clone(d.profiles)
	ref := d.collisions(p, false)
	d.mu.Unlock()
	if ref == nil {
		err = d.announce(ctx, m, p, ids)
	} else {
		err = notInstalled(ref)
	}
	if err != nil {
		d.mu.Lock()
		for _, i := range slices.Clone(d.profiles) {
			if !slices.Contains(before, i) {
				d.drop(i)
			}
		}
		d.mdm = nil
		d.mu.Unlock()
		d.hangUp(m.client)
		m.device.line.die()
		return err
	}
	d.log.Info("enrolled", "identity", m.id.cert.SerialNumber.String())
	if d.hw.kind == Mac && m.bootstrap {
		// Escrow is a courtesy: a server that refuses it still manages the Mac.
		if _, err := d.checkIn(ctx, m, m.device, "SetBootstrapToken", dict{"BootstrapToken": d.hw.bootstrapToken}); err != nil {
			d.complain("SetBootstrapToken: %v", err)
		}
	}
	d.nudge()
	return nil
}

// announce sends Authenticate, makes the profile part of the device and sends the first TokenUpdate.
func (d *Apple) announce(ctx context.Context, m *management, p *profile, ids map[string]*identity) error {
	if _, err := d.checkIn(ctx, m, m.device, "Authenticate", d.authenticate(m)); err != nil {
		return notInstalled(cannotCheckIn(err))
	}
	d.mu.Lock()
	d.put(&installed{profile: p, enrolment: true, ids: ids})
	d.mdm = m
	d.ddm = declarations{}
	d.seen.erased, d.seen.wiped, d.seen.ended, d.seen.tokenUpdates = false, false, "", 0
	d.mu.Unlock()
	if err := d.tokenUpdate(ctx, m, m.device, true); err != nil {
		return notInstalled(cannotCheckIn(err))
	}
	return nil
}

// cannotCheckIn is how the person sees a check-in that failed.
func cannotCheckIn(err error) *Refusal {
	if errors.Is(err, ErrUnmanaged) {
		return refuse(domainMDM, 12020, "The server refused: %v", err)
	}
	return refuse(domainMDM, 12002, "The device could not check in: %v", err)
}

// managementOf reads the management payload.
func managementOf(p *profile, pl *payload, ids map[string]*identity) *management {
	b := pl.body
	caps := stringList(b, "ServerCapabilities")
	m := &management{
		profile: p.identifier, topic: str(b, "Topic"), serverURL: str(b, "ServerURL"), checkInURL: str(b, "CheckInURL"),
		account: str(b, "AssignedManagedAppleID"), mode: str(b, "EnrollmentMode"), companion: num(b, "RequiredAppIDForMDM"),
		sign: flag(b, "SignMessage"), checkOut: flag(b, "CheckOutWhenRemoved"), rights: num(b, "AccessRights"),
		perUser: slices.Contains(caps, "com.apple.mdm.per-user-connections"), bootstrap: slices.Contains(caps, "com.apple.mdm.bootstraptoken"),
		since: time.Now(),
	}
	if _, there := b["AccessRights"]; !there {
		m.rights = 8191
	}
	if m.checkInURL == "" {
		m.checkInURL = m.serverURL
	}
	if target := p.byUUID(str(b, "IdentityCertificateUUID")); target != nil {
		m.id = ids[target.uuid]
	}
	return m
}

// authenticate lists the keys of an Authenticate message.
func (d *Apple) authenticate(m *management) dict {
	k := dict{"Topic": m.topic}
	if m.rights&rightDevice != 0 {
		k["OSVersion"], k["BuildVersion"], k["ProductName"], k["SerialNumber"] = d.hw.os, d.hw.build, d.hw.model.product, d.hw.serial
		if d.hw.kind == IPhone {
			k["IMEI"] = d.hw.imei
		}
	}
	if d.hw.kind == Mac {
		k["DeviceName"], k["ModelName"], k["Model"] = d.hw.name, d.hw.model.marketing, d.hw.model.number
	}
	return k
}

// newChannel opens a channel with a token and a magic of its own.
func (d *Apple) newChannel(user bool, m *management) *channel {
	ch := &channel{user: user, token: randomBytes(32), magic: newUUID()}
	if d.o.Push != nil {
		ch.line = d.o.Push.attach(ch.token, m.topic)
	}
	return ch
}

// tokenUpdate tells the server where pushes reach a channel. Only the first one of
// an iPhone or iPad carries the token that unlocks it.
func (d *Apple) tokenUpdate(ctx context.Context, m *management, ch *channel, first bool) error {
	k := dict{"Topic": m.topic, "Token": ch.token, "PushMagic": ch.magic}
	if d.hw.kind == Mac && ch.user {
		k["NotOnConsole"] = false
	} else {
		k["AwaitingConfiguration"] = false
	}
	if first && d.hw.kind != Mac && m.rights&rightLock != 0 {
		d.mu.Lock()
		if m.unlockToken == nil {
			m.unlockToken = randomBytes(1024)
		}
		k["UnlockToken"] = m.unlockToken
		d.mu.Unlock()
	}
	if _, err := d.checkIn(ctx, m, ch, "TokenUpdate", k); err != nil {
		return err
	}
	d.mu.Lock()
	d.seen.tokenUpdates++
	d.mu.Unlock()
	return nil
}

// updateManagement installs a newer version of the enrolment profile: a new identity
// within the same enrolment. What may not change is compared first.
func (d *Apple) updateManagement(ctx context.Context, m *management, p *profile, managed bool) error {
	pl := p.find("com.apple.mdm")
	switch {
	case p.identifier != m.profile && !managed:
		return notInstalled(refuse(domainMDM, 12001, "The device is managed already."))
	case p.identifier != m.profile:
		return notInstalled(refuse(domainInstall, 4010, "The update has another identifier than the enrolment profile."))
	case pl == nil:
		return notInstalled(refuse(domainInstall, 4015, "The update has no management payload."))
	}
	next := managementOf(p, pl, nil)
	for what, same := range map[string]bool{
		"Topic": next.topic == m.topic, "ServerURL": next.serverURL == m.serverURL, "CheckInURL": next.checkInURL == m.checkInURL,
		"AssignedManagedAppleID": next.account == m.account, "EnrollmentMode": next.mode == m.mode,
		"RequiredAppIDForMDM": next.companion == m.companion, "ServerCapabilities": next.perUser == m.perUser,
	} {
		if !same {
			return notInstalled(refuse(domainMDM, 12012, "The update changes %s.", what))
		}
	}
	if next.rights&^m.rights != 0 {
		return notInstalled(refuse(domainMDM, 12009, "The update asks for more access rights."))
	}
	ids, err := d.identities(ctx, p)
	if err != nil {
		return err
	}
	next = managementOf(p, pl, ids)
	d.mu.Lock()
	next.device, next.user, next.unlockToken, next.since = m.device, m.user, m.unlockToken, m.since
	ref := d.collisions(p, false)
	d.mu.Unlock()
	if ref != nil {
		return notInstalled(ref)
	}
	next.client = d.mdmClient(next.id, p)
	d.mu.Lock()
	if d.mdm == nil {
		d.mu.Unlock()
		return ErrUnmanaged
	}
	d.put(&installed{profile: p, enrolment: true, ids: ids})
	d.hangUp(m.client)
	next.owesToken = true
	d.mdm = next
	d.mu.Unlock()
	d.log.Info("identity renewed", "identity", next.id.cert.SerialNumber.String())
	// A failure does not bring the old identity back: the server may have seen the new
	// one. The message is owed until the next connection.
	if err := d.payToken(ctx, next); err != nil {
		d.log.Info("token update after renewal did not arrive", "error", err)
	}
	return nil
}

// payToken sends the token update that a renewal left owing.
func (d *Apple) payToken(ctx context.Context, m *management) error {
	d.mu.Lock()
	owes := m.owesToken
	d.mu.Unlock()
	if !owes {
		return nil
	}
	if err := d.tokenUpdate(ctx, m, m.device, false); err != nil {
		return err
	}
	d.mu.Lock()
	m.owesToken = false
	d.mu.Unlock()
	return nil
}

// sentAway ends management because of an answer of the server.
func (d *Apple) sentAway(m *management, why string) error {
	d.leave(m, why)
	return ErrUnmanaged
}

// leave removes management and everything that came with it, without telling anybody.
// The passcode and what the person made by hand stay.
func (d *Apple) leave(m *management, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mdm == nil || d.mdm.device != m.device {
		return
	}
	for _, i := range slices.Clone(d.profiles) {
		if i.managed || i.enrolment {
			d.drop(i)
		}
	}
	d.hangUp(d.mdm.client)
	d.mdm.device.line.die()
	if d.mdm.user != nil {
		d.mdm.user.line.die()
	}
	d.mdm, d.ddm, d.seen.ended = nil, declarations{}, why
	d.log.Info("management ended", "because", why)
	d.nudge()
}
