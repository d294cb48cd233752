package fleet

import (
	"slices"
	"strings"

	"muster/store"
)

// wanted returns the profiles that apply to a device, in the order of delivery, and those that were assigned to it and do not
// reach it, with status and reason. It depends on nothing but what the transaction sees: profiles, assignments, groups, the device and
// its person (nil without one). A device that is leaving, or has left, is wanted nothing.
//
// The profiles are shared with other callers: they must not be changed.
func (f *Fleet) wanted(tx store.Tx, d *Device, p *Person) ([]*Profile, []Unfit, error) {
	if d.State != Managed && d.State != Enrolling {
		return nil, nil, nil
	}
	c, err := f.config(tx)
	if err != nil {
		return nil, nil, err
	}
	return f.wantedIn(tx, c, d, p)
}

// wantedIn is wanted over the config that this transaction sees.
func (f *Fleet) wantedIn(tx store.Tx, c *config, d *Device, p *Person) ([]*Profile, []Unfit, error) {
	if len(c.to) == 0 {
		return nil, nil, nil
	}
	var in map[GroupID]bool
	if c.grouped { // else nobody asks
		var err error
		if in, err = f.groupsOf(tx, p, d); err != nil {
			return nil, nil, err
		}
	}
	w, u := f.wantedOf(c, d, p, in)
	return w, u, nil
}

// wantedOf is wanted over a given config and group membership: pure.
func (f *Fleet) wantedOf(c *config, d *Device, p *Person, in map[GroupID]bool) ([]*Profile, []Unfit) {
	var out []*Profile
	var unfit []Unfit
	fits := map[ProfileID]bool{}
	refuse := func(pr *Profile, s ProfileStatusCode, r Reason) {
		unfit = append(unfit, Unfit{Device: d, Profile: pr.ID, Status: s, Reason: r})
	}
	// What a profile refers to stands before it in the order, so that fits is complete when it is asked.
	for _, pr := range c.profiles {
		if !assigned(c.to[pr.ID], p, in) {
			continue
		}
		if ok, r := f.applies(pr, d.Target()); !ok {
			refuse(pr, StatusNotApplicable, r)
			continue
		}
		if p == nil && (declarationOf(pr.Type).PerPerson || len(c.uses[pr.ID]) > 0) { // filled in from a person
			refuse(pr, StatusNotApplicable, Why("profile.no-person"))
			continue
		}
		if v := lacking(c.uses[pr.ID], p); v != "" {
			refuse(pr, StatusError, Why("profile.person-lacks", "variable", v))
			continue
		}
		if missing := missingRef(c, pr, fits); missing != "" {
			refuse(pr, StatusError, Why("profile.chain-broken", "missing", c.name(missing)))
			continue
		}
		fits[pr.ID] = true
		out = append(out, pr)
	}
	out, unfit = f.withoutTwins(c, p, out, unfit, d)
	if m, ok := f.modules[d.Platform].(FindsConflicts); ok {
		return withoutConflicts(m, d, p, out, unfit)
	}
	return out, unfit
}

// FindsConflicts is met by platforms that put several profiles into one document: it names those that would set one thing differently. None
// of them is delivered, since which of them counted would be chance.
type FindsConflicts interface {
	Conflicts(d *Device, p *Person, wanted []*Profile) map[ProfileID]Reason
}

func withoutConflicts(m FindsConflicts, d *Device, p *Person, in []*Profile, unfit []Unfit) ([]*Profile, []Unfit) {
	found := m.Conflicts(d, p, in)
	if len(found) == 0 {
		return in, unfit
	}
	var out []*Profile
	for _, pr := range in {
		if r, ok := found[pr.ID]; ok {
			unfit = append(unfit, Unfit{Device: d, Profile: pr.ID, Status: StatusConflict, Reason: r})
			continue
		}
		out = append(out, pr)
	}
	return out, unfit
}

// assigned says whether the assignments reach a device with this person and these groups. Exclusion wins.
func assigned(to []Assignment, p *Person, in map[GroupID]bool) bool {
	reached := false
	for _, a := range to {
		var hit bool
		switch a.To {
		case ToAllDevices:
			hit = true
		case ToAllPeople:
			hit = p != nil
		case ToGroup:
			hit = in[a.Group]
		}
		if hit && a.Exclude {
			return false
		}
		reached = reached || hit
	}
	return reached
}

