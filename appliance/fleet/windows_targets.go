package fleet

// windowsTypes are where types can go among PCs.
var windowsTypes = map[ProfileType][]Target{
	TypeEmail:        deviceTargets(Windows),
	TypeTrustedRoot:  deviceTargets(Windows),
	TypeIdentity:     deviceTargets(Windows),
	TypePasscode:     deviceTargets(Windows),
	TypeApp:          deviceTargets(Windows),
	TypeWiFi:         deviceTargets(Windows),
	TypeVPN:          deviceTargets(Windows),
	TypeRestrictions: deviceTargets(Windows),
	TypeCustom:       deviceTargets(Windows),
}
