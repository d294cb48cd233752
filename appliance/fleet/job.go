package fleet

import (
	"context"
	"errors"
	"time"

	"muster/store"
)

// JobRun is one run of a background job, as it is kept.
type JobRun struct {
	ID      string     `json:"id,omitempty"` // of its line in the history
	Job     string     `json:"job"`
	Tick    time.Time  `json:"tick,omitzero"`     // the moment it was wanted at; zero when started by hand
	Attempt int        `json:"attempt,omitempty"` // more than one after an interruption
	Trigger string     `json:"trigger"`           // on-time, late, by-hand
	By      string     `json:"by,omitempty"`      // who started it by hand
	Started time.Time  `json:"started,omitzero"`
	Ended   *time.Time `json:"ended,omitempty"`
	Outcome string     `json:"outcome"` // running, done, failed, interrupted
	Result  Reason     `json:"result,omitzero"`
}

// Outcomes of a job's run, in the order of the UI.
var JobOutcomes = []string{"running", "done", "failed", "interrupted"}

// JobTriggers say why a job ran.
var JobTriggers = []string{"on-time", "late", "by-hand"}

// JobMark is how far a job is: the newest tick that was claimed, the run that is open, the last that ended.
type JobMark struct {
	Job     string    `json:"job"`
	Tick    time.Time `json:"tick,omitzero"`
	Attempt int       `json:"attempt,omitempty"`
	Open    *JobRun   `json:"open,omitempty"`
	Last    *JobRun   `json:"last,omitempty"`
}

// JobPlan is what the scheduler knows of a job.
type JobPlan struct {
	Name  string
	Every time.Duration // 0 = daily at At
	At    string        // "03:15", in the machine's time zone
	Next  time.Time
	Quiet bool // runs with nothing to do are not kept in the history
}

// JobState is a job with its schedule and its last run.
type JobState struct {
	Name         string    `json:"name"`
	EverySeconds int       `json:"every_seconds,omitempty"`
	At           string    `json:"at,omitempty"` // of a daily job, in the server's time zone
	Next         time.Time `json:"next,omitzero"`
	Quiet        bool      `json:"quiet"`
	Running      *JobRun   `json:"running,omitempty"`
	Last         *JobRun   `json:"last,omitempty"`
}

// JobRunner is what fleet needs of the scheduler.
type JobRunner interface {
	// Plans lists the jobs in the order of the UI.
	Plans() []JobPlan
	// RunNow starts a job by hand; begin enters the run and says whether it may start. It returns ErrNotFound for a job that is unknown and
	// ErrConflict for one that is at work, with words.
	RunNow(ctx context.Context, name, by string, begin func(context.Context, JobRun, JobMark) (bool, error)) error
}

var (
	jobMarks = store.Define("jm", func(m *JobMark) string { return m.Job })
	jobRuns  = store.Define("jr", func(r *JobRun) string { return r.ID },
		store.Index[JobRun]{Name: "job", Values: func(r *JobRun) []string { return []string{r.Job} }},
	)
)

// jobRunsKept is how many runs of a job the history keeps.
const jobRunsKept = 100

// UseJobs gives the scheduler to the pages and the API. It must come before anything is served.
func (f *Fleet) UseJobs(r JobRunner) { f.jobs = r }

// JobMark tells how far a job is; one that never ran has the zero mark.
func (f *Fleet) JobMark(ctx context.Context, a Actor, job string) (JobMark, error) {
	if a.Kind != ActorJob {
		return JobMark{}, need(a, SettingsRead)
	}
	return viewed(ctx, f, func(tx store.Tx) (JobMark, error) { return jobMark(tx, job) })
}

func jobMark(tx store.Tx, job string) (JobMark, error) {
	m, err := jobMarks.Get(tx, job)
	if errors.Is(err, store.ErrNotFound) {
		return JobMark{Job: job}, nil
	}
	if err != nil {
		return JobMark{}, err
	}
	return *m, nil
}

// BeginJob enters a run that is about to start, if the mark is still the one that was seen and no run of the job is open. So each tick
// is claimed once, however many look at the clock.
func (f *Fleet) BeginJob(ctx context.Context, a Actor, r JobRun, seen JobMark) (bool, error) {
	if a.Kind != ActorJob {
		return false, need(Actor{}, SettingsEdit)
	}
	return f.beginJob(ctx, r, seen, nil)
}

