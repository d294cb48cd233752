package fleet

import "strings"

// Types that exist on Android only. Each is a part of the device's one policy.
const (
	TypeWorkSharing ProfileType = "work-sharing"
	TypePersonalUse ProfileType = "personal-use"
	TypeKiosk       ProfileType = "kiosk"
)

// workSharingDeclaration is what may pass between the work profile and the personal side, and what may leave the work profile otherwise.
func workSharingDeclaration() Declaration {
	allowed := func(key, group string, preset bool) Field {
		return Field{Key: key, Kind: KindBool, Default: preset, Group: group}
	}
	return Declaration{
		Type:     TypeWorkSharing,
		Targets:  targetsOf(TypeWorkSharing),
		NameHint: "profile.work-sharing.name-hint",
		Fields: []Field{
			allowed("copy_paste", "between", false), // from work to personal; the other way is always possible
			{Key: "share", Kind: KindChoice, Default: "into-work", Required: true, Options: []string{"none", "into-work", "both"}, Group: "between"},
			{Key: "contacts", Kind: KindChoice, Default: "shown", Required: true, Options: []string{"shown", "system-apps", "hidden"}, Group: "between"},
			allowed("widgets", "between", false),
			allowed("screenshots", "out", false),
			allowed("bluetooth", "out", false),
			allowed("printing", "out", true),
			allowed("nearby", "out", false),
			allowed("notifications_on_lock_screen", "out", false), // with their content
			allowed("own_accounts", "out", true),                  // the person may add accounts in the work profile
		},
	}
}

// personalUseDeclaration is what the organisation rules on the personal side of a device of its own.
func personalUseDeclaration() Declaration {
	return Declaration{
		Type:     TypePersonalUse,
		Targets:  targetsOf(TypePersonalUse),
		NameHint: "profile.personal-use.name-hint",
		Check:    checkPersonalUse,
		Fields: []Field{
			{Key: "screenshots", Kind: KindBool, Default: true, Group: "personal"},
			{Key: "camera", Kind: KindBool, Default: true, Group: "personal"},
			{Key: "private_space", Kind: KindBool, Default: true, Group: "personal"},
			{Key: "bluetooth", Kind: KindBool, Default: true, Group: "personal"},
			// Days that work may be switched off before the personal apps are suspended; 0 = no limit.
			{Key: "days_off", Kind: KindDays, Default: 0, Min: 0, Max: 365, Group: "personal"},
			{Key: "blocked_apps", Kind: KindText, Max: 2000, Group: "apps"}, // package names, with blanks between them
		},
	}
}

func checkPersonalUse(v Values) map[string]Reason {
	bad := map[string]Reason{}
	if n := v.Int("days_off"); n == 1 || n == 2 { // Google: 0, or at least 3
		bad["days_off"] = Why("android.days-off")
	}
	for _, pkg := range strings.Fields(v.String("blocked_apps")) {
		if !isPackage(pkg) {
			bad["blocked_apps"] = Why("app.package")
		}
	}
	return bad
}

// kioskDeclaration is the one purpose of a device without a person: an app in front, and little else.
func kioskDeclaration() Declaration {
	return Declaration{
		Type:     TypeKiosk,
		Targets:  targetsOf(TypeKiosk),
		NameHint: "profile.kiosk.name-hint",
		Check:    checkKiosk,
		Fields: []Field{
			{Key: "app", Kind: KindText, Required: true, Max: 200, Group: "app"},  // package name
			{Key: "more_apps", Kind: KindText, Max: 2000, Group: "app"},           // package names that it may open
			{Key: "lock_screen", Kind: KindBool, Default: false, Group: "screen"}, //
			{Key: "stay_on", Kind: KindBool, Default: true, Group: "screen"},      // while it is charged
			{Key: "power_button", Kind: KindBool, Default: true, Group: "screen"}, //
			{Key: "status_bar", Kind: KindChoice, Default: "system", Required: true, Options: []string{"all", "system", "none"}, Group: "screen"},
			{Key: "navigation", Kind: KindChoice, Default: "home", Required: true, Options: []string{"all", "home", "none"}, Group: "screen"},
			{Key: "settings_app", Kind: KindBool, Default: false, Group: "screen"},
			// System updates are installed between these hours of the device's clock: an app in front never lets them in by itself.
			{Key: "update_from", Kind: KindHour, Default: 2, Min: 0, Max: 23, Group: "updates"},
			{Key: "update_until", Kind: KindHour, Default: 4, Min: 0, Max: 23, Group: "updates"},
		},
	}
}

func checkKiosk(v Values) map[string]Reason {
	bad := map[string]Reason{}
	if s := v.String("app"); s != "" && !isPackage(s) {
		bad["app"] = Why("app.package")
	}
	for _, pkg := range strings.Fields(v.String("more_apps")) {
		if !isPackage(pkg) || pkg == v.String("app") {
			bad["more_apps"] = Why("app.package")
		}
	}
	if v.String("status_bar") == "all" && v.String("navigation") == "none" { // notifications need the home button
		bad["navigation"] = Why("android.kiosk-home")
	}
	if v.Int("update_from") == v.Int("update_until") {
		bad["update_until"] = Why("android.update-window")
	}
	return bad
}

// isPackage says whether s can be the name of an Android package: at least two words of letters, digits and underscores, with dots between them.
func isPackage(s string) bool {
	words := strings.Split(s, ".")
	if len(words) < 2 || len(s) > 200 {
		return false
	}
	for _, w := range words {
		if w == "" || w[0] >= '0' && w[0] <= '9' || strings.Trim(strings.ToLower(w), "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return false
		}
	}
	return true
}

// androidReasonCodes are the codes said here, with the names of their arguments.
func androidReasonCodes() map[string][]string {
	return map[string][]string{
		"android.days-off": nil, "android.kiosk-home": nil, "android.update-window": nil,
	}
}
