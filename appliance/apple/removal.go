package apple

import "muster/appliance/fleet"

// Outcome codes of the removal table (C3).
const (
	gone       = "removal.removed"
	goneWith   = "removal.removed-with-data"
	unforced   = "removal.no-longer-enforced"
	revoked    = "removal.removed-and-revoked"
	goneMail   = "removal.mail-removed" // account and cached mail
	goneOut    = "removal.outlook-if-required"
	noNewMail  = "removal.no-new-mail"
	profileOut = "removal.profile-removed"
	stays      = "removal.stays"
	none       = "removal.not-applicable"
	erased     = "removal.erased"
)

// removalRow is one kind of data with its outcome on iPhone and iPad, and on a Mac.
type removalRow struct{ data, phone, mac string }

// removalTable is C3's columns "iOS" and "macOS", in the order of the table.
var removalTable = []removalRow{
	{"company-apps", goneWith, none},
	{"settings", unforced, unforced},
	{"wifi-vpn", gone, gone},
	{"certificates", revoked, revoked},
	{"management", gone, gone},
	{"email", goneMail, profileOut},
	{"contacts", gone, none},
	{"directory", gone, gone},
	{"web-links", gone, gone}, // of a Mac: from the Dock
	{"other-apps", stays, stays},
	{"outlook", goneOut, noNewMail},
	{"other-contacts", stays, stays},
}

// Removal is the C3 table of a device for retire, delete or wipe. What stays, or was never there, needs no proof. A wipe takes all.
func (a *Apple) Removal(d *fleet.Device, t fleet.ActionType) []fleet.RemovalRow {
	var out []fleet.RemovalRow
	for _, r := range removalTable {
		code := r.phone
		if d.Platform == fleet.MacOS {
			code = r.mac
		}
		if t == fleet.ActWipe && r.data != "directory" {
			code = erased
			if r.data == "certificates" {
				code = revoked
			}
		}
		row := fleet.RemovalRow{Data: r.data, Outcome: fleet.Why(code), Proved: "not-proved"}
		if code == stays || code == none {
			row.Proved = "not-needed"
		}
		out = append(out, row)
	}
	return out
}
