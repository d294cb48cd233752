package fleet

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// TypeApp is one app that devices get without anybody doing anything, and lose when it is no longer wanted. Its kind says where it comes from,
// and with that which platform takes it: one kind is for one platform, as a package is.
//
// "msi" is a Windows Installer package of a product (EnterpriseDesktopAppManagement). Windows fetches it from its address by itself, without
// certificate or sign-in, checks its SHA-256, and installs it for the whole PC.
//
// "play" is an app of Google's Play store, public or the organisation's own: naming its package is all that it takes. Without the profile it goes again.
func appDeclaration() Declaration {
	pc := []Platform{Windows}
	android := []Platform{Android}
	return Declaration{
		Type:     TypeApp,
		Targets:  targetsOf(TypeApp),
		NameHint: "profile.app.name-hint",
		Check:    checkApp,
		Fields: []Field{
			{Key: "kind", Kind: KindChoice, Default: AppMSI, Required: true, Options: []string{AppMSI, AppPlay}, Group: "app"},
			{Key: "product_code", Kind: KindText, Required: true, Max: 38, Platforms: pc, When: "kind=msi", Group: "app"},
			{Key: "version", Kind: KindText, Required: true, Max: 20, Platforms: pc, When: "kind=msi", Group: "app"},
			{Key: "url", Kind: KindURL, Required: true, Max: 1000, Platforms: pc, When: "kind=msi", Group: "package"},
			{Key: "sha256", Kind: KindText, Required: true, Min: 64, Max: 64, Platforms: pc, When: "kind=msi", Group: "package"},
			{Key: "arguments", Kind: KindText, Default: "/quiet /norestart", Max: 500, Platforms: pc, When: "kind=msi", Group: "install", Advanced: true},
			{Key: "timeout", Kind: KindNumber, Default: 30, Min: 1, Max: 1440, Platforms: pc, When: "kind=msi", Group: "install", Advanced: true},       // minutes
			{Key: "retries", Kind: KindNumber, Default: 3, Min: 0, Max: 10, Platforms: pc, When: "kind=msi", Group: "install", Advanced: true},          // after the first try
			{Key: "retry_interval", Kind: KindNumber, Default: 5, Min: 1, Max: 1440, Platforms: pc, When: "kind=msi", Group: "install", Advanced: true}, // minutes
			{Key: "package", Kind: KindText, Required: true, Max: 200, Platforms: android, When: "kind=play", Group: "app"},
			{Key: "install", Kind: KindChoice, Default: "required", Required: true, Options: []string{"required", "set-up", "available", "blocked"}, Platforms: android, When: "kind=play", Group: "install"},
			{Key: "auto_update", Kind: KindChoice, Default: "default", Required: true, Options: []string{"default", "soon", "late"}, Platforms: android, When: "kind=play", Group: "install", Advanced: true},
			{Key: "permissions", Kind: KindChoice, Default: "ask", Required: true, Options: []string{"ask", "grant", "deny"}, Platforms: android, When: "kind=play", Group: "install", Advanced: true},
			// Single permissions, a line each: "android.permission.CAMERA deny". They count more than the rule above.
			{Key: "permission_grants", Kind: KindDocument, Max: 10_000, Platforms: android, When: "kind=play", Group: "install", Advanced: true},
			// What the app itself is told: the keys are its maker's (managed configuration).
			{Key: "configuration", Kind: KindJSON, Max: 60000, Template: true, Platforms: android, When: "kind=play", Group: "configuration"},
			// Windows itself leaves installed programs when management ends (C3): listed here, it goes before that.
			{Key: "remove_at_retire", Kind: KindBool, Default: true, Platforms: pc, When: "kind=msi", Group: "removal"},
		},
	}
}

// Kinds of apps.
const (
	AppMSI  = "msi"
	AppPlay = "play"
)

var (
	productCode    = regexp.MustCompile(`^(\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$`)
	permissionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_-]*)+$`)
	hexText        = regexp.MustCompile(`^[0-9A-Fa-f]*$`)
)

func checkApp(v Values) map[string]Reason {
	bad := map[string]Reason{}
	if s := v.String("package"); v.String("kind") == AppPlay && s != "" && !isPackage(s) {
		bad["package"] = Why("app.package")
	}
	if _, line := PermissionGrants(v); line != "" {
		bad["permission_grants"] = Why("app.permission-line", "line", clip(line, 100))
	}
	if v.String("kind") != AppMSI {
		return bad
	}
	if s := v.String("product_code"); s != "" && !productCode.MatchString(s) {
		bad["product_code"] = Why("app.product-code")
	}
	if s := v.String("version"); s != "" && !isProductVersion(s) {
		bad["version"] = Why("app.version")
	}
	if !hexText.MatchString(v.String("sha256")) {
		bad["sha256"] = Why("app.sha256")
	}
	return bad
}

// PermissionGrant is what an administrator rules of one permission of an app.
type PermissionGrant struct {
	Permission string // such as android.permission.CAMERA, or a group of them: android.permission-group.CALENDAR
	Rule       string // "ask", "grant", "deny"
}

// PermissionGrants reads the lines of an app's permissions; bad is the first line that says nothing, or of a permission that had its line.
func PermissionGrants(v Values) (out []PermissionGrant, bad string) {
	seen := map[string]bool{}
	for line := range strings.Lines(v.String("permission_grants")) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 || !permissionName.MatchString(words[0]) || !slices.Contains([]string{"ask", "grant", "deny"}, words[1]) || seen[words[0]] {
			return nil, strings.TrimSpace(line)
		}
		seen[words[0]] = true
		out = append(out, PermissionGrant{words[0], words[1]})
	}
	return out, ""
}

// isProductVersion holds what Windows Installer says of ProductVersion: major.minor.build within 255.255.65535; a fourth number is allowed and not
// looked at.
func isProductVersion(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || i < 2 && n > 255 {
			return false
		}
	}
	return true
}

// staysAtRetire says whether what a profile delivered is left on the device when management ends: nothing is, unless the profile says so.
func staysAtRetire(p *Profile) bool {
	return p.Type == TypeApp && p.Values().String("kind") == AppMSI && !p.Values().Bool("remove_at_retire")
}

// appKey tells apart apps of which a device can have only one.
func appKey(v Values) string {
	if v.String("kind") == AppPlay {
		return "app\x00play\x00" + v.String("package")
	}
	if v.String("kind") == AppMSI {
		return "app\x00" + strings.ToUpper(strings.Trim(v.String("product_code"), "{}"))
	}
	return ""
}
