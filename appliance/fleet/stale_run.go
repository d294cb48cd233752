package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/store"
)

// StaleRunState is how far a run of a rule is.
type StaleRunState string

const (
	RunAsking   StaleRunState = "asking"   // the devices were pushed and have time to answer
	RunWaiting  StaleRunState = "waiting"  // for an administrator's yes: it is more than the share
	RunRemoving StaleRunState = "removing" // orders are given
	RunDone     StaleRunState = "done"
	RunStopped  StaleRunState = "stopped"
)

// StaleRunStates in the order of a run's life.
var StaleRunStates = []StaleRunState{RunAsking, RunWaiting, RunRemoving, RunDone, RunStopped}

// StaleRun is one run of a rule.
type StaleRun struct {
	ID       StaleRunID     `json:"id"`
	Rule     StaleRule      `json:"rule,omitzero"` // as it was when the run began: it runs under these terms
	By       string         `json:"by"`
	Started  time.Time      `json:"started,omitzero"`
	State    StaleRunState  `json:"state"`
	Listed   bool           `json:"listed"`            // every device it may take is on record and was pushed
	JudgeAt  time.Time      `json:"judge_at,omitzero"` // when devices that did not answer are judged again
	Covered  int            `json:"covered"`           // living devices that the rule was about
	Devices  int            `json:"devices"`           // on record
	Left     int            `json:"left"`              // living devices still to be taken after judging again
	Outcomes map[string]int `json:"outcomes"`          // by outcome
	YesBy    string         `json:"yes_by,omitempty"`  // who allowed more than the share
	List     string         `json:"list,omitempty"`    // while it waits: names the devices that a yes would be about. Not kept
	Stopped  Reason         `json:"stopped,omitzero"`  // why it was stopped
	Ended    *time.Time     `json:"ended,omitempty"`
}

// Outcomes of a device in a run.
const (
	OutcomeOpen      = "open"       // on record, not decided
	OutcomeAnswered  = "answered"   // it called: it stays
	OutcomeSkipped   = "skipped"    // something spares it now
	OutcomeGone      = "gone"       // it left by another way
	OutcomeOrdered   = "ordered"    // the removal is ordered
	OutcomeDeleted   = "deleted"    // the record of what had already left is gone
	OutcomeTakenBack = "taken-back" // by an administrator
)

// StaleOutcomes in the order of the UI.
var StaleOutcomes = []string{OutcomeOrdered, OutcomeDeleted, OutcomeAnswered, OutcomeSkipped, OutcomeGone, OutcomeTakenBack, OutcomeOpen}

// StaleRunDevice is one device in a run, with its outcome.
type StaleRunDevice struct {
	ID      string       `json:"id"` // run + "." + device
	Run     StaleRunID   `json:"run"`
	Verdict StaleVerdict `json:"verdict,omitzero"` // as it was when it was put on record
	Outcome string       `json:"outcome"`
	Reason  Reason       `json:"reason,omitzero"`
	Action  ActionID     `json:"action,omitempty"` // the order that was given
	At      time.Time    `json:"at,omitzero"`
}

var (
	staleRuns = store.Define("su", func(r *StaleRun) string { return string(r.ID) },
		store.Index[StaleRun]{Name: "rule", Values: func(r *StaleRun) []string { return []string{string(r.Rule.ID)} }},
		store.Index[StaleRun]{Name: "open", Values: func(r *StaleRun) []string {
			if r.Ended != nil {
				return nil
			}
			return []string{string(r.State)}
		}},
	)
	staleRunDevices = store.Define("sv", func(d *StaleRunDevice) string { return d.ID },
		store.Index[StaleRunDevice]{Name: "open", Values: func(d *StaleRunDevice) []string {
			if d.Outcome != OutcomeOpen {
				return nil
			}
			return []string{string(d.Run)}
		}},
	)
)

const (
	staleBatch    = 100 // devices in one transaction
	staleRunsKept = 400 * 24 * time.Hour
)

func staleRunDeviceID(r StaleRunID, d DeviceID) string { return string(r) + "." + string(d) }

