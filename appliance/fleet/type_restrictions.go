package fleet

import "slices"

// TypeRestrictions switches off what a device can do otherwise. Each switch that is on forbids, or demands, one thing; where several profiles reach
// a device, the strictest counts.
//
// A switch names the platforms that know it. What Supervised marks, iPhone and iPad obey only under supervision: others take the profile and
// leave that switch unheeded, without a word, so that we say it.
func restrictionsDeclaration() Declaration {
	phones := []Platform{IOS, IPadOS}
	apple := []Platform{IOS, IPadOS, MacOS}
	common := []Platform{IOS, IPadOS, MacOS, Android}
	pc := []Platform{Windows}
	on := func(group, key string, platforms []Platform) Field {
		return Field{Key: key, Kind: KindBool, Default: false, Platforms: platforms, Group: group}
	}
	supervised := func(group, key string, platforms []Platform) Field {
		f := on(group, key, platforms)
		f.Supervised = true
		return f
	}
	return Declaration{
		Type:     TypeRestrictions,
		Targets:  targetsOf(TypeRestrictions),
		NameHint: "profile.restrictions.name-hint",
		Check:    checkRestrictions,
		Fields: []Field{
			on("company", "no_managed_to_personal", phones),
			on("company", "no_personal_to_managed", phones),
			on("company", "managed_clipboard", phones),
			on("company", "airdrop_unmanaged", phones),
			on("company", "no_managed_cloud", phones),

			on("device", "no_camera", append(slices.Clone(apple), Windows)),
			on("device", "no_screenshots", common),
			on("device", "no_siri", apple),
			on("device", "no_handoff", apple),
			supervised("device", "no_airdrop", apple),

			on("locked", "no_siri_locked", phones),
			on("locked", "no_control_center_locked", phones),
			on("locked", "no_notifications_locked", phones),
			on("locked", "no_wallet_locked", phones),

			on("cloud", "no_cloud_backup", phones),
			on("cloud", "no_cloud_photos", apple),
			on("cloud", "no_cloud_keychain", apple),
			supervised("cloud", "no_cloud_documents", apple),

			on("security", "encrypted_backup", phones),
			on("security", "no_untrusted_tls", phones),
			on("security", "no_foreign_apps", phones),
			on("security", "fraud_warning", phones),
			on("security", "no_diagnostics", apple),

			supervised("supervised", "no_erase", common),
			supervised("supervised", "no_account_changes", common),
			supervised("supervised", "no_app_install", phones),
			supervised("supervised", "no_app_removal", []Platform{IOS, IPadOS, Android}),
			supervised("supervised", "no_profile_install", apple),
			supervised("supervised", "no_vpn_creation", phones),

			on("pc", "pc_no_bluetooth", pc),
			on("pc", "pc_no_removable_storage", pc),
			on("pc", "pc_no_location", pc),
			on("pc", "pc_no_cortana", pc),
			on("pc", "pc_no_microsoft_account", pc),
			on("pc", "pc_encryption", pc),
			on("pc", "pc_no_disconnect", pc),
			// Days by which Windows Update waits with what is new.
			{Key: "pc_defer_quality", Kind: KindDays, Default: 0, Min: 0, Max: 30, Platforms: pc, Group: "pc"},
			{Key: "pc_defer_feature", Kind: KindDays, Default: 0, Min: 0, Max: 365, Platforms: pc, Group: "pc"},
		},
	}
}

func checkRestrictions(v Values) map[string]Reason {
	for key := range v {
		if v.Bool(key) || v.Int(key) > 0 {
			return nil
		}
	}
	return map[string]Reason{"no_managed_to_personal": Why("restrictions.none")}
}
