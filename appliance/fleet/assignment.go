package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"muster/store"
)

// Whom an assignment names.
const (
	ToGroup      = "group"
	ToAllPeople  = "all-people"
	ToAllDevices = "all-devices"
)

// Assignment gives a profile to a group, all people or all devices, or keeps it from them.
type Assignment struct {
	ID      AssignmentID `json:"id"`
	Profile ProfileID    `json:"profile"`
	To      string       `json:"to"` // ToGroup, ToAllPeople, ToAllDevices
	Group   GroupID      `json:"group,omitempty"`
	Exclude bool         `json:"exclude"`
}

// assignmentsMost is how many assignments one profile may have.
const assignmentsMost = 200

// key tells assignments of one profile apart.
func (a Assignment) key() string { return fmt.Sprintf("%s/%s/%t", a.To, a.Group, a.Exclude) }

// Assignments returns those of a profile that the actor may know of: groups outside of his scope are left out.
func (f *Fleet) Assignments(ctx context.Context, a Actor, id ProfileID) ([]Assignment, error) {
	if err := need(a, ProfilesRead); err != nil {
		return nil, err
	}
	var out []Assignment
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.profileSeen(tx, a, id); err != nil {
			return err
		}
		c, err := f.config(tx)
		if err != nil {
			return err
		}
		for _, as := range c.to[id] {
			seen, err := f.groupOfSeen(tx, a, as)
			if err != nil {
				return err
			}
			if seen {
				out = append(out, as)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(x, y Assignment) int { return cmp.Compare(x.ID, y.ID) })
	return out, err
}

// Assign replaces a profile's assignments, as far as the actor sees them: those to groups outside of his scope stay. With together, the
// profiles it refers to (identity, trusted root) get the same (B6); one that others refer to as well gets what all of them together need.
func (f *Fleet) Assign(ctx context.Context, a Actor, id ProfileID, to []Assignment, together bool) error {
	if err := need(a, ProfilesAssign); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		if _, err := f.profileSeen(tx, a, id); err != nil {
			return err
		}
		c, err := f.config(tx)
		if err != nil {
			return err
		}
		after, err := f.assignedAs(tx, a, c, id, to, together)
		if err != nil {
			return err
		}
		changed := false
		for _, pid := range append([]ProfileID{id}, c.chain(id)...) {
			one, err := f.putAssignments(tx, a, c, after, pid)
			if err != nil {
				return err
			}
			changed = changed || one
		}
		if !changed {
			return nil
		}
		return touchConfig(tx)
	})
}

// assignedAs is the config as it would be after an assignment. Only .to differs.
func (f *Fleet) assignedAs(tx store.Tx, a Actor, c *config, id ProfileID, to []Assignment, together bool) (*config, error) {
	mine, err := f.checkAssignments(tx, a, c, id, to)
	if err != nil {
		return nil, err
	}
	after := c.clone()
	after.to[id] = mine
	if !together {
		return after, nil
	}
	for _, ref := range c.chain(id) {
		p := c.profile(ref)
		if p == nil || !sees(a, p.Tags) {
			return nil, Refuse(ErrForbidden, "assign.chain-out-of-scope")
		}
		after.to[ref] = after.needed(ref)
	}
	return after, nil
}

// needed are the assignments by which a profile reaches whatever one of its referrers reaches: what any of them includes, without what all of
// them exclude.
func (c *config) needed(id ProfileID) []Assignment {
	have := map[string]Assignment{}
	for _, as := range c.to[id] {
		have[as.key()] = as
	}
	var lists [][]Assignment
	for _, r := range c.referrers(id) {
		if len(c.to[r.ID]) > 0 {
			lists = append(lists, c.to[r.ID])
		}
	}
	var out []Assignment
	for _, list := range lists {
		for _, as := range list {
			same := func(x Assignment) bool { return x.key() == as.key() }
			shared := !slices.ContainsFunc(lists, func(l []Assignment) bool { return !slices.ContainsFunc(l, same) })
			if (!as.Exclude || shared) && !slices.ContainsFunc(out, same) {
				out = append(out, kept(have, as, id))
			}
		}
	}
	return out
}

// kept is an assignment for profile id: the one that is there already, else a copy with no id yet.
func kept(have map[string]Assignment, as Assignment, id ProfileID) Assignment {
	if old, ok := have[as.key()]; ok {
		return old
	}
	as.ID, as.Profile = "", id
	return as
}

