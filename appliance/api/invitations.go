package api

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/skip2/go-qrcode"

	"muster/appliance/fleet"
)

// invitationView leaves the code's hash out; Code, URL and QR are there once, in the answer that made it.
type invitationView struct {
	ID        fleet.InvitationID    `json:"id"`
	Person    fleet.PersonID        `json:"person,omitempty"`
	Platform  fleet.Platform        `json:"platform"`
	Mode      fleet.Mode            `json:"mode"`
	Ownership fleet.Ownership       `json:"ownership"`
	State     fleet.InvitationState `json:"state"`
	Uses      int                   `json:"uses"`
	Used      int                   `json:"used"`
	Expires   time.Time             `json:"expires,omitzero"`
	Note      string                `json:"note,omitempty"`
	Tags      []fleet.Tag           `json:"tags,omitempty"`
	Created   time.Time             `json:"created,omitzero"`
	CreatedBy string                `json:"created_by"`
	Code      string                `json:"code,omitempty"`
	URL       string                `json:"url,omitempty"`
	QR        string                `json:"qr,omitempty"` // data: URL of a PNG
}

func (c *call) invitationOf(i *fleet.Invitation) invitationView {
	return invitationView{ID: i.ID, Person: i.Person, Platform: i.Platform, Mode: i.Mode, Ownership: i.Ownership, State: i.State(c.Clock()),
		Uses: i.Uses, Used: i.Used, Expires: i.Expires, Note: i.Note, Tags: i.Tags, Created: i.Created, CreatedBy: i.CreatedBy}
}

type invitationBody struct {
	Person    fleet.PersonID  `json:"person,omitempty"`
	Platform  fleet.Platform  `json:"platform"`
	Mode      fleet.Mode      `json:"mode,omitempty"`
	Ownership fleet.Ownership `json:"ownership"`
	Uses      int             `json:"uses,omitempty"`
	Expires   *time.Time      `json:"expires,omitempty"`
	Tags      []fleet.Tag     `json:"tags,omitempty"`
	Note      string          `json:"note,omitempty"`
}

var invitationRoutes = []route{
	{Method: "GET", Path: "/invitations", Tag: "invitations", Summary: "List invitations", Paged: true, Query: []string{"person"}, Out: page[invitationView]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Invitations(ctx, c.Actor, fleet.PersonID(c.URL.Query().Get("person")), q)
			return paged(l, err, c.invitationOf)
		}},
	{Method: "POST", Path: "/invitations", Tag: "invitations", Summary: "Invite a person's device; the code is shown this once", In: invitationBody{}, Out: invitationView{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[invitationBody](c)
			if err != nil {
				return nil, err
			}
			in := fleet.InvitationInput{Person: b.Person, Platform: b.Platform, Mode: b.Mode, Ownership: b.Ownership, Uses: b.Uses, Tags: b.Tags, Note: b.Note}
			if b.Expires != nil {
				if in.Lifetime = b.Expires.Sub(c.Clock()); in.Lifetime <= 0 {
					return nil, badRequest("expires: a time in the future")
				}
			}
			i, code, err := c.Fleet.Invite(ctx, c.Actor, in)
			if err != nil {
				return nil, err
			}
			v := c.invitationOf(i)
			v.Code, v.URL = code, c.server.URL+"/enroll/"+code
			png, err := qrcode.Encode(v.URL, qrcode.Medium, 384)
			if err != nil {
				return nil, err
			}
			v.QR = "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
			return v, nil
		}},
	{Method: "GET", Path: "/invitations/{id}", Tag: "invitations", Summary: "One invitation", Out: invitationView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			i, err := c.Fleet.Invitation(ctx, c.Actor, fleet.InvitationID(c.path("id")))
			if err != nil {
				return nil, err
			}
			return c.invitationOf(i), nil
		}},
	{Method: "DELETE", Path: "/invitations/{id}", Tag: "invitations", Summary: "Revoke an invitation",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.RevokeInvitation(ctx, c.Actor, fleet.InvitationID(c.path("id"))))
		}},
}
