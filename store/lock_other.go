//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package store

import (
	"fmt"
	"os"
	"path/filepath"
)

// withLock runs fn unless another process has the engine's directory open. Here (Windows) the engine's lock
// is its LOCK file, which the system removes when its process ends, however it ends.
func withLock(path string, fn func() error) error {
	if _, err := os.Stat(filepath.Join(path, "LOCK")); err == nil {
		return fmt.Errorf("%w: %s", ErrLocked, path)
	}
	return fn()
}
