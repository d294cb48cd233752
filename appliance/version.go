package appliance

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// stamp is the version that a release was built as (go build -ldflags "-X muster/appliance.stamp=1.2.3").
var stamp string

// Version of this build: the release's, else the module's version, or the commit it was built from.
var Version = func() string {
	if stamp != "" {
		return stamp
	}
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
