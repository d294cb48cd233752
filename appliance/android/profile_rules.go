package android

import (
	"strings"

	"muster/appliance/fleet"
)

// workSharing renders what may pass between the work profile and the personal side.
func (r *rendering) workSharing(p *fleet.Profile) (tree, error) {
	v := p.Values()
	pick := func(key, yes, no string) string {
		if v.Bool(key) {
			return yes
		}
		return no
	}
	t := tree{
		"crossProfilePolicies": map[string]any{
			"crossProfileCopyPaste":             pick("copy_paste", "CROSS_PROFILE_COPY_PASTE_ALLOWED", "COPY_FROM_WORK_TO_PERSONAL_DISALLOWED"),
			"crossProfileDataSharing":           map[string]string{"none": "CROSS_PROFILE_DATA_SHARING_DISALLOWED", "into-work": "DATA_SHARING_FROM_WORK_TO_PERSONAL_DISALLOWED", "both": "CROSS_PROFILE_DATA_SHARING_ALLOWED"}[v.String("share")],
			"showWorkContactsInPersonalProfile": map[string]string{"shown": "SHOW_WORK_CONTACTS_IN_PERSONAL_PROFILE_ALLOWED", "system-apps": "SHOW_WORK_CONTACTS_IN_PERSONAL_PROFILE_DISALLOWED_EXCEPT_SYSTEM", "hidden": "SHOW_WORK_CONTACTS_IN_PERSONAL_PROFILE_DISALLOWED"}[v.String("contacts")],
			"workProfileWidgetsDefault":         pick("widgets", "WORK_PROFILE_WIDGETS_DEFAULT_ALLOWED", "WORK_PROFILE_WIDGETS_DEFAULT_DISALLOWED"),
		},
		"screenCaptureDisabled":        !v.Bool("screenshots"),
		"deviceConnectivityManagement": map[string]any{"bluetoothSharing": pick("bluetooth", "BLUETOOTH_SHARING_ALLOWED", "BLUETOOTH_SHARING_DISALLOWED")},
		"printingPolicy":               pick("printing", "PRINTING_ALLOWED", "PRINTING_DISALLOWED"),
		"modifyAccountsDisabled":       !v.Bool("own_accounts"),
	}
	if !v.Bool("nearby") {
		t["crossDevicePolicies"] = map[string]any{"nearbyNotificationStreaming": "NEARBY_NOTIFICATION_STREAMING_DISABLED", "nearbyAppStreaming": "NEARBY_APP_STREAMING_DISABLED"}
	}
	if !v.Bool("notifications_on_lock_screen") {
		t["keyguardDisabledFeatures"] = []any{"UNREDACTED_NOTIFICATIONS"}
	}
	return t, nil
}

// personalUse renders what the organisation rules on the personal side of its own device (PersonalUsagePolicies).
func (r *rendering) personalUse(p *fleet.Profile) (tree, error) {
	v := p.Values()
	rules := map[string]any{"screenCaptureDisabled": !v.Bool("screenshots"), "cameraDisabled": !v.Bool("camera"), "maxDaysWithWorkOff": v.Int("days_off"),
		"privateSpacePolicy": "PRIVATE_SPACE_ALLOWED", "bluetoothSharing": "BLUETOOTH_SHARING_ALLOWED"}
	if !v.Bool("private_space") {
		rules["privateSpacePolicy"] = "PRIVATE_SPACE_DISALLOWED"
	}
	if !v.Bool("bluetooth") {
		rules["bluetoothSharing"] = "BLUETOOTH_SHARING_DISALLOWED"
	}
	if blocked := strings.Fields(v.String("blocked_apps")); len(blocked) > 0 {
		apps := map[string]any{}
		for _, pkg := range blocked {
			apps[pkg] = map[string]any{"installType": "BLOCKED"}
		}
		rules["personalPlayStoreMode"], rules["personalApplications"] = "BLOCKLIST", apps
	}
	return tree{"personalUsagePolicies": rules}, nil
}

// kiosk renders a device with one app in front (KioskCustomization).
func (r *rendering) kiosk(p *fleet.Profile) (tree, error) {
	v := p.Values()
	apps := map[string]any{v.String("app"): map[string]any{"installType": "REQUIRED_FOR_SETUP", "defaultPermissionPolicy": "GRANT", "roles": []any{map[string]any{"roleType": "KIOSK"}}}}
	for _, pkg := range strings.Fields(v.String("more_apps")) {
		apps[pkg] = map[string]any{"installType": "FORCE_INSTALLED"}
	}
	yes := func(key, a, b string) string {
		if v.Bool(key) {
			return a
		}
		return b
	}
	t := tree{
		"applications": apps,
		"kioskCustomization": map[string]any{
			"powerButtonActions":  yes("power_button", "POWER_BUTTON_AVAILABLE", "POWER_BUTTON_BLOCKED"),
			"systemErrorWarnings": "ERROR_AND_WARNINGS_MUTED",
			"systemNavigation":    map[string]string{"all": "NAVIGATION_ENABLED", "home": "HOME_BUTTON_ONLY", "none": "NAVIGATION_DISABLED"}[v.String("navigation")],
			"statusBar":           map[string]string{"all": "NOTIFICATIONS_AND_SYSTEM_INFO_ENABLED", "system": "SYSTEM_INFO_ONLY", "none": "NOTIFICATIONS_AND_SYSTEM_INFO_DISABLED"}[v.String("status_bar")],
			"deviceSettings":      yes("settings_app", "SETTINGS_ACCESS_ALLOWED", "SETTINGS_ACCESS_BLOCKED"),
		},
		"keyguardDisabled": !v.Bool("lock_screen"),
		"systemUpdate":     map[string]any{"type": "WINDOWED", "startMinutes": minutes(v.Int("update_from")), "endMinutes": minutes(v.Int("update_until"))},
	}
	if v.Bool("stay_on") {
		t["stayOnPluggedModes"] = []any{"AC", "USB", "WIRELESS"}
	}
	return t, nil
}
