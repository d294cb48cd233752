package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"muster/pki"
	"muster/store"
)

// contact fills in what a platform package may leave out.
func (f *Fleet) contact(c Contact) Contact {
	if c.Channel == "" {
		c.Channel = DeviceChannel
	}
	if c.Message == "" {
		c.Message = store.NewID()
	}
	if c.At.IsZero() {
		c.At = f.now()
	}
	c.At = c.At.UTC().Round(0) // as it will be read back: without its monotonic part
	return c
}

// heard is when the device itself spoke last.
func (c Contact) heard() time.Time {
	if c.Heard.IsZero() {
		return c.At
	}
	return c.Heard.UTC().Round(0)
}

// deviceActor is the device as the one who acts.
func deviceActor(d *Device, from string) Actor {
	return Actor{Kind: ActorDevice, ID: string(d.ID), Name: d.Name, From: d.address(from), Via: "protocol"}
}

// address is a source address as far as the register allows one to be kept of this device.
func (d *Device) address(from string) string {
	if !Allowed(FactIP, d.Target(), nil) {
		return ""
	}
	return clip(from, 64)
}

// speaking is the device that a message comes from. Errors: ErrNoRecord, ErrUnrecognized, ErrIdentity.
func (f *Fleet) speaking(tx store.Tx, c Contact) (*Device, error) {
	e := c.Identity.Enrolment
	gone, err := tombstones.Has(tx, string(e))
	if err != nil {
		return nil, err
	}
	if gone {
		return nil, ErrUnrecognized
	}
	var d *Device
	if c.Identity.Device != "" {
		d, err = devices.Get(tx, string(c.Identity.Device))
	} else {
		d, err = devices.Find(tx, "enrolment", string(e))
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoRecord
	}
	if err != nil {
		return nil, err
	}
	if d.Enrolment != e || e == "" {
		return nil, ErrIdentity
	}
	return d, nil
}

// Bounds of what a device may ask us to remember.
const (
	channelsMost = 32
	channelName  = 200
	addressMost  = 16 << 10
)

func lockKey(c Contact) string { return string(c.Identity.Enrolment) + "/" + string(c.Channel) }

