package api

import (
	"context"
	"strconv"
	"time"

	"muster/appliance/fleet"
)

type deviceBody struct {
	Name    *string         `json:"name,omitempty"`
	Tags    *[]fleet.Tag    `json:"tags,omitempty"`
	Person  *fleet.PersonID `json:"person,omitempty"`
	Stolen  *bool           `json:"stolen,omitempty"`
	Version int             `json:"version,omitempty"`
}

// actionBody is what an action takes; which options apply to a device is under /devices/{id}/choices.
type actionBody struct {
	Action  fleet.ActionType    `json:"action"`
	Options fleet.ActionOptions `json:"options,omitzero"`
	PIN     string              `json:"pin,omitempty"`     // six digits, lock and wipe of a Mac
	Confirm string              `json:"confirm,omitempty"` // the device's name, for retire, wipe and delete
}

// actionView leaves the sealed PIN out.
type actionView struct {
	ID       fleet.ActionID      `json:"id"`
	Device   fleet.DeviceID      `json:"device"`
	Type     fleet.ActionType    `json:"type"`
	Options  fleet.ActionOptions `json:"options,omitzero"`
	State    fleet.ActionState   `json:"state"`
	Reason   fleet.Reason        `json:"reason,omitzero"`
	By       string              `json:"by"`
	Created  time.Time           `json:"created,omitzero"`
	Sent     *time.Time          `json:"sent,omitempty"`
	Ended    *time.Time          `json:"ended,omitempty"`
	Expires  *time.Time          `json:"expires,omitempty"`
	Tries    int                 `json:"tries"`
	HasPIN   bool                `json:"has_pin"`
	Evidence fleet.Evidence      `json:"evidence,omitzero"`
	Reply    *fleet.Reply        `json:"reply,omitempty"` // what the device answered to a query; kept for 30 days
}

func actionOf(a *fleet.Action) actionView {
	return actionView{ID: a.ID, Device: a.Device, Type: a.Type, Options: a.Options, State: a.State, Reason: a.Reason, By: a.By, Created: a.Created,
		Sent: a.Sent, Ended: a.Ended, Expires: a.Expires, Tries: a.Tries, HasPIN: len(a.Secret) > 0, Evidence: a.Evidence, Reply: a.Reply}
}

type pinView struct {
	PIN string `json:"pin"`
}

// device returns the id in the path.
func (c *call) device() fleet.DeviceID { return fleet.DeviceID(c.path("id")) }

// deviceFilter reads the filter of a device list.
func (c *call) deviceFilter() (fleet.DeviceFilter, error) {
	v := c.URL.Query()
	f := fleet.DeviceFilter{Platform: fleet.Platform(v.Get("platform")), Ownership: fleet.Ownership(v.Get("ownership")), State: fleet.State(v.Get("state")),
		Person: fleet.PersonID(v.Get("person")), Group: fleet.GroupID(v.Get("group")), Profile: fleet.ProfileID(v.Get("profile")),
		Status: fleet.ProfileStatusCode(v.Get("status")), Hidden: v.Get("hidden") == "true", Sort: v.Get("sort")}
	if days := v.Get("silent_days"); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 3650 {
			return f, badRequest("silent_days: a number of days")
		}
		f.SilentFor = time.Duration(n) * 24 * time.Hour
	}
	return f, nil
}

