package android

import (
	"context"
	"errors"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// record is what is remembered of an enrolment with Google: the policy that was sent, the way in, the device, and the commands under way.
type record struct {
	Enrolment  fleet.EnrolmentID `json:"enrolment"`
	Enterprise string            `json:"enterprise"`
	Policy     string            `json:"policy"` // enterprises/E/policies/<enrolment>
	Sent       sentPolicy        `json:"sent"`
	Token      tokenRecord       `json:"token,omitzero"`
	Device     string            `json:"device,omitempty"` // enterprises/E/devices/D; empty until it has enrolled
	DeviceID   fleet.DeviceID    `json:"device_id,omitempty"`
	Mode       fleet.Mode        `json:"mode"`
	Reached    bool              `json:"reached,omitempty"`
	Heard      time.Time         `json:"heard,omitzero"` // when the device itself spoke last, by Google
	Applied    int64             `json:"applied,omitempty"`
	Commands   map[string]sent   `json:"commands,omitempty"` // by action id; "unenrol" for the end of management
}

// sentPolicy is the policy as Google has it.
type sentPolicy struct {
	Version int64                        `json:"version,omitempty"`
	Digest  string                       `json:"digest,omitempty"`
	Keys    []string                     `json:"keys,omitempty"` // fields that it has or may have
	Unit    string                       `json:"unit,omitempty"` // version of fleet's unit that it holds; "" = nothing was wanted
	Owners  map[string][]fleet.ProfileID `json:"owners,omitempty"`
	At      time.Time                    `json:"at,omitzero"`

	Certificates map[fleet.ProfileID]string `json:"identities,omitempty"` // fingerprints of the identities in it
}

// arrived says whether the device has told that the newest policy is in force.
func (r *record) arrived(d *device) bool {
	return d.AppliedPolicyName == r.Policy && int64(d.AppliedPolicyVersion) >= r.Sent.Version
}

// tokenRecord is an enrolment token; what opens the door is sealed.
type tokenRecord struct {
	Name    string    `json:"name,omitempty"`
	Sealed  []byte    `json:"sealed,omitempty"` // value and QR code
	Expires time.Time `json:"expires,omitzero"`
}

// sent is a command. It is written down before it is sent.
type sent struct {
	Type     string        `json:"type"`
	Name     string        `json:"name,omitempty"` // of its operation; empty: whether it was sent is not known
	At       time.Time     `json:"at"`
	Duration time.Duration `json:"duration"`
	Tries    int           `json:"tries"`
}

var records = store.Define("ga", func(r *record) string { return string(r.Enrolment) },
	store.Index[record]{Name: "device", Values: func(r *record) []string {
		if r.Device == "" {
			return nil
		}
		return []string{r.Device}
	}},
	store.Index[record]{Name: "commanded", Values: func(r *record) []string {
		if len(r.Commands) == 0 {
			return nil
		}
		return []string{"y"}
	}},
)

// recordOf reads a record; nil, nil when there is none.
func (a *Android) recordOf(ctx context.Context, e fleet.EnrolmentID) (*record, error) {
	var out *record
	err := a.db.View(ctx, func(tx store.Tx) (err error) {
		out, err = records.Get(tx, string(e))
		if errors.Is(err, store.ErrNotFound) {
			out, err = nil, nil
		}
		return err
	})
	return out, err
}

// recordOfDevice reads the record of a device by Google's name for it; nil, nil when there is none.
func (a *Android) recordOfDevice(ctx context.Context, name string) (*record, error) {
	var out *record
	err := a.db.View(ctx, func(tx store.Tx) error {
		return records.Each(tx, store.Query{Index: "device", Value: name}, func(r *record) (bool, error) {
			out = r
			return false, nil
		})
	})
	return out, err
}

// keep stores a record. Only the worker that holds the enrolment writes it, and the enrolment page before there is a device.
func (a *Android) keep(ctx context.Context, r *record) error {
	return a.db.Update(ctx, func(tx store.Tx) error { return records.Put(tx, r) })
}

func (a *Android) forget(ctx context.Context, e fleet.EnrolmentID) error {
	return a.db.Update(ctx, func(tx store.Tx) error {
		err := records.Delete(tx, string(e))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
}