// ofRun are the devices of a run.
func ofRun(r StaleRunID) store.Query { return store.Query{From: string(r) + ".", To: string(r) + "/"} }

// beginRun opens a run of a rule, if none is open.
func (f *Fleet) beginRun(tx store.Tx, a Actor, r *StaleRule) (*StaleRun, error) {
	if r.Run != "" {
		return nil, Refuse(ErrConflict, "rule.running", "rule", r.Name)
	}
	if held, err := f.Held(tx); err != nil {
		return nil, err
	} else if held {
		return nil, Refuse(ErrConflict, "waiting.restored")
	}
	covered, err := f.population(tx, Job(string(r.Kind)), r)
	if err != nil {
		return nil, err
	}
	now := f.now().UTC()
	run := &StaleRun{ID: StaleRunID(store.NewID()), Rule: *r, By: a.Name, Started: now, State: RunAsking, JudgeAt: now.Add(time.Duration(r.GraceHours) * time.Hour),
		Covered: covered, Outcomes: map[string]int{}}
	r.Run = run.ID
	if err := staleRules.Put(tx, r); err != nil {
		return nil, err
	}
	return run, f.putRun(tx, run)
}

func (f *Fleet) putRun(tx store.Tx, r *StaleRun) error {
	f.publish(tx, "rule", string(r.Rule.ID))
	f.publish(tx, "overview", "")
	return staleRuns.Put(tx, r)
}

// endRun closes a run and lets its rule begin another.
func (f *Fleet) endRun(tx store.Tx, run *StaleRun, s StaleRunState) error {
	now := f.now().UTC()
	run.State, run.Ended = s, &now
	r, err := staleRules.Get(tx, string(run.Rule.ID))
	if err == nil && r.Run == run.ID {
		r.Run = ""
		err = staleRules.Put(tx, r)
	}
	if err := ignoreAbsent(err); err != nil {
		return err
	}
	return f.putRun(tx, run)
}

// stopOpen ends the open run of a rule that the caller is about to store.
func (f *Fleet) stopOpen(tx store.Tx, r *StaleRule, why Reason) error {
	if r.Run == "" {
		return nil
	}
	run, err := staleRuns.Get(tx, string(r.Run))
	r.Run = ""
	if err != nil {
		return ignoreAbsent(err)
	}
	now := f.now().UTC()
	run.State, run.Ended, run.Stopped = RunStopped, &now, why
	return f.putRun(tx, run)
}

