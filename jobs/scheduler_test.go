package jobs

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"pgregory.net/rapid"
)

// memory is a Keeper that outlives schedulers, as a store does.
type memory struct {
	mu    sync.Mutex
	marks map[string]Mark
	runs  []Run
	ended chan Run
}

func newMemory() *memory { return &memory{marks: map[string]Mark{}, ended: make(chan Run, 1000)} }

func (k *memory) Mark(_ context.Context, job string) (Mark, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.marks[job], nil
}

func (k *memory) Begin(_ context.Context, r Run, seen Mark) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.marks[r.Job]
	if m.Open != nil || !m.Tick.Equal(seen.Tick) || m.Attempt != seen.Attempt {
		return false, nil
	}
	m.Open = &r
	if r.Trigger != ByHand {
		m.Tick, m.Attempt = r.Tick, r.Attempt
	}
	k.marks[r.Job] = m
	return true, nil
}

func (k *memory) End(_ context.Context, r Run) error {
	k.mu.Lock()
	m := k.marks[r.Job]
	m.Open, m.Last = nil, &r
	k.marks[r.Job] = m
	k.runs = append(k.runs, r)
	k.mu.Unlock()
	k.ended <- r
	return nil
}

// life is one run of a scheduler, from start to stop.
type life struct {
	*Scheduler
	stop func()
}

func begin(t testing.TB, k Keeper, clock clockwork.Clock, list ...Job) *life {
	t.Helper()
	s, err := New(Config{Keeper: k, Clock: clock, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range list {
		if err := s.Add(j); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	l := &life{s, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("scheduler ended: %v", err)
			}
		})
	}}
	t.Cleanup(l.stop)
	return l
}

