package jobs

import (
	"context"
	"time"
)

// Triggers of a run.
const (
	OnTime = "on-time"
	Late   = "late" // a missed run, made up
	ByHand = "by-hand"
)

// Outcomes of a run.
const (
	Running     = "running"
	Done        = "done"
	Failed      = "failed"
	Interrupted = "interrupted" // the program ended during it
)

// Result is what a run says of its work: a code with arguments, for whoever has words for it.
type Result struct {
	Code string
	Args map[string]string
	Idle bool // there was nothing to do
}

// Run is one run of a job.
type Run struct {
	Job     string
	Tick    time.Time // which it answers; zero when started by hand
	Attempt int       // counts the runs for one tick: more than one only after an interruption
	Trigger string
	By      string // who started it by hand
	Started time.Time
	Ended   time.Time
	Outcome string
	Result  Result
	Cause   string // of a failure, in the program's words
	Quiet   bool   // not worth a line in the history when it was idle
}

// Mark is how far the ticks of a job have been claimed. The zero Mark is that of a job that never ran.
type Mark struct {
	Tick    time.Time
	Attempt int
	Open    *Run // begun and not ended
	Last    *Run // the newest run that has ended
}

// Keeper remembers runs. Its methods may be called at the same time.
type Keeper interface {
	// Mark tells how far a job is.
	Mark(ctx context.Context, job string) (Mark, error)
	// Begin enters a run that is about to start and moves the mark to its tick, if the mark is still the one that was seen and no run of
	// the job is open; otherwise it changes nothing and returns false. When it returns true the entry is durable. A run by hand leaves tick
	// and attempt of the mark as they are.
	Begin(ctx context.Context, r Run, seen Mark) (bool, error)
	// End enters how the open run of a job ended.
	End(ctx context.Context, r Run) error
}
