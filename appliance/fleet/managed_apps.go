package fleet

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"muster/store"
)

// BringsApps is met by platforms on which apps can be spoken of one by one: it names those that a profile brings, by their ids.
type BringsApps interface {
	AppsOf(p *Profile) []string
}

// managedApps are the apps of a device that the organisation brought: those in its inventory that it calls managed, and those of the profiles that are
// wanted of it, whose list may not be taken from a personal device.
func (f *Fleet) managedApps(tx store.Tx, m Module, d *Device) ([]App, error) {
	inv, err := inventories.Get(tx, string(d.ID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	var out []App
	named := map[string]string{}
	if err == nil {
		for _, x := range inv.Apps {
			named[x.ID] = x.Name
			if x.Managed {
				out = append(out, x)
			}
		}
	}
	if brings, ok := m.(BringsApps); ok {
		p, err := personOf(tx, d)
		if err != nil {
			return nil, err
		}
		list, _, err := f.wanted(tx, d, p)
		if err != nil {
			return nil, err
		}
		for _, pr := range list {
			for _, id := range brings.AppsOf(pr) {
				if !slices.ContainsFunc(out, func(x App) bool { return x.ID == id }) {
					out = append(out, App{ID: id, Name: named[id], Managed: true})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b App) int { return cmp.Compare(strings.ToLower(a.Name)+a.ID, strings.ToLower(b.Name)+b.ID) })
	return out, nil
}
