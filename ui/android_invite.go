package ui

import (
	"strings"

	"muster/appliance/fleet"
)

// androidPrefix begins the value of an Android in the list of what can be invited: what follows is the mode, and the ownership follows from it.
// They stand as entries of their own, because a code for a new device does nothing on a phone in use.
const androidPrefix = string(fleet.Android) + "/"

func (q *Request) androidOptions() ([]Option, error) {
	if q.ui.google == nil {
		return nil, nil
	}
	ready, err := q.ui.fleet.GoogleReady(q.Context())
	if err != nil {
		return nil, err
	}
	var out []Option
	for _, t := range fleet.TargetsOf(fleet.Android) {
		key := "invitation.platform.android." + string(t.Mode)
		o := Option{Value: androidPrefix + string(t.Mode), Word: q.T(key), Hint: q.T(key + ".hint"), Disabled: !ready}
		if !ready {
			o.Hint = q.T("invitation.platform.android.off")
		}
		out = append(out, o)
	}
	return out, nil
}

// androidChosen reads such a value.
func androidChosen(value string) (fleet.Target, bool) {
	mode, ok := strings.CutPrefix(value, androidPrefix)
	if !ok {
		return fleet.Target{}, false
	}
	for _, t := range fleet.TargetsOf(fleet.Android) {
		if string(t.Mode) == mode {
			return t, true
		}
	}
	return fleet.Target{}, false
}
