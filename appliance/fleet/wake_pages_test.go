package fleet

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"muster/store"
)

// More wakes than fit on a page all go out in one round, though time passes between the pages: with a round for each page, a change for 100,000
// devices would take half an hour to tell them.
func TestAllDueWakesGoOutInOneRound(t *testing.T) {
	h := newHouse(t)
	ctx, n := t.Context(), 2*pushPage+10
	var ticks sync.Mutex
	at := h.clock.now()
	h.Fleet.now = func() time.Time {
		ticks.Lock()
		defer ticks.Unlock()
		at = at.Add(time.Microsecond)
		return at
	}
	if err := h.db.Update(ctx, func(tx store.Tx) error {
		for i := range n {
			if err := wakes.Put(tx, &Wake{ID: fmt.Sprintf("gone%04d/device", i), Device: DeviceID(fmt.Sprintf("gone%04d", i)), Channel: DeviceChannel, Open: true, Due: at}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	_, err := h.sendDue(ctx, make(chan struct{}, pushers), &group)
	group.Wait()
	if err != nil {
		t.Fatal(err)
	}
	left, err := h.dueWakes(ctx, time.Time{}, h.now(), "")
	if err != nil || len(left.Items) > 0 {
		t.Errorf("%d wakes are left, %v", len(left.Items), err)
	}
}
