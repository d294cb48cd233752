//go:build unix

package appliance

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// giveToOwner gives what root has restored to the user that the data directory belongs to: the service does not run as root. The seal key goes
// along when this made it.
func giveToOwner(data, key string) error {
	info, err := os.Stat(data)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	give := func(path string) error { return os.Lchown(path, int(owner.Uid), int(owner.Gid)) }
	if err := filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return give(path)
	}); err != nil {
		return err
	}
	if st, err := os.Stat(key); err == nil && st.Mode().IsRegular() {
		return give(key)
	}
	return nil
}
