package sim

import (
	"context"
	"errors"
	"time"
)

// Run lives the life of an enrolled device: it waits for pushes (or polls), connects,
// follows its mood, and returns nil when ctx ends or management is gone. What one
// connection fails at is noted in the State; the device comes again at the next push.
func (d *Apple) Run(ctx context.Context) error {
	m := d.managed()
	if m == nil {
		return nil
	}
	defer d.Close()
	select {
	case <-d.wake: // the first connection follows anyway
	default:
	}
	l := life{d: d, events: d.plan(m.since)}
	l.connect(ctx) // as after the start of a device
	for ctx.Err() == nil {
		m := d.managed()
		if m == nil {
			return nil
		}
		l.wait(ctx, m)
	}
	return nil
}

// plan lists what the mood has in store after enrolment.
func (d *Apple) plan(since time.Time) events {
	d.mu.Lock()
	mood := d.mood
	d.mu.Unlock()
	out := offline(since, mood.OfflineAfterEnrol, mood.OfflineFor, d.SetOffline)
	if mood.UserLogsInAfter > 0 {
		out = append(out, event{since.Add(mood.UserLogsInAfter), func(ctx context.Context) {
			if err := d.UserLogsIn(ctx); err != nil {
				d.log.Info("user channel did not open", "error", err)
			}
		}})
	}
	if mood.RemovesItselfAfter > 0 {
		out = append(out, event{since.Add(mood.RemovesItselfAfter), func(ctx context.Context) {
			// It fails only when management is gone already or ctx has ended.
			_ = d.RemoveManagement(ctx)
		}})
	}
	return out
}

// life is the state of one Run.
type life struct {
	d      *Apple
	events events
}

// wait waits for the next thing to happen and does it.
func (l *life) wait(ctx context.Context, m *management) {
	d := l.d
	d.mu.Lock()
	device, user := m.device.line, (*line)(nil)
	if m.user != nil {
		user = m.user.line
	}
	deviceMagic, userMagic := m.device.magic, ""
	if m.user != nil {
		userMagic = m.user.magic
	}
	polls := device == nil
	d.mu.Unlock()

	due, stop := l.events.due()
	defer stop()
	var poll <-chan time.Time
	if polls {
		t := time.NewTimer(d.o.Poll)
		defer t.Stop()
		poll = t.C
	}
	select {
	case <-ctx.Done():
	case <-due:
		l.events.take().do(ctx)
	case <-d.wake:
		// Back on the network, enrolled anew, restarted or unlocked: look what there is.
		if d.managed() != nil && l.hasReason() {
			l.connect(ctx)
		}
	case <-poll:
		l.connect(ctx)
	case magic := <-device.pushes():
		l.pushed(ctx, magic, deviceMagic)
	case magic := <-user.pushes():
		l.pushed(ctx, magic, userMagic)
	}
}

// hasReason reports whether a nudge is worth a connection: not while the device cannot make one.
func (l *life) hasReason() bool {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.offline && !(d.locked && d.hw.kind == Mac)
}

// pushed obeys a push whose magic is right; Apple's devices ignore any other.
func (l *life) pushed(ctx context.Context, magic, want string) {
	if magic != want {
		l.d.complain("a push came with a wrong PushMagic")
		return
	}
	l.connect(ctx)
}

// connect makes one connection run, and plans another one when something was put off.
func (l *life) connect(ctx context.Context) {
	d := l.d
	before := d.State()
	err := d.Connect(ctx)
	switch {
	case errors.Is(err, ErrOffline), ctx.Err() != nil:
		return
	case err != nil:
		d.log.Info("connection gave up", "error", err)
	}
	after := d.State()
	putOff := false
	for _, c := range after.Commands[min(len(before.Commands), len(after.Commands)):] {
		putOff = putOff || c.Status == "NotNow"
	}
	if !putOff && !(after.Locked && !before.Locked && d.hw.kind != Mac) {
		return
	}
	// The person unlocks the screen after a while, and the device connects by itself.
	l.events = append(l.events, event{time.Now().Add(d.o.Mood.NotNowFor), func(context.Context) { d.Unlock() }})
}
