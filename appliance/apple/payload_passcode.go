package apple

import "muster/appliance/fleet"

const rolePasscode = "passcode"

// passcodePayload is what a passcode must be like (com.apple.mobiledevice.passwordpolicy). nil leaves a rule out.
type passcodePayload struct {
	header
	ForcePIN                     bool  `plist:"forcePIN"`
	AllowSimple                  *bool `plist:"allowSimple,omitempty"`
	MinLength                    *int  `plist:"minLength,omitempty"`
	RequireAlphanumeric          *bool `plist:"requireAlphanumeric,omitempty"`
	MinComplexChars              *int  `plist:"minComplexChars,omitempty"`
	MaxPINAgeInDays              *int  `plist:"maxPINAgeInDays,omitempty"`
	PINHistory                   *int  `plist:"pinHistory,omitempty"`
	MaxInactivity                *int  `plist:"maxInactivity,omitempty"`
	MaxGracePeriod               *int  `plist:"maxGracePeriod,omitempty"`
	MaxFailedAttempts            *int  `plist:"maxFailedAttempts,omitempty"`
	MinutesUntilFailedLoginReset *int  `plist:"minutesUntilFailedLoginReset,omitempty"` // macOS 10.10
	ChangeAtNextAuth             *bool `plist:"changeAtNextAuth,omitempty"`             // macOS 10.13
}

// maxAutoLock is the longest time to the lock, in minutes, that iPhones and iPads take; a Mac takes 60.
const maxAutoLock = 15

// passcode renders a passcode profile. Zero means "no rule" for everything but the time between locking and asking again.
func (r *rendering) passcode(p *fleet.Profile) ([]any, error) {
	v := r.settings[p.ID]
	mac := r.platform == fleet.MacOS
	out := passcodePayload{
		header:        r.head("com.apple.mobiledevice.passwordpolicy", p, rolePasscode),
		ForcePIN:      v.Bool("require"),
		MaxInactivity: unlessZero(v.Int("auto_lock")),
	}
	if !mac && out.MaxInactivity != nil {
		*out.MaxInactivity = min(*out.MaxInactivity, maxAutoLock)
	}
	if v.Has("grace") {
		out.MaxGracePeriod = ref(v.Int("grace"))
	}
	if !out.ForcePIN {
		return []any{out}, nil
	}
	out.AllowSimple = ref(v.Bool("simple_allowed"))
	out.RequireAlphanumeric = ref(v.Bool("alphanumeric"))
	out.MinLength = unlessZero(v.Int("min_length"))
	out.MinComplexChars = unlessZero(v.Int("complex_chars"))
	out.MaxPINAgeInDays = unlessZero(v.Int("max_age"))
	out.PINHistory = unlessZero(v.Int("history"))
	out.MaxFailedAttempts = unlessZero(v.Int("max_failed"))
	if mac {
		out.MinutesUntilFailedLoginReset = unlessZero(v.Int("failed_reset"))
		if v.Bool("change_at_next_sign_in") {
			out.ChangeAtNextAuth = ref(true)
		}
	}
	return []any{out}, nil
}

func unlessZero(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}
