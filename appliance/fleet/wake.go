package fleet

import (
	"context"
	"time"
)

// Wake asks a device to call, over one channel. At most one a device and channel is open; it stays until the device has nothing left to do.
type Wake struct {
	ID      string    `json:"id"` // device + "/" + channel
	Device  DeviceID  `json:"device"`
	Channel Channel   `json:"channel"`
	Address []byte    `json:"address"` // what Reach kept: sealed by the platform package
	Due     time.Time `json:"due"`
	Reason  string    `json:"reason"`
	Attempt int       `json:"attempt"`
	Last    time.Time `json:"last"`
	Result  string    `json:"result,omitempty"` // of the last try: "accepted" or the code of Why
	Why     Reason    `json:"why"`              // of the last try, for "why is this pending?"
	Open    bool      `json:"open"`             // there is something to do now; else Due is when something becomes due by itself
	Dead    bool      `json:"dead,omitempty"`   // the address is dead: no push until the next Reach
	Calls   bool      `json:"calls,omitempty"`  // the device calls by itself all the same
}

// WakeResult is what came of a push.
type WakeResult struct {
	Accepted   bool
	Dead       bool          // the token is dead (410): no more pushes until the next Reach
	RetryAfter time.Duration // 0 = the usual back-off: 1, 5, 15 minutes, then hourly, then daily
	Calls      bool          // the device calls by itself all the same (Windows): a dead address is no loss, and proves nothing
	Service    bool          // the push service itself is not to be had, or not for us: no other device need be tried before it is
	Reason     Reason        // for "why is this pending?": accepted, certificate expired, unreachable ...
}

// Waker turns wakes into pushes. Platform packages implement it.
type Waker interface {
	Wake(ctx context.Context, w Wake) WakeResult
}
