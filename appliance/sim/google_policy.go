package sim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unusedPolicyLife is how long Google keeps a policy that no device refers to.
const unusedPolicyLife = 7 * 24 * time.Hour

// policy is one policy and its version, which grows with each change.
type policy struct {
	name    string
	version int64
	fields  dict
	used    time.Time // when it was last changed or referred to
}

func (p *policy) view() dict {
	v := clone(p.fields)
	v["name"], v["version"] = p.name, strconv.FormatInt(p.version, 10)
	return v
}

// sweepPolicies forgets what nothing has referred to for a week. g.mu is held.
func (g *Google) sweepPolicies(e *enterprise) {
	for _, d := range e.devices {
		if p := e.policies[d.policy]; p != nil {
			p.used = g.now()
		}
	}
	for name, p := range e.policies {
		if g.now().Sub(p.used) > unusedPolicyLife {
			delete(e.policies, name)
		}
	}
}

func (g *Google) policyOf(e *enterprise, c *call) (*policy, *googleError) {
	g.sweepPolicies(e)
	name := e.name + "/policies/" + c.parts[1]
	if p := e.policies[name]; p != nil {
		return p, nil
	}
	return nil, notThere(name)
}

func (g *Google) getPolicy(e *enterprise, c *call) (dict, *googleError) {
	p, ref := g.policyOf(e, c)
	if ref != nil {
		return nil, ref
	}
	return p.view(), nil
}

func (g *Google) listPolicies(e *enterprise, c *call) (dict, *googleError) {
	g.sweepPolicies(e)
	var all []dict
	for _, name := range slices.Sorted(maps.Keys(e.policies)) {
		all = append(all, e.policies[name].view())
	}
	return pageOf(c, "policies", all, 100, 100)
}

func (g *Google) patchPolicy(e *enterprise, c *call) (dict, *googleError) {
	g.sweepPolicies(e)
	name := e.name + "/policies/" + c.parts[1]
	if n := str(c.body, "name"); n != "" && n != name {
		return nil, invalid("The name in the body is not that of the path.")
	}
	p := e.policies[name]
	old := dict{}
	if p != nil {
		old = p.fields
	}
	next, ref := masked("Policy", old, c.body, c.query.Get("updateMask"))
	if ref != nil {
		return nil, ref
	}
	return g.setPolicy(e, name, next)
}

// setPolicy stores what a policy becomes, and tells the devices that refer to it. g.mu is held.
func (g *Google) setPolicy(e *enterprise, name string, next dict) (dict, *googleError) {
	if bad := checkPolicy(next); len(bad) > 0 {
		return nil, violations(bad)
	}
	p := e.policies[name]
	if p != nil && same(p.fields, next) {
		p.used = g.now()
		if g.cond.NotModified {
			return nil, &googleError{code: http.StatusNotModified, html: " "}
		}
		return p.view(), nil
	}
	if p == nil {
		p = &policy{name: name}
		e.policies[name] = p
	}
	p.fields, p.used = clone(next), g.now()
	p.version++
	for _, d := range e.devices {
		if d.policy == name {
			d.phone.nudge()
		}
	}
	return p.view(), nil
}

func (g *Google) deletePolicy(e *enterprise, c *call) (dict, *googleError) {
	p, ref := g.policyOf(e, c)
	if ref != nil {
		return nil, ref
	}
	for _, d := range e.devices {
		if d.policy == p.name {
			return nil, refusedWith(http.StatusBadRequest, "FAILED_PRECONDITION", "The policy is in use by "+d.name+".")
		}
	}
	delete(e.policies, p.name)
	return dict{}, nil
}

