package fleet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"muster/store"
)

// StaleRuns lists the runs of a rule ("" = of all), newest first.
func (f *Fleet) StaleRuns(ctx context.Context, a Actor, rule StaleRuleID, q ListQuery) (List[*StaleRun], error) {
	out := List[*StaleRun]{Total: -1}
	if err := need(a, DevicesRead); err != nil {
		return out, err
	}
	sq := store.Query{Cursor: q.Cursor, Reverse: !q.Reverse}
	if rule != "" {
		sq.Index, sq.Value = "rule", string(rule)
	}
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		out.Items, out.Next, err = pageOf(tx, staleRuns, sq, pageLimit(q.Limit), func(*StaleRun) (bool, error) { return true, nil })
		for _, r := range out.Items {
			if err == nil {
				err = f.narrowRun(tx, a, r)
			}
		}
		return err
	})
	return out, err
}

// StaleRun returns one run.
func (f *Fleet) StaleRun(ctx context.Context, a Actor, id StaleRunID) (*StaleRun, error) {
	if err := need(a, DevicesRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*StaleRun, error) {
		r, err := staleRuns.Get(tx, string(id))
		if err != nil {
			return nil, notFound(err, "rule-run")
		}
		if r.State == RunWaiting {
			if r.List, err = openList(tx, id); err != nil {
				return nil, err
			}
		}
		return r, f.narrowRun(tx, a, r)
	})
}

// narrowRun leaves in a run's counts only what lies within the actor's scope; Covered is then as it is now.
func (f *Fleet) narrowRun(tx store.Tx, a Actor, r *StaleRun) (err error) {
	if a.AllTags {
		return nil
	}
	r.Devices, r.Left, r.Outcomes = 0, 0, map[string]int{}
	if err := staleRunDevices.Each(tx, ofRun(r.ID), func(d *StaleRunDevice) (bool, error) {
		seen, err := seesRow(tx, a, d)
		if !seen || err != nil {
			return true, err
		}
		r.Devices++
		r.Outcomes[d.Outcome]++
		if d.Verdict.Living && d.Outcome == OutcomeOpen {
			r.Left++
		}
		return true, nil
	}); err != nil {
		return err
	}
	r.Covered, err = f.population(tx, a, &r.Rule)
	return err
}

// seesRow says whether a device of a run lies within the actor's scope: by the tags that it has now, or by those that it had when it was put on record
// once it is gone.
func seesRow(tx store.Tx, a Actor, row *StaleRunDevice) (bool, error) {
	if a.AllTags {
		return true, nil
	}
	d, err := devices.Get(tx, string(row.Verdict.Device))
	if err == nil {
		return sees(a, d.Tags), nil
	}
	return sees(a, row.Verdict.Tags), ignoreAbsent(err)
}

// StaleRunDevices lists the devices of a run with their outcomes, within the actor's scope.
func (f *Fleet) StaleRunDevices(ctx context.Context, a Actor, id StaleRunID, q ListQuery) (List[*StaleRunDevice], error) {
	out := List[*StaleRunDevice]{Total: -1}
	if err := need(a, DevicesRead); err != nil {
		return out, err
	}
	sq := ofRun(id)
	sq.Cursor, sq.Reverse = q.Cursor, q.Reverse
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		out.Items, out.Next, err = pageOf(tx, staleRunDevices, sq, pageLimit(q.Limit), func(d *StaleRunDevice) (bool, error) { return seesRow(tx, a, d) })
		return err
	})
	return out, err
}

// openList is a digest of the devices of a run that are not decided.
func openList(tx store.Tx, id StaleRunID) (string, error) {
	list := sha256.New()
	err := staleRunDevices.Each(tx, store.Query{Index: "open", Value: string(id)}, func(d *StaleRunDevice) (bool, error) {
		fmt.Fprintln(list, d.Verdict.Device)
		return true, nil
	})
	return hexOf(list.Sum(nil)), err
}

