package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"muster/store"
)

// DeviceProfiles lists every profile that is wanted of, or still on, a device. A person sees those of his own devices.
func (f *Fleet) DeviceProfiles(ctx context.Context, a Actor, id DeviceID) ([]ProfileStatus, error) {
	var out []ProfileStatus
	err := f.db.View(ctx, func(tx store.Tx) error {
		d, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return err
		}
		if out, err = f.deliveriesOf(tx, id); err != nil {
			return err
		}
		if err := f.explainOutages(tx, out); err != nil {
			return err
		}
		out, err = f.withFresh(tx, d, out)
		return err
	})
	slices.SortFunc(out, func(x, y ProfileStatus) int {
		return cmp.Or(cmp.Compare(typeRank(x.Type), typeRank(y.Type)), cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)), cmp.Compare(x.Profile, y.Profile))
	})
	return out, err
}

// withFresh adds what was assigned a moment ago and has no row yet, because the fan-out is still on its way.
func (f *Fleet) withFresh(tx store.Tx, d *Device, rows []ProfileStatus) ([]ProfileStatus, error) {
	p, err := personOf(tx, d)
	if err != nil {
		return nil, err
	}
	want, unfit, err := f.wanted(tx, d, p)
	if err != nil {
		return nil, err
	}
	has := func(id ProfileID) bool {
		return slices.ContainsFunc(rows, func(r ProfileStatus) bool { return r.Profile == id })
	}
	add := func(pr *Profile, s ProfileStatusCode, r Reason) {
		if pr != nil && !has(pr.ID) {
			rows = append(rows, ProfileStatus{Profile: pr.ID, Device: d.ID, Name: pr.Name, Type: pr.Type, Status: s, Reason: r, Since: f.now().UTC(), Version: pr.Version})
		}
	}
	for _, pr := range want {
		add(pr, StatusPending, Why("waiting.fan-out"))
	}
	c, err := f.config(tx)
	if err != nil {
		return nil, err
	}
	for _, u := range unfit {
		add(c.profile(u.Profile), u.Status, u.Reason)
	}
	return rows, nil
}

// ProfileDevices lists the status of a profile on each device; status "" = all. Search is by the device's name, serial number or model.
func (f *Fleet) ProfileDevices(ctx context.Context, a Actor, id ProfileID, status ProfileStatusCode, q ListQuery) (List[ProfileStatus], error) {
	out := List[ProfileStatus]{Total: -1}
	for _, p := range []Permission{ProfilesRead, DevicesRead} {
		if err := need(a, p); err != nil {
			return out, err
		}
	}
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.profileSeen(tx, a, id); err != nil {
			return err
		}
		sq := store.Query{Index: "profile", Value: string(id), Cursor: q.Cursor, Reverse: q.Reverse}
		if status != "" {
			sq.Index, sq.Value = "status", statusKey(id, status)
		}
		words := splitSearch(q.Search)
		rows, next, err := pageOf(tx, deliveries, sq, pageLimit(q.Limit), func(r *delivery) (bool, error) {
			if !sees(a, r.Tags) || len(words) == 0 {
				return sees(a, r.Tags), nil
			}
			d, err := devices.Get(tx, string(r.Device))
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			return beginsWithAll(searchWords(d.Name, d.Serial, d.Model), words), nil
		})
		if err != nil {
			return err
		}
		out.Next = next
		for _, r := range rows {
			out.Items = append(out.Items, r.ProfileStatus)
		}
		if err := f.explainOutages(tx, out.Items); err != nil {
			return err
		}
		if len(words) > 0 {
			return nil
		}
		counts, err := countsOf(tx, a, id)
		if err != nil {
			return err
		}
		out.Total = counts[status]
		if status == "" {
			out.Total = 0
			for _, n := range counts {
				out.Total += n
			}
		}
		return nil
	})
	return out, err
}

// ProfileCounts by status, within the actor's scope, from the kept counters.
func (f *Fleet) ProfileCounts(ctx context.Context, a Actor, id ProfileID) (map[ProfileStatusCode]int, error) {
	if err := need(a, ProfilesRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (map[ProfileStatusCode]int, error) {
		if _, err := f.profileSeen(tx, a, id); err != nil {
			return nil, err
		}
		return countsOf(tx, a, id)
	})
}

func countsOf(tx store.Tx, a Actor, id ProfileID) (map[ProfileStatusCode]int, error) {
	out := map[ProfileStatusCode]int{}
	c, err := deliveryCounts.Get(tx, string(id))
	if errors.Is(err, store.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	c.within(a, out)
	return out, nil
}

// RetryProfile tries a failed or blocked profile again at the next contact ("I removed the account"). A person may do so on his own devices.
func (f *Fleet) RetryProfile(ctx context.Context, a Actor, d DeviceID, p ProfileID) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		dev, err := f.deviceOf(tx, a, d, DevicesLock)
		if err != nil {
			return err
		}
		row, err := deliveries.Get(tx, deliveryID(d, p))
		if err != nil {
			return notFound(err, "profile")
		}
		switch row.Status {
		case StatusError, StatusWaitsPerson, StatusPending:
		default:
			return Refuse(ErrConflict, "profile.nothing-to-retry", "profile", row.Name, "status", string(row.Status))
		}
		if err := f.retryUnit(tx, dev, p); err != nil {
			return err
		}
		return f.record(tx, a, "retry", "device/"+string(d), dev.Name, dev.Tags, nil, map[string]any{"profile": p, "name": row.Name})
	})
}

// deviceOf reads a device within the actor's scope: with the permission, or the actor's own.
func (f *Fleet) deviceOf(tx store.Tx, a Actor, id DeviceID, p Permission) (*Device, error) {
	own := a.Kind == ActorPerson && a.ID != ""
	if !own {
		if err := need(a, p); err != nil {
			return nil, err
		}
	}
	d, err := devices.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "device")
	}
	if own && d.Person != PersonID(a.ID) || !own && !sees(a, d.Tags) {
		return nil, Refuse(ErrNotFound, "not-found", "what", "device")
	}
	return d, nil
}

// personOf is a device's person, nil without one.
func personOf(tx store.Tx, d *Device) (*Person, error) {
	if d.Person == "" {
		return nil, nil
	}
	p, err := people.Get(tx, string(d.Person))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return p, err
}
