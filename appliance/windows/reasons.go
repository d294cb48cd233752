package windows

// Reasons that this package says.
const (
	codeTooOld        = "windows.too-old"
	codeNoAddress     = "windows.no-https-address"
	codeNoSignIn      = "windows.no-sign-in"
	codeSignIn        = "windows.sign-in"
	codeForeignToken  = "windows.foreign-token"
	codeOtherPlatform = "windows.other-platform"
	codeRequest       = "windows.request"
	codeNoCertificate = "windows.no-certificate"
	codeLeaving       = "windows.leaving"
	codeTwins         = "windows.device-id-twice"
	codeInternal      = "windows.internal"
	codeRender        = "windows.cannot-render"
	codeNotSignedIn   = "windows.not-signed-in"
	codeNoAnswer      = "windows.no-answer"
	codeOther         = "windows.differs"
	codeSCEPFailed    = "windows.certificate-failed"
	codeSCEPPending   = "windows.certificate-pending"
	codeError         = "windows.error"
)

// statusCodes says what a SyncML status means for people.
var statusCodes = map[int]string{
	400: "windows.status.malformed",
	403: "windows.status.forbidden",
	404: "windows.status.not-there",
	405: "windows.status.not-on-edition",
	406: "windows.status.not-on-edition",
	415: "windows.status.format",
	418: "windows.status.exists",
	425: "windows.status.denied",
	500: "windows.status.failed",
	507: "windows.status.atomic",
}

// ReasonCodes lists every code that this package can say, with the names of its arguments: the catalogue of words must have them all.
func ReasonCodes() map[string][]string {
	out := map[string][]string{
		codeTooOld: nil, codeNoAddress: nil, codeNoSignIn: nil, codeSignIn: nil, codeForeignToken: nil, codeOtherPlatform: nil, codeRequest: nil,
		codeNoCertificate: nil, codeLeaving: nil, codeTwins: {"name"}, codeInternal: nil, codeRender: nil, codeNotSignedIn: nil, codeNoAnswer: nil,
		codePushPolls: nil, codePushAccepted: nil, codePushAddress: nil, codePushSecret: nil, codePushDead: nil, codePushDropped: nil, codePushOther: nil,
		codePushBusy: nil, codePushFault: nil, codePushNetwork: nil,

		codeOther: nil, codeSCEPFailed: nil, codeSCEPPending: nil, codeError: nil,

		"windows.sync": nil, "windows.lock.none": nil, "windows.clear-passcode.none": nil, "windows.restart": nil, "windows.restart.home": nil,
		"windows.restart.old": nil, "windows.retire": nil, "windows.wipe": nil, "windows.wipe.personal": nil, "windows.delete": nil,
		"windows.expiry": {"days"}, "windows.query": nil, "windows.query.personal": nil,

		"windows.not-applicable.platform": {"platform"}, "windows.not-applicable.type": {"type"}, "windows.not-applicable.failed-attempts": nil,
		"windows.not-applicable.mail-certificate": nil, "windows.not-applicable.mail-sign-in": nil, "windows.not-applicable.mail-host": {"host"},
		"windows.not-applicable.app-kind": nil, "windows.not-applicable.wifi-proxy": {"proxy"}, "windows.pfx-failed": nil, "windows.keeps.encryption": nil, "windows.keeps.password": nil, "windows.keeps.app": nil, "windows.keeps.app-data": nil, "windows.keeps.custom": {"nodes"},
		"windows.keeps.custom-default": nil, "windows.keeps.custom-unread": {"nodes"}, "windows.vpn-drops": nil,
		"windows.not-applicable.vpn-secret": nil, "windows.not-applicable.restrictions": nil, "windows.not-applicable.custom-empty": nil,
		"windows.not-applicable.custom-personal": {"node"},
		"windows.custom.form":                    {"line"}, "windows.custom.forbidden": {"line", "node"}, "windows.custom.no-node": {"line", "node"}, "windows.custom.other-type": {"line", "node", "type"},
		"windows.custom.verb": {"line", "node"}, "windows.custom.format": {"line", "node", "format"}, "windows.custom.value": {"line", "node", "values"},
		"windows.custom.twice": {"line", "node"}, "windows.custom.secret": {"line", "node"}, "windows.custom.too-many": {"line", "most"}, "windows.custom.too-old": {"node", "build"},
		"windows.msi.failed": nil, "windows.msi.download": nil, "windows.msi.too-long": nil,
	}
	for _, codes := range []map[string]string{msiSteps, msiErrors} {
		for _, code := range codes {
			out[code] = nil
		}
	}
	for _, code := range statusCodes {
		out[code] = nil
	}
	for _, r := range removalTable {
		out[r.outcome] = nil
	}
	out[erased] = nil
	return out
}