// StartStaleRuns begins a run of every rule of a kind that is on and has none open. The daily jobs call it.
func (f *Fleet) StartStaleRuns(ctx context.Context, a Actor, k StaleKind) (int, error) {
	if a.Kind != ActorJob {
		return 0, need(Actor{}, DevicesDelete)
	}
	var ids []StaleRuleID
	err := f.db.View(ctx, func(tx store.Tx) error {
		if held, err := f.Held(tx); held || err != nil {
			return err
		}
		return staleRules.Each(tx, store.Query{Index: "kind", Value: string(k)}, func(r *StaleRule) (bool, error) {
			if !r.Off && r.Run == "" {
				ids = append(ids, r.ID)
			}
			return true, nil
		})
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, id := range ids {
		run, err := updated(ctx, f, func(tx store.Tx) (*StaleRun, error) {
			r, err := staleRules.Get(tx, string(id))
			if err != nil || r.Off || r.Run != "" {
				return nil, ignoreAbsent(err)
			}
			return f.beginRun(tx, a, r)
		})
		if err != nil {
			return n, err
		}
		if run == nil {
			continue
		}
		n++
		if _, err := f.advance(ctx, run.ID); err != nil {
			return n, err
		}
	}
	return n, nil
}

// RunStaleRule begins a run by hand. It asks the devices first, as every run does.
func (f *Fleet) RunStaleRule(ctx context.Context, a Actor, id StaleRuleID) (*StaleRun, error) {
	run, err := updated(ctx, f, func(tx store.Tx) (*StaleRun, error) {
		r, err := staleRules.Get(tx, string(id))
		if err != nil {
			return nil, notFound(err, "rule")
		}
		if err := mayStale(a, r); err != nil {
			return nil, err
		}
		run, err := f.beginRun(tx, a, r)
		if err != nil {
			return nil, err
		}
		return run, f.record(tx, a, "run-rule", "rule/"+string(id), r.Name, nil, nil, map[string]any{"run": run.ID})
	})
	if err != nil {
		return nil, err
	}
	return f.advanceAtOnce(ctx, run.ID)
}

// atOnce is how long somebody waits for a run to go on before his eyes.
const atOnce = 5 * time.Second

// advanceAtOnce takes a run further while an administrator waits. A large one goes on in the job: some hundred devices a second are written.
func (f *Fleet) advanceAtOnce(ctx context.Context, id StaleRunID) (*StaleRun, error) {
	soon, cancel := context.WithTimeout(ctx, atOnce)
	defer cancel()
	run, err := f.advance(soon, id)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		return viewed(ctx, f, func(tx store.Tx) (*StaleRun, error) { return staleRuns.Get(tx, string(id)) })
	}
	return run, err
}

// AdvanceStaleRuns takes every open run as far as it can go now, and says how many moved. A frequent job calls it; a run that was cut off anywhere goes on
// where it was.
func (f *Fleet) AdvanceStaleRuns(ctx context.Context, a Actor) (int, error) {
	if a.Kind != ActorJob {
		return 0, need(Actor{}, DevicesDelete)
	}
	var open []*StaleRun
	if err := f.db.View(ctx, func(tx store.Tx) error {
		if held, err := f.Held(tx); held || err != nil {
			return err
		}
		return staleRuns.Each(tx, store.Query{Index: "open"}, func(r *StaleRun) (bool, error) {
			open = append(open, r)
			return true, nil
		})
	}); err != nil {
		return 0, err
	}
	moved := 0
	for _, r := range open {
		after, err := f.advance(ctx, r.ID)
		if err != nil {
			return moved, err
		}
		if after.State != r.State {
			moved++
		}
	}
	return moved, f.pruneStaleRuns(ctx)
}

// advance takes one run as far as it can go now.
func (f *Fleet) advance(ctx context.Context, id StaleRunID) (*StaleRun, error) {
	for {
		run, err := viewed(ctx, f, func(tx store.Tx) (*StaleRun, error) { return staleRuns.Get(tx, string(id)) })
		if err != nil || run.Ended != nil {
			return run, err
		}
		var step func(context.Context, *StaleRun) error
		switch {
		case !run.Listed:
			step = f.listRun
		case run.State == RunAsking && (run.Devices == 0 || !f.now().Before(run.JudgeAt)):
			step = f.judgeRun
		case run.State == RunRemoving:
			step = f.removeRun
		default:
			return run, nil // time or an administrator is needed
		}
		if err := step(ctx, run); err != nil {
			return run, err
		}
	}
}

// onRun changes an open run in a transaction that fn may add to. A run that ended meanwhile stays as it is.
func (f *Fleet) onRun(ctx context.Context, id StaleRunID, fn func(store.Tx, *StaleRun) error) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		run, err := staleRuns.Get(tx, string(id))
		if err != nil || run.Ended != nil {
			return ignoreAbsent(err)
		}
		return fn(tx, run)
	})
}

// listRun puts every device that the rule would hit at the run's start on record, and pushes it (P63). What is on record already is left: cut off, it
// goes on.
func (f *Fleet) listRun(ctx context.Context, run *StaleRun) error {
	all, err := viewed(ctx, f, func(tx store.Tx) ([]StaleVerdict, error) { return f.silentDevices(tx, &run.Rule, run.Started) })
	if err != nil {
		return err
	}
	for from := 0; from < len(all); from += staleBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := all[from:min(from+staleBatch, len(all))]
		if err := f.onRun(ctx, run.ID, func(tx store.Tx, now *StaleRun) error {
			for _, v := range batch {
				if err := f.listDevice(tx, now, v.Device); err != nil {
					return err
				}
			}
			return staleRuns.Put(tx, now)
		}); err != nil {
			return err
		}
	}
	return f.onRun(ctx, run.ID, func(tx store.Tx, now *StaleRun) error {
		now.Listed = true
		return f.putRun(tx, now)
	})
}

