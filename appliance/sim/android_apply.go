package sim

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// androidSpace is what management has made of a phone: of its work profile, or of the whole.
type androidSpace struct {
	password string // the lock that rules look at
	policy   dict   // in force
	name     string // of the policy
	version  int64
	apps     map[string]AndroidApp
	play     map[string]playApp
	pending  map[string]int // reports until an app is installed
	roots    []*x509.Certificate
	ids      map[string]*identity // by alias
	wifi     []string
	bad      []dict // nonComplianceDetails
	since    map[string]time.Time
	blocked  bool
	disabled string
	isOff    bool
	lost     bool
}

// AndroidApp is an app in the managed space.
type AndroidApp struct {
	Title, Version string
	System         bool
	Config         map[string]any // managed configuration; nil: none
	Feedback       []AndroidFeedback
}

// AndroidFeedback is one keyed app state that an app reports.
type AndroidFeedback struct{ Key, Severity, Message string }

// reset empties the managed space for a mode; a blank mode is no management.
func (s *androidSpace) reset(mode AndroidMode) {
	*s = androidSpace{password: s.password, apps: map[string]AndroidApp{}, pending: map[string]int{}, ids: map[string]*identity{}, since: map[string]time.Time{}}
}

// wrong notes that a setting is not met.
func (s *androidSpace) wrong(setting, path, pkg, reason string, more dict) {
	v := dict{"settingName": setting, "nonComplianceReason": reason}
	if path != "" {
		v["fieldPath"] = path
	}
	if pkg != "" {
		v["packageName"] = pkg
	}
	maps.Copy(v, more)
	s.bad = append(s.bad, v)
}

// companyOnly are settings that a work profile on a personal phone ignores (settings' descriptions in the discovery document).
var companyOnly = []string{"personalUsagePolicies", "systemUpdate", "factoryResetDisabled", "frpAdminEmails", "microphoneAccess", "adjustVolumeDisabled", "networkResetDisabled", "usageLog"}

// ownerOnly are settings that only a phone without a work profile has.
var ownerOnly = []string{"keyguardDisabled", "statusBarDisabled", "kioskCustomization", "kioskCustomLauncherEnabled", "safeBootDisabled", "addUserDisabled", "createWindowsDisabled"}

// profileOnly are settings that only a work profile has.
var profileOnly = []string{"crossProfilePolicies"}

// set reports whether a setting says something else than its default.
func set(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != "" && !strings.HasSuffix(v, "_UNSPECIFIED")
	case []any:
		return len(v) > 0
	}
	return true
}

// apply makes the phone what the policy says, as far as it can. d.mu is held.
func (d *Android) apply(o phoneOrders) {
	s, p := &d.work, o.policy
	s.policy, s.name, s.version, s.bad = p, o.name, o.version, nil
	s.isOff, s.disabled = o.disabled, o.reason
	for _, name := range companyOnly {
		if set(p[name]) && !d.mode.company() {
			s.wrong(name, "", "", "MANAGEMENT_MODE", nil)
		}
	}
	for _, name := range ownerOnly {
		if set(p[name]) && d.mode.profile() {
			s.wrong(name, "", "", "MANAGEMENT_MODE", nil)
		}
	}
	for _, name := range profileOnly {
		if set(p[name]) && !d.mode.profile() {
			s.wrong(name, "", "", "MANAGEMENT_MODE", nil)
		}
	}
	if want := wholeNumber(p["minimumApiLevel"]); want > d.hw.api {
		s.wrong("minimumApiLevel", "", "", "API_LEVEL", nil)
	}
	d.applyPassword(listOf(p, "passwordPolicies"))
	d.applyApps(p)
	d.applyNetworks(p)
}

// applyPassword holds the lock against the rules; an obliging person sets another one when it is too weak. d.mu is held.
func (d *Android) applyPassword(rules []any) {
	s := &d.work
	for i, v := range rules {
		rule, _ := v.(dict)
		scope := str(rule, "passwordScope")
		if scope == "SCOPE_PROFILE" && !d.mode.profile() {
			s.wrong("passwordPolicies", fmt.Sprintf("passwordPolicies[%d].passwordScope", i), "", "MANAGEMENT_MODE", nil)
			continue
		}
		quality, least := d.asked(rule)
		if strong(s.password, quality, least) {
			continue
		}
		if !d.mood.RefusesPassword {
			s.password = longEnough(quality, least)
			continue
		}
		s.wrong("passwordPolicies", fmt.Sprintf("passwordPolicies[%d]", i), "", "USER_ACTION", dict{"specificNonComplianceReason": "PASSWORD_POLICIES_PASSWORD_NOT_SUFFICIENT"})
	}
}

