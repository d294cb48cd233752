package fleet

import (
	"context"
	"slices"
	"strconv"

	"muster/store"
)

// Reach is whom an assignment would reach; nothing is written.
type Reach struct {
	Devices  int       `json:"devices"` // would get it
	People   int       `json:"people"`
	Gains    int       `json:"gains"`              // newly
	Loses    int       `json:"loses"`              // would lose it
	Without  []Unfit   `json:"without,omitempty"`  // first 50 that would not, and why (no person, platform, ...)
	Sample   []*Device `json:"sample,omitempty"`   // first 20 that would
	Warnings []Reason  `json:"warnings,omitempty"` // broken chain (B6), one address twice (B8), who will be asked for a password
	Exact    bool      `json:"exact"`              // false: the counts are of the first 10,000 devices only, and a warning says so
}

// Unfit is a device on which a profile does not apply.
type Unfit struct {
	Device  *Device           `json:"device,omitempty"`
	Profile ProfileID         `json:"profile"`
	Status  ProfileStatusCode `json:"status"` // not-applicable, conflict, or error
	Reason  Reason            `json:"reason,omitzero"`
}

const (
	previewMost   = 10000 // devices that a preview looks at
	previewBatch  = 200   // devices in one transaction
	previewUnfit  = 50
	previewSample = 20
)

// PreviewAssign says whom an assignment would reach, with the profile as it is or (in not nil) as a save would make it; id empty: a profile
// that does not exist yet. It counts the devices within the actor's scope.
func (f *Fleet) PreviewAssign(ctx context.Context, a Actor, id ProfileID, in *ProfileInput, to []Assignment) (*Reach, error) {
	return f.preview(ctx, a, id, in, to, false)
}

// PreviewAssignTogether is PreviewAssign for Assign with together.
func (f *Fleet) PreviewAssignTogether(ctx context.Context, a Actor, id ProfileID, in *ProfileInput, to []Assignment) (*Reach, error) {
	return f.preview(ctx, a, id, in, to, true)
}

// newProfile stands for a profile that has no id yet.
const newProfile ProfileID = "new"

// forecast is a preview at work.
type forecast struct {
	actor         Actor
	profile       *Profile
	before, after *config
	reach         *Reach
	seen          map[DeviceID]bool
	people, asked map[PersonID]bool
	edited        bool // the edit asks those who have it already once more
	noPerson      int
	broken        map[string]int // devices by name of what is missing
	twins         map[string]int // devices by name of the other account
}

