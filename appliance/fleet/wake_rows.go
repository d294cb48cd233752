package fleet

import (
	"errors"
	"time"

	"muster/store"
)

// debounce is how long a wake waits for more changes, so that many make one push.
const debounce = time.Second

// answerWithin is how long a device that was just handed an order may take before it is pushed again.
const answerWithin = time.Minute

// wakes holds one row a reachable channel. The row outlives the wake: it keeps the address. Due is zero when nothing is planned.
var wakes = store.Define("wk", func(w *Wake) string { return w.ID },
	store.Index[Wake]{Name: "due", Values: func(w *Wake) []string {
		if w.Due.IsZero() || w.Dead {
			return nil
		}
		return []string{sortable(w.Due)}
	}},
)

// sortable writes a time so that text order is time order.
func sortable(t time.Time) string { return t.UTC().Format("20060102T150405.000000000") }

func wakeID(d DeviceID, ch Channel) string { return string(d) + "/" + string(ch) }

// wakesOf returns the rows of a device, the device channel first.
func wakesOf(tx store.Tx, d DeviceID) ([]*Wake, error) {
	var out []*Wake
	err := wakes.Each(tx, store.Query{From: string(d) + "/", To: string(d) + "0"}, func(w *Wake) (bool, error) {
		out = append(out, w)
		return true, nil
	})
	return out, err
}

// wakeDevice asks for a push on all channels of a device, in the transaction that made the need, so that no push goes out before it
// is durable. Calls within a second make one push. A channel whose address is dead stays silent until the device reaches us again.
func (f *Fleet) wakeDevice(tx store.Tx, d *Device, reason string) error {
	rows, err := wakesOf(tx, d.ID)
	if err != nil {
		return err
	}
	due := f.now().Add(debounce)
	for _, w := range rows {
		if w.Open && w.Attempt == 0 && !w.Due.IsZero() && !w.Due.After(due) {
			continue
		}
		w.Open, w.Due, w.Attempt, w.Reason = true, due, 0, reason
		if err := wakes.Put(tx, w); err != nil {
			return err
		}
	}
	tx.OnCommit(func() {
		f.planner.idle.expect(d.ID)
		f.rouse(due)
	})
	return nil
}

// keepAddress stores what is needed to push a channel and opens a wake: whoever reaches us may have something waiting.
func (f *Fleet) keepAddress(tx store.Tx, d *Device, ch Channel, address []byte, first bool) error {
	w, err := wakes.Get(tx, wakeID(d.ID, ch))
	if errors.Is(err, store.ErrNotFound) {
		w, err = &Wake{ID: wakeID(d.ID, ch), Device: d.ID, Channel: ch}, nil
		first = true
	}
	if err != nil {
		return err
	}
	w.Address = address
	if first || w.Dead || w.Open {
		w.Open, w.Attempt, w.Reason, w.Due = true, 0, "reached", f.now().Add(debounce)
	}
	w.Dead = false
	if err := wakes.Put(tx, w); err != nil {
		return err
	}
	tx.OnCommit(func() {
		if w.Open {
			f.planner.idle.expect(d.ID)
		}
		f.rouse(w.Due)
	})
	return nil
}

// dropWakes forgets the channels of a device: it left, or enrols anew.
func dropWakes(tx store.Tx, d DeviceID) error {
	rows, err := wakesOf(tx, d)
	if err != nil {
		return err
	}
	for _, w := range rows {
		if err := wakes.Delete(tx, w.ID); err != nil {
			return err
		}
	}
	return nil
}
