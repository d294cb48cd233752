//go:build !linux

package appliance

import "os"

// isJournal is false: only Linux has the journal.
func isJournal(*os.File) bool { return false }
