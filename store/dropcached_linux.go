package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCached has the file read from the disk again instead of from memory, as far as the system goes along with that.
func dropCached(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
