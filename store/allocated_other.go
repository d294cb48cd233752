//go:build !unix

package store

import "io/fs"

// allocated returns the file's length, since what it takes on the disk is not told.
func allocated(info fs.FileInfo) int64 { return info.Size() }
