package api

import (
	"context"

	"muster/appliance/fleet"
)

// staleRule returns the id in the path.
func (c *call) staleRule() fleet.StaleRuleID { return fleet.StaleRuleID(c.path("id")) }

func (c *call) staleRun() fleet.StaleRunID { return fleet.StaleRunID(c.path("id")) }

// listOf reads the paging parameters and lists.
func listOf[T any](c *call, list func(fleet.ListQuery) (fleet.List[T], error)) (any, error) {
	q, err := c.list()
	if err != nil {
		return nil, err
	}
	l, err := list(q)
	return paged(l, err, same)
}

var ruleRoutes = []route{
	{Method: "GET", Path: "/rules", Tag: "rules", Summary: "Cleanup rules and sync expiry", Paged: true, Out: page[fleet.StaleRule]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return listOf(c, func(q fleet.ListQuery) (fleet.List[*fleet.StaleRule], error) {
				return c.Fleet.StaleRules(ctx, c.Actor, q)
			})
		}},
	{Method: "POST", Path: "/rules", Tag: "rules", Summary: "Make a rule", In: fleet.StaleRuleInput{}, Out: fleet.StaleRule{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.StaleRuleInput](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.CreateStaleRule(ctx, c.Actor, b)
		}},
	{Method: "POST", Path: "/rules/preview", Tag: "rules", Summary: "Which devices a rule would hit now, before it is saved", Paged: true, In: fleet.StaleRuleInput{}, Out: fleet.StalePreview{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			b, err := decode[fleet.StaleRuleInput](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.PreviewStaleInput(ctx, c.Actor, b, q)
		}},
	{Method: "GET", Path: "/rules/{id}", Tag: "rules", Summary: "One rule", Out: fleet.StaleRule{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.StaleRule(ctx, c.Actor, c.staleRule())
		}},
	{Method: "PATCH", Path: "/rules/{id}", Tag: "rules", Summary: "Change a rule; a run of it that is open ends", In: fleet.StaleRuleInput{}, Out: fleet.StaleRule{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.StaleRuleInput](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.UpdateStaleRule(ctx, c.Actor, c.staleRule(), b)
		}},
	{Method: "DELETE", Path: "/rules/{id}", Tag: "rules", Summary: "Delete a rule; its runs stay on record",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeleteStaleRule(ctx, c.Actor, c.staleRule()))
		}},
	{Method: "GET", Path: "/rules/{id}/enforcement", Tag: "rules", Summary: "What acts on the device and what on the server, by platform", Out: page[fleet.Enforcement]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			r, err := c.Fleet.StaleRule(ctx, c.Actor, c.staleRule())
			if err != nil {
				return nil, err
			}
			all := c.Fleet.StaleEnforcement(r)
			return paged(fleet.List[fleet.Enforcement]{Items: all, Total: len(all)}, nil, same)
		}},
	{Method: "POST", Path: "/rules/{id}/preview", Tag: "rules", Summary: "Which devices a rule would hit now, and which it leaves alone and why", Paged: true, Out: fleet.StalePreview{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			return c.Fleet.PreviewStaleRule(ctx, c.Actor, c.staleRule(), q)
		}},
	{Method: "GET", Path: "/rules/{id}/runs", Tag: "rules", Summary: "Runs of a rule, newest first", Paged: true, Out: page[fleet.StaleRun]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return listOf(c, func(q fleet.ListQuery) (fleet.List[*fleet.StaleRun], error) {
				return c.Fleet.StaleRuns(ctx, c.Actor, c.staleRule(), q)
			})
		}},
	{Method: "POST", Path: "/rules/{id}/runs", Tag: "rules", Summary: "Begin a run now: the devices are asked first", Out: fleet.StaleRun{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.RunStaleRule(ctx, c.Actor, c.staleRule())
		}},
	{Method: "GET", Path: "/rule-runs", Tag: "rules", Summary: "Runs of all rules, newest first", Paged: true, Out: page[fleet.StaleRun]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return listOf(c, func(q fleet.ListQuery) (fleet.List[*fleet.StaleRun], error) {
				return c.Fleet.StaleRuns(ctx, c.Actor, "", q)
			})
		}},
	{Method: "GET", Path: "/rule-runs/{id}", Tag: "rules", Summary: "One run", Out: fleet.StaleRun{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.StaleRun(ctx, c.Actor, c.staleRun())
		}},
	{Method: "GET", Path: "/rule-runs/{id}/devices", Tag: "rules", Summary: "The devices of a run with their outcomes", Paged: true, Out: page[fleet.StaleRunDevice]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return listOf(c, func(q fleet.ListQuery) (fleet.List[*fleet.StaleRunDevice], error) {
				return c.Fleet.StaleRunDevices(ctx, c.Actor, c.staleRun(), q)
			})
		}},
	{Method: "POST", Path: "/rule-runs/{id}/allow", Tag: "rules", Summary: "Say yes to a run that would take more than the rule's share", In: releaseBody{}, Out: fleet.StaleRun{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[releaseBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.AllowStaleRun(ctx, c.Actor, c.staleRun(), b.List)
		}},
	{Method: "POST", Path: "/rule-runs/{id}/stop", Tag: "rules", Summary: "Stop a run; devices that are not decided stay", Out: fleet.StaleRun{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.StopStaleRun(ctx, c.Actor, c.staleRun())
		}},
	{Method: "POST", Path: "/rule-runs/{id}/devices/{device}/take-back", Tag: "rules", Summary: "Call off what a run ordered of a device",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.TakeBackStale(ctx, c.Actor, c.staleRun(), fleet.DeviceID(c.path("device"))))
		}},
}
