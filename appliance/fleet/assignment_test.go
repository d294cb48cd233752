package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func keysOf(t *testing.T, w *profWorld, a Actor, p *Profile) string {
	t.Helper()
	list, err := w.Assignments(context.Background(), a, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, x := range list {
		keys = append(keys, x.key())
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func TestAssignmentsAreChecked(t *testing.T) {
	w := newProfWorld(t)
	p := w.profile(TypePasscode, nil)
	g := w.group(DeviceGroup, nil)
	for _, c := range []struct {
		name string
		to   []Assignment
		code string
	}{
		{"nobody in particular", []Assignment{{To: "someone"}}, "input.choice"},
		{"a group that is not there", []Assignment{{To: ToGroup, Group: "gone"}}, "assign.no-such-group"},
		{"everybody is not excluded", []Assignment{{To: ToAllDevices, Exclude: true}}, "assign.excludes-all"},
		{"both ways", []Assignment{to(g), except(g)}, "assign.both-ways"},
		{"a group and all", []Assignment{{To: ToAllPeople, Group: g.ID}}, "assign.group-and-all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := w.Assign(context.Background(), w.admin, p.ID, c.to, false)
			r := refusalOf(err)
			if !errors.Is(err, ErrInvalid) || r.Fields["to."+string(rune('0'+len(c.to)-1))].Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	w.assign(p, to(g), to(g))
	first, _ := w.Assignments(context.Background(), w.admin, p.ID)
	w.assign(p, to(g), all(ToAllPeople))
	second, _ := w.Assignments(context.Background(), w.admin, p.ID)
	if len(first) != 1 || len(second) != 2 || !slices.Contains(second, first[0]) {
		t.Errorf("got %v, then %v: what stays keeps its id, and comes once", first, second)
	}
}

func TestAssignTogether(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	root := w.profile(TypeTrustedRoot, nil)
	mailID, wifiID := w.profile(TypeIdentity, Values{"root": root.ID}), w.profile(TypeIdentity, Values{"root": root.ID, "purpose": "wifi"})
	mail := w.profile(TypeEmail, Values{"host": "a.example", "sign_in": "certificate", "identity": mailID.ID})
	g, h, x := w.group(PeopleGroup, nil), w.group(PeopleGroup, nil), w.group(PeopleGroup, nil)
	if err := w.Assign(ctx, w.admin, mail.ID, []Assignment{to(g), except(x)}, true); err != nil {
		t.Fatal(err)
	}
	want := keysOf(t, w, w.admin, mail)
	for _, p := range []*Profile{mailID, root} {
		if got := keysOf(t, w, w.admin, p); got != want {
			t.Errorf("%s: got %q, want the same as the account: %q", p.Name, got, want)
		}
	}
	// The root is needed by another identity too: it must reach both, and its exclusion would break the other's chain.
	if err := w.Assign(ctx, w.admin, wifiID.ID, []Assignment{to(h)}, true); err != nil {
		t.Fatal(err)
	}
	if got, want := keysOf(t, w, w.admin, root), keyList(to(g), to(h)); got != want {
		t.Errorf("root: got %q, want %q", got, want)
	}
	if got := keysOf(t, w, w.admin, mailID); got != want {
		t.Errorf("the other identity changed to %q", got)
	}
	if err := w.Assign(ctx, w.admin, mail.ID, nil, true); err != nil {
		t.Fatal(err)
	}
	if got, want := keysOf(t, w, w.admin, root), keyList(to(h)); got != want || keysOf(t, w, w.admin, mailID) != "" {
		t.Errorf("root: got %q, want %q after the account went", got, want)
	}
}

func keyList(list ...Assignment) string {
	var keys []string
	for _, x := range list {
		keys = append(keys, x.key())
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func TestProfilesKeepToScope(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	north, south := w.scoped("north"), w.scoped("south")
	p, err := w.CreateProfile(ctx, north, w.input(TypePasscode, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Tags) != 1 || p.Tags[0] != "north" {
		t.Errorf("got tags %v: what a scoped administrator makes lies in his scope", p.Tags)
	}
	name := "Group of the south"
	theirs, err := w.CreateGroup(ctx, south, GroupInput{Name: &name, Kind: DeviceGroup})
	if err != nil {
		t.Fatal(err)
	}
	name = "Group of the north"
	ours, err := w.CreateGroup(ctx, north, GroupInput{Name: &name, Kind: DeviceGroup})
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"read":     second(w.Profile(ctx, south, p.ID)),
		"versions": second(w.ProfileVersions(ctx, south, p.ID)),
		"update":   second(w.UpdateProfile(ctx, south, p.ID, ProfileInput{})),
		"assign":   w.Assign(ctx, south, p.ID, nil, false),
		"delete":   w.DeleteProfile(ctx, south, p.ID),
		"counts":   second(w.ProfileCounts(ctx, south, p.ID)),
		"devices":  second(w.ProfileDevices(ctx, south, p.ID, "", ListQuery{})),
		"preview":  second(w.PreviewAssign(ctx, south, p.ID, nil, nil)),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s from outside: got %v, want not found", what, err)
		}
	}
	if list, err := w.Profiles(ctx, south, ListQuery{}); err != nil || len(list.Items) != 0 {
		t.Errorf("got %v, %v in another's list", list.Items, err)
	}
	if err := w.Assign(ctx, north, p.ID, []Assignment{all(ToAllDevices)}, false); !errors.Is(err, ErrForbidden) {
		t.Errorf("got %v for all devices by a scoped administrator", err)
	}
	if r := refusalOf(w.Assign(ctx, north, p.ID, []Assignment{to(theirs)}, false)); r == nil || r.Fields["to.0"].Code != "assign.no-such-group" {
		t.Errorf("got %v for a group of others", r)
	}
	// What others assigned is neither shown nor taken away.
	w.assign(p, to(theirs), all(ToAllDevices))
	if err := w.Assign(ctx, north, p.ID, []Assignment{to(ours), all(ToAllDevices)}, false); err != nil {
		t.Fatal(err)
	}
	if got, want := keysOf(t, w, north, p), keyList(to(ours), all(ToAllDevices)); got != want {
		t.Errorf("shown: got %q, want %q", got, want)
	}
	if got, want := keysOf(t, w, w.admin, p), keyList(to(ours), to(theirs), all(ToAllDevices)); got != want {
		t.Errorf("stored: got %q, want %q", got, want)
	}
	if err := w.Assign(ctx, north, p.ID, nil, false); !errors.Is(err, ErrForbidden) {
		t.Errorf("got %v for taking a profile from all devices", err)
	}
	if _, err := w.CreateProfile(ctx, Actor{}, w.input(TypePasscode, nil)); !errors.Is(err, ErrForbidden) {
		t.Errorf("got %v for nobody", err)
	}
	if _, err := w.UpdateProfile(ctx, north, p.ID, ProfileInput{Tags: &[]Tag{"south"}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v for pushing it out of one's own scope", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestPreview(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	ada, bob := w.person("Ada"), w.person("Bob")
	w.device(ada, IOS, Corporate)
	w.device(ada, MacOS, Corporate)
	w.device(bob, IOS, Corporate, "north")
	kiosk := w.device(nil, IOS, Corporate)
	adas := w.group(PeopleGroup, nil, string(ada.ID))
	mail := w.profile(TypeEmail, exchangeAt("a.example"))
	w.assign(mail, to(adas))
	before := w.wants(kiosk)

	r, err := w.PreviewAssign(ctx, w.admin, mail.ID, nil, []Assignment{all(ToAllDevices), except(adas)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Devices != 1 || r.People != 1 || r.Gains != 1 || r.Loses != 2 || !r.Exact || len(r.Without) != 1 || r.Without[0].Device.ID != kiosk.ID || len(r.Sample) != 1 {
		t.Errorf("got %+v", r)
	}
	if got := codes(r.Warnings); got != "assign.no-person assign.people-sign-in" {
		t.Errorf("got warnings %s", got)
	}
	if got := w.wants(kiosk); len(got) != len(before) {
		t.Errorf("a preview changed what is wanted: %v", got)
	}
	r, err = w.PreviewAssign(ctx, w.scoped("north"), mail.ID, nil, []Assignment{all(ToAllDevices)})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, %v of an untagged profile", r, err)
	}

	// A profile that is not saved yet, with the account of another.
	in := w.input(TypeEmail, exchangeAt("a.example"))
	r, err = w.PreviewAssign(ctx, w.admin, "", &in, []Assignment{all(ToAllPeople)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Devices != 1 || len(r.Without) != 2 || codes(r.Warnings) != "assign.same-account assign.people-sign-in" {
		t.Errorf("got %+v", r)
	}

	// An edit that asks everybody again.
	r, err = w.PreviewAssign(ctx, w.admin, mail.ID, &ProfileInput{Settings: encode(t, exchangeAt("b.example"))}, []Assignment{to(adas)})
	if err != nil || r.Gains != 0 || codes(r.Warnings) != "assign.people-sign-in" || r.Warnings[0].Args["people"] != "1" {
		t.Errorf("got %+v, %v", r, err)
	}
	r, err = w.PreviewAssign(ctx, w.admin, mail.ID, &ProfileInput{Settings: encode(t, Values{"host": "a.example", "days": 31})}, []Assignment{to(adas)})
	if err != nil || codes(r.Warnings) != "" {
		t.Errorf("got %+v, %v: more days of mail ask nobody", r, err)
	}

	// The chain, assigned alone and together.
	root := w.profile(TypeTrustedRoot, nil)
	identity := w.profile(TypeIdentity, Values{"root": root.ID})
	signed := w.profile(TypeEmail, Values{"host": "c.example", "sign_in": "certificate", "identity": identity.ID})
	r, err = w.PreviewAssign(ctx, w.admin, signed.ID, nil, []Assignment{to(adas)})
	if err != nil || r.Devices != 0 || codes(r.Warnings) != "assign.chain-broken assign.chain-targets-differ assign.chain-targets-differ" {
		t.Errorf("alone: got %+v, %v", r, err)
	}
	r, err = w.PreviewAssignTogether(ctx, w.admin, signed.ID, nil, []Assignment{to(adas)})
	if err != nil || r.Devices != 2 || codes(r.Warnings) != "" {
		t.Errorf("together: got %+v, %v", r, err)
	}
}

func codes(list []Reason) string {
	var out []string
	for _, r := range list {
		out = append(out, r.Code)
	}
	return strings.Join(out, " ")
}
