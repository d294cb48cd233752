package fleet

// Identifiers are ULIDs (store.NewID) with a type each, so that the compiler notices a
// swap.
type (
	DeviceID     string
	EnrolmentID  string // one enrolment of one device; orders belong to it, not to hardware
	PersonID     string
	GroupID      string
	ProfileID    string
	AssignmentID string
	InvitationID string
	ActionID     string
	ReceiptID    string
	OrderID      string // one step handed to a device: a command UUID, a SyncML command reference
	AdminID      string
	RoleID       string
	TokenID      string
	SessionID    string
	TermsID      string
	Tag          string // scope tag
)

// Channel tells which connection of an enrolment speaks: the device itself, or on macOS
// one managed user. "user:<user id>" for the latter.
type Channel string

// DeviceChannel is the channel that every enrolment has.
const DeviceChannel Channel = "device"
