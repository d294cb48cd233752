package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"muster/store"
)

// PreviewRule lists whom a rule would hold now, by name, as far as the actor sees them; nothing is written. A page may be short and still have
// a next one. ErrInvalid as in CreateGroup when the rule breaks a rule of its own ("rule.0" is the first condition).
func (f *Fleet) PreviewRule(ctx context.Context, a Actor, kind GroupKind, r Rule, q ListQuery) (List[Member], error) {
	out := List[Member]{Total: -1}
	if err := readsGroups(a); err != nil {
		return out, err
	}
	bad := faults{}
	bad.oneOf("kind", string(kind), []string{string(PeopleGroup), string(DeviceGroup)})
	checkRule(kind, &r, bad)
	if err := bad.refuse("group.invalid"); err != nil {
		return out, err
	}
	if err := need(a, map[GroupKind]Permission{PeopleGroup: PeopleRead, DeviceGroup: DevicesRead}[kind]); err != nil {
		return out, err
	}
	sq := store.Query{Index: "name", Cursor: q.Cursor, Reverse: q.Reverse}
	err := f.db.View(ctx, func(tx store.Tx) error {
		if kind == PeopleGroup {
			list, next, err := pageOf(tx, people, sq, pageLimit(q.Limit), func(p *Person) (bool, error) {
				return sees(a, p.Tags) && r.matchesPerson(p), nil
			})
			for _, p := range list {
				out.Items = append(out.Items, Member{Person: p})
			}
			out.Next = next
			return err
		}
		g := &Group{Kind: kind, Rule: &r}
		list, next, err := pageOf(tx, devices, sq, pageLimit(q.Limit), func(d *Device) (bool, error) {
			if d.Hidden || !sees(a, d.Tags) {
				return false, nil
			}
			return ruleHolds(tx, g, d)
		})
		for _, d := range list {
			out.Items = append(out.Items, Member{Device: d})
		}
		out.Next = next
		return err
	})
	return out, err
}

// GroupProfiles names the profiles that are assigned to a group or kept from it, by name, as far as the actor sees them.
func (f *Fleet) GroupProfiles(ctx context.Context, a Actor, id GroupID) ([]*Profile, error) {
	if err := need(a, ProfilesRead); err != nil {
		return nil, err
	}
	var out []*Profile
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.groupSeen(tx, a, id); err != nil {
			return err
		}
		c, err := f.config(tx)
		if err != nil {
			return fmt.Errorf("profiles of group: %w", err)
		}
		for _, p := range c.profiles {
			if sees(a, p.Tags) && slices.ContainsFunc(c.to[p.ID], func(as Assignment) bool { return as.Group == id }) {
				one := *p.shown()
				out = append(out, &one)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(x, y *Profile) int { return cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)) })
	return out, err
}
