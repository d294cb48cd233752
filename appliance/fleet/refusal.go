package fleet

import (
	"fmt"
	"time"
)

// Refusal is an error with words for people. It wraps one sentinel of errors.go.
type Refusal struct {
	Kind       error             // a sentinel
	Reason     Reason            // what happened, to what, what to do
	Fields     map[string]Reason // per input field, for ErrInvalid
	RetryAfter time.Duration     // for ErrLimited
}

// Refuse makes a Refusal.
func Refuse(kind error, code string, pairs ...string) *Refusal {
	return &Refusal{Kind: kind, Reason: Why(code, pairs...)}
}

// Error is for logs, not for people.
func (r *Refusal) Error() string {
	if len(r.Fields) > 0 {
		return fmt.Sprintf("%v: %s %v", r.Kind, r.Reason.Code, r.Fields)
	}
	return fmt.Sprintf("%v: %s", r.Kind, r.Reason.Code)
}

// Unwrap lets errors.Is find the sentinel.
func (r *Refusal) Unwrap() error { return r.Kind }

// refuseField refuses what one field of an input says.
func refuseField(kind error, field string, why Reason) error {
	return &Refusal{Kind: kind, Reason: why, Fields: map[string]Reason{field: why}}
}
