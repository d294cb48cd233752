package fleet

import (
	"context"
	"sync"
	"time"

	"muster/pki"
	"muster/store"
)

// Tally is a kind of thing that happens often and is only counted, since the start: for metrics. It names no device and no person.
type Tally struct {
	What   string // TallyExchange, TallyPush
	Of     string // of a push: the platform
	Result string
}

// What is counted, with its results.
const (
	TallyExchange = "exchange" // idle, handed-out, refused
	TallyPush     = "push"     // accepted, refused, or the code of a reason
)

// tallies count. The zero value is ready for use.
type tallies struct {
	mu sync.Mutex
	n  map[Tally]uint64
}

func (t *tallies) add(what, of, result string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[Tally]uint64{}
	}
	t.n[Tally{what, of, result}]++
}

// exchanged counts the outcome of an exchange.
func (t *tallies) exchanged(o *Order, err error) {
	switch {
	case err != nil:
		t.add(TallyExchange, "", "refused")
	case o == nil:
		t.add(TallyExchange, "", "idle")
	default:
		t.add(TallyExchange, "", "handed-out")
	}
}

// Tallies are the counts since the start.
func (f *Fleet) Tallies() map[Tally]uint64 {
	f.tallies.mu.Lock()
	defer f.tallies.mu.Unlock()
	out := make(map[Tally]uint64, len(f.tallies.n))
	for k, v := range f.tallies.n {
		out[k] = v
	}
	return out
}

// censusMost bounds what a census looks at of each kind.
const censusMost = 100_000

// Census counts what is stored, for metrics. It walks orders and the certificates that end soon: ask rarely.
type Census struct {
	Counts *Counts
	Orders map[ActionState]int // of the newest 100,000
	Ending map[int]int         // live certificates that end within so many days
}

// CensusDays are the bounds of Ending.
var CensusDays = []int{7, 30, 90}

// Census is for those who may read settings and see everything.
func (f *Fleet) Census(ctx context.Context, a Actor) (*Census, error) {
	if err := need(a, SettingsRead); err != nil {
		return nil, err
	}
	if !a.AllTags {
		return nil, Refuse(ErrForbidden, "forbidden", "permission", string(SettingsRead))
	}
	counts, err := f.Overview(ctx, Job("metrics")) // numbers only
	if err != nil {
		return nil, err
	}
	c := &Census{Counts: counts, Orders: map[ActionState]int{}, Ending: map[int]int{}}
	now := f.now()
	last := CensusDays[len(CensusDays)-1]
	err = f.db.View(ctx, func(tx store.Tx) error {
		err := actions.Each(tx, store.Query{Reverse: true, Limit: censusMost}, func(a *Action) (bool, error) {
			c.Orders[a.State]++
			return true, nil
		})
		if err != nil {
			return err
		}
		q := pki.CertificateQuery{ExpiresFrom: now, ExpiresTo: now.AddDate(0, 0, last), Limit: 1000}
		for seen := 0; seen < censusMost; seen += q.Limit {
			page, err := f.pki.Certificates(tx, q)
			if err != nil {
				return err
			}
			for _, x := range page.Items {
				for _, days := range CensusDays {
					if !x.Revoked() && x.NotAfter.Sub(now) <= time.Duration(days)*24*time.Hour {
						c.Ending[days]++
					}
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return nil
			}
		}
		return nil
	})
	return c, err
}
