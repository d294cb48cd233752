package windows

import (
	"bytes"
	"slices"
	"sync"

	"muster/appliance/fleet"
)

// atRest remembers the records of PCs that have no session under way, so that a PC with nothing to do costs no look into the store and no
// unsealing. Whoever changes a record elsewhere forgets it here. The zero atRest is ready.
type atRest struct {
	mu    sync.RWMutex
	epoch uint64 // rises with each forget: what was read before must not be remembered after
	known map[fleet.EnrolmentID]*session
}

// restMost bounds what is remembered; beyond it it starts anew.
const restMost = 200_000

// get gives a copy that may be written to.
func (r *atRest) get(e fleet.EnrolmentID) (st *session, epoch uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if k := r.known[e]; k != nil {
		c := *k
		c.Reached = slices.Clone(k.Reached)
		return &c, r.epoch
	}
	return nil, r.epoch
}

// put remembers a record whose session is over, unless one was changed since epoch.
func (r *atRest) put(st *session, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epoch != epoch || st.ID != "" {
		return
	}
	if r.known == nil || len(r.known) >= restMost {
		r.known = map[fleet.EnrolmentID]*session{}
	}
	r.known[st.Enrolment] = st
}

// drop forgets one that is about to have a session.
func (r *atRest) drop(e fleet.EnrolmentID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, e)
}

// forget is called after a record was changed by anything but its own session.
func (r *atRest) forget(e fleet.EnrolmentID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch++
	delete(r.known, e)
}

// sameRest says whether two records at rest hold the same.
func (s *session) sameRest(o *session) bool {
	return s.Enrolment == o.Enrolment && s.Hardware == o.Hardware && s.Machine == o.Machine && s.User == o.User && slices.Equal(s.Reached, o.Reached) &&
		s.Settled == o.Settled && s.Family == o.Family && bytes.Equal(s.Channel, o.Channel) && s.ChannelNext.Equal(o.ChannelNext)
}
