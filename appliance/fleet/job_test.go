package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// oneJob is a scheduler with one job that never runs by itself.
type oneJob struct{ w *planWorld }

func (o oneJob) Plans() []fleet.JobPlan {
	return []fleet.JobPlan{{Name: "compaction", At: "04:30", Next: o.w.now().Add(time.Hour)}}
}

func (o oneJob) RunNow(ctx context.Context, name, by string, begin func(context.Context, fleet.JobRun, fleet.JobMark) (bool, error)) error {
	ok, err := begin(ctx, fleet.JobRun{Job: name, By: by, Trigger: "by-hand", Started: o.w.now(), Outcome: "running"}, fleet.JobMark{})
	if err == nil && !ok {
		err = fleet.Refuse(fleet.ErrConflict, "job.running")
	}
	return err
}

// A tick is claimed once, and again only by whoever saw the mark as it is; nobody but the scheduler enters runs.
func TestJobTicksAreClaimedOnce(t *testing.T) {
	w := newPlanWorld(t)
	w.UseJobs(oneJob{w})
	job := fleet.Job("compaction")
	run := fleet.JobRun{Job: "compaction", Tick: w.now(), Attempt: 1, Trigger: "on-time", Started: w.now(), Outcome: "running"}
	if _, err := w.BeginJob(ctx, fleet.Actor{Kind: fleet.ActorAdmin, Permissions: job.Permissions, AllTags: true}, run, fleet.JobMark{}); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("an administrator entered a run: %v", err)
	}
	for i, want := range []bool{true, false} {
		if ok, err := w.BeginJob(ctx, job, run, fleet.JobMark{}); err != nil || ok != want {
			t.Fatalf("claim %d: %v, %v", i, ok, err)
		}
	}
	w.reopen()
	w.UseJobs(oneJob{w})
	if err := w.RunJob(ctx, w.admin, "compaction"); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("by hand while it is at work, after a restart: %v", err)
	}
	end := w.now()
	run.Ended, run.Outcome, run.Result = &end, "failed", fleet.Why("job.failed", "cause", "no space left")
	if err := w.EndJob(ctx, job, run, false); err != nil {
		t.Fatal(err)
	}
	if ok, err := w.BeginJob(ctx, job, run, fleet.JobMark{}); err != nil || ok {
		t.Errorf("the same tick was claimed by one who saw an older mark: %v, %v", ok, err)
	}

	failed := func(a fleet.Actor) bool {
		needs, err := w.Needs(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(needs, func(n fleet.Need) bool {
			return n.Reason.Code == "need.job-failed" && n.Reason.Args["cause"] == "no space left"
		})
	}
	helpDesk := fleet.Actor{Kind: fleet.ActorAdmin, AllTags: true, Permissions: map[fleet.Permission]bool{fleet.DevicesRead: true}}
	if !failed(w.admin) || failed(helpDesk) {
		t.Errorf("the failure is a need of the administrator: %v, of the help desk: %v", failed(w.admin), failed(helpDesk))
	}
	for _, err := range []error{w.RunJob(ctx, helpDesk, "compaction"), func() error { _, err := w.Jobs(ctx, helpDesk); return err }()} {
		if !errors.Is(err, fleet.ErrForbidden) {
			t.Errorf("the help desk on jobs: %v", err)
		}
	}
	if _, err := w.Job(ctx, w.admin, "no-such-job"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a job that is not there: %v", err)
	}
}

// The history keeps the newest hundred runs of each job.
func TestJobHistoryIsBounded(t *testing.T) {
	w := newPlanWorld(t)
	w.UseJobs(oneJob{w})
	end := w.now()
	for i := range 105 {
		if err := w.EndJob(ctx, fleet.Job("compaction"), fleet.JobRun{Job: "compaction", By: fmt.Sprint(i), Started: end, Ended: &end, Outcome: "done"}, false); err != nil {
			t.Fatal(err)
		}
	}
	l, err := w.JobRuns(ctx, w.admin, "compaction", fleet.ListQuery{Limit: 500})
	if err != nil || len(l.Items) != 100 || l.Items[0].By != "104" || l.Items[99].By != "5" {
		t.Fatalf("%d runs, %v", len(l.Items), err)
	}
}
