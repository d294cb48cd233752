package fleet

// backupReasonCodes are the codes of backups, of the recovery key and of what follows a restore.
func backupReasonCodes() map[string][]string {
	return map[string][]string{
		"recovery.missing":      nil,
		"recovery.none-pending": nil,
		"recovery.wrong":        nil,
		"recovery.dropped":      nil,

		"backup.running":          nil,
		"backup.no-room":          {"place"},
		"backup.not-allowed":      {"place"},
		"backup.interrupted":      nil,
		"backup.failed":           nil,
		"backup.gone":             nil,
		"backup.rehearsal-failed": nil,
		"backup.older-key":        nil,

		"no-room": nil,

		"waiting.restored":    nil,
		"restored.not-held":   nil,
		"restored.other-list": nil,

		"stranger.waits":   nil,
		"stranger.silent":  nil,
		"stranger.ended":   {"device"},
		"stranger.invalid": nil,
	}
}
