package apple

// Reasons why no enrolment profile can be made.
const (
	codeNoPush    = "apple.no-push-certificate"
	codeNoAddress = "apple.no-https-address"
)

// ReasonCodes lists every code that this package can say, with the names of its arguments: the catalogue of words must have them all.
func ReasonCodes() map[string][]string {
	out := map[string][]string{
		codeNotNow: nil, codeRender: nil, codeNoUnlockToken: nil, codeNoEnrolment: nil, codeNoPush: nil, codeNoAddress: nil,
		codeError: {"domain", "number"}, codeFormat: {"domain", "number"},

		codePushAccepted: nil, codePushAddress: nil, codePushNoCert: nil, codePushExpired: {"date"}, codePushRefused: nil, codePushTopic: nil,
		codePushTokenDead: nil, codePushFault: nil, codePushBusy: nil, codePushUnreachable: nil,

		"apple.sync": nil, "apple.lock.phone": nil, "apple.lock.mac": nil, codeNoPasscode: nil,
		"apple.clear-passcode": nil, "apple.clear-passcode.mac": nil, "apple.clear-passcode.personal": nil,
		"apple.restart": nil, "apple.restart.unsupervised": nil, "apple.retire": nil, "apple.delete": nil,
		"apple.wipe.phone": nil, "apple.wipe.mac": nil, "apple.wipe.personal": nil,

		"apple.not-applicable.platform": {"platform"}, "apple.not-applicable.mode": {"mode"}, "apple.not-applicable.type": {"type"},
		"apple.not-applicable.restrictions": {"platform"}, "apple.not-applicable.supervised": {"platform"}, "apple.not-applicable.no-payload": {"platform"},
		"apple.not-applicable.payload": {"type", "platform"}, "apple.not-applicable.custom-personal": {"type"},

		"apple.custom.unreadable": {"detail"}, "apple.custom.no-payload": nil, "apple.custom.type": {"type"}, "apple.custom.channel": {"type"},
		"apple.custom.management": {"type"}, "apple.custom.identity": {"type"}, "apple.custom.own-type": {"type"},
		"apple.custom.secret": {"type", "key"},
		"apple.custom.key":    {"type", "key"}, "apple.custom.missing": {"type", "key"}, "apple.custom.kind": {"type", "key", "detail"},
		"apple.custom.value": {"type", "key", "detail"},
	}
	for _, code := range errorCodes {
		out[code] = []string{"domain", "number"}
	}
	for _, r := range removalTable {
		out[r.phone], out[r.mac] = nil, nil
	}
	out[erased] = nil
	return out
}
