package fleet

import (
	"context"
	"math"

	"muster/store"
)

// What follows tells tests outside the package when the workers have nothing left to do: on a slow machine no span of time does.

// FanOutRests says whether every change has reached the devices that it is about.
func (f *Fleet) FanOutRests(ctx context.Context) (rests bool, err error) {
	err = f.db.View(ctx, func(tx store.Tx) error {
		n, err := changes.Count(tx, store.Query{Index: "order", Limit: 1})
		rests = n == 0
		return err
	})
	return rests, err
}

// WakesStart is to be called before RunWakes, so that WakesRest speaks of that run and of none before it.
func (f *Fleet) WakesStart() { f.planner.sleeps.awake() }

// WakesRest says whether RunWakes has looked at what is due, and what came of every push is stored.
func (f *Fleet) WakesRest() bool {
	f.planner.pushing.mu.Lock()
	defer f.planner.pushing.mu.Unlock()
	return f.planner.sleeps.at.Load() != math.MaxInt64 && len(f.planner.pushing.ids) == 0
}