func (g *Google) modifyApplications(e *enterprise, c *call) (dict, *googleError) {
	p, ref := g.policyOf(e, c)
	if ref != nil {
		return nil, ref
	}
	next := clone(p.fields)
	apps, _ := next["applications"].([]any)
	changes, _ := c.body["changes"].([]any)
	if len(changes) == 0 {
		return nil, invalid("changes must not be empty.")
	}
	for _, v := range changes {
		change, _ := v.(dict)
		app, _ := change["application"].(dict)
		at := slices.IndexFunc(apps, func(x any) bool { o, _ := x.(dict); return str(o, "packageName") == str(app, "packageName") })
		if at < 0 {
			apps = append(apps, app)
			continue
		}
		old, _ := apps[at].(dict)
		merged, ref := masked("ApplicationPolicy", old, app, str(change, "updateMask"))
		if ref != nil {
			return nil, ref
		}
		merged["packageName"] = str(app, "packageName")
		apps[at] = merged
	}
	next["applications"] = apps
	view, ref := g.setPolicy(e, p.name, next)
	return dict{"policy": view}, ref
}

func (g *Google) removeApplications(e *enterprise, c *call) (dict, *googleError) {
	p, ref := g.policyOf(e, c)
	if ref != nil {
		return nil, ref
	}
	gone := stringList(c.body, "packageNames")
	next := clone(p.fields)
	apps, _ := next["applications"].([]any)
	next["applications"] = slices.DeleteFunc(apps, func(x any) bool { o, _ := x.(dict); return slices.Contains(gone, str(o, "packageName")) })
	view, ref := g.setPolicy(e, p.name, next)
	return dict{"policy": view}, ref
}

// checkPolicy holds a policy against the rules that join several fields. Its shape has been checked.
func checkPolicy(p dict) []apiViolation {
	var bad []apiViolation
	fail := func(at, format string, args ...any) {
		bad = append(bad, apiViolation{at, fmt.Sprintf(format, args...)})
	}
	bad = append(bad, checkApplications(p)...)
	rules, _ := p["policyEnforcementRules"].([]any)
	for i, v := range rules {
		rule, _ := v.(dict)
		at := fmt.Sprintf("policy.policy_enforcement_rules[%d]", i)
		block, hasBlock := rule["blockAction"].(dict)
		wipe, hasWipe := rule["wipeAction"].(dict)
		blockAfter, wipeAfter := wholeNumber(block["blockAfterDays"]), wholeNumber(wipe["wipeAfterDays"])
		switch {
		case !hasBlock || !hasWipe:
			fail(at, "Both block_action and wipe_action are needed.")
		case blockAfter < 0 || blockAfter >= wipeAfter:
			fail(at, "block_after_days must be less than wipe_after_days.")
		}
		if _, known := googleSpec().schemas["Policy"][str(rule, "settingName")]; !known {
			fail(at+".setting_name", "%q is not a policy setting.", str(rule, "settingName"))
		}
	}
	passwords, _ := p["passwordPolicies"].([]any)
	kinds := map[string]bool{}
	for i, v := range passwords {
		rule, _ := v.(dict)
		at := fmt.Sprintf("policy.password_policies[%d]", i)
		scope := str(rule, "passwordScope")
		kind := "quality"
		if strings.HasPrefix(str(rule, "passwordQuality"), "COMPLEXITY_") {
			kind = "complexity"
		}
		if kinds[scope+kind] {
			fail(at, "There is more than one password policy of this kind for the scope.")
		}
		kinds[scope+kind] = true
		if u := str(rule, "unifiedLockSettings"); u != "" && scope != "SCOPE_PROFILE" {
			fail(at+".unified_lock_settings", "unified_lock_settings applies to SCOPE_PROFILE only.")
		}
	}
	if personal, ok := p["personalUsagePolicies"].(dict); ok {
		if n := wholeNumber(personal["maxDaysWithWorkOff"]); n != 0 && n < 3 {
			fail("policy.personal_usage_policies.max_days_with_work_off", "It must be 0 or at least 3.")
		}
	}
	cross, _ := p["crossProfilePolicies"].(dict)
	if str(cross, "crossProfileAppFunctions") == "CROSS_PROFILE_APP_FUNCTIONS_ALLOWED" && str(p, "appFunctions") == "APP_FUNCTIONS_DISALLOWED" {
		fail("policy.cross_profile_policies.cross_profile_app_functions", "It cannot be allowed while app_functions are disallowed.")
	}
	for _, name := range []string{"shortSupportMessage", "longSupportMessage", "deviceOwnerLockScreenInfo"} {
		m, _ := p[name].(dict)
		if ref := checkMessage("policy."+snake(name), m, 4096); ref != nil {
			fail("policy."+snake(name), "%s", ref.message)
		}
	}
	return bad
}

