package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// clearUnborn removes log files of no length from the engine's directory. The engine creates a log file and
// gives it its length a moment later; a process that ends in between leaves a file that the engine (Badger
// 4.9.6, issue 2207 there) then refuses to open the whole store for. No record was ever in such a file. It
// must be called by the holder of the directory's lock only.
func clearUnborn(path string, log *slog.Logger) error {
	files, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: read directory: %w", err)
	}
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".mem") && !strings.HasSuffix(name, ".vlog") {
			continue
		}
		info, err := file.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() != 0 {
			continue
		}
		if err := os.Remove(filepath.Join(path, name)); err != nil {
			return fmt.Errorf("store: remove empty log: %w", err)
		}
		log.Warn("removed an empty log file that an interrupted process left", "file", name)
	}
	return nil
}
