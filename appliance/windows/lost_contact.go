package windows

import (
	"errors"
	"strconv"

	"muster/appliance/fleet"
)

// lostContactNode holds after how many days without contact a PC ends its management by itself, with all that Unenroll takes along
// (DMClient CSP; int, from build 16299 on). A PC without the node never does.
const lostContactNode = "./Device/Vendor/MSFT/DMClient/Provider/" + providerID + "/NumberOfDaysAfterLostContactToUnenroll"

var (
	_ fleet.RendersFrame   = (*Windows)(nil)
	_ fleet.ExpiryEnforcer = (*Windows)(nil)
)

// FrameUnits: sync expiry, on PCs that have it. Where no rule covers a PC any longer there is no such unit, so that the node is deleted.
func (w *Windows) FrameUnits(d *fleet.Device, fr *fleet.Frame) []fleet.Unit {
	if fr == nil || fr.Expiry.Days == 0 || buildOf(d.OSVersion) < build1709 {
		return nil
	}
	return []fleet.Unit{{Key: unitLostContact, Channel: fleet.DeviceChannel}}
}

// FrameOf: that unit depends on the days alone, and no other on the frame.
func (w *Windows) FrameOf(u *fleet.Unit, fr *fleet.Frame) *fleet.Frame {
	if u.Key != unitLostContact {
		return nil
	}
	return &fleet.Frame{Expiry: fleet.Expiry{Days: fr.Expiry.Days}}
}

// lostContact renders the unit.
func (r *rendering) lostContact() (*rendered, error) {
	if r.order.Frame == nil || r.order.Frame.Expiry.Days <= 0 {
		return nil, errors.New("sync expiry without days")
	}
	days := strconv.Itoa(r.order.Frame.Expiry.Days)
	return &rendered{
		batches: one(set(verbReplace, lostContactNode, "int", days)),
		checks:  []check{{URI: lostContactNode, Want: days, Kind: "int"}},
		nodes:   []string{lostContactNode},
	}, nil
}

// EnforcesExpiry says what a PC does by itself. It is the end of management, not a reset: whether a rule also erases makes no difference.
func (w *Windows) EnforcesExpiry(_ fleet.Target, x fleet.Expiry) fleet.Reason {
	return why("windows.expiry", "days", strconv.Itoa(x.Days))
}
