package fleet

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"muster/store"
)

const (
	pushers      = 16               // pushes at a time
	pushPage     = 256              // due wakes read at a time
	pushWait     = 30 * time.Second // one push may take this long
	wakeLookMost = 30 * time.Second // the worker looks by itself this often
	wakeLookAll  = 5 * time.Minute  // and at everything that is due this often
)

// pushing are the wakes that are with a Waker at this moment. The zero pushing is ready.
type pushing struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (p *pushing) begin(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ids[id] {
		return false
	}
	if p.ids == nil {
		p.ids = map[string]bool{}
	}
	p.ids[id] = true
	return true
}

func (p *pushing) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ids, id)
}

// sleepsUntil is when the worker looks again by itself: what becomes due later need not rouse it. The zero value is "now".
type sleepsUntil struct{ at atomic.Int64 }

func (s *sleepsUntil) set(t time.Time) { s.at.Store(t.UnixNano()) }
func (s *sleepsUntil) awake()          { s.at.Store(math.MaxInt64) } // whatever is said now counts

// passed is up to when the worker has dealt with the due wakes: those before were sent, are being sent, or wait for a push service that is out.
// A look begins there, for what was due earlier is a trail of deleted index entries. The zero passed is "none".
type passed struct{ at atomic.Int64 }

// reach sets the mark and returns the one before; zero for none.
func (p *passed) reach(t time.Time) time.Time {
	if before := p.at.Swap(t.UnixNano()); before != 0 {
		return time.Unix(0, before)
	}
	return time.Time{}
}

// back takes the mark back to t: something is due there.
func (p *passed) back(t time.Time) {
	n := t.UnixNano()
	for at := p.at.Load(); n < at && !p.at.CompareAndSwap(at, n); at = p.at.Load() {
	}
}

func (p *passed) none() { p.at.Store(0) }

// rouse has the worker look again if something becomes due before it would. It follows each commit that makes a wake due.
func (f *Fleet) rouse(due time.Time) {
	if due.IsZero() {
		return
	}
	f.planner.passed.back(due)
	if due.UnixNano() < f.planner.sleeps.at.Load() {
		f.planner.wakeBell.ring()
	}
}

// wakeBackoff is after how long a device that did not call is pushed again: 1, 5, 15 minutes, then hourly for a day, then daily.
func wakeBackoff(attempt int) time.Duration {
	switch {
	case attempt <= 1:
		return time.Minute
	case attempt == 2:
		return 5 * time.Minute
	case attempt == 3:
		return 15 * time.Minute
	case attempt <= 3+24:
		return time.Hour
	}
	return 24 * time.Hour
}

// RunWakes sends due wakes until ctx ends: bounded concurrency, never under a lock or inside a transaction. What was accepted, refused and
// when to push again is stored, so that a crash loses nothing: at worst a device is pushed twice. It also writes down last contacts.
func (f *Fleet) RunWakes(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, pushers)
	flush := time.NewTicker(time.Minute)
	defer flush.Stop()
	if err := f.planner.services.remember(ctx, f.db); err != nil && ctx.Err() == nil {
		return err
	}
	var all time.Time // of the last look at everything
	for {
		f.planner.sleeps.awake()
		if now := f.now(); now.Sub(all) >= wakeLookAll || now.Before(all) || f.probeDue(now) {
			f.planner.passed.none()
			all = now
		}
		wait, err := f.sendDue(ctx, slots, &group)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, store.ErrClosed) {
			return err
		}
		if err != nil {
			f.log.Error("wakes stopped for a while", "err", err)
			wait = 5 * time.Second
		}
		f.planner.sleeps.set(f.now().Add(wait))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-f.planner.wakeBell.C():
		case <-timer.C:
		case <-flush.C:
			if err := f.flushTouches(ctx); err != nil && ctx.Err() == nil {
				f.log.Error("last contacts not written", "err", err)
			}
		}
		timer.Stop()
		if ctx.Err() != nil {
			break
		}
	}
	group.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := f.flushTouches(last); err != nil && !errors.Is(err, store.ErrClosed) {
		return err
	}
	return nil
}

// probeDue says whether it is time to find out whether a service is back.
func (f *Fleet) probeDue(now time.Time) bool {
	next := f.planner.services.next(now)
	return !next.IsZero() && !now.Before(next)
}

// sendDue hands over what is due and says how long to wait for the next.
func (f *Fleet) sendDue(ctx context.Context, slots chan struct{}, group *sync.WaitGroup) (wait time.Duration, err error) {
	cursor, now := "", f.now()
	from := f.planner.passed.reach(now) // before the look: what is said during it counts
	defer func() {
		if err != nil {
			f.planner.passed.back(from)
		}
	}()
	for {
		page, err := f.dueWakes(ctx, from, now, cursor)
		if err != nil {
			return wakeLookMost, err
		}
		for _, w := range page.Items {
			if !f.planner.pushing.begin(w.ID) {
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				f.planner.pushing.end(w.ID)
				return 0, ctx.Err()
			}
			group.Add(1)
			go func() {
				defer group.Done()
				due, err := f.push(ctx, w)
				if err != nil && ctx.Err() == nil {
					f.log.Error("result of a push not stored", "device", w.Device, "err", err)
				}
				f.planner.pushing.end(w.ID)
				<-slots
				f.rouse(due)
			}()
		}
		if page.Next == "" {
			return f.untilNext(ctx, now)
		}
		cursor = page.Next
	}
}

