package apple

import (
	"context"
	"crypto/x509"

	"muster/appliance/fleet"
)

// header is what every payload dictionary begins with (schema: CommonPayloadKeys).
type header struct {
	PayloadType         string
	PayloadVersion      int
	PayloadIdentifier   string
	PayloadUUID         string
	PayloadDisplayName  string `plist:",omitempty"`
	PayloadDescription  string `plist:",omitempty"`
	PayloadOrganization string `plist:",omitempty"`
}

// configuration is a whole profile (schema: TopLevel).
type configuration struct {
	header
	PayloadScope   string `plist:",omitempty"` // macOS: System or User
	PayloadContent []any
}

// maxDisplayName bounds a name that is shown on a device.
const maxDisplayName = 120

func newHeader(kind, identifier, uuid, name string) header {
	return header{PayloadType: kind, PayloadVersion: 1, PayloadIdentifier: identifier, PayloadUUID: uuid, PayloadDisplayName: shorten(name)}
}

func shorten(s string) string {
	r := []rune(s)
	if len(r) <= maxDisplayName {
		return s
	}
	return string(r[:maxDisplayName-1]) + "…"
}

// rendering is what the payloads of one unit are rendered from.
type rendering struct {
	unit     string
	order    *fleet.Order
	platform fleet.Platform
	scepURL  string
	scepName string
	root     *x509.Certificate // of the internal CA
	profiles map[fleet.ProfileID]*fleet.Profile
	settings map[fleet.ProfileID]fleet.Values // filled in from the person
}

// head begins the payload of a profile. role tells apart several payloads of one profile.
func (r *rendering) head(kind string, p *fleet.Profile, role string) header {
	return newHeader(kind, unitIdentifier(r.unit)+"."+string(p.ID)+"."+role, innerUUID(r.unit, p.ID, role), p.Name)
}

// renderers holds one function for each profile type that can go to Apple devices.
var renderers = map[fleet.ProfileType]func(*rendering, *fleet.Profile) ([]any, error){
	fleet.TypeTrustedRoot:  (*rendering).trustedRoot,
	fleet.TypeIdentity:     (*rendering).identity,
	fleet.TypeEmail:        (*rendering).email,
	fleet.TypeWiFi:         (*rendering).wifi,
	fleet.TypeVPN:          (*rendering).vpn,
	fleet.TypeWebLink:      (*rendering).webLink,
	fleet.TypeRestrictions: (*rendering).restrict,
	fleet.TypeCustom:       (*rendering).custom,
	fleet.TypePasscode:     (*rendering).passcode,
}

// installUnit puts a unit's profiles into one configuration profile and that into InstallProfile.
func (a *Apple) installUnit(ctx context.Context, o *fleet.Order) (any, error) {
	s, err := a.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	payload, err := a.renderUnit(o, s)
	if err != nil {
		return nil, err
	}
	if payload, err = a.sign(payload, s.SignProfiles); err != nil {
		return nil, err
	}
	return installProfile{"InstallProfile", payload}, nil
}

// sign wraps a profile in a CMS message signed by our profile signer, where the settings ask for it.
func (a *Apple) sign(profile []byte, wanted bool) ([]byte, error) {
	if !wanted {
		return profile, nil
	}
	return a.pki.SignCMS(profile)
}
