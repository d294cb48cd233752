package windows

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"muster/appliance/fleet"
)

// Keys of delivery units. They stand in the ledger and can never change. Roots travel together, because two profiles may deliver one root;
// password rules do, because their nodes exist once; everything else is a unit of its own.
const (
	unitRoots       = "roots"
	unitPasscode    = "passcode"
	unitIdentity    = "identity-" // and the profile
	unitEmail       = "email-"    // and the profile
	unitApp         = "app-"      // and the profile
	unitWiFi        = "wifi-"     // and the profile
	unitVPN         = "vpn-"      // and the profile
	unitLimits      = "restrictions"
	unitLostContact = "lost-contact"
	unitCustom      = "custom-"      // and the profile: what is the PC's
	unitCustomOf    = "custom-user-" // and the profile: what is the person's
)

// ownUnits are the types of which each profile is a unit, with the channel that it goes over: what can be there before anybody signs in, and
// be removed when nobody is, goes over the device's.
var ownUnits = map[fleet.ProfileType]struct {
	key     string
	channel fleet.Channel
}{
	fleet.TypeIdentity: {unitIdentity, userUnits},
	fleet.TypeEmail:    {unitEmail, userUnits},
	fleet.TypeApp:      {unitApp, fleet.DeviceChannel},
	fleet.TypeWiFi:     {unitWiFi, fleet.DeviceChannel},
	fleet.TypeVPN:      {unitVPN, userUnits},
}

// userUnits is the channel kind of units under ./User.
const userUnits fleet.Channel = "user"

// scepPath is where the server answers SCEP.
const scepPath = "/scep"

// Marker is what reading back gives when a unit's version is on the device.
func (w *Windows) Marker(u fleet.Unit) string { return u.Version }

// Compose groups what is wanted of a PC into units.
func (w *Windows) Compose(_ *fleet.Device, wanted []*fleet.Profile) []fleet.Unit {
	var roots, passcode, limits []fleet.ProfileID
	var rest []fleet.Unit
	for _, p := range wanted {
		switch p.Type {
		case fleet.TypeTrustedRoot:
			roots = append(roots, p.ID)
		case fleet.TypePasscode:
			passcode = append(passcode, p.ID)
		case fleet.TypeRestrictions:
			limits = append(limits, p.ID)
		case fleet.TypeCustom:
			device, user := customScopes(p)
			if device {
				rest = append(rest, fleet.Unit{Key: unitCustom + string(p.ID), Channel: fleet.DeviceChannel, Profiles: []fleet.ProfileID{p.ID}})
			}
			if user {
				rest = append(rest, fleet.Unit{Key: unitCustomOf + string(p.ID), Channel: userUnits, Profiles: []fleet.ProfileID{p.ID}})
			}
		default:
			if own, ok := ownUnits[p.Type]; ok {
				rest = append(rest, fleet.Unit{Key: own.key + string(p.ID), Channel: own.channel, Profiles: []fleet.ProfileID{p.ID}})
			}
		}
	}
	var out []fleet.Unit
	for _, u := range []fleet.Unit{{Key: unitRoots, Profiles: roots}, {Key: unitPasscode, Profiles: passcode}, {Key: unitLimits, Profiles: limits}} {
		if len(u.Profiles) > 0 {
			u.Channel = fleet.DeviceChannel
			out = append(out, u)
		}
	}
	return append(out, rest...)
}

// Applies says whether a profile can be delivered to a target, and why not.
func (w *Windows) Applies(p *fleet.Profile, t fleet.Target) (bool, fleet.Reason) {
	if t.Platform != fleet.Windows || t.Mode != fleet.ModeDevice {
		return false, why("windows.not-applicable.platform", "platform", string(t.Platform))
	}
	v := p.Values()
	switch p.Type {
	case fleet.TypeTrustedRoot, fleet.TypeIdentity:
		return true, fleet.Reason{}
	case fleet.TypePasscode:
		if n := v.Int("max_failed"); n > 0 && n < 4 {
			return false, why("windows.not-applicable.failed-attempts")
		}
		return true, fleet.Reason{}
	case fleet.TypeEmail:
		return emailApplies(v)
	case fleet.TypeWiFi:
		return wifiApplies(v)
	case fleet.TypeVPN:
		return vpnApplies(v)
	case fleet.TypeRestrictions:
		return restrictionsApply(v, t)
	case fleet.TypeCustom:
		return customApplies(v, t)
	case fleet.TypeApp:
		if v.String("kind") == fleet.AppMSI {
			return true, fleet.Reason{}
		}
		return false, why("windows.not-applicable.app-kind")
	}
	return false, why("windows.not-applicable.type", "type", string(p.Type))
}

// rendering puts the profiles of one order into commands.
type rendering struct {
	order   *fleet.Order
	root    *x509.Certificate   // of our own authority
	issuers []*x509.Certificate // of ours, that identity certificates lead to
	scepURL string
}

func (r *rendering) unit() (*rendered, error) {
	u, list := r.order.Step.Unit, r.order.Profiles
	if u.Key == unitLostContact {
		return r.lostContact()
	}
	if len(list) == 0 {
		return nil, errors.New("unit without profiles")
	}
	switch {
	case u.Key == unitRoots:
		return r.roots(list)
	case u.Key == unitPasscode:
		return passcode(list), nil
	case strings.HasPrefix(u.Key, unitIdentity):
		return r.identity(list[0], u.Version)
	case strings.HasPrefix(u.Key, unitEmail):
		return r.email(list[0], u.Version)
	case strings.HasPrefix(u.Key, unitApp):
		return msi(list[0]), nil
	case strings.HasPrefix(u.Key, unitWiFi):
		return r.wifi(list[0])
	case strings.HasPrefix(u.Key, unitVPN):
		return r.vpn(list[0])
	case u.Key == unitLimits:
		return r.restrictions(list), nil
	case strings.HasPrefix(u.Key, unitCustomOf):
		return r.custom(list[0], true)
	case strings.HasPrefix(u.Key, unitCustom):
		return r.custom(list[0], false)
	}
	return nil, fmt.Errorf("unit %q", u.Key)
}

// guid is a UUID made from names (RFC 9562, version 8), in the braces that account nodes want, percent-encoded for a LocURI.
func guid(names ...string) (encoded, plain string) {
	sum := sha256.Sum256([]byte("muster windows account\x00" + strings.Join(names, "\x00")))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	plain = strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
	return "%7B" + plain + "%7D", plain
}