func (f *Fleet) preview(ctx context.Context, a Actor, id ProfileID, in *ProfileInput, to []Assignment, together bool) (*Reach, error) {
	for _, p := range []Permission{ProfilesRead, DevicesRead} {
		if err := need(a, p); err != nil {
			return nil, err
		}
	}
	fc := &forecast{actor: a, reach: &Reach{Exact: true}, seen: map[DeviceID]bool{}, people: map[PersonID]bool{}, asked: map[PersonID]bool{},
		broken: map[string]int{}, twins: map[string]int{}}
	var walk []source
	err := f.db.View(ctx, func(tx store.Tx) (err error) {
		walk, err = f.prepare(tx, fc, id, in, to, together)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, s := range walk {
		for cursor := ""; fc.reach.Exact; {
			err := f.db.View(ctx, func(tx store.Tx) (err error) {
				var list []*Device
				if list, cursor, err = s.devices(tx, cursor, previewBatch); err != nil {
					return err
				}
				for _, d := range list {
					if err := f.foresee(tx, fc, d); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			if cursor == "" {
				break
			}
		}
	}
	fc.conclude()
	return fc.reach, nil
}

// prepare builds the two configs to compare and says which devices can differ.
func (f *Fleet) prepare(tx store.Tx, fc *forecast, id ProfileID, in *ProfileInput, to []Assignment, together bool) ([]source, error) {
	p, err := f.profileAsOf(tx, fc.actor, id, in)
	if err != nil {
		return nil, err
	}
	if fc.before, err = f.config(tx); err != nil {
		return nil, err
	}
	if id == "" {
		id = newProfile
	}
	one := *p
	one.ID = id
	fc.profile = &one
	c := fc.before.clone()
	c.set(&one)
	c.sort()
	if fc.after, err = f.assignedAs(tx, fc.actor, c, id, to, together); err != nil {
		return nil, err
	}
	if old := fc.before.profile(id); old != nil && one.Type == TypeEmail {
		fc.edited = asks(fc.before.values[id], fc.after.values[id])
	}
	was, err := reachOf(tx, fc.before.to[id])
	if err != nil {
		return nil, err
	}
	will, err := reachOf(tx, fc.after.to[id])
	return distinct(append(was, will...)), err
}

// foresee compares one device before and after.
func (f *Fleet) foresee(tx store.Tx, fc *forecast, d *Device) error {
	if fc.seen[d.ID] || !fc.reach.Exact || d.Hidden || d.State != Managed && d.State != Enrolling || !sees(fc.actor, d.Tags) {
		return nil
	}
	if len(fc.seen) == previewMost {
		fc.reach.Exact = false
		return nil
	}
	fc.seen[d.ID] = true
	p, err := personOf(tx, d)
	if err != nil {
		return err
	}
	in, err := f.groupsOf(tx, p, d)
	if err != nil {
		return err
	}
	id := fc.profile.ID
	wants := func(c *config) (bool, []Unfit) {
		list, unfit := f.wantedOf(c, d, p, in)
		return slices.ContainsFunc(list, func(pr *Profile) bool { return pr.ID == id }), unfit
	}
	had, _ := wants(fc.before)
	has, unfit := wants(fc.after)
	r := fc.reach
	if has {
		r.Devices++
		if len(r.Sample) < previewSample {
			r.Sample = append(r.Sample, d)
		}
		if p != nil {
			fc.people[p.ID] = true
			if !had || fc.edited {
				fc.asked[p.ID] = true
			}
		}
	}
	if has && !had {
		r.Gains++
	}
	if had && !has {
		r.Loses++
	}
	for _, u := range unfit {
		if u.Profile != id {
			continue
		}
		if len(r.Without) < previewUnfit {
			r.Without = append(r.Without, u)
		}
		switch u.Reason.Code {
		case "profile.no-person":
			fc.noPerson++
		case "profile.chain-broken":
			fc.broken[u.Reason.Args["missing"]]++
		case "profile.same-account", "profile.same-network", "profile.same-app", "profile.same-setting":
			fc.twins[u.Reason.Args["other"]]++
		}
	}
	return nil
}

// conclude turns what was counted into warnings.
func (fc *forecast) conclude() {
	r := fc.reach
	r.People = len(fc.people)
	warn := func(code string, pairs ...string) { r.Warnings = append(r.Warnings, Why(code, pairs...)) }
	if !r.Exact {
		warn("assign.counted-first", "devices", strconv.Itoa(previewMost))
	}
	if fc.noPerson > 0 {
		warn("assign.no-person", "devices", strconv.Itoa(fc.noPerson))
	}
	for _, name := range sortedKeys(fc.broken) {
		warn("assign.chain-broken", "missing", name, "devices", strconv.Itoa(fc.broken[name]))
	}
	for _, ref := range fc.after.chain(fc.profile.ID) {
		if !covers(fc.after.to[ref], fc.after.to[fc.profile.ID]) {
			warn("assign.chain-targets-differ", "missing", fc.after.name(ref))
		}
	}
	for _, name := range sortedKeys(fc.twins) {
		n := strconv.Itoa(fc.twins[name])
		switch fc.profile.Type {
		case TypeWiFi:
			warn("assign.same-network", "other", name, "devices", n)
		case TypeApp:
			warn("assign.same-app", "other", name, "devices", n)
		case TypeCustom:
			warn("assign.same-setting", "other", name, "devices", n)
		default:
			warn("assign.same-account", "other", name, "devices", n)
		}
	}
	if fc.profile.Type == TypeEmail && fc.after.values[fc.profile.ID].String("sign_in") != "certificate" && len(fc.asked) > 0 {
		warn("assign.people-sign-in", "people", strconv.Itoa(len(fc.asked)))
	}
}

// covers says whether what a includes takes in, target by target, what b includes, and excludes nothing that b does not.
func covers(a, b []Assignment) bool {
	has := func(list []Assignment, x Assignment) bool {
		return slices.ContainsFunc(list, func(y Assignment) bool { return x.key() == y.key() })
	}
	all := has(a, Assignment{To: ToAllDevices})
	for _, x := range b {
		if !x.Exclude && !all && !has(a, x) {
			return false
		}
	}
	for _, x := range a {
		if x.Exclude && !has(b, x) {
			return false
		}
	}
	return true
}
