package android

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"muster/appliance/fleet"
)

// ordersMost is how many orders one turn carries out; the rest waits for the next.
const ordersMost = 60

// turn plays a device's part of an exchange with fleet: takes orders, carries them out at Google, and answers. The queue sees to it that
// an enrolment has one turn at a time.
type turn struct {
	a    *Android
	conn *connection
	rec  *record
	dev  *device // as Google shows it; nil until it was asked for
	lost bool    // Google does not know the device
}

// take carries out one turn. Errors: *trouble when Google cannot be spoken to for now.
func (a *Android) take(ctx context.Context, req *turnRequest) error {
	rec, err := a.recordOf(ctx, req.enrolment)
	if err != nil || rec == nil || rec.Device == "" {
		return err
	}
	conn, err := a.ready(ctx)
	if err != nil {
		return err
	}
	t := &turn{a: a, conn: conn, rec: rec}
	if req.news {
		if err := t.see(ctx); err != nil {
			return err
		}
	}
	return t.run(ctx, req.news)
}

// see asks Google for the device, once a turn, and notes when it was heard.
func (t *turn) see(ctx context.Context) error {
	if t.dev != nil || t.lost {
		return nil
	}
	d, err := t.conn.getDevice(ctx, laneRead, t.rec.Device)
	switch {
	case is(err, http.StatusNotFound):
		t.lost = true
		return nil
	case err != nil:
		return err
	}
	t.dev = d
	if d.deleted() {
		t.dev, t.lost = nil, true
		return nil
	}
	if h := d.heard(); h.After(t.rec.Heard) || int64(d.AppliedPolicyVersion) != t.rec.Applied {
		if h.After(t.rec.Heard) {
			t.rec.Heard = h
		}
		t.rec.Applied = int64(d.AppliedPolicyVersion)
		return t.a.keep(ctx, t.rec)
	}
	return nil
}

// contact is the device calling, so to speak. When it was really heard of is Google's to say.
func (t *turn) contact() fleet.Contact {
	return fleet.Contact{Identity: fleet.Identity{Enrolment: t.rec.Enrolment, Device: t.rec.DeviceID}, Channel: fleet.DeviceChannel, At: t.a.now(), Heard: t.rec.Heard}
}

func (t *turn) run(ctx context.Context, news bool) error {
	if !t.rec.Reached {
		if _, err := t.a.fleet.Reach(ctx, t.contact(), []byte(t.rec.Enrolment)); err != nil {
			return t.over(ctx, err)
		}
		t.rec.Reached = true
		if err := t.a.keep(ctx, t.rec); err != nil {
			return err
		}
	}
	c := t.contact()
	c.NewRun, c.News = true, news
	var ans *fleet.Answer
	for range ordersMost {
		o, err := t.a.fleet.Exchange(ctx, c, ans)
		if err != nil {
			return t.over(ctx, err)
		}
		if o == nil {
			if t.lost {
				return t.vanish(ctx)
			}
			return nil
		}
		if ans, err = t.carryOut(ctx, o); err != nil {
			return err
		}
		if ans == nil { // Google does not know the device, and no order of ours explains it
			return t.vanish(ctx)
		}
		c = t.contact()
	}
	return nil
}

// over deals with an end that fleet tells of: nothing of the enrolment is needed any more.
func (t *turn) over(ctx context.Context, err error) error {
	if errors.Is(err, fleet.ErrUnrecognized) || errors.Is(err, fleet.ErrIdentity) || errors.Is(err, fleet.ErrNoRecord) {
		return t.a.tidy(ctx, t.conn, t.rec)
	}
	return err
}

// vanish tells fleet that the device is gone from Google, whoever took it out.
func (t *turn) vanish(ctx context.Context) error {
	if err := t.a.fleet.Vanish(ctx, t.contact()); err != nil {
		return t.over(ctx, err)
	}
	return t.a.tidy(ctx, t.conn, t.rec)
}

