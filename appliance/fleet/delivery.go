package fleet

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"muster/store"
)

// delivery is the stored row of one profile on one device. Tags are the device's, so that lists and counts keep to a scope
// without reading the device.
type delivery struct {
	ProfileStatus
	Revision int   `json:"revision"` // of the profile
	Tags     []Tag `json:"tags,omitempty"`
}

func deliveryID(d DeviceID, p ProfileID) string { return string(d) + "." + string(p) }

var deliveries = store.Define("dl", func(r *delivery) string { return deliveryID(r.Device, r.Profile) },
	store.Index[delivery]{Name: "profile", Values: func(r *delivery) []string { return []string{string(r.Profile)} }},
	store.Index[delivery]{Name: "status", Values: func(r *delivery) []string { return []string{statusKey(r.Profile, r.Status)} }},
)

func statusKey(p ProfileID, s ProfileStatusCode) string { return string(p) + "\x00" + string(s) }

// deliveryCount holds the number of rows of one profile by the devices' tags and by status. It changes in the transaction
// that changes a row.
type deliveryCount struct {
	Profile ProfileID                            `json:"profile"`
	ByTags  map[string]map[ProfileStatusCode]int `json:"by_tags"` // key: the tags, sorted, joined by a newline
}

var deliveryCounts = store.Define("dc", func(c *deliveryCount) string { return string(c.Profile) })

// tagsKey is one string for a set of tags.
func tagsKey(tags []Tag) string {
	s := make([]string, len(tags))
	for i, t := range tags {
		s[i] = string(t)
	}
	slices.Sort(s)
	return strings.Join(slices.Compact(s), "\n")
}

func tagsOfKey(k string) []Tag {
	if k == "" {
		return nil
	}
	var out []Tag
	for s := range strings.SplitSeq(k, "\n") {
		out = append(out, Tag(s))
	}
	return out
}

// setDelivery stores the status of a profile on a device and keeps the counters. c is the config that this transaction sees, old the row
// as it is in the store, nil when there is none. Device, Name and Type are taken from d and the profile, or from old when the
// profile is gone. Since stays while status and reason stay, unless the caller gives it. A row that says nothing new costs no write.
func (f *Fleet) setDelivery(tx store.Tx, c *config, d *Device, old *delivery, row ProfileStatus) error {
	row.Device = d.ID
	revision := 0
	if p := c.profile(row.Profile); p != nil {
		row.Name, row.Type, revision = p.Name, p.Type, p.Revision
	} else if old != nil {
		row.Name, row.Type, revision = old.Name, old.Type, old.Revision
	}
	if row.Since.IsZero() {
		row.Since = f.now()
		if old != nil && old.Status == row.Status && sameReason(old.Reason, row.Reason) {
			row.Since = old.Since
		}
	}
	next := &delivery{ProfileStatus: row, Revision: revision, Tags: slices.Clone(d.Tags)}
	if old != nil && sameDelivery(old, next) {
		return nil
	}
	if err := deliveries.Replace(tx, old, next); err != nil {
		return err
	}
	if old != nil && old.Status == next.Status && tagsKey(old.Tags) == tagsKey(next.Tags) {
		return nil
	}
	return f.count(tx, row.Profile, old, next)
}

// dropDelivery forgets the row of a profile on a device; an absent row is no error.
func (f *Fleet) dropDelivery(tx store.Tx, d *Device, p ProfileID) error {
	id := deliveryID(d.ID, p)
	old, err := deliveries.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := deliveries.Delete(tx, id); err != nil {
		return err
	}
	return f.count(tx, p, old, nil)
}

// deliveriesOf returns the rows of a device in the order of profile ids.
func (f *Fleet) deliveriesOf(tx store.Tx, d DeviceID) ([]ProfileStatus, error) {
	rows, err := deliveryRows(tx, d)
	if err != nil {
		return nil, err
	}
	out := make([]ProfileStatus, len(rows))
	for i, r := range rows {
		out[i] = r.ProfileStatus
	}
	return out, nil
}

