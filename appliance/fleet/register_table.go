package fleet

// Switches of the settings, for optional facts of personal devices. SwitchLostMode is no setting: it counts only while a device is in
// lost mode, and whoever orders that mode adds it.
const (
	SwitchPhoneNumber = "phone-number"
	SwitchCarrier     = "carrier"
	SwitchMAC         = "mac"
	SwitchManagedApps = "managed-apps"
	SwitchDeviceQuery = "device-query" // of corporate PCs (D8)
	SwitchNetworkUse  = "network-use"  // of corporate Androids (D10)
	SwitchLostMode    = "lost-mode"
)

// Facts that devices report. Apple names in brackets are keys of DeviceInformation, SecurityInfo or a check-in.
const (
	FactHardwareID        FactKey = "hardware-id"   // UDID; of a PC its DeviceID
	FactEnterpriseID      FactKey = "enterprise-id" // EnrollmentID: what user enrolment gives instead of UDID and serial
	FactSerial            FactKey = "serial"        // SerialNumber
	FactModel             FactKey = "model"         // Model, ModelNumber
	FactModelName         FactKey = "model-name"    // ModelName
	FactProduct           FactKey = "product"       // ProductName, the device type: "iPhone17,3"
	FactManufacturer      FactKey = "manufacturer"
	FactDeviceName        FactKey = "device-name"          // DeviceName
	FactHostName          FactKey = "host-name"            // HostName, LocalHostName
	FactOS                FactKey = "os"                   // which system it is
	FactOSVersion         FactKey = "os-version"           // OSVersion
	FactBuild             FactKey = "build"                // BuildVersion
	FactSupplementalBuild FactKey = "supplemental-build"   // SupplementalBuildVersion
	FactSupplementalOS    FactKey = "supplemental-version" // SupplementalOSVersionExtra
	FactKernel            FactKey = "kernel"
	FactBaseband          FactKey = "baseband" // ModemFirmwareVersion
	FactLanguage          FactKey = "language"
	FactStorageTotal      FactKey = "storage-total"     // DeviceCapacity, bytes
	FactStorageFree       FactKey = "storage-free"      // AvailableDeviceCapacity, bytes
	FactPhoneNumber       FactKey = "phone-number"      // PhoneNumber
	FactCarrier           FactKey = "carrier"           // CurrentCarrierNetwork, SubscriberCarrierNetwork
	FactWiFiMAC           FactKey = "wifi-mac"          // WiFiMAC
	FactEthernetMAC       FactKey = "ethernet-mac"      // EthernetMAC
	FactBluetoothMAC      FactKey = "bluetooth-mac"     // BluetoothMAC
	FactIP                FactKey = "ip"                // source address of the last contact
	FactIMEI              FactKey = "imei"              // IMEI, of all SIMs
	FactMEID              FactKey = "meid"              // MEID
	FactICCID             FactKey = "iccid"             // ICCID, of all SIMs
	FactEASID             FactKey = "eas-id"            // EASDeviceIdentifier
	FactAppleAccount      FactKey = "apple-account"     // whether one is signed in
	FactUserName          FactKey = "user-name"         // UserShortName, UserLongName of a managed Mac user
	FactLastContact       FactKey = "last-check-in"     // when it last called
	FactEnrolmentState    FactKey = "enrolment-state"   // where its life under management stands
	FactCompliance        FactKey = "compliance-state"  // whether it meets what is asked of it
	FactPush              FactKey = "push-address"      // Token, PushMagic: how it is woken
	FactSupervised        FactKey = "supervised"        // IsSupervised
	FactAwaiting          FactKey = "awaiting-config"   // AwaitingConfiguration
	FactActivationLock    FactKey = "activation-lock"   // IsActivationLockEnabled
	FactPasscodePresent   FactKey = "passcode-present"  // PasscodePresent
	FactPasscodeCompliant FactKey = "passcode-meets"    // PasscodeCompliant, PasscodeCompliantWithProfiles
	FactEncrypted         FactKey = "encrypted"         // HardwareEncryptionCaps, FDE_Enabled
	FactFirewall          FactKey = "firewall"          // FirewallSettings
	FactIntegrity         FactKey = "system-integrity"  // SystemIntegrityProtectionEnabled
	FactUnlockToken       FactKey = "unlock-token"      // UnlockToken, sealed
	FactBootstrapToken    FactKey = "bootstrap-token"   // BootstrapToken, sealed
	FactRecoveryKey       FactKey = "recovery-key"      // FileVault recovery key, sealed
	FactProfiles          FactKey = "profiles"          // all configuration profiles
	FactManagedProfiles   FactKey = "managed-profiles"  // those that Muster delivered
	FactCertificates      FactKey = "certificates"      // all certificates that the system tells of
	FactManagedCerts      FactKey = "managed-certs"     // those that Muster delivered
	FactApps              FactKey = "apps"              // InstalledApplicationList
	FactManagedApps       FactKey = "managed-apps"      // id, name, version of managed apps; never size or path
	FactLocation          FactKey = "location"          // only in lost mode
	FactReports           FactKey = "delivery-reports"  // the device's own words about a delivery or an order
	FactTimeline          FactKey = "device-timeline"   // what happened to the device, with evidence
	FactReplies           FactKey = "query-replies"     // answers to questions of administrators (D8)
	FactReceipts          FactKey = "removal-receipts"  // proof of a removal
	FactEdition           FactKey = "edition"           // of Windows: Home lacks some of what Pro has
	FactDeviceTags        FactKey = "device-tags"       // given by administrators
	FactOwnership         FactKey = "device-ownership"  // as the invitation said
	FactIdentity          FactKey = "device-identities" // certificates issued for the device
	FactSecurityPatch     FactKey = "security-patch"    // of Android: date of its security updates
	FactNetworkUse        FactKey = "network-use"       // of Android: how often which app spoke to the network; never to whom
	FactPosture           FactKey = "security-posture"  // of Android: whether Google takes the system to be genuine
)