var deviceRoutes = []route{
	{Method: "GET", Path: "/devices", Tag: "devices", Summary: "List devices", Paged: true, Out: page[fleet.Device]{},
		Query: []string{"platform", "ownership", "state", "person", "group", "profile", "status", "silent_days", "hidden", "sort"},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			f, err := c.deviceFilter()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Devices(ctx, c.Actor, f, q)
			return paged(l, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}", Tag: "devices", Summary: "One device", Out: fleet.Device{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Device(ctx, c.Actor, c.device()) }},
	{Method: "PATCH", Path: "/devices/{id}", Tag: "devices", Summary: "Change name, tags, person or the mark as stolen", In: deviceBody{}, Out: fleet.Device{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[deviceBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.UpdateDevice(ctx, c.Actor, c.device(), fleet.DeviceInput{Name: b.Name, Tags: b.Tags, Person: b.Person, Stolen: b.Stolen, Version: b.Version})
		}},
	{Method: "DELETE", Path: "/devices/{id}", Tag: "devices", Summary: "Delete a device: it leaves the list, and its company data goes at its next contact", Query: []string{"confirm"}, Out: actionView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			a, err := c.Fleet.Act(ctx, c.Actor, c.device(), fleet.ActDelete, fleet.ActionOptions{}, c.URL.Query().Get("confirm"))
			if err != nil {
				return nil, err
			}
			return actionOf(a), nil
		}},
	{Method: "GET", Path: "/devices/{id}/standing", Tag: "devices", Summary: "Whether all is well, and if not, the one thing to do", Out: fleet.Standing{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Standing(ctx, c.Actor, c.device()) }},
	{Method: "GET", Path: "/devices/{id}/facts", Tag: "devices", Summary: "Facts held about a device", Out: page[fleet.Fact]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			facts, err := c.Fleet.Facts(ctx, c.Actor, c.device())
			return paged(fleet.List[fleet.Fact]{Items: facts, Total: len(facts)}, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/apps", Tag: "devices", Summary: "Apps, within what may be collected", Out: page[fleet.App]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			apps, err := c.Fleet.Apps(ctx, c.Actor, c.device())
			return paged(fleet.List[fleet.App]{Items: apps, Total: len(apps)}, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/profiles", Tag: "devices", Summary: "Each profile's status on a device, with the reason", Out: page[fleet.ProfileStatus]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			ps, err := c.Fleet.DeviceProfiles(ctx, c.Actor, c.device())
			return paged(fleet.List[fleet.ProfileStatus]{Items: ps, Total: len(ps)}, err, same)
		}},
	{Method: "POST", Path: "/devices/{id}/profiles/{profile}/retry", Tag: "devices", Summary: "Try a failed or blocked profile again",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.RetryProfile(ctx, c.Actor, c.device(), fleet.ProfileID(c.path("profile"))))
		}},
	{Method: "GET", Path: "/devices/{id}/timeline", Tag: "devices", Summary: "What happened, newest first", Paged: true, Out: page[fleet.Event]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Timeline(ctx, c.Actor, c.device(), q)
			return paged(l, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/choices", Tag: "devices", Summary: "Which actions apply, and why the rest does not", Out: page[fleet.ActionChoice]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			cs, err := c.Fleet.ActionChoices(ctx, c.Actor, c.device())
			return paged(fleet.List[fleet.ActionChoice]{Items: cs, Total: len(cs)}, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/removal", Tag: "devices", Summary: "What retire, wipe or delete would take", Query: []string{"action"}, Out: page[fleet.RemovalRow]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			rows, err := c.Fleet.RemovalPreview(ctx, c.Actor, c.device(), fleet.ActionType(c.URL.Query().Get("action")))
			return paged(fleet.List[fleet.RemovalRow]{Items: rows, Total: len(rows)}, err, same)
		}},
	{Method: "GET", Path: "/devices/{id}/actions", Tag: "devices", Summary: "Actions ordered of a device", Paged: true, Out: page[actionView]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Actions(ctx, c.Actor, c.device(), q)
			return paged(l, err, actionOf)
		}},
	{Method: "POST", Path: "/devices/{id}/actions", Tag: "devices", Summary: "Order an action", In: actionBody{}, Out: actionView{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[actionBody](c)
			if err != nil {
				return nil, err
			}
			b.Options.PIN = b.PIN
			a, err := c.Fleet.Act(ctx, c.Actor, c.device(), b.Action, b.Options, b.Confirm)
			if err != nil {
				return nil, err
			}
			return actionOf(a), nil
		}},
	{Method: "GET", Path: "/devices/{id}/actions/{action}", Tag: "devices", Summary: "One action", Out: actionView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			a, err := c.action(ctx)
			if err != nil {
				return nil, err
			}
			return actionOf(a), nil
		}},
	{Method: "DELETE", Path: "/devices/{id}/actions/{action}", Tag: "devices", Summary: "Call an action off",
		Do: func(ctx context.Context, c *call) (any, error) {
			a, err := c.action(ctx)
			if err != nil {
				return nil, err
			}
			return none(c.Fleet.CallOff(ctx, c.Actor, a.ID))
		}},
	{Method: "POST", Path: "/devices/{id}/actions/{action}/pin", Tag: "devices", Summary: "Show the PIN of a locked Mac (audited)", Out: pinView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			a, err := c.action(ctx)
			if err != nil {
				return nil, err
			}
			pin, err := c.Fleet.RevealPIN(ctx, c.Actor, a.ID)
			if err != nil {
				return nil, err
			}
			return pinView{pin}, nil
		}},
	{Method: "GET", Path: "/devices/{id}/receipt", Tag: "receipts", Summary: "The newest receipt of a device's removal", Out: fleet.Receipt{},
		Do: func(ctx context.Context, c *call) (any, error) {
			l, err := c.Fleet.Receipts(ctx, c.Actor, c.device(), fleet.ListQuery{Limit: 1})
			if err != nil {
				return nil, err
			}
			if len(l.Items) == 0 {
				return nil, fleet.Refuse(fleet.ErrNotFound, "receipt.none")
			}
			return l.Items[0], nil
		}},
	{Method: "GET", Path: "/receipts", Tag: "receipts", Summary: "List receipts, newest first", Paged: true, Query: []string{"device"}, Out: page[fleet.Receipt]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Receipts(ctx, c.Actor, fleet.DeviceID(c.URL.Query().Get("device")), q)
			return paged(l, err, same)
		}},
	{Method: "GET", Path: "/receipts/{id}", Tag: "receipts", Summary: "One receipt", Out: fleet.Receipt{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.Receipt(ctx, c.Actor, fleet.ReceiptID(c.path("id")))
		}},
}

// action returns the action in the path; one of another device is not found.
func (c *call) action(ctx context.Context) (*fleet.Action, error) {
	a, err := c.Fleet.Action(ctx, c.Actor, fleet.ActionID(c.path("action")))
	if err != nil {
		return nil, err
	}
	if a.Device != c.device() {
		return nil, fleet.Refuse(fleet.ErrNotFound, "not-found")
	}
	return a, nil
}
