package jobs

import (
	"fmt"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// Schedule says at which moments a job is wanted: every so often, or daily at a time of day. Use Every or Daily.
type Schedule struct {
	every        time.Duration
	hour, minute int
}

// Every is a schedule with a tick at each full multiple of d: a job of every hour runs on the hour, whenever the program was started.
func Every(d time.Duration) Schedule { return Schedule{every: d} }

// Daily is a schedule with one tick a day, at a time of day in the scheduler's location.
func Daily(hour, minute int) Schedule { return Schedule{hour: hour, minute: minute} }

// Period is the time between two ticks.
func (s Schedule) Period() time.Duration {
	if s.every > 0 {
		return s.every
	}
	return 24 * time.Hour
}

// TimeOfDay is when a daily schedule has its tick; ok is false for others.
func (s Schedule) TimeOfDay() (hour, minute int, ok bool) { return s.hour, s.minute, s.every <= 0 }

// Tick is the newest tick at or before now.
func (s Schedule) Tick(now time.Time) time.Time {
	if s.every > 0 {
		return now.Truncate(s.every)
	}
	tick := s.on(now, 0)
	if tick.After(now) {
		tick = s.on(now, -1)
	}
	return tick
}

// Next is the first tick after now.
func (s Schedule) Next(now time.Time) time.Time {
	if s.every > 0 {
		return now.Truncate(s.every).Add(s.every)
	}
	next := s.on(now, 0)
	if !next.After(now) {
		next = s.on(now, 1)
	}
	return next
}

// on is the tick of now's day, moved by days. Counting days and not hours keeps the time of day when the clocks change.
func (s Schedule) on(now time.Time, days int) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d+days, s.hour, s.minute, 0, 0, now.Location())
}

func (s Schedule) check() error {
	switch {
	case s.every < 0, s.every > 0 && s.every < time.Second:
		return fmt.Errorf("a job cannot run every %s", s.every)
	case s.every == 0 && (s.hour < 0 || s.hour > 23 || s.minute < 0 || s.minute > 59):
		return fmt.Errorf("%02d:%02d is no time of day", s.hour, s.minute)
	}
	return nil
}

// definition is the schedule in gocron's words, with its first tick after now.
func (s Schedule) definition(now time.Time) (gocron.JobDefinition, []gocron.JobOption) {
	if s.every > 0 {
		return gocron.DurationJob(s.every), []gocron.JobOption{gocron.WithStartAt(gocron.WithStartDateTime(s.Next(now)))}
	}
	return gocron.DailyJob(1, gocron.NewAtTimes(gocron.NewAtTime(uint(s.hour), uint(s.minute), 0))), nil
}
