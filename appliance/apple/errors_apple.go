package apple

import (
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// Reason codes of this package that are not in the error table.
const (
	codeNotNow        = "apple.not-now"
	codeFormat        = "apple.command-refused"
	codeRender        = "apple.cannot-render"
	codeNoUnlockToken = "apple.no-unlock-token"
	codeNoEnrolment   = "apple.enrolment-data-lost"
	codeNoPasscode    = "apple.lock.no-passcode"
	codeError         = "apple.error"
	codeInstall       = "apple.install-failed" // the outermost of most chains
	codeAccount       = "apple.account-exists" // B8
)

// errorCodes explains Apple's error numbers (the archived protocol reference; newer systems use the same numbers under domains
// that begin with DMC or MDM). A number that is not listed is explained by its thousand, or not at all: the device's own words
// stand beside it either way.
var errorCodes = map[int64]string{
	1000: "apple.profile-invalid", 1001: "apple.profile-invalid", 1002: "apple.profile-invalid", 1003: "apple.profile-invalid",
	1004: "apple.profile-signature", 1005: "apple.profile-invalid", 1006: "apple.profile-invalid", 1007: "apple.profile-invalid",
	1008: "apple.profile-invalid", 1009: codeInstall, 1010: "apple.profile-invalid",
	2000: "apple.profile-invalid", 2001: "apple.profile-invalid", 2002: "apple.profile-invalid", 2003: "apple.profile-invalid",
	2004: "apple.profile-invalid", 2005: "apple.device-internal",
	4000: "apple.profile-invalid", 4001: codeInstall, 4002: "apple.uuid-in-use", 4004: "apple.person-refused",
	4005: "apple.passcode-needed", 4007: "apple.profile-invalid", 4008: "apple.update-differs", 4009: "apple.device-locked", 4010: "apple.update-differs",
	4011: "apple.profile-invalid", 4012: "apple.update-differs", 4013: "apple.update-differs", 4014: "apple.identity-lost",
	4015: "apple.update-differs", 4023: "apple.not-accepted-here", 4024: "apple.profile-not-there", 4025: "apple.needs-supervision", 4027: "apple.passcode-needed",
	5000: "apple.passcode-rule", 5001: "apple.passcode-rule", 5002: "apple.passcode-rule", 5003: "apple.passcode-rule",
	5004: "apple.passcode-rule", 5005: "apple.passcode-rule", 5006: "apple.passcode-rule", 5007: "apple.passcode-rule",
	5008: "apple.passcode-rule", 5010: "apple.device-locked", 5011: "apple.passcode-rule", 5013: "apple.passcode-not-cleared",
	5014: "apple.passcode-rule",
	6000: "apple.keychain", 6001: "apple.keychain", 6002: "apple.keychain",
	7000: "apple.mail-unreachable", 7001: "apple.mail-credentials", 7002: "apple.mail-server", 7003: "apple.mail-certificate",
	7004: "apple.mail-certificate", 7005: "apple.mail-server", 7006: "apple.mail-server", 7007: "apple.mail-server",
	9000: "apple.certificate-refused", 9001: "apple.certificate-refused", 9002: "apple.certificate-not-stored",
	9004: "apple.certificate-not-stored", 9005: "apple.certificate-refused", 9006: "apple.certificate-refused",
	12000: "apple.rights", 12001: "apple.other-management", 12002: "apple.cannot-check-in", 12004: "apple.push-trouble",
	12005: "apple.identity-lost", 12006: "apple.redirect", 12007: "apple.rights", 12008: "apple.command-refused",
	12009: "apple.update-differs", 12010: "apple.device-internal", 12011: "apple.profile-invalid", 12012: "apple.update-differs",
	12013: "apple.profile-not-ours", 12014: "apple.profile-not-ours", 12015: "apple.push-trouble", 12016: "apple.identity-lost",
	12017: "apple.unlock-token", 12018: "apple.unlock-token", 12019: "apple.unlock-token", 12021: "apple.command-unknown",
	12022: "apple.push-trouble", 12049: "apple.passcode-needed", 12063: "apple.person-refused", 12075: "apple.profile-not-there",
	12076: "apple.no-user-channel",
	18000: "apple.mail-server", 18001: "apple.mail-unreachable", 18002: "apple.mail-credentials",
	21000: "apple.mail-policy", 21001: "apple.mail-policy", 21002: "apple.mail-encryption", 21003: "apple.mail-unreachable",
	21004: "apple.mail-not-created", 21005: codeAccount, 21006: "apple.mail-certificate", 21007: "apple.mail-not-verified",
	21009: "apple.mail-no-service",
	22000: "apple.identity-refused", 22001: "apple.identity-refused", 22002: "apple.identity-refused", 22003: "apple.identity-refused",
	22004: "apple.identity-refused", 22005: "apple.identity-unreachable", 22006: "apple.identity-refused", 22007: "apple.identity-refused",
	22008: "apple.identity-refused", 22009: "apple.identity-refused", 22010: "apple.identity-refused", 22011: "apple.identity-refused",
	22012: "apple.identity-refused", 22013: "apple.identity-refused",
	23000: "apple.connection", 23001: "apple.connection", 23002: "apple.connection-untrusted",
	26000: "apple.mail-encryption", 26001: "apple.mail-encryption",
	29000: "apple.needs-supervision",
}

// explain turns an error chain into a reason. Its first element is the outermost ("installation failed"), its last the cause. The cause may lie
// below what Apple's numbers are about, in the network or the keychain: then the innermost number that says more than "it failed" counts.
func explain(chain []any) fleet.Reason {
	var elements []dict
	for _, x := range chain {
		if e, ok := x.(dict); ok {
			elements = append(elements, e)
		}
	}
	slices.Reverse(elements)
	var cause dict
	for i, e := range elements {
		speaks := appleDomain(e.text("ErrorDomain")) && errorCodes[numberOf(e)] != codeInstall
		if i == 0 || speaks {
			cause = e
		}
		if speaks {
			break
		}
	}
	code := codeError
	if known, ok := errorCodes[numberOf(cause)]; ok && appleDomain(cause.text("ErrorDomain")) {
		code = known
	}
	words := ""
	for _, e := range elements { // the cause may be silent
		if words = e.text("LocalizedDescription"); words == "" {
			words = e.text("USEnglishDescription")
		}
		if words != "" {
			break
		}
	}
	r := fleet.Why(code, "domain", clip(cause.text("ErrorDomain")), "number", strconv.FormatInt(numberOf(cause), 10))
	r.DeviceWords = clip(words)
	return r
}

func numberOf(e dict) int64 {
	n, _ := e.number("ErrorCode")
	return int64(n)
}

// appleDomain says whether an error domain is one that the numbers above belong to: MC…ErrorDomain and its newer names.
func appleDomain(domain string) bool {
	if !strings.HasSuffix(domain, "ErrorDomain") && !strings.HasSuffix(domain, "Error") {
		return false
	}
	for _, prefix := range []string{"MC", "DMC", "MDM"} {
		if strings.HasPrefix(domain, prefix) {
			return true
		}
	}
	return false
}