func (f *Fleet) listDevice(tx store.Tx, run *StaleRun, id DeviceID) error {
	key := staleRunDeviceID(run.ID, id)
	if has, err := staleRunDevices.Has(tx, key); err != nil || has {
		return err
	}
	d, err := devices.Get(tx, string(id))
	if err != nil {
		return ignoreAbsent(err)
	}
	v, ok, err := f.judge(tx, &run.Rule, d, run.Started)
	if err != nil || !ok {
		return err
	}
	row := &StaleRunDevice{ID: key, Run: run.ID, Verdict: v, Outcome: OutcomeOpen, At: f.now().UTC()}
	if v.Action == "" {
		row.Outcome, row.Reason = OutcomeSkipped, v.Skip
	}
	run.Outcomes[row.Outcome]++
	run.Devices++
	if err := staleRunDevices.Insert(tx, row); err != nil {
		return err
	}
	if v.Action == "" || !v.Living {
		return nil
	}
	return f.wakeDevice(tx, d, "stale")
}

// openDevices are the devices of a run that are not decided.
func (f *Fleet) openDevices(ctx context.Context, id StaleRunID) ([]string, error) {
	return viewed(ctx, f, func(tx store.Tx) ([]string, error) {
		var ids []string
		err := staleRunDevices.Each(tx, store.Query{Index: "open", Value: string(id)}, func(d *StaleRunDevice) (bool, error) {
			ids = append(ids, d.ID)
			return true, nil
		})
		return ids, err
	})
}

// judgeRun judges the devices anew after they had time to answer, and asks for a yes when too many are left.
func (f *Fleet) judgeRun(ctx context.Context, run *StaleRun) error {
	ids, err := f.openDevices(ctx, run.ID)
	if err != nil {
		return err
	}
	for from := 0; from < len(ids); from += staleBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.onRun(ctx, run.ID, func(tx store.Tx, now *StaleRun) error {
			for _, id := range ids[from:min(from+staleBatch, len(ids))] {
				row, d, err := f.stillHit(tx, now, id)
				if err != nil {
					return err
				}
				if d == nil && row != nil {
					if err := staleRunDevices.Put(tx, row); err != nil {
						return err
					}
				}
			}
			return staleRuns.Put(tx, now)
		}); err != nil {
			return err
		}
	}
	return f.onRun(ctx, run.ID, func(tx store.Tx, now *StaleRun) error {
		now.Left = 0
		if err := staleRunDevices.Each(tx, store.Query{Index: "open", Value: string(now.ID)}, func(d *StaleRunDevice) (bool, error) {
			if d.Verdict.Living {
				now.Left++
			}
			return true, nil
		}); err != nil {
			return err
		}
		now.State = RunRemoving
		if now.YesBy == "" && now.Rule.beyondShare(now.Left, now.Covered) {
			now.State = RunWaiting
		}
		return f.putRun(tx, now)
	})
}

