package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// GroupKind says what a group holds.
type GroupKind string

const (
	PeopleGroup GroupKind = "people"
	DeviceGroup GroupKind = "devices"
)

// Group is a set of people or of devices, by hand (Rule nil) or by rule.
type Group struct {
	ID          GroupID   `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Kind        GroupKind `json:"kind"`
	Rule        *Rule     `json:"rule,omitempty"`
	Tags        []Tag     `json:"tags,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Version     int       `json:"version"`
}

// Rule is all (or any) of its conditions.
type Rule struct {
	Any        bool        `json:"any"` // false = all must hold
	Conditions []Condition `json:"conditions"`
}

// Condition compares one field: of people name, mail, upn, mail-domain, language; of devices
// platform, ownership, model, os-version, name, serial, person-mail, tag.
type Condition struct {
	Field string `json:"field"`
	Op    string `json:"op"` // is, is-not, contains, starts, ends, at-least, below (versions compare by number)
	Value string `json:"value"`
}

// GroupInput creates or changes a group; nil leaves a field as it is. Kind cannot change.
type GroupInput struct {
	Name, Description *string
	Kind              GroupKind
	Rule              *Rule
	NoRule            bool // turn a rule group into a static one with its present members
	Tags              *[]Tag
	Version           int
}

// Member is a person or a device in a group.
type Member struct {
	Person *Person `json:"person,omitempty"`
	Device *Device `json:"device,omitempty"`
}

// maxMembersAtOnce bounds what one transaction puts into a group or takes out of it.
const maxMembersAtOnce = 1000

