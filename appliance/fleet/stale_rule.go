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

// StaleKind is what a rule about silent devices does.
type StaleKind string

const (
	// Cleanup deletes devices in the sense of C6: the record leaves the list at once, company data goes when the device returns.
	Cleanup StaleKind = "cleanup"
	// SyncExpiry withdraws access: certificates are revoked, and the work account is removed when the device returns (C9).
	SyncExpiry StaleKind = "sync-expiry"
)

// StaleKinds in the order of the UI.
var StaleKinds = []StaleKind{Cleanup, SyncExpiry}

type (
	StaleRuleID string
	StaleRunID  string
)

// StaleRule says what happens to devices that have been silent for a number of days.
type StaleRule struct {
	ID          StaleRuleID `json:"id"`
	Kind        StaleKind   `json:"kind"`
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Platforms   []Platform  `json:"platforms,omitempty"` // none = all
	Group       GroupID     `json:"group,omitempty"`     // sync expiry: of people or devices; "" = every device
	Days        int         `json:"days"`
	Wide        bool        `json:"wide,omitempty"`         // cleanup: from 30 days on instead of 90
	Erase       bool        `json:"erase,omitempty"`        // also devices whose removal can only be a factory reset
	ExcludeTags []Tag       `json:"exclude_tags,omitempty"` // devices with one of these tags stay
	Share       int         `json:"share"`                  // per cent of the devices it covers that one run may take without an administrator's yes
	GraceHours  int         `json:"grace_hours"`            // how long a device that was pushed has to answer before it is judged again
	Off         bool        `json:"off,omitempty"`
	Run         StaleRunID  `json:"run,omitempty"` // the run that is open; whoever begins one reads and writes this, so there is never a second
	Created     time.Time   `json:"created,omitzero"`
	Updated     time.Time   `json:"updated,omitzero"`
	Version     int         `json:"version"`
}

// StaleRuleInput creates or changes a rule; nil leaves a field as it is. Kind cannot change.
type StaleRuleInput struct {
	Kind        StaleKind   `json:"kind,omitempty"`
	Name        *string     `json:"name,omitempty"`
	Description *string     `json:"description,omitempty"`
	Platforms   *[]Platform `json:"platforms,omitempty"`
	Group       *GroupID    `json:"group,omitempty"`
	Days        *int        `json:"days,omitempty"`
	Wide        *bool       `json:"wide,omitempty"`
	Erase       *bool       `json:"erase,omitempty"`
	ExcludeTags *[]Tag      `json:"exclude_tags,omitempty"`
	Share       *int        `json:"share,omitempty"`
	GraceHours  *int        `json:"grace_hours,omitempty"`
	Off         *bool       `json:"off,omitempty"`
	Version     int         `json:"version,omitempty"`
}

var staleRules = store.Define("sr", func(r *StaleRule) string { return string(r.ID) },
	store.Index[StaleRule]{Name: "name", Unique: true, Values: func(r *StaleRule) []string { return []string{strings.ToLower(r.Name)} }},
	store.Index[StaleRule]{Name: "kind", Values: func(r *StaleRule) []string { return []string{string(r.Kind)} }},
	store.Index[StaleRule]{Name: "group", Values: func(r *StaleRule) []string { return nonEmpty(string(r.Group)) }},
)

// staleDays are the bounds of a rule's days.
func staleDays(k StaleKind, wide bool) (least, most int) {
	switch {
	case k == SyncExpiry:
		return 7, 365
	case wide:
		return 30, 270
	}
	return 90, 270
}

// newStaleRule has what a rule starts with.
func newStaleRule(k StaleKind) StaleRule {
	r := StaleRule{Kind: k, Days: 180, Share: 10, GraceHours: 24}
	if k == SyncExpiry {
		r.Days = 30
	}
	return r
}

// mayStale refuses those who may not make or change such a rule: it acts on devices of every scope while nobody looks.
func mayStale(a Actor, r *StaleRule) error {
	if !a.AllTags {
		return Refuse(ErrForbidden, "rule.whole-fleet")
	}
	p := DevicesDelete
	if r.Kind == SyncExpiry {
		p = DevicesRetire
	}
	if err := need(a, p); err != nil {
		return err
	}
	if r.Erase {
		return need(a, DevicesWipe)
	}
	return nil
}

