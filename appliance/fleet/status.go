package fleet

import (
	"context"
	"time"
)

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
	Reason   Reason            `json:"reason"` // why; what it waits for
	Since    time.Time         `json:"since"`
	NextTry  *time.Time        `json:"next_try,omitempty"`
	Version  int               `json:"version"`  // wanted
	Evidence Evidence          `json:"evidence"` // of the status shown
}

// DeviceProfiles lists every profile that is wanted of, or still on, a device.
func (f *Fleet) DeviceProfiles(ctx context.Context, a Actor, id DeviceID) ([]ProfileStatus, error) {
	panic("unbuilt")
}

// ProfileDevices lists the status of a profile on each device; status "" = all.
func (f *Fleet) ProfileDevices(ctx context.Context, a Actor, id ProfileID, status ProfileStatusCode, q ListQuery) (List[ProfileStatus], error) {
	panic("unbuilt")
}

// ProfileCounts by status.
func (f *Fleet) ProfileCounts(ctx context.Context, a Actor, id ProfileID) (map[ProfileStatusCode]int, error) {
	panic("unbuilt")
}

// RetryProfile tries a failed or blocked profile again at the next contact ("I removed the account").
func (f *Fleet) RetryProfile(ctx context.Context, a Actor, d DeviceID, p ProfileID) error {
	panic("unbuilt")
}

// Standing says in one sentence whether all is well with a device and, if not, the one thing to do.
type Standing struct {
	Well    bool
	Reason  Reason     // "well", "waiting.contact", "removing", ...
	Last    time.Time  // last contact
	Nudged  *time.Time // last push
	NextTry *time.Time // next push
}

func (f *Fleet) Standing(ctx context.Context, a Actor, id DeviceID) (*Standing, error) {
	panic("unbuilt")
}
