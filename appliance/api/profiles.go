package api

import (
	"context"
	"encoding/json"

	"muster/appliance/fleet"
)

type profileBody struct {
	Type        fleet.ProfileType `json:"type,omitempty"`
	Name        *string           `json:"name,omitempty"`
	Description *string           `json:"description,omitempty"`
	Platforms   *[]fleet.Platform `json:"platforms,omitempty"`
	Settings    json.RawMessage   `json:"settings,omitempty"`
	Tags        *[]fleet.Tag      `json:"tags,omitempty"`
	Version     int               `json:"version,omitempty"`
}

func (b profileBody) input() fleet.ProfileInput {
	return fleet.ProfileInput{Type: b.Type, Name: b.Name, Description: b.Description, Platforms: b.Platforms, Settings: b.Settings, Tags: b.Tags, Version: b.Version}
}

type assignBody struct {
	Assignments []fleet.Assignment `json:"assignments"`
	Together    bool               `json:"together,omitempty"` // the profiles it refers to get the same
}

type countsView struct {
	Counts map[fleet.ProfileStatusCode]int `json:"counts"`
}

type checkView struct {
	Notes []fleet.Reason `json:"notes"`
}

func (c *call) profile() fleet.ProfileID { return fleet.ProfileID(c.path("id")) }

var profileRoutes = []route{
	{Method: "GET", Path: "/profile-types", Tag: "profiles", Summary: "Declarations of all profile types: settings, bounds, platforms", Out: page[fleet.Declaration]{},
		Do: func(context.Context, *call) (any, error) {
			all := fleet.ProfileTypes()
			return paged(fleet.List[fleet.Declaration]{Items: all, Total: len(all)}, nil, same)
		}},
	{Method: "GET", Path: "/profiles", Tag: "profiles", Summary: "List profiles", Paged: true, Out: page[fleet.Profile]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Profiles(ctx, c.Actor, q)
			return paged(l, err, same)
		}},
	{Method: "POST", Path: "/profiles", Tag: "profiles", Summary: "Make a profile", In: profileBody{}, Out: fleet.Profile{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[profileBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.CreateProfile(ctx, c.Actor, b.input())
		}},
	{Method: "POST", Path: "/profiles/check", Tag: "profiles", Summary: "Check a profile without saving it", In: profileBody{}, Out: checkView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[profileBody](c)
			if err != nil {
				return nil, err
			}
			notes, err := c.Fleet.CheckProfile(ctx, c.Actor, b.input())
			if err != nil {
				return nil, err
			}
			return checkView{append([]fleet.Reason{}, notes...)}, nil
		}},
	{Method: "GET", Path: "/profiles/{id}", Tag: "profiles", Summary: "One profile", Out: fleet.Profile{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Profile(ctx, c.Actor, c.profile()) }},
	{Method: "PATCH", Path: "/profiles/{id}", Tag: "profiles", Summary: "Change a profile: devices get the new version", In: profileBody{}, Out: fleet.Profile{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[profileBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.UpdateProfile(ctx, c.Actor, c.profile(), b.input())
		}},
	{Method: "DELETE", Path: "/profiles/{id}", Tag: "profiles", Summary: "Delete a profile: it goes from the devices",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeleteProfile(ctx, c.Actor, c.profile()))
		}},
	{Method: "GET", Path: "/profiles/{id}/versions", Tag: "profiles", Summary: "Earlier versions, newest first", Out: page[fleet.Profile]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			vs, err := c.Fleet.ProfileVersions(ctx, c.Actor, c.profile())
			return paged(fleet.List[*fleet.Profile]{Items: vs, Total: len(vs)}, err, same)
		}},
	{Method: "GET", Path: "/profiles/{id}/assignments", Tag: "profiles", Summary: "Whom a profile is assigned to", Out: page[fleet.Assignment]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			as, err := c.Fleet.Assignments(ctx, c.Actor, c.profile())
			return paged(fleet.List[fleet.Assignment]{Items: as, Total: len(as)}, err, same)
		}},
	{Method: "PUT", Path: "/profiles/{id}/assignments", Tag: "profiles", Summary: "Replace a profile's assignments", In: assignBody{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[assignBody](c)
			if err != nil {
				return nil, err
			}
			return none(c.Fleet.Assign(ctx, c.Actor, c.profile(), b.Assignments, b.Together))
		}},
	{Method: "POST", Path: "/profiles/{id}/assignments", Tag: "profiles", Summary: "With ?preview=true: whom these assignments would reach; else as PUT", Query: []string{"preview"}, In: assignBody{}, Out: fleet.Reach{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[assignBody](c)
			if err != nil {
				return nil, err
			}
			reach, err := c.Fleet.PreviewAssign(ctx, c.Actor, c.profile(), nil, b.Assignments)
			if err != nil || c.URL.Query().Get("preview") == "true" {
				return reach, err
			}
			if err := c.Fleet.Assign(ctx, c.Actor, c.profile(), b.Assignments, b.Together); err != nil {
				return nil, err
			}
			return reach, nil
		}},
	{Method: "GET", Path: "/profiles/{id}/status", Tag: "profiles", Summary: "A profile's status on each device", Paged: true, Query: []string{"status"}, Out: page[fleet.ProfileStatus]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.ProfileDevices(ctx, c.Actor, c.profile(), fleet.ProfileStatusCode(c.URL.Query().Get("status")), q)
			return paged(l, err, same)
		}},
	{Method: "GET", Path: "/profiles/{id}/counts", Tag: "profiles", Summary: "How many devices have which status", Out: countsView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			counts, err := c.Fleet.ProfileCounts(ctx, c.Actor, c.profile())
			if err != nil {
				return nil, err
			}
			return countsView{counts}, nil
		}},
}
