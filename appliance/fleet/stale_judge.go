package fleet

import (
	"context"
	"slices"
	"time"

	"muster/store"
)

// StaleVerdict is what a rule makes of one device that has been silent long enough.
type StaleVerdict struct {
	Device      DeviceID   `json:"device"`
	Name        string     `json:"name"`
	Serial      string     `json:"serial,omitempty"`
	Platform    Platform   `json:"platform"`
	Ownership   Ownership  `json:"ownership"`
	LastContact time.Time  `json:"last_contact,omitzero"` // of any kind; zero: nothing is known
	Contact     string     `json:"contact,omitempty"`     // its kind: check-in, certificate, answer
	Days        int        `json:"days"`                  // of silence
	Action      ActionType `json:"action,omitempty"`      // what the rule does; "" = it is left alone
	Skip        Reason     `json:"skip,omitzero"`         // why it is left alone
	Living      bool       `json:"living"`                // still managed: counts for the share
	Tags        []Tag      `json:"tags,omitempty"`
}

// ContactKinds are the kinds of a last contact.
var ContactKinds = []string{"check-in", "certificate", "answer"}

// covers says whether a rule is about a device at all.
func (f *Fleet) covers(tx store.Tx, r *StaleRule, d *Device) (bool, error) {
	switch {
	case d.Hidden, len(r.Platforms) > 0 && !slices.Contains(r.Platforms, d.Platform), r.Kind == SyncExpiry && d.State.ended():
		return false, nil
	case r.Group == "":
		return true, nil
	}
	p, err := personOf(tx, d)
	if err != nil {
		return false, err
	}
	in, err := f.groupsOf(tx, p, d)
	return in[r.Group], err
}

// lastContact is the newest sign of life of any kind (P63, P64): a call, a certificate that it fetched, an answer.
func (f *Fleet) lastContact(tx store.Tx, d *Device) (time.Time, string, error) {
	at, kind := f.seenNow(d).LastSeen, "check-in"
	later := func(t time.Time, k string) {
		if t.After(at) {
			at, kind = t, k
		}
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return at, kind, err
	}
	later(rep.Identity.NotBefore, "certificate")
	for _, c := range rep.Access {
		later(c.NotBefore, "certificate")
	}
	for _, c := range rep.Channels {
		for _, q := range c.Queries {
			later(q.At, "answer")
		}
		for _, u := range c.Units {
			later(u.Acknowledged.At, "answer")
			later(u.Confirmed.At, "answer")
		}
	}
	if at.IsZero() {
		kind = ""
	}
	return at, kind, nil
}

// judge is the one comparison that preview and run share: what a rule makes of a device at a time. ok is false when the rule is not about the device,
// or it was not silent for long enough.
func (f *Fleet) judge(tx store.Tx, r *StaleRule, d *Device, now time.Time) (v StaleVerdict, ok bool, err error) {
	if covered, err := f.covers(tx, r, d); err != nil || !covered {
		return v, false, err
	}
	v = StaleVerdict{Device: d.ID, Name: d.Name, Serial: d.Serial, Platform: d.Platform, Ownership: d.Ownership, Tags: d.Tags, Living: !d.State.ended()}
	if v.LastContact, v.Contact, err = f.lastContact(tx, d); err != nil {
		return v, false, err
	}
	if v.LastContact.IsZero() {
		v.Skip = Why("rule.skip-no-contact")
		return v, true, nil
	}
	silent := now.Sub(v.LastContact)
	v.Days = int(silent / (24 * time.Hour))
	if silent < daysOf(r.Days) {
		return v, false, nil
	}
	if v.Skip, err = f.spared(tx, r, d, v.LastContact); err != nil || v.Skip.Code != "" {
		return v, true, err
	}
	v.Action, v.Skip, err = f.staleAction(tx, r, d)
	return v, true, err
}

// spared says why a rule leaves a silent device alone; the zero Reason when it does not.
func (f *Fleet) spared(tx store.Tx, r *StaleRule, d *Device, last time.Time) (Reason, error) {
	for _, t := range r.ExcludeTags {
		if slices.Contains(d.Tags, t) {
			return Why("rule.skip-tag", "tag", string(t)), nil
		}
	}
	switch {
	case d.State.leaving():
		return Why("rule.skip-leaving", "state", string(d.State)), nil
	case d.State.ended():
		return Reason{}, nil
	case d.Stolen:
		return Why("rule.skip-stolen"), nil
	}
	locked, err := lockedSince(tx, d, last)
	if locked {
		return Why("rule.skip-locked"), err
	}
	return Reason{}, err
}

// settled is how long after a lock was answered contacts may still belong to it.
const settled = 10 * time.Minute

// lockedSince says whether a device was locked, or put into lost mode, and has not called since: then its silence is our own doing, or it lies where
// somebody looks for it.
func lockedSince(tx store.Tx, d *Device, last time.Time) (locked bool, err error) {
	err = actions.Each(tx, store.Query{Index: "device", Value: string(d.ID)}, func(a *Action) (bool, error) {
		if a.Enrolment != d.Enrolment || a.Type != ActLock && a.Type != actLostMode {
			return true, nil
		}
		switch a.State {
		case ActionQueued, ActionSent, ActionAcknowledged:
			locked = true
		case ActionDone, ActionUnknown:
			locked = a.Ended == nil || last.Before(a.Ended.Add(settled))
		}
		return !locked, nil
	})
	return locked, err
}

// actLostMode is the order that puts a device into lost mode, on platforms that have it.
const actLostMode ActionType = "lost-mode"

