package appliance

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version of this build: the module's version, or the commit it was built from.
var Version = func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "development"
}()

// Build says what this binary is, in one line.
func Build() string {
	return fmt.Sprintf("muster %s %s/%s %s", Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
