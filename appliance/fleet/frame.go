package fleet

import (
	"slices"

	"muster/store"
)

// Frame is what holds of a device besides the profiles that are wanted of it.
type Frame struct {
	Facts  []FactKey `json:"facts,omitempty"` // that may be taken
	Expiry Expiry    `json:"expiry,omitzero"`
	System int       `json:"system,omitempty"` // the first number of its system's version, where something depends on it; 0 = not told yet
}

// Expiry is after how many days of silence access is withdrawn from a device by the rules that cover it; 0 = never.
type Expiry struct {
	Days  int `json:"days,omitempty"`  // by the strictest rule
	Erase int `json:"erase,omitempty"` // by the strictest rule that also erases: where a device can do nothing but reset itself, only this counts
}

// RendersFrame is met by platforms that write the frame into what they deliver: another frame makes another version of each unit, and is delivered
// like a changed profile.
type RendersFrame interface {
	RendersFrame(d *Device) bool
}

// framed says whether a platform writes the frame of a device into its units.
func (f *Fleet) framed(d *Device) bool {
	m, ok := f.modules[d.Platform].(RendersFrame)
	return ok && m.RendersFrame(d)
}

// frame of a device as this transaction sees it.
func (f *Fleet) frame(tx store.Tx, d *Device) (*Frame, error) {
	s, err := f.settings(tx)
	if err != nil {
		return nil, err
	}
	x, err := f.expiry(tx, d)
	if err != nil {
		return nil, err
	}
	fr := &Frame{Facts: permitted(s, d), Expiry: x}
	if slices.Contains(fr.Facts, FactNetworkUse) {
		fr.System = firstNumber(d.OSVersion)
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
