package fleet

// jobReasonCodes are the codes that jobs and rules say, with the names of their arguments.
func jobReasonCodes() map[string][]string {
	return map[string][]string{
		"job.done":             nil,
		"job.nothing":          nil,
		"job.no-recovery-key":  nil,
		"job.no-rehearsal-due": nil,
		"job.failed":           {"cause"},
		"job.interrupted":      nil,
		"job.running":          nil,
		"job.stopped":          nil,
		"job.rules":            {"count"},

		"rule.invalid":              nil,
		"rule.whole-fleet":          nil,
		"rule.no-group":             nil,
		"rule.kind-stays":           nil,
		"rule.taken":                {"name"},
		"rule.running":              {"rule"},
		"rule.stopped-changed":      {"by"},
		"rule.stopped-deleted":      {"by"},
		"rule.stopped-by":           {"by"},
		"rule.other-list":           nil,
		"rule.not-waiting":          {"state"},
		"rule.run-ended":            nil,
		"rule.nothing-to-take-back": nil,
		"rule.group-in-use":         {"group", "rule"},

		// Why a rule leaves a silent device alone.
		"rule.skip-no-contact": nil,
		"rule.skip-tag":        {"tag"},
		"rule.skip-leaving":    {"state"},
		"rule.skip-stolen":     nil,
		"rule.skip-locked":     nil,
		"rule.skip-no-removal": nil,
		"rule.skip-erase-only": nil,

		// What acts where.
		"rule.device.nothing":   nil,
		"rule.server.spares":    nil,
		"rule.server.deletes":   {"days"},
		"rule.server.erases":    {"days"},
		"rule.server.withdraws": {"days"},

		// What became of a device in a run.
		"rule.gone":       nil,
		"rule.answered":   {"at"},
		"rule.ordered":    {"action"},
		"rule.taken-back": {"by"},
	}
}
