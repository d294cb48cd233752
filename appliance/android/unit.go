package android

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// unitPolicy is the only delivery unit: an Android device has one policy.
const unitPolicy = "policy"

// Marker is what reading back gives when a unit's version is on the device.
func (a *Android) Marker(u fleet.Unit) string { return u.Version }

// FrameOf: a policy also tells what may be reported, and what the device does by itself.
func (a *Android) FrameOf(_ *fleet.Unit, fr *fleet.Frame) *fleet.Frame { return fr }

// FrameUnits are none besides the policy.
func (a *Android) FrameUnits(*fleet.Device, *fleet.Frame) []fleet.Unit { return nil }

// Compose puts all that is wanted of a device into its policy. There is one even where no profile is wanted.
func (a *Android) Compose(_ *fleet.Device, wanted []*fleet.Profile) []fleet.Unit {
	u := fleet.Unit{Key: unitPolicy, Channel: fleet.DeviceChannel}
	for _, p := range wanted {
		u.Profiles = append(u.Profiles, p.ID)
	}
	return []fleet.Unit{u}
}

// Applies says whether a profile can be delivered to a target, and why not. Whether the mode knows the type stands in its declaration.
func (a *Android) Applies(p *fleet.Profile, t fleet.Target) (bool, fleet.Reason) {
	if renderers[p.Type] == nil {
		return false, why("android.not-applicable.type", "type", string(p.Type))
	}
	switch p.Type {
	case fleet.TypeIdentity:
		return identityApplies(p.Values())
	case fleet.TypeEmail:
		return emailApplies(p.Values())
	case fleet.TypeCustom:
		return customApplies(p.Values(), t)
	case fleet.TypeApp:
		return appApplies(p.Values(), t)
	}
	return true, fleet.Reason{}
}

// AppsOf names the app that a profile brings. That of a web link is its browser's.
func (a *Android) AppsOf(p *fleet.Profile) []string {
	v := p.Values()
	switch p.Type {
	case fleet.TypeApp:
		if v.String("kind") == fleet.AppPlay && v.String("install") != "blocked" {
			return []string{v.String("package")}
		}
	case fleet.TypeEmail:
		return []string{cmp.Or(mailApps[v.String("android_app")], appGmail)}
	case fleet.TypeKiosk:
		return []string{v.String("app")}
	}
	return nil
}

// RemovesWhole says that the end of management takes everything with it: the work profile goes as one, and so does a device that is reset.
func (a *Android) RemovesWhole(*fleet.Device) bool { return true }

// owners say which profiles stand behind the parts of a policy: what the device says of a part is said of them.
func (r *rendering) owners(doc map[string]any, profiles []*fleet.Profile) map[string][]fleet.ProfileID {
	out := map[string][]fleet.ProfileID{}
	for _, p := range profiles {
		part, err := r.part(p)
		if err != nil {
			continue
		}
		for _, key := range partsOf(part) {
			if !slices.Contains(out[key], p.ID) {
				out[key] = append(out[key], p.ID)
			}
		}
	}
	r.oncOwners(doc, profiles, out)
	return out
}

// partsOf are the names under which a device speaks of what a profile set: "app/<package>", or the field of the policy.
func partsOf(part tree) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(part)) {
		if k != "applications" {
			out = append(out, k)
			continue
		}
		apps, _ := asObject(part[k])
		for _, pkg := range slices.Sorted(maps.Keys(apps)) {
			out = append(out, "app/"+pkg)
		}
	}
	return out
}

// union of two sorted lists of fields.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// fieldOf is the first field of a path such as applications[2].managedConfiguration.
func fieldOf(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}