// applies says whether a profile can go to a target and, if not, why.
func (f *Fleet) applies(pr *Profile, t Target) (bool, Reason) {
	chosen := false
	for _, pl := range pr.Platforms {
		chosen = chosen || pl == t.Platform
	}
	if !chosen {
		return false, Why("profile.platform-not-chosen", "platform", string(t.Platform))
	}
	possible := false
	for _, x := range declarationOf(pr.Type).Targets {
		possible = possible || x == t
	}
	if !possible {
		return false, Why("profile.type-not-on-platform", "type", string(pr.Type), "platform", string(t.Platform))
	}
	m := f.modules[t.Platform]
	if m == nil {
		return false, Why("profile.platform-off", "platform", string(t.Platform))
	}
	return m.Applies(pr, t)
}

// lacking is the first template variable that the person has nothing for.
func lacking(uses []string, p *Person) string {
	for _, name := range uses {
		if p == nil || variables[name](p) == "" {
			return name
		}
	}
	return ""
}

func missingRef(c *config, pr *Profile, fits map[ProfileID]bool) ProfileID {
	for _, r := range c.refs[pr.ID] {
		if !fits[r] {
			return r
		}
	}
	return ""
}

// withoutTwins takes out what a device can have only once and is to have from several profiles: mail accounts with one address on one host (B8),
// networks of one name, one app, one node of its settings. Which of them it would keep is chance, so that none is delivered and each names the others.
func (f *Fleet) withoutTwins(c *config, p *Person, in []*Profile, unfit []Unfit, d *Device) ([]*Profile, []Unfit) {
	claimer, _ := f.modules[d.Platform].(Claimer)
	claims := map[ProfileID][]string{}
	claimed := map[string][]*Profile{}
	twice := false
	for _, pr := range in {
		keys := twinKeys(pr.Type, c.values[pr.ID], p)
		if pr.Type == TypeCustom && claimer != nil {
			keys = claimer.Claims(pr)
		}
		for _, k := range keys {
			claimed[k] = append(claimed[k], pr)
			twice = twice || len(claimed[k]) > 1
		}
		claims[pr.ID] = keys
	}
	if !twice {
		return in, unfit
	}
	var out []*Profile
	for _, pr := range in {
		var others []string
		for _, k := range claims[pr.ID] {
			for _, t := range claimed[k] {
				if t.ID != pr.ID && !slices.Contains(others, t.Name) {
					others = append(others, t.Name)
				}
			}
		}
		if len(others) == 0 {
			out = append(out, pr)
			continue
		}
		unfit = append(unfit, Unfit{Device: d, Profile: pr.ID, Status: StatusConflict, Reason: twinReason(pr.Type, strings.Join(others, ", "))})
	}
	return out, unfit
}

// Claimer is what a module has besides when a custom profile takes something of a device for itself: it names what, so that no two take turns.
type Claimer interface {
	Claims(p *Profile) []string
}

// twinKeys tell apart things of which a device can have only one; none for what it may have any number of.
func twinKeys(t ProfileType, v Values, p *Person) []string {
	k := ""
	switch t {
	case TypeEmail:
		k = accountKey(v, p)
	case TypeWiFi:
		k = networkKey(v)
	case TypeApp:
		k = appKey(v)
	}
	if k == "" {
		return nil
	}
	return []string{k}
}

func twinReason(t ProfileType, others string) Reason {
	switch t {
	case TypeWiFi:
		return Why("profile.same-network", "other", others)
	case TypeApp:
		return Why("profile.same-app", "other", others)
	case TypeCustom:
		return Why("profile.same-setting", "other", others)
	}
	return Why("profile.same-account", "other", others)
}

// accountKey is what tells mail accounts apart on a device: address and host.
func accountKey(v Values, p *Person) string {
	address, err := fillText(v.String("address"), p)
	if err != nil {
		address = v.String("address")
	}
	return strings.ToLower(address) + "\x00" + strings.ToLower(v.String("host"))
}