// carryOut turns an order into calls. A nil answer without an error says that the device is gone.
func (t *turn) carryOut(ctx context.Context, o *fleet.Order) (*fleet.Answer, error) {
	switch o.Step.Kind {
	case fleet.StepInstall, fleet.StepRemove:
		return t.deliver(ctx, o)
	case fleet.StepQuery:
		return t.query(ctx, o)
	case fleet.StepAction:
		return t.act(ctx, o)
	case fleet.StepUnenrol:
		return t.unenrol(ctx, o)
	}
	return &fleet.Answer{Order: o.ID, Outcome: fleet.Malformed, Reason: why(codeRender)}, nil
}

// deliver writes the policy. What Google has taken is handed over; that it arrived, the device has to say.
func (t *turn) deliver(ctx context.Context, o *fleet.Order) (*fleet.Answer, error) {
	unit := ""
	var profiles []*fleet.Profile
	if o.Step.Kind == fleet.StepInstall {
		unit, profiles = o.Step.Unit.Version, o.Profiles
	}
	r := &rendering{mode: t.rec.Mode, ownership: o.Device.Ownership, person: o.Person, frame: *o.Frame, root: t.a.rootCertificate(), packed: o.Packed}
	var err error
	if r.webApps, err = t.a.linked(ctx, t.conn, profiles); err == nil {
		err = t.a.send(ctx, t.conn, lanePolicy, t.rec, r, profiles, unit)
	}
	if ans := refusedPolicy(o.ID, err); ans != nil {
		t.a.log.Error("policy not delivered", "device", t.rec.DeviceID, "err", err)
		return ans, nil
	}
	if err != nil {
		return nil, err
	}
	return &fleet.Answer{Order: o.ID, Outcome: fleet.Done}, nil
}

// refusedPolicy is the answer to an order whose policy cannot be made, or is not taken by Google; nil when err is something else.
func refusedPolicy(o fleet.OrderID, err error) *fleet.Answer {
	var cannot *unrenderable
	var refused *apiError
	switch {
	case errors.As(err, &cannot):
		return &fleet.Answer{Order: o, Outcome: fleet.Failed, Reason: fleet.Reason{Code: codeRender, DeviceWords: cannot.cause.Error()}}
	case troubled(err) != nil:
		return nil
	case errors.As(err, &refused):
		return &fleet.Answer{Order: o, Outcome: fleet.Failed, Reason: fleet.Reason{Code: codePolicy, DeviceWords: refused.words()}}
	}
	return nil
}

// send renders a policy and writes it where it differs from what Google has. The fields that it may have are written down first, so that after a
// crash none is left behind.
func (a *Android) send(ctx context.Context, conn *connection, l lane, rec *record, r *rendering, profiles []*fleet.Profile, unit string) error {
	doc, err := r.policy(profiles)
	if err != nil {
		return err
	}
	sum, err := digest(doc)
	if err != nil {
		return err
	}
	if rec.Sent.Digest != sum || rec.Sent.Version == 0 {
		keys := union(rec.Sent.Keys, topKeys(doc))
		if len(keys) > len(rec.Sent.Keys) || rec.Sent.Digest != "" {
			rec.Sent.Keys, rec.Sent.Digest = keys, ""
			if err := a.keep(ctx, rec); err != nil {
				return err
			}
		}
		version, err := conn.patchPolicy(ctx, l, rec.Policy, doc, keys)
		if err != nil {
			return fmt.Errorf("policy of %s: %w", rec.Enrolment, err)
		}
		rec.Sent = sentPolicy{Version: version, Digest: sum, Keys: topKeys(doc), At: a.now().UTC()}
	}
	rec.Sent.Unit, rec.Sent.Owners, rec.Sent.Certificates = unit, r.owners(doc, profiles), r.certificates(profiles)
	return a.keep(ctx, rec)
}