// staleAction is what a rule orders of a device; the zero action with why not.
func (f *Fleet) staleAction(tx store.Tx, r *StaleRule, d *Device) (ActionType, Reason, error) {
	if d.State.ended() {
		return ActDelete, Reason{}, nil // only its record is left
	}
	list, err := f.choices(tx, Job(string(r.Kind)), d)
	if err != nil {
		return "", Reason{}, err
	}
	offers := func(t ActionType) bool {
		return slices.ContainsFunc(list, func(c ActionChoice) bool { return c.Type == t && c.Offered })
	}
	retires := offers(ActRetire)
	switch {
	case !retires && !offers(ActWipe):
		return "", Why("rule.skip-no-removal"), nil
	case !retires && !r.Erase:
		return "", Why("rule.skip-erase-only"), nil
	case r.Kind == Cleanup:
		return ActDelete, Reason{}, nil
	case retires:
		return ActRetire, Reason{}, nil
	}
	return ActWipe, Reason{}, nil
}

// silentDevices judges every device that can have been silent for long enough, longest silence first.
func (f *Fleet) silentDevices(tx store.Tx, r *StaleRule, now time.Time) ([]StaleVerdict, error) {
	var out []StaleVerdict
	limit := now.Add(-daysOf(r.Days)).Add(time.Minute).UTC().Format("200601021504") // LastSeen is never later than the last contact
	err := devices.Each(tx, store.Query{Index: "seen", To: limit + "0"}, func(d *Device) (bool, error) {
		v, ok, err := f.judge(tx, r, d, now)
		if ok {
			out = append(out, v)
		}
		return true, err
	})
	return out, err
}

// population counts the living devices within the actor's scope that a rule covers.
func (f *Fleet) population(tx store.Tx, a Actor, r *StaleRule) (int, error) {
	n := 0
	if r.Group == "" {
		err := deviceCounts.Each(tx, store.Query{}, func(c *deviceCount) (bool, error) {
			if !sees(a, tagsOfKey(c.Tags)) {
				return true, nil
			}
			for p, k := range c.Platform {
				if len(r.Platforms) == 0 || slices.Contains(r.Platforms, p) {
					n += k
				}
			}
			return true, nil
		})
		return n, err
	}
	err := devices.Each(tx, store.Query{}, func(d *Device) (bool, error) {
		if d.State.ended() || !sees(a, d.Tags) {
			return true, nil
		}
		covered, err := f.covers(tx, r, d)
		if covered {
			n++
		}
		return true, err
	})
	return n, err
}

// beyondShare says whether taking so many living devices needs an administrator's yes.
func (r *StaleRule) beyondShare(hits, covered int) bool { return hits*100 > r.Share*covered }

// StalePreview is what a rule would do now.
type StalePreview struct {
	Rule     StaleRule      `json:"rule,omitzero"`
	At       time.Time      `json:"at,omitzero"`
	Covered  int            `json:"covered"` // living devices within the actor's scope that the rule is about
	Hits     int            `json:"hits"`
	Skipped  int            `json:"skipped"`   // silent for as long, and left alone
	NeedsYes bool           `json:"needs_yes"` // more than the share
	Devices  []StaleVerdict `json:"devices"`   // those that it would hit first, longest silence first
	Next     string         `json:"next,omitempty"`
}

// PreviewStaleRule says what a rule would do now, and to which devices. It is the run's own comparison, without writing.
func (f *Fleet) PreviewStaleRule(ctx context.Context, a Actor, id StaleRuleID, q ListQuery) (*StalePreview, error) {
	r, err := f.StaleRule(ctx, a, id)
	if err != nil {
		return nil, err
	}
	return f.previewStale(ctx, a, r, q)
}

// PreviewStaleInput does so for a rule that is not saved yet.
func (f *Fleet) PreviewStaleInput(ctx context.Context, a Actor, in StaleRuleInput, q ListQuery) (*StalePreview, error) {
	if err := need(a, DevicesRead); err != nil {
		return nil, err
	}
	r := newStaleRule(in.Kind).with(in)
	if r.Name == "" {
		r.Name = "-"
	}
	if err := f.db.View(ctx, func(tx store.Tx) error { return f.checkStale(tx, a, &r) }); err != nil {
		return nil, err
	}
	return f.previewStale(ctx, a, &r, q)
}

func (f *Fleet) previewStale(ctx context.Context, a Actor, r *StaleRule, q ListQuery) (*StalePreview, error) {
	return viewed(ctx, f, func(tx store.Tx) (*StalePreview, error) {
		p := &StalePreview{Rule: *r, At: f.now().UTC()}
		var err error
		if p.Covered, err = f.population(tx, a, r); err != nil {
			return nil, err
		}
		covered, err := f.population(tx, Job("preview"), r)
		if err != nil {
			return nil, err
		}
		all, err := f.silentDevices(tx, r, p.At)
		if err != nil {
			return nil, err
		}
		living := 0
		var seen []StaleVerdict
		for _, v := range all {
			if v.Action != "" && v.Living {
				living++
			}
			if !sees(a, v.Tags) {
				continue
			}
			if v.Action != "" {
				p.Hits++
			} else {
				p.Skipped++
			}
			seen = append(seen, v)
		}
		p.NeedsYes = r.beyondShare(living, covered) // a run is one for the whole house
		slices.SortStableFunc(seen, func(x, y StaleVerdict) int {
			switch {
			case (x.Action == "") == (y.Action == ""):
				return 0
			case x.Action != "":
				return -1
			}
			return 1
		})
		rows := make([]*StaleVerdict, len(seen))
		for i := range seen {
			rows[i] = &seen[i]
		}
		page, next, _, err := countedPage(rows, q, len(rows))
		if err != nil {
			return nil, err
		}
		p.Devices = make([]StaleVerdict, 0, len(page))
		for _, v := range page {
			p.Devices = append(p.Devices, *v)
		}
		p.Next = next
		return p, nil
	})
}
