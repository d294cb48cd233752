package api

import (
	"context"

	"muster/appliance/fleet"
)

// tlsView is how the server gets its certificate, and what it serves.
type tlsView struct {
	fleet.ServerTLS
	Certificates []fleet.ServerCertificate `json:"certificates"`
}

var tlsRoutes = []route{
	{Method: "GET", Path: "/settings/tls", Tag: "settings", Summary: "Where the server's certificate comes from, and what is served", Out: tlsView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			s, served, err := c.Fleet.ServerTLS(ctx, c.Actor)
			return tlsView{s, served}, err
		}},
	{Method: "PUT", Path: "/settings/tls", Tag: "settings", Summary: "Change where the server's certificate comes from, without a restart", In: fleet.ServerTLS{}, Out: fleet.ServerTLS{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.ServerTLS](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.SaveServerTLS(ctx, c.Actor, b)
		}},
	{Method: "POST", Path: "/settings/tls/renew", Tag: "settings", Summary: "Look for new certificates of the server now",
		Do: func(ctx context.Context, c *call) (any, error) { return none(c.Fleet.TryServerTLS(ctx, c.Actor)) }},
}
