package fleet

import (
	"context"
	"time"
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

func (f *Fleet) CreateGroup(ctx context.Context, a Actor, in GroupInput) (*Group, error) {
	panic("unbuilt")
}
func (f *Fleet) UpdateGroup(ctx context.Context, a Actor, id GroupID, in GroupInput) (*Group, error) {
	panic("unbuilt")
}

// DeleteGroup refuses with ErrConflict "group.in-use" while a profile is assigned to it.
func (f *Fleet) DeleteGroup(ctx context.Context, a Actor, id GroupID) error { panic("unbuilt") }
func (f *Fleet) Group(ctx context.Context, a Actor, id GroupID) (*Group, error) {
	panic("unbuilt")
}
func (f *Fleet) Groups(ctx context.Context, a Actor, q ListQuery) (List[*Group], error) {
	panic("unbuilt")
}

// SetMembers adds and removes members of a static group; one change, one audit record.
func (f *Fleet) SetMembers(ctx context.Context, a Actor, id GroupID, add, remove []string) error {
	panic("unbuilt")
}

// Members lists whom a group holds now, static or by rule.
func (f *Fleet) Members(ctx context.Context, a Actor, id GroupID, q ListQuery) (List[Member], error) {
	panic("unbuilt")
}