func deliveryRows(tx store.Tx, d DeviceID) ([]*delivery, error) {
	var out []*delivery
	// "/" follows "." in ASCII: the range holds every id that begins with the device and a dot.
	err := deliveries.Each(tx, store.Query{From: string(d) + ".", To: string(d) + "/"}, func(r *delivery) (bool, error) {
		out = append(out, r)
		return true, nil
	})
	return out, err
}

// retag brings the rows of a device under its present tags.
func (f *Fleet) retag(tx store.Tx, d *Device) error {
	rows, err := deliveryRows(tx, d.ID)
	if err != nil {
		return err
	}
	for _, old := range rows {
		if tagsKey(old.Tags) == tagsKey(d.Tags) {
			continue
		}
		next := &delivery{ProfileStatus: old.ProfileStatus, Revision: old.Revision, Tags: slices.Clone(d.Tags)}
		if err := deliveries.Replace(tx, old, next); err != nil {
			return err
		}
		if err := f.count(tx, old.Profile, old, next); err != nil {
			return err
		}
	}
	return nil
}

// count takes the old row out of the profile's counters and puts the new one in; either may be nil.
func (f *Fleet) count(tx store.Tx, p ProfileID, old, next *delivery) error {
	c, err := deliveryCounts.Get(tx, string(p))
	if errors.Is(err, store.ErrNotFound) {
		c = &deliveryCount{Profile: p}
	} else if err != nil {
		return err
	}
	if c.ByTags == nil {
		c.ByTags = map[string]map[ProfileStatusCode]int{}
	}
	add := func(r *delivery, n int) {
		if r == nil {
			return
		}
		k := tagsKey(r.Tags)
		if c.ByTags[k] == nil {
			c.ByTags[k] = map[ProfileStatusCode]int{}
		}
		if c.ByTags[k][r.Status] += n; c.ByTags[k][r.Status] == 0 {
			delete(c.ByTags[k], r.Status)
		}
		if len(c.ByTags[k]) == 0 {
			delete(c.ByTags, k)
		}
	}
	add(old, -1)
	add(next, 1)
	f.publish(tx, "profile", string(p))
	if len(c.ByTags) == 0 {
		return deliveryCounts.Delete(tx, string(p))
	}
	return deliveryCounts.Put(tx, c)
}

// within sums the counters that lie within the actor's scope.
func (c *deliveryCount) within(a Actor, into map[ProfileStatusCode]int) {
	for k, m := range c.ByTags {
		if !sees(a, tagsOfKey(k)) {
			continue
		}
		for s, n := range m {
			into[s] += n
		}
	}
}

// statusTotals are the rows of all profiles by status, within the actor's scope, from the kept counters.
func (f *Fleet) statusTotals(tx store.Tx, a Actor) (map[ProfileStatusCode]int, error) {
	out := map[ProfileStatusCode]int{}
	err := deliveryCounts.Each(tx, store.Query{}, func(c *deliveryCount) (bool, error) {
		c.within(a, out)
		return true, nil
	})
	return out, err
}

func sameReason(a, b Reason) bool {
	return a.Code == b.Code && a.DeviceWords == b.DeviceWords && maps.Equal(a.Args, b.Args)
}

func sameDelivery(a, b *delivery) bool {
	x, y := a.ProfileStatus, b.ProfileStatus
	sameTry := x.NextTry == nil && y.NextTry == nil || x.NextTry != nil && y.NextTry != nil && x.NextTry.Equal(*y.NextTry)
	return x.Profile == y.Profile && x.Device == y.Device && x.Name == y.Name && x.Type == y.Type && x.Status == y.Status &&
		sameReason(x.Reason, y.Reason) && x.Since.Equal(y.Since) && sameTry && x.Version == y.Version &&
		x.Evidence.Message == y.Evidence.Message && x.Evidence.What == y.Evidence.What && x.Evidence.At.Equal(y.Evidence.At) &&
		a.Revision == b.Revision && tagsKey(a.Tags) == tagsKey(b.Tags)
}
