//go:build unix

package appliance

import (
	"os"
	"syscall"
)

// disk names the file system that a path is on.
func disk(path string) (uint64, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Dev), true //nolint:unconvert // of another type on other systems
}