// Enrol is the first message of an enrolment (Apple: Authenticate). A known Hardware under another enrolment is a
// re-enrolment: open orders end as overtaken, with a receipt, and the old identity is revoked. Refused with ErrGone for a spent enrolment,
// ErrConflict "device.stolen" for a stolen one, ErrIdentity when the identity already belongs to other hardware.
func (f *Fleet) Enrol(ctx context.Context, c Contact, in EnrolInput) (*Device, error) {
	c = f.contact(c)
	c.Channel = DeviceChannel
	if in.Hardware == "" || len(in.Hardware) > 200 || f.modules[in.Platform] == nil {
		return nil, Refuse(ErrInvalid, "enrol.message")
	}
	unlock, err := f.planner.locks.Lock(ctx, lockKey(c))
	if err != nil {
		return nil, err
	}
	defer unlock()
	unlockHardware, err := f.planner.locks.Lock(ctx, "hardware/"+in.Hardware)
	if err != nil {
		return nil, err
	}
	defer unlockHardware()
	var d *Device
	var refusal error // written down, so that the transaction has to commit
	err = f.db.Update(ctx, func(tx store.Tx) (err error) {
		d, refusal, err = f.enrol(tx, c, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, refusal
	}
	return d, nil
}

func (f *Fleet) enrol(tx store.Tx, c Contact, in EnrolInput) (d *Device, refusal, err error) {
	gone, err := tombstones.Has(tx, string(c.Identity.Enrolment))
	if err != nil {
		return nil, nil, err
	}
	if gone {
		return nil, nil, Refuse(ErrGone, "enrol.ended")
	}
	e, err := enrolments.Get(tx, string(c.Identity.Enrolment))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, ErrNoRecord
	}
	if err != nil {
		return nil, nil, err
	}
	if e.Ended != nil {
		return nil, nil, Refuse(ErrGone, "enrol.ended")
	}
	now := f.now().UTC()
	old, err := devices.Find(tx, "hardware", in.Hardware)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, nil, err
	}
	switch {
	case e.Device != "" && (old == nil || old.ID != e.Device):
		return nil, nil, Refuse(ErrIdentity, "enrol.other-hardware")
	case e.Device != "":
		d, err := f.enrolAgain(tx, c, in, old)
		return d, nil, err
	case old != nil && old.Stolen:
		if err := f.event(tx, old.ID, Why("event.stolen-enrolment"), Evidence{Message: c.Message, At: c.At, What: "enrolment"}, ""); err != nil {
			return nil, nil, err
		}
		if err := f.record(tx, deviceActor(old, c.From), "refuse-enrolment", "device/"+string(old.ID), old.Name, old.Tags, nil, Why("device.stolen")); err != nil {
			return nil, nil, err
		}
		return nil, Refuse(ErrConflict, "device.stolen", "name", old.Name), nil
	}
	if e.Invitation != "" {
		iv, err := invitations.Get(tx, string(e.Invitation))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, nil, err
		}
		if err == nil && iv.Revoked != nil {
			return nil, nil, Refuse(ErrGone, "enrol.revoked")
		}
	}
	var before *Device
	verb := "enrol"
	if old == nil {
		d = &Device{ID: DeviceID(store.NewID()), Hardware: in.Hardware, Tags: slices.Clone(e.Tags), Warning: in.Warning}
	} else {
		d, verb = old, "re-enrol"
		rep, err := reportOf(tx, d)
		if err != nil {
			return nil, nil, err
		}
		p := &passage{device: d, rep: rep, evidence: Evidence{Message: c.Message, At: c.At, What: "enrolment"}, reason: "overtaken"}
		ended := d.Enrolment
		if err := f.transit(tx, p, evReenrol); err != nil {
			return nil, nil, err
		}
		tx.OnCommit(func() { f.planner.identities.forget(ended) })
		before = d.snapshot()
		d.Hidden, d.Warning = false, nil
		for _, t := range e.Tags {
			if !slices.Contains(d.Tags, t) {
				d.Tags = append(d.Tags, t)
			}
		}
		if err := clearFacts(tx, d.ID); err != nil { // they were taken under other terms, perhaps from another person
			return nil, nil, err
		}
	}
	d.Enrolment, d.Person, d.Platform, d.Mode, d.Ownership = e.ID, e.Person, in.Platform, e.Mode, e.Ownership
	d.Switches, d.State, d.Enrolled, d.LastSeen, d.LastFrom, d.Channels = e.Switches, Enrolling, now, now, "", nil
	if d.Mode == "" {
		d.Mode = defaultMode(d.Platform, d.Ownership)
	}
	d.LastFrom = d.address(c.From)
	e.Device, e.Topic = d.ID, in.Topic
	if e.Service = in.Service; e.Service != "" {
		if err := oneService(tx, e); err != nil {
			return nil, nil, err
		}
	}
	if err := enrolments.Put(tx, e); err != nil {
		return nil, nil, err
	}
	rep := &reported{Device: d.ID, Enrolment: d.Enrolment}
	d.Serial = "" // told anew
	if err := f.begin(tx, c, in, d, rep); err != nil {
		return nil, nil, err
	}
	if err := f.saveDevice(tx, before, d); err != nil {
		return nil, nil, err
	}
	if err := countCall(tx, dayOf(now), 1); err != nil {
		return nil, nil, err
	}
	if err := f.event(tx, d.ID, Why("event."+verb, "platform", string(d.Platform)), Evidence{Message: c.Message, At: c.At, What: "enrolment"}, ""); err != nil {
		return nil, nil, err
	}
	if err := f.record(tx, deviceActor(d, c.From), verb, "device/"+string(d.ID), d.Name, d.Tags, nil, map[string]any{"enrolment": e.ID, "person": e.Person, "ownership": e.Ownership}); err != nil {
		return nil, nil, err
	}
	f.publish(tx, "overview", "")
	return d, nil, nil
}

