package fleet

import (
	"errors"

	"muster/store"
)

// Sentinels that callers ask for with errors.Is. Each refusal also carries a Reason (see
// Refusal) for people.
var (
	// ErrNotFound: no such thing, or it lies outside the actor's scope.
	ErrNotFound = errors.New("fleet: not found")
	// ErrForbidden: the actor's role lacks the permission.
	ErrForbidden = errors.New("fleet: not allowed")
	// ErrInvalid: the input breaks a rule; Refusal.Fields says which.
	ErrInvalid = errors.New("fleet: invalid")
	// ErrConflict: it clashes with what is there (a name taken, a newer version saved by another).
	ErrConflict = errors.New("fleet: conflict")
	// ErrNotApplicable: the action or profile does not apply to this device (C4).
	ErrNotApplicable = errors.New("fleet: not applicable")
	// ErrGone: used up, expired, revoked.
	ErrGone = errors.New("fleet: gone")
	// ErrLimited: too many tries; Refusal.RetryAfter says when.
	ErrLimited = errors.New("fleet: too many tries")
	// ErrNoRoom: the disk is nearly full, nothing was written; it works again by itself once there is room.
	ErrNoRoom = store.ErrNoRoom
	// ErrSignIn: wrong name, password, code or token; says no more on purpose.
	ErrSignIn = errors.New("fleet: sign-in refused")

	// ErrForeign: the certificate is not from our issuing CA. Answer 400.
	ErrForeign = errors.New("fleet: certificate of another authority")
	// ErrNoRecord: our certificate, but no record (an older backup restored). Answer 400, warn, never send away.
	ErrNoRecord = errors.New("fleet: certificate known, device unknown")
	// ErrUnrecognized: removal of this enrolment is proved. Answer 403 com.apple.unrecognized.device.
	ErrUnrecognized = errors.New("fleet: enrolment has ended")
	// ErrIdentity: revoked, ended (but see Identity.Late) or belonging to another enrolment than the message names. Answer 400.
	ErrIdentity = errors.New("fleet: identity refused")
)
