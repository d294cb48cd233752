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
	// Others: <type>.<profile>.
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

// Compose groups what is wanted of a device into units. References between payloads resolve within one profile only, so whatever refers to
// each other is one unit. What refers to nothing is a unit of its own: a change of it, or a refusal, touches nothing else.
func (a *Apple) Compose(d *fleet.Device, wanted []*fleet.Profile) []fleet.Unit {
	chain := chains(wanted)
	forPerson := map[fleet.ProfileID]bool{}
	if d.Platform == fleet.MacOS {
		forPerson = chain.ofPerson(wanted)
	}
	var access, person, passcode []fleet.ProfileID
	var alone []fleet.Unit
	for _, p := range wanted {
		switch {
		case p.Type == fleet.TypePasscode:
			passcode = append(passcode, p.ID)
		case p.Type == fleet.TypeTrustedRoot:
			access = append(access, p.ID) // of a Mac: its system keychain, which every user of it trusts
			if forPerson[p.ID] {
				person = append(person, p.ID)
			}
		case forPerson[p.ID]:
			person = append(person, p.ID)
		case p.Type == fleet.TypeIdentity, p.Type == fleet.TypeEmail, len(chain.refs[p.ID]) > 0:
			access = append(access, p.ID)
		default:
			alone = append(alone, fleet.Unit{Key: string(p.Type) + "." + string(p.ID), Channel: aloneIn(d, p), Profiles: []fleet.ProfileID{p.ID}})
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
	return append(out, alone...)
}

// aloneIn is the channel of what travels alone: on a Mac, links are in the Dock of a person, and a custom payload goes where it was told to.
func aloneIn(d *fleet.Device, p *fleet.Profile) fleet.Channel {
	if d.Platform == fleet.MacOS && (p.Type == fleet.TypeWebLink || p.Type == fleet.TypeCustom && p.Values().String("apple_channel") == "person") {
		return personChannel
	}
	return fleet.DeviceChannel
}

// references holds what is wanted by id and what each refers to.
type references struct {
	byID map[fleet.ProfileID]*fleet.Profile
	refs map[fleet.ProfileID][]fleet.ProfileID
}

func chains(wanted []*fleet.Profile) references {
	c := references{map[fleet.ProfileID]*fleet.Profile{}, map[fleet.ProfileID][]fleet.ProfileID{}}
	for _, p := range wanted {
		c.byID[p.ID], c.refs[p.ID] = p, p.Refers()
	}
	return c
}

// ofPerson are the profiles that go through the person's channel of a Mac: e-mail, the identities it signs in with, and networks that use one of
// these identities, with the roots whose payloads they name. An identity is in one unit only: each installation issues a certificate.
func (c references) ofPerson(wanted []*fleet.Profile) map[fleet.ProfileID]bool {
	in := map[fleet.ProfileID]bool{}
	for grown := true; grown; {
		grown = false
		for _, p := range wanted {
			if in[p.ID] || p.Type == fleet.TypeTrustedRoot || p.Type == fleet.TypeIdentity {
				continue
			}
			uses := func(id fleet.ProfileID) bool {
				return in[id] && c.byID[id] != nil && c.byID[id].Type == fleet.TypeIdentity
			}
			if p.Type != fleet.TypeEmail && !slices.ContainsFunc(c.refs[p.ID], uses) {
				continue
			}
			in[p.ID], grown = true, true
			for _, id := range c.refs[p.ID] {
				in[id] = true
			}
		}
	}
	return in
}
