//go:build !linux

package appliance

import (
	"errors"
	"testing"
)

// newSmallDisk is a disk whose free space is made up.
func newSmallDisk(t *testing.T) *smallDisk {
	d := &smallDisk{t: t, dir: t.TempDir()}
	d.left.Store(1 << 40)
	d.free = func() (uint64, error) { return d.left.Load(), nil }
	return d
}

func fillDisk(string, uint64) error { return errors.ErrUnsupported }
