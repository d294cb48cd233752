package fleet

import "slices"

// Where a profile type can go stands in one list for each platform (<platform>_targets.go), so that what a platform learns is a line of its
// own file. A line may stand there only when the platform has a renderer for the type and a device that was given it can be read back:
// TestEveryTargetIsDelivered holds that.

// targetsOf are all targets of a type, platform by platform.
func targetsOf(t ProfileType) []Target {
	return slices.Concat(appleTypes[t], windowsTypes[t], androidTypes[t])
}
