package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/store"
)

// Member is a person or a device in a group.
type Member struct {
	Person *Person `json:"person,omitempty"`
	Device *Device `json:"device,omitempty"`
}

// maxMembersAtOnce bounds what one transaction puts into a group or takes out of it.
const maxMembersAtOnce = 1000

// presentMembers lists whom a rule holds now; too many for one change are refused.
func (f *Fleet) presentMembers(ctx context.Context, a Actor, id GroupID) ([]string, error) {
	var out []string
	err := f.db.View(ctx, func(tx store.Tx) error {
		g, err := f.groupSeen(tx, a, id)
		if err != nil || g.Rule == nil {
			return err
		}
		full := func() error {
			return Refuse(ErrConflict, "group.too-many-to-keep", "group", g.Name, "most", fmt.Sprint(maxMembersAtOnce))
		}
		if g.Kind == DeviceGroup {
			return devices.Each(tx, store.Query{}, func(d *Device) (bool, error) {
				ok, err := ruleHolds(tx, g, d)
				if ok && err == nil {
					if len(out) == maxMembersAtOnce {
						return false, full()
					}
					out = append(out, string(d.ID))
				}
				return true, err
			})
		}
		return people.Each(tx, store.Query{}, func(p *Person) (bool, error) {
			if g.Rule.matchesPerson(p) {
				if len(out) == maxMembersAtOnce {
					return false, full()
				}
				out = append(out, string(p.ID))
			}
			return true, nil
		})
	})
	return out, err
}

// dropMembers deletes a bounded number of a group's memberships.
func dropMembers(tx store.Tx, id GroupID) (left bool, err error) {
	var all []*membership
	err = memberships.Each(tx, store.Query{Index: "group", Value: string(id), Limit: maxMembersAtOnce}, func(m *membership) (bool, error) {
		all = append(all, m)
		return true, nil
	})
	for _, m := range all {
		if err == nil {
			err = memberships.Delete(tx, string(m.Group)+"."+m.Member)
		}
	}
	if err != nil {
		return false, fmt.Errorf("empty group: %w", err)
	}
	return len(all) == maxMembersAtOnce, nil
}

// fewMembers is up to how many changed members each gets its own change record.
const fewMembers = 20

// SetMembers adds and removes members of a static group; one change, one audit record. At most 1,000 a call.
func (f *Fleet) SetMembers(ctx context.Context, a Actor, id GroupID, add, remove []string) error {
	if err := need(a, GroupsEdit); err != nil {
		return err
	}
	if len(add)+len(remove) > maxMembersAtOnce {
		return Refuse(ErrInvalid, "group.too-many-at-once", "most", fmt.Sprint(maxMembersAtOnce))
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		g, err := f.groupSeen(tx, a, id)
		if err != nil {
			return err
		}
		if g.Rule != nil {
			return Refuse(ErrConflict, "group.by-rule", "group", g.Name)
		}
		var added, removed []string
		for _, m := range add {
			if err := f.memberSeen(tx, a, g.Kind, m); err != nil {
				return err
			}
			has, err := memberships.Has(tx, string(id)+"."+m)
			if err != nil {
				return err
			}
			if has {
				continue
			}
			if err := memberships.Insert(tx, &membership{Group: id, Member: m}); err != nil {
				return fmt.Errorf("add member: %w", err)
			}
			added = append(added, m)
		}
		for _, m := range remove {
			has, err := memberships.Has(tx, string(id)+"."+m)
			if err != nil {
				return err
			}
			if !has {
				continue
			}
			if err := f.memberSeen(tx, a, g.Kind, m); err != nil && !a.AllTags {
				return err
			}
			if err := memberships.Delete(tx, string(id)+"."+m); err != nil {
				return fmt.Errorf("remove member: %w", err)
			}
			removed = append(removed, m)
		}
		if len(added)+len(removed) == 0 {
			return nil
		}
		if err := f.record(tx, a, "members", "group/"+string(id), g.Name, g.Tags, nil, map[string][]string{"added": added, "removed": removed}); err != nil {
			return err
		}
		if err := f.noteMembers(tx, g, added, removed); err != nil {
			return err
		}
		f.publish(tx, "group", string(id))
		return nil
	})
}

