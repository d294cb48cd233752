package android

import (
	"maps"
	"slices"

	"muster/appliance/fleet"
)

// complianceCodes says what the device's reasons mean for people: nonComplianceReason, specificNonComplianceReason, installationFailureReason.
var complianceCodes = map[string]string{
	"API_LEVEL":                 "android.not.api-level",
	"MANAGEMENT_MODE":           "android.not.mode",
	"USER_ACTION":               "android.not.person",
	"INVALID_VALUE":             "android.not.value",
	"APP_NOT_INSTALLED":         "android.not.app-missing",
	"UNSUPPORTED":               "android.not.unsupported",
	"APP_INSTALLED":             "android.not.app-there",
	"PENDING":                   "android.not.pending",
	"APP_INCOMPATIBLE":          "android.not.app-incompatible",
	"APP_NOT_UPDATED":           "android.not.app-old",
	"OS_NOT_PERMITTED":          "android.not.os",
	"DEVICE_INCOMPATIBLE":       "android.not.device",
	"APP_SIGNING_CERT_MISMATCH": "android.not.app-signature",
	"PROJECT_NOT_PERMITTED":     "android.not.project",

	"PASSWORD_POLICIES_USER_CREDENTIALS_CONFIRMATION_REQUIRED":  "android.not.password-confirm",
	"PASSWORD_POLICIES_PASSWORD_EXPIRED":                        "android.not.password-expired",
	"PASSWORD_POLICIES_PASSWORD_NOT_SUFFICIENT":                 "android.not.password",
	"ONC_WIFI_INVALID_VALUE":                                    "android.not.wifi-value",
	"ONC_WIFI_API_LEVEL":                                        "android.not.api-level",
	"ONC_WIFI_INVALID_ENTERPRISE_CONFIG":                        "android.not.wifi-enterprise",
	"ONC_WIFI_USER_SHOULD_REMOVE_NETWORK":                       "android.not.wifi-remove",
	"ONC_WIFI_KEY_PAIR_ALIAS_NOT_CORRESPONDING_TO_EXISTING_KEY": "android.not.wifi-key",
	"PERMISSIBLE_USAGE_RESTRICTION":                             "android.not.project",
	"USER_NOT_UNLOCKED":                                         "android.not.locked",

	"IN_PROGRESS":                         "android.not.installing",
	"NOT_FOUND":                           "android.not.app-unknown",
	"NOT_COMPATIBLE_WITH_DEVICE":          "android.not.app-incompatible",
	"NOT_APPROVED":                        "android.not.app-unapproved",
	"NOT_AVAILABLE_IN_COUNTRY":            "android.not.app-country",
	"NO_LICENSES_REMAINING":               "android.not.app-licences",
	"NOT_ENROLLED":                        "android.not.app-account",
	"USER_INVALID":                        "android.not.app-account",
	"NETWORK_ERROR_UNRELIABLE_CONNECTION": "android.not.app-network",
	"INSUFFICIENT_STORAGE":                "android.not.app-storage",

	"other":     "android.not.other",
	"app-error": "android.not.app-says",
}

// worse orders statuses: of several things that a device says of one profile the worst is shown.
var worse = []fleet.ProfileStatusCode{fleet.StatusNotApplicable, fleet.StatusPending, fleet.StatusWaitsPerson, fleet.StatusError}

// complaintsMost is how many complaints of a device are looked at.
const complaintsMost = 500

// results says what became of the profiles in a policy that has arrived. What the device does not mention has been honoured.
func results(d *device, owners map[string][]fleet.ProfileID) []fleet.Result {
	found := map[fleet.ProfileID]fleet.Result{}
	note := func(key string, s fleet.ProfileStatusCode, r fleet.Reason) {
		for _, p := range owners[key] {
			old, said := found[p]
			if said && slices.Index(worse, old.Status) >= slices.Index(worse, s) {
				continue
			}
			found[p] = fleet.Result{Profile: p, Status: s, Reason: r}
		}
	}
	for i, n := range d.NonCompliance {
		if i == complaintsMost {
			break
		}
		status, reason := meaning(&n)
		key := fieldOf(firstOf(n.Setting, n.Path))
		switch {
		case n.Package != "":
			key = "app/" + n.Package
		case key == onc || key == "onc":
			key = oncConcerns(&n, owners)
		}
		note(key, status, reason)
	}
	for i, app := range d.Apps {
		if i == 2000 {
			break
		}
		for _, s := range app.States {
			if s.Severity == "ERROR" {
				r := why("android.not.app-says", "app", clip(firstOf(app.Name, app.Package), 100))
				r.DeviceWords = clip(s.Key+": "+s.Message, 500)
				note("app/"+app.Package, fleet.StatusError, r)
			}
		}
	}
	out := make([]fleet.Result, 0, len(found))
	for _, p := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[p])
	}
	return out
}

// meaning of one complaint.
func meaning(n *nonCompliance) (fleet.ProfileStatusCode, fleet.Reason) {
	status := fleet.StatusError
	switch n.Reason {
	case "PENDING":
		status = fleet.StatusPending
	case "USER_ACTION":
		status = fleet.StatusWaitsPerson
	case "MANAGEMENT_MODE", "API_LEVEL", "UNSUPPORTED":
		status = fleet.StatusNotApplicable
	case "APP_NOT_INSTALLED":
		if n.Install == "IN_PROGRESS" || n.Install == "" {
			status = fleet.StatusPending
		}
	}
	words := n.Reason
	code, ok := "", false
	for _, w := range []string{n.Specific, n.Install, n.Reason} {
		if code, ok = complianceCodes[w]; ok && w != "" {
			break
		}
	}
	if !ok {
		code = "android.not.other"
	}
	for _, w := range []string{n.Specific, n.Install, n.Path} {
		if w != "" {
			words += " " + w
		}
	}
	r := fleet.Reason{Code: code, DeviceWords: clip(words, 300)}
	if code == complianceCodes["APP_NOT_INSTALLED"] && status == fleet.StatusPending {
		r.Code = "android.not.installing"
	}
	return status, r
}
