package android

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// appApplies says whether an app is one for Android, and what of its configuration the mode does not allow: Knox Service Plugin turns a whole
// configuration away that holds the block of the other mode.
func appApplies(v fleet.Values, t fleet.Target) (bool, fleet.Reason) {
	if v.String("kind") != fleet.AppPlay {
		return false, why("android.not-applicable.app-kind")
	}
	if v.String("package") == appKnox {
		whole, profile := "doPolicies", "poPolicies"
		if t.Mode == fleet.ModeWorkProfile || t.Mode == fleet.ModeCompanyWorkProfile {
			whole, profile = profile, whole
		}
		if strings.Contains(v.String("configuration"), `"`+profile+`"`) {
			return false, why("android.not-applicable.knox-block", "block", profile, "wanted", whole)
		}
	}
	return true, fleet.Reason{}
}

// app renders an app of the Play store. Which apps are wanted no longer need not be said: with playStoreMode WHITELIST Google takes them off.
func (r *rendering) app(p *fleet.Profile) (tree, error) {
	v := p.Values()
	one := map[string]any{
		"installType":    map[string]string{"required": "FORCE_INSTALLED", "set-up": "REQUIRED_FOR_SETUP", "available": "AVAILABLE", "blocked": "BLOCKED"}[v.String("install")],
		"autoUpdateMode": map[string]string{"default": "AUTO_UPDATE_DEFAULT", "soon": "AUTO_UPDATE_HIGH_PRIORITY", "late": "AUTO_UPDATE_POSTPONED"}[v.String("auto_update")],
	}
	if s := v.String("permissions"); s != "ask" {
		one["defaultPermissionPolicy"] = map[string]string{"grant": "GRANT", "deny": "DENY"}[s]
	}
	if list := r.permissions(v); len(list) > 0 {
		one["permissionGrants"] = list
	}
	if s := v.String("configuration"); s != "" {
		var config map[string]any
		if err := json.Unmarshal([]byte(s), &config); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		filled, err := r.fillIn(config)
		if err != nil {
			return nil, err
		}
		one["managedConfiguration"] = filled
	}
	return tree{"applications": map[string]any{v.String("package"): one}}, nil
}

// fullyManagedGrants are permissions that since Android 12 can be granted on fully managed devices only (PermissionGrant); anywhere else the person is asked.
var fullyManagedGrants = []string{"READ_SMS", "ACCESS_FINE_LOCATION", "ACCESS_BACKGROUND_LOCATION", "ACCESS_COARSE_LOCATION", "CAMERA", "RECORD_AUDIO", "ACTIVITY_RECOGNITION", "BODY_SENSORS",
	"SMS", "LOCATION", "MICROPHONE", "SENSORS"} // the last are groups

// mayGrant says whether a device with a work profile can be told to grant a permission.
func mayGrant(permission string) bool {
	return !slices.Contains(fullyManagedGrants, permission[strings.LastIndexByte(permission, '.')+1:])
}

// permissions are the single permissions of an app. With a work profile, a grant that Android would not follow is a question to the person.
func (r *rendering) permissions(v fleet.Values) []any {
	var out []any
	grants, _ := fleet.PermissionGrants(v)
	for _, g := range grants {
		rule := map[string]string{"ask": "PROMPT", "grant": "GRANT", "deny": "DENY"}[g.Rule]
		if rule == "GRANT" && r.workProfile() && !mayGrant(g.Permission) {
			rule = "PROMPT"
		}
		out = append(out, map[string]any{"permission": g.Permission, "policy": rule})
	}
	return out
}

// fillIn puts the person's attributes into the texts of a configuration: into the texts, so that no name can break its form.
func (r *rendering) fillIn(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return fleet.FillText(v, r.person)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			var err error
			if out[i], err = r.fillIn(x); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			var err error
			if out[k], err = r.fillIn(x); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
