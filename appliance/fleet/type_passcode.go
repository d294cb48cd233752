package fleet

// TypePasscode is what a device's passcode must be like. Bounds are those of Apple's com.apple.mobiledevice.passwordpolicy, which lie
// within those of Windows' DeviceLock policies.
func passcodeDeclaration() Declaration {
	mac := []Platform{MacOS}
	apple := []Platform{IOS, IPadOS, MacOS}
	symbols := []Platform{IOS, IPadOS, MacOS, Android}
	return Declaration{
		Type:     TypePasscode,
		Targets:  targetsOf(TypePasscode),
		NameHint: "profile.passcode.name-hint",
		Check:    checkPasscode,
		Fields: []Field{
			{Key: "require", Kind: KindBool, Default: true, Group: "passcode"},
			{Key: "min_length", Kind: KindNumber, Default: 6, Min: 0, Max: 16, When: "require=true", Group: "passcode"},
			{Key: "alphanumeric", Kind: KindBool, Default: false, When: "require=true", Group: "passcode"},
			{Key: "complex_chars", Kind: KindNumber, Default: 0, Min: 0, Max: 4, Platforms: symbols, When: "require=true", Group: "passcode"}, // neither letter nor digit
			{Key: "simple_allowed", Kind: KindBool, Default: false, When: "require=true", Group: "passcode"},                                  // 1234, aaaa
			{Key: "max_age", Kind: KindDays, Default: 0, Min: 0, Max: 730, When: "require=true", Group: "change"},                             // 0 = never
			{Key: "history", Kind: KindNumber, Default: 0, Min: 0, Max: 50, When: "require=true", Group: "change"},                            // 0 = none kept
			{Key: "change_at_next_sign_in", Kind: KindBool, Default: false, Platforms: mac, When: "require=true", Group: "change", Advanced: true},

			// Minutes; 0 = left to the person.
			{Key: "auto_lock", Kind: KindNumber, Default: 5, Min: 0, Max: 60, Group: "lock",
				Bounds: []Bound{{Platform: IOS, Max: 15}, {Platform: IPadOS, Max: 15}}},
			{Key: "grace", Kind: KindNumber, Default: 0, Min: 0, Max: 240, Platforms: apple, Group: "lock"}, // minutes after locking without a passcode
			// 0 = no limit. iPhone and iPad erase themselves after this many, a Mac locks the account, a PC asks for its recovery key.
			{Key: "max_failed", Kind: KindNumber, Default: 0, Min: 0, Max: 10, When: "require=true", Group: "lock"},
			{Key: "failed_reset", Kind: KindNumber, Default: 0, Min: 0, Max: 1440, Platforms: mac, When: "require=true", Group: "lock", Advanced: true}, // minutes
		},
	}
}

func checkPasscode(v Values) map[string]Reason {
	bad := map[string]Reason{}
	if v.Int("max_failed") == 1 {
		bad["max_failed"] = Why("passcode.one-try")
	}
	if v.Int("complex_chars") > v.Int("min_length") && v.Int("min_length") > 0 {
		bad["complex_chars"] = Why("passcode.more-than-length")
	}
	if v.Int("complex_chars") > 0 && v.Int("min_length") == 0 {
		bad["min_length"] = Why("passcode.length-needed")
	}
	if v.Int("failed_reset") > 0 && v.Int("max_failed") == 0 {
		bad["failed_reset"] = Why("passcode.needs-limit")
	}
	return bad
}
