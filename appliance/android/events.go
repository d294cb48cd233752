package android

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/appliance/fleet"
	"muster/store"
)

// workers is how many devices are with Google at a time.
const workers = 8

// pullPause is how long the next pull waits after an empty one, and commandsEvery how often young commands are asked about: without
// notifications nobody says that a device has answered.
const (
	pullPause     = time.Second
	commandsEvery = 30 * time.Second
	commandsYoung = 2 * time.Hour // longer than Google keeps one, so that one that ran out is sent again soon
)

// Run carries out turns, hears notifications, and looks all devices over now and then, until ctx ends.
func (a *Android) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error { return a.work(ctx) })
	}
	g.Go(func() error { return a.listen(ctx) })
	g.Go(func() error { return a.watch(ctx) })
	g.Go(func() error { return a.askCommands(ctx) })
	return g.Wait()
}

// work carries out turns.
func (a *Android) work(ctx context.Context) error {
	for {
		t := a.queue.take(ctx)
		if t == nil {
			return nil
		}
		err := a.take(ctx, t)
		a.queue.end(t, err)
		switch {
		case err == nil, ctx.Err() != nil:
		case troubled(err) != nil:
			a.log.Warn("google", "enrolment", t.enrolment, "err", err)
		default:
			a.log.Error("turn of a device", "enrolment", t.enrolment, "err", err)
		}
	}
}

// sleep waits; false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// listen takes notifications, one pull at a time. Without a connection or a subscription it looks again after a while.
func (a *Android) listen(ctx context.Context) error {
	for ctx.Err() == nil {
		conn, err := a.ready(ctx)
		if err != nil || conn.account.Subscription == "" {
			if !sleep(ctx, min(a.c.PollEvery, 10*time.Second)) {
				return nil
			}
			continue
		}
		list, err := conn.pull(ctx, conn.account.Subscription)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("notifications from Google", "err", err)
			}
			wait := 5 * a.c.Backoff
			if t := troubled(err); t != nil {
				wait = max(wait, t.After)
			}
			if !sleep(ctx, wait) {
				return nil
			}
			continue
		}
		if len(list) == 0 {
			if !sleep(ctx, min(pullPause, a.c.PollEvery)) {
				return nil
			}
			continue
		}
		done, again := a.hear(ctx, conn, list)
		if err := errors.Join(conn.acknowledge(ctx, conn.account.Subscription, done), conn.giveBack(ctx, conn.account.Subscription, again)); err != nil && ctx.Err() == nil {
			a.log.Warn("notifications not acknowledged, they come again", "err", err)
		}
	}
	return nil
}

// hear takes in notifications. A message only says at which device to look: so it may come twice, late and out of order. What can never be read is
// acknowledged, or it would come for ever; what could not be dealt with now is given back.
func (a *Android) hear(ctx context.Context, conn *connection, list []message) (done, again []string) {
	for i := range list {
		m := &list[i]
		if m.AckID == "" {
			continue
		}
		if a.heard.had(m.Message.ID) {
			done = append(done, m.AckID)
			continue
		}
		err := a.notice(ctx, conn, m.Message.Attributes["notificationType"], m.Message.Data)
		if err != nil {
			a.log.Warn("notification from Google", "type", clip(m.Message.Attributes["notificationType"], 40), "err", err)
			again = append(again, m.AckID)
			continue
		}
		a.heard.note(m.Message.ID)
		done = append(done, m.AckID)
	}
	return done, again
}

// notice deals with one notification.
func (a *Android) notice(ctx context.Context, conn *connection, kind string, data []byte) error {
	if kind == "USAGE_LOGS" {
		return a.noteUsage(ctx, conn, data)
	}
	name, order := deviceNamed(kind, data)
	if name == "" || enterpriseOf(name) != conn.account.Enterprise {
		return nil // a test, nothing for us, or of another organisation
	}
	rec, err := a.recordOfDevice(ctx, name)
	if err != nil {
		return err
	}
	if rec == nil {
		return a.claim(ctx, conn, name)
	}
	u := urgentNews
	if order {
		u = urgentOrder
	}
	a.queue.push(rec.Enrolment, u, true, nil)
	return nil
}

// deviceNamed is the device that a notification is about, and whether it is about a command. "" when it cannot be told.
func deviceNamed(kind string, data []byte) (name string, command bool) {
	switch kind {
	case "ENROLLMENT", "STATUS_REPORT":
		d, err := readDevice(data)
		if err != nil || enterpriseOf(d.Name) == "" {
			return "", false
		}
		return d.Name, d.deleted()
	case "COMMAND":
		var op operation
		if json.Unmarshal(data, &op) != nil {
			return "", false
		}
		return deviceOf(op.Name), true
	}
	return "", false
}

// seenMessages remembers which notifications were dealt with, the last few thousand. The zero value is ready.
type seenMessages struct {
	mu    sync.Mutex
	ids   map[string]bool
	order []string
}

const seenMost = 5000

func (s *seenMessages) had(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return id != "" && s.ids[id]
}

func (s *seenMessages) note(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" || len(id) > 200 || s.ids[id] {
		return
	}
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	s.ids[id] = true
	if s.order = append(s.order, id); len(s.order) > seenMost {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
}

