package android

import (
	"context"
	"sync"

	"muster/appliance/fleet"
)

// urgency of a turn: those that wait are taken in this order.
type urgency int

const (
	urgentOrder urgency = iota // something was ordered, or a command was answered
	urgentEnrol                // somebody waits in front of a new device
	urgentWish                 // what is wanted has changed
	urgentNews                 // the device has told something
	urgencies
)

// queue holds the enrolments whose turn it is to be. Each stands in it once, and is with one worker at a time. All of it can be lost:
// fleet's wakes and the next look at all devices bring it back.
type queue struct {
	mu      sync.Mutex
	waiting map[fleet.EnrolmentID]*turnRequest
	lines   [urgencies][]fleet.EnrolmentID
	running map[fleet.EnrolmentID]bool
	bell    chan struct{}
}

// turnRequest is what is known of a turn before it begins.
type turnRequest struct {
	enrolment fleet.EnrolmentID
	urgency   urgency
	news      bool // Google has news of the device
	done      []chan error
}

func newQueue() *queue {
	return &queue{waiting: map[fleet.EnrolmentID]*turnRequest{}, running: map[fleet.EnrolmentID]bool{}, bell: make(chan struct{}, 1)}
}

// push asks for a turn. done, where given, hears how it ended.
func (q *queue) push(e fleet.EnrolmentID, u urgency, news bool, done chan error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.waiting[e]
	if t == nil {
		t = &turnRequest{enrolment: e, urgency: u}
		q.waiting[e] = t
		q.lines[u] = append(q.lines[u], e)
	} else if u < t.urgency {
		t.urgency = u
		q.lines[u] = append(q.lines[u], e) // its older place is passed over
	}
	t.news = t.news || news
	if done != nil {
		t.done = append(t.done, done)
	}
	q.ring()
}

func (q *queue) ring() {
	select {
	case q.bell <- struct{}{}:
	default:
	}
}

// take waits for the next turn; nil when ctx ends.
func (q *queue) take(ctx context.Context) *turnRequest {
	for {
		if t := q.next(); t != nil {
			return t
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.bell:
		}
	}
}

func (q *queue) next() *turnRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	for u := range q.lines {
		for i := 0; i < len(q.lines[u]); i++ {
			e := q.lines[u][i]
			t := q.waiting[e]
			if t == nil || t.urgency != urgency(u) {
				q.lines[u] = append(q.lines[u][:i], q.lines[u][i+1:]...)
				i--
				continue
			}
			if q.running[e] {
				continue
			}
			if i == 0 {
				q.lines[u] = q.lines[u][1:]
			} else {
				q.lines[u] = append(q.lines[u][:i], q.lines[u][i+1:]...)
			}
			delete(q.waiting, e)
			q.running[e] = true
			if len(q.waiting) > 0 {
				q.ring() // for the next worker
			}
			return t
		}
	}
	return nil
}

// end says that a turn is over.
func (q *queue) end(t *turnRequest, err error) {
	q.mu.Lock()
	delete(q.running, t.enrolment)
	q.mu.Unlock()
	for _, d := range t.done {
		d <- err // each has room for one
	}
	q.ring()
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
