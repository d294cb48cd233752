package appliance

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muster/appliance/fleet"
	"muster/store"
)

// stranger is a user without rights, as the service's own is: nobody on Debian.
const stranger = 65534

func asStranger(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
}

// newSmallDisk is a disk in memory, if one can be mounted, or one whose free space is made up.
func newSmallDisk(t *testing.T) *smallDisk {
	d := &smallDisk{t: t, dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=400m,mode=0700"); err != nil {
		t.Logf("no disk can be mounted here (%v): its free space is made up", err)
		d.left.Store(1 << 40)
		d.free = func() (uint64, error) { return d.left.Load(), nil }
		return d
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return d
}

// fillDisk has a file take what is free on dir's disk, but for so many bytes.
func fillDisk(dir string, left uint64) error {
	ballast := filepath.Join(dir, "ballast")
	if err := os.RemoveAll(ballast); err != nil {
		return err
	}
	free, ok := store.FreeBytes(dir)
	if !ok || free <= left {
		return nil
	}
	f, err := os.Create(ballast)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, int64(free-left)), f.Close())
}

// A directory that the service's user may not write to: words, exit code 1, nothing changed, and it serves when the cause is gone. What root
// restores belongs to that user afterwards, and a file system that is read-only is refused to root as well.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	c := setUpDir(t, true)
	a, err := Open(t.Context(), c.Config)
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.fleet.MakeBackup(t.Context(), fleet.Job("test"), fleet.BackupManual)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	top := filepath.Dir(c.Data)
	for at := top; at != filepath.Dir(os.TempDir()) && at != "/"; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && info.Mode().Perm()&0o001 == 0 && strings.HasPrefix(at, os.TempDir()+"/") {
			if err := os.Chmod(at, 0o711); err != nil {
				t.Fatal(err)
			}
		}
	}

	// Root's own: the stranger may not even look. Then given to it, and restored over by root.
	s := startServe(t, c.Config, asStranger)
	s.ended(t, "a directory of root", 1, "may not", "chown")
	if err := os.Chown(c.Data, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), RestoreConfig{Config: c.Config, File: filepath.Join(c.BackupDir, b.File), Recovery: c.RecoveryOut, Replace: true}, discard{}); err != nil {
		t.Fatal(err)
	}
	each(t, c.Data, func(path string, info fs.FileInfo) {
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != stranger || owner.Gid != stranger {
			t.Errorf("%s belongs to %d:%d after the restore", path, owner.Uid, owner.Gid)
		}
	})

	each(t, c.Data, func(path string, info fs.FileInfo) {
		if err := os.Chmod(path, info.Mode().Perm()&^0o222); err != nil {
			t.Fatal(err)
		}
	})
	before := fingerprints(t, c.Data)
	s = startServe(t, c.Config, asStranger)
	s.ended(t, "a read-only directory", 1, "this user may not write to "+c.Data, "nothing was changed")
	if after := fingerprints(t, c.Data); after != before {
		t.Errorf("the refused start changed the data:\n%s\nwas\n%s", after, before)
	}
	each(t, c.Data, func(path string, info fs.FileInfo) {
		if err := os.Chmod(path, info.Mode().Perm()|0o200); err != nil {
			t.Fatal(err)
		}
	})
	s = startServe(t, c.Config, asStranger)
	w := &world{t: t}
	w.eventually("it serves when the cause is gone", func() bool {
		status, err := askLocal(t.Context(), c.Data)
		return err == nil && status.SetUp
	})
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.ended(t, "told to end", 0)

	if err := syscall.Mount(c.Data, c.Data, "", syscall.MS_BIND, ""); err != nil {
		t.Logf("a read-only file system is not tried, for nothing can be mounted here: %v", err)
		return
	}
	defer syscall.Unmount(c.Data, syscall.MNT_DETACH)
	if err := syscall.Mount("", c.Data, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	before = fingerprints(t, c.Data)
	if a, err := Open(t.Context(), c.Config); err == nil || !strings.Contains(err.Error(), "read-only") || !errors.Is(err, syscall.EROFS) {
		if err == nil {
			a.Close()
		}
		t.Errorf("a read-only file system: %v", err)
	}
	if after := fingerprints(t, c.Data); after != before {
		t.Error("the read-only file system changed")
	}
	if err := syscall.Unmount(c.Data, 0); err != nil {
		t.Fatal(err)
	}
	if a, err = Open(t.Context(), c.Config); err != nil {
		t.Fatalf("mounted writable again: %v", err)
	}
	a.Close()
}

// each visits a directory and all that is in it.
func each(t *testing.T, dir string, do func(path string, info fs.FileInfo)) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if err == nil {
			do(path, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fingerprints tells of each file in a directory its name, its mode and what it holds.
func fingerprints(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	each(t, dir, func(path string, info fs.FileInfo) {
		sum := ""
		if info.Mode().IsRegular() {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256(raw)
			sum = hex.EncodeToString(digest[:8])
		}
		fmt.Fprintln(&out, path, info.Mode(), info.Size(), sum)
	})
	return out.String()
}
