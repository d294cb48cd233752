package fleet

// lifecycleEvent is what can happen to a device's life.
type lifecycleEvent string

const (
	evReach   lifecycleEvent = "reach"    // a channel can be reached
	evRetire  lifecycleEvent = "retire"   // ordered
	evWipe    lifecycleEvent = "wipe"     // ordered
	evCallOff lifecycleEvent = "call-off" // the order is withdrawn
	evProved  lifecycleEvent = "proved"   // the removal or wipe is proved
	evLeave   lifecycleEvent = "leave"    // the device says that it left
	evDoor    lifecycleEvent = "door"     // the time for fetching a removal is over
	evReenrol lifecycleEvent = "re-enrol" // under a valid invitation
)

// effect is what a transition brings with it, in the same transaction.
type effect string

const (
	fxOvertake      effect = "overtake"       // other open actions end as overtaken, orders in flight are dropped
	fxRevokeAccess  effect = "revoke-access"  // certificates for mail, Wi-Fi and the like
	fxRevokeAll     effect = "revoke-all"     // those and the management identity
	fxOpenReceipt   effect = "open-receipt"   //
	fxCloseReceipt  effect = "close-receipt"  //
	fxTombstone     effect = "tombstone"      // the enrolment has ended; Identify answers ErrUnrecognized from now on
	fxEndEnrolment  effect = "end-enrolment"  // the enrolment has ended, without tombstone: the hardware goes on under another
	fxWake          effect = "wake"           //
	fxFreshReport   effect = "fresh-report"   // nothing that was reported counts any more
	fxForgetRemoval effect = "forget-removal" // the removal is called off: wanted is what was assigned
)

// transition is one cell of the table.
type transition struct {
	To      State
	Effects []effect
}

var (
	fxOrder = []effect{fxOvertake, fxRevokeAccess, fxOpenReceipt, fxWake}
	fxEnd   = []effect{fxOvertake, fxRevokeAll, fxCloseReceipt, fxTombstone}
	fxAnew  = []effect{fxOvertake, fxRevokeAll, fxCloseReceipt, fxEndEnrolment, fxFreshReport}
	fxBack  = []effect{fxCloseReceipt, fxForgetRemoval, fxWake}
)

// lifecycleTable says for each state what may happen and what follows. What is absent cannot happen.
//
//   - retiring and wiping stick until proved, called off, overtaken by a re-enrolment, or the door closes;
//   - nothing leads out of an ended enrolment but re-enrolment;
//   - a device becomes managed only by reaching us, which takes a live identity; each end revokes that identity.
var lifecycleTable = map[State]map[lifecycleEvent]transition{
	Enrolling: {
		evReach:   {Managed, []effect{fxWake}},
		evRetire:  {Retiring, fxOrder},
		evWipe:    {Wiping, fxOrder},
		evLeave:   {Left, fxEnd},
		evReenrol: {Enrolling, fxAnew},
	},
	Managed: {
		evReach:   {Managed, nil},
		evRetire:  {Retiring, fxOrder},
		evWipe:    {Wiping, fxOrder},
		evLeave:   {Left, fxEnd},
		evReenrol: {Enrolling, fxAnew},
	},
	Retiring: {
		evReach:   {Retiring, []effect{fxWake}},
		evWipe:    {Wiping, append([]effect{fxCloseReceipt}, fxOrder...)},
		evCallOff: {Managed, fxBack},
		evProved:  {Retired, fxEnd},
		evLeave:   {Retired, fxEnd}, // the device's own farewell is the proof
		evDoor:    {Closed, fxEnd},
		evReenrol: {Enrolling, fxAnew},
	},
	Wiping: {
		evReach:   {Wiping, []effect{fxWake}},
		evCallOff: {Managed, fxBack},
		evProved:  {Wiped, fxEnd},
		evLeave:   {Left, fxEnd}, // it left, and nothing says that it was erased
		evDoor:    {Closed, fxEnd},
		evReenrol: {Enrolling, fxAnew},
	},
	Retired: {evReenrol: {Enrolling, []effect{fxFreshReport}}},
	Wiped:   {evReenrol: {Enrolling, []effect{fxFreshReport}}},
	Left:    {evReenrol: {Enrolling, []effect{fxFreshReport}}},
	Closed:  {evReenrol: {Enrolling, []effect{fxFreshReport}}},
}

// ended says whether a state is the end of an enrolment.
func (s State) ended() bool {
	switch s {
	case Retired, Wiped, Left, Closed:
		return true
	}
	return false
}

// leaving says whether a removal is under way.
func (s State) leaving() bool { return s == Retiring || s == Wiping }
