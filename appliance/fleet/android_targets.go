package fleet

// androidTypes are where types can go among Android devices.
var androidTypes = map[ProfileType][]Target{
	TypeEmail:        androids(ModeWorkProfile, ModeCompanyWorkProfile, ModeFullyManaged), // a kiosk has no person
	TypeTrustedRoot:  androids(),
	TypeIdentity:     androids(ModeWorkProfile, ModeCompanyWorkProfile, ModeFullyManaged), // for a person
	TypePasscode:     androids(),
	TypeWiFi:         androids(),
	TypeApp:          androids(),
	TypeWebLink:      androids(ModeWorkProfile, ModeCompanyWorkProfile, ModeFullyManaged), // a kiosk shows its own app
	TypeWorkSharing:  androids(ModeWorkProfile, ModeCompanyWorkProfile),
	TypePersonalUse:  androids(ModeCompanyWorkProfile),
	TypeKiosk:        androids(ModeKiosk),
	TypeCustom:       androids(),
	TypeRestrictions: androids(),
}
