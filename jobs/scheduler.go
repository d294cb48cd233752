package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/jonboulle/clockwork"
)

var (
	// ErrUnknown: no job has that name.
	ErrUnknown = errors.New("jobs: no such job")
	// ErrRunning: the job is running now.
	ErrRunning = errors.New("jobs: already running")
	// ErrStopped: the scheduler is not running.
	ErrStopped = errors.New("jobs: scheduler not running")
)

const (
	lookEvery   = time.Minute // however the timers stand
	attemptMost = 3           // runs for one tick: a job that ends the program does not do so for ever
	lateAfter   = 2 * time.Minute
)

// Job is a named piece of work.
type Job struct {
	Name     string
	Schedule Schedule
	// Quiet jobs are so frequent that runs with nothing to do are not kept in the history.
	Quiet bool
	// Do does the work. It must end soon after ctx does, and may be run again for the same tick when the program ended during it.
	Do func(ctx context.Context) (Result, error)
}

// Config holds what a Scheduler needs. Keeper is required.
type Config struct {
	Keeper   Keeper
	Clock    clockwork.Clock // nil = the real one; see Wall
	Location *time.Location  // of daily schedules; nil = the machine's
	Logger   *slog.Logger    // nil = discarded
}

// Wall is a clock that tells the time by now and measures durations by the machine.
func Wall(now func() time.Time) clockwork.Clock { return wall{clockwork.NewRealClock(), now} }

type wall struct {
	clockwork.Clock
	now func() time.Time
}

func (w wall) Now() time.Time                  { return w.now() }
func (w wall) Since(t time.Time) time.Duration { return w.now().Sub(t) }
func (w wall) Until(t time.Time) time.Duration { return t.Sub(w.now()) }

// Scheduler runs jobs. It is safe for concurrent use.
type Scheduler struct {
	keeper Keeper
	clock  clockwork.Clock
	where  *time.Location
	log    *slog.Logger
	cron   gocron.Scheduler

	mu      sync.Mutex
	order   []string
	jobs    map[string]*entry
	ctx     context.Context // while running
	running sync.WaitGroup
}

type entry struct {
	Job
	cron gocron.Job
	busy bool
	soon chan struct{} // while it is busy without being at work: closed when that is over
}

