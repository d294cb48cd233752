package fleet

import (
	"slices"

	"muster/store"
)

// Frame is what holds of a device besides the profiles that are wanted of it.
type Frame struct {
	Facts  []FactKey `json:"facts,omitempty"` // that may be taken
	Expiry Expiry    `json:"expiry,omitzero"`
	// Where the network log may be taken:
	System   int  `json:"system,omitempty"`   // the first number of its system's version; 0 = not told yet
	Notified bool `json:"notified,omitempty"` // the service that manages it notifies us: without, logs reach nobody
}

// Expiry is after how many days of silence access is withdrawn from a device by the rules that cover it; 0 = never.
type Expiry struct {
	Days  int `json:"days,omitempty"`  // by the strictest rule
	Erase int `json:"erase,omitempty"` // by the strictest rule that also erases: where a device can do nothing but reset itself, only this counts
}

// RendersFrame is met by platforms that write the frame into what they deliver, and is pure like Module.
type RendersFrame interface {
	// FrameUnits are the units that a device gets for its frame alone: they have no profiles.
	FrameUnits(d *Device, fr *Frame) []Unit
	// FrameOf is the part of a frame that a unit is rendered from, nil when that is none: another one makes another version of the unit, and is
	// delivered like a changed profile.
	FrameOf(u *Unit, fr *Frame) *Frame
}

// frameUnit says whether a unit is there for the frame alone.
func (s *situation) frameUnit(u *Unit) bool {
	return s.frames != nil && len(u.Profiles) == 0 && s.frames.FrameOf(u, &Frame{}) != nil
}

// frameOf is the part of the frame that a unit is rendered from.
func (s *situation) frameOf(u *Unit) *Frame {
	if s.frames == nil || s.frame == nil {
		return nil
	}
	return s.frames.FrameOf(u, s.frame)
}

// frameEvent writes a line about a unit that is there for the frame alone; about others there is one a profile.
func (f *Fleet) frameEvent(tx store.Tx, s *situation, u *Unit, code string, r Reason, ev Evidence) error {
	if !s.frameUnit(u) {
		return nil
	}
	return f.event(tx, s.device.ID, Reason{Code: code, DeviceWords: r.DeviceWords}, ev, "")
}

// owesFrame says whether a device has still to be told of its frame, which shows in no row where no profile is wanted.
func (s *situation) owesFrame() bool {
	if s.frames == nil {
		return false
	}
	return slices.ContainsFunc(slices.Concat(s.planInstalls(), s.planRemovals()), func(d difference) bool {
		return s.frames.FrameOf(d.Step.Unit, &Frame{}) != nil
	})
}

// frame of a device as this transaction sees it.
func (f *Fleet) frame(tx store.Tx, d *Device) (*Frame, error) {
	s, err := f.settings(tx)
	if err != nil {
		return nil, err
	}
	c, err := f.config(tx)
	if err != nil {
		return nil, err
	}
	x, err := f.expiry(tx, c, d)
	if err != nil {
		return nil, err
	}
	fr := &Frame{Facts: permitted(s, d), Expiry: x}
	if slices.Contains(fr.Facts, FactNetworkUse) {
		fr.System = firstNumber(d.OSVersion)
		g, err := readGoogle(tx)
		if err != nil {
			return nil, err
		}
		fr.Notified = g != nil && g.Subscription != ""
	}
	return fr, nil
}

// firstNumber of a version; 0 when it has none.
func firstNumber(version string) int {
	n := 0
	for _, r := range version {
		if r < '0' || r > '9' || n > 1_000_000 {
			break
		}
		n = 10*n + int(r-'0')
	}
	return n
}

// frameChanged tells the fan-out that the frames of any devices may have changed, where a platform renders them.
func (f *Fleet) frameChanged(tx store.Tx) error {
	for _, m := range f.modules {
		if _, ok := m.(RendersFrame); ok {
			return f.noteChange(tx, changeScope{All: true, Why: "frame"})
		}
	}
	return nil
}