// asked is what a rule comes to on this phone: Android 12 and later know only complexity bands for the whole phone of a person.
func (d *Android) asked(rule dict) (quality string, least int) {
	quality, least = str(rule, "passwordQuality"), wholeNumber(rule["passwordMinimumLength"])
	if d.hw.api >= 31 && d.mode.profile() && str(rule, "passwordScope") == "SCOPE_DEVICE" {
		switch quality {
		case "BIOMETRIC_WEAK", "SOMETHING":
			quality = "COMPLEXITY_LOW"
		case "NUMERIC", "NUMERIC_COMPLEX":
			quality = "COMPLEXITY_MEDIUM"
		case "ALPHABETIC", "ALPHANUMERIC", "COMPLEX":
			quality = "COMPLEXITY_HIGH"
		}
		least = 0
	}
	switch quality {
	case "COMPLEXITY_MEDIUM":
		least = 4
	case "COMPLEXITY_HIGH":
		least = 8
	case "SOMETHING", "BIOMETRIC_WEAK", "COMPLEXITY_LOW", "":
		least = min(least, 1)
	}
	return quality, least
}

// strong reports whether a password meets a quality.
func strong(p, quality string, least int) bool {
	if quality == "" || strings.HasSuffix(quality, "_UNSPECIFIED") {
		return true
	}
	var letter, digit, sign bool
	for _, r := range p {
		letter, digit, sign = letter || unicode.IsLetter(r), digit || unicode.IsDigit(r), sign || unicode.IsPunct(r) || unicode.IsSymbol(r)
	}
	if p == "" || len([]rune(p)) < least {
		return false
	}
	switch quality {
	case "ALPHABETIC":
		return letter
	case "ALPHANUMERIC":
		return letter && digit
	case "COMPLEX":
		return letter && digit && sign
	case "COMPLEXITY_MEDIUM", "COMPLEXITY_HIGH", "NUMERIC_COMPLEX":
		return !simple(p)
	}
	return true
}

// longEnough makes up a password of a quality.
func longEnough(quality string, least int) string {
	const good = "7g!4Kp#92xQ6wZ%r3TbVnM5cJdHsL8yF"
	if quality == "NUMERIC" || quality == "NUMERIC_COMPLEX" || quality == "COMPLEXITY_MEDIUM" || quality == "COMPLEXITY_LOW" {
		return strings.Repeat("4927583610", 4)[:max(least, 4)]
	}
	return strings.Repeat(good, 2)[:max(least, 8)]
}

// applyApps installs, configures and removes apps. d.mu is held.
func (d *Android) applyApps(p dict) {
	s := &d.work
	wanted := map[string]bool{}
	for i, v := range listOf(p, "applications") {
		app, _ := v.(dict)
		pkg := str(app, "packageName")
		wanted[pkg] = true
		path := fmt.Sprintf("applications[%d]", i)
		d.applyApp(path, pkg, app)
	}
	if str(p, "playStoreMode") != "BLACKLIST" {
		for pkg, a := range s.apps {
			if !wanted[pkg] && !a.System {
				delete(s.apps, pkg)
			}
		}
	}
	for pkg, a := range s.apps {
		if !wanted[pkg] && a.Config != nil {
			a.Config, a.Feedback = nil, nil
			s.apps[pkg] = a
		}
		if a.System && !wanted[pkg] && d.mode.profile() {
			delete(s.apps, pkg) // system apps are shown in a work profile only when the policy names them
		}
	}
}

func (d *Android) applyApp(path, pkg string, app dict) {
	s := &d.work
	kind := str(app, "installType")
	a, installed := s.apps[pkg]
	shop, inPlay := d.work.play[pkg]
	switch kind {
	case "BLOCKED":
		delete(s.apps, pkg)
		return
	case "FORCE_INSTALLED", "REQUIRED_FOR_SETUP", "PREINSTALLED", "KIOSK":
		switch {
		case installed:
		case !inPlay:
			s.wrong("applications", path, pkg, "APP_NOT_INSTALLED", dict{"installationFailureReason": "NOT_FOUND"})
			return
		case d.mood.FailedApps[pkg] != "":
			s.wrong("applications", path, pkg, "APP_NOT_INSTALLED", dict{"installationFailureReason": d.mood.FailedApps[pkg]})
			return
		case s.pending[pkg] < d.mood.SlowInstalls:
			s.pending[pkg]++
			s.wrong("applications", path, pkg, "PENDING", dict{"installationFailureReason": "IN_PROGRESS"})
			return
		default:
			a, installed = AndroidApp{Title: shop.title, Version: "1.0", System: shop.system}, true
		}
	default: // AVAILABLE: the person may install it; system apps are there
		if !installed && shop.system {
			a, installed = AndroidApp{Title: shop.title, Version: "1.0", System: true}, true
		}
	}
	if app["disabled"] == true {
		delete(s.apps, pkg)
		return
	}
	if !installed {
		return
	}
	a.Config, _ = app["managedConfiguration"].(dict)
	a.Feedback = nil
	if shop.reports && a.Config != nil {
		a.Feedback = feedbackOn(shop, a.Config, d.mode)
	}
	s.apps[pkg] = a
}

