package api

import (
	"context"

	"muster/appliance/fleet"
)

// Google is what the API needs to set Android up. Its methods may wait for Google.
type Google interface {
	Connect(ctx context.Context, by fleet.Actor, in fleet.GoogleInput) (*fleet.GoogleAccount, error)
	Disconnect(ctx context.Context, by fleet.Actor) error
	SignUp(ctx context.Context, by fleet.Actor) (string, error)
	Check(ctx context.Context, by fleet.Actor) ([]fleet.GoogleCheck, error)
}

// googleView is the connection, or that there is none.
type googleView struct {
	Connected bool                 `json:"connected"`
	Ready     bool                 `json:"ready"` // devices can be managed
	Account   *fleet.GoogleAccount `json:"account,omitempty"`
}

type signUpView struct {
	URL string `json:"url"` // to be opened in a full window; Google leads back
}

var googleRoutes = []route{
	{Method: "GET", Path: "/settings/google", Tag: "settings", Summary: "The connection to Google, through which Android devices are managed", Out: googleView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			acc, err := c.Fleet.Google(ctx, c.Actor)
			if err != nil {
				return nil, err
			}
			return googleView{Connected: acc != nil, Ready: acc.Ready(), Account: acc}, nil
		}},
	{Method: "PUT", Path: "/settings/google", Tag: "settings", Summary: "Connect to Google, or change the connection; an empty secret keeps the one there is", In: fleet.GoogleInput{}, Out: fleet.GoogleAccount{},
		Do: func(ctx context.Context, c *call) (any, error) {
			in, err := decode[fleet.GoogleInput](c)
			if err != nil {
				return nil, err
			}
			return c.Google.Connect(ctx, c.Actor, in)
		}},
	{Method: "DELETE", Path: "/settings/google", Tag: "settings", Summary: "Forget the connection; refused while Android devices are managed",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Google.Disconnect(ctx, c.Actor))
		}},
	{Method: "POST", Path: "/settings/google/sign-up", Tag: "settings", Summary: "Begin the organisation's sign-up at Google", Out: signUpView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			page, err := c.Google.SignUp(ctx, c.Actor)
			if err != nil {
				return nil, err
			}
			return signUpView{URL: page}, nil
		}},
	{Method: "GET", Path: "/settings/google/check", Tag: "settings", Summary: "What Google wants to be in order, and whether it is", Out: page[fleet.GoogleCheck]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			list, err := c.Google.Check(ctx, c.Actor)
			return paged(fleet.List[fleet.GoogleCheck]{Items: list, Total: len(list)}, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/gaps", Tag: "devices", Summary: "Facts that this device cannot give, and why", Out: page[fleet.FactGap]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			list, err := c.Fleet.FactGaps(ctx, c.Actor, fleet.DeviceID(c.path("id")))
			return paged(fleet.List[fleet.FactGap]{Items: list, Total: len(list)}, err, same)
		}},
}
