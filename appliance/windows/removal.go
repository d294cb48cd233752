package windows

import "muster/appliance/fleet"

// Outcome codes of the removal table (C3).
const (
	gone        = "removal.removed"
	unforced    = "removal.no-longer-enforced"
	revoked     = "removal.removed-and-revoked"
	profileOut  = "removal.profile-removed"
	stays       = "removal.stays"
	none        = "removal.not-applicable"
	erased      = "removal.erased"
	appsRemoved = "removal.windows-apps"
	appsStay    = "removal.windows-other-apps-stays"
	mailLocked  = "removal.windows-outlook-stays"
)

// removalTable is C3's column "Windows 10/11", in the order of the table.
var removalTable = []struct{ data, outcome string }{
	{"company-apps", appsRemoved},
	{"settings", unforced},
	{"wifi-vpn", gone},
	{"certificates", revoked},
	{"management", gone},
	{"email", profileOut},
	{"contacts", none},
	{"directory", none},
	{"web-links", gone},
	{"other-apps", appsStay},
	{"outlook", mailLocked},
	{"other-contacts", stays},
}

// Removal is the C3 table of a PC for retire, delete or wipe. What stays, or was never there, needs no proof. A wipe takes all.
func (w *Windows) Removal(_ *fleet.Device, t fleet.ActionType) []fleet.RemovalRow {
	var out []fleet.RemovalRow
	for _, r := range removalTable {
		code := r.outcome
		if t == fleet.ActWipe && r.data != "directory" {
			code = erased
			if r.data == "certificates" {
				code = revoked
			}
		}
		row := fleet.RemovalRow{Data: r.data, Outcome: why(code), Proved: "not-proved"}
		switch code {
		case stays, none, appsStay, mailLocked:
			row.Proved = "not-needed"
		}
		out = append(out, row)
	}
	return out
}
