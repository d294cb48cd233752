package fleet

import (
	"testing"

	"muster/store"
)

// What a deleted device leaves behind is its receipts, orders, tombstone and the log: of a long timeline nothing.
func TestPurgeTakesTheWholeTimeline(t *testing.T) {
	h := newHouse(t)
	d := &Device{ID: "d1", Hardware: "1", Name: "Anna's iPhone", State: Retired, Hidden: true}
	put(h, devices, d, &Device{ID: "d2", Hardware: "2", Name: "Bert's iPhone", State: Managed})
	h.update(func(tx store.Tx) error {
		for range 1200 {
			if err := h.event(tx, d.ID, Why("event.reached", "channel", "device"), Evidence{}, ""); err != nil {
				return err
			}
		}
		if err := h.event(tx, "d2", Why("event.reached", "channel", "device"), Evidence{}, ""); err != nil {
			return err
		}
		return countDevice(tx, nil, d)
	})
	h.update(func(tx store.Tx) error { return h.purge(tx, d, d) })
	h.update(func(tx store.Tx) error {
		n, err := timeline.Count(tx, store.Query{})
		if n != 1 {
			t.Errorf("%d lines left, want the other device's one", n)
		}
		return err
	})
}
