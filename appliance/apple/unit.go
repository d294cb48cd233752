package apple

import (
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// Keys of delivery units. They stand in the identifiers of installed profiles and can never change.
const (
	unitAccess   = "access"   // roots, identities and, on iPhone and iPad, e-mail: what refers to each other
	unitPerson   = "person"   // on a Mac, through the person's channel: e-mail with its identity
	unitPasscode = "passcode" // apart, so that a rule that cannot be met yet holds up nothing else
)

// personChannel is the channel kind of units for a managed user of a Mac.
const personChannel fleet.Channel = "user"

// identifierPrefix begins the PayloadIdentifier of every delivered profile. The enrolment profile has another.
const identifierPrefix = "muster.profile."

func unitIdentifier(key string) string { return identifierPrefix + key }

// unitOf tells which unit an installed profile is; false when it is not one of ours.
func unitOf(identifier string) (string, bool) {
	key, ok := strings.CutPrefix(identifier, identifierPrefix)
	return key, ok && key != ""
}

// Marker is the top-level PayloadUUID of a unit's version: ProfileList gives it back.
func (a *Apple) Marker(u fleet.Unit) string { return payloadUUID("unit", u.Key, u.Version) }

// innerUUID identifies a payload for good: a device updates a payload whose identifier and UUID it knows and replaces
// it otherwise, and a replaced mail account is fetched anew. The unit is part of it because an identity of a Mac moves from the device's unit to
// the person's when e-mail comes to use it, and no UUID may stand in two installed profiles.
func innerUUID(unit string, p fleet.ProfileID, role string) string {
	return payloadUUID("payload", unit, string(p), role)
}

// Compose groups what is wanted of a device into units. References between payloads resolve within one profile only, so
// whatever refers to each other is one unit.
func (a *Apple) Compose(d *fleet.Device, wanted []*fleet.Profile) []fleet.Unit {
	var access, person, passcode []fleet.ProfileID
	forPerson := map[fleet.ProfileID]bool{}
	if d.Platform == fleet.MacOS {
		forPerson = mailChain(wanted)
	}
	for _, p := range wanted {
		switch {
		case p.Type == fleet.TypePasscode:
			passcode = append(passcode, p.ID)
		case p.Type == fleet.TypeTrustedRoot:
			access = append(access, p.ID) // of a Mac: its system keychain, which every user of it trusts
		case forPerson[p.ID]:
			person = append(person, p.ID)
		case p.Type == fleet.TypeIdentity, p.Type == fleet.TypeEmail:
			access = append(access, p.ID)
		}
	}
	var out []fleet.Unit
	add := func(key string, ch fleet.Channel, ids []fleet.ProfileID) {
		if len(ids) > 0 {
			out = append(out, fleet.Unit{Key: key, Channel: ch, Profiles: ids})
		}
	}
	add(unitAccess, fleet.DeviceChannel, access)
	add(unitPasscode, fleet.DeviceChannel, passcode)
	add(unitPerson, personChannel, person)
	return out
}

// mailChain is every e-mail profile with what it refers to, directly or through another.
func mailChain(wanted []*fleet.Profile) map[fleet.ProfileID]bool {
	byID := map[fleet.ProfileID]*fleet.Profile{}
	var todo []fleet.ProfileID
	for _, p := range wanted {
		byID[p.ID] = p
		if p.Type == fleet.TypeEmail {
			todo = append(todo, p.ID)
		}
	}
	in := map[fleet.ProfileID]bool{}
	for len(todo) > 0 {
		p := byID[todo[0]]
		todo = todo[1:]
		if p == nil || in[p.ID] {
			continue
		}
		in[p.ID] = true
		todo = append(todo, references(p)...)
	}
	return in
}

// references are the profiles that a profile's settings name.
func references(p *fleet.Profile) []fleet.ProfileID {
	values := p.Values()
	var out []fleet.ProfileID
	for _, d := range fleet.ProfileTypes() {
		if d.Type != p.Type {
			continue
		}
		for _, f := range d.Fields {
			if id := values.String(f.Key); f.Kind == "profile" && id != "" && !slices.Contains(out, fleet.ProfileID(id)) {
				out = append(out, fleet.ProfileID(id))
			}
		}
	}
	return out
}