// AllowStaleRun is an administrator's yes to a run that would take more than the share. seen is the List of the run as he saw it: when it is about
// others now, he has to look again. The orders are given at once, as far as that is quick; the job gives the rest.
func (f *Fleet) AllowStaleRun(ctx context.Context, a Actor, id StaleRunID, seen string) (*StaleRun, error) {
	if err := f.decideRun(ctx, a, id, "allow-run", func(tx store.Tx, run *StaleRun) error {
		if run.State != RunWaiting {
			return Refuse(ErrConflict, "rule.not-waiting", "state", string(run.State))
		}
		if list, err := openList(tx, id); err != nil {
			return err
		} else if list != seen {
			return Refuse(ErrConflict, "rule.other-list")
		}
		run.State, run.YesBy = RunRemoving, a.Name
		return f.putRun(tx, run)
	}); err != nil {
		return nil, err
	}
	return f.advanceAtOnce(ctx, id)
}

// StopStaleRun ends a run. Devices that are not decided stay; what was ordered already goes on, and can be taken back.
func (f *Fleet) StopStaleRun(ctx context.Context, a Actor, id StaleRunID) (*StaleRun, error) {
	if err := f.decideRun(ctx, a, id, "stop-run", func(tx store.Tx, run *StaleRun) error {
		run.Stopped = Why("rule.stopped-by", "by", a.Name)
		return f.endRun(tx, run, RunStopped)
	}); err != nil {
		return nil, err
	}
	return f.StaleRun(ctx, a, id)
}

// decideRun is an administrator's word on an open run.
func (f *Fleet) decideRun(ctx context.Context, a Actor, id StaleRunID, verb string, fn func(store.Tx, *StaleRun) error) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		run, err := staleRuns.Get(tx, string(id))
		if err != nil {
			return notFound(err, "rule-run")
		}
		if err := mayStale(a, &run.Rule); err != nil {
			return err
		}
		if run.Ended != nil {
			return Refuse(ErrConflict, "rule.run-ended")
		}
		if err := fn(tx, run); err != nil {
			return err
		}
		return f.recordVerb(tx, a, verb, run)
	})
}

func (f *Fleet) recordVerb(tx store.Tx, a Actor, verb string, run *StaleRun) error {
	return f.record(tx, a, verb, "rule-run/"+string(run.ID), run.Rule.Name, nil, nil, map[string]any{"devices": run.Devices, "left": run.Left})
}

// TakeBackStale calls off what a run ordered of a device: while nothing of the removal was handed over, it stays as it was.
func (f *Fleet) TakeBackStale(ctx context.Context, a Actor, id StaleRunID, device DeviceID) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		row, err := staleRunDevices.Get(tx, staleRunDeviceID(id, device))
		if err != nil {
			return notFound(err, "device")
		}
		seen, err := seesRow(tx, a, row)
		if err != nil {
			return err
		}
		if !seen {
			return Refuse(ErrNotFound, "not-found", "what", "device")
		}
		if row.Outcome != OutcomeOrdered {
			return Refuse(ErrConflict, "rule.nothing-to-take-back")
		}
		run, err := staleRuns.Get(tx, string(id))
		if err != nil {
			return notFound(err, "rule-run")
		}
		if err := f.callOff(tx, a, row.Action); err != nil {
			return err
		}
		run.decide(row, OutcomeTakenBack, Why("rule.taken-back", "by", a.Name), f.now())
		if err := staleRunDevices.Put(tx, row); err != nil {
			return err
		}
		return f.putRun(tx, run)
	})
}

// rules names runs that wait for a yes.
func (n *needs) rules(tx store.Tx) error {
	if !n.a.May(DevicesRead) || !n.a.AllTags {
		return nil
	}
	return staleRuns.Each(tx, store.Query{Index: "open", Value: string(RunWaiting)}, func(r *StaleRun) (bool, error) {
		n.add(SeverityWarning, "/rule-runs/"+string(r.ID), "rule-run/"+string(r.ID),
			Why("need.rule-waits", "rule", r.Rule.Name, "count", strconv.Itoa(r.Left), "covered", strconv.Itoa(r.Covered), "share", strconv.Itoa(r.Rule.Share)))
		return true, nil
	})
}

// NextStale is when the daily job of a kind begins runs; the pages show it beside a rule. Zero when there is no scheduler.
func (f *Fleet) NextStale(k StaleKind) time.Time {
	if f.jobs == nil {
		return time.Time{}
	}
	for _, p := range f.jobs.Plans() {
		if p.Name == string(k) {
			return p.Next
		}
	}
	return time.Time{}
}
