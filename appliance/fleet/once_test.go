package fleet

import (
	"context"
	"testing"
	"time"

	"muster/store"
)

// TestSweepForgetsOldAnswers: an answer is kept for a day and is then gone from the store.
func TestSweepForgetsOldAnswers(t *testing.T) {
	h := newHouse(t)
	for _, key := range []string{"first", "second"} {
		if _, err := h.BeginOnce(context.Background(), h.owner, key, []byte("print")); err != nil {
			t.Fatal(err)
		}
		if err := h.FinishOnce(context.Background(), h.owner, key, OnceAnswer{Status: 201}); err != nil {
			t.Fatal(err)
		}
		h.clock.move(onceFor / 2)
	}
	h.clock.move(time.Minute)
	if err := h.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := h.db.View(context.Background(), func(tx store.Tx) (err error) {
		left, err = onces.Count(tx, store.Query{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if left != 1 {
		t.Errorf("%d answers left, want the younger one", left)
	}
}
