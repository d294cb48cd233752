package fleet

import "time"

// Device is a managed (or once managed) piece of hardware under its present enrolment.
type Device struct {
	ID        DeviceID    `json:"id"`
	Enrolment EnrolmentID `json:"enrolment"`
	Hardware  string      `json:"hardware"` // UDID or what the platform gives; one device a value
	Person    PersonID    `json:"person,omitempty"`
	Name      string      `json:"name"`            // given by an administrator, else the device's own
	Named     bool        `json:"named,omitempty"` // by an administrator: the device's own name no longer counts
	Platform  Platform    `json:"platform"`
	Mode      Mode        `json:"mode"`
	Ownership Ownership   `json:"ownership"`
	State     State       `json:"state"`
	Hidden    bool        `json:"hidden"` // deleted from the list; goes for good after its removal is proved (C6)
	Stolen    bool        `json:"stolen"` // cannot re-enrol until cleared
	Serial    string      `json:"serial,omitempty"`
	Model     string      `json:"model,omitempty"`
	OSVersion string      `json:"os_version,omitempty"`
	Tags      []Tag       `json:"tags,omitempty"`
	Enrolled  time.Time   `json:"enrolled,omitzero"`
	LastSeen  time.Time   `json:"last_seen,omitzero"` // coalesced: at most a minute behind
	LastFrom  string      `json:"last_from,omitempty"`
	Channels  []Channel   `json:"channels"`           // reachable channels
	Switches  []FactKey   `json:"switches,omitempty"` // optional facts accepted at enrolment
	Warning   *Reason     `json:"warning,omitempty"`  // two devices with one serial, ...
	Version   int         `json:"version"`
}

// Target of the device.
func (d *Device) Target() Target { return Target{d.Platform, d.Mode, d.Ownership} }

// Enrolment is one life of a device under management, from acceptance to receipt.
type Enrolment struct {
	ID         EnrolmentID  `json:"id"`
	Invitation InvitationID `json:"invitation"`
	Person     PersonID     `json:"person,omitempty"`
	Platform   Platform     `json:"platform"`
	Mode       Mode         `json:"mode"`
	Ownership  Ownership    `json:"ownership"`
	Tags       []Tag        `json:"tags,omitempty"`
	Switches   []FactKey    `json:"switches,omitempty"`
	Device     DeviceID     `json:"device,omitempty"` // empty until the first message
	TicketHash []byte       `json:"ticket_hash,omitempty"`
	TicketEnds time.Time    `json:"ticket_ends"`
	Created    time.Time    `json:"created"`
	Ended      *time.Time   `json:"ended,omitempty"`
	EndReason  string       `json:"end_reason,omitempty"` // retired, wiped, checked-out, overtaken, ...
	Topic      string       `json:"topic,omitempty"`      // push topic it enrolled under
	Service    string       `json:"service,omitempty"`    // the device's name with the service that manages it for us: its identity (see IdentifyService)
}

// DeviceFilter narrows a device list.
type DeviceFilter struct {
	Platform  Platform
	Ownership Ownership
	State     State
	Person    PersonID
	Group     GroupID
	Profile   ProfileID // with Status: devices on which this profile has it
	Status    ProfileStatusCode
	SilentFor time.Duration // last contact longer ago
	Hidden    bool          // also those deleted from the list
	Sort      string        // "" newest first, "name", "last-seen"
}

type DeviceInput struct {
	Name    *string
	Tags    *[]Tag
	Person  *PersonID
	Stolen  *bool
	Version int
}

// App in the inventory of a device, within what D3 allows.
type App struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Managed bool   `json:"managed"`
}

// Counts for the overview, kept by the writers, not counted by walking.
type Counts struct {
	Devices    int                       `json:"devices"`
	ByPlatform map[Platform]int          `json:"by_platform"`
	ByState    map[State]int             `json:"by_state"`
	People     int                       `json:"people"`
	Statuses   map[ProfileStatusCode]int `json:"statuses"`
	CheckIns   []DayCount                `json:"check_ins"` // 30 days, oldest first: devices that called on that day
	Expiring   int                       `json:"expiring"`  // certificates ending within 30 days
}

type DayCount struct {
	Day time.Time `json:"day,omitzero"`
	N   int       `json:"n"`
}

// Event is one line of a device's timeline.
type Event struct {
	ID       string    `json:"id"`
	Device   DeviceID  `json:"device"`
	At       time.Time `json:"at,omitzero"`
	Reason   Reason    `json:"reason,omitzero"` // code "event.…"
	Evidence Evidence  `json:"evidence,omitzero"`
	Actor    string    `json:"actor,omitempty"`
}
