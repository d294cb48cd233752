package fleet

import (
	"encoding/json"
	"time"
)

// ProfileType names a kind of profile, declared once in a file type_<name>.go.
type ProfileType string

const (
	TypeEmail        ProfileType = "email"
	TypeTrustedRoot  ProfileType = "trusted-root"
	TypeIdentity     ProfileType = "identity"
	TypePasscode     ProfileType = "passcode"
	TypeWiFi         ProfileType = "wifi"
	TypeVPN          ProfileType = "vpn"
	TypeWebLink      ProfileType = "web-link"
	TypeRestrictions ProfileType = "restrictions"
	TypeCustom       ProfileType = "custom"
	TypeApp          ProfileType = "app"
)

// Field declares one setting of a profile type: form, API schema, review page and checks come from it.
type Field struct {
	Key        string      `json:"key,omitempty"`
	Kind       string      `json:"kind,omitempty"` // KindText, ...
	Default    any         `json:"default"`
	Required   bool        `json:"required,omitempty"`
	Min        int         `json:"min,omitempty"`
	Max        int         `json:"max,omitempty"`     // of numbers; of text: the fewest and most characters, Max 0 = 500
	Bounds     []Bound     `json:"bounds,omitempty"`  // narrower bounds of single platforms, checked when the profile goes there
	Options    []string    `json:"options,omitempty"` // for choice; word keys "field.<type>.<key>.<option>"
	RefType    ProfileType `json:"ref_type"`
	Template   bool        `json:"template,omitempty"`  // {{mail}}, {{upn}}, {{name}} ... are filled in from the person
	Platforms  []Platform  `json:"platforms,omitempty"` // which honour it; empty = all of the type
	When       string      `json:"when,omitempty"`      // "other-key=value" or "other-key=one|two": shown and checked only then
	Group      string      `json:"group,omitempty"`     // heading in the form
	Advanced   bool        `json:"advanced,omitempty"`
	Supervised bool        `json:"supervised,omitempty"` // iPhone and iPad obey it only under supervision
	KeptWith   string      `json:"kept_with,omitempty"`  // of a secret: the field that says where it is used; with another value it has to be typed again
}

// Bound is what one platform takes of a number.
type Bound struct {
	Platform Platform
	Min, Max int
}

// Declaration of a profile type.
type Declaration struct {
	Type      ProfileType                    `json:"type"`
	Fields    []Field                        `json:"fields,omitempty"`
	Targets   []Target                       `json:"targets,omitempty"` // where it can go; what is missing is not applicable, with a reason
	PerPerson bool                           `json:"per_person"`        // goes to a device through its person (B5)
	Check     func(Values) map[string]Reason `json:"-"`                 // rules over several fields
	NameHint  string                         `json:"name_hint"`         // word key
}

// Values holds a profile's settings by field key, as decoded JSON values.
type Values map[string]any

// Profile is a named set of settings of one type.
type Profile struct {
	ID          ProfileID       `json:"id"`
	Type        ProfileType     `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Platforms   []Platform      `json:"platforms"`
	Settings    json.RawMessage `json:"settings"`
	Tags        []Tag           `json:"tags,omitempty"`
	Created     time.Time       `json:"created,omitzero"`
	Updated     time.Time       `json:"updated,omitzero"`
	Version     int             `json:"version"`  // rises with each save
	Revision    int             `json:"revision"` // rises only when what devices get has changed: a new name installs nothing anew

	decoded *decoded // set before the profile is shared
}

// ProfileInput creates or changes a profile; nil leaves a field as it is. Of a new one Platforms nil means all that the type knows.
type ProfileInput struct {
	ID          ProfileID // CheckProfile only: the profile that is edited, empty for a new one
	Type        ProfileType
	Name        *string
	Description *string
	Platforms   *[]Platform
	Settings    json.RawMessage // nil = unchanged
	Tags        *[]Tag
	Version     int
}
