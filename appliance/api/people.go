package api

import (
	"context"

	"muster/appliance/fleet"
)

type meView struct {
	Kind        fleet.ActorKind    `json:"kind"`
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Permissions []fleet.Permission `json:"permissions"`
	Tags        []fleet.Tag        `json:"tags"`
	AllTags     bool               `json:"all_tags"`
}

var meRoutes = []route{
	{Method: "GET", Path: "/me", Tag: "me", Summary: "Who the token acts for, and with what rights", Out: meView{},
		Do: func(_ context.Context, c *call) (any, error) {
			v := meView{Kind: c.Actor.Kind, ID: c.Actor.ID, Name: c.Actor.Name, Tags: c.Actor.Tags, AllTags: c.Actor.AllTags}
			for _, p := range fleet.AllPermissions {
				if c.Actor.May(p) {
					v.Permissions = append(v.Permissions, p)
				}
			}
			return v, nil
		}},
	{Method: "GET", Path: "/overview", Tag: "me", Summary: "Counts for the overview", Out: fleet.Counts{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Overview(ctx, c.Actor) }},
	{Method: "GET", Path: "/needs", Tag: "me", Summary: "What needs a person, and what to do", Out: page[fleet.Need]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			needs, err := c.Fleet.Needs(ctx, c.Actor)
			return paged(fleet.List[fleet.Need]{Items: needs, Total: len(needs)}, err, same)
		}},
}

type personBody struct {
	Name     *string          `json:"name,omitempty"`
	Mail     *string          `json:"mail,omitempty"`
	UPN      *string          `json:"upn,omitempty"`
	Language *string          `json:"language,omitempty"`
	Tags     *[]fleet.Tag     `json:"tags,omitempty"`
	Groups   *[]fleet.GroupID `json:"groups,omitempty"`
	Version  int              `json:"version,omitempty"`
}

func (b personBody) input() fleet.PersonInput {
	return fleet.PersonInput{Name: b.Name, Mail: b.Mail, UPN: b.UPN, Language: b.Language, Tags: b.Tags, Groups: b.Groups, Version: b.Version}
}

var peopleRoutes = []route{
	{Method: "GET", Path: "/people", Tag: "people", Summary: "List people", Paged: true, Out: page[fleet.Person]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.People(ctx, c.Actor, q)
			return paged(l, err, same)
		}},
	{Method: "POST", Path: "/people", Tag: "people", Summary: "Add a person", In: personBody{}, Out: fleet.Person{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[personBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.CreatePerson(ctx, c.Actor, b.input())
		}},
	{Method: "GET", Path: "/people/{id}", Tag: "people", Summary: "One person", Out: fleet.Person{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.Person(ctx, c.Actor, fleet.PersonID(c.path("id")))
		}},
	{Method: "PATCH", Path: "/people/{id}", Tag: "people", Summary: "Change a person", In: personBody{}, Out: fleet.Person{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[personBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.UpdatePerson(ctx, c.Actor, fleet.PersonID(c.path("id")), b.input())
		}},
	{Method: "DELETE", Path: "/people/{id}", Tag: "people", Summary: "Delete a person who has no managed device",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeletePerson(ctx, c.Actor, fleet.PersonID(c.path("id"))))
		}},
	{Method: "GET", Path: "/people/{id}/groups", Tag: "people", Summary: "Groups that a person is in", Out: page[fleet.Group]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			gs, err := c.Fleet.PersonGroups(ctx, c.Actor, fleet.PersonID(c.path("id")))
			return paged(fleet.List[*fleet.Group]{Items: gs, Total: len(gs)}, err, same)
		}},
	{Method: "GET", Path: "/people/{id}/acceptances", Tag: "people", Summary: "Terms that a person accepted", Paged: true, Out: page[fleet.Acceptance]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Acceptances(ctx, c.Actor, fleet.PersonID(c.path("id")), q)
			return paged(l, err, same)
		}},
}

type groupBody struct {
	Name        *string         `json:"name,omitempty"`
	Description *string         `json:"description,omitempty"`
	Kind        fleet.GroupKind `json:"kind,omitempty"`
	Rule        *fleet.Rule     `json:"rule,omitempty"`
	NoRule      bool            `json:"no_rule,omitempty"`
	Tags        *[]fleet.Tag    `json:"tags,omitempty"`
	Version     int             `json:"version,omitempty"`
}

func (b groupBody) input() fleet.GroupInput {
	return fleet.GroupInput{Name: b.Name, Description: b.Description, Kind: b.Kind, Rule: b.Rule, NoRule: b.NoRule, Tags: b.Tags, Version: b.Version}
}

type membersBody struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

var groupRoutes = []route{
	{Method: "GET", Path: "/groups", Tag: "groups", Summary: "List groups", Paged: true, Out: page[fleet.Group]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Groups(ctx, c.Actor, q)
			return paged(l, err, same)
		}},
	{Method: "POST", Path: "/groups", Tag: "groups", Summary: "Make a group, by hand or by rule", In: groupBody{}, Out: fleet.Group{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[groupBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.CreateGroup(ctx, c.Actor, b.input())
		}},
	{Method: "GET", Path: "/groups/{id}", Tag: "groups", Summary: "One group", Out: fleet.Group{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.Group(ctx, c.Actor, fleet.GroupID(c.path("id")))
		}},
	{Method: "PATCH", Path: "/groups/{id}", Tag: "groups", Summary: "Change a group", In: groupBody{}, Out: fleet.Group{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[groupBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.UpdateGroup(ctx, c.Actor, fleet.GroupID(c.path("id")), b.input())
		}},
	{Method: "DELETE", Path: "/groups/{id}", Tag: "groups", Summary: "Delete a group that no profile uses",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeleteGroup(ctx, c.Actor, fleet.GroupID(c.path("id"))))
		}},
	{Method: "GET", Path: "/groups/{id}/members", Tag: "groups", Summary: "Whom a group holds now", Paged: true, Out: page[fleet.Member]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Members(ctx, c.Actor, fleet.GroupID(c.path("id")), q)
			return paged(l, err, same)
		}},
	{Method: "PATCH", Path: "/groups/{id}/members", Tag: "groups", Summary: "Add and remove members of a group made by hand", In: membersBody{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[membersBody](c)
			if err != nil {
				return nil, err
			}
			return none(c.Fleet.SetMembers(ctx, c.Actor, fleet.GroupID(c.path("id")), b.Add, b.Remove))
		}},
}
