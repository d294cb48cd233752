package appliance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// files returns what stands in the data directory, byte for byte.
func (w *world) files() map[string][]byte {
	w.t.Helper()
	out := map[string][]byte{}
	if err := filepath.WalkDir(w.config.Data, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // flushed or compacted under the walk
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		out[path] = b
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return out
}