// enrolAgain is a repeated first message of one enrolment: an answer was lost, or the person installed the profile twice. Nothing that was
// delivered counts any more; what was ordered stands, since this is no new enrolment.
func (f *Fleet) enrolAgain(tx store.Tx, c Contact, in EnrolInput, d *Device) (*Device, error) {
	if d.Enrolment != c.Identity.Enrolment {
		return nil, ErrIdentity
	}
	old := d.snapshot()
	rep, err := reportOf(tx, d)
	if err != nil {
		return nil, err
	}
	*rep = reported{Device: d.ID, Enrolment: d.Enrolment, Removal: rep.Removal, Identity: rep.Identity, Generations: rep.Generations, Open: rep.Open}
	if rep.Removal != nil {
		rep.Removal.Unenrol, rep.Removal.Handed = nil, false
	}
	if err := dropWakes(tx, d.ID); err != nil {
		return nil, err
	}
	d.Channels = nil
	if d.State == Managed {
		d.State = Enrolling
	}
	if err := f.begin(tx, c, in, d, rep); err != nil {
		return nil, err
	}
	if err := f.event(tx, d.ID, Why("event.enrol-again"), Evidence{Message: c.Message, At: c.At, What: "enrolment"}, ""); err != nil {
		return nil, err
	}
	return d, f.saveDevice(tx, old, d)
}

// begin stores what a first message tells, the caller stores the device.
func (f *Fleet) begin(tx store.Tx, c Contact, in EnrolInput, d *Device, rep *reported) error {
	if err := f.saveFacts(tx, d, in.Facts, c.At); err != nil {
		return err
	}
	if d.Name == "" {
		name, err := nameFor(tx, d, in.Name)
		if err != nil {
			return err
		}
		d.Name = clip(name, 200)
	}
	if _, err := f.noteIdentity(tx, d, rep, c.Identity.Fingerprint); err != nil {
		return err
	}
	enrolment := c.Identity.Enrolment
	tx.OnCommit(func() { f.planner.identities.forget(enrolment) })
	return reports.Put(tx, rep)
}

// nameFor is a new device's name: its own, where the register allows that to be taken; else the kind of device and whose it is.
func nameFor(tx store.Tx, d *Device, own string) (string, error) {
	if own = strings.TrimSpace(own); own != "" && Allowed(FactDeviceName, d.Target(), nil) {
		return own, nil
	}
	kind := d.Model
	if kind == "" {
		kind = map[Platform]string{IOS: "iPhone", IPadOS: "iPad", MacOS: "Mac", Windows: "Windows PC", Android: "Android"}[d.Platform]
	}
	if kind == "" {
		kind = string(d.Platform)
	}
	p, err := personOf(tx, d)
	if err != nil || p == nil {
		return kind, err
	}
	return kind + " (" + p.Name + ")", nil
}

