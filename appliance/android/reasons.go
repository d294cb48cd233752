package android

// Reasons that this package says.
const (
	codeNotSetUp    = "android.not-set-up"
	codeUnreachable = "android.google-unreachable"
	codeUnavailable = "android.google-unavailable"
	codeLimited     = "android.google-limited"
	codeKeyRefused  = "android.key-refused"
	codeAPIOff      = "android.api-off"
	codeUsage       = "android.usage-refused"
	codeForbidden   = "android.forbidden"

	codeQueued       = "android.queued"
	codeRender       = "android.cannot-render"
	codePolicy       = "android.policy-refused"
	codeCommand      = "android.command-refused"
	codeCommandError = "android.command-failed"
	codeConflict     = "android.conflict"
	codeOther        = "android.other-platform"
	codeWrongOwner   = "android.wrong-owner"
	codeRefused      = "android.enrolment-refused"
)

// commandErrors says what Command.errorCode means for people.
var commandErrors = map[string]string{
	"UNKNOWN":         "android.command.unknown",
	"API_LEVEL":       "android.command.api-level",
	"MANAGEMENT_MODE": "android.command.mode",
	"INVALID_VALUE":   "android.command.value",
	"UNSUPPORTED":     "android.command.unsupported",
}

// clearErrors says what PerAppResult.clearingResult means for people.
var clearErrors = map[string]string{
	"APP_NOT_FOUND": "android.clear-app.absent",
	"APP_PROTECTED": "android.clear-app.protected",
	"API_LEVEL":     "android.clear-app.old",
}

// ReasonCodes lists every code that this package can say, with the names of its arguments: the catalogue of words must have them all.
func ReasonCodes() map[string][]string {
	out := map[string][]string{
		codeNotSetUp: nil, codeUnreachable: nil, codeUnavailable: nil, codeLimited: nil, codeKeyRefused: nil, codeAPIOff: nil, codeUsage: nil, codeForbidden: nil,
		codeQueued: nil, codeRender: nil, codePolicy: nil, codeCommand: nil, codeCommandError: {"code"}, codeConflict: {"other", "setting"},
		codeOther: nil, codeWrongOwner: nil, codeRefused: nil,

		"android.sync": nil, "android.lock": nil, "android.lock.kiosk": nil, "android.reset-password": nil, "android.reset-password.none": nil,
		"android.clear-app": nil, "android.restart": nil, "android.restart.profile": nil, "android.retire.profile": nil, "android.retire.company": nil, "android.retire.none": nil,
		"android.wipe": nil, "android.wipe.personal": nil, "android.delete.profile": nil, "android.delete.reset": nil, "android.delete.company": nil,

		"android.not-applicable.type": {"type"}, "android.not-applicable.imap": nil, "android.not-applicable.gmail-oauth": nil,
		"android.not-applicable.nine-sign-in": nil, "android.not-applicable.outlook-certificate": nil,
		"android.custom.none": nil, "android.custom.wrong": {"detail"}, "android.custom.forbidden": {"field"}, "android.custom.personal": {"field"},
		"android.not-applicable.identity-scep": nil, "android.identity-passes-google": nil, "android.permissions-asked": {"permissions"}, "android.web-link": nil, "android.not-applicable.app-kind": nil, "android.not-applicable.knox-block": {"block", "wanted"},

		"android.check.token": nil, "android.check.api": nil, "android.check.enterprise": nil, "android.check.no-enterprise": nil, "android.check.polling": nil,
		"android.check.topic": nil, "android.check.topic-unset": nil, "android.check.topic-unseen": nil, "android.check.topic-closed": nil,
		"android.check.web-apps": nil, "android.check.web-apps-left": {"titles"}, "android.do.web-apps": nil, "android.check.quota": nil, "android.check.quota-used": nil, "android.check.usage": nil,
		"android.do.connect": nil, "android.do.sign-up": nil, "android.do.network": nil, "android.do.key": nil, "android.do.api": nil, "android.do.role": nil,
		"android.do.topic": nil, "android.do.quota": nil, "android.do.usage": nil, "android.do.wait": nil,

		"android.expiry.profile": {"days"}, "android.expiry.reset": {"days"}, "android.expiry.late": {"days"},

		"android.gap.personal": nil, "android.gap.personal-12": nil, "android.gap.mode": nil, "android.gap.company": nil,
	}
	for _, code := range clearErrors {
		out[code] = nil
	}
	for _, code := range commandErrors {
		out[code] = nil
	}
	for _, code := range complianceCodes {
		out[code] = nil
	}
	out[complianceCodes["app-error"]] = []string{"app"}
	for _, row := range removalTable {
		out[row.profile], out[row.company] = nil, nil
	}
	out[erased] = nil
	return out
}