// noteMembers tells the fan-out who came and went.
func (f *Fleet) noteMembers(tx store.Tx, g *Group, added, removed []string) error {
	if len(added)+len(removed) > fewMembers {
		return f.noteRuleChange(tx, g.ID)
	}
	for _, m := range slices.Concat(added, removed) {
		c := changeScope{Person: PersonID(m), Why: "group"}
		if g.Kind == DeviceGroup {
			c = changeScope{Device: DeviceID(m), Why: "group"}
		}
		if err := f.noteChange(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// memberSeen refuses what is not there, is of the other kind or lies outside the actor's scope, all alike.
func (f *Fleet) memberSeen(tx store.Tx, a Actor, k GroupKind, id string) error {
	var tags []Tag
	var err error
	if k == DeviceGroup {
		var d *Device
		if d, err = devices.Get(tx, id); err == nil {
			tags = d.Tags
		}
	} else {
		var p *Person
		if p, err = people.Get(tx, id); err == nil {
			tags = p.Tags
		}
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !sees(a, tags) {
		return refuseField(ErrInvalid, "members", Why("group.no-such-member", "member", clip(id, 60)))
	}
	return nil
}

// Members lists whom a group holds now, static or by rule, as far as the actor sees them: people by name or devices by name for a rule,
// in no special order for a static group. A page of a rule group may be short and still have a next one.
func (f *Fleet) Members(ctx context.Context, a Actor, id GroupID, q ListQuery) (List[Member], error) {
	out := List[Member]{Total: -1}
	if err := readsGroups(a); err != nil {
		return out, err
	}
	wanted := splitSearch(q.Search)
	err := f.db.View(ctx, func(tx store.Tx) error {
		g, err := f.groupSeen(tx, a, id)
		if err != nil {
			return err
		}
		if err := need(a, map[GroupKind]Permission{PeopleGroup: PeopleRead, DeviceGroup: DevicesRead}[g.Kind]); err != nil {
			return err
		}
		keepPerson := func(p *Person) bool {
			return sees(a, p.Tags) && beginsWithAll(searchWords(p.Name, p.Mail, p.UPN), wanted)
		}
		keepDevice := func(d *Device) bool {
			return !d.Hidden && sees(a, d.Tags) && beginsWithAll(searchWords(d.Name, d.Serial, d.Model), wanted)
		}
		sq := store.Query{Index: "name", Cursor: q.Cursor, Reverse: q.Reverse}
		switch {
		case g.Rule != nil && g.Kind == DeviceGroup:
			list, next, err := pageOf(tx, devices, sq, pageLimit(q.Limit), func(d *Device) (bool, error) {
				if !keepDevice(d) {
					return false, nil
				}
				return ruleHolds(tx, g, d)
			})
			for _, d := range list {
				out.Items = append(out.Items, Member{Device: d})
			}
			out.Next = next
			return err
		case g.Rule != nil:
			list, next, err := pageOf(tx, people, sq, pageLimit(q.Limit), func(p *Person) (bool, error) {
				return g.Rule.matchesPerson(p) && keepPerson(p), nil
			})
			for _, p := range list {
				out.Items = append(out.Items, Member{Person: p})
			}
			out.Next = next
			return err
		}
		found := map[string]Member{}
		list, next, err := pageOf(tx, memberships, store.Query{Index: "group", Value: string(id), Cursor: q.Cursor, Reverse: q.Reverse}, pageLimit(q.Limit),
			func(m *membership) (bool, error) {
				var one Member
				var err error
				ok := false
				if g.Kind == DeviceGroup {
					one.Device, err = devices.Get(tx, m.Member)
					ok = err == nil && keepDevice(one.Device)
				} else {
					one.Person, err = people.Get(tx, m.Member)
					ok = err == nil && keepPerson(one.Person)
				}
				if errors.Is(err, store.ErrNotFound) {
					return false, nil
				}
				found[m.Member] = one
				return ok, err
			})
		for _, m := range list {
			out.Items = append(out.Items, found[m.Member])
		}
		if next == "" && q.Cursor == "" {
			out.Total = len(out.Items)
			slices.SortStableFunc(out.Items, func(x, y Member) int { return cmp.Compare(memberName(x), memberName(y)) })
		}
		out.Next = next
		return err
	})
	return out, err
}

func memberName(m Member) string {
	if m.Person != nil {
		return strings.ToLower(m.Person.Name)
	}
	return strings.ToLower(m.Device.Name)
}
