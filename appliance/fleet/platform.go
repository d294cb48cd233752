package fleet

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
	ModeDevice Mode = "device" // Apple device enrolment, Windows enrolment
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
