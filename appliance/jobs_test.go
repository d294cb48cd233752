package appliance

import (
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// movingClock is a clock that a test sets forward.
type movingClock struct{ ahead atomic.Int64 }

func (c *movingClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *movingClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// job returns a job's state.
func (w *world) job(name string) *fleet.JobState {
	w.t.Helper()
	j, err := w.Appliance.fleet.Job(w.t.Context(), w.Actor, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// ran waits until a job has run for a tick at or after t.
func (w *world) ran(name string, t time.Time) *fleet.JobRun {
	w.t.Helper()
	w.eventually("job "+name+" runs", func() bool {
		j := w.job(name)
		return j.Running == nil && j.Last != nil && !j.Last.Tick.Before(t)
	})
	return w.job(name).Last
}

// Jobs run at the start, by hand over the API, and what was missed while the machine was off is made up once; their records outlive restarts.
func TestJobsRunAndAreKept(t *testing.T) {
	clock := &movingClock{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Clock = clock.now })
	c := newClient(t, w)

	var list struct{ Items []fleet.JobState }
	c.call("GET", "/jobs", nil, 200, &list)
	if len(list.Items) < 5 {
		t.Fatalf("only %d jobs", len(list.Items))
	}
	for _, j := range list.Items {
		needWords(t, "job."+j.Name)
		needWords(t, "job."+j.Name+".hint")
		if !j.Next.After(clock.now()) || (j.At == "") == (j.EverySeconds == 0) {
			t.Errorf("schedule of %s: %+v", j.Name, j)
		}
		if r := w.ran(j.Name, time.Time{}); r.Outcome != "done" {
			t.Errorf("%s ended as %s: %v", j.Name, r.Outcome, r.Result)
		}
	}

	// What did not have to be done is not called done.
	if r := w.job("rehearsal").Last; r.Outcome != "done" || r.Result.Code != "job.no-rehearsal-due" {
		t.Errorf("rehearsal without a backup: %+v", r)
	}
	v := w.owner(t)
	status, body := v.get("/health/jobs/rehearsal")
	v.wants("a rehearsal that was not due", status, 200, body, "Not done", "No backup was due to be tried out")

	c.call("POST", "/jobs/compaction/run", nil, 202, nil)
	var runs struct{ Items []fleet.JobRun }
	w.eventually("the run by hand ends", func() bool {
		c.call("GET", "/jobs/compaction/runs", nil, 200, &runs)
		return len(runs.Items) == 2
	})
	if r := runs.Items[0]; r.Trigger != "by-hand" || r.By == "" || r.Outcome != "done" || r.Ended == nil {
		t.Errorf("run by hand: %+v", r)
	}
	c.call("POST", "/jobs/no-such-job/run", nil, 404, nil)
	log, err := w.Appliance.fleet.Audit(t.Context(), w.Actor, fleet.AuditQuery{Verb: "run-job"})
	if err != nil || len(log.Items) != 1 || log.Items[0].Object != "job/compaction" {
		t.Errorf("audit: %v, %v", log.Items, err)
	}

	w.stop()
	clock.advance(5 * 24 * time.Hour)
	off := clock.now()
	w.start()
	if r := w.ran("compaction", off.Add(-24*time.Hour)); r.Attempt != 1 {
		t.Errorf("made up: %+v", r)
	}
	kept, err := w.Appliance.fleet.JobRuns(t.Context(), w.Actor, "compaction", fleet.ListQuery{})
	if err != nil || len(kept.Items) != 3 {
		t.Errorf("%d runs after the restart, want 3: %v", len(kept.Items), err)
	}
}