// CreateGroup adds a group.
func (f *Fleet) CreateGroup(ctx context.Context, a Actor, in GroupInput) (*Group, error) {
	if err := need(a, GroupsEdit); err != nil {
		return nil, err
	}
	var out *Group
	err := f.db.Update(ctx, func(tx store.Tx) error {
		now := f.now().UTC()
		g := &Group{ID: GroupID(store.NewID()), Kind: in.Kind, Created: now}
		if in.Tags == nil && !a.AllTags {
			tags := slices.Clone(a.Tags)
			in.Tags = &tags
		}
		if err := f.saveGroup(tx, a, nil, g, in, now); err != nil {
			return err
		}
		out = g
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateGroup changes a group. A static group gets a rule only while it has no members.
func (f *Fleet) UpdateGroup(ctx context.Context, a Actor, id GroupID, in GroupInput) (*Group, error) {
	if err := need(a, GroupsEdit); err != nil {
		return nil, err
	}
	var present []string
	if in.NoRule {
		var err error
		if present, err = f.presentMembers(ctx, a, id); err != nil {
			return nil, err
		}
	}
	var out *Group
	err := f.db.Update(ctx, func(tx store.Tx) error {
		old, err := f.groupSeen(tx, a, id)
		if err != nil {
			return err
		}
		if err := meanwhile(in.Version, old.Version, "group"); err != nil {
			return err
		}
		if in.Kind != "" && in.Kind != old.Kind {
			return &Refusal{Kind: ErrInvalid, Reason: Why("group.kind-stays"), Fields: map[string]Reason{"kind": Why("group.kind-stays")}}
		}
		g := *old
		if in.Rule != nil && old.Rule == nil {
			n, err := memberships.Count(tx, store.Query{Index: "group", Value: string(id), Limit: 1})
			if err != nil {
				return err
			}
			if n > 0 {
				return Refuse(ErrConflict, "group.has-members", "group", old.Name)
			}
		}
		if in.NoRule && old.Rule != nil {
			g.Rule, in.Rule = nil, nil
			for _, m := range present {
				if err := memberships.Put(tx, &membership{Group: id, Member: m}); err != nil {
					return fmt.Errorf("keep member: %w", err)
				}
			}
		}
		if err := f.saveGroup(tx, a, old, &g, in, f.now().UTC()); err != nil {
			return err
		}
		out = &g
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

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

// ruleHolds says whether a device is in a rule group.
func ruleHolds(tx store.Tx, g *Group, d *Device) (bool, error) {
	mail := ""
	if g.Rule.needsPerson() {
		var err error
		if mail, err = mailOf(tx, nil, d); err != nil {
			return false, err
		}
	}
	return g.Rule.matchesDevice(d, mail), nil
}

// saveGroup checks g changed by in against old (nil: new) and writes it with its log entry and change record.
func (f *Fleet) saveGroup(tx store.Tx, a Actor, old, g *Group, in GroupInput, now time.Time) error {
	if in.Name != nil {
		g.Name = *in.Name
	}
	if in.Description != nil {
		g.Description = *in.Description
	}
	if in.Rule != nil {
		g.Rule = &Rule{Any: in.Rule.Any, Conditions: slices.Clone(in.Rule.Conditions)}
	}
	if in.Tags != nil {
		g.Tags = sortedTags(*in.Tags)
	}
	bad := faults{}
	bad.line("name", g.Name, 1, 120)
	bad.text("description", g.Description, 0, 1000)
	bad.oneOf("kind", string(g.Kind), []string{string(PeopleGroup), string(DeviceGroup)})
	if g.Rule != nil {
		checkRule(g.Kind, g.Rule, bad)
	}
	bad.tags("tags", g.Tags)
	if err := bad.refuse("group.invalid"); err != nil {
		return err
	}
	var oldTags []Tag
	if old != nil {
		oldTags = old.Tags
	}
	if err := keepsScope(a, oldTags, g.Tags); err != nil {
		return err
	}
	g.Updated = now
	g.Version++
	if err := groups.Put(tx, g); err != nil {
		if errors.Is(err, store.ErrExists) {
			why := Why("group.taken", "name", g.Name)
			return &Refusal{Kind: ErrConflict, Reason: why, Fields: map[string]Reason{"name": why}}
		}
		return fmt.Errorf("save group: %w", err)
	}
	if err := f.noteRule(tx, g.ID, g.Rule != nil); err != nil {
		return err
	}
	verb := "update"
	var was any = old
	if old == nil {
		verb, was = "create", nil
	}
	if err := f.record(tx, a, verb, "group/"+string(g.ID), g.Name, g.Tags, was, g); err != nil {
		return err
	}
	if old != nil && !sameRule(old.Rule, g.Rule) {
		if err := f.noteRuleChange(tx, g.ID); err != nil {
			return err
		}
	}
	f.publish(tx, "group", string(g.ID))
	return nil
}

func sameRule(a, b *Rule) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Any == b.Any && slices.Equal(a.Conditions, b.Conditions)
}

// noteRuleChange tells the fan-out of a group whose members may be quite different now: those that were in it are known to nobody, so all
// devices are looked at, if anything is assigned to the group at all.
func (f *Fleet) noteRuleChange(tx store.Tx, id GroupID) error {
	n, err := assignments.Count(tx, store.Query{Index: "group", Value: string(id), Limit: 1})
	if err != nil || n == 0 {
		return err
	}
	return f.noteChange(tx, changeScope{All: true, Why: "group"})
}

// groupSeen reads a group within the actor's scope.
func (f *Fleet) groupSeen(tx store.Tx, a Actor, id GroupID) (*Group, error) {
	g, err := groups.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "group")
	}
	if !sees(a, g.Tags) {
		return nil, Refuse(ErrNotFound, "not-found", "what", "group")
	}
	return g, nil
}

// readsGroups returns ErrForbidden unless the actor may look at groups of some kind.
func readsGroups(a Actor) error {
	if a.May(GroupsEdit) || a.May(DevicesRead) {
		return nil
	}
	return need(a, PeopleRead)
}

// DeleteGroup refuses with ErrConflict "group.in-use" while a profile is assigned to it.
func (f *Fleet) DeleteGroup(ctx context.Context, a Actor, id GroupID) error {
	if err := need(a, GroupsEdit); err != nil {
		return err
	}
	left := false
	err := f.db.Update(ctx, func(tx store.Tx) error {
		g, err := f.groupSeen(tx, a, id)
		if err != nil {
			return err
		}
		var used *Profile
		n := 0
		err = assignments.Each(tx, store.Query{Index: "group", Value: string(id)}, func(as *Assignment) (bool, error) {
			n++
			if used == nil {
				p, err := profiles.Get(tx, string(as.Profile))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return false, err
				}
				used = p
			}
			return n < 1000, nil
		})
		if err != nil {
			return fmt.Errorf("assignments of group: %w", err)
		}
		if n > 0 {
			name := ""
			if used != nil && sees(a, used.Tags) {
				name = used.Name
			}
			return Refuse(ErrConflict, "group.in-use", "group", g.Name, "count", fmt.Sprint(n), "profile", name)
		}
		if left, err = dropMembers(tx, id); err != nil {
			return err
		}
		if err := f.noteRule(tx, id, false); err != nil {
			return err
		}
		if err := groups.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("delete group: %w", err)
		}
		if err := f.record(tx, a, "delete", "group/"+string(id), g.Name, g.Tags, g, nil); err != nil {
			return err
		}
		f.publish(tx, "group", string(id))
		return nil
	})
	// The memberships of a very large group go in several transactions. Those that a crash leaves mean nothing: no group has their name.
	for err == nil && left {
		err = f.db.Update(ctx, func(tx store.Tx) error {
			var err error
			left, err = dropMembers(tx, id)
			return err
		})
	}
	return err
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

// Group returns one group.
func (f *Fleet) Group(ctx context.Context, a Actor, id GroupID) (*Group, error) {
	if err := readsGroups(a); err != nil {
		return nil, err
	}
	var out *Group
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		out, err = f.groupSeen(tx, a, id)
		return err
	})
	return out, err
}

// Groups lists groups by name.
func (f *Fleet) Groups(ctx context.Context, a Actor, q ListQuery) (List[*Group], error) {
	out := List[*Group]{Total: -1}
	if err := readsGroups(a); err != nil {
		return out, err
	}
	wanted := splitSearch(q.Search)
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		out.Items, out.Next, err = pageOf(tx, groups, store.Query{Index: "name", Cursor: q.Cursor, Reverse: q.Reverse}, pageLimit(q.Limit),
			func(g *Group) (bool, error) {
				return sees(a, g.Tags) && beginsWithAll(searchWords(g.Name, g.Description), wanted), nil
			})
		return err
	})
	return out, err
}

// beginsWithAll says whether every wanted word begins one of the words.
func beginsWithAll(words, wanted []string) bool {
	for _, w := range wanted {
		if !slices.ContainsFunc(words, func(h string) bool { return strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return true
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
		why := Why("group.no-such-member", "member", clip(id, 60))
		return &Refusal{Kind: ErrInvalid, Reason: why, Fields: map[string]Reason{"members": why}}
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
