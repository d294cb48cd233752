package appliance

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Memory: the store's table builders allocate in bursts and trim themselves when it is quiet, but the runtime then keeps the
// pages, since without allocation nothing makes it collect. On a machine shared with other things that is waste.
const (
	softLimit = 400 << 20 // the collector works harder above this; GOMEMLIMIT overrides it
	slack     = 48 << 20  // this much held beyond what lives is worth giving back
	growth    = 200       // per cent that the heap grows between collections; GOGC overrides it. What lives is small, and marking it is dear

	memoryLook = 30 * time.Second
	quiet      = 3000 // commits between two looks at most, when the appliance is at rest: 100 a second
	restEvery  = 2 * time.Minute
)

// watchMemory bounds the memory of the process, and gives memory back to the system every half minute, where there is enough to give. At rest the
// store gives back its mapped tables too.
func (a *Appliance) watchMemory(ctx context.Context) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	tick := time.NewTicker(memoryLook)
	defer tick.Stop()
	var commits uint64
	var rested time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			metrics.Read(samples)
			held := samples[0].Value.Uint64() - samples[1].Value.Uint64()
			if live := samples[2].Value.Uint64(); held > min(live, 64<<20)+slack {
				debug.FreeOSMemory()
			}
			before := commits
			commits = a.db.Stats().Syncs
			if commits-before <= quiet && time.Since(rested) >= restEvery {
				rested = time.Now()
				if err := a.db.Rest(); err != nil {
					a.log.Debug("mapped memory not given back", "err", err)
				}
			}
		}
	}
}
