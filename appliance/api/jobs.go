package api

import (
	"context"
	"net/http"

	"muster/appliance/fleet"
)

var jobRoutes = []route{
	{Method: "GET", Path: "/jobs", Tag: "jobs", Summary: "What Muster does by itself: schedule, last and next run", Out: page[fleet.JobState]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			all, err := c.Fleet.Jobs(ctx, c.Actor)
			return paged(fleet.List[fleet.JobState]{Items: all, Total: len(all)}, err, same)
		}},
	{Method: "GET", Path: "/jobs/{name}", Tag: "jobs", Summary: "One job", Out: fleet.JobState{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Job(ctx, c.Actor, c.path("name")) }},
	{Method: "GET", Path: "/jobs/{name}/runs", Tag: "jobs", Summary: "Runs of a job, newest first", Paged: true, Out: page[fleet.JobRun]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.JobRuns(ctx, c.Actor, c.path("name"), q)
			return paged(l, err, same)
		}},
	{Method: "POST", Path: "/jobs/{name}/run", Tag: "jobs", Summary: "Run a job now; answers when the start is entered", Out: fleet.JobState{}, Status: http.StatusAccepted,
		Do: func(ctx context.Context, c *call) (any, error) {
			if err := c.Fleet.RunJob(ctx, c.Actor, c.path("name")); err != nil {
				return nil, err
			}
			return c.Fleet.Job(ctx, c.Actor, c.path("name"))
		}},
}
