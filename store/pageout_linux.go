package store

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// pageOut gives back the memory in which the tables below dir are mapped: they are read again from their files when they are needed. MADV_PAGEOUT (Linux
// 5.4) loses nothing whatever lies at an address, so that a table which the engine drops meanwhile does no harm.
func pageOut(dir string) error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasSuffix(line, ".sst") || !strings.Contains(line, " "+dir+"/") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_PAGEOUT); errno != 0 && errno != unix.ENOMEM {
			return errno
		}
	}
	return lines.Err()
}
