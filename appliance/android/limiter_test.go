package android

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// Of calls that wait for Google's quota, orders go before policies, and policies before reading, whoever came first.
func TestLimiterLanes(t *testing.T) {
	l := newLimiter(1e-9, 0) // nothing comes by itself
	t.Cleanup(func() { l.timer.Stop() })
	var mu sync.Mutex
	var order []lane
	var wg sync.WaitGroup
	for i, ln := range []lane{laneRead, lanePolicy, laneOrder, laneSetup} {
		wg.Go(func() {
			if l.wait(context.Background(), ln) == nil {
				mu.Lock()
				order = append(order, ln)
				mu.Unlock()
			}
		})
		for n := 0; n <= i; n, _ = l.backlog() {
			time.Sleep(time.Millisecond)
		}
	}
	for i := range lanes {
		l.mu.Lock()
		l.burst, l.tokens, l.filled = 1, 1, time.Now()
		l.serve()
		l.mu.Unlock()
		for done := 0; done <= int(i); {
			time.Sleep(time.Millisecond)
			mu.Lock()
			done = len(order)
			mu.Unlock()
		}
	}
	wg.Wait()
	if want := []lane{laneSetup, laneOrder, lanePolicy, laneRead}; !slices.Equal(order, want) {
		t.Errorf("served in the order %v, want %v", order, want)
	}
}
