package fleet

import (
	"errors"
	"slices"
	"strings"

	"muster/store"
)

// source is a set of devices that can be walked in bounded steps: "all", "rows:<profile>" (devices that have a status row of it),
// "group:<static group>", "person:<person>".
type source string

const sourceAll source = "all"

// sourcesOf are the devices that a change can concern: those that had, and those that now get.
func sourcesOf(tx store.Tx, c *config, scope changeScope) ([]source, error) {
	var out []source
	switch {
	case scope.All:
		return []source{sourceAll}, nil
	case scope.Profile != "":
		more, err := reachOf(tx, c.to[scope.Profile])
		if err != nil {
			return nil, err
		}
		out = append([]source{source("rows:" + string(scope.Profile))}, more...)
	case scope.Group != "":
		// Who left a group has no trace but the rows of what came through it; whom an exclusion no longer holds is reached by the inclusions.
		for _, p := range c.profiles {
			if !slices.ContainsFunc(c.to[p.ID], func(a Assignment) bool { return a.Group == scope.Group }) {
				continue
			}
			more, err := reachOf(tx, c.to[p.ID])
			if err != nil {
				return nil, err
			}
			out = append(append(out, source("rows:"+string(p.ID))), more...)
		}
	case scope.Person != "":
		return []source{source("person:" + string(scope.Person))}, nil
	}
	return distinct(out), nil
}

// reachOf are the devices that assignments can include.
func reachOf(tx store.Tx, to []Assignment) ([]source, error) {
	var out []source
	for _, a := range to {
		if a.Exclude {
			continue
		}
		if a.To != ToGroup {
			return []source{sourceAll}, nil
		}
		g, err := groups.Get(tx, string(a.Group))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if g.Rule != nil {
			return []source{sourceAll}, nil
		}
		out = append(out, source("group:"+string(a.Group)))
	}
	return out, nil
}

// distinct leaves each source once, and only the one that holds all where it is among them.
func distinct(in []source) []source {
	if slices.Contains(in, sourceAll) {
		return []source{sourceAll}
	}
	var out []source
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// devices returns at most limit devices after cursor, and where to go on; "" at the end. Only a person with more devices than limit makes more.
func (s source) devices(tx store.Tx, cursor string, limit int) (out []*Device, next string, err error) {
	kind, id, _ := strings.Cut(string(s), ":")
	switch kind {
	case "all":
		page, err := devices.List(tx, store.Query{Cursor: cursor, Limit: limit})
		return page.Items, page.Next, err
	case "person":
		page, err := devices.List(tx, store.Query{Index: "person", Value: id, Cursor: cursor, Limit: limit})
		return page.Items, page.Next, err
	case "rows":
		page, err := deliveries.List(tx, store.Query{Index: "profile", Value: id, Cursor: cursor, Limit: limit})
		if err != nil {
			return nil, "", err
		}
		for _, r := range page.Items {
			d, err := devices.Get(tx, string(r.Device))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			out = append(out, d)
		}
		return out, page.Next, nil
	}
	for looked := 0; ; { // group
		page, err := memberships.List(tx, store.Query{Index: "group", Value: id, Cursor: cursor, Limit: 1})
		if err != nil || len(page.Items) == 0 {
			return out, "", err
		}
		more, err := devicesOfMember(tx, page.Items[0].Member)
		if err != nil {
			return nil, "", err
		}
		out = append(out, more...)
		looked++
		if cursor = page.Next; cursor == "" || len(out) >= limit || looked >= 10*limit {
			return out, cursor, nil
		}
	}
}

// devicesOfMember is the device itself, or the devices of a person.
func devicesOfMember(tx store.Tx, member string) ([]*Device, error) {
	d, err := devices.Get(tx, member)
	if err == nil {
		return []*Device{d}, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	var out []*Device
	err = devices.Each(tx, store.Query{Index: "person", Value: member}, func(d *Device) (bool, error) {
		out = append(out, d)
		return true, nil
	})
	return out, err
}
