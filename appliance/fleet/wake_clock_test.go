package fleet

import (
	"testing"
	"time"
)

// A service that seemed out while the clock ran ahead is tried at once when the clock is right again, and one that asks for a year gets an hour.
func TestOutageIsNotHeldByAClockThatRanAhead(t *testing.T) {
	right := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ahead := right.Add(400 * 24 * time.Hour)
	var s services
	s.failed(IOS, false, WakeResult{}, ahead)
	if ok, _ := s.admit(IOS, ahead); ok {
		t.Error("tried again in the moment that it failed")
	}
	if next := s.next(right); !next.Equal(right) {
		t.Errorf("with the right clock it is due at %v", next)
	}
	if ok, probe := s.admit(IOS, right); !ok || !probe {
		t.Error("with the right clock it is not tried")
	}
	s.back(IOS)
	s.failed(IOS, false, WakeResult{RetryAfter: 365 * 24 * time.Hour}, right)
	if next := s.next(right); !next.Equal(right.Add(outageMost)) {
		t.Errorf("left alone until %v", next)
	}
}
