package appliance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"muster/appliance/fleet"
	"muster/jobs"
)

// addJobs makes the scheduler with everything that runs by itself on a schedule. A new job is one entry here and its words job.NAME and
// job.NAME.hint. What answers to events (the fan-out, pushes) has workers of its own, see Run.
func (a *Appliance) addJobs() error {
	var err error
	a.jobs, err = jobs.New(jobs.Config{Keeper: jobKeeper{a.fleet}, Clock: jobs.Wall(a.config.Clock), Logger: a.log})
	if err != nil {
		return err
	}
	for _, j := range []jobs.Job{
		{Name: "sweep", Schedule: jobs.Every(time.Minute), Quiet: true, Do: quietly(a.fleet.Sweep)},
		{Name: "sign-ins", Schedule: jobs.Every(time.Minute), Quiet: true, Do: quietly(a.windows.Tidy)},
		{Name: "certificate", Schedule: jobs.Every(time.Hour), Do: plainly(a.tls.refresh)},
		{Name: "reach", Schedule: jobs.Every(time.Hour), Quiet: true, Do: quietly(a.lookAtItself)},
		{Name: "revocation-list", Schedule: jobs.Every(6 * time.Hour), Do: plainly(a.renewCRL)},
		{Name: "backup", Schedule: jobs.Daily(2, 15), Do: a.backUp},
		{Name: "rehearsal", Schedule: jobs.Daily(5, 15), Do: a.rehearse},
		{Name: "cleanup", Schedule: jobs.Daily(3, 15), Do: counting(func(ctx context.Context) (int, error) {
			return a.fleet.StartStaleRuns(ctx, fleet.Job("cleanup"), fleet.Cleanup)
		})},
		{Name: "sync-expiry", Schedule: jobs.Daily(3, 45), Do: counting(func(ctx context.Context) (int, error) {
			return a.fleet.StartStaleRuns(ctx, fleet.Job("sync-expiry"), fleet.SyncExpiry)
		})},
		{Name: "rules", Schedule: jobs.Every(5 * time.Minute), Quiet: true, Do: counting(func(ctx context.Context) (int, error) {
			return a.fleet.AdvanceStaleRuns(ctx, fleet.Job("rules"))
		})},
		{Name: "compaction", Schedule: jobs.Daily(4, 30), Do: plainly(a.db.RunGC)},
	} {
		if err := a.jobs.Add(j); err != nil {
			return err
		}
	}
	a.fleet.UseJobs(jobRunner{a.jobs})
	return nil
}

// plainly is a job that has nothing more to say than that it is done.
func plainly(do func(context.Context) error) func(context.Context) (jobs.Result, error) {
	return func(ctx context.Context) (jobs.Result, error) { return jobs.Result{Code: "job.done"}, do(ctx) }
}

// rehearse tries a backup out. When none is due, the job does not call that done either.
func (a *Appliance) rehearse(ctx context.Context) (jobs.Result, error) {
	b, err := a.fleet.Rehearse(ctx)
	if b == nil && err == nil {
		return jobs.Result{Code: "job.no-rehearsal-due"}, nil
	}
	return jobs.Result{Code: "job.done"}, err
}

// backUp makes the nightly backup. Without a recovery key there is none to make, and the job does not call that done.
func (a *Appliance) backUp(ctx context.Context) (jobs.Result, error) {
	err := a.fleet.BackUp(ctx)
	var refusal *fleet.Refusal
	if errors.As(err, &refusal) && refusal.Reason.Code == "recovery.missing" {
		return jobs.Result{Code: "job.no-recovery-key"}, nil
	}
	return jobs.Result{Code: "job.done"}, err
}

// quietly is a frequent job whose history shows its failures only.
func quietly(do func(context.Context) error) func(context.Context) (jobs.Result, error) {
	return func(ctx context.Context) (jobs.Result, error) {
		return jobs.Result{Code: "job.done", Idle: true}, do(ctx)
	}
}

// counting is a job that says of how many rules it moved the runs.
func counting(do func(context.Context) (int, error)) func(context.Context) (jobs.Result, error) {
	return func(ctx context.Context) (jobs.Result, error) {
		n, err := do(ctx)
		if n == 0 {
			return jobs.Result{Code: "job.nothing", Idle: true}, err
		}
		return jobs.Result{Code: "job.rules", Args: map[string]string{"count": strconv.Itoa(n)}}, err
	}
}

