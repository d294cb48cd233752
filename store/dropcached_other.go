//go:build !linux

package store

import "os"

// dropCached does nothing where there is no way to ask for it: reading back then shows what was written, not what the disk kept.
func dropCached(*os.File) {}
