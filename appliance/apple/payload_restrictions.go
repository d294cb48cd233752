package apple

import "muster/appliance/fleet"

const roleRestrictions = "restrictions"

// restriction is one switch of a restrictions profile: Apple's key (com.apple.applicationaccess), and what it is set to when the switch is on. A
// key that is absent restricts nothing; of several profiles the strictest counts.
type restriction struct {
	field, key string
	value      bool
}

var restrictions = []restriction{
	{"no_managed_to_personal", "allowOpenFromManagedToUnmanaged", false},
	{"no_personal_to_managed", "allowOpenFromUnmanagedToManaged", false},
	{"managed_clipboard", "requireManagedPasteboard", true}, // iOS 15
	{"airdrop_unmanaged", "forceAirDropUnmanaged", true},
	{"no_managed_cloud", "allowManagedAppsCloudSync", false},
	{"no_camera", "allowCamera", false},
	{"no_screenshots", "allowScreenShot", false},
	{"no_siri", "allowAssistant", false}, // macOS 14
	{"no_handoff", "allowActivityContinuation", false},
	{"no_airdrop", "allowAirDrop", false},
	{"no_siri_locked", "allowAssistantWhileLocked", false},
	{"no_control_center_locked", "allowLockScreenControlCenter", false},
	{"no_notifications_locked", "allowLockScreenNotificationsView", false},
	{"no_wallet_locked", "allowPassbookWhileLocked", false},
	{"no_cloud_backup", "allowCloudBackup", false},
	{"no_cloud_photos", "allowCloudPhotoLibrary", false},
	{"no_cloud_keychain", "allowCloudKeychainSync", false},
	{"no_cloud_documents", "allowCloudDocumentSync", false},
	{"encrypted_backup", "forceEncryptedBackup", true},
	{"no_untrusted_tls", "allowUntrustedTLSPrompt", false},
	{"no_foreign_apps", "allowEnterpriseAppTrust", false},
	{"fraud_warning", "safariForceFraudWarning", true},
	{"no_diagnostics", "allowDiagnosticSubmission", false},
	{"no_erase", "allowEraseContentAndSettings", false},
	{"no_account_changes", "allowAccountModification", false},
	{"no_app_install", "allowAppInstallation", false},
	{"no_app_removal", "allowAppRemoval", false},
	{"no_profile_install", "allowUIConfigurationProfileInstallation", false},
	{"no_vpn_creation", "allowVPNCreation", false},
}

// restrict renders the switches that are on and that the platform knows.
func (r *rendering) restrict(p *fleet.Profile) ([]any, error) {
	out := headOf(r.head("com.apple.applicationaccess", p, roleRestrictions))
	for key, value := range restrictionKeys(r.settings[p.ID], r.platform) {
		out[key] = value
	}
	return []any{out}, nil
}

// restrictionKeys are Apple's keys for the switches of a profile that a platform knows.
func restrictionKeys(v fleet.Values, pl fleet.Platform) map[string]bool {
	out := map[string]bool{}
	for _, x := range restrictions {
		if v.Bool(x.field) && restrictionFields[x.field].Honours(pl) {
			out[x.key] = x.value
		}
	}
	return out
}

// restrictionFields are the declared switches, which say what knows them.
var restrictionFields = func() map[string]fleet.Field {
	out := map[string]fleet.Field{}
	for _, d := range fleet.ProfileTypes() {
		if d.Type != fleet.TypeRestrictions {
			continue
		}
		for _, f := range d.Fields {
			out[f.Key] = f
		}
	}
	return out
}()

// restrictionsApply says whether anything in a restrictions profile counts on a target, and why not. A personal phone is not supervised: whoever
// prepares phones that way owns them.
func restrictionsApply(v fleet.Values, t fleet.Target) (bool, fleet.Reason) {
	known, obeyed := false, false
	for _, x := range restrictions {
		f := restrictionFields[x.field]
		if !v.Bool(x.field) || !f.Honours(t.Platform) {
			continue
		}
		known = true
		obeyed = obeyed || !f.Supervised || t.Platform == fleet.MacOS || t.Ownership == fleet.Corporate
	}
	switch {
	case !known:
		return false, fleet.Why("apple.not-applicable.restrictions", "platform", string(t.Platform))
	case !obeyed:
		return false, fleet.Why("apple.not-applicable.supervised", "platform", string(t.Platform))
	}
	return true, fleet.Reason{}
}

// headOf is a header as a dictionary, for payloads whose keys are not those of one struct.
func headOf(h header) dict {
	return dict{"PayloadType": h.PayloadType, "PayloadVersion": h.PayloadVersion, "PayloadIdentifier": h.PayloadIdentifier, "PayloadUUID": h.PayloadUUID,
		"PayloadDisplayName": h.PayloadDisplayName}
}
