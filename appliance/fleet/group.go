package fleet

import (
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
	Created     time.Time `json:"created,omitzero"`
	Updated     time.Time `json:"updated,omitzero"`
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

// CreateGroup adds a group.
func (f *Fleet) CreateGroup(ctx context.Context, a Actor, in GroupInput) (*Group, error) {
	if err := need(a, GroupsEdit); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Group, error) {
		now := f.now().UTC()
		g := &Group{ID: GroupID(store.NewID()), Kind: in.Kind, Tags: tagsFor(a), Created: now}
		if err := f.saveGroup(tx, a, nil, g, in, now); err != nil {
			return nil, err
		}
		return g, nil
	})
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
	return updated(ctx, f, func(tx store.Tx) (*Group, error) {
		old, err := f.groupSeen(tx, a, id)
		if err != nil {
			return nil, err
		}
		if err := meanwhile(in.Version, old.Version, "group"); err != nil {
			return nil, err
		}
		if in.Kind != "" && in.Kind != old.Kind {
			return nil, refuseField(ErrInvalid, "kind", Why("group.kind-stays"))
		}
		g := *old
		if in.Rule != nil && old.Rule == nil {
			n, err := memberships.Count(tx, store.Query{Index: "group", Value: string(id), Limit: 1})
			if err != nil {
				return nil, err
			}
			if n > 0 {
				return nil, Refuse(ErrConflict, "group.has-members", "group", old.Name)
			}
		}
		if in.NoRule && old.Rule != nil {
			g.Rule, in.Rule = nil, nil
			for _, m := range present {
				if err := memberships.Put(tx, &membership{Group: id, Member: m}); err != nil {
					return nil, fmt.Errorf("keep member: %w", err)
				}
			}
		}
		if err := f.saveGroup(tx, a, old, &g, in, f.now().UTC()); err != nil {
			return nil, err
		}
		return &g, nil
	})
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
	var was any
	var oldTags []Tag
	if old != nil {
		was, oldTags = old, old.Tags
	}
	if err := keepsScope(a, oldTags, g.Tags); err != nil {
		return err
	}
	g.Updated = now
	g.Version++
	if err := groups.Put(tx, g); err != nil {
		if errors.Is(err, store.ErrExists) {
			return refuseField(ErrConflict, "name", Why("group.taken", "name", g.Name))
		}
		return fmt.Errorf("save group: %w", err)
	}
	if err := f.noteRule(tx, g.ID, g.Rule != nil); err != nil {
		return err
	}
	if err := f.recordSave(tx, a, "group/"+string(g.ID), g.Name, g.Tags, was, g); err != nil {
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
// devices are looked at, if anything is assigned to the group, or a rule is about it, at all.
func (f *Fleet) noteRuleChange(tx store.Tx, id GroupID) error {
	n, err := assignments.Count(tx, store.Query{Index: "group", Value: string(id), Limit: 1})
	if err != nil {
		return err
	}
	if n == 0 {
		if n, err = staleRules.Count(tx, store.Query{Index: "group", Value: string(id), Limit: 1}); err != nil || n == 0 {
			return err
		}
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
		if err := noRuleNames(tx, g); err != nil {
			return err
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

// Group returns one group.
func (f *Fleet) Group(ctx context.Context, a Actor, id GroupID) (*Group, error) {
	if err := readsGroups(a); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Group, error) {
		return f.groupSeen(tx, a, id)
	})
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
