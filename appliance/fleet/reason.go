package fleet

import "time"

// Reason is a statement for people in a form that ui/words can say in any language.
type Reason struct {
	Code        string            `json:"code"`                   // e.g. "waiting.contact", "apple.account-exists"
	Args        map[string]string `json:"args,omitempty"`         // placeholders of the text
	DeviceWords string            `json:"device_words,omitempty"` // the device's own words, as it sent them
}

// Why makes a Reason from a code and key, value pairs.
func Why(code string, pairs ...string) Reason {
	r := Reason{Code: code}
	for i := 0; i+1 < len(pairs); i += 2 {
		if r.Args == nil {
			r.Args = map[string]string{}
		}
		r.Args[pairs[i]] = pairs[i+1]
	}
	return r
}

// Evidence is a stored message of a device: without it nothing counts as proved.
type Evidence struct {
	Message string    `json:"message"` // id of the message or order that the device answered
	At      time.Time `json:"at,omitzero"`
	What    string    `json:"what"` // "acknowledged", "check-out", "profile-list", "certificate-list", "revocation", "push-410", ...
}

// None says whether there is no evidence.
func (e Evidence) None() bool { return e.Message == "" }
