package store

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// reserve is what has to stay free: the engine merges its tables in the background, which takes room before it gives any, and lays its mapped logs out
// without filling them. A table has 2 MB, and a merge rewrites at most some dozens of them at a time.
const reserve = 192 << 20

// room watches the free space of a store's disk. check belongs to the writer.
type room struct {
	free func() (uint64, error)
	keep uint64
	full atomic.Bool
}

func newRoom(path string, o Options) *room {
	r := &room{free: o.Free, keep: o.Reserve}
	if r.keep == 0 {
		r.keep = reserve
	}
	if r.free == nil {
		r.free = func() (uint64, error) {
			n, ok := FreeBytes(path)
			if !ok {
				return ^uint64(0), nil // not known: then nobody is hindered
			}
			return n, nil
		}
	}
	return r
}

// check refuses a write while too little is free. It asks each time: that costs a microsecond beside a sync, and room that was made is used at once.
func (r *room) check(log *slog.Logger) error {
	free, err := r.free()
	if err != nil || free >= r.keep {
		if r.full.Swap(false) {
			log.Info("there is room on the disk again, writes are accepted")
		}
		return nil
	}
	if !r.full.Swap(true) {
		log.Error("the disk is nearly full, writes are refused until there is room", "free", free, "needed", r.keep)
	}
	return fmt.Errorf("%w: %d MB free, %d MB needed", ErrNoRoom, free>>20, r.keep>>20)
}

// begin refuses to open a store on a disk that has no room even for opening: the engine lays out new logs at each start.
func (r *room) begin() error {
	if free, err := r.free(); err == nil && free < r.keep/4 {
		return fmt.Errorf("%w: %d MB free, %d MB needed to start", ErrNoRoom, free>>20, r.keep>>22)
	}
	return nil
}

// end says whether there is room for closing, which writes out what is in memory: two memory tables at most.
func (r *room) end() error {
	if free, err := r.free(); err == nil && free < r.keep/4 {
		return fmt.Errorf("%w: %d MB free, %d MB needed to close", ErrNoRoom, free>>20, r.keep>>22)
	}
	return nil
}
