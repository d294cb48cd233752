package fleet

import "slices"

// Platform names an operating-system family that Muster manages.
type Platform string

const (
	IOS     Platform = "ios" // iPhone
	IPadOS  Platform = "ipados"
	MacOS   Platform = "macos"
	Windows Platform = "windows"
	Android Platform = "android"
)

// Mode is the way in which a device is managed (REQUIREMENTS A).
type Mode string

const (
	ModeDevice             Mode = "device"               // Apple device enrolment, Windows enrolment
	ModeWorkProfile        Mode = "work-profile"         // Android: a work profile on a personal device (A1)
	ModeCompanyWorkProfile Mode = "company-work-profile" // Android: a work profile on a device of the organisation (A3)
	ModeFullyManaged       Mode = "fully-managed"        // Android: the whole device is for work (A2)
	ModeKiosk              Mode = "kiosk"                // Android: a device without a person, for one purpose (A4)
)

// Ownership decides what may be collected and done.
type Ownership string

const (
	Personal  Ownership = "personal"
	Corporate Ownership = "corporate"
)

// Target is what decides whether a setting, fact or action applies.
type Target struct {
	Platform  Platform
	Mode      Mode
	Ownership Ownership
}

// androidTargets are the four ways to manage Android. The ownership follows from the mode: Google decides by it what may be seen and done.
var androidTargets = []Target{
	{Android, ModeWorkProfile, Personal},
	{Android, ModeCompanyWorkProfile, Corporate},
	{Android, ModeFullyManaged, Corporate},
	{Android, ModeKiosk, Corporate},
}

// androids are Android targets of the named modes, of all when none is named.
func androids(modes ...Mode) []Target {
	var out []Target
	for _, t := range androidTargets {
		if len(modes) == 0 || slices.Contains(modes, t.Mode) {
			out = append(out, t)
		}
	}
	return out
}

// TargetsOf are the ways in which devices of a platform can be managed, in the order in which they are offered.
func TargetsOf(p Platform) []Target {
	switch p {
	case IOS, IPadOS, MacOS, Windows:
		return deviceTargets(p)
	case Android:
		return slices.Clone(androidTargets)
	}
	return nil
}

// defaultMode is what is meant where only platform and ownership are named.
func defaultMode(p Platform, o Ownership) Mode {
	switch {
	case p != Android:
		return ModeDevice
	case o == Personal:
		return ModeWorkProfile
	}
	return ModeFullyManaged
}
