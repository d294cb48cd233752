//go:build unix

package store

import "golang.org/x/sys/unix"

// FreeBytes is what an ordinary user may still write under path.
func FreeBytes(path string) (uint64, bool) {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
