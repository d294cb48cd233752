//go:build unix

package appliance

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// giveToOwner gives what root has written into a data directory to the user that the directory belongs to: the service does not run as root, and
// could not open its own data any more. It leaves the directory by no symbolic link that this user may have laid there. The seal key goes along,
// but for that of an installed service, which belongs to whom it does there.
func giveToOwner(data, key string) error {
	info, err := os.Stat(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	root, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = root.Lchown(path, int(owner.Uid), int(owner.Gid))
		}
		if errors.Is(err, fs.ErrNotExist) { // a server that runs deletes files at any time
			return nil
		}
		return err
	}); err != nil {
		return err
	}
	if p := systemPlaces(); key == p.Key {
		return shareKey(p)
	}
	if st, err := os.Stat(key); err == nil && st.Mode().IsRegular() {
		return os.Lchown(key, int(owner.Uid), int(owner.Gid))
	}
	return nil
}
