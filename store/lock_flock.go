//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// withLock runs fn while it holds the engine's lock on its directory, which must exist: flock on the
// directory, as Badger takes it. It fails with ErrLocked when another has it.
func withLock(path string, fn func() error) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: open directory: %w", err)
	}
	defer dir.Close()
	err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if err != nil {
		return fmt.Errorf("store: lock directory: %w", err)
	}
	return fn() // closing the directory gives the lock back
}
