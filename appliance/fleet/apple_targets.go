package fleet

// appleTypes are where types can go among iPhone, iPad and Mac.
var appleTypes = map[ProfileType][]Target{
	TypeEmail:        deviceTargets(IOS, IPadOS, MacOS),
	TypeTrustedRoot:  deviceTargets(IOS, IPadOS, MacOS),
	TypeIdentity:     deviceTargets(IOS, IPadOS, MacOS),
	TypePasscode:     deviceTargets(IOS, IPadOS, MacOS),
	TypeWiFi:         deviceTargets(IOS, IPadOS, MacOS),
	TypeVPN:          deviceTargets(IOS, IPadOS, MacOS),
	TypeWebLink:      deviceTargets(IOS, IPadOS, MacOS),
	TypeRestrictions: deviceTargets(IOS, IPadOS, MacOS),
	TypeCustom:       deviceTargets(IOS, IPadOS, MacOS),
}
