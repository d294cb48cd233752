//go:build unix

package store

import (
	"io/fs"
	"syscall"
)

// allocated returns the bytes that a file takes on the disk.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512 // st_blocks counts 512-byte units, see stat(2)
	}
	return info.Size()
}
