package appliance

import (
	"fmt"
	"os"
	"syscall"
)

// isJournal says whether a file is the stream that systemd has connected to the journal: it names its device and inode (systemd.exec(5), $JOURNAL_STREAM).
func isJournal(f *os.File) bool {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return false
	}
	return os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