// checkAssignments returns to with the ids of those that are there already, and with those that the actor cannot touch.
func (f *Fleet) checkAssignments(tx store.Tx, a Actor, c *config, id ProfileID, to []Assignment) ([]Assignment, error) {
	bad := faults{}
	if len(to) > assignmentsMost {
		bad.put("to", "input.too-many", "most", strconv.Itoa(assignmentsMost))
		return nil, bad.refuse("assign.invalid")
	}
	have := map[string]Assignment{}
	var out []Assignment
	for _, as := range c.to[id] {
		have[as.key()] = as
		seen, err := f.groupOfSeen(tx, a, as)
		if err != nil {
			return nil, err
		}
		if !seen {
			out = append(out, as)
		}
	}
	for i, as := range to {
		field := "to." + strconv.Itoa(i)
		switch as.To {
		case ToGroup:
			if _, err := f.groupSeen(tx, a, as.Group); errors.Is(err, ErrNotFound) {
				bad.put(field, "assign.no-such-group")
				continue
			} else if err != nil {
				return nil, err
			}
		case ToAllPeople, ToAllDevices:
			if as.Group != "" {
				bad.put(field, "assign.group-and-all")
				continue
			}
			if as.Exclude {
				bad.put(field, "assign.excludes-all")
				continue
			}
			if _, there := have[as.key()]; !there && !a.AllTags {
				return nil, Refuse(ErrForbidden, "assign.all-beyond-scope")
			}
		default:
			bad.put(field, "input.choice", "value", clip(as.To, 60))
			continue
		}
		same := func(x Assignment) bool { return x.key() == as.key() }
		if slices.ContainsFunc(out, same) {
			continue
		}
		if slices.ContainsFunc(out, func(x Assignment) bool { return x.To == as.To && x.Group == as.Group }) {
			bad.put(field, "assign.both-ways")
			continue
		}
		out = append(out, kept(have, Assignment{To: as.To, Group: as.Group, Exclude: as.Exclude}, id))
	}
	for _, old := range c.to[id] {
		if slices.ContainsFunc(out, func(x Assignment) bool { return x.key() == old.key() }) {
			continue
		}
		if err := f.mayTouch(tx, a, old); err != nil {
			return nil, err
		}
	}
	return out, bad.refuse("assign.invalid")
}

// mayTouch refuses the removal of an assignment that reaches beyond the actor's scope.
func (f *Fleet) mayTouch(tx store.Tx, a Actor, as Assignment) error {
	if as.To != ToGroup && !a.AllTags {
		return Refuse(ErrForbidden, "assign.all-beyond-scope")
	}
	seen, err := f.groupOfSeen(tx, a, as)
	if err == nil && !seen {
		return Refuse(ErrForbidden, "assign.group-beyond-scope")
	}
	return err
}

// groupOfSeen says whether the actor may know of an assignment.
func (f *Fleet) groupOfSeen(tx store.Tx, a Actor, as Assignment) (bool, error) {
	if as.To != ToGroup {
		return true, nil
	}
	_, err := f.groupSeen(tx, a, as.Group)
	if errors.Is(err, ErrNotFound) {
		return a.AllTags, nil // a group that is gone: those who see all may tidy up
	}
	return err == nil, err
}

// putAssignments brings the stored assignments of one profile from before to after, with log entry and change record.
func (f *Fleet) putAssignments(tx store.Tx, a Actor, before, after *config, id ProfileID) (changed bool, err error) {
	was, now := before.to[id], slices.Clone(after.to[id])
	for i := range now {
		if now[i].ID != "" {
			continue
		}
		changed = true
		now[i].ID, now[i].Profile = AssignmentID(store.NewID()), id
		if err := assignments.Put(tx, &now[i]); err != nil {
			return false, fmt.Errorf("save assignment: %w", err)
		}
	}
	for _, old := range was {
		if slices.ContainsFunc(now, func(x Assignment) bool { return x.ID == old.ID }) {
			continue
		}
		changed = true
		if err := assignments.Delete(tx, string(old.ID)); err != nil {
			return false, fmt.Errorf("delete assignment: %w", err)
		}
	}
	if !changed {
		return false, nil
	}
	p := before.profile(id)
	if p == nil {
		return false, Refuse(ErrNotFound, "not-found", "what", "profile")
	}
	verb := "assign"
	if len(now) == 0 {
		verb = "unassign"
	}
	if err := f.record(tx, a, verb, "profile/"+string(id), p.Name, p.Tags, was, now); err != nil {
		return false, err
	}
	f.publish(tx, "profile", string(id))
	return true, f.noteChange(tx, changeScope{Profile: id, Why: "assignment"})
}
