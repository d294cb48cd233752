package fleet

// windowsTargets are where types can go among PCs.
var windowsTargets = map[ProfileType][]Target{
	TypeEmail:       deviceTargets(Windows),
	TypeTrustedRoot: deviceTargets(Windows),
	TypeIdentity:    deviceTargets(Windows),
	TypePasscode:    deviceTargets(Windows),
}
