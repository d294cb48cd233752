package store

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewID returns a new ULID: 26 characters, greater than every one returned before in this process, also when
// the clock steps back. An id is hard to guess but no secret.
func NewID() string { return ids.next(time.Now()) }

// ids is the one piece of state that outlives a DB: without it ids of one process could not be ordered.
var ids idSource

type idSource struct {
	mu   sync.Mutex
	last ulid.ULID
}

func (s *idSource) next(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id ulid.ULID
	_, _ = rand.Read(id[6:])
	_ = id.SetTime(ulid.Timestamp(now)) // fails in the year 10889
	if id.Compare(s.last) <= 0 {
		id = after(s.last)
	}
	s.last = id
	return id.String()
}

// after returns a ULID a random step of up to 2^32 beyond id.
func after(id ulid.ULID) ulid.ULID {
	var random [4]byte
	_, _ = rand.Read(random[:])
	low := binary.BigEndian.Uint64(id[8:])
	sum := low + uint64(binary.BigEndian.Uint32(random[:])) + 1
	if sum < low { // carry into the upper half
		binary.BigEndian.PutUint64(id[:8], binary.BigEndian.Uint64(id[:8])+1)
	}
	binary.BigEndian.PutUint64(id[8:], sum)
	return id
}