func (f *Fleet) dueWakes(ctx context.Context, from, now time.Time, cursor string) (page store.Page[Wake], err error) {
	q := store.Query{Index: "due", To: sortable(now.Add(time.Nanosecond)), Limit: pushPage, Cursor: cursor}
	if !from.IsZero() {
		q.From = sortable(from)
	}
	err = f.db.View(ctx, func(tx store.Tx) error {
		page, err = wakes.List(tx, q)
		return err
	})
	return page, err
}

// untilNext is how long nothing becomes due.
func (f *Fleet) untilNext(ctx context.Context, now time.Time) (time.Duration, error) {
	wait := wakeLookMost
	sooner := func(t time.Time) { wait = min(wait, max(t.Sub(f.now()), 10*time.Millisecond)) }
	if probe := f.planner.services.next(f.now()); !probe.IsZero() {
		sooner(probe)
	}
	err := f.db.View(ctx, func(tx store.Tx) error {
		q := store.Query{Index: "due", From: sortable(now.Add(time.Nanosecond)), To: sortable(now.Add(wait)), Limit: 1}
		return wakes.Each(tx, q, func(w *Wake) (bool, error) {
			sooner(w.Due)
			return false, nil
		})
	})
	return wait, err
}

// push sends one wake, stores what came of it, and returns when the device is to be pushed again. Nothing comes of it while the service is out.
func (f *Fleet) push(ctx context.Context, w *Wake) (due time.Time, err error) {
	var by pusher
	platform := ""
	err = f.db.View(ctx, func(tx store.Tx) error {
		d, err := devices.Get(tx, string(w.Device))
		if err != nil {
			return ignoreAbsent(err)
		}
		by, platform = f.wakers[d.Platform], string(d.Platform)
		return nil
	})
	if err != nil {
		return w.Due, err
	}
	res := WakeResult{Accepted: true, RetryAfter: 24 * time.Hour, Reason: Why("push.none")} // it calls by itself
	var out *outage
	probe := false
	if by.waker != nil {
		admitted := false
		if admitted, probe = f.planner.services.admit(by.service, f.now()); !admitted {
			return time.Time{}, nil
		}
		one, cancel := context.WithTimeout(ctx, pushWait)
		res = by.waker.Wake(one, *w)
		cancel()
		if ctx.Err() != nil {
			return time.Time{}, nil // sent or not, nobody knows: it is due again after the start
		}
		f.tallies.add(TallyPush, platform, res.word())
		if res.Service {
			out = f.planner.services.failed(by.service, probe, res, f.now())
		}
	}
	over := probe && !res.Service
	err = f.db.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		switch {
		case out != nil:
			if err := outages.Put(tx, out); err != nil {
				return err
			}
		case over:
			if err := outages.Delete(tx, string(by.service)); ignoreAbsent(err) != nil {
				return err
			}
			tx.OnCommit(func() { f.planner.services.back(by.service); f.retryPushes() })
		}
		due, err = f.pushed(tx, w, res)
		return err
	})
	if err != nil {
		return w.Due, err
	}
	return due, nil
}

// word is the result in one word.
func (r WakeResult) word() string {
	switch {
	case r.Accepted:
		return "accepted"
	case r.Reason.Code != "":
		return r.Reason.Code
	}
	return "refused"
}

// pushed stores the result of a push and returns when the next is due; what changed meanwhile counts more than it.
func (f *Fleet) pushed(tx store.Tx, sent *Wake, res WakeResult) (due time.Time, err error) {
	w, err := wakes.Get(tx, sent.ID)
	if err != nil {
		return due, ignoreAbsent(err)
	}
	now := f.now().UTC()
	before := w.Result
	w.Last, w.Why, w.Result, w.Calls = now, res.Reason, res.word(), res.Calls
	same := w.Due.Equal(sent.Due) && w.Attempt == sent.Attempt && string(w.Address) == string(sent.Address)
	if same {
		w.Attempt++
		w.Open = true
		wait := wakeBackoff(w.Attempt)
		if res.RetryAfter > 0 {
			wait = res.RetryAfter
		}
		w.Due = now.Add(wait)
	}
	dead := res.Dead && string(w.Address) == string(sent.Address)
	if dead {
		w.Dead, w.Due = true, time.Time{}
	}
	due = w.Due
	if err := wakes.Put(tx, w); err != nil {
		return due, err
	}
	hindered := func(result string) bool { return result != "" && result != "accepted" }
	if (hindered(before) || hindered(w.Result)) && before != w.Result || dead {
		f.publish(tx, "device", string(w.Device))
		d, err := devices.Get(tx, string(w.Device))
		if err != nil {
			return due, ignoreAbsent(err)
		}
		if err := f.refreshDeliveries(tx, d); err != nil { // the rows say what they wait for
			return due, err
		}
	}
	if dead && w.Channel == DeviceChannel && !res.Calls {
		return due, f.deadAddress(tx, w, now)
	}
	return due, nil
}

// deadAddress takes a push service's word that an address is gone. After the last step of a removal was handed over it is the proof that
// management ended or that the device was erased; else it is a worry only: the device may call again and name a new address.
func (f *Fleet) deadAddress(tx store.Tx, w *Wake, now time.Time) error {
	d, err := devices.Get(tx, string(w.Device))
	if err != nil {
		return ignoreAbsent(err)
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	ev := Evidence{Message: w.ID, At: now, What: "push-410"}
	if d.State.leaving() && rep.Removal != nil && rep.Removal.Handed {
		return f.end(tx, d, rep, evProved, ev, Job("push"))
	}
	return f.event(tx, d.ID, Why("event.push-lost"), ev, "")
}
