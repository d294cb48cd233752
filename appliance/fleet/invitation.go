package fleet

import (
	"context"
	"time"
)

// Invitation is a link and QR code for one person, one ownership, one mode, limited in uses
// and time, revocable (A10). Its code has 128 random bits and is kept hashed.
type Invitation struct {
	ID        InvitationID `json:"id"`
	Person    PersonID     `json:"person"` // empty: a device with no person
	Platform  Platform     `json:"platform"`
	Mode      Mode         `json:"mode"`
	Ownership Ownership    `json:"ownership"`
	Uses      int          `json:"uses"` // how often it may be used
	Used      int          `json:"used"`
	Expires   time.Time    `json:"expires"`
	Revoked   *time.Time   `json:"revoked,omitempty"`
	Tags      []Tag        `json:"tags,omitempty"`
	Note      string       `json:"note,omitempty"`
	CodeHash  []byte       `json:"code_hash"`
	Created   time.Time    `json:"created"`
	CreatedBy string       `json:"created_by"`
}

// InvitationState is open, used, expired or revoked.
type InvitationState string

// State of the invitation at a moment.
func (i *Invitation) State(now time.Time) InvitationState {
	switch {
	case i.Revoked != nil:
		return "revoked"
	case i.Used >= i.Uses:
		return "used"
	case !now.Before(i.Expires):
		return "expired"
	}
	return "open"
}

type InvitationInput struct {
	Person    PersonID
	Platform  Platform // IOS serves iPhone and iPad alike: the device tells which it is
	Mode      Mode
	Ownership Ownership
	Uses      int           // 0 = 1
	Lifetime  time.Duration // 0 = 7 days; at most 90 days
	Tags      []Tag
	Note      string
}

// Invite makes an invitation; the code is returned this once. The link is <url>/enroll/<code>.
func (f *Fleet) Invite(ctx context.Context, a Actor, in InvitationInput) (*Invitation, string, error) {
	panic("unbuilt")
}
func (f *Fleet) RevokeInvitation(ctx context.Context, a Actor, id InvitationID) error {
	panic("unbuilt")
}
func (f *Fleet) Invitation(ctx context.Context, a Actor, id InvitationID) (*Invitation, error) {
	panic("unbuilt")
}
func (f *Fleet) Invitations(ctx context.Context, a Actor, person PersonID, q ListQuery) (List[*Invitation], error) {
	panic("unbuilt")
}

// Opened is what the page behind a link shows.
type Opened struct {
	Invitation   *Invitation
	Person       *Person // nil without a person
	Organisation string
	Contact      string
	Terms        *Terms
	Target       Target
	Collected    []FactDeclaration // what will be collected from this kind of device, by the register and the settings
	Never        []string          // word keys of what is never collected (D4)
	Powers       []Reason          // what the organisation can do with this device: lock, retire, wipe ...
}

// OpenInvitation looks behind a code. It uses nothing up. A wrong, expired, used or revoked code is ErrNotFound
// or ErrGone with a Reason; tries are limited per address.
func (f *Fleet) OpenInvitation(ctx context.Context, code, from string) (*Opened, error) {
	panic("unbuilt")
}

// Acceptance records that the terms were accepted: who, when, which version, from where.
type Acceptance struct {
	ID         string       `json:"id"`
	Invitation InvitationID `json:"invitation"`
	Person     PersonID     `json:"person"`
	Terms      TermsID      `json:"terms"`
	Version    int          `json:"version"`
	Language   string       `json:"language"`
	At         time.Time    `json:"at"`
	From       string       `json:"from"`
	UserAgent  string       `json:"user_agent"`
	Enrolment  EnrolmentID  `json:"enrolment"`
	Switches   []FactKey    `json:"switches,omitempty"` // optional facts that the accepted text named
}

// Ticket lets the person fetch the enrolment profile for a while (one hour), several times.
type Ticket struct {
	Secret    string
	Enrolment EnrolmentID
	Expires   time.Time
}

// Accept keeps the acceptance, uses the invitation once, and begins an enrolment.
func (f *Fleet) Accept(ctx context.Context, code string, terms TermsID, language, from, userAgent string) (*Ticket, error) {
	panic("unbuilt")
}

// Redeem turns a ticket into the enrolment it belongs to. ErrGone when expired or enrolled already.
func (f *Fleet) Redeem(ctx context.Context, ticket string) (*Enrolment, *Opened, error) {
	panic("unbuilt")
}

// TicketProgress tells the person's page how far the device is: what has happened, in order.
func (f *Fleet) TicketProgress(ctx context.Context, ticket string) ([]Event, *Device, error) {
	panic("unbuilt")
}
func (f *Fleet) Acceptances(ctx context.Context, a Actor, person PersonID, q ListQuery) (List[*Acceptance], error) {
	panic("unbuilt")
}

// Terms of use in both languages; a change makes a new version.
type Terms struct {
	ID      TermsID           `json:"id"`
	Version int               `json:"version"`
	Text    map[string]string `json:"text"` // language to plain text with blank-line paragraphs
	Created time.Time         `json:"created"`
	By      string            `json:"by"`
}

func (f *Fleet) Terms(ctx context.Context) (*Terms, error) { panic("unbuilt") }
func (f *Fleet) TermsVersions(ctx context.Context, a Actor) ([]*Terms, error) {
	panic("unbuilt")
}
func (f *Fleet) SaveTerms(ctx context.Context, a Actor, text map[string]string) (*Terms, error) {
	panic("unbuilt")
}