// query answers from the device as Google shows it.
func (t *turn) query(ctx context.Context, o *fleet.Order) (*fleet.Answer, error) {
	if err := t.see(ctx); err != nil {
		return nil, err
	}
	if t.lost {
		return nil, nil
	}
	ans := &fleet.Answer{Order: o.ID, Outcome: fleet.Done}
	switch o.Step.Query {
	case fleet.QueryProfiles:
		if !t.rec.arrived(t.dev) {
			ans.Outcome = fleet.Taken // the device has not said yet that it has the newest policy
			return ans, nil
		}
		ans.Markers = map[string]string{}
		stand, err := t.a.linksStand(ctx, &t.rec.Sent)
		if err != nil {
			return nil, err
		}
		if t.rec.Sent.Unit != "" && stand {
			ans.Markers[unitPolicy] = t.rec.Sent.Unit
			ans.Results = results(t.dev, t.rec.Sent.Owners)
		}
	case fleet.QueryCertificates:
		if !t.rec.arrived(t.dev) {
			ans.Outcome = fleet.Taken
			return ans, nil
		}
		ans.Certificates = certificatesOf(t.dev, &t.rec.Sent)
	case fleet.QueryDevice, fleet.QuerySecurity:
		ans.Facts = factsOf(o.Step.Query, t.dev, o.Facts)
	case fleet.QueryApps, fleet.QueryManagedApps:
		ans.Apps = appsOf(t.dev, t.rec.Mode, t.rec.Sent.Owners)
	}
	return ans, nil
}

// tidy takes away what Google keeps for an enrolment that has ended, and forgets it. What cannot be taken away now is left to the next look at
// all devices.
func (a *Android) tidy(ctx context.Context, conn *connection, rec *record) error {
	if rec.Token.Name != "" && a.now().Before(rec.Token.Expires) {
		if err := conn.deleteToken(ctx, rec.Token.Name); err != nil && troubled(err) != nil {
			return err
		}
	}
	if err := conn.deletePolicy(ctx, rec.Policy); err != nil {
		if is(err, http.StatusBadRequest) { // a device refers to it still
			return nil
		}
		return err
	}
	return a.forget(ctx, rec.Enrolment)
}

// Wake takes a device's turn. It waits a moment for it, so that what hinders it can be shown; behind a long queue it does not.
func (a *Android) Wake(ctx context.Context, w fleet.Wake) fleet.WakeResult {
	conn, err := a.ready(ctx)
	if err != nil {
		if t := troubled(err); t != nil {
			return fleet.WakeResult{Reason: t.reason(), RetryAfter: 10 * time.Minute}
		}
		return fleet.WakeResult{Reason: why(codeUnavailable)}
	}
	if t := conn.pause.now(); t != nil {
		return fleet.WakeResult{Reason: t.reason(), RetryAfter: max(t.After, time.Second)}
	}
	e := fleet.EnrolmentID(w.Address)
	u := urgentWish
	switch fleet.ActionType(w.Reason) {
	case fleet.ActLock, fleet.ActClearPasscode, fleet.ActClearApp, fleet.ActRestart, fleet.ActRetire, fleet.ActWipe, fleet.ActDelete, fleet.ActSync:
		u = urgentOrder
	}
	waiting := a.queue.length()
	if waiting > 8*workers {
		a.queue.push(e, u, false, nil)
		_, lasts := conn.limit.backlog()
		return fleet.WakeResult{Accepted: true, Reason: why(codeQueued), RetryAfter: 5*time.Minute + lasts + time.Duration(waiting)*time.Second/time.Duration(max(1, int(a.c.Rate)))}
	}
	done := make(chan error, 1)
	a.queue.push(e, u, false, done)
	select {
	case err = <-done:
	case <-time.After(2 * time.Second):
		return fleet.WakeResult{Accepted: true, Reason: why(codeQueued), RetryAfter: 5 * time.Minute}
	case <-ctx.Done():
		return fleet.WakeResult{Reason: why(codeQueued)}
	}
	if t := troubled(err); t != nil {
		return fleet.WakeResult{Reason: t.reason(), RetryAfter: max(t.After, time.Second)}
	}
	if err != nil {
		a.log.Error("turn of a device", "device", w.Device, "err", err)
		return fleet.WakeResult{Reason: why(codeUnavailable)}
	}
	return fleet.WakeResult{Accepted: true, Reason: why("waiting.contact", "platform", string(fleet.Android))}
}
