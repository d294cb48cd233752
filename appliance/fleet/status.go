package fleet

import "time"

// ProfileStatusCode is the state of one profile on one device (B10).
type ProfileStatusCode string

const (
	StatusPending       ProfileStatusCode = "pending"
	StatusSucceeded     ProfileStatusCode = "succeeded"
	StatusError         ProfileStatusCode = "error"
	StatusConflict      ProfileStatusCode = "conflict"
	StatusNotApplicable ProfileStatusCode = "not-applicable"
	StatusWaitsPerson   ProfileStatusCode = "waiting-person"
	StatusRemoving      ProfileStatusCode = "removing"
	StatusRemoved       ProfileStatusCode = "removed"
)

// ProfileStatus answers "why is this pending?" from stored facts.
type ProfileStatus struct {
	Profile  ProfileID         `json:"profile"`
	Device   DeviceID          `json:"device"`
	Name     string            `json:"name"`
	Type     ProfileType       `json:"type"`
	Status   ProfileStatusCode `json:"status"`
	Reason   Reason            `json:"reason,omitzero"` // why; what it waits for
	Since    time.Time         `json:"since,omitzero"`
	NextTry  *time.Time        `json:"next_try,omitempty"`
	Version  int               `json:"version"`           // wanted
	Evidence Evidence          `json:"evidence,omitzero"` // of the status shown
}

// Standing is one sentence about a device.
type Standing struct {
	Well    bool       `json:"well"`
	Reason  Reason     `json:"reason,omitzero"`    // "well", "waiting.contact", "removing", ...
	Last    time.Time  `json:"last,omitzero"`      // last contact
	Nudged  *time.Time `json:"nudged,omitempty"`   // last push
	NextTry *time.Time `json:"next_try,omitempty"` // next push
}
