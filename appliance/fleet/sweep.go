package fleet

import (
	"context"
	"errors"
	"time"

	"muster/pki"
	"muster/store"
)

const (
	sweepBatch = 200            // records in one transaction
	neverBegun = 24 * time.Hour // after the ticket's end, an enrolment without a first message is over
	keepDays   = 400            // of check-in counts
)

// Sweep ends what has run out: enrolments never begun, expired actions, doors, old orders, sign-ins; it writes down last contacts. Idempotent; a job
// calls it.
func (f *Fleet) Sweep(ctx context.Context) error {
	var faults []error
	for _, one := range []func(context.Context) error{f.flushTouches, f.sweepActions, f.sweepDoors, f.sweepEnrolments, f.sweepOrders, f.sweepReplies, f.sweepDays, f.sweepSignIns, f.sweepOnces, f.sweepAudit} {
		if err := one(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// inBatches runs step in transactions of its own until it says that nothing is left.
func (f *Fleet) inBatches(ctx context.Context, step func(tx store.Tx) (more bool, err error)) error {
	for {
		more := false
		if err := f.db.Update(ctx, func(tx store.Tx) (err error) {
			more, err = step(tx)
			return err
		}); err != nil || !more {
			return err
		}
	}
}

func (f *Fleet) sweepActions(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		now := f.now().UTC()
		var list []*Action
		err := actions.Each(tx, store.Query{Index: "expires", To: sortable(now.Add(time.Nanosecond))}, func(a *Action) (bool, error) {
			list = append(list, a)
			return len(list) < sweepBatch, nil
		})
		if err != nil {
			return false, err
		}
		return len(list) == sweepBatch, f.expireActions(tx, list, now)
	})
}

// sweepDoors closes the door of removals that nobody fetched: the identity is revoked, the receipt says what is not proved.
func (f *Fleet) sweepDoors(ctx context.Context) error {
	var late []DeviceID
	err := f.db.View(ctx, func(tx store.Tx) error {
		if held, err := f.Held(tx); held || err != nil {
			return err // what is not handed out is not late
		}
		settings, err := f.settings(tx)
		if err != nil {
			return err
		}
		for _, state := range []State{Retiring, Wiping} {
			if err := devices.Each(tx, store.Query{Index: "state", Value: string(state)}, func(d *Device) (bool, error) {
				closed, err := f.doorClosed(tx, d, settings)
				if closed {
					late = append(late, d.ID)
				}
				return true, err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range late {
		if err := f.db.Update(ctx, func(tx store.Tx) error {
			settings, err := f.settings(tx)
			if err != nil {
				return err
			}
			d, err := devices.Get(tx, string(id))
			if err != nil {
				return ignoreAbsent(err)
			}
			if closed, err := f.doorClosed(tx, d, settings); err != nil || !closed {
				return err
			}
			rep, err := reportOf(tx, d)
			if err != nil {
				return err
			}
			return f.end(tx, d, rep, evDoor, Evidence{}, Job("sweep"))
		}); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) doorClosed(tx store.Tx, d *Device, s *Settings) (bool, error) {
	if !d.State.leaving() {
		return false, nil
	}
	rep, err := reportOf(tx, d)
	if err != nil || rep.Removal == nil {
		return false, err
	}
	days := s.DoorDays
	if days <= 0 {
		days = 30
	}
	return !f.now().Before(rep.Removal.Opened.Add(daysOf(days))), nil
}

func (f *Fleet) sweepEnrolments(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		now := f.now().UTC()
		var list []*Enrolment
		err := enrolments.Each(tx, store.Query{Index: "unbegun", To: sortable(now.Add(-neverBegun))}, func(e *Enrolment) (bool, error) {
			list = append(list, e)
			return len(list) < sweepBatch, nil
		})
		if err != nil {
			return false, err
		}
		for _, e := range list {
			if err := f.endNeverBegun(tx, e, now, "never-begun"); err != nil {
				return false, err
			}
		}
		return len(list) == sweepBatch, nil
	})
}

// endNeverBegun ends an enrolment that no device has taken up.
func (f *Fleet) endNeverBegun(tx store.Tx, e *Enrolment, now time.Time, why string) error {
	e.Ended, e.EndReason = &now, why
	if err := enrolments.Put(tx, e); err != nil {
		return err
	}
	if err := f.pki.VoidChallenges(tx, string(e.ID)); err != nil {
		return err
	}
	_, err := f.pki.RevokeForEnrolment(tx, string(e.ID), "", pki.ReasonCessationOfOperation)
	return err
}

func (f *Fleet) sweepOrders(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		var ids []string
		err := orders.Each(tx, store.Query{To: ulidBefore(f.now().Add(-keepOrders))}, func(o *orderRecord) (bool, error) {
			ids = append(ids, string(o.ID))
			return len(ids) < sweepBatch, nil
		})
		for _, id := range ids {
			if err := orders.Delete(tx, id); err != nil {
				return false, err
			}
		}
		return len(ids) == sweepBatch, err
	})
}

func (f *Fleet) sweepDays(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		var ids []string
		err := callDays.Each(tx, store.Query{To: dayOf(f.now().AddDate(0, 0, -keepDays))}, func(c *callsOfDay) (bool, error) {
			ids = append(ids, c.Day)
			return len(ids) < sweepBatch, nil
		})
		for _, id := range ids {
			if err := callDays.Delete(tx, id); err != nil {
				return false, err
			}
		}
		return len(ids) == sweepBatch, err
	})
}
