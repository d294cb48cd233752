package fleet

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// limiter counts wrong tries in memory: at most so many of one key in a window. A restart forgets them.
type limiter struct {
	mu    sync.Mutex
	now   func() time.Time
	tries map[string]*tries
}

type tries struct {
	n     int
	until time.Time // end of the window
}

// limit is a number of wrong tries in a window.
type limit struct {
	most   int
	window time.Duration
}

var (
	codeLimit    = limit{20, 10 * time.Minute} // wrong invitation codes and tickets of one address
	accountLimit = limit{10, 15 * time.Minute} // wrong passwords and codes for one account
	addressLimit = limit{30, 15 * time.Minute} // wrong passwords and codes from one address
	setupLimit   = limit{10, 10 * time.Minute}
)

// maxLimited bounds the memory that a flood from many addresses can take.
const maxLimited = 50_000

func (l *limiter) init(now func() time.Time) {
	l.now, l.tries = now, map[string]*tries{}
}

// wrong counts a try, and says how long the key must wait when it was one too many. Where the outcome is not known yet the try is counted
// beforehand and given back when it was right: so many at once win nothing.
func (l *limiter) wrong(key string, m limit) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	t := l.tries[key]
	if t == nil || !now.Before(t.until) {
		if len(l.tries) >= maxLimited {
			l.clean(now)
		}
		t = &tries{until: now.Add(m.window)}
		l.tries[key] = t
	}
	t.n++
	if t.n > m.most {
		return t.until.Sub(now)
	}
	return 0
}

// count counts a sign-in try of an address at an account. An address that must wait counts nothing against the account.
func (l *limiter) count(address, account string) error {
	if wait := l.wrong(address, addressLimit); wait > 0 {
		return limited(wait)
	}
	if wait := l.wrong(account, accountLimit); wait > 0 {
		return limited(wait)
	}
	return nil
}

// giveBack takes one try back.
func (l *limiter) giveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tries[key]; t != nil && t.n > 0 {
		t.n--
	}
}

// forget ends the counting of a key.
func (l *limiter) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, key)
}

// clean drops what has run out, and if that is not enough an arbitrary half.
func (l *limiter) clean(now time.Time) {
	for k, t := range l.tries {
		if !now.Before(t.until) {
			delete(l.tries, k)
		}
	}
	for k := range l.tries {
		if len(l.tries) <= maxLimited/2 {
			break
		}
		delete(l.tries, k)
	}
}

// limited makes the refusal of a try that came too early.
func limited(wait time.Duration) error {
	minutes := int((wait + time.Minute - 1) / time.Minute)
	return &Refusal{Kind: ErrLimited, Reason: Why("limited", "minutes", strconv.Itoa(max(1, minutes))), RetryAfter: wait}
}

// addressKey is what counts as one address: an IPv4 address, or the /64 of an IPv6 one.
func addressKey(from string) string {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	ip, err := netip.ParseAddr(from)
	if err != nil {
		return clip(from, 64)
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
