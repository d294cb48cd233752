package fleet

import (
	"context"
	"errors"
	"maps"
	"time"

	"muster/pki"
	"muster/store"
)

// deviceCount counts the devices of one set of tags by platform and state. It changes in the transaction that changes a device.
type deviceCount struct {
	Tags     string           `json:"tags"` // sorted, joined by a newline
	Platform map[Platform]int `json:"platform"`
	State    map[State]int    `json:"state"`
}

var deviceCounts = store.Define("ct", func(c *deviceCount) string { return "t" + c.Tags })

// countDevice takes the old device out of the counters and puts the new one in; either may be nil. What was deleted from the list does
// not count; what has ended counts by state only.
func countDevice(tx store.Tx, old, d *Device) error {
	if old != nil && d != nil && old.Hidden == d.Hidden && old.Platform == d.Platform && old.State == d.State && tagsKey(old.Tags) == tagsKey(d.Tags) {
		return nil
	}
	change := func(x *Device, n int) error {
		if x == nil || x.Hidden {
			return nil
		}
		key := tagsKey(x.Tags)
		c, err := deviceCounts.Get(tx, "t"+key)
		if errors.Is(err, store.ErrNotFound) {
			c, err = &deviceCount{Tags: key}, nil
		}
		if err != nil {
			return err
		}
		if c.Platform == nil {
			c.Platform = map[Platform]int{}
		}
		if c.State == nil {
			c.State = map[State]int{}
		}
		c.State[x.State] += n
		if !x.State.ended() {
			c.Platform[x.Platform] += n
		}
		maps.DeleteFunc(c.State, func(_ State, n int) bool { return n == 0 })
		maps.DeleteFunc(c.Platform, func(_ Platform, n int) bool { return n == 0 })
		return deviceCounts.Put(tx, c)
	}
	if err := change(old, -1); err != nil {
		return err
	}
	return change(d, 1)
}

// callsOfDay counts the devices that called on a day (UTC).
type callsOfDay struct {
	Day string `json:"day"`
	N   int    `json:"n"`
}

var callDays = store.Define("cd", func(c *callsOfDay) string { return c.Day })

func dayOf(t time.Time) string { return t.UTC().Format("2006-01-02") }

// countCall counts a device's first contact of a day.
func countCall(tx store.Tx, day string, n int) error {
	c, err := callDays.Get(tx, day)
	if errors.Is(err, store.ErrNotFound) {
		c, err = &callsOfDay{Day: day}, nil
	}
	if err != nil {
		return err
	}
	c.N += n
	return callDays.Put(tx, c)
}

// anyDevice says whether a device of one of the platforms is counted, whoever may see it.
func anyDevice(tx store.Tx, platforms ...Platform) (there bool, err error) {
	err = deviceCounts.Each(tx, store.Query{}, func(c *deviceCount) (bool, error) {
		for _, p := range platforms {
			there = there || c.Platform[p] > 0
		}
		return !there, nil
	})
	return there, err
}

// overviewDays is how many days of check-ins the overview shows.
const overviewDays = 30

// Overview gives the counts within the actor's scope, from counters that the writers keep. Check-ins are counted for the whole
// organisation, and shown to those who see all of it.
func (f *Fleet) Overview(ctx context.Context, a Actor) (*Counts, error) {
	if err := need(a, DevicesRead); err != nil {
		return nil, err
	}
	out := &Counts{ByPlatform: map[Platform]int{}, ByState: map[State]int{}}
	now := f.now().UTC()
	err := f.db.View(ctx, func(tx store.Tx) error {
		if err := deviceCounts.Each(tx, store.Query{}, func(c *deviceCount) (bool, error) {
			if sees(a, tagsOfKey(c.Tags)) {
				for p, n := range c.Platform {
					out.ByPlatform[p] += n
					out.Devices += n
				}
				for s, n := range c.State {
					out.ByState[s] += n
				}
			}
			return true, nil
		}); err != nil {
			return err
		}
		var err error
		if out.Statuses, err = f.statusTotals(tx, a); err != nil {
			return err
		}
		if out.People, err = f.countPeople(tx, a); err != nil {
			return err
		}
		if a.AllTags {
			for i := overviewDays - 1; i >= 0; i-- {
				day := now.AddDate(0, 0, -i)
				n := 0
				if c, err := callDays.Get(tx, dayOf(day)); err == nil {
					n = c.N
				} else if !errors.Is(err, store.ErrNotFound) {
					return err
				}
				out.CheckIns = append(out.CheckIns, DayCount{Day: day.Truncate(24 * time.Hour), N: n})
			}
			out.Expiring, err = f.countExpiring(tx, now)
		}
		return err
	})
	return out, err
}

// countPeople counts keys, without reading people; who does not see everybody gets no number.
func (f *Fleet) countPeople(tx store.Tx, a Actor) (int, error) {
	if !a.AllTags || !a.May(PeopleRead) {
		return 0, nil
	}
	return people.Count(tx, store.Query{})
}

// countExpiring counts live device certificates that end within 30 days; more than a thousand are a thousand.
func (f *Fleet) countExpiring(tx store.Tx, now time.Time) (int, error) {
	live := false
	q := pki.CertificateQuery{ExpiresFrom: now, ExpiresTo: now.Add(30 * 24 * time.Hour), Revoked: &live, Limit: 1000}
	page, err := f.pki.Certificates(tx, q)
	n := 0
	for _, c := range page.Items {
		if c.Binding.Purpose == pki.Management || c.Binding.Purpose == pki.Access {
			n++
		}
	}
	return n, err
}