// checkApplications holds a policy's list of apps against its rules.
func checkApplications(p dict) []apiViolation {
	var bad []apiViolation
	fail := func(at, format string, args ...any) {
		bad = append(bad, apiViolation{at, fmt.Sprintf(format, args...)})
	}
	apps, _ := p["applications"].([]any)
	if len(apps) > 3000 {
		fail("policy.applications", "There are more than 3000 applications.")
	}
	names, roles, setup := map[string]bool{}, map[string]bool{}, 0
	selects := false
	for i, v := range apps {
		app, _ := v.(dict)
		at := fmt.Sprintf("policy.applications[%d]", i)
		name := str(app, "packageName")
		switch {
		case name == "":
			fail(at+".package_name", "package_name is needed.")
		case names[name]:
			fail(at+".package_name", "The package %s is listed twice.", name)
		}
		names[name] = true
		if l, _ := app["installConstraint"].([]any); len(l) > 1 {
			fail(at+".install_constraint", "There is more than one constraint.")
		}
		if t := str(app, "installType"); t == "CUSTOM" && len(listOf(app, "signingKeyCerts")) == 0 {
			fail(at+".signing_key_certs", "signing_key_certs are needed for CUSTOM.")
		}
		for _, r := range listOf(app, "roles") {
			role, _ := r.(dict)
			kind := str(role, "roleType")
			if roles[kind] {
				fail(at+".roles", "More than one app has the role %s.", kind)
			}
			roles[kind] = true
			if t := str(app, "installType"); kind == "KIOSK" && t != "REQUIRED_FOR_SETUP" && t != "CUSTOM" {
				fail(at+".install_type", "The kiosk app must be REQUIRED_FOR_SETUP or CUSTOM.")
			}
		}
		selects = selects || slices.Contains(stringList(app, "delegatedScopes"), "CERT_SELECTION")
		walkStrings(app["managedConfiguration"], func(s string) {
			if len([]rune(s)) > 65535 {
				fail(at+".managed_configuration", "A string is longer than 65535 characters.")
			}
		})
	}
	if len(listOf(p, "choosePrivateKeyRules")) > 0 && selects {
		fail("policy.choose_private_key_rules", "It must be empty when an app has CERT_SELECTION.")
	}
	for i, v := range listOf(p, "setupActions") {
		action, _ := v.(dict)
		launch, _ := action["launchApp"].(dict)
		setup++
		at := slices.IndexFunc(apps, func(x any) bool { o, _ := x.(dict); return str(o, "packageName") == str(launch, "packageName") })
		if at < 0 || str(apps[at].(dict), "installType") != "REQUIRED_FOR_SETUP" || setup > 1 {
			fail(fmt.Sprintf("policy.setup_actions[%d]", i), "At most one app may be launched in set-up, and it must be REQUIRED_FOR_SETUP.")
		}
	}
	if roles["KIOSK"] && p["kioskCustomLauncherEnabled"] == true {
		fail("policy.kiosk_custom_launcher_enabled", "It excludes an app with the kiosk role.")
	}
	return bad
}

// listOf returns a list; nil when there is none.
func listOf(v dict, key string) []any {
	l, _ := v[key].([]any)
	return l
}

// wholeNumber reads a JSON number; 0 when there is none.
func wholeNumber(v any) int {
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		return 0
	}
	return n
}

// walkStrings calls f for every string within v.
func walkStrings(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, e := range v {
			walkStrings(e, f)
		}
	case dict:
		for _, e := range v {
			walkStrings(e, f)
		}
	}
}
