package android

import "muster/appliance/fleet"

// passcode renders password rules (PasswordRequirements). On a personal device a length can be asked of the work profile only: since Android 12 the
// device as a whole knows but three degrees, of which "medium" asks for four characters without a pattern.
func (r *rendering) passcode(p *fleet.Profile) (tree, error) {
	v := p.Values()
	t := tree{}
	if n := v.Int("auto_lock"); n > 0 {
		t["maximumTimeToLock"] = millis(n)
	}
	if !v.Bool("require") {
		return t, nil
	}
	rule := map[string]any{"passwordQuality": quality(v)}
	if n := v.Int("min_length"); n > 0 {
		rule["passwordMinimumLength"] = n
	}
	if n := v.Int("complex_chars"); n > 0 {
		rule["passwordMinimumSymbols"] = n
	}
	if n := v.Int("history"); n > 0 {
		rule["passwordHistoryLength"] = n
	}
	if n := v.Int("max_age"); n > 0 {
		rule["passwordExpirationTimeout"] = seconds(n * 86400)
	}
	if n := v.Int("max_failed"); n > 0 {
		rule["maximumFailedPasswordsForWipe"] = n
	}
	scopes := map[string]any{"SCOPE_DEVICE": rule}
	if r.workProfile() {
		scopes = map[string]any{"SCOPE_PROFILE": rule, "SCOPE_DEVICE": map[string]any{"passwordQuality": degree(v)}}
	}
	t["passwordPolicies"] = scopes
	return t, nil
}

// quality is what a password must be made of.
func quality(v fleet.Values) string {
	switch {
	case v.Int("complex_chars") > 0:
		return "COMPLEX"
	case v.Bool("alphanumeric"):
		return "ALPHANUMERIC"
	case v.Bool("simple_allowed"):
		return "NUMERIC"
	}
	return "NUMERIC_COMPLEX"
}

// degree is the nearest of Android's three that is not below what is asked.
func degree(v fleet.Values) string {
	switch {
	case v.Int("min_length") > 6 || v.Bool("alphanumeric") && v.Int("min_length") > 4 || v.Int("complex_chars") > 0:
		return "COMPLEXITY_HIGH"
	case v.Bool("simple_allowed") && v.Int("min_length") < 4 && !v.Bool("alphanumeric"):
		return "COMPLEXITY_LOW"
	}
	return "COMPLEXITY_MEDIUM"
}
