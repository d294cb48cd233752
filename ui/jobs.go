package ui

import (
	"context"
	"time"

	"muster/appliance/fleet"
)

// jobsDomain is what the pages about background jobs ask.
type jobsDomain interface {
	Jobs(ctx context.Context, a fleet.Actor) ([]fleet.JobState, error)
	Job(ctx context.Context, a fleet.Actor, name string) (*fleet.JobState, error)
	JobRuns(ctx context.Context, a fleet.Actor, name string, q fleet.ListQuery) (fleet.List[*fleet.JobRun], error)
	RunJob(ctx context.Context, a fleet.Actor, name string) error
}

func (u *UI) jobRoutes() {
	u.admin("GET /health/jobs/{name}", u.job)
	u.admin("POST /health/jobs/{name}/run", u.runJob)
}

// jobRow is a job in words.
type jobRow struct {
	Name       string
	What, Hint string
	When       string
	Next       time.Time
	Status     Status
	Last       *jobLine
	MayRun     bool
}

// jobLine is one run in words.
type jobLine struct {
	Started time.Time
	Took    string // "" while it runs
	Status  Status
	Result  string
	Trigger string
}

// jobRows are the background jobs, for those who may know of them.
func (u *UI) jobRows(q *Request) ([]jobRow, error) {
	if !q.Actor.May(fleet.SettingsRead) {
		return nil, nil
	}
	all, err := u.fleet.Jobs(q.Context(), q.Actor)
	var out []jobRow
	for _, j := range all {
		out = append(out, q.jobRow(j))
	}
	return out, err
}

func (q *Request) jobRow(j fleet.JobState) jobRow {
	row := jobRow{Name: j.Name, What: q.T("job." + j.Name), Hint: q.T("job." + j.Name + ".hint"), Next: j.Next, MayRun: q.Actor.MayWhole(fleet.SettingsEdit) && j.Running == nil}
	switch {
	case j.At != "":
		row.When = q.T("job.daily", "at", j.At)
	case j.EverySeconds%3600 == 0:
		row.When = q.Words.N("job.every.hours", j.EverySeconds/3600, nil)
	default:
		row.When = q.Words.N("job.every.minutes", j.EverySeconds/60, nil)
	}
	last := j.Last
	if j.Running != nil {
		last = j.Running
	}
	row.Status = Status{Kind: Mute, Word: q.T("job.never")}
	if last != nil {
		row.Last = q.jobLine(last)
		row.Status = row.Last.Status
	}
	return row
}

func (q *Request) jobLine(r *fleet.JobRun) *jobLine {
	kind := map[string]Kind{"running": Busy, "done": Good, "failed": Bad, "interrupted": Warn}[r.Outcome]
	l := &jobLine{Started: r.Started, Status: Status{Kind: kind, Word: q.T("job.outcome." + r.Outcome)}, Trigger: q.T("job.trigger." + r.Trigger)}
	switch r.Result.Code {
	case "job.no-recovery-key":
		l.Status = Status{Kind: Warn, Word: q.T("job.outcome.skipped")}
	case "job.no-rehearsal-due":
		l.Status = Status{Kind: Mute, Word: q.T("job.outcome.skipped")}
	}
	if r.Trigger == "by-hand" {
		l.Trigger = q.T("job.trigger.by", "name", r.By)
	}
	if r.Ended != nil {
		l.Took = q.T("job.took.instant")
		if took := r.Ended.Sub(r.Started); took >= time.Second {
			l.Took = q.Words.Duration(took)
		}
	}
	if r.Result.Code != "" && r.Result.Code != "job.done" && r.Outcome != "running" {
		l.Result = q.Say(r.Result)
	}
	return l
}

type jobPage struct {
	Head  Head
	Job   jobRow
	Runs  []*jobLine
	Pager *Pager
	Quiet bool
}

// job shows one job with its history.
func (u *UI) job(q *Request) error {
	name := q.PathValue("name")
	j, err := u.fleet.Job(q.Context(), q.Actor, name)
	if err != nil {
		return err
	}
	ask := q.asked()
	list, err := u.fleet.JobRuns(q.Context(), q.Actor, name, ask)
	if err != nil {
		return err
	}
	p := jobPage{Job: q.jobRow(*j), Quiet: j.Quiet}
	p.Head = Head{Title: p.Job.What, Sub: p.Job.Hint, Back: "/health", BackWord: q.T("health.title")}
	for _, r := range list.Items {
		p.Runs = append(p.Runs, q.jobLine(r))
	}
	if list.Next != "" || ask.Cursor != "" {
		p.Pager = q.pages(list.Next, "")
	}
	return q.Page("app/job", Page{Title: p.Head.Title, Live: true, Data: p})
}

// runJob starts a job now.
func (u *UI) runJob(q *Request) error {
	name := q.PathValue("name")
	form := Form{}
	err := u.fleet.RunJob(q.Context(), q.Actor, name)
	switch {
	case err == nil:
		q.Flash(Good, "job.started")
	case q.Refused(&form, err):
		q.Flash(Warn, "job.not-started")
	default:
		return err
	}
	return q.Redirect(q.Back("back", "/health/jobs/"+name))
}
