package sim

import (
	"context"
	"errors"
	"time"
)

// Run lives the life of an enrolled phone: it calls in when Google wakes it and now and then by itself, follows its mood, and returns
// nil when ctx ends or management is gone.
func (d *Android) Run(ctx context.Context) error {
	if d.managed() == nil {
		return nil
	}
	l := androidLife{d: d, events: d.plan()}
	l.sync(ctx)
	for ctx.Err() == nil && d.managed() != nil {
		l.wait(ctx)
	}
	return nil
}

// plan lists what the mood has in store after enrolment.
func (d *Android) plan() events {
	d.mu.Lock()
	mood, since := d.mood, time.Now()
	d.mu.Unlock()
	out := offline(since, mood.OfflineAfterEnrol, mood.OfflineFor, d.SetOffline)
	if mood.RemovesItselfAfter > 0 {
		out = append(out, event{since.Add(mood.RemovesItselfAfter), func(ctx context.Context) {
			_ = d.RemoveWorkProfile(ctx) // it fails only when management is gone already or ctx has ended
		}})
	}
	return out
}

// androidLife is the state of one Run.
type androidLife struct {
	d      *Android
	events events
}

func (l *androidLife) wait(ctx context.Context) {
	due, stop := l.events.due()
	defer stop()
	poll := time.NewTimer(l.d.o.Poll)
	defer poll.Stop()
	select {
	case <-ctx.Done():
	case <-due:
		l.events.take().do(ctx)
	case <-l.d.wake:
		l.sync(ctx)
	case <-poll.C:
		l.sync(ctx)
	}
}

// sync calls in, and again as long as apps are being installed.
func (l *androidLife) sync(ctx context.Context) {
	err := l.d.Sync(ctx)
	if err != nil && !errors.Is(err, ErrOffline) && !errors.Is(err, ErrUnmanaged) && ctx.Err() == nil {
		l.d.log.Info("call gave up", "error", err)
	}
	if l.d.installing() {
		l.d.nudge()
	}
}

// installing reports whether an app is still on its way.
func (d *Android) installing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.work.bad {
		if str(b, "nonComplianceReason") == "PENDING" {
			return true
		}
	}
	return false
}