// InstallApp is the person installing an app from the work Play, which the policy must offer.
func (d *Android) InstallApp(pkg string) error {
	d.mu.Lock()
	shop, inPlay := d.work.play[pkg]
	offered := slices.ContainsFunc(listOf(d.work.policy, "applications"), func(v any) bool {
		app, _ := v.(dict)
		return str(app, "packageName") == pkg && str(app, "installType") != "BLOCKED"
	}) || str(d.work.policy, "playStoreMode") == "BLACKLIST"
	if !inPlay || !offered || d.in == nil {
		d.mu.Unlock()
		return &AndroidError{Text: "Your administrator has not given you access to this item."}
	}
	d.work.apps[pkg] = AndroidApp{Title: shop.title, Version: "1.0"}
	d.mu.Unlock()
	d.nudge()
	return nil
}

// feedbackOn is what an app says of its configuration: an error for each value of a wrong type or unknown key.
func feedbackOn(shop playApp, config dict, mode AndroidMode) []AndroidFeedback {
	var out []AndroidFeedback
	for _, key := range slices.Sorted(maps.Keys(config)) {
		at := slices.IndexFunc(shop.settings, func(s playSetting) bool { return s.key == key })
		switch {
		case at < 0:
			out = append(out, AndroidFeedback{key, "ERROR", "unknown setting"})
		case !fitsSetting(shop.settings[at].kind, config[key]):
			out = append(out, AndroidFeedback{key, "ERROR", "the value is not of the type " + shop.settings[at].kind})
		case key == "poPolicies" && !mode.profile(), key == "doPolicies" && mode == AndroidWorkProfile:
			out = append(out, AndroidFeedback{key, "ERROR", "the block does not belong to this mode"})
		}
	}
	if out == nil {
		out = []AndroidFeedback{{"configuration", "INFO", "applied"}}
	}
	return out
}

func fitsSetting(kind string, v any) bool {
	switch kind {
	case "BOOL":
		_, ok := v.(bool)
		return ok
	case "INTEGER":
		name, ok := apiType{kind: "int32"}.scalar(v)
		return name != "" && ok
	case "BUNDLE":
		_, ok := v.(dict)
		return ok
	case "BUNDLE_ARRAY", "MULTISELECT":
		_, ok := v.([]any)
		return ok
	}
	_, ok := v.(string)
	return ok
}

// enforce carries the policy's enforcement rules out: it blocks, and reports whether to wipe. Without a rule Google's own
// holds for some settings: block at once, wipe after ten days. d.mu is held.
func (d *Android) enforce(now time.Time) (wipe bool) {
	s := &d.work
	broken := map[string]bool{}
	for _, v := range s.bad {
		if !oneOf(str(v, "nonComplianceReason"), "PENDING", "MANAGEMENT_MODE") {
			broken[str(v, "settingName")] = true
		}
	}
	for name := range s.since {
		if !broken[name] {
			delete(s.since, name)
		}
	}
	s.blocked = false
	for name := range broken {
		if _, there := s.since[name]; !there {
			s.since[name] = now
		}
		block, erase := enforcement(s.policy, name)
		if block < 0 {
			continue
		}
		days := int(now.Sub(s.since[name]) / (24 * time.Hour))
		s.blocked = s.blocked || days >= block
		wipe = wipe || days >= erase
	}
	return wipe
}

// enforcement returns after how many days a setting that is not met blocks and wipes; -1 when it does neither.
func enforcement(p dict, name string) (block, wipe int) {
	for _, v := range listOf(p, "policyEnforcementRules") {
		rule, _ := v.(dict)
		if str(rule, "settingName") == name {
			b, _ := rule["blockAction"].(dict)
			w, _ := rule["wipeAction"].(dict)
			return wholeNumber(b["blockAfterDays"]), wholeNumber(w["wipeAfterDays"])
		}
	}
	if oneOf(name, "passwordPolicies", "passwordRequirements", "encryptionPolicy", "keyguardDisabled", "permittedInputMethods", "permittedAccessibilityServices", "minimumApiLevel") {
		return 0, 10
	}
	return -1, -1
}
