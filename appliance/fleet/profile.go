package fleet

import (
	"context"
	"encoding/json"
	"time"
)

// ProfileType names a kind of profile, declared once in a file type_<name>.go.
type ProfileType string

const (
	TypeEmail       ProfileType = "email"
	TypeTrustedRoot ProfileType = "trusted-root"
	TypeIdentity    ProfileType = "identity"
	TypePasscode    ProfileType = "passcode"
)

// Field declares one setting of a profile type: form, API schema, review page and checks come from it.
type Field struct {
	Key       string
	Kind      string // KindText, ...
	Default   any
	Required  bool
	Min, Max  int      // of numbers; of text: the fewest and most characters, Max 0 = 500
	Bounds    []Bound  // narrower bounds of single platforms, checked when the profile goes there
	Options   []string // for choice; word keys "field.<type>.<key>.<option>"
	RefType   ProfileType
	Template  bool       // {{mail}}, {{upn}}, {{name}} ... are filled in from the person
	Platforms []Platform // which honour it; empty = all of the type
	When      string     // "other-key=value": shown and checked only then
	Group     string     // heading in the form
	Advanced  bool
}

// Bound is what one platform takes of a number.
type Bound struct {
	Platform Platform
	Min, Max int
}

// Declaration of a profile type.
type Declaration struct {
	Type      ProfileType
	Fields    []Field
	Targets   []Target                       // where it can go; what is missing is not applicable, with a reason
	PerPerson bool                           // goes to a device through its person (B5)
	Check     func(Values) map[string]Reason `json:"-"` // rules over several fields
	NameHint  string                         // word key
}

// Values holds a profile's settings by field key, as decoded JSON values.
type Values map[string]any

// ProfileTypes returns all declarations in the order of the UI.
func ProfileTypes() []Declaration { panic("unbuilt") }

// Profile is a named set of settings of one type.
type Profile struct {
	ID          ProfileID       `json:"id"`
	Type        ProfileType     `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Platforms   []Platform      `json:"platforms"`
	Settings    json.RawMessage `json:"settings"`
	Tags        []Tag           `json:"tags,omitempty"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
	Version     int             `json:"version"`
}

type ProfileInput struct {
	Type        ProfileType
	Name        *string
	Description *string
	Platforms   *[]Platform
	Settings    json.RawMessage // nil = unchanged
	Tags        *[]Tag
	Version     int
}

// CheckProfile validates without saving; the refusal's Fields say what is wrong. Notes are what does not apply where, and
// warnings (existing accounts, who will be asked for a password).
func (f *Fleet) CheckProfile(ctx context.Context, a Actor, in ProfileInput) (notes []Reason, err error) {
	panic("unbuilt")
}
func (f *Fleet) CreateProfile(ctx context.Context, a Actor, in ProfileInput) (*Profile, error) {
	panic("unbuilt")
}

// UpdateProfile makes a new version; it reaches devices as one (B9).
func (f *Fleet) UpdateProfile(ctx context.Context, a Actor, id ProfileID, in ProfileInput) (*Profile, error) {
	panic("unbuilt")
}

// DeleteProfile unassigns it everywhere first: it goes from the devices. Refused while another profile refers to it.
func (f *Fleet) DeleteProfile(ctx context.Context, a Actor, id ProfileID) error { panic("unbuilt") }
func (f *Fleet) Profile(ctx context.Context, a Actor, id ProfileID) (*Profile, error) {
	panic("unbuilt")
}
func (f *Fleet) Profiles(ctx context.Context, a Actor, q ListQuery) (List[*Profile], error) {
	panic("unbuilt")
}

// ProfileVersions, newest first.
func (f *Fleet) ProfileVersions(ctx context.Context, a Actor, id ProfileID) ([]*Profile, error) {
	panic("unbuilt")
}

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

func (f *Fleet) Assignments(ctx context.Context, a Actor, id ProfileID) ([]Assignment, error) {
	panic("unbuilt")
}

// Assign replaces a profile's assignments. With together, the profiles it refers to (identity, trusted root) get the same
// (B6).
func (f *Fleet) Assign(ctx context.Context, a Actor, id ProfileID, to []Assignment, together bool) error {
	panic("unbuilt")
}

// Reach is whom an assignment would reach; nothing is written.
type Reach struct {
	Devices  int // would get it
	People   int
	Gains    int       // newly
	Loses    int       // would lose it
	Without  []Unfit   // first 50 that would not, and why (no person, platform, ...)
	Sample   []*Device // first 20 that would
	Warnings []Reason  // broken chain (B6), one address twice (B8), who will be asked for a password
}

// Unfit is a device on which a profile does not apply.
type Unfit struct {
	Device  *Device
	Profile ProfileID
	Status  ProfileStatusCode // not-applicable, conflict, or error
	Reason  Reason
}

func (f *Fleet) PreviewAssign(ctx context.Context, a Actor, id ProfileID, in *ProfileInput, to []Assignment) (*Reach, error) {
	panic("unbuilt")
}