var (
	apples     = []Platform{IOS, IPadOS, MacOS}
	mobiles    = []Platform{IOS, IPadOS}
	macs       = []Platform{MacOS}
	computers  = []Platform{MacOS, Windows}
	phones     = []Platform{IOS, IPadOS, Android}
	handed     = []Platform{IOS, IPadOS, MacOS, Android}
	callers    = []Platform{IOS, IPadOS, MacOS, Windows} // that call us themselves; Android is spoken to through Google
	everyKind  = []Platform{IOS, IPadOS, MacOS, Windows, Android}
	everyone   = []Ownership{Personal, Corporate}
	corporates = []Ownership{Corporate}
	personals  = []Ownership{Personal}
)

// register is D1: what may be stored, of whom, and why. Word keys: "fact.<key>" names a fact, "why.<reason>" says what it is for.
var register = []FactDeclaration{
	// Which device it is.
	{Key: FactHardwareID, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.identify"},
	{Key: FactEnterpriseID, Category: CategoryDevice, Platforms: handed, Ownership: everyone, Kind: "text", Why: "why.identify"},
	{Key: FactSerial, Category: CategoryHardware, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.identify"},
	{Key: FactModel, Category: CategoryHardware, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.recognise"},
	{Key: FactModelName, Category: CategoryHardware, Platforms: apples, Ownership: everyone, Kind: "text", Why: "why.recognise"},
	{Key: FactProduct, Category: CategoryHardware, Required: true, Platforms: apples, Ownership: everyone, Kind: "text", Why: "why.fit"},
	{Key: FactManufacturer, Category: CategoryHardware, Platforms: everyKind, Ownership: corporates, Kind: "text", Why: "why.recognise"},
	{Key: FactDeviceName, Category: CategoryDevice, Platforms: callers, Ownership: corporates, Kind: "text", Why: "why.recognise"},
	{Key: FactHostName, Category: CategoryDevice, Platforms: macs, Ownership: corporates, Kind: "text", Why: "why.recognise"},
	{Key: FactOwnership, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.limits"},

	// Its system.
	{Key: FactOS, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.fit"},
	{Key: FactOSVersion, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.fit"},
	{Key: FactBuild, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.fit"},
	{Key: FactEdition, Category: CategoryDevice, Platforms: []Platform{Windows}, Ownership: corporates, Kind: "text", Why: "why.fit"},
	{Key: FactSupplementalBuild, Category: CategoryDevice, Platforms: apples, Ownership: everyone, Kind: "text", Why: "why.security"},
	{Key: FactSupplementalOS, Category: CategoryDevice, Platforms: apples, Ownership: everyone, Kind: "text", Why: "why.security"},
	{Key: FactKernel, Category: CategoryDevice, Platforms: []Platform{Android, Windows}, Ownership: everyone, Kind: "text", Why: "why.security"},
	{Key: FactBaseband, Category: CategoryHardware, Platforms: phones, Ownership: everyone, Kind: "text", Why: "why.security"},
	{Key: FactSecurityPatch, Category: CategoryDevice, Platforms: []Platform{Android}, Ownership: everyone, Kind: "text", Why: "why.security"},
	{Key: FactLanguage, Category: CategoryDevice, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.language"},
	{Key: FactStorageTotal, Category: CategoryHardware, Platforms: everyKind, Ownership: corporates, Kind: "bytes", Why: "why.storage"},
	{Key: FactStorageFree, Category: CategoryHardware, Platforms: everyKind, Ownership: corporates, Kind: "bytes", Why: "why.storage"},

	// How it is reached.
	{Key: FactPhoneNumber, Category: CategoryDevice, Platforms: phones, Ownership: everyone, Switch: SwitchPhoneNumber, SwitchFor: personals, Kind: "text", Why: "why.reach"},
	{Key: FactCarrier, Category: CategoryHardware, Platforms: phones, Ownership: everyone, Switch: SwitchCarrier, SwitchFor: personals, Kind: "text", Why: "why.contracts"},
	{Key: FactWiFiMAC, Category: CategoryHardware, Platforms: everyKind, Ownership: everyone, Switch: SwitchMAC, SwitchFor: personals, Kind: "text", Why: "why.network"},
	{Key: FactEthernetMAC, Category: CategoryHardware, Platforms: macs, Ownership: everyone, Switch: SwitchMAC, SwitchFor: personals, Kind: "text", Why: "why.network"},
	{Key: FactBluetoothMAC, Category: CategoryHardware, Platforms: apples, Ownership: corporates, Kind: "text", Why: "why.network"},
	{Key: FactIP, Category: CategoryDevice, Platforms: callers, Ownership: corporates, Kind: "text", Why: "why.network"},
	{Key: FactIMEI, Category: CategoryHardware, Platforms: phones, Ownership: corporates, Kind: "list", Why: "why.contracts"},
	{Key: FactMEID, Category: CategoryHardware, Platforms: phones, Ownership: corporates, Kind: "text", Why: "why.contracts"},
	{Key: FactICCID, Category: CategoryHardware, Platforms: phones, Ownership: corporates, Kind: "list", Why: "why.contracts"},
	{Key: FactPush, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.wake"},
	{Key: FactLocation, Category: CategoryDevice, Platforms: phones, Ownership: corporates, Switch: SwitchLostMode, Kind: "text", Why: "why.lost"},

	// Its accounts.
	{Key: FactEASID, Category: CategoryDevice, Platforms: mobiles, Ownership: corporates, Kind: "text", Why: "why.mail-access"},
	{Key: FactAppleAccount, Category: CategoryUser, Platforms: apples, Ownership: corporates, Kind: "bool", Why: "why.apps"},
	{Key: FactUserName, Category: CategoryUser, Platforms: macs, Ownership: corporates, Kind: "text", Why: "why.user-settings"},

	// How management stands.
	{Key: FactLastContact, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "time", Why: "why.contact"},
	{Key: FactEnrolmentState, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.manage"},
	{Key: FactCompliance, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "text", Why: "why.manage"},
	{Key: FactSupervised, Category: CategoryDevice, Platforms: apples, Ownership: corporates, Kind: "bool", Why: "why.fit"},
	{Key: FactAwaiting, Category: CategoryDevice, Platforms: apples, Ownership: corporates, Kind: "bool", Why: "why.manage"},
	{Key: FactActivationLock, Category: CategoryDevice, Platforms: apples, Ownership: corporates, Kind: "bool", Why: "why.hand-on"},
	{Key: FactPasscodePresent, Category: CategoryAccess, Platforms: handed, Ownership: everyone, Kind: "bool", Why: "why.passcode"},
	{Key: FactPasscodeCompliant, Category: CategoryAccess, Platforms: handed, Ownership: everyone, Kind: "bool", Why: "why.passcode"},
	{Key: FactEncrypted, Category: CategoryAccess, Platforms: everyKind, Ownership: corporates, Kind: "bool", Why: "why.security"},
	{Key: FactPosture, Category: CategoryAccess, Platforms: []Platform{Android}, Ownership: everyone, Kind: "text", Why: "why.security"},
	{Key: FactFirewall, Category: CategoryAccess, Platforms: computers, Ownership: corporates, Kind: "bool", Why: "why.security"},
	{Key: FactIntegrity, Category: CategoryAccess, Platforms: macs, Ownership: corporates, Kind: "bool", Why: "why.security"},
	{Key: FactUnlockToken, Category: CategoryAccess, Platforms: mobiles, Ownership: corporates, Kind: "text", Why: "why.unlock"},
	{Key: FactBootstrapToken, Category: CategoryAccess, Platforms: macs, Ownership: corporates, Kind: "text", Why: "why.unlock"},
	{Key: FactRecoveryKey, Category: CategoryAccess, Platforms: macs, Ownership: corporates, Kind: "text", Why: "why.unlock"},
	{Key: FactIdentity, Category: CategoryAccess, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.identity"},
	{Key: FactReports, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.manage"},
	{Key: FactTimeline, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.proof"},
	{Key: FactReplies, Category: CategoryDevice, Platforms: []Platform{Windows}, Ownership: corporates, Switch: SwitchDeviceQuery, Kind: "list", Why: "why.query"},
	{Key: FactReceipts, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.proof"},
	{Key: FactDeviceTags, Category: CategoryAdminMade, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.scope"},

	// What is on it.
	{Key: FactProfiles, Category: CategoryDevice, Platforms: apples, Ownership: corporates, Kind: "list", Why: "why.delivered"},
	{Key: FactManagedProfiles, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.delivered"},
	{Key: FactCertificates, Category: CategoryDevice, Platforms: apples, Ownership: corporates, Kind: "list", Why: "why.delivered"},
	{Key: FactManagedCerts, Category: CategoryDevice, Required: true, Platforms: everyKind, Ownership: everyone, Kind: "list", Why: "why.delivered"},
	{Key: FactApps, Category: CategoryApps, Platforms: handed, Ownership: corporates, Kind: "list", Why: "why.apps"},
	{Key: FactManagedApps, Category: CategoryManaged, Platforms: handed, Ownership: everyone, Switch: SwitchManagedApps, SwitchFor: personals, Kind: "list", Why: "why.apps"},
	{Key: FactNetworkUse, Category: CategoryApps, Platforms: []Platform{Android}, Ownership: corporates, Switch: SwitchNetworkUse, Accepted: true, Kind: "list", Why: "why.network-use"},

	// About people.
	{Key: "person.name", Category: CategoryUser, Required: true, Kind: "text", Why: "why.person"},
	{Key: "person.mail", Category: CategoryUser, Kind: "text", Why: "why.person-mail"},
	{Key: "person.upn", Category: CategoryUser, Kind: "text", Why: "why.person-mail"},
	{Key: "person.language", Category: CategoryUser, Kind: "text", Why: "why.language"},
	{Key: "person.groups", Category: CategoryAdminMade, Kind: "list", Why: "why.assign"},
	{Key: "person.tags", Category: CategoryAdminMade, Kind: "list", Why: "why.scope"},
	{Key: "person.invitations", Category: CategoryAdminMade, Kind: "list", Why: "why.enrol"},
	{Key: "person.acceptances", Category: CategoryAudit, Required: true, Kind: "list", Why: "why.acceptance"},

	// About administrators.
	{Key: "admin.name", Category: CategoryAdmin, Required: true, Kind: "text", Why: "why.admin"},
	{Key: "admin.mail", Category: CategoryAdmin, Required: true, Kind: "text", Why: "why.admin"},
	{Key: "admin.role", Category: CategoryAdmin, Required: true, Kind: "text", Why: "why.rights"},
	{Key: "admin.tags", Category: CategoryAdmin, Kind: "list", Why: "why.scope"},
	{Key: "admin.language", Category: CategoryAdmin, Kind: "text", Why: "why.language"},
	{Key: "admin.theme", Category: CategoryAdmin, Kind: "text", Why: "why.language"},
	{Key: "admin.password", Category: CategoryAccess, Required: true, Kind: "text", Why: "why.sign-in"},
	{Key: "admin.totp", Category: CategoryAccess, Required: true, Kind: "text", Why: "why.sign-in"},
	{Key: "admin.recovery", Category: CategoryAccess, Kind: "list", Why: "why.sign-in"},
	{Key: "admin.last-sign-in", Category: CategoryAdmin, Required: true, Kind: "time", Why: "why.attacks"},
	{Key: "admin.tokens", Category: CategoryAccess, Kind: "list", Why: "why.rights"},
	{Key: "session.from", Category: CategoryAccess, Required: true, Kind: "text", Why: "why.attacks"},
	{Key: "session.user-agent", Category: CategoryAccess, Required: true, Kind: "text", Why: "why.attacks"},
	{Key: "session.times", Category: CategoryAccess, Required: true, Kind: "time", Why: "why.attacks"},
	{Key: "sign-in.failures", Category: CategoryAccess, Required: true, Kind: "list", Why: "why.attacks"},

	// The log, and what administrators make.
	{Key: "audit.actor", Category: CategoryAudit, Required: true, Kind: "text", Why: "why.audit"},
	{Key: "audit.from", Category: CategoryAudit, Required: true, Kind: "text", Why: "why.audit"},
	{Key: "audit.change", Category: CategoryAudit, Required: true, Kind: "list", Why: "why.audit"},
	{Key: "groups", Category: CategoryAdminMade, Kind: "list", Why: "why.assign"},
	{Key: "profile-settings", Category: CategoryAdminMade, Kind: "list", Why: "why.assign"},
	{Key: "terms", Category: CategoryAdminMade, Required: true, Kind: "text", Why: "why.acceptance"},
	{Key: "organisation", Category: CategoryTenant, Required: true, Kind: "text", Why: "why.organisation"},
	{Key: "push-certificate", Category: CategoryTenant, Kind: "text", Why: "why.wake"},
	{Key: "windows-push", Category: CategoryTenant, Kind: "text", Why: "why.wake"},
}

// registerIndex finds a declaration by its key; two of one name would be a mistake in the table.
var registerIndex = func() map[FactKey]int {
	m := make(map[FactKey]int, len(register))
	for i, d := range register {
		if _, twice := m[d.Key]; twice {
			panic("fleet: fact declared twice: " + string(d.Key))
		}
		m[d.Key] = i
	}
	return m
}()
