package android

import (
	"strconv"

	"muster/appliance/fleet"
)

// Android has no clock for silence: no setting ends management after so many days without contact. What it has are enforcement rules
// (PolicyEnforcementRule): while a setting is not met, the device blocks work and then wipes, by its own clock and also without contact.
//
// enforced are the settings for which Google makes up a rule where the policy has none: block at once, wipe after ten days. So that nothing is wiped by
// surprise, each of them that a policy has is given its rule.
var enforced = []string{"passwordPolicies", "encryptionPolicy", "keyguardDisabled", "minimumApiLevel", "permittedAccessibilityServices", "permittedInputMethods"}

// Days until the wipe where no sync expiry asks for fewer. Where a wipe is a factory reset it lies as far off as can be: it should be a person's
// decision.
const (
	wipeAfterDays      = 30
	wipeAfterDaysReset = 300
)

// wipesAfter is how many days a device waits with a wipe. Sync expiry shortens it: a device that is withdrawn after so many days of silence does not keep
// work open for longer while it breaks the rules. Of a device whose only way out is a reset, rules count that also erase; a company's device with a
// work profile is given up to its person by such a rule, which it cannot do by itself.
func wipesAfter(m fleet.Mode, x fleet.Expiry) int {
	days, rule := wipeAfterDaysReset, 0
	switch m {
	case fleet.ModeWorkProfile:
		days, rule = wipeAfterDays, x.Days
	case fleet.ModeFullyManaged, fleet.ModeKiosk:
		rule = x.Erase
	}
	if rule > 0 {
		days = min(days, rule)
	}
	return days
}

// enforce adds the rules to a policy that is complete otherwise.
func (r *rendering) enforce(t tree) {
	rules := map[string]any{}
	for _, setting := range enforced {
		if _, there := t[setting]; there {
			rules[setting] = map[string]any{"blockAction": map[string]any{"blockAfterDays": 0}, "wipeAction": map[string]any{"wipeAfterDays": wipesAfter(r.mode, r.frame.Expiry)}}
		}
	}
	if len(rules) > 0 {
		t["policyEnforcementRules"] = rules
	}
}

// EnforcesExpiry says what an Android does by itself.
func (a *Android) EnforcesExpiry(t fleet.Target, x fleet.Expiry) fleet.Reason {
	code := "android.expiry.reset"
	switch {
	case t.Mode == fleet.ModeWorkProfile:
		code = "android.expiry.profile"
	case x.Erase == 0 || t.Mode == fleet.ModeCompanyWorkProfile:
		code = "android.expiry.late"
	}
	return why(code, "days", strconv.Itoa(wipesAfter(t.Mode, x)))
}
