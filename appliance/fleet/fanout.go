package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"muster/store"
)

const (
	fanBatch = 100              // devices in one transaction: it holds up those who call for some tens of milliseconds
	fanEvery = 30 * time.Second // the fan-out looks by itself this often
	fanRetry = 5 * time.Second  // after an error
)

// RunFanOut turns change records into wakes and status rows in bounded batches until ctx ends; resumes after a crash.
func (f *Fleet) RunFanOut(ctx context.Context) error {
	for {
		wait := fanEvery
		more, err := f.fanOutStep(ctx, fanBatch)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed):
			return err
		case err != nil:
			f.log.Error("fan-out stopped for a while", "err", err)
			wait = fanRetry
		case more:
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-f.fan.C():
		case <-t.C:
		}
		t.Stop()
	}
}

// fanOutStep deals with one batch of the change that is next, in one transaction with the cursor. more is false when nothing is left.
func (f *Fleet) fanOutStep(ctx context.Context, batch int) (more bool, err error) {
	err = f.db.Update(ctx, func(tx store.Tx) error {
		r, list, err := f.nextBatch(tx, batch)
		if err != nil || r == nil {
			more = false
			return err
		}
		more = true
		for _, d := range list {
			if err := f.reconsider(tx, d, r.Scope); err != nil {
				return err
			}
		}
		return r.advance(tx)
	})
	if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return more, err
	}
	f.log.Warn("fan-out batch failed, trying its devices one by one", "err", err)
	return true, f.fanOutSingly(ctx, batch)
}

// fanOutSingly deals with a batch device by device, so that one that cannot be dealt with holds up no other. Such a device is logged and
// passed over: what is wanted of it is computed anew when it calls.
func (f *Fleet) fanOutSingly(ctx context.Context, batch int) error {
	var r *changeRecord
	var list []*Device
	err := f.db.Update(ctx, func(tx store.Tx) (err error) {
		if r, list, err = f.nextBatch(tx, batch); err != nil || r == nil {
			return err
		}
		begun, err := changes.Get(tx, r.ID)
		if err != nil {
			return err
		}
		begun.Started = true // so that a change noted meanwhile asks for another round
		return changes.Put(tx, begun)
	})
	if err != nil || r == nil {
		return err
	}
	for _, d := range list {
		err := f.db.Update(ctx, func(tx store.Tx) error {
			now, err := devices.Get(tx, string(d.ID))
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return f.reconsider(tx, now, r.Scope)
		})
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			return err
		}
		if err != nil {
			f.log.Error("fan-out passed over a device", "device", d.ID, "change", r.ID, "err", err)
		}
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		now, err := changes.Get(tx, r.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		now.Source, now.Cursor, now.last = r.Source, r.Cursor, r.last
		return now.advance(tx)
	})
}

// nextBatch reads the change that is next and the devices of its next batch. The record comes back as it is to be stored: past that batch.
// nil, nil: nothing to do.
func (f *Fleet) nextBatch(tx store.Tx, batch int) (*changeRecord, []*Device, error) {
	page, err := changes.List(tx, store.Query{Index: "order", From: rankSmall, Limit: 1})
	if err != nil || len(page.Items) == 0 {
		return nil, nil, err
	}
	r := page.Items[0]
	c, err := f.config(tx)
	if err != nil {
		return nil, nil, err
	}
	all, err := sourcesOf(tx, c, r.Scope)
	if err != nil {
		return nil, nil, err
	}
	r.Started = true
	i := slices.Index(all, source(r.Source))
	if i < 0 { // not begun, or the assignments have changed since: from the start
		i, r.Cursor = 0, ""
	}
	if len(all) == 0 {
		r.last = true
		return r, nil, nil
	}
	list, next, err := all[i].devices(tx, r.Cursor, batch)
	if errors.Is(err, store.ErrBadCursor) {
		list, next, err = all[i].devices(tx, "", batch)
	}
	if err != nil {
		return nil, nil, err
	}
	r.Source, r.Cursor = string(all[i]), next
	if next == "" {
		if i+1 < len(all) {
			r.Source = string(all[i+1])
		} else {
			r.last = true
		}
	}
	return r, list, nil
}

// advance stores where a change stands, or ends it; a change that came again meanwhile starts anew, behind those that wait.
func (r *changeRecord) advance(tx store.Tx) error {
	if !r.last {
		return changes.Put(tx, r)
	}
	if !r.Again {
		err := changes.Delete(tx, r.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	r.Started, r.Again, r.Source, r.Cursor = false, false, "", ""
	r.Order = r.Scope.rank() + store.NewID()
	return changes.Put(tx, r)
}

// reconsider derives the status rows of one device anew, and wakes it when that made a difference to what it should fetch.
func (f *Fleet) reconsider(tx store.Tx, d *Device, c changeScope) error {
	if err := f.retag(tx, d); err != nil {
		return err
	}
	if c.Why == "frame" {
		if err := f.dropUnallowed(tx, d); err != nil {
			return err
		}
	}
	before, err := deliveryRows(tx, d.ID)
	if err != nil {
		return err
	}
	s, err := f.rederive(tx, d)
	if err != nil {
		return err
	}
	if d.State != Managed && d.State != Enrolling {
		return nil
	}
	after, err := deliveryRows(tx, d.ID)
	if err != nil {
		return err
	}
	owed := s != nil && s.owesFrame()
	if !owed && slices.EqualFunc(before, after, func(x, y *delivery) bool {
		return x.Profile == y.Profile && x.Status == y.Status && x.Revision == y.Revision
	}) {
		return nil
	}
	f.publish(tx, "device", string(d.ID))
	return f.wakeDevice(tx, d, c.Why)
}
