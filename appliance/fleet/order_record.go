package fleet

import (
	"time"

	"muster/store"
)

// keepOrders is how long answered and unanswered orders are kept; evidence copies what it needs of them.
const keepOrders = 30 * 24 * time.Hour

// orderRecord is a step that was handed to a device. Its id is a ULID: id order is the order of handing over.
type orderRecord struct {
	ID        OrderID           `json:"id"`
	Device    DeviceID          `json:"device"`
	Enrolment EnrolmentID       `json:"enrolment"`
	Channel   Channel           `json:"channel"`
	Step      Step              `json:"step"`
	Held      []Held            `json:"held,omitempty"`  // profile versions in the unit
	Certs     map[ProfileID]int `json:"certs,omitempty"` // generations of identity profiles in the unit
	Sent      time.Time         `json:"sent"`
	Again     time.Time         `json:"again,omitzero"` // last handed over
	Tries     int               `json:"tries"`
	Answered  time.Time         `json:"answered,omitzero"`
	Message   string            `json:"message,omitempty"` // our id of the message that answered
	Outcome   Outcome           `json:"outcome,omitempty"`
	Reason    Reason            `json:"reason,omitzero"`
}

var orders = store.Define("od", func(o *orderRecord) string { return string(o.ID) })

// stepKey names a step among those of one channel.
func stepKey(s Step) string {
	switch s.Kind {
	case StepInstall, StepRemove:
		return string(s.Kind) + ":" + s.Unit.Key
	case StepQuery:
		return string(s.Kind) + ":" + string(s.Query)
	case StepAction:
		return string(s.Kind) + ":" + string(s.Action)
	}
	return string(s.Kind)
}

// ulidBefore is a text below every ULID made at or after t and above most made before: the time in ten digits of base 32 (ULID
// specification, "Encoding").
func ulidBefore(t time.Time) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	ms := max(t.UnixMilli(), 0)
	out := make([]byte, 10)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = digits[ms&31]
		ms >>= 5
	}
	return string(out)
}
