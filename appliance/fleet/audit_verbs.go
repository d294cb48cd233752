package fleet

import "slices"

// AuditVerbs lists the verbs that entries of the audit log have, without those of actions on devices, which ActionTypes lists, first
// and then those, so that pages can offer and words can name them all.
func AuditVerbs() []string {
	out := slices.Clone(auditVerbs)
	for _, t := range ActionTypes() {
		if !slices.Contains(out, string(t)) {
			out = append(out, string(t))
		}
	}
	return out
}

var auditVerbs = []string{"create", "update", "delete", "assign", "unassign", "members", "revoke", "retry", "call-off", "reveal-pin", "read-secret",
	"accept", "enrol", "re-enrol", "refuse-enrolment", "end-enrolment", "warn", "sign-in", verbSignInFailed, "sign-out", "end-session", "export", "rehearse", "restore", "release", "adopt", "run-job", "run-rule", "allow-run", "stop-run", "renew"}

// ActionTypes lists the actions in the order of the UI.
func ActionTypes() []ActionType {
	return []ActionType{ActSync, ActQuery, ActLock, ActClearPasscode, ActClearApp, ActRestart, ActRetire, ActWipe, ActDelete}
}
