//go:build unix

package fleet

import (
	"errors"
	"syscall"
)

// noSpace says whether an error means that the disk is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
