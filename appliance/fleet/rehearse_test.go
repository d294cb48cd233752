package fleet

import (
	"context"
	"errors"
	"testing"
)

// A job waits for a backup that is under way, where a person is told; it ends with its context, and any other answer is its own.
func TestJobsWaitForABackup(t *testing.T) {
	busy := Refuse(ErrConflict, "backup.running")
	tries := 0
	got, err := patiently(t.Context(), func() (int, error) {
		if tries++; tries < 2 {
			return 0, busy
		}
		return 7, nil
	})
	if got != 7 || err != nil || tries != 2 {
		t.Errorf("got %d, %v after %d tries", got, err, tries)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := patiently(ended, func() (int, error) { return 0, busy }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v of an ended context", err)
	}
	if _, err := patiently(t.Context(), func() (int, error) { return 0, Refuse(ErrConflict, "recovery.missing") }); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
}