// renewCRL makes the revocation list anew when half of its life is over, so that the first who fetches it does not wait.
func (a *Appliance) renewCRL(ctx context.Context) error {
	_, err := a.pki.CRL(ctx)
	return err
}

// jobKeeper keeps the runs of jobs in the domain's store.
type jobKeeper struct{ fleet *fleet.Fleet }

var _ jobs.Keeper = jobKeeper{}

func (k jobKeeper) Mark(ctx context.Context, job string) (jobs.Mark, error) {
	m, err := k.fleet.JobMark(ctx, fleet.Job(job), job)
	return markOf(m), err
}

func (k jobKeeper) Begin(ctx context.Context, r jobs.Run, seen jobs.Mark) (bool, error) {
	return k.fleet.BeginJob(ctx, fleet.Job(r.Job), keptRun(r), fleet.JobMark{Tick: seen.Tick, Attempt: seen.Attempt})
}

func (k jobKeeper) End(ctx context.Context, r jobs.Run) error {
	forget := r.Quiet && r.Result.Idle && r.Outcome == jobs.Done && r.Trigger != jobs.ByHand
	return k.fleet.EndJob(ctx, fleet.Job(r.Job), keptRun(r), forget)
}

func markOf(m fleet.JobMark) jobs.Mark {
	out := jobs.Mark{Tick: m.Tick, Attempt: m.Attempt}
	run := func(r *fleet.JobRun) *jobs.Run {
		if r == nil {
			return nil
		}
		return &jobs.Run{Job: r.Job, Tick: r.Tick, Attempt: r.Attempt, Trigger: r.Trigger, By: r.By, Started: r.Started, Outcome: r.Outcome}
	}
	out.Open, out.Last = run(m.Open), run(m.Last)
	return out
}

func keptRun(r jobs.Run) fleet.JobRun {
	out := fleet.JobRun{Job: r.Job, Tick: r.Tick, Attempt: r.Attempt, Trigger: r.Trigger, By: r.By, Started: r.Started.UTC(), Outcome: r.Outcome,
		Result: fleet.Reason{Code: r.Result.Code, Args: r.Result.Args}}
	if !r.Ended.IsZero() {
		end := r.Ended.UTC()
		out.Ended = &end
	}
	switch r.Outcome {
	case jobs.Failed:
		out.Result = fleet.Why("job.failed", "cause", r.Cause)
	case jobs.Interrupted:
		out.Result = fleet.Why("job.interrupted")
	}
	return out
}

// jobRunner shows the scheduler to the domain.
type jobRunner struct{ jobs *jobs.Scheduler }

var _ fleet.JobRunner = jobRunner{}

func (r jobRunner) Plans() []fleet.JobPlan {
	var out []fleet.JobPlan
	for _, p := range r.jobs.Plans() {
		plan := fleet.JobPlan{Name: p.Name, Next: p.Next, Quiet: p.Quiet}
		if h, m, daily := p.Schedule.TimeOfDay(); daily {
			plan.At = fmt.Sprintf("%02d:%02d", h, m)
		} else {
			plan.Every = p.Schedule.Period()
		}
		out = append(out, plan)
	}
	return out
}

func (r jobRunner) RunNow(ctx context.Context, name, by string, begin func(context.Context, fleet.JobRun, fleet.JobMark) (bool, error)) error {
	err := r.jobs.RunNow(ctx, name, by, func(ctx context.Context, run jobs.Run, seen jobs.Mark) (bool, error) {
		return begin(ctx, keptRun(run), fleet.JobMark{Tick: seen.Tick, Attempt: seen.Attempt})
	})
	switch {
	case errors.Is(err, jobs.ErrUnknown):
		return fleet.Refuse(fleet.ErrNotFound, "not-found", "what", "job")
	case errors.Is(err, jobs.ErrRunning):
		return fleet.Refuse(fleet.ErrConflict, "job.running")
	case errors.Is(err, jobs.ErrStopped):
		return fleet.Refuse(fleet.ErrConflict, "job.stopped")
	}
	return err
}
