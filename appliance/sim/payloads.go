package sim

import (
	"strings"
	"sync"
)

// keySpec is what a device expects of one key: its property-list type and whether it must be there.
type keySpec struct {
	types    string // one letter each: s string, b boolean, i integer, r real, d data, a array, D dictionary, t date
	required bool
}

// payloadSpec is what a device knows about one payload type.
type payloadSpec struct {
	keys      map[string]keySpec
	ios, mac  bool
	userOnly  bool // macOS: user channel only
	identity  bool // yields an identity (certificate and private key)
	authority bool // carries a certificate without a key
	account   bool
}

// spec reads the shorthand "Key:type" or "Key:type!" (required), separated by blanks.
// A dot stands for the blank in a key's name.
func spec(s string) map[string]keySpec {
	out := map[string]keySpec{}
	for f := range strings.FieldsSeq(s) {
		name, t, _ := strings.Cut(f, ":")
		out[strings.ReplaceAll(name, ".", " ")] = keySpec{types: strings.TrimSuffix(t, "!"), required: strings.HasSuffix(t, "!")}
	}
	return out
}

// commonKeys are the keys of every payload (Apple's CommonPayloadKeys).
func commonKeys() map[string]keySpec {
	return spec("PayloadType:s! PayloadVersion:i! PayloadIdentifier:s! PayloadUUID:s! PayloadDisplayName:s PayloadDescription:s PayloadOrganization:s")
}

// topKeys are the keys of a profile (Apple's TopLevel).
func topKeys() map[string]keySpec {
	return spec(`PayloadType:s! PayloadVersion:i! PayloadIdentifier:s! PayloadUUID:s! PayloadContent:a!
		PayloadDisplayName:s PayloadDescription:s PayloadOrganization:s PayloadScope:s PayloadRemovalDisallowed:b
		HasRemovalPasscode:b RemovalDate:t DurationUntilRemoval:ri PayloadExpirationDate:t TargetDeviceType:i ConsentText:D`)
}

// scepKeys are the keys of the dictionary inside a SCEP payload.
func scepKeys() map[string]keySpec {
	return spec(`URL:s! Name:s Subject:a Challenge:s Keysize:i Key.Type:s Key.Usage:i CAFingerprint:d Retries:i RetryDelay:i
		SubjectAltName:D KeyIsExtractable:b AllowAllAppsAccess:b`)
}

// payloadSpecs lists the payload types that the devices know; it is read only. A type
// outside it is ignored silently, as Apple's devices do with what they never heard of.
var payloadSpecs = sync.OnceValue(listPayloadSpecs)

