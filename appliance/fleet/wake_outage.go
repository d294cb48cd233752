package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"muster/store"
)

// outage is a push service that is not to be had: it cannot be reached, or does not take our certificate. It is kept once for the service, and
// the wakes of all its devices stay due as they are: ten thousand devices that cannot be pushed cost one record, not one each.
type outage struct {
	Service Platform  `json:"service"` // the first of the platforms that it serves
	Since   time.Time `json:"since"`
	Tries   int       `json:"tries"`
	Next    time.Time `json:"next"` // when one push tries again
	Reason  Reason    `json:"reason"`
}

var outages = store.Define("po", func(o *outage) string { return string(o.Service) })

// outageBackoff is after how long a service that is out is tried again: one push of one device, so it may be often.
func outageBackoff(tries int) time.Duration {
	switch tries {
	case 1:
		return 10 * time.Second
	case 2:
		return 30 * time.Second
	case 3:
		return time.Minute
	}
	return 5 * time.Minute
}

// outageMost is how long a service that is out is left alone at most, whatever it asks for. A next try that lies further off was set by a clock that
// ran ahead, and is due.
const outageMost = time.Hour

func (o *outage) due(now time.Time) bool {
	return !now.Before(o.Next) || o.Next.Sub(now) > outageMost
}

// services are the push services that are out, as the worker knows them. The zero services is ready.
type services struct {
	mu  sync.Mutex
	out map[Platform]*outage
}

// remember takes over what is stored.
func (s *services) remember(ctx context.Context, db *store.DB) error {
	out := map[Platform]*outage{}
	err := db.View(ctx, func(tx store.Tx) error {
		return outages.Each(tx, store.Query{}, func(o *outage) (bool, error) {
			out[o.Service] = o
			return true, nil
		})
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = out
	return err
}

// admit says whether a push may be tried now. Of a service that is out, one push at a time finds out whether it is back: that is a probe.
func (s *services) admit(service Platform, now time.Time) (ok, probe bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.out[service]
	switch {
	case o == nil:
		return true, false
	case !o.due(now):
		return false, false
	}
	o.Next = now.Add(pushWait)
	return true, true
}

// failed notes that a service is out. It returns what there is to store; nil when that is known: pushes that were under way fail together.
func (s *services) failed(service Platform, probe bool, res WakeResult, now time.Time) *outage {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.out[service]
	switch {
	case o == nil:
		o = &outage{Service: service, Since: now}
	case !probe:
		return nil
	}
	next := *o
	next.Tries++
	next.Reason = res.Reason
	next.Next = now.Add(outageBackoff(next.Tries))
	if res.RetryAfter > 0 {
		next.Next = now.Add(min(res.RetryAfter, outageMost))
	}
	if s.out == nil {
		s.out = map[Platform]*outage{}
	}
	stored := next
	s.out[service] = &next
	return &stored
}

// back notes that a service answers again.
func (s *services) back(service Platform) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.out, service)
}

// retry has every service that is out tried at once: something about it was changed.
func (s *services) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.out {
		o.Next = o.Since
	}
}

// next is when the next probe is due; zero when no service is out.
func (s *services) next(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	for _, o := range s.out {
		at := o.Next
		if o.due(now) {
			at = now
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// retryPushes has the worker look at all due wakes again, those that wait for a service that was out among them.
func (f *Fleet) retryPushes() {
	f.planner.services.retry()
	f.planner.passed.none()
	f.planner.wakeBell.ring()
}

// outageOf is the outage of the service that pushes devices of a platform; nil when there is none.
func (f *Fleet) outageOf(tx store.Tx, p Platform) (*outage, error) {
	o, err := outages.Get(tx, string(f.wakers[p].service))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return o, err
}

// explainOutages puts the reason why devices are not pushed in place of the plain "waiting for its call" of their rows, which stay as they are
// while a service is out.
func (f *Fleet) explainOutages(tx store.Tx, rows []ProfileStatus) error {
	known := map[Platform]*outage{}
	for i := range rows {
		r := &rows[i]
		if r.Reason.Code != "waiting.contact" {
			continue
		}
		p := Platform(r.Reason.Args["platform"])
		o, looked := known[p]
		if !looked {
			var err error
			if o, err = f.outageOf(tx, p); err != nil {
				return err
			}
			known[p] = o
		}
		if o != nil {
			r.Reason, r.NextTry = o.Reason, timeOrNil(o.Next)
		}
	}
	return nil
}
