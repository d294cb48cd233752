package appliance

import (
	"os"
	"path/filepath"
	"strings"
)

// disk names the volume that a path is on.
func disk(path string) (string, bool) {
	if _, err := os.Stat(path); err != nil {
		return "", false
	}
	abs, err := filepath.Abs(path)
	return strings.ToLower(filepath.VolumeName(abs)), err == nil
}
