package api

import (
	"context"

	"muster/appliance/fleet"
)

// Google is what the API asks of the part that speaks to Google, through which Androids are managed.
type Google interface {
	Connect(ctx context.Context, by fleet.Actor, in fleet.GoogleInput) (*fleet.GoogleAccount, error)
	Disconnect(ctx context.Context, by fleet.Actor) error
	SignUp(ctx context.Context, by fleet.Actor) (string, error)
	Check(ctx context.Context, by fleet.Actor) ([]fleet.GoogleCheck, error)
}

// signUpView is the page of Google's on which an administrator signs the organisation up, in a browser: Google leads that back to Muster.
type signUpView struct {
	URL string `json:"url"`
}

var googleRoutes = []route{
	{Method: "GET", Path: "/settings/google", Tag: "settings", Summary: "The connection to Google, for Android; never its key", Out: fleet.GoogleAccount{},
		Do: func(ctx context.Context, c *call) (any, error) {
			acc, err := c.Fleet.Google(ctx, c.Actor)
			if err == nil && acc == nil {
				return nil, fleet.Refuse(fleet.ErrNotFound, "google.none")
			}
			return acc, err
		}},
	{Method: "PUT", Path: "/settings/google", Tag: "settings", Summary: "Connect to Google, or change the connection", In: fleet.GoogleInput{}, Out: fleet.GoogleAccount{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.GoogleInput](c)
			if err != nil {
				return nil, err
			}
			return c.Google.Connect(ctx, c.Actor, b)
		}},
	{Method: "DELETE", Path: "/settings/google", Tag: "settings", Summary: "Forget the connection to Google; refused while Androids are managed",
		Do: func(ctx context.Context, c *call) (any, error) { return none(c.Google.Disconnect(ctx, c.Actor)) }},
	{Method: "POST", Path: "/settings/google/sign-up", Tag: "settings", Summary: "Begin the organisation's sign-up at Google", Out: signUpView{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			address, err := c.Google.SignUp(ctx, c.Actor)
			if err != nil {
				return nil, err
			}
			return signUpView{address}, nil
		}},
	{Method: "GET", Path: "/settings/google/checks", Tag: "settings", Summary: "What has to be in order at Google, looked at now", Out: page[fleet.GoogleCheck]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			all, err := c.Google.Check(ctx, c.Actor)
			return paged(fleet.List[fleet.GoogleCheck]{Items: all, Total: len(all)}, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/gaps", Tag: "devices", Summary: "Facts that a device cannot give, and why", Out: page[fleet.FactGap]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			all, err := c.Fleet.FactGaps(ctx, c.Actor, c.device())
			return paged(fleet.List[fleet.FactGap]{Items: all, Total: len(all)}, err, same)
		}},
}