func listPayloadSpecs() map[string]payloadSpec {
	certificate := spec("PayloadCertificateFileName:s PayloadContent:d!")
	return map[string]payloadSpec{
		"com.apple.mdm": {ios: true, mac: true, keys: spec(`IdentityCertificateUUID:s! Topic:s! ServerURL:s! CheckInURL:s SignMessage:b
			AccessRights:i UseDevelopmentAPNS:b AssignedManagedAppleID:s EnrollmentMode:s ServerURLPinningCertificateUUIDs:a
			CheckInURLPinningCertificateUUIDs:a PinningRevocationCheckRequired:b ServerCapabilities:a CheckOutWhenRemoved:b
			RequiredAppIDForMDM:i PromptUserToAllowBootstrapTokenForAuthentication:b`)},
		"com.apple.security.scep":   {ios: true, mac: true, identity: true, keys: spec("PayloadContent:D!")},
		"com.apple.security.pkcs12": {ios: true, mac: true, identity: true, keys: spec("PayloadCertificateFileName:s PayloadContent:d! Password:s AllowAllAppsAccess:b KeyIsExtractable:b")},
		"com.apple.security.root":   {ios: true, mac: true, authority: true, keys: certificate},
		"com.apple.security.pkcs1":  {ios: true, mac: true, authority: true, keys: certificate},
		"com.apple.security.pem":    {ios: true, mac: true, authority: true, keys: certificate},
		"com.apple.eas.account": {ios: true, account: true, keys: spec(`EmailAddress:s! Host:s SSL:b OAuth:b UserName:s! Password:s Certificate:d
			CertificateName:s CertificatePassword:s PreventMove:b PreventAppSheet:b PayloadCertificateUUID:s SMIMEEnabled:b
			SMIMESigningEnabled:b SMIMESigningCertificateUUID:s SMIMEEncryptionEnabled:b SMIMEEncryptionCertificateUUID:s
			SMIMEEnablePerMessageSwitch:b disableMailRecentsSyncing:b MailNumberOfPastDaysToSync:i HeaderMagic:s
			CommunicationServiceRules:D allowMailDrop:b SMIMESigningUserOverrideable:b SMIMESigningCertificateUUIDUserOverrideable:b
			SMIMEEncryptByDefault:b SMIMEEncryptByDefaultUserOverrideable:b SMIMEEncryptionCertificateUUIDUserOverrideable:b
			SMIMEEnableEncryptionPerMessageSwitch:b EnableMail:b EnableContacts:b EnableCalendars:b EnableReminders:b EnableNotes:b
			EnableMailUserOverridable:b EnableContactsUserOverridable:b EnableCalendarsUserOverridable:b
			EnableRemindersUserOverridable:b EnableNotesUserOverridable:b OAuthSignInURL:s OAuthTokenRequestURL:s
			OverridePreviousPassword:b VPNUUID:s`)},
		"com.apple.mail.managed": {ios: true, mac: true, userOnly: true, account: true, keys: spec(`EmailAccountDescription:s EmailAccountName:s
			EmailAccountType:s! EmailAddress:s! IncomingMailServerAuthentication:s! IncomingMailServerHostName:s!
			IncomingMailServerPortNumber:i IncomingMailServerUseSSL:b IncomingMailServerUsername:s IncomingPassword:s
			OutgoingPassword:s OutgoingPasswordSameAsIncomingPassword:b OutgoingMailServerAuthentication:s!
			OutgoingMailServerHostName:s! OutgoingMailServerPortNumber:i OutgoingMailServerUseSSL:b OutgoingMailServerUsername:s
			PreventMove:b PreventAppSheet:b SMIMEEnabled:b SMIMESigningEnabled:b SMIMESigningCertificateUUID:s
			SMIMEEncryptionEnabled:b SMIMEEncryptionCertificateUUID:s SMIMEEnablePerMessageSwitch:b disableMailRecentsSyncing:b
			allowMailDrop:b IncomingMailServerIMAPPathPrefix:s SMIMESigningUserOverrideable:b
			SMIMESigningCertificateUUIDUserOverrideable:b SMIMEEncryptByDefault:b SMIMEEncryptByDefaultUserOverrideable:b
			SMIMEEncryptionCertificateUUIDUserOverrideable:b SMIMEEnableEncryptionPerMessageSwitch:b VPNUUID:s`)},
		"com.apple.ews.account": {mac: true, userOnly: true, account: true, keys: spec(`EmailAddress:s! Host:s SSL:b OAuth:b OAuthSignInURL:s UserName:s!
			Password:s PayloadCertificateUUID:s AuthenticationCertificateUUID:s allowMailDrop:b Path:s Port:i ExternalHost:s
			ExternalSSL:b ExternalPath:s ExternalPort:i`)},
		"com.apple.mobiledevice.passwordpolicy": {ios: true, mac: true, keys: spec(`allowSimple:b forcePIN:b maxFailedAttempts:i maxInactivity:i
			maxPINAgeInDays:i minComplexChars:i minLength:i requireAlphanumeric:b pinHistory:i maxGracePeriod:i
			minutesUntilFailedLoginReset:i changeAtNextAuth:b customRegex:D`)},
		"com.apple.wifi.managed": {ios: true, mac: true, keys: spec(`SSID_STR:s HIDDEN_NETWORK:b AutoJoin:b CaptiveBypass:b EncryptionType:s Password:s
			ProxyType:s PayloadCertificateUUID:s EAPClientConfiguration:D DisableAssociationMACRandomization:b IsHotspot:b`)},
		"com.apple.vpn.managed":       {ios: true, mac: true, keys: spec("UserDefinedName:s! VPNType:s! VPNSubType:s IKEv2:D")},
		"com.apple.applicationaccess": {ios: true, mac: true},
		"com.apple.webClip.managed":   {ios: true, mac: true, userOnly: true, keys: spec("URL:s! Label:s! Icon:d IsRemovable:b FullScreen:b Precomposed:b IgnoreManifestScope:b")},
	}
}

// references lists the keys that name another payload of the same profile by its
// PayloadUUID, and whether that payload must be an identity.
func references() map[string]bool {
	return map[string]bool{
		"IdentityCertificateUUID": true, "PayloadCertificateUUID": true, "AuthenticationCertificateUUID": true,
		"SMIMESigningCertificateUUID": true, "SMIMEEncryptionCertificateUUID": true,
		"PayloadCertificateAnchorUUID": false, "ServerURLPinningCertificateUUIDs": false, "CheckInURLPinningCertificateUUIDs": false,
	}
}