func (k *memory) next(t testing.TB) Run {
	t.Helper()
	select {
	case r := <-k.ended:
		return r
	case <-time.After(time.Minute):
		t.Fatal("no run ended")
		return Run{}
	}
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func nothing(context.Context) (Result, error) { return Result{Code: "nothing", Idle: true}, nil }

func TestJobRunsOnItsTicksByTheGivenClock(t *testing.T) {
	k, clock := newMemory(), clockwork.NewFakeClockAt(noon.Add(10*time.Minute))
	l := begin(t, k, clock, Job{Name: "hourly", Schedule: Every(time.Hour), Do: nothing})
	if r := k.next(t); r.Trigger != Late || !r.Tick.Equal(noon) || r.Outcome != Done || r.Result.Code != "nothing" {
		t.Fatalf("first run: %+v", r)
	}
	for i := 1; i <= 3; i++ {
		if got, want := l.Plans()[0].Next, noon.Add(time.Duration(i)*time.Hour); !got.Equal(want) {
			t.Fatalf("next is %s, want %s", got, want)
		}
		if err := clock.BlockUntilContext(t.Context(), 2); err != nil { // the job's timer and the look-out's
			t.Fatal(err)
		}
		clock.Advance(l.Plans()[0].Next.Sub(clock.Now()))
		if r := k.next(t); r.Trigger != OnTime || !r.Tick.Equal(noon.Add(time.Duration(i)*time.Hour)) {
			t.Fatalf("run %d: %+v", i, r)
		}
	}
}

func TestMissedRunsAreMadeUpOnce(t *testing.T) {
	k := newMemory()
	nightly := Job{Name: "nightly", Schedule: Daily(3, 15), Do: nothing}
	l := begin(t, k, clockwork.NewFakeClockAt(noon), nightly)
	k.next(t)
	l.stop()
	l = begin(t, k, clockwork.NewFakeClockAt(noon.AddDate(0, 0, 9)), nightly) // nine nights off
	if r := k.next(t); r.Trigger != Late || !r.Tick.Equal(time.Date(2026, 3, 11, 3, 15, 0, 0, time.UTC)) {
		t.Fatalf("made up: %+v", r)
	}
	l.Look()
	l.stop()
	l = begin(t, k, clockwork.NewFakeClockAt(noon.AddDate(0, 0, 9).Add(time.Hour)), nightly)
	l.stop()
	if len(k.runs) != 2 {
		t.Fatalf("%d runs, want 2: %+v", len(k.runs), k.runs)
	}
}

func TestAJobNeverOverlapsItself(t *testing.T) {
	k, clock := newMemory(), clockwork.NewFakeClockAt(noon)
	started, release := make(chan bool), make(chan bool)
	l := begin(t, k, clock, Job{Name: "slow", Schedule: Every(time.Minute), Do: func(context.Context) (Result, error) {
		started <- true
		<-release
		return Result{}, nil
	}})
	<-started
	if err := l.RunNow(t.Context(), "slow", "Ada", nil); !errors.Is(err, ErrRunning) {
		t.Fatalf("a second run at the same time: %v", err)
	}
	for range 5 {
		clock.Advance(time.Minute)
		l.Look()
	}
	release <- true
	k.next(t)
	l.Look() // the five ticks that passed are one run
	<-started
	release <- true
	if r := k.next(t); !r.Tick.Equal(noon.Add(5 * time.Minute)) {
		t.Fatalf("second run: %+v", r)
	}
	if err := l.RunNow(t.Context(), "none", "Ada", nil); !errors.Is(err, ErrUnknown) {
		t.Fatalf("a job that does not exist: %v", err)
	}
}

func TestRunByHandLeavesTheSchedule(t *testing.T) {
	k, clock := newMemory(), clockwork.NewFakeClockAt(noon)
	l := begin(t, k, clock, Job{Name: "nightly", Schedule: Daily(3, 15), Do: nothing})
	first := k.next(t)
	if err := l.RunNow(t.Context(), "nightly", "Ada", nil); err != nil {
		t.Fatal(err)
	}
	if r := k.next(t); r.Trigger != ByHand || r.By != "Ada" || !r.Tick.IsZero() {
		t.Fatalf("by hand: %+v", r)
	}
	if m := k.marks["nightly"]; !m.Tick.Equal(first.Tick) {
		t.Fatalf("the mark moved to %s", m.Tick)
	}
}

// lingering enters an end at once, but returns from that only when it is let go.
type lingering struct {
	*memory
	release chan bool
}

func (k lingering) End(ctx context.Context, r Run) error {
	err := k.memory.End(ctx, r)
	<-k.release
	return err
}

// Who has seen that a run has ended may start the next one, also while the program is not quite done with the first.
func TestARunThatIsSeenToHaveEndedIsNotInTheWay(t *testing.T) {
	k := lingering{newMemory(), make(chan bool, 2)}
	l := begin(t, k, clockwork.NewFakeClockAt(noon), Job{Name: "nightly", Schedule: Daily(3, 15), Do: nothing})
	t.Cleanup(func() { close(k.release) }) // a failing test ends, too
	k.next(t)
	again := make(chan error, 1)
	go func() { again <- l.RunNow(t.Context(), "nightly", "Ada", nil) }()
	select {
	case err := <-again: // it cannot have begun
		t.Fatalf("not waited for: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	k.release <- true
	if err := <-again; err != nil {
		t.Fatal(err)
	}
	if r := k.next(t); r.Trigger != ByHand {
		t.Fatalf("by hand: %+v", r)
	}
	k.release <- true
}

func TestInterruptedRunIsMadeUpAtMostTwice(t *testing.T) {
	k := newMemory()
	hang := Job{Name: "nightly", Schedule: Daily(3, 15)}
	begun := make(chan bool, 1)
	hang.Do = func(ctx context.Context) (Result, error) {
		begun <- true
		<-ctx.Done()
		return Result{}, ctx.Err()
	}
	for i := 1; i <= attemptMost; i++ {
		l := begin(t, k, clockwork.NewFakeClockAt(noon), hang)
		<-begun
		l.stop()
		if r := k.next(t); r.Outcome != Interrupted || r.Attempt != i {
			t.Fatalf("life %d: %+v", i, r)
		}
	}
	l := begin(t, k, clockwork.NewFakeClockAt(noon), hang)
	l.Look()
	l.stop()
	if len(k.runs) != attemptMost {
		t.Fatalf("%d runs: %+v", len(k.runs), k.runs)
	}
}

// A program that is killed leaves its run open.
func TestRunLeftOpenByAKillIsEndedAndMadeUp(t *testing.T) {
	k := newMemory()
	tick := Daily(3, 15).Tick(noon)
	k.marks["nightly"] = Mark{Tick: tick, Attempt: 1, Open: &Run{Job: "nightly", Tick: tick, Attempt: 1, Trigger: OnTime, Started: tick, Outcome: Running}}
	begin(t, k, clockwork.NewFakeClockAt(noon), Job{Name: "nightly", Schedule: Daily(3, 15), Do: nothing})
	if r := k.next(t); r.Outcome != Interrupted || r.Attempt != 1 {
		t.Fatalf("what was left: %+v", r)
	}
	if r := k.next(t); r.Outcome != Done || r.Attempt != 2 || !r.Tick.Equal(tick) {
		t.Fatalf("made up: %+v", r)
	}
}

func TestFailureAndPanicAreEntered(t *testing.T) {
	k := newMemory()
	begin(t, k, clockwork.NewFakeClockAt(noon),
		Job{Name: "a", Schedule: Every(time.Hour), Do: func(context.Context) (Result, error) { return Result{}, errors.New("disk full") }},
		Job{Name: "b", Schedule: Every(time.Hour), Do: func(context.Context) (Result, error) { panic("at the disco") }})
	causes := map[string]string{}
	for range 2 {
		r := k.next(t)
		if r.Outcome != Failed {
			t.Errorf("%+v", r)
		}
		causes[r.Job] = r.Cause
	}
	if causes["a"] != "disk full" || causes["b"] != "panic: at the disco" {
		t.Errorf("causes: %v", causes)
	}
}

func TestClockThatWasAheadDoesNotStopAJob(t *testing.T) {
	k := newMemory()
	nightly := Job{Name: "nightly", Schedule: Daily(3, 15), Do: nothing}
	l := begin(t, k, clockwork.NewFakeClockAt(noon.AddDate(1, 0, 0)), nightly)
	k.next(t)
	l.stop()
	begin(t, k, clockwork.NewFakeClockAt(noon), nightly)
	if r := k.next(t); !r.Tick.Equal(Daily(3, 15).Tick(noon)) {
		t.Fatalf("after the clock was set back: %+v", r)
	}
}

func TestReschedule(t *testing.T) {
	k, clock := newMemory(), clockwork.NewFakeClockAt(noon)
	l := begin(t, k, clock, Job{Name: "nightly", Schedule: Daily(3, 15), Do: nothing})
	k.next(t)
	if err := l.Reschedule("nightly", Daily(12, 30)); err != nil {
		t.Fatal(err)
	}
	if got, want := l.Plans()[0].Next, noon.Add(30*time.Minute); !got.Equal(want) {
		t.Fatalf("next is %s, want %s", got, want)
	}
	clock.Advance(31 * time.Minute)
	l.Look()
	if r := k.next(t); !r.Tick.Equal(noon.Add(30 * time.Minute)) {
		t.Fatalf("%+v", r)
	}
	if err := l.Reschedule("nightly", Daily(24, 0)); err == nil {
		t.Error("24:00 was taken")
	}
}

// Ticks are at or before now, next ones after it, with nothing between; daily ones keep their time of day over the change of clocks.
func TestTicksOfAnySchedule(t *testing.T) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Skip("no time zones on this machine")
	}
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "now"), 0).In(amsterdam)
		s := Daily(rapid.IntRange(4, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"))
		if rapid.Bool().Draw(t, "every") {
			s = Every(time.Duration(rapid.IntRange(1, 24*60).Draw(t, "minutes")) * time.Minute)
		}
		tick, next := s.Tick(now), s.Next(now)
		if tick.After(now) || !next.After(now) || next.Sub(tick) > s.Period()+time.Hour || !s.Tick(next).Equal(next) || !s.Next(tick).Equal(next) {
			t.Fatalf("tick %s, now %s, next %s", tick, now, next)
		}
		if h, m, daily := s.TimeOfDay(); daily && (next.Hour() != h || next.Minute() != m) {
			t.Fatalf("next is %s, want %02d:%02d", next, h, m)
		}
	})
}
