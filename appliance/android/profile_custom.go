package android

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// A custom profile brings a fragment of a policy, written as Google's discovery document has it. It cannot go round what Muster itself answers for:
// what is reported and logged, what happens without a person's doing, who acts on Android's behalf, and certificates and networks, which a
// discovery document cannot check.
var customForbidden = []string{"name", "version", "statusReportingSettings", "usageLog", "policyEnforcementRules", "complianceRules", "openNetworkConfiguration",
	"oncCertificateProviders", "choosePrivateKeyRules", "wipeDataFlags", "frpAdminEmails", "passwordPolicies", "setupActions"}

// customForbiddenOfApp are the fields of an app that give it powers over the device.
var customForbiddenOfApp = []string{"delegatedScopes", "extensionConfig", "roles", "customAppConfig"}

// customPersonal are the fields that a fragment may bring to a personal device: what concerns the work profile alone.
var customPersonal = []string{"applications", "crossProfilePolicies", "screenCaptureDisabled", "keyguardDisabledFeatures", "modifyAccountsDisabled",
	"accountTypesWithManagementDisabled", "shortSupportMessage", "longSupportMessage", "printingPolicy", "autofillPolicy", "appAutoUpdatePolicy",
	"defaultPermissionPolicy", "permissionGrants", "assistContentPolicy", "alwaysOnVpnPackage", "appFunctions"}

// customPolicy reads a fragment.
func customPolicy(text string) (tree, error) {
	var in map[string]any
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, err
	}
	t := tree(in)
	t.byName()
	return t, nil
}

// byName turns lists into objects by name: it is finish the other way round.
func (t tree) byName() {
	for path, field := range named {
		at := map[string]any(t)
		parts := strings.Split(path, "/")
		for _, p := range parts[:len(parts)-1] {
			if at, _ = asObject(at[p]); at == nil {
				break
			}
		}
		last := parts[len(parts)-1]
		list, ok := at[last].([]any)
		if !ok {
			continue
		}
		by := map[string]any{}
		for _, x := range list {
			one, ok := asObject(x)
			if !ok {
				continue
			}
			one = maps.Clone(one)
			name, _ := one[field].(string)
			delete(one, field)
			if name != "" {
				by[name] = one
			}
		}
		at[last] = by
	}
}

// CheckSettings holds a custom profile's fragment against the discovery document.
func (a *Android) CheckSettings(p *fleet.Profile) map[string]fleet.Reason {
	const key = "android_policy"
	text := p.Values().String(key)
	if p.Type != fleet.TypeCustom || text == "" {
		return nil
	}
	var in map[string]any
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return map[string]fleet.Reason{key: why("android.custom.wrong", "detail", clip(err.Error(), 200))}
	}
	if field := customPower(in); field != "" {
		return map[string]fleet.Reason{key: why("android.custom.forbidden", "field", field)}
	}
	if wrong := checkBody("Policy", in); len(wrong) > 0 {
		return map[string]fleet.Reason{key: why("android.custom.wrong", "detail", wrong[0])}
	}
	return nil
}

// customPower is the first field of a fragment that may not come in by one; "" when there is none.
func customPower(in map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if slices.Contains(customForbidden, k) {
			return clip(k, 60)
		}
	}
	apps, _ := in["applications"].([]any)
	for _, x := range apps {
		app, _ := asObject(x)
		for _, k := range customForbiddenOfApp {
			if _, there := app[k]; there {
				return "applications." + k
			}
		}
	}
	return ""
}

// customApplies says whether a fragment may go to a device of the target's ownership.
func customApplies(v fleet.Values, t fleet.Target) (bool, fleet.Reason) {
	text := v.String("android_policy")
	if text == "" {
		return false, why("android.custom.none")
	}
	if t.Ownership != fleet.Personal {
		return true, fleet.Reason{}
	}
	var in map[string]any
	if json.Unmarshal([]byte(text), &in) != nil {
		return false, why("android.custom.none")
	}
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if !slices.Contains(customPersonal, k) {
			return false, why("android.custom.personal", "field", clip(k, 60))
		}
	}
	return true, fleet.Reason{}
}

// custom adds a fragment.
func (r *rendering) custom(p *fleet.Profile) (tree, error) {
	return customPolicy(p.Values().String("android_policy"))
}

// restrictions renders the switches that Android knows. One that is off says nothing: another profile may say it.
func (r *rendering) restrictions(p *fleet.Profile) (tree, error) {
	v := p.Values()
	t := tree{}
	if v.Bool("no_camera") {
		t["cameraAccess"] = "CAMERA_ACCESS_DISABLED"
	}
	if v.Bool("no_screenshots") {
		t["screenCaptureDisabled"] = true
	}
	if v.Bool("no_account_changes") {
		t["modifyAccountsDisabled"] = true
	}
	if v.Bool("no_app_removal") {
		t["uninstallAppsDisabled"] = true
	}
	if v.Bool("no_erase") && !r.workProfile() {
		t["factoryResetDisabled"] = true
	}
	return t, nil
}
