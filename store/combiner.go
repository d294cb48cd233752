package store

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Bounds of one batch, besides the engine's own. Nothing ever waits for a batch to fill.
const (
	maxBatchUpdates = 256
	maxBatchTime    = 5 * time.Millisecond // after this no further update joins; those that ran are committed
)

// errGoexit marks an update whose function ended its goroutine (runtime.Goexit, as testing.T.FailNow does).
var errGoexit = errors.New("store: update function ended its goroutine")

// States of an update: it is the caller's until the writer takes it.
const (
	waiting int32 = iota
	taken
	cancelled
)

// update is one call of Update on its way through the writer.
type update struct {
	fn    func(Tx) error
	state atomic.Int32
	err   error
	done  chan struct{} // closed when err is final
}

// combiner is the one writer of a store. While one batch is on its way to the disk, it runs the updates of the next one over what that batch
// writes; a commit begins when the one before it has landed. Its fields below the queue belong to the writer's goroutine.
type combiner struct {
	engine *badger.DB
	log    *slog.Logger
	limits limits
	room   *room
	newest *newest
	commit func(*badger.Txn) error // returns after the engine's sync; a field so that tests can watch it
	syncs  atomic.Uint64

	answered, refused atomic.Uint64 // updates, by outcome
	commitNanos       atomic.Int64

	mu     sync.Mutex
	queue  []*update
	closed bool
	wake   chan struct{}
	ended  chan struct{}
	failed atomic.Pointer[error]
	broken chan struct{} // closed once failed is set

	todo   []*update // taken, not yet run
	batch  *batch    // being gathered
	flying *batch    // on its way to the disk
	latest latest
	spans  spans
}

func newCombiner(engine *badger.DB, log *slog.Logger, r *room, n *newest) *combiner {
	return &combiner{
		engine: engine,
		log:    log,
		room:   r,
		newest: n,
		// The engine refuses at its limit and adds one entry of its own.
		limits: limits{entries: int(engine.MaxBatchCount()) - 8, bytes: engine.MaxBatchSize() - 1024},
		commit: (*badger.Txn).Commit,
		wake:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
		broken: make(chan struct{}),
	}
}

// do queues fn and waits for its outcome.
func (c *combiner) do(ctx context.Context, fn func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	u := &update{fn: fn, done: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.queue = append(c.queue, u)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		if u.state.CompareAndSwap(waiting, cancelled) {
			return ctx.Err()
		}
		<-u.done // it ran or is running: only its true outcome will do
	}
	if u.err == errGoexit { //nolint:errorlint // never wrapped
		runtime.Goexit() // as it would have been without a writer in between
	}
	return u.err
}

// close refuses further updates and waits until the queued ones are answered.
func (c *combiner) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	<-c.ended
}

// take moves up to n waiting updates to todo.
func (c *combiner) take(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, len(c.queue))
	for _, u := range c.queue[:n] {
		if u.state.CompareAndSwap(waiting, taken) {
			c.todo = append(c.todo, u)
		}
	}
	c.queue = append(c.queue[:0], c.queue[n:]...)
	clear(c.queue[len(c.queue):cap(c.queue)])
}

// run is the writer. When a function ends the goroutine, a new one goes on where it stopped.
func (c *combiner) run() {
	finished := false
	defer func() {
		if !finished {
			go c.run()
		}
	}()
	for c.step() {
	}
	finished = true
	close(c.ended)
}

// answer gives u its outcome.
func (c *combiner) answer(u *update, err error) {
	if err == nil {
		c.answered.Add(1)
	} else {
		c.refused.Add(1)
	}
	u.err = err
	close(u.done)
}

// step does what can be done now, or waits for something to do; false when there will be no more.
func (c *combiner) step() bool {
	if c.flying != nil && c.flying.isLanded() {
		c.landed()
	}
	c.gather()
	switch {
	case c.batch != nil && c.flying == nil:
		c.launch()
	case c.batch != nil && c.full():
		<-c.flying.landed
	case c.flying != nil:
		select {
		case <-c.wake:
		case <-c.flying.landed:
		}
	case c.drained():
		return false
	default:
		<-c.wake
		// Those whom the last commit answered are about to come back: let them queue first.
		runtime.Gosched()
	}
	return true
}

// full tells whether nothing more goes into the batch: it holds as many as it may, or the next one does not fit.
func (c *combiner) full() bool {
	return len(c.batch.outcomes) >= maxBatchUpdates || len(c.todo) > 0
}

// drained tells whether the store is closed and nothing waits.
func (c *combiner) drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed && len(c.queue) == 0
}

// gather runs what waits, in order of arrival, until nothing waits or a bound is met.
func (c *combiner) gather() {
	for {
		if len(c.todo) == 0 {
			room := maxBatchUpdates
			if c.batch != nil {
				room -= len(c.batch.outcomes)
				if c.late() {
					return
				}
			}
			if c.take(room); len(c.todo) == 0 {
				return
			}
		}
		if c.batch == nil {
			c.batch = c.begin()
		}
		if !c.try(c.todo[0]) {
			return // it stays the first of todo and runs in the next batch
		}
	}
}

// late tells whether the batch could be on its way, and has taken its time.
func (c *combiner) late() bool {
	return (c.flying == nil || c.flying.isLanded()) && time.Since(c.batch.began) > maxBatchTime
}

// begin starts a batch over what is committed and what is on its way.
func (c *combiner) begin() *batch {
	b := &batch{base: c.newest.get(), began: time.Now(), landed: make(chan struct{})}
	if c.flying != nil {
		b.before = c.flying.over.entries
	}
	return b
}

// try runs one update; false when it has to wait for the next batch.
func (c *combiner) try(u *update) bool {
	if failed := c.failed.Load(); failed != nil {
		c.todo = c.todo[1:]
		c.answer(u, *failed)
		return true
	}
	b := c.batch
	tx := &writeTx{base: b.base.txn, before: overlay{entries: b.before, shared: true}, latest: &c.latest, spans: &c.spans, over: b.over.fork(), limits: c.limits, first: len(b.over.entries) == 0}
	err := c.call(u, tx)
	if tx.broken != nil {
		if errors.Is(tx.broken, errNoRoom) {
			return false
		}
		if err == nil {
			err = tx.broken
		}
	}
	c.todo = c.todo[1:]
	b.outcomes = append(b.outcomes, outcome{u, err})
	if err == nil {
		b.over = tx.over
		b.hooks = append(b.hooks, tx.hooks...)
	}
	return true
}

// call runs the update's function and turns a panic into an error.
func (c *combiner) call(u *update, tx *writeTx) (err error) {
	returned := false
	defer func() {
		tx.done = true
		if returned {
			return
		}
		if v := recover(); v != nil {
			p := &PanicError{Value: v, Stack: debug.Stack()}
			c.log.Error("update panicked", "err", p, "stack", string(p.Stack))
			err = p
			return
		}
		c.todo = c.todo[1:]
		c.answer(u, errGoexit)
	}()
	err = u.fn(tx)
	returned = true
	return err
}
