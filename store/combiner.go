package store

import (
	"context"
	"errors"
	"fmt"
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

// batch is the updates of one commit.
type batch struct {
	base      *badger.Txn
	over      overlay
	updates   []*update // those that ran well, in order
	hooks     []func()
	began     time.Time
	committed bool
}

// combiner is the one writer of a store. Its fields below the queue belong to the writer's goroutine.
type combiner struct {
	engine *badger.DB
	log    *slog.Logger
	limits limits
	room   *room
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
	batch  *batch
	latest latest
}

func newCombiner(engine *badger.DB, log *slog.Logger, r *room) *combiner {
	return &combiner{
		engine: engine,
		log:    log,
		room:   r,
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

// take moves up to n waiting updates to todo, and tells whether the queue is closed and empty.
func (c *combiner) take(n int) (drained bool) {
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
	return c.closed && len(c.queue) == 0
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

// step gathers, runs and commits one batch; false when there will be no more.
func (c *combiner) step() bool {
	if c.batch != nil && c.batch.committed { // taken up again after a hook ended the goroutine
		c.finish()
		return true
	}
	if c.batch == nil && len(c.todo) == 0 {
		if drained := c.take(maxBatchUpdates); len(c.todo) == 0 {
			if drained {
				return false
			}
			<-c.wake
			// Those whom the last commit answered are about to come back: let them queue first.
			runtime.Gosched()
			return true
		}
	}
	c.gather()
	c.flush()
	return true
}

// gather runs what waits, in order of arrival, until nothing waits or a bound is met.
func (c *combiner) gather() {
	if c.batch == nil {
		c.batch = &batch{base: c.engine.NewTransaction(false), began: time.Now()}
	}
	for {
		if len(c.todo) == 0 {
			room := maxBatchUpdates - len(c.batch.updates)
			if room <= 0 || time.Since(c.batch.began) > maxBatchTime {
				return
			}
			if c.take(room); len(c.todo) == 0 {
				return
			}
		}
		u := c.todo[0]
		if !c.try(u) {
			return // it stays the first of todo and runs in the next batch
		}
	}
}

// try runs one update; false when it has to wait for the next batch.
func (c *combiner) try(u *update) bool {
	if failed := c.failed.Load(); failed != nil {
		c.todo = c.todo[1:]
		c.answer(u, *failed)
		return true
	}
	tx := &writeTx{base: c.batch.base, latest: &c.latest, over: c.batch.over.fork(), limits: c.limits, first: len(c.batch.over.entries) == 0}
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
	if err != nil {
		c.answer(u, err)
		return true
	}
	c.batch.over = tx.over
	c.batch.hooks = append(c.batch.hooks, tx.hooks...)
	c.batch.updates = append(c.batch.updates, u)
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

// flush commits the batch with one sync, then runs the hooks and answers.
func (c *combiner) flush() {
	b := c.batch
	b.base.Discard()
	if len(b.over.entries) > 0 {
		if err := c.write(b); err != nil {
			c.batch = nil
			for _, u := range b.updates {
				c.answer(u, err)
			}
			return
		}
		c.syncs.Add(1)
	}
	b.committed = true
	c.finish()
}

// write commits the batch's writes and returns after the engine's sync. After a failure that may have left
// something behind, the store takes no more writes.
func (c *combiner) write(b *batch) error {
	if err := c.room.check(c.log); err != nil {
		return err
	}
	txn := c.engine.NewTransaction(true)
	defer txn.Discard()
	for _, e := range b.over.entries {
		var err error
		if e.deleted {
			err = txn.Delete(e.key)
		} else {
			err = txn.Set(e.key, e.value)
		}
		if err != nil { // nothing has been sent yet
			return fmt.Errorf("store: fill transaction: %w", err)
		}
	}
	began := time.Now()
	err := c.commit(txn)
	c.commitNanos.Add(int64(time.Since(began)))
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
		c.failed.Store(&err)
		close(c.broken) // once: nothing is committed after a failure
		c.log.Error("commit failed, writes are refused from now on", "err", err)
		return err
	}
	for _, e := range b.over.entries {
		c.latest.committed(e)
	}
	return nil
}

// finish runs the hooks of the committed batch that have not run, in order, then answers its updates.
func (c *combiner) finish() {
	b := c.batch
	for len(b.hooks) > 0 {
		hook := b.hooks[0]
		b.hooks = b.hooks[1:]
		c.hook(hook)
	}
	c.batch = nil
	for _, u := range b.updates {
		c.answer(u, nil)
	}
}

// hook runs one hook; its panic is logged and harms nobody else.
func (c *combiner) hook(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("commit hook panicked", "err", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	fn()
}
