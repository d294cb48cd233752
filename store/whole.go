package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteWhole writes a file of mode 0600 whole or not at all: a temporary file in the same directory, synced, put in place, and the directory synced.
// fill writes what is in it, and may read it back; when it fails, nothing is left. With fresh a file that is there is never replaced: then the error
// is fs.ErrExist. A file system without hard links, as on a USB stick, cannot promise that, and is taken at its word.
func WriteWhole(path string, fresh bool, fill func(*os.File) error) (err error) {
	return writeWhole(path, "."+filepath.Base(path)+"-*", fresh, fill)
}

// writeWhole is WriteWhole with a name of the temporary file, in which a star stands for what makes it the only one.
func writeWhole(path, part string, fresh bool, fill func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), part) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err = fill(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if fresh {
		err = os.Link(f.Name(), path) // unlike a rename it does not replace
		if err == nil {
			err = os.Remove(f.Name())
		} else if !errors.Is(err, fs.ErrExist) {
			err = os.Rename(f.Name(), path)
		}
	} else {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// holding fills a file with b.
func holding(b []byte) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.Write(b)
		return err
	}
}

// WriteText is WriteWhole of a text that takes the place of what is there.
func WriteText(path, text string) error { return WriteWhole(path, false, holding([]byte(text))) }