// stillHit judges one device of a run anew. A device that the rule does not hit any more is decided, and d is nil.
func (f *Fleet) stillHit(tx store.Tx, run *StaleRun, id string) (row *StaleRunDevice, d *Device, err error) {
	row, err = staleRunDevices.Get(tx, id)
	if err != nil {
		return nil, nil, ignoreAbsent(err)
	}
	if row.Outcome != OutcomeOpen {
		return nil, nil, nil
	}
	d, err = devices.Get(tx, string(row.Verdict.Device))
	if errors.Is(err, store.ErrNotFound) {
		run.decide(row, OutcomeGone, Why("rule.gone"), f.now())
		return row, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	v, ok, err := f.judge(tx, &run.Rule, d, f.now())
	switch {
	case err != nil:
		return nil, nil, err
	case d.Hidden || d.State.leaving() || d.State.ended() && row.Verdict.Living:
		run.decide(row, OutcomeGone, Why("rule.gone"), f.now())
	case !ok:
		run.decide(row, OutcomeAnswered, Why("rule.answered", "at", timeText(v.LastContact)), f.now())
	case v.Action == "":
		run.decide(row, OutcomeSkipped, v.Skip, f.now())
	default:
		return row, d, nil
	}
	return row, nil, nil
}

// decide gives a device its outcome.
func (r *StaleRun) decide(row *StaleRunDevice, outcome string, why Reason, now time.Time) {
	r.Outcomes[row.Outcome]--
	if r.Outcomes[row.Outcome] <= 0 {
		delete(r.Outcomes, row.Outcome)
	}
	r.Outcomes[outcome]++
	row.Outcome, row.Reason, row.At = outcome, why, now.UTC()
}

// removeRun gives the orders, one device a transaction: order and outcome are one commit, so a device is taken exactly once, wherever the run is cut off. Each is
// judged once more right before, for a yes may have taken days.
func (f *Fleet) removeRun(ctx context.Context, run *StaleRun) error {
	ids, err := f.openDevices(ctx, run.ID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.onRun(ctx, run.ID, func(tx store.Tx, now *StaleRun) error { return f.removeOne(tx, now, id) }); err != nil {
			return fmt.Errorf("rule %s, %s: %w", run.Rule.Name, id, err)
		}
	}
	return f.onRun(ctx, run.ID, func(tx store.Tx, now *StaleRun) error { return f.endRun(tx, now, RunDone) })
}

func (f *Fleet) removeOne(tx store.Tx, run *StaleRun, id string) error {
	if run.State != RunRemoving {
		return nil
	}
	row, d, err := f.stillHit(tx, run, id)
	if err != nil || row == nil {
		return err
	}
	if d != nil {
		by := Job(string(run.Rule.Kind))
		by.Name = run.Rule.Name
		t, _, err := f.staleAction(tx, &run.Rule, d)
		if err != nil {
			return err
		}
		list, err := f.choices(tx, by, d)
		if err != nil {
			return err
		}
		outcome := OutcomeOrdered
		if d.State.ended() {
			outcome = OutcomeDeleted
		}
		var o ActionOptions
		for i := range list {
			if list[i].Type == t {
				if err := checkOptions(&list[i], &o); err != nil { // makes up a PIN where one is needed
					return err
				}
			}
		}
		a, err := f.order(tx, by, d, list, ActionID(store.NewID()), t, o)
		if err != nil {
			return err
		}
		row.Action = a.ID
		run.decide(row, outcome, Why("rule.ordered", "action", string(t)), f.now())
	}
	if err := staleRunDevices.Put(tx, row); err != nil {
		return err
	}
	f.publish(tx, "rule", string(run.Rule.ID))
	return staleRuns.Put(tx, run)
}

// pruneStaleRuns forgets runs that ended long ago, in bounded steps.
func (f *Fleet) pruneStaleRuns(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		var old []StaleRunID
		if err := staleRuns.Each(tx, store.Query{To: ulidBefore(f.now().Add(-staleRunsKept)), Limit: 10}, func(r *StaleRun) (bool, error) {
			if r.Ended != nil {
				old = append(old, r.ID)
			}
			return true, nil
		}); err != nil || len(old) == 0 {
			return false, err
		}
		var rows []string
		q := ofRun(old[0])
		q.Limit = sweepBatch
		if err := staleRunDevices.Each(tx, q, func(d *StaleRunDevice) (bool, error) {
			rows = append(rows, d.ID)
			return true, nil
		}); err != nil {
			return false, err
		}
		for _, id := range rows {
			if err := staleRunDevices.Delete(tx, id); err != nil {
				return false, err
			}
		}
		if len(rows) == sweepBatch {
			return true, nil
		}
		return true, staleRuns.Delete(tx, string(old[0]))
	})
}
