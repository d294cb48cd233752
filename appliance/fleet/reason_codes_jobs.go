package fleet

// jobReasonCodes are the codes that jobs and rules say, with the names of their arguments.
func jobReasonCodes() map[string][]string {
	return map[string][]string{
		"job.done":        nil,
		"job.nothing":     nil,
		"job.failed":      {"cause"},
		"job.interrupted": nil,
		"job.running":     nil,
		"job.stopped":     nil,
	}
}
