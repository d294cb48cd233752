package fleet

import (
	"slices"
	"strconv"

	"muster/store"
)

// Where a rule acts: by the server, always, and on the device where its platform has something for it.

// expiry of a device: the strictest rules that would withdraw access from it.
func (f *Fleet) expiry(tx store.Tx, c *config, d *Device) (Expiry, error) {
	var x Expiry
	for _, r := range c.expiry {
		if slices.ContainsFunc(r.ExcludeTags, func(t Tag) bool { return slices.Contains(d.Tags, t) }) {
			continue
		}
		covered, err := f.covers(tx, r, d)
		if err != nil {
			return x, err
		}
		if covered {
			x = x.with(r)
		}
	}
	return x, nil
}

// expiryChanged follows every write of a rule: what devices do of sync expiry by themselves may be another thing now.
func (f *Fleet) expiryChanged(tx store.Tx, r *StaleRule) error {
	if r.Kind != SyncExpiry {
		return nil
	}
	if err := touchConfig(tx); err != nil {
		return err
	}
	return f.frameChanged(tx)
}

// with is the expiry when one more rule counts.
func (x Expiry) with(r *StaleRule) Expiry {
	stricter := func(days int) int {
		if days == 0 || r.Days < days {
			return r.Days
		}
		return days
	}
	x.Days = stricter(x.Days)
	if r.Erase {
		x.Erase = stricter(x.Erase)
	}
	return x
}

// ExpiryEnforcer is what a Module also is when its devices do something of sync expiry by themselves. It says what that is on a target, and the zero
// Reason where it is nothing.
type ExpiryEnforcer interface {
	EnforcesExpiry(t Target, x Expiry) Reason
}

// Enforcement says what a rule does to the devices of one target: what they do by themselves, also without contact, and what the server does.
type Enforcement struct {
	Platform Platform `json:"platform"`
	Mode     Mode     `json:"mode"`
	Device   Reason   `json:"device,omitzero"`
	Server   Reason   `json:"server,omitzero"`
}

// StaleEnforcement lists what acts where, for each way of managing a device that a rule is about and that is served here. Ownership makes no
// difference to it.
func (f *Fleet) StaleEnforcement(r *StaleRule) []Enforcement {
	var out []Enforcement
	for _, p := range []Platform{IOS, IPadOS, MacOS, Windows, Android} {
		m := f.modules[p]
		if m == nil || len(r.Platforms) > 0 && !slices.Contains(r.Platforms, p) {
			continue
		}
		for _, t := range TargetsOf(p) {
			if slices.ContainsFunc(out, func(e Enforcement) bool { return e.Platform == p && e.Mode == t.Mode }) {
				continue
			}
			e := Enforcement{Platform: p, Mode: t.Mode, Device: Why("rule.device.nothing"), Server: r.byServer(m, t)}
			if own, ok := m.(ExpiryEnforcer); ok && r.Kind == SyncExpiry && !r.Off {
				if does := own.EnforcesExpiry(t, Expiry{}.with(r)); does.Code != "" {
					e.Device = does
				}
			}
			out = append(out, e)
		}
	}
	return out
}

// byServer is what the server does by a rule: the same decision as staleAction's, of a target instead of a device.
func (r *StaleRule) byServer(m Module, t Target) Reason {
	offers := func(a ActionType) bool {
		list := m.Choices(&Device{Platform: t.Platform, Mode: t.Mode, Ownership: t.Ownership, State: Managed}, nil)
		return slices.ContainsFunc(list, func(c ActionChoice) bool { return c.Type == a && c.Offered })
	}
	days := strconv.Itoa(r.Days)
	switch {
	case !offers(ActRetire) && !r.Erase:
		return Why("rule.server.spares")
	case r.Kind == Cleanup:
		return Why("rule.server.deletes", "days", days)
	case !offers(ActRetire):
		return Why("rule.server.erases", "days", days)
	}
	return Why("rule.server.withdraws", "days", days)
}
