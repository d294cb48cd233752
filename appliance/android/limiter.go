package android

import (
	"context"
	"sync"
	"time"
)

// lane is what a call is for. Of calls that wait, the one in the lowest lane goes first.
type lane int

const (
	laneSetup  lane = iota // a person waits in front of a screen
	laneOrder              // commands: C5 wants them within minutes
	lanePolicy             // what profiles say
	laneRead               // looking at devices
	lanes
)

// Google allows 1000 calls in 100 seconds for a project, and shuts out for the rest of them who has spent them in one.
const (
	callsPerSecond = 5
	callsAtOnce    = 50
)

// limiter is a token bucket with lanes. The zero limiter is not ready; newLimiter makes one.
type limiter struct {
	mu     sync.Mutex
	rate   float64 // tokens a second
	burst  float64
	tokens float64
	filled time.Time
	queues [lanes][]chan struct{}
	timer  *time.Timer
}

func newLimiter(rate float64, burst int) *limiter {
	return &limiter{rate: rate, burst: float64(burst), tokens: float64(burst), filled: time.Now()}
}

// wait returns when the call may be made, or with the context's error.
func (l *limiter) wait(ctx context.Context, ln lane) error {
	turn := make(chan struct{})
	l.mu.Lock()
	l.queues[ln] = append(l.queues[ln], turn)
	l.serve()
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.queues[ln] {
		if c == turn {
			l.queues[ln] = append(l.queues[ln][:i], l.queues[ln][i+1:]...)
			return ctx.Err()
		}
	}
	l.tokens++ // its turn came in the same moment: the next one has it
	l.serve()
	return ctx.Err()
}

// serve hands out the tokens that there are, and comes back when the next one is due. The caller holds the lock.
func (l *limiter) serve() {
	now := time.Now()
	l.tokens = min(l.burst, l.tokens+now.Sub(l.filled).Seconds()*l.rate)
	l.filled = now
	waiting := false
	for ln := range l.queues {
		for len(l.queues[ln]) > 0 && l.tokens >= 1 {
			l.tokens--
			close(l.queues[ln][0])
			l.queues[ln] = l.queues[ln][1:]
		}
		waiting = waiting || len(l.queues[ln]) > 0
	}
	if !waiting || l.timer != nil {
		return
	}
	l.timer = time.AfterFunc(time.Duration((1-l.tokens)/l.rate*float64(time.Second))+time.Millisecond, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.timer = nil
		l.serve()
	})
}

// backlog is how many calls wait, and how long they will take.
func (l *limiter) backlog() (int, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, q := range l.queues {
		n += len(q)
	}
	return n, time.Duration(float64(n) / l.rate * float64(time.Second))
}
