package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"muster/store"
)

// touches holds last contacts that are not yet written: a check-in with nothing to do costs no write of its own. What a crash loses is at
// most a minute of them. The zero touches is ready.
type touches struct {
	mu      sync.Mutex
	pending map[DeviceID]touch
}

type touch struct {
	enrolment EnrolmentID
	at        time.Time
	from      string
	days      []string // further days on which it called
}

// note remembers a contact.
func (t *touches) note(d DeviceID, e EnrolmentID, at time.Time, from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil {
		t.pending = map[DeviceID]touch{}
	}
	n := touch{enrolment: e, at: at, from: from}
	if p, ok := t.pending[d]; ok && p.enrolment == e {
		n.days = p.days
		if dayOf(p.at) != dayOf(at) {
			n.days = append(n.days, dayOf(p.at))
		}
		if p.at.After(at) {
			n.at = p.at
		}
		if from == "" {
			n.from = p.from
		}
	}
	t.pending[d] = n
}

// take hands over up to n pending contacts and forgets them.
func (t *touches) take(n int) map[DeviceID]touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[DeviceID]touch, min(n, len(t.pending)))
	for d, p := range t.pending {
		if len(out) == n {
			break
		}
		out[d] = p
		delete(t.pending, d)
	}
	return out
}

// last is the pending contact of a device; zero when there is none.
func (t *touches) last(d DeviceID, e EnrolmentID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.pending[d]; ok && p.enrolment == e {
		return p.at
	}
	return time.Time{}
}

func (f *Fleet) touch(d *Device, c Contact) {
	f.planner.touches.note(d.ID, d.Enrolment, c.heard(), c.From)
}

// seenNow is a copy of a device with its last contact as known now.
func (f *Fleet) seenNow(d *Device) *Device {
	if at := f.planner.touches.last(d.ID, d.Enrolment); at.After(d.LastSeen) {
		d.LastSeen = at
	}
	return d
}

// touchBatch is how many contacts one transaction writes.
const touchBatch = 200

// flushTouches writes the pending contacts in bounded transactions. On an error the batch at hand is lost: last contacts may be.
func (f *Fleet) flushTouches(ctx context.Context) error {
	for {
		batch := f.planner.touches.take(touchBatch)
		if len(batch) == 0 {
			return nil
		}
		if err := f.db.Update(ctx, func(tx store.Tx) error { return f.writeTouches(tx, batch) }); err != nil {
			return err
		}
	}
}

func (f *Fleet) writeTouches(tx store.Tx, batch map[DeviceID]touch) error {
	days := map[string]int{}
	for id, t := range batch {
		d, err := devices.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if d.Enrolment != t.enrolment || !t.at.After(d.LastSeen) {
			continue
		}
		last := dayOf(d.LastSeen)
		for _, day := range t.days {
			if day > last {
				days[day]++
				last = day
			}
		}
		if day := dayOf(t.at); day > last {
			days[day]++
		}
		d.LastSeen = t.at
		if from := d.address(t.from); from != "" {
			d.LastFrom = from
		}
		// The version stays: nothing that anybody edits or plans by has changed.
		if err := devices.Put(tx, d); err != nil {
			return err
		}
	}
	for day, n := range days {
		if err := countCall(tx, day, n); err != nil {
			return err
		}
	}
	return nil
}
