package fleet

// planReasonCodes are the codes that the planner, actions, receipts, wakes and the timeline say, with the names of their arguments. An
// argument "reason" or "waiting" holds another code.
func planReasonCodes() map[string][]string {
	return map[string][]string{
		// What a step waits for.
		"waiting.contact":      {"platform", "steps"}, // the device's call; it was pushed, or is about to be
		"waiting.reach":        {"platform"},          // it never could be reached
		"waiting.push-dead":    {"platform"},          // its push address is dead
		"waiting.answer":       {"steps"},             // handed over
		"waiting.read-back":    nil,                   // acknowledged, the device is asked whether it is so
		"waiting.unlock":       {"steps"},             // "not now"
		"waiting.retry":        {"reason", "steps"},
		"waiting.taken":        {"steps"}, // a service holds it for the device
		"waiting.person-login": nil,
		"waiting.unit":         {"profile"}, // travels with a profile that was refused
		"waiting.identity-use": nil,         // renewed, the new identity has not been used yet
		"fault.malformed":      nil,
		"fault.no-list":        nil,
		"push.none":            nil, // this platform's devices call by themselves

		"profile.confirmed":    nil,
		"profile.taken-unread": nil, // acknowledged, and it cannot be read
		"profile.removed":      nil,
		"profile.not-found":    nil, // acknowledged, and not in the device's own list
		"profile.still-there":  nil,
		"profile.in-no-unit":   nil,

		"well":               nil,
		"standing.enrolling": nil,
		"standing.retiring":  {"waiting"},
		"standing.wiping":    {"waiting"},
		"standing.retired":   nil,
		"standing.wiped":     nil,
		"standing.left":      nil,
		"standing.closed":    nil,
		"standing.profile":   {"profile", "status", "reason"},

		"action.invalid":      nil,
		"action.unknown-type": {"action"},
		"action.no-removal":   {"action"},
		"action.option":       {"option"},
		"action.pin":          nil,
		"action.confirm":      {"name"},
		"action.open":         {"action"},
		"action.leaving":      {"state"},
		"action.ended":        {"state"},
		"action.deleted":      nil,
		"action.not-reached":  nil,
		"action.too-late":     {"state"},
		"action.no-apps":      nil,
		"action.app":          nil,
		"action.done":         nil,
		"action.nothing-left": nil,
		"action.unknown":      nil,
		"wipe.unknown":        nil,
		"wipe.not-done":       nil,
		codeWipeDoubt:         nil,
		"action.expired":      nil,
		"action.cancelled":    {"by"},
		"action.overtaken":    {"by"},
		"action.door-closed":  nil,

		"receipt.nothing-there":   nil,
		"receipt.waiting":         nil,
		"receipt.refused":         nil,
		"receipt.revoked-only":    nil,
		"receipt.with-management": nil,
		"receipt.with-wipe":       nil,

		"device.invalid":      nil,
		"device.personal":     nil,
		"device.stolen":       {"name"},
		"device.state":        {"state", "event"},
		"device.serial-twice": {"serial", "other", "name"},

		"enrol.message":        nil,
		"enrol.ended":          nil,
		"enrol.revoked":        nil,
		"enrol.other-hardware": nil,

		"event.enrol":             {"platform"},
		"event.re-enrol":          {"platform"},
		"event.enrol-again":       nil,
		"event.reached":           {"channel"},
		"event.state":             {"from", "to", "cause"},
		"event.identity-renewed":  {"until"},
		"event.renewal-failed":    nil,
		"event.profile-delivered": {"profile"},
		"event.profile-confirmed": {"profile"},
		"event.profile-failed":    {"profile"},
		"event.profile-blocked":   {"profile"},
		"event.profile-vanished":  {"profile"},
		"event.profile-removed":   {"profile"},
		"event.profile-gone":      {"profile"},
		"event.frame-confirmed":   nil,
		"event.frame-failed":      nil,
		"event.frame-gone":        nil,
		"event.removal-failed":    {"profile"},
		"event.unenrol-failed":    nil,
		"query.off":               nil,
		"query.node":              nil,
		"query.too-many":          {"most"},
		"query.not-kept":          nil,
		"event.action-ordered":    {"action"},
		"event.action-sent":       {"action"},
		"event.action-done":       {"action"},
		"event.action-failed":     {"action"},
		"event.action-unknown":    {"action"},
		"event.action-expired":    {"action"},
		"event.action-cancelled":  {"action"},
		"event.action-overtaken":  {"action"},
		"event.receipt":           {"receipt", "outcome"},
		"event.push-lost":         nil,
		"event.serial-twice":      {"serial", "other"},
		"event.wipe-not-erased":   nil,
		"event.stolen-enrolment":  nil,
	}
}

// ReasonCodes are all codes that the domain says, with the names of their arguments. Platform packages add their own.
func ReasonCodes() map[string][]string {
	out := map[string][]string{}
	for _, list := range []map[string][]string{orgReasonCodes(), profileReasonCodes(), planReasonCodes(), warningCodes(), jobReasonCodes(), backupReasonCodes(), googleReasonCodes(), androidReasonCodes()} {
		for code, args := range list {
			out[code] = args
		}
	}
	return out
}
