package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"muster/store"
)

// Device returns one device with its last contact as known now. One that was deleted is still to be seen until its data is gone.
func (f *Fleet) Device(ctx context.Context, a Actor, id DeviceID) (*Device, error) {
	var out *Device
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		out, err = f.deviceOf(tx, a, id, DevicesRead)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.seenNow(out), nil
}

// DeviceOfEnrolment returns the device that an enrolment is a life of, past or present. An enrolment that nobody took up has none.
func (f *Fleet) DeviceOfEnrolment(ctx context.Context, a Actor, id EnrolmentID) (*Enrolment, *Device, error) {
	var e *Enrolment
	var d *Device
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		if e, err = enrolments.Get(tx, string(id)); err != nil {
			return notFound(err, "enrolment")
		}
		d, err = f.deviceOf(tx, a, e.Device, DevicesRead)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return e, f.seenNow(d), nil
}

// Devices lists what the filter leaves, newest first unless sorted otherwise. A page may hold fewer than Limit and still have a next one.
func (f *Fleet) Devices(ctx context.Context, a Actor, fl DeviceFilter, q ListQuery) (List[*Device], error) {
	out := List[*Device]{Total: -1}
	if err := need(a, DevicesRead); err != nil {
		return out, err
	}
	now := f.now()
	err := f.db.View(ctx, func(tx store.Tx) error {
		keep := func(d *Device) (bool, error) { return f.keepsDevice(tx, a, fl, d) }
		if fl.SilentFor > 0 {
			inner := keep
			keep = func(d *Device) (bool, error) {
				if now.Sub(f.seenNow(d).LastSeen) < fl.SilentFor {
					return false, nil
				}
				return inner(d)
			}
		}
		var err error
		if strings.TrimSpace(q.Search) != "" {
			out.Items, out.Next, out.Total, err = searchPage(tx, devices, q, func(d *Device) string { return string(d.ID) },
				func(d *Device) []string { return searchWords(d.Name, d.Serial, d.Model) }, keep, compareDevices(fl.Sort))
			return err
		}
		sq := store.Query{Cursor: q.Cursor, Reverse: !q.Reverse}
		switch {
		case fl.Sort == "name":
			sq.Index, sq.Reverse = "name", q.Reverse
		case fl.Sort == "last-seen":
			sq.Index = "seen"
		case fl.Person != "":
			sq.Index, sq.Value = "person", string(fl.Person)
		case fl.State != "":
			sq.Index, sq.Value = "state", string(fl.State)
		case fl.Platform != "":
			sq.Index, sq.Value = "platform", string(fl.Platform)
		}
		out.Items, out.Next, err = pageOf(tx, devices, sq, pageLimit(q.Limit), keep)
		return err
	})
	for _, d := range out.Items {
		f.seenNow(d)
	}
	return out, err
}

func compareDevices(sort string) func(a, b *Device) int {
	switch sort {
	case "name":
		return func(a, b *Device) int {
			return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
		}
	case "last-seen":
		return func(a, b *Device) int { return b.LastSeen.Compare(a.LastSeen) }
	}
	return func(a, b *Device) int { return cmp.Compare(b.ID, a.ID) }
}

// keepsDevice applies scope and filter to one device.
func (f *Fleet) keepsDevice(tx store.Tx, a Actor, fl DeviceFilter, d *Device) (bool, error) {
	switch {
	case !sees(a, d.Tags), d.Hidden && !fl.Hidden,
		fl.Platform != "" && d.Platform != fl.Platform,
		fl.Ownership != "" && d.Ownership != fl.Ownership,
		fl.State != "" && d.State != fl.State,
		fl.Person != "" && d.Person != fl.Person:
		return false, nil
	}
	if fl.Profile != "" {
		row, err := deliveries.Get(tx, deliveryID(d.ID, fl.Profile))
		if err != nil {
			return false, ignoreAbsent(err)
		}
		if fl.Status != "" && row.Status != fl.Status {
			return false, nil
		}
	} else if fl.Status != "" {
		rows, err := f.deliveriesOf(tx, d.ID)
		if err != nil || !slices.ContainsFunc(rows, func(r ProfileStatus) bool { return r.Status == fl.Status }) {
			return false, err
		}
	}
	if fl.Group != "" {
		p, err := personOf(tx, d)
		if err != nil {
			return false, err
		}
		in, err := f.groupsOf(tx, p, d)
		if err != nil {
			return false, err
		}
		return in[fl.Group], nil
	}
	return true, nil
}

// edited is what an administrator may change of a device: what the log keeps of a change, since the rest, which the device told of itself, is not to
// outlive it there.
func edited(d *Device) map[string]any {
	return map[string]any{"name": d.Name, "tags": d.Tags, "person": d.Person, "stolen": d.Stolen}
}

// UpdateDevice changes name, tags, person, or whether a device counts as stolen. Another person means other wishes: they are computed anew.
func (f *Fleet) UpdateDevice(ctx context.Context, a Actor, id DeviceID, in DeviceInput) (*Device, error) {
	var out *Device
	err := f.db.Update(ctx, func(tx store.Tx) error {
		d, err := f.deviceOf(tx, a, id, DevicesEdit)
		if err != nil {
			return err
		}
		if err := need(a, DevicesEdit); err != nil {
			return err
		}
		if err := meanwhile(in.Version, d.Version, "device"); err != nil {
			return err
		}
		old := d.snapshot()
		bad := faults{}
		if in.Name != nil {
			d.Name, d.Named = strings.TrimSpace(*in.Name), true
			bad.line("name", d.Name, 1, 200)
		}
		if in.Tags != nil {
			d.Tags = sortedTags(*in.Tags)
			bad.tags("tags", d.Tags)
		}
		if err := bad.refuse("device.invalid"); err != nil {
			return err
		}
		if in.Tags != nil {
			if err := keepsScope(a, old.Tags, d.Tags); err != nil {
				return err
			}
		}
		if in.Person != nil && *in.Person != d.Person {
			if err := f.givePerson(tx, a, d, *in.Person); err != nil {
				return err
			}
		}
		if in.Stolen != nil {
			d.Stolen = *in.Stolen
		}
		if err := f.saveDevice(tx, old, d); err != nil {
			return err
		}
		out = d
		if err := f.record(tx, a, "update", "device/"+string(d.ID), d.Name, d.Tags, edited(old), edited(d)); err != nil {
			return err
		}
		return f.noteChange(tx, changeScope{Device: d.ID, Why: "device"})
	})
	if err != nil {
		return nil, err
	}
	return f.seenNow(out), nil
}

// givePerson hands a device to another person, or to none: its certificates speak of the former one and end.
func (f *Fleet) givePerson(tx store.Tx, a Actor, d *Device, p PersonID) error {
	if d.State.leaving() || d.State.ended() {
		return Refuse(ErrConflict, "action.leaving", "state", string(d.State))
	}
	if p != "" {
		if _, err := f.personSeen(tx, a, p); err != nil {
			return err
		}
	}
	if d.Ownership == Personal {
		return Refuse(ErrConflict, "device.personal")
	}
	d.Person = p
	return nil
}
