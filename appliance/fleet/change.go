package fleet

import (
	"errors"
	"time"

	"muster/store"
)

// changeScope says whose wishes a change can have altered. Exactly one of the first five is set.
type changeScope struct {
	All     bool      `json:"all,omitempty"`
	Profile ProfileID `json:"profile,omitempty"` // its settings or assignments
	Group   GroupID   `json:"group,omitempty"`   // its members or rule
	Person  PersonID  `json:"person,omitempty"`  // attributes or memberships
	Device  DeviceID  `json:"device,omitempty"`  // its person, tags or memberships
	Why     string    `json:"why,omitempty"`     // reason of the wakes that follow
}

// key names the scope: of one scope at most one change record is open.
func (c changeScope) key() string {
	switch {
	case c.All:
		return "all"
	case c.Profile != "":
		return "profile." + string(c.Profile)
	case c.Group != "":
		return "group." + string(c.Group)
	case c.Person != "":
		return "person." + string(c.Person)
	}
	return "device." + string(c.Device)
}

// changeRecord is a change that the fan-out has not finished with. Started, Source and Cursor are where it stands;
// Again asks for one more round, because the scope changed once more after the round had begun.
type changeRecord struct {
	ID      string      `json:"id"` // changeScope.key
	Scope   changeScope `json:"scope"`
	Order   string      `json:"order"` // ULID: the oldest is served first
	At      time.Time   `json:"at"`
	Started bool        `json:"started"`
	Source  string      `json:"source,omitempty"`
	Cursor  string      `json:"cursor,omitempty"`
	Again   bool        `json:"again"`

	last bool // the batch in hand ends the round
}

// changes is bounded by construction: one record a scope, however often it changes.
var changes = store.Define("ch", func(c *changeRecord) string { return c.ID },
	store.Index[changeRecord]{Name: "order", Values: func(c *changeRecord) []string { return []string{c.Order} }},
)

// noteChange tells the fan-out, in the caller's transaction and after the caller's own writes, that wishes may have changed.
// A change of one device is dealt with at once: its status rows are derived anew and it is woken if they differ. Every other change
// leaves a change record; f.gen rises after the commit, unless the change is one person's, whose devices are then taken out of the memory of
// idle ones.
//
// Whoever caches by f.gen reads it before opening the transaction whose outcome is cached: a snapshot taken before the commit
// must not be filed under the generation after it.
func (f *Fleet) noteChange(tx store.Tx, c changeScope) error {
	if !c.All && c.Profile == "" && c.Group == "" && c.Person == "" && c.Device == "" {
		return errors.New("fleet: change without a scope")
	}
	if c.Device != "" && !c.All && c.Profile == "" && c.Group == "" && c.Person == "" {
		d, err := devices.Get(tx, string(c.Device))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		tx.OnCommit(func() { f.planner.idle.forget(d.ID) })
		return f.reconsider(tx, d, c)
	}
	r, err := changes.Get(tx, c.key())
	switch {
	case errors.Is(err, store.ErrNotFound):
		r = &changeRecord{ID: c.key(), Scope: c, Order: c.rank() + store.NewID(), At: f.now().UTC()}
	case err != nil:
		return err
	default:
		r.Scope.Why = c.Why
		r.Again = r.Started
	}
	if err := changes.Put(tx, r); err != nil {
		return err
	}
	tx.OnCommit(f.fan.ring)
	if c.Person != "" && c.rank() == rankSmall {
		return f.forgetDevicesOf(tx, c.Person)
	}
	tx.OnCommit(func() { f.gen.Add(1) })
	return nil
}

// Small changes are served before large ones, which may take minutes.
const (
	rankSmall = "0"
	rankLarge = "1"
)

func (c changeScope) rank() string {
	if !c.All && c.Profile == "" && c.Group == "" {
		return rankSmall
	}
	return rankLarge
}

// forgetDevicesOf makes the devices of one person ask the store at their next call. A directory that changes thousands of people must not
// make every device do so, which is what a new generation would.
func (f *Fleet) forgetDevicesOf(tx store.Tx, p PersonID) error {
	return devices.Each(tx, store.Query{Index: "person", Value: string(p)}, func(d *Device) (bool, error) {
		id := d.ID
		tx.OnCommit(func() { f.planner.idle.forget(id) })
		return true, nil
	})
}