func clearFacts(tx store.Tx, d DeviceID) error {
	for _, err := range []error{facts.Delete(tx, string(d)), inventories.Delete(tx, string(d)), networkHeard.Delete(tx, string(d))} {
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Reach records that a channel can be reached now (Apple: TokenUpdate). The first one makes the device managed. wake is what the Waker needs
// (sealed by the platform package), stored beside the channel.
func (f *Fleet) Reach(ctx context.Context, c Contact, wake []byte) (*Device, error) {
	c = f.contact(c)
	if c.Channel != DeviceChannel && c.Channel.kind() != userChannel || len(c.Channel) > channelName || len(wake) > addressMost {
		return nil, Refuse(ErrInvalid, "enrol.message")
	}
	unlock, err := f.planner.locks.Lock(ctx, lockKey(c))
	if err != nil {
		return nil, err
	}
	defer unlock()
	var d *Device
	err = f.db.Update(ctx, func(tx store.Tx) (err error) {
		if d, err = f.speaking(tx, c); err != nil {
			return err
		}
		if len(d.Channels) >= channelsMost && !slices.Contains(d.Channels, c.Channel) {
			return Refuse(ErrInvalid, "enrol.message")
		}
		if d.State.ended() {
			return ErrUnrecognized
		}
		rep, err := reportOf(tx, d)
		if err != nil {
			return err
		}
		first := !slices.Contains(d.Channels, c.Channel)
		old := d.snapshot()
		if first {
			d.Channels = append(d.Channels, c.Channel)
			slices.Sort(d.Channels)
		}
		rep.channel(c.Channel)
		if _, err := f.noteIdentity(tx, d, rep, c.Identity.Fingerprint); err != nil {
			return err
		}
		if err := f.keepAddress(tx, d, c.Channel, wake, first); err != nil {
			return err
		}
		if first {
			r := Why("event.reached", "channel", string(c.Channel.kind()))
			if err := f.event(tx, d.ID, r, Evidence{Message: c.Message, At: c.At, What: "token"}, ""); err != nil {
				return err
			}
		}
		if c.Channel == DeviceChannel && d.State == Enrolling {
			// what changed so far is stored by the transition
			if err := f.saveDevice(tx, old, d); err != nil {
				return err
			}
			if err := f.onlyIdentity(tx, d, rep.Identity.Fingerprint); err != nil {
				return err
			}
			p := &passage{device: d, rep: rep, evidence: Evidence{Message: c.Message, At: c.At, What: "token"}}
			return f.transit(tx, p, evReach)
		}
		if err := reports.Put(tx, rep); err != nil {
			return err
		}
		if !first {
			f.touched(tx, d.ID)
			return nil
		}
		if err := f.saveDevice(tx, old, d); err != nil {
			return err
		}
		return f.refreshDeliveries(tx, d)
	})
	if err != nil {
		return nil, err
	}
	f.touch(d, c)
	return d, nil
}

// onlyIdentity ends what else could pass for a device that has now enrolled: the enrolment profile may have been fetched more than once, each
// time with a challenge of its own.
func (f *Fleet) onlyIdentity(tx store.Tx, d *Device, fingerprint string) error {
	if err := f.pki.VoidChallenges(tx, string(d.Enrolment)); err != nil {
		return err
	}
	if fingerprint == "" { // a platform without certificates of its own
		return nil
	}
	q := pki.CertificateQuery{Enrolment: string(d.Enrolment), Purpose: pki.Management, Limit: 200}
	for {
		page, err := f.pki.Certificates(tx, q)
		if err != nil {
			return err
		}
		for _, c := range page.Items {
			if c.Fingerprint == fingerprint || c.Revoked() {
				continue
			}
			if err := f.pki.Revoke(tx, c.Serial, pki.ReasonSuperseded, f.now()); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

// Leave records that the device left by itself (Apple: CheckOut): certificates are revoked, a receipt is written, the tombstone stands. During a removal
// it is its proof. Telling it twice changes nothing.
func (f *Fleet) Leave(ctx context.Context, c Contact) error { return f.depart(ctx, c, "check-out") }

// Vanish records that the service that manages a device for us no longer has it: its person took it out of management, or nobody knows who
// did. It is Leave, with other evidence.
func (f *Fleet) Vanish(ctx context.Context, c Contact) error { return f.depart(ctx, c, "vanished") }

func (f *Fleet) depart(ctx context.Context, c Contact, what string) error {
	c = f.contact(c)
	if c.Channel != DeviceChannel {
		return nil // a person's channel ends with the device's
	}
	unlock, err := f.planner.locks.Lock(ctx, lockKey(c))
	if err != nil {
		return err
	}
	defer unlock()
	return f.db.Update(ctx, func(tx store.Tx) error {
		d, err := f.speaking(tx, c)
		if errors.Is(err, ErrUnrecognized) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.State.ended() {
			return nil
		}
		rep, err := reportOf(tx, d)
		if err != nil {
			return err
		}
		return f.end(tx, d, rep, evLeave, Evidence{Message: c.Message, At: c.At, What: what}, deviceActor(d, c.From))
	})
}

// end brings an enrolment to its end, with the log's record.
func (f *Fleet) end(tx store.Tx, d *Device, rep *reported, e lifecycleEvent, ev Evidence, by Actor) error {
	before, enrolment := d.State, d.Enrolment
	if err := f.record(tx, by, "end-enrolment", "device/"+string(d.ID), d.Name, d.Tags, map[string]any{"state": before}, map[string]any{"cause": e, "evidence": ev}); err != nil {
		return err
	}
	p := &passage{device: d, rep: rep, evidence: ev}
	if err := f.transit(tx, p, e); err != nil {
		return err
	}
	tx.OnCommit(func() { f.planner.identities.forget(enrolment) })
	return nil
}

// daysOf is a number of days as a duration.
func daysOf(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
