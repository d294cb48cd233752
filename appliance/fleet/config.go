package fleet

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"muster/store"
)

// config is every profile with its assignments, and every rule for sync expiry, as of one stamp. It is never changed after it was built.
type config struct {
	stamp    string
	profiles []*Profile // in the order of delivery: by type, then by id (age)
	byID     map[ProfileID]*Profile
	values   map[ProfileID]Values
	uses     map[ProfileID][]string    // template variables a profile needs
	refs     map[ProfileID][]ProfileID // profiles it refers to
	to       map[ProfileID][]Assignment
	grouped  bool         // an assignment names a group
	expiry   []*StaleRule // for sync expiry, those that are on
}

// configStamp changes with every write of a profile, an assignment or a rule for sync expiry, in the same transaction. It is a fresh ULID each time, so
// that what was read inside a transaction that never committed can never be taken for what another one committed.
type configStamp struct {
	ID    string `json:"id"`
	Stamp string `json:"stamp"`
}

var configStamps = store.Define("cs", func(s *configStamp) string { return s.ID })

// touchConfig must follow every write of what a config holds.
func touchConfig(tx store.Tx) error {
	return configStamps.Put(tx, &configStamp{ID: "config", Stamp: store.NewID()})
}

// config returns profiles and assignments as this transaction sees them.
func (f *Fleet) config(tx store.Tx) (*config, error) {
	stamp := ""
	s, err := f.planner.stamps.Get(tx, "config")
	if err == nil {
		stamp = s.Stamp
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	have := f.conf.Load()
	if have != nil && have.stamp == stamp {
		return have, nil
	}
	c, err := readConfig(tx, stamp)
	if err != nil {
		return nil, err
	}
	// An older snapshot must not push out a newer one; ULIDs sort by time.
	if have == nil || have.stamp < stamp {
		f.conf.CompareAndSwap(have, c)
	}
	return c, nil
}

func readConfig(tx store.Tx, stamp string) (*config, error) {
	c := newConfig(stamp)
	err := profiles.Each(tx, store.Query{}, func(p *Profile) (bool, error) {
		c.set(p)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	err = assignments.Each(tx, store.Query{}, func(a *Assignment) (bool, error) {
		c.to[a.Profile] = append(c.to[a.Profile], *a)
		c.grouped = c.grouped || a.To == ToGroup
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	err = staleRules.Each(tx, store.Query{Index: "kind", Value: string(SyncExpiry)}, func(r *StaleRule) (bool, error) {
		if !r.Off {
			c.expiry = append(c.expiry, r)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	c.sort()
	return c, nil
}

func newConfig(stamp string) *config {
	return &config{stamp: stamp, byID: map[ProfileID]*Profile{}, values: map[ProfileID]Values{}, uses: map[ProfileID][]string{},
		refs: map[ProfileID][]ProfileID{}, to: map[ProfileID][]Assignment{}}
}

// set adds or replaces a profile. sort must follow.
func (c *config) set(p *Profile) {
	if c.byID[p.ID] != nil {
		c.profiles = slices.DeleteFunc(c.profiles, func(q *Profile) bool { return q.ID == p.ID })
	}
	c.profiles = append(c.profiles, p)
	c.byID[p.ID] = p
	v := p.Values()
	c.values[p.ID] = v
	c.uses[p.ID] = v.variables(p.Type)
	c.refs[p.ID] = v.refs(p.Type)
	if p.decoded == nil || !p.decoded.still(p) {
		p.decoded = &decoded{p.Settings, v, c.refs[p.ID]}
	}
}

func (c *config) sort() {
	slices.SortFunc(c.profiles, func(a, b *Profile) int {
		return cmp.Or(cmp.Compare(typeRank(a.Type), typeRank(b.Type)), cmp.Compare(a.ID, b.ID))
	})
}

// clone is a copy whose maps and slices may be changed; what they hold is shared.
func (c *config) clone() *config {
	n := newConfig(c.stamp + "+")
	n.profiles = slices.Clone(c.profiles)
	maps.Copy(n.byID, c.byID)
	maps.Copy(n.values, c.values)
	maps.Copy(n.uses, c.uses)
	maps.Copy(n.refs, c.refs)
	maps.Copy(n.to, c.to)
	n.expiry = c.expiry
	return n
}

// profile by id, nil when it is gone.
func (c *config) profile(id ProfileID) *Profile { return c.byID[id] }

// name of a profile, or its id when it is gone.
func (c *config) name(id ProfileID) string {
	if p := c.profile(id); p != nil {
		return p.Name
	}
	return string(id)
}

// referrers are the profiles that refer to one, in the order of delivery.
func (c *config) referrers(id ProfileID) []*Profile {
	var out []*Profile
	for _, p := range c.profiles {
		if slices.Contains(c.refs[p.ID], id) {
			out = append(out, p)
		}
	}
	return out
}

// chain is every profile that one refers to, directly or through another, nearest first.
func (c *config) chain(id ProfileID) []ProfileID {
	var out []ProfileID
	todo := []ProfileID{id}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		for _, r := range c.refs[next] {
			if r != id && !slices.Contains(out, r) {
				out = append(out, r)
				todo = append(todo, r)
			}
		}
	}
	return out
}
