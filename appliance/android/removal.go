package android

import "muster/appliance/fleet"

// Outcome codes of the removal table (C3).
const (
	withProfile = "removal.with-profile"
	revoked     = "removal.removed-and-revoked"
	takenOff    = "removal.removed"
	stays       = "removal.stays"
	personal    = "removal.personal-side-stays"
	erased      = "removal.erased"
	givenUp     = "removal.given-up"
)

// removalTable is C3's column "Android work profile", in the order of the table: on a personal device, and on a company's device that is given up to
// its person.
var removalTable = []struct{ data, profile, company string }{
	{"company-apps", withProfile, withProfile},
	{"settings", withProfile, withProfile},
	{"wifi-vpn", withProfile, withProfile},
	{"certificates", revoked, revoked},
	{"management", takenOff, givenUp},
	{"email", withProfile, withProfile},
	{"contacts", withProfile, withProfile},
	{"directory", takenOff, takenOff},
	{"web-links", withProfile, withProfile},
	{"other-apps", personal, personal},
	{"outlook", withProfile, withProfile},
	{"other-contacts", stays, stays},
}

// Removal is the C3 table of a device for retire, delete or wipe. What stays needs no proof. Where only a factory reset is possible, deleting is one.
func (a *Android) Removal(d *fleet.Device, t fleet.ActionType) []fleet.RemovalRow {
	reset := t == fleet.ActWipe || d.Mode == fleet.ModeFullyManaged || d.Mode == fleet.ModeKiosk
	var out []fleet.RemovalRow
	for _, r := range removalTable {
		code := r.profile
		if d.Mode == fleet.ModeCompanyWorkProfile {
			code = r.company
		}
		if reset && r.data != "directory" {
			code = erased
			if r.data == "certificates" {
				code = revoked
			}
		}
		row := fleet.RemovalRow{Data: r.data, Outcome: why(code), Proved: "not-proved"}
		switch code {
		case stays, personal:
			row.Proved = "not-needed"
		}
		out = append(out, row)
	}
	return out
}