// with is the rule as an input changes it.
func (r StaleRule) with(in StaleRuleInput) StaleRule {
	set(&r.Name, in.Name)
	set(&r.Description, in.Description)
	set(&r.Group, in.Group)
	set(&r.Days, in.Days)
	set(&r.Wide, in.Wide)
	set(&r.Erase, in.Erase)
	set(&r.Share, in.Share)
	set(&r.GraceHours, in.GraceHours)
	set(&r.Off, in.Off)
	if in.Platforms != nil {
		r.Platforms = slices.Clone(*in.Platforms)
		slices.Sort(r.Platforms)
		r.Platforms = slices.Compact(r.Platforms)
	}
	if in.ExcludeTags != nil {
		r.ExcludeTags = sortedTags(*in.ExcludeTags)
	}
	return r
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// checkStale says what is wrong with a rule.
func (f *Fleet) checkStale(tx store.Tx, a Actor, r *StaleRule) error {
	bad := faults{}
	bad.oneOf("kind", string(r.Kind), []string{string(Cleanup), string(SyncExpiry)})
	bad.line("name", r.Name, 1, 120)
	bad.text("description", r.Description, 0, 1000)
	for _, p := range r.Platforms {
		bad.oneOf("platforms", string(p), []string{string(IOS), string(IPadOS), string(MacOS), string(Windows), string(Android)})
	}
	least, most := staleDays(r.Kind, r.Wide)
	bad.between("days", r.Days, least, most)
	bad.between("share", r.Share, 1, 100)
	bad.between("grace_hours", r.GraceHours, 1, 168)
	bad.tags("exclude_tags", r.ExcludeTags)
	if r.Group != "" && r.Kind == Cleanup {
		bad.put("group", "rule.no-group")
	}
	if r.Wide && r.Kind == SyncExpiry {
		r.Wide = false
	}
	if err := bad.refuse("rule.invalid"); err != nil {
		return err
	}
	if r.Group != "" {
		if _, err := f.groupSeen(tx, a, r.Group); err != nil {
			return refuseField(ErrInvalid, "group", Why("not-found", "what", "group"))
		}
	}
	return nil
}

// CreateStaleRule adds a rule.
func (f *Fleet) CreateStaleRule(ctx context.Context, a Actor, in StaleRuleInput) (*StaleRule, error) {
	return f.saveStaleRule(ctx, a, "", in)
}

// UpdateStaleRule changes a rule. A run of it that is open ends there: it was begun under other terms.
func (f *Fleet) UpdateStaleRule(ctx context.Context, a Actor, id StaleRuleID, in StaleRuleInput) (*StaleRule, error) {
	if id == "" {
		return nil, Refuse(ErrNotFound, "not-found", "what", "rule")
	}
	return f.saveStaleRule(ctx, a, id, in)
}

func (f *Fleet) saveStaleRule(ctx context.Context, a Actor, id StaleRuleID, in StaleRuleInput) (*StaleRule, error) {
	return updated(ctx, f, func(tx store.Tx) (*StaleRule, error) {
		now := f.now().UTC()
		old := newStaleRule(in.Kind)
		var before any
		if id != "" {
			kept, err := staleRules.Get(tx, string(id))
			if err != nil {
				return nil, notFound(err, "rule")
			}
			old = *kept
			before = kept
			if err := mayStale(a, kept); err != nil {
				return nil, err
			}
			if err := meanwhile(in.Version, kept.Version, "rule"); err != nil {
				return nil, err
			}
			if in.Kind != "" && in.Kind != kept.Kind {
				return nil, refuseField(ErrInvalid, "kind", Why("rule.kind-stays"))
			}
		}
		r := old.with(in)
		if err := mayStale(a, &r); err != nil {
			return nil, err
		}
		if err := f.checkStale(tx, a, &r); err != nil {
			return nil, err
		}
		if id == "" {
			r.ID, r.Created = StaleRuleID(store.NewID()), now
		} else if err := f.stopOpen(tx, &r, Why("rule.stopped-changed", "by", a.Name)); err != nil {
			return nil, err
		}
		r.Updated = now
		r.Version++
		if err := staleRules.Put(tx, &r); err != nil {
			if errors.Is(err, store.ErrExists) {
				return nil, refuseField(ErrConflict, "name", Why("rule.taken", "name", r.Name))
			}
			return nil, fmt.Errorf("save rule: %w", err)
		}
		f.publish(tx, "rule", string(r.ID))
		if err := f.expiryChanged(tx, &r); err != nil {
			return nil, err
		}
		return &r, f.recordSave(tx, a, "rule/"+string(r.ID), r.Name, nil, before, &r)
	})
}

// DeleteStaleRule takes a rule away; its runs stay on record. What it has ordered goes on.
func (f *Fleet) DeleteStaleRule(ctx context.Context, a Actor, id StaleRuleID) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		r, err := staleRules.Get(tx, string(id))
		if err != nil {
			return notFound(err, "rule")
		}
		if err := mayStale(a, r); err != nil {
			return err
		}
		if err := f.stopOpen(tx, r, Why("rule.stopped-deleted", "by", a.Name)); err != nil {
			return err
		}
		if err := staleRules.Delete(tx, string(id)); err != nil {
			return err
		}
		f.publish(tx, "rule", string(id))
		if err := f.expiryChanged(tx, r); err != nil {
			return err
		}
		return f.record(tx, a, "delete", "rule/"+string(id), r.Name, nil, r, nil)
	})
}

// StaleRule returns one rule.
func (f *Fleet) StaleRule(ctx context.Context, a Actor, id StaleRuleID) (*StaleRule, error) {
	if err := need(a, DevicesRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*StaleRule, error) {
		r, err := staleRules.Get(tx, string(id))
		return r, notFound(err, "rule")
	})
}

// StaleRules lists the rules by name.
func (f *Fleet) StaleRules(ctx context.Context, a Actor, q ListQuery) (List[*StaleRule], error) {
	out := List[*StaleRule]{Total: -1}
	if err := need(a, DevicesRead); err != nil {
		return out, err
	}
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		out.Items, out.Next, err = pageOf(tx, staleRules, store.Query{Index: "name", Cursor: q.Cursor, Reverse: q.Reverse}, pageLimit(q.Limit),
			func(*StaleRule) (bool, error) { return true, nil })
		return err
	})
	return out, err
}

// noRuleNames refuses to delete a group that a rule is about: without it the rule would be about nobody, or about everybody.
func noRuleNames(tx store.Tx, g *Group) error {
	return staleRules.Each(tx, store.Query{Index: "group", Value: string(g.ID), Limit: 1}, func(r *StaleRule) (bool, error) {
		return false, Refuse(ErrConflict, "rule.group-in-use", "group", g.Name, "rule", r.Name)
	})
}
