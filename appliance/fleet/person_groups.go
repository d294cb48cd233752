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

// staticGroups are the groups that something is in by hand.
func staticGroups(tx store.Tx, member string) ([]GroupID, error) {
	var out []GroupID
	err := memberships.Each(tx, store.Query{Index: "member", Value: member}, func(m *membership) (bool, error) {
		out = append(out, m.Group)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", member, err)
	}
	slices.Sort(out)
	return out, nil
}

// changeGroups puts a person into static groups and takes them out of others, all within the actor's scope.
func (f *Fleet) changeGroups(tx store.Tx, a Actor, member string, before, after []GroupID) error {
	check := func(id GroupID) error {
		g, err := f.groupSeen(tx, a, id)
		switch {
		case errors.Is(err, ErrNotFound), err == nil && (g.Kind != PeopleGroup || g.Rule != nil):
			return refuseField(ErrInvalid, "groups", Why("group.not-for-hand", "group", string(id)))
		}
		return err
	}
	for _, id := range after {
		if slices.Contains(before, id) {
			continue
		}
		if err := check(id); err != nil {
			return err
		}
		if err := memberships.Put(tx, &membership{Group: id, Member: member}); err != nil {
			return fmt.Errorf("add to group: %w", err)
		}
		f.publish(tx, "group", string(id))
	}
	for _, id := range before {
		if slices.Contains(after, id) {
			continue
		}
		if err := check(id); err != nil {
			return err
		}
		if err := memberships.Delete(tx, string(id)+"."+member); err != nil {
			return fmt.Errorf("take from group: %w", err)
		}
		f.publish(tx, "group", string(id))
	}
	return nil
}

// PersonGroups names the groups that the person is in, static and by rule, as far as the actor sees them.
func (f *Fleet) PersonGroups(ctx context.Context, a Actor, id PersonID) ([]*Group, error) {
	if err := need(a, PeopleRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) ([]*Group, error) {
		p, err := f.personSeen(tx, a, id)
		if err != nil {
			return nil, err
		}
		in, err := f.groupsOf(tx, p, nil)
		if err != nil {
			return nil, err
		}
		return groupList(tx, a, in)
	})
}

// groupList reads groups that the actor sees, by name.
func groupList(tx store.Tx, a Actor, in map[GroupID]bool) ([]*Group, error) {
	var out []*Group
	for id := range in {
		g, err := groups.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read group: %w", err)
		}
		if sees(a, g.Tags) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(x, y *Group) int { return cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)) })
	return out, nil
}