func (f *Fleet) beginJob(ctx context.Context, r JobRun, seen JobMark, also func(store.Tx) error) (bool, error) {
	return updated(ctx, f, func(tx store.Tx) (bool, error) {
		m, err := jobMark(tx, r.Job)
		if err != nil {
			return false, err
		}
		if m.Open != nil || !m.Tick.Equal(seen.Tick) || m.Attempt != seen.Attempt {
			return false, nil
		}
		if !r.Tick.IsZero() {
			m.Tick, m.Attempt = r.Tick.UTC(), r.Attempt
		}
		m.Open = &r
		if err := jobMarks.Put(tx, &m); err != nil {
			return false, err
		}
		f.publish(tx, "job", r.Job)
		if also != nil {
			return true, also(tx)
		}
		return true, nil
	})
}

// EndJob enters how the open run of a job ended. forget leaves it out of the history: it stays the job's last run.
func (f *Fleet) EndJob(ctx context.Context, a Actor, r JobRun, forget bool) error {
	if a.Kind != ActorJob {
		return need(Actor{}, SettingsEdit)
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		m, err := jobMark(tx, r.Job)
		if err != nil {
			return err
		}
		m.Open, m.Last = nil, &r
		if !forget {
			line := r
			line.ID = store.NewID()
			if err := jobRuns.Insert(tx, &line); err != nil {
				return err
			}
			if err := pruneJobRuns(tx, r.Job); err != nil {
				return err
			}
		}
		f.publish(tx, "job", r.Job)
		return jobMarks.Put(tx, &m)
	})
}

// pruneJobRuns keeps the newest runs of a job.
func pruneJobRuns(tx store.Tx, job string) error {
	n := 0
	var old []string
	err := jobRuns.Each(tx, store.Query{Index: "job", Value: job, Reverse: true}, func(r *JobRun) (bool, error) {
		if n++; n > jobRunsKept {
			old = append(old, r.ID)
		}
		return len(old) < 10, nil
	})
	for _, id := range old {
		if err == nil {
			err = jobRuns.Delete(tx, id)
		}
	}
	return err
}

// Jobs lists the background jobs with their schedules and last runs.
func (f *Fleet) Jobs(ctx context.Context, a Actor) ([]JobState, error) {
	if err := need(a, SettingsRead); err != nil {
		return nil, err
	}
	if f.jobs == nil {
		return nil, nil
	}
	return viewed(ctx, f, func(tx store.Tx) ([]JobState, error) {
		var out []JobState
		for _, p := range f.jobs.Plans() {
			s, err := jobState(tx, p)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	})
}

func jobState(tx store.Tx, p JobPlan) (JobState, error) {
	m, err := jobMark(tx, p.Name)
	return JobState{Name: p.Name, EverySeconds: int(p.Every / time.Second), At: p.At, Next: p.Next.UTC(), Quiet: p.Quiet, Running: m.Open, Last: m.Last}, err
}

// Job returns one job.
func (f *Fleet) Job(ctx context.Context, a Actor, name string) (*JobState, error) {
	all, err := f.Jobs(ctx, a)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, Refuse(ErrNotFound, "not-found", "what", "job")
}

// JobRuns lists the runs of a job, newest first.
func (f *Fleet) JobRuns(ctx context.Context, a Actor, name string, q ListQuery) (List[*JobRun], error) {
	out := List[*JobRun]{Total: -1}
	if _, err := f.Job(ctx, a, name); err != nil {
		return out, err
	}
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		out.Items, out.Next, err = pageOf(tx, jobRuns, store.Query{Index: "job", Value: name, Cursor: q.Cursor, Reverse: !q.Reverse}, pageLimit(q.Limit),
			func(*JobRun) (bool, error) { return true, nil })
		return err
	})
	return out, err
}

// RunJob starts a job now; it returns when the start is entered. ErrConflict while it is at work.
func (f *Fleet) RunJob(ctx context.Context, a Actor, name string) error {
	if err := needWhole(a, SettingsEdit); err != nil {
		return err
	}
	if f.jobs == nil {
		return Refuse(ErrNotFound, "not-found", "what", "job")
	}
	return f.jobs.RunNow(ctx, name, a.Name, func(ctx context.Context, r JobRun, seen JobMark) (bool, error) {
		return f.beginJob(ctx, r, seen, func(tx store.Tx) error {
			return f.record(tx, a, "run-job", "job/"+name, name, nil, nil, nil)
		})
	})
}

// jobs names jobs whose last run failed.
func (n *needs) jobs(tx store.Tx) error {
	if n.f.jobs == nil || !n.a.May(SettingsRead) || !n.a.AllTags {
		return nil
	}
	for _, p := range n.f.jobs.Plans() {
		m, err := jobMark(tx, p.Name)
		if err != nil {
			return err
		}
		if r := m.Last; r != nil && r.Outcome == "failed" {
			n.add(SeverityWarning, "/health/jobs/"+p.Name, "job/"+p.Name, Why("need.job-failed", "job", p.Name, "at", timeText(r.Started), "cause", r.Result.Args["cause"]))
		}
	}
	return nil
}
