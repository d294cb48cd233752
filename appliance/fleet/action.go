package fleet

import "time"

// ActionType is a one-off request, or an order that sets a lifecycle target.
type ActionType string

const (
	ActRetire        ActionType = "retire"
	ActWipe          ActionType = "wipe"
	ActDelete        ActionType = "delete"
	ActLock          ActionType = "lock"
	ActClearPasscode ActionType = "clear-passcode"
	ActRestart       ActionType = "restart"
	ActSync          ActionType = "sync"
	ActQuery         ActionType = "query"          // asks for one node (D8)
	ActClearApp      ActionType = "clear-app-data" // of one managed app
)

// ActionState: queued, sent, acknowledged, then one of the rest.
type ActionState string

const (
	ActionQueued       ActionState = "queued"
	ActionSent         ActionState = "sent"
	ActionAcknowledged ActionState = "acknowledged"
	ActionDone         ActionState = "done"
	ActionFailed       ActionState = "failed"
	ActionUnknown      ActionState = "unknown" // at most once, and no answer: ask a person
	ActionExpired      ActionState = "expired"
	ActionCancelled    ActionState = "cancelled"
	ActionOvertaken    ActionState = "overtaken" // by re-enrolment or by retire/wipe
)

// ActionOptions are the options of an action; which apply is in ActionChoice.
type ActionOptions struct {
	Message      string `json:"message,omitempty"` // lock
	Phone        string `json:"phone,omitempty"`
	PIN          string `json:"-"`                        // lock and wipe of a Mac, six digits; kept sealed
	KeepDataPlan bool   `json:"keep_data_plan,omitempty"` // wipe of an iPhone: the eSIM stays
	NoProximity  bool   `json:"no_proximity,omitempty"`
	Obliterate   string `json:"obliterate,omitempty"`    // wipe of a Mac: Default, DoNotObliterate, ObliterateWithWarning, Always
	KeepEnrolled bool   `json:"keep_enrolled,omitempty"` // wipe of a PC: it stays managed
	Method       string `json:"method,omitempty"`        // wipe of a PC: another way of erasing; those that apply stand in ActionChoice.Options
	Node         string `json:"node,omitempty"`          // query: what is asked, one of ActionChoice.Nodes
	App          string `json:"app,omitempty"`           // clear-app-data: which, one of ActionChoice.Apps
	Stolen       bool   `json:"stolen,omitempty"`        // wipe: lost or stolen, cannot re-enrol until cleared
}

// WipeMethods are other ways of erasing a PC (Method).
var WipeMethods = []string{"protected", "keep-provisioning", "cloud"}

// Action has an explicit life; nothing is ever silently pending.
type Action struct {
	ID        ActionID      `json:"id"`
	Device    DeviceID      `json:"device"`
	Enrolment EnrolmentID   `json:"enrolment"`
	Type      ActionType    `json:"type"`
	Options   ActionOptions `json:"options"`
	Secret    []byte        `json:"secret,omitempty"` // sealed PIN
	State     ActionState   `json:"state"`
	Reason    Reason        `json:"reason"`
	By        string        `json:"by"`
	Created   time.Time     `json:"created"`
	Sent      *time.Time    `json:"sent,omitempty"`
	Ended     *time.Time    `json:"ended,omitempty"`
	Expires   *time.Time    `json:"expires,omitempty"`
	Tries     int           `json:"tries"`
	Once      bool          `json:"once"` // at most once; else repeat until proved
	Evidence  Evidence      `json:"evidence"`
	Reply     *Reply        `json:"reply,omitempty"` // query: what the device answered, for repliesKept
}

// ActionChoice is one action on one device: offered, or not with the reason (C4).
type ActionChoice struct {
	Type     ActionType `json:"type"`
	Offered  bool       `json:"offered"`
	Reason   Reason     `json:"reason,omitzero"`   // why not, or what it does
	Options  []string   `json:"options,omitempty"` // which options apply: "message", "phone", "pin", "keep-data-plan", ...
	Nodes    []string   `json:"nodes,omitempty"`   // query: what may be asked
	Apps     []App      `json:"apps,omitempty"`    // clear-app-data: those whose data can be cleared
	NeedsPIN bool       `json:"needs_pin"`
	Confirm  bool       `json:"confirm"` // asks for the device's name
}

// RemovalRow is one row of the C3 table: what happens to a kind of data, before confirming, and its proof afterwards.
type RemovalRow struct {
	Data     string     `json:"data"`             // word key: company-apps, settings, wifi-vpn, certificates, management, email, contacts, directory, web-links, other-apps, outlook, other-contacts
	Outcome  Reason     `json:"outcome,omitzero"` // removed, revoked, stays, not-applicable, ...
	Proved   string     `json:"proved"`           // "proved", "not-proved", "not-needed" (nothing of it was there, or it stays)
	Why      Reason     `json:"why,omitzero"`
	Evidence []Evidence `json:"evidence,omitempty"`
	Serials  []string   `json:"serials,omitempty"` // revoked certificates
	Items    []string   `json:"items,omitempty"`   // profile names removed
}

// Receipt is the proof of a removal. It outlives the device record.
type Receipt struct {
	ID        ReceiptID    `json:"id"`
	Device    DeviceID     `json:"device"`
	Enrolment EnrolmentID  `json:"enrolment"`
	Kind      string       `json:"kind"` // retire, wipe, delete, left, overtaken
	Name      string       `json:"name"` // of the device then
	Serial    string       `json:"serial,omitempty"`
	Model     string       `json:"model,omitempty"`
	Person    string       `json:"person,omitempty"` // name then
	PersonID  PersonID     `json:"person_id,omitempty"`
	Platform  Platform     `json:"platform"`
	Ownership Ownership    `json:"ownership"`
	By        string       `json:"by"`
	Opened    time.Time    `json:"opened,omitzero"`
	Closed    *time.Time   `json:"closed,omitempty"`
	Outcome   string       `json:"outcome"` // open, proved, partly, not-proved, called-off, overtaken
	Rows      []RemovalRow `json:"rows"`
	Tags      []Tag        `json:"tags,omitempty"`
}