// New makes a scheduler without jobs.
func New(c Config) (*Scheduler, error) {
	if c.Keeper == nil {
		return nil, errors.New("jobs: a keeper is required")
	}
	s := &Scheduler{keeper: c.Keeper, clock: c.Clock, where: c.Location, log: c.Logger, jobs: map[string]*entry{}}
	if s.clock == nil {
		s.clock = clockwork.NewRealClock()
	}
	if s.where == nil {
		s.where = time.Local
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	s.cron, err = gocron.NewScheduler(gocron.WithClock(s.clock), gocron.WithLocation(s.where))
	return s, err
}

func (s *Scheduler) now() time.Time { return s.clock.Now().In(s.where) }

// Add registers a job. It may be called before Run and during it.
func (s *Scheduler) Add(j Job) error {
	if err := j.Schedule.check(); err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	if j.Name == "" || j.Do == nil {
		return errors.New("jobs: a job has a name and something to do")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[j.Name] != nil {
		return fmt.Errorf("jobs: two jobs are called %s", j.Name)
	}
	def, options := j.Schedule.definition(s.now())
	cron, err := s.cron.NewJob(def, s.task(j.Name), append(options, gocron.WithName(j.Name))...)
	if err != nil {
		return fmt.Errorf("job %s: %w", j.Name, err)
	}
	s.jobs[j.Name] = &entry{Job: j, cron: cron}
	s.order = append(s.order, j.Name)
	return nil
}

// Reschedule gives a job another schedule, from now on. A tick of the new one that lies behind counts as missed.
func (s *Scheduler) Reschedule(name string, to Schedule) error {
	if err := to.check(); err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.jobs[name]
	if e == nil {
		return ErrUnknown
	}
	def, options := to.definition(s.now())
	cron, err := s.cron.Update(e.cron.ID(), def, s.task(name), append(options, gocron.WithName(name))...)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	e.cron, e.Schedule = cron, to
	return nil
}

func (s *Scheduler) task(name string) gocron.Task {
	return gocron.NewTask(func() { s.look(name) })
}

// Run runs jobs until ctx ends, and waits for those that are at work then. What an earlier life of the program left open is entered as interrupted
// first, and made up.
func (s *Scheduler) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	for _, name := range s.names() {
		if err := s.mend(ctx, name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.ctx = inner
	s.mu.Unlock()
	if _, err := s.cron.NewJob(gocron.DurationJob(lookEvery), gocron.NewTask(s.Look), gocron.WithName("look")); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	s.cron.Start()
	s.Look()
	<-ctx.Done()
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	s.running.Wait()
	return s.cron.Shutdown()
}

func (s *Scheduler) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.order...)
}

// mend ends what was open when the program ended.
func (s *Scheduler) mend(ctx context.Context, name string) error {
	m, err := s.keeper.Mark(ctx, name)
	if err != nil || m.Open == nil {
		return err
	}
	r := *m.Open
	r.Ended, r.Outcome = s.now(), Interrupted
	s.log.Warn("a job was interrupted", "job", name, "started", r.Started)
	return s.keeper.End(ctx, r)
}

// Look starts every job that is due.
func (s *Scheduler) Look() {
	for _, name := range s.names() {
		s.look(name)
	}
}

// look starts one job if it is due.
func (s *Scheduler) look(name string) {
	j, ctx, err := s.take(name)
	if err != nil {
		return
	}
	m, err := s.keeper.Mark(ctx, name)
	if err != nil {
		s.trouble(ctx, name, err)
	}
	r, due := next(j, m, s.now())
	if err != nil || !due || !s.begin(ctx, r, m) {
		s.rest(name)
		return
	}
	go s.work(ctx, j, r)
}

// next is the run that is due, if one is.
func next(j Job, m Mark, now time.Time) (Run, bool) {
	r := Run{Job: j.Name, Tick: j.Schedule.Tick(now), Attempt: 1, Trigger: OnTime, Started: now, Outcome: Running, Quiet: j.Quiet}
	if now.Sub(r.Tick) > lateAfter {
		r.Trigger = Late
	}
	switch {
	case m.Open != nil:
		return r, false
	case m.Tick.After(now.Add(j.Schedule.Period())): // the clock was ahead once; nobody waits until it is that late again
		return r, true
	case m.Tick.Before(r.Tick):
		return r, true
	case m.Tick.Equal(r.Tick) && m.Last != nil && m.Last.Outcome == Interrupted && m.Last.Tick.Equal(r.Tick) && m.Attempt < attemptMost:
		r.Attempt, r.Trigger = m.Attempt+1, Late
		return r, true
	}
	return r, false
}

func (s *Scheduler) begin(ctx context.Context, r Run, seen Mark) bool {
	ok, err := s.keeper.Begin(ctx, r, seen)
	if err != nil {
		s.trouble(ctx, r.Job, err)
	}
	return ok && err == nil
}

func (s *Scheduler) trouble(ctx context.Context, name string, err error) {
	if ctx.Err() == nil {
		s.log.Error("the record of a job", "job", name, "err", err)
	}
}

// take marks a job as busy until rest. Somebody who only looks whether it is due, or enters how it ended, is waited for: who saw that entry, or no
// run at all, is not told that it is at work.
func (s *Scheduler) take(name string) (Job, context.Context, error) {
	for {
		s.mu.Lock()
		e, ctx := s.jobs[name], s.ctx
		if e == nil || ctx == nil {
			s.mu.Unlock()
			if e == nil {
				return Job{}, nil, ErrUnknown
			}
			return Job{}, nil, ErrStopped
		}
		if !e.busy {
			e.busy, e.soon = true, make(chan struct{})
			s.running.Add(1)
			j := e.Job
			s.mu.Unlock()
			return j, ctx, nil
		}
		soon := e.soon
		s.mu.Unlock()
		if soon == nil {
			return Job{}, nil, ErrRunning
		}
		<-soon
	}
}

// atWork says whether a busy job is at work, which nobody waits for.
func (s *Scheduler) atWork(name string, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.jobs[name]
	if yes {
		close(e.soon)
		e.soon = nil
	} else {
		e.soon = make(chan struct{})
	}
}

// rest says that a job is not at work any more.
func (s *Scheduler) rest(name string) {
	s.mu.Lock()
	e := s.jobs[name]
	if e.soon != nil {
		close(e.soon)
	}
	e.busy, e.soon = false, nil
	s.mu.Unlock()
	s.running.Done()
}

// work does what a job does and enters how it ended.
func (s *Scheduler) work(ctx context.Context, j Job, r Run) {
	defer s.rest(j.Name)
	s.atWork(j.Name, true)
	var err error
	r.Result, err = do(ctx, j)
	r.Ended, r.Outcome = s.now(), Done
	switch {
	case err != nil && ctx.Err() != nil:
		r.Outcome = Interrupted
	case err != nil:
		r.Outcome, r.Cause = Failed, err.Error()
		s.log.Error("a job failed", "job", j.Name, "err", err)
	}
	s.atWork(j.Name, false)
	// How it ended is entered also while the program ends.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.keeper.End(last, r); err != nil {
		s.log.Error("the record of a job", "job", j.Name, "err", err)
	}
}

// do keeps a panic within the job.
func do(ctx context.Context, j Job) (r Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return j.Do(ctx)
}

// RunNow starts a job by hand and returns when the start is entered, not when it has ended. ErrRunning when it is at work already. begin enters it
// in place of Keeper.Begin, under the same contract, so that a caller can enter in the same transaction what he has to say of it; nil = Keeper.Begin.
func (s *Scheduler) RunNow(ctx context.Context, name, by string, begin func(context.Context, Run, Mark) (bool, error)) error {
	if begin == nil {
		begin = s.keeper.Begin
	}
	j, inner, err := s.take(name)
	if err != nil {
		return err
	}
	m, err := s.keeper.Mark(ctx, name)
	if err != nil {
		s.rest(name)
		return err
	}
	r := Run{Job: name, Trigger: ByHand, By: by, Attempt: 1, Started: s.now(), Outcome: Running}
	ok, err := begin(ctx, r, m)
	if err == nil && !ok {
		err = ErrRunning
	}
	if err != nil {
		s.rest(name)
		return err
	}
	go s.work(inner, j, r)
	return nil
}

// Plan is a job with its next tick.
type Plan struct {
	Name     string
	Schedule Schedule
	Next     time.Time
	Quiet    bool
}

// Plans lists the jobs in the order in which they were added.
func (s *Scheduler) Plans() []Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var out []Plan
	for _, name := range s.order {
		e := s.jobs[name]
		out = append(out, Plan{Name: name, Schedule: e.Schedule, Next: e.Schedule.Next(now), Quiet: e.Quiet})
	}
	return out
}
