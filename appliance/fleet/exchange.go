package fleet

import "time"

// What a platform package calls while a device talks to it.

// Identity ties a request to its enrolment.
type Identity struct {
	Enrolment   EnrolmentID
	Device      DeviceID // empty before the first Authenticate
	Fingerprint string
	Serial      string
	Late        bool // its time is over: Exchange hands out its renewal, or the removal that is under way, and nothing else
}

// Contact is one message of a device.
type Contact struct {
	Identity Identity
	Channel  Channel
	Message  string // our id for this message: evidence refers to it; empty = made
	At       time.Time
	From     string
	NewRun   bool // a new connection run (Apple: Status Idle): postponed steps are offered again
	// Of devices that a service manages for us (see IdentifyService):
	Heard time.Time // when the device itself was last heard of; zero = At
	News  bool      // the service has news of it: what it was asked before is asked again
}

// EnrolInput is what a first message tells. Name and Facts are kept as far as the register allows.
type EnrolInput struct {
	Hardware string
	Platform Platform // as the device says: ios, ipados, macos
	Name     string
	Facts    map[FactKey]any
	Topic    string
	Service  string  // its name with the service that manages it on our behalf (Google's device name); "" = it calls us itself
	Warning  *Reason // for a new device: something about it for a person to look at
}

// StepKind is what the planner wants next.
type StepKind string

const (
	StepInstall StepKind = "install" // a delivery unit
	StepRemove  StepKind = "remove"
	StepQuery   StepKind = "query"
	StepAction  StepKind = "action"
	StepRenew   StepKind = "renew"   // the management identity
	StepUnenrol StepKind = "unenrol" // the last step of a removal
)

// QueryKind is a read-back. Platforms map it to their commands.
type QueryKind string

const (
	QueryDevice       QueryKind = "device"
	QuerySecurity     QueryKind = "security"
	QueryProfiles     QueryKind = "profiles"
	QueryCertificates QueryKind = "certificates"
	QueryApps         QueryKind = "apps"
	QueryManagedApps  QueryKind = "managed-apps"
)

// Step is the first difference between wanted and reported.
type Step struct {
	Kind   StepKind  `json:"kind"`
	Unit   *Unit     `json:"unit,omitempty"`
	Query  QueryKind `json:"query,omitempty"`
	Action ActionID  `json:"action,omitempty"`
}

// Order is a step handed over. It was stored, with its secrets recorded, before it is returned.
type Order struct {
	ID          OrderID
	Step        Step
	Device      *Device
	Person      *Person                // nil without one; shared, not to be changed
	Profiles    []*Profile             // of Unit, in the unit's order; shared, not to be changed
	Refs        map[ProfileID]*Profile // what those of an installation refer to and travels in other units; shared, not to be changed
	Action      *Action
	PIN         string                       // opened, for lock and wipe of a Mac
	Secrets     map[ProfileID]string         // certificate challenges of identity profiles in Unit
	Packed      map[ProfileID]PackedIdentity // of those that are sent with their key
	Renewal     string                       // challenge for StepRenew
	Frame       *Frame                       // of units, where the platform renders it
	Facts       []FactKey                    // for QueryDevice and QuerySecurity: what may be taken; nothing else may be asked
	ManagedOnly bool                         // for app and certificate lists (D3)
}

// Answer is a device's result for an order.
type Answer struct {
	Order        OrderID
	Outcome      Outcome
	Reason       Reason      // for Failed: the platform's explanation, with the device's words
	Blames       ProfileType // for Failed: the type of profile that the error speaks of, "" = all of the unit
	Account      bool        // an account exists already (B8)
	Results      []Result    // QueryProfiles: what became of single profiles in a unit that arrived
	Facts        map[FactKey]any
	Markers      map[string]string // QueryProfiles: unit key → marker of the version found; nil = not asked
	Missing      map[string]Reason // QueryProfiles: unit key → why its version was not found, where the device says
	Later        map[string]Reason // QueryProfiles: unit key → what it is still busy with: neither there nor missing, asked again in the next run
	Unread       map[string]bool   // QueryProfiles: units in Markers of which something cannot be read: all that proves it is that the device took it
	Unfit        bool              // for Failed: this edition or version has no such thing
	Certificates []string          // QueryCertificates: fingerprints (hex SHA-256) found
	Apps         []App
	Reply        *string // ActQuery: what the device answered
}

// Result is what a device says of one profile in a unit that it holds: a unit that is one document can be honoured in part.
type Result struct {
	Profile ProfileID         `json:"profile"`
	Status  ProfileStatusCode `json:"status"` // StatusPending, StatusError, StatusConflict, StatusNotApplicable or StatusWaitsPerson
	Reason  Reason            `json:"reason"`
}

// Outcome of an order.
type Outcome string

const (
	Done      Outcome = "done"
	Failed    Outcome = "failed"
	Postponed Outcome = "postponed" // NotNow: stays wanted, skipped for the rest of this run
	Malformed Outcome = "malformed" // our bug: not repeated unchanged
	Absent    Outcome = "absent"    // a removal of what is not there: the wish is fulfilled
	Taken     Outcome = "taken"     // a service holds the order for the device: it stays open, and is skipped for the rest of this run
)

// Unit is a delivery unit: what a platform sends as one.
type Unit struct {
	Key      string      `json:"key"`     // stable: "access", "passcode", ...
	Channel  Channel     `json:"channel"` // channel kind: DeviceChannel, or "user" for the person's channel
	Profiles []ProfileID `json:"profiles"`
	Version  string      `json:"version"` // set by fleet: hash of profile versions, person attributes and certificate generation
}

// Module is what fleet needs of a platform package. Its methods are pure: no store, no network.
type Module interface {
	Platforms() []Platform
	// Applies says whether a profile can be delivered to a target, and why not.
	Applies(p *Profile, t Target) (bool, Reason)
	// Compose groups the profiles wanted of a device into units, in order of delivery.
	Compose(d *Device, wanted []*Profile) []Unit
	// Marker is what Answer.Markers holds for a unit's version when it is on the device.
	Marker(unit Unit) string
	// Choices says which actions apply (C4); fleet adds roles and lifecycle.
	Choices(d *Device, facts map[FactKey]Fact) []ActionChoice
	// Once says whether an action is "at most once"; Lifetime how long it may wait (0 = until proved).
	Once(t ActionType) bool
	Lifetime(t ActionType) time.Duration
	// Queries that a device should have answered lately, in order.
	Queries(d *Device) []QueryKind
	// FactsOf says which facts a query yields.
	FactsOf(q QueryKind, d *Device) []FactKey
	// Removal is the C3 table's column for a target and action.
	Removal(d *Device, t ActionType) []RemovalRow
}

// LateRenewer is what a Module is whose devices can be told to renew an identity that has ended already.
type LateRenewer interface{ RenewsLate() bool }
