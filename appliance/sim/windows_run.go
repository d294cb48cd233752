package sim

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Run lives the life of an enrolled PC: it opens sessions by the server's schedule,
// renews its certificate in time, follows its mood, and returns nil when ctx ends or
// management is gone. What one session fails at is noted in the State.
func (d *Windows) Run(ctx context.Context) error {
	m := d.managed()
	if m == nil {
		return nil
	}
	defer d.Close()
	l := pcLife{d: d, events: d.plan(m.since)}
	l.session(ctx) // as after start-up
	for ctx.Err() == nil && d.managed() != nil {
		l.wait(ctx)
	}
	return nil
}

// plan lists what the mood has in store after enrolment.
func (d *Windows) plan(since time.Time) events {
	d.mu.Lock()
	mood := d.mood
	d.mu.Unlock()
	out := offline(since, mood.OfflineAfterEnrol, mood.OfflineFor, d.SetOffline)
	if mood.UnenrolsItselfAfter > 0 {
		out = append(out, event{since.Add(mood.UnenrolsItselfAfter), func(ctx context.Context) {
			_ = d.Disconnect(ctx) // it fails only when management is gone already or ctx has ended
		}})
	}
	return out
}

// pcLife is the state of one Run.
type pcLife struct {
	d      *Windows
	events events
	polls  int // sessions by schedule so far
}

// wait waits for the next thing to happen and does it.
func (l *pcLife) wait(ctx context.Context) {
	d := l.d
	due, stop := l.events.due()
	defer stop()
	var poll <-chan time.Time
	d.mu.Lock()
	pause := d.pause(l.polls)
	d.mu.Unlock()
	if pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		poll = t.C
	}
	select {
	case <-ctx.Done():
	case <-due:
		l.events.take().do(ctx)
	case <-d.wake:
		if !d.State().Offline {
			l.session(ctx)
		}
	case <-poll:
		l.polls++
		l.session(ctx)
	}
}

// session opens a session, and does before it what is due.
func (l *pcLife) session(ctx context.Context) {
	d := l.d
	if d.dueForRenewal(time.Now()) {
		if err := d.Renew(ctx); err != nil {
			d.log.Info("renewal failed", "error", err)
		}
	}
	before := d.State().Restarts
	err := d.Session(ctx)
	if err != nil && !errors.Is(err, ErrOffline) && ctx.Err() == nil {
		d.log.Info("session gave up", "error", err)
	}
	d.loseContact(d.o.Clock())
	select {
	case <-d.wake: // what this session itself brought about needs no other
	default:
	}
	d.mu.Lock()
	more := len(d.alerts) > 0 || d.seen.restarts > before // a job has ended, or the PC starts up
	d.mu.Unlock()
	if more && err == nil {
		d.nudge()
	}
}

// pause is how long after the nth session of the schedule the next one follows; 0 means
// never. d.mu is held.
func (d *Windows) pause(n int) time.Duration {
	if d.mdm == nil {
		return 0
	}
	if d.o.Poll > 0 {
		return d.o.Poll
	}
	own := d.tree.own() + "Poll/"
	number := func(name string, otherwise int) int {
		if v, err := strconv.Atoi(d.tree.value(own + name)); err == nil {
			return v
		}
		return otherwise
	}
	for _, set := range [][2]int{
		{number("IntervalForFirstSetOfRetries", 15), number("NumberOfFirstRetries", 10)},
		{number("IntervalForSecondSetOfRetries", 0), number("NumberOfSecondRetries", 0)},
		{number("IntervalForRemainingScheduledRetries", 0), number("NumberOfRemainingScheduledRetries", 0)},
	} {
		if set[0] == 0 {
			continue // off
		}
		if set[1] == 0 || n < set[1] {
			return time.Duration(set[0]) * d.o.Minute
		}
		n -= set[1]
	}
	return 24 * 60 * d.o.Minute // the client's own maintenance task
}

// dueForRenewal reports whether the management certificate is to be renewed now.
func (d *Windows) dueForRenewal(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.mdm
	if m == nil || !m.robo || d.offline {
		return false
	}
	const day = 24 * 60
	begins := m.id.cert.NotAfter.Add(-time.Duration(m.renewPeriod) * day * time.Minute)
	again := m.lastRenewal.Add(time.Duration(m.retryInterval) * day * d.o.Minute)
	return now.After(begins) && now.Before(m.id.cert.NotAfter) && (m.lastRenewal.IsZero() || now.After(again))
}

// loseContact unenrols a PC that has not reached its server for as long as the server allowed.
func (d *Windows) loseContact(now time.Time) {
	d.mu.Lock()
	m := d.mdm
	if m == nil {
		d.mu.Unlock()
		return
	}
	days, err := strconv.Atoi(d.tree.value(d.tree.own() + "NumberOfDaysAfterLostContactToUnenroll"))
	last := m.lastContact
	d.mu.Unlock()
	if err == nil && days > 0 && now.Sub(last) > time.Duration(days)*24*60*d.o.Minute {
		d.leave(m, "the PC lost contact with the server")
	}
}

func (d *Windows) connectOnce(ctx context.Context) error { return d.Session(ctx) }

func (d *Windows) answered() int { return len(d.State().Commands) }
