package store

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"
)

// batch is the updates of one commit.
type batch struct {
	base     *snapshot // what it began over
	before   []*entry  // and what was on its way to the disk then
	over     overlay   // its own writes
	outcomes []outcome // of the updates that ran, in order
	hooks    []func()
	began    time.Time

	// The rest belongs to the goroutine that lands it, until landed is closed.
	err     error // of the commit
	written bool
	landed  chan struct{}
}

// outcome is what came of an update: refusals too are answered when what they may have seen is on the disk.
type outcome struct {
	u   *update
	err error
}

func (b *batch) isLanded() bool {
	select {
	case <-b.landed:
		return true
	default:
		return false
	}
}

// launch sends the batch on its way. None other may be on its own.
func (c *combiner) launch() {
	b := c.batch
	c.batch, c.flying = nil, b
	b.base.leave()
	b.base, b.before = nil, nil
	for _, e := range b.over.entries {
		c.latest.wrote(e)
		c.spans.wrote(e)
	}
	go c.land(b)
}

// landed takes note of how the batch on its way fared. When it was refused, what the next one ran over never came to be: its updates run again.
func (c *combiner) landed() {
	refused := c.flying.err != nil
	c.flying = nil
	if !refused {
		return
	}
	c.latest, c.spans = latest{}, spans{}
	if c.batch == nil {
		return
	}
	again := make([]*update, 0, len(c.batch.outcomes)+len(c.todo))
	for _, o := range c.batch.outcomes {
		again = append(again, o.u)
	}
	c.todo = append(again, c.todo...)
	c.batch.base.leave()
	c.batch = nil
}

// land commits the batch with one sync, runs its hooks and answers. When a hook ends the goroutine, a new one goes on where it stopped.
func (c *combiner) land(b *batch) {
	finished := false
	defer func() {
		if !finished {
			go c.land(b)
		}
	}()
	if !b.written {
		b.err = c.write(b)
		b.written = true
	}
	for b.err == nil && len(b.hooks) > 0 {
		hook := b.hooks[0]
		b.hooks = b.hooks[1:]
		c.hook(hook)
	}
	for _, o := range b.outcomes {
		if o.err == nil {
			o.err = b.err
		}
		c.answer(o.u, o.err)
	}
	finished = true
	close(b.landed)
}

// write commits the batch's writes and returns after the engine's sync. After a failure that may have left
// something behind, the store takes no more writes.
func (c *combiner) write(b *batch) error {
	if len(b.over.entries) == 0 {
		return nil
	}
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
	c.newest.renew()
	c.syncs.Add(1)
	return nil
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

// layered returns the writes of a and b in key order; those of b hide those of a.
func layered(a, b []*entry) []*entry {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	out := make([]*entry, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch order := bytes.Compare(a[0].key, b[0].key); {
		case order < 0:
			out, a = append(out, a[0]), a[1:]
		case order > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			a = a[1:]
		}
	}
	return append(append(out, a...), b...)
}
