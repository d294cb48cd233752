package fleet

import (
	"hash/maphash"
	"sync"
	"time"
)

// idleCache remembers of which channels it is known that nothing is to be done, so that their check-ins cost no transaction. An entry
// holds for one generation of the configuration and until the next thing that becomes due; every commit that touches the device drops it.
// The zero idleCache is ready.
type idleCache struct {
	once   sync.Once
	seed   maphash.Seed
	shards [64]idleShard
}

type idleShard struct {
	mu      sync.Mutex
	epoch   uint64            // rises with each forget: what was read before must not be remembered after
	busy    map[DeviceID]bool // something was asked of it: its next call is sure to write
	entries map[DeviceID]map[Channel]idleEntry
}

type idleEntry struct {
	enrolment EnrolmentID
	gen       uint64
	until     time.Time
}

func (c *idleCache) shard(d DeviceID) *idleShard {
	c.once.Do(func() { c.seed = maphash.MakeSeed() })
	return &c.shards[maphash.String(c.seed, string(d))%uint64(len(c.shards))]
}

// epoch is read before a transaction whose outcome may be remembered. busy says that reading first is lost labour, once.
func (c *idleCache) epoch(d DeviceID) (epoch uint64, busy bool) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	busy = s.busy[d]
	delete(s.busy, d)
	return s.epoch, busy
}

// expect notes that the next call of a device will find something to do.
func (c *idleCache) expect(d DeviceID) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	delete(s.entries, d)
	if s.busy == nil {
		s.busy = map[DeviceID]bool{}
	}
	s.busy[d] = true
}

// holds says whether a channel is known to be idle.
func (c *idleCache) holds(e EnrolmentID, d DeviceID, ch Channel, gen uint64, now time.Time) bool {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.entries[d][ch]
	return ok && i.enrolment == e && i.gen == gen && now.Before(i.until)
}

// remember notes that a channel is idle, unless the device was touched since epoch was read.
func (c *idleCache) remember(d DeviceID, ch Channel, i idleEntry, epoch uint64) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	if s.entries == nil {
		s.entries = map[DeviceID]map[Channel]idleEntry{}
	}
	if s.entries[d] == nil {
		s.entries[d] = map[Channel]idleEntry{}
	}
	s.entries[d][ch] = i
}

// forget drops what is remembered of a device.
func (c *idleCache) forget(d DeviceID) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	delete(s.entries, d)
}
