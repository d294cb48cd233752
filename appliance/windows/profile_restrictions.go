package windows

import (
	"strconv"

	"muster/appliance/fleet"
)

const configNode = "./Device/Vendor/MSFT/Policy/Config/"

// restrictionNodes are the policies behind the switches of a restrictions profile that PCs know, with the value of a switch that is on.
var restrictionNodes = []struct {
	setting, node string
	on            int
	corporate     bool // left out on personal PCs
}{
	{"no_camera", "Camera/AllowCamera", 0, false},
	{"pc_no_bluetooth", "Connectivity/AllowBluetooth", 0, false},
	{"pc_no_removable_storage", "System/AllowStorageCard", 0, false},
	{"pc_no_location", "System/AllowLocation", 0, false},
	{"pc_no_cortana", "Experience/AllowCortana", 0, false},
	{"pc_no_microsoft_account", "Accounts/AllowMicrosoftAccountConnection", 0, false},
	{"pc_encryption", "Security/RequireDeviceEncryption", 1, false},
	{"pc_no_disconnect", "Experience/AllowManualMDMUnenrollment", 0, true}, // a person can always take their own PC out (A12)
}

// restrictionDays are policies that count days; of several profiles the longest time counts.
var restrictionDays = []struct{ setting, node string }{
	{"pc_defer_quality", "Update/DeferQualityUpdatesPeriodInDays"},
	{"pc_defer_feature", "Update/DeferFeatureUpdatesPeriodInDays"},
}

// restrictions merges all profiles into one set: the nodes exist once, and a switch that any of them sets is set.
func (r *rendering) restrictions(list []*fleet.Profile) *rendered {
	out := &rendered{}
	var commands []command
	put := func(node string, n int) {
		uri, text := configNode+node, strconv.Itoa(n)
		commands = append(commands, set(verbReplace, uri, "int", text))
		out.checks = append(out.checks, check{URI: uri, Want: text, Kind: "int"})
		out.nodes = append(out.nodes, uri)
	}
	for _, n := range restrictionNodes {
		on := false
		for _, p := range list {
			on = on || p.Values().Bool(n.setting)
		}
		if on && (!n.corporate || r.order.Device.Ownership == fleet.Corporate) {
			put(n.node, n.on)
		}
	}
	for _, n := range restrictionDays {
		days := 0
		for _, p := range list {
			days = max(days, p.Values().Int(n.setting))
		}
		if days > 0 {
			put(n.node, days)
		}
	}
	out.batches = one(commands...)
	return out
}

// restrictionsApply says whether a profile holds anything that this PC can be told: what is only for other platforms is nothing to it.
func restrictionsApply(v fleet.Values, t fleet.Target) (bool, fleet.Reason) {
	for _, n := range restrictionNodes {
		if v.Bool(n.setting) && (!n.corporate || t.Ownership == fleet.Corporate) {
			return true, fleet.Reason{}
		}
	}
	for _, n := range restrictionDays {
		if v.Int(n.setting) > 0 {
			return true, fleet.Reason{}
		}
	}
	return false, why("windows.not-applicable.restrictions")
}