// watch looks all devices over: at the start, when asked, daily, and without Pub/Sub every few minutes.
func (a *Android) watch(ctx context.Context) error {
	for {
		wait := a.c.PollEvery
		conn, err := a.ready(ctx)
		if err == nil {
			if err = a.Reconcile(ctx); err == nil && conn.account.Subscription != "" {
				wait = a.c.ReconcileEvery
			}
		}
		if t := troubled(err); t != nil && t.Code != codeNotSetUp {
			a.log.Warn("devices not looked over", "err", err)
			wait = min(wait, max(t.After, a.c.Backoff))
		} else if err != nil && t == nil && ctx.Err() == nil {
			a.log.Error("devices not looked over", "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.look:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Look has all devices looked over soon.
func (a *Android) Look() {
	select {
	case a.look <- struct{}{}:
	default:
	}
}

// reconcileReport is what the last look at all devices found.
type reconcileReport struct {
	At                                time.Time
	Devices, News, Missing, Strangers int
}

// Reconcile compares Google's list of devices with ours. What has changed gets its turn; what is on our list alone is asked for by name and,
// when Google does not know it, has left: its person removed the work profile, or somebody reset it. Nothing follows from half a list.
func (a *Android) Reconcile(ctx context.Context) error {
	conn, err := a.ready(ctx)
	if err != nil {
		return err
	}
	begun := a.now()
	report := reconcileReport{At: begun}
	there := map[string]bool{}
	var unknown []string
	err = conn.listDevices(ctx, conn.account.Enterprise, func(d *device) error {
		report.Devices++
		there[d.Name] = true
		rec, err := a.recordOfDevice(ctx, d.Name)
		switch {
		case err != nil:
			return err
		case rec == nil:
			unknown = append(unknown, d.Name)
		case !d.heard().Equal(rec.Heard) || int64(d.AppliedPolicyVersion) != rec.Applied || !rec.Reached || d.deleted():
			report.News++
			a.queue.push(rec.Enrolment, urgentNews, true, nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	report.Strangers = len(unknown)
	for _, name := range unknown {
		if err := a.claim(ctx, conn, name); err != nil {
			return err
		}
	}
	err = a.eachRecord(ctx, func(rec *record) error {
		if rec.Enterprise != conn.account.Enterprise {
			return nil
		}
		if rec.Device != "" {
			if !there[rec.Device] {
				report.Missing++
				a.queue.push(rec.Enrolment, urgentNews, true, nil)
			}
			return a.ghost(ctx, conn, rec, there[rec.Device])
		}
		e, _, err := a.fleet.StateOfEnrolment(ctx, rec.Enrolment)
		if errors.Is(err, fleet.ErrNoRecord) || err == nil && e.Ended != nil {
			return a.tidy(ctx, conn, rec)
		}
		return err
	})
	if err == nil {
		err = a.tidyWebApps(ctx, conn)
	}
	if err == nil {
		err = a.compareWebApps(ctx, conn)
	}
	if err == nil {
		a.mu.Lock()
		a.lastly = report
		a.mu.Unlock()
	}
	return err
}

// ghost takes the record of a device away from Google whose enrolment has ended with its removal proved, or under another enrolment. One that never
// answered keeps its record: the command that waits for it there is the last hold on it.
func (a *Android) ghost(ctx context.Context, conn *connection, rec *record, there bool) error {
	e, d, err := a.fleet.StateOfEnrolment(ctx, rec.Enrolment)
	if errors.Is(err, fleet.ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.Ended == nil || d != nil && d.State == fleet.Closed || e.EndReason == "door-closed" {
		return nil
	}
	if there {
		if err := conn.deleteDevice(ctx, rec.Device, ""); err != nil {
			return err
		}
	}
	return a.tidy(ctx, conn, rec)
}

// eachRecord walks all records, a page at a time, outside of any transaction.
func (a *Android) eachRecord(ctx context.Context, fn func(*record) error) error {
	return a.walk(ctx, store.Query{Limit: 200}, fn)
}

func (a *Android) walk(ctx context.Context, q store.Query, fn func(*record) error) error {
	for {
		var page store.Page[record]
		if err := a.db.View(ctx, func(tx store.Tx) (err error) {
			page, err = records.List(tx, q)
			return err
		}); err != nil {
			return err
		}
		for _, r := range page.Items {
			if err := fn(r); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

// askCommands has devices with young commands take a turn: where notifications fail, the person who ordered one need not wait for the next look.
func (a *Android) askCommands(ctx context.Context) error {
	for sleep(ctx, min(commandsEvery, a.c.PollEvery)) {
		if _, err := a.ready(ctx); err != nil {
			continue
		}
		now := a.now()
		err := a.walk(ctx, store.Query{Index: "commanded", Value: "y", Limit: 200}, func(rec *record) error {
			for _, c := range rec.Commands {
				if now.Sub(c.At) < commandsYoung {
					a.queue.push(rec.Enrolment, urgentOrder, false, nil)
					break
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
			a.log.Error("commands not asked about", "err", err)
		}
	}
	return nil
}
