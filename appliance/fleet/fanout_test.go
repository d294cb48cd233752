package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/store"

	"pgregory.net/rapid"
)

func ids(list ...*Device) map[DeviceID]bool {
	out := map[DeviceID]bool{}
	for _, d := range list {
		out[d.ID] = true
	}
	return out
}

func TestChangesReachTheRightDevices(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	ada, bob := w.person("Ada"), w.person("Bob")
	phone, mac, bobs, kiosk := w.device(ada, IOS, Corporate), w.device(ada, MacOS, Corporate), w.device(bob, IOS, Corporate), w.device(nil, IOS, Corporate)
	adas := w.group(PeopleGroup, nil, string(ada.ID))
	byName := w.group(PeopleGroup, &Rule{Conditions: []Condition{{Field: "name", Op: "is", Value: "ada"}}})
	passcode := w.profile(TypePasscode, Values{"min_length": 6})
	mail := w.profile(TypeEmail, exchangeAt("a.example"))
	w.drain()
	w.asked()
	step := func(what string, do func(), want ...*Device) {
		t.Helper()
		do()
		w.drain()
		if got := w.asked(); !maps.Equal(got, ids(want...)) {
			t.Errorf("%s: woke %v, want %v", what, got, ids(want...))
		}
	}
	update := func(p *Profile, in ProfileInput) func() {
		return func() {
			if _, err := w.UpdateProfile(ctx, w.admin, p.ID, in); err != nil {
				t.Fatal(err)
			}
		}
	}
	name, address := "Renamed", "ada.new@example.org"
	step("assigned to one person", func() { w.assign(passcode, to(adas)) }, phone, mac)
	step("assigned again as it is", func() { w.assign(passcode, to(adas)) })
	step("new settings", update(passcode, ProfileInput{Settings: encode(t, Values{"min_length": 8})}), phone, mac)
	step("a new name", update(passcode, ProfileInput{Name: &name}))
	step("a description", update(passcode, ProfileInput{Description: &name}))
	step("another one with no assignment", update(mail, ProfileInput{Settings: encode(t, exchangeAt("b.example"))}))
	step("everybody", func() { w.assign(passcode, all(ToAllDevices)) }, bobs, kiosk)
	step("all but one", func() { w.assign(passcode, all(ToAllDevices), except(adas)) }, phone, mac)
	step("into the group of the excluded", func() {
		if err := w.SetMembers(ctx, w.admin, adas.ID, []string{string(bob.ID)}, nil); err != nil {
			t.Fatal(err)
		}
	}, bobs)
	step("out of it", func() {
		if err := w.SetMembers(ctx, w.admin, adas.ID, nil, []string{string(bob.ID), string(ada.ID)}); err != nil {
			t.Fatal(err)
		}
	}, phone, mac, bobs)
	step("by rule", func() { w.assign(mail, to(byName)) }, phone, mac)
	step("the rule now means another", func() {
		rule := Rule{Conditions: []Condition{{Field: "name", Op: "is", Value: "bob"}}}
		if _, err := w.UpdateGroup(ctx, w.admin, byName.ID, GroupInput{Rule: &rule}); err != nil {
			t.Fatal(err)
		}
	}, phone, mac, bobs)
	step("the person now falls under it", func() {
		bobName := "Bob"
		if _, err := w.UpdatePerson(ctx, w.admin, ada.ID, PersonInput{Name: &bobName, Mail: &address}); err != nil {
			t.Fatal(err)
		}
	}, phone, mac)
	step("deleted", func() {
		if err := w.DeleteProfile(ctx, w.admin, passcode.ID); err != nil {
			t.Fatal(err)
		}
	}, phone, mac, bobs, kiosk)
	w.read(func(tx store.Tx) error {
		n, err := changes.Count(tx, store.Query{})
		if n != 0 {
			t.Errorf("%d change records are left", n)
		}
		return err
	})
}

func TestOneDeviceIsDealtWithAtOnce(t *testing.T) {
	w := newProfWorld(t)
	d := w.device(nil, IOS, Corporate)
	p := w.profile(TypePasscode, nil)
	w.assign(p, all(ToAllDevices))
	w.write(func(tx store.Tx) error { return w.noteChange(tx, changeScope{Device: d.ID, Why: "device"}) })
	if got := w.asked(); !got[d.ID] {
		t.Error("it was not woken in the caller's transaction")
	}
	rows, err := w.DeviceProfiles(context.Background(), w.admin, d.ID)
	if err != nil || len(rows) != 1 || rows[0].Reason.Code == "waiting.fan-out" {
		t.Errorf("got %v, %v", rows, err)
	}
	if err := w.db.Update(context.Background(), func(tx store.Tx) error { return w.noteChange(tx, changeScope{Why: "nothing"}) }); err == nil {
		t.Error("a change without a scope was taken")
	}
}

// A fan-out that is stopped after any batch goes on where it was, and each device is woken once.
func TestFanOutResumes(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	var list []*Device
	for i := range 25 {
		owner := w.person("P" + strconv.Itoa(i))
		list = append(list, w.device(owner, IOS, Corporate))
	}
	var members []string
	for _, d := range list[:20] {
		members = append(members, string(d.Person))
	}
	g := w.group(PeopleGroup, nil, members...)
	h := w.group(DeviceGroup, nil, string(list[19].ID), string(list[20].ID))
	p := w.profile(TypePasscode, nil)
	w.assign(p, to(g), to(h))
	steps := 0
	for {
		more, err := w.fanOutStep(ctx, 3)
		if err != nil {
			t.Fatal(err)
		}
		w.restart() // a crash after every batch
		if !more {
			break
		}
		if steps++; steps > 100 {
			t.Fatal("it does not come to an end")
		}
	}
	if steps < 7 {
		t.Errorf("got %d batches of three for 21 devices", steps)
	}
	w.read(func(tx store.Tx) error {
		open, err := wakes.Count(tx, store.Query{Index: "due"})
		if err != nil || open != 21 {
			t.Errorf("got %d open wakes, %v, want one for each of 21 devices", open, err)
		}
		return nil
	})
	want := map[DeviceID]bool{}
	for _, d := range list[:21] {
		want[d.ID] = true
	}
	if got := w.asked(); !maps.Equal(got, want) {
		t.Errorf("woke %d devices, want %d", len(got), len(want))
	}
}

// What changes while the fan-out is half way through is not lost.
func TestAChangeDuringTheFanOut(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	var list []*Device
	for range 10 {
		list = append(list, w.device(nil, IOS, Corporate))
	}
	p := w.profile(TypePasscode, Values{"min_length": 6})
	w.assign(p, all(ToAllDevices))
	if _, err := w.fanOutStep(ctx, 4); err != nil {
		t.Fatal(err)
	}
	w.asked()
	if _, err := w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Settings: encode(t, Values{"min_length": 9})}); err != nil {
		t.Fatal(err)
	}
	w.drain()
	if got := w.asked(); len(got) != len(list) {
		t.Errorf("woke %d devices, want all %d: the first four have the old version", len(got), len(list))
	}
	w.read(func(tx store.Tx) error {
		return deliveries.Each(tx, store.Query{}, func(r *delivery) (bool, error) {
			if r.Version != 2 {
				t.Errorf("a row is left at version %d", r.Version)
			}
			return true, nil
		})
	})
}

// One device that cannot be dealt with holds up no other.
func TestFanOutPassesOverABrokenDevice(t *testing.T) {
	w := newProfWorld(t)
	a, broken, b := w.device(nil, IOS, Corporate), w.device(nil, IOS, Corporate), w.device(nil, IOS, Corporate)
	p := w.profile(TypePasscode, nil)
	w.write(func(tx store.Tx) error {
		return tx.Put([]byte(deliveries.Name()+"/"+deliveryID(broken.ID, "x")), []byte("no JSON"))
	})
	w.assign(p, all(ToAllDevices))
	w.drain()
	if got := w.asked(); !maps.Equal(got, ids(a, b)) {
		t.Errorf("woke %v, want the two that are sound", got)
	}
}

// RunFanOut is woken by the commit of a change, and ends with its context.
func TestRunFanOut(t *testing.T) {
	w := newProfWorld(t)
	d := w.device(nil, IOS, Corporate)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.RunFanOut(ctx) }()
	p := w.profile(TypePasscode, nil)
	w.assign(p, all(ToAllDevices))
	deadline := time.After(time.Minute)
	for !w.asked()[d.ID] {
		select {
		case <-deadline:
			t.Fatal("the device was not woken")
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v at the end", err)
	}
}

func TestStatusRowsAndCounts(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	north, south := w.device(nil, IOS, Corporate, "north"), w.device(nil, IOS, Corporate, "south")
	p := w.profile(TypePasscode, nil)
	w.assign(p, all(ToAllDevices))
	rows, err := w.DeviceProfiles(ctx, w.admin, north.ID)
	if err != nil || len(rows) != 1 || rows[0].Status != StatusPending || rows[0].Reason.Code != "waiting.fan-out" {
		t.Errorf("before the fan-out: got %v, %v", rows, err)
	}
	w.drain()
	tags := []Tag{"north"}
	if _, err := w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Tags: &tags}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  Actor
		want int
	}{{w.admin, 2}, {w.scoped("north"), 1}} {
		counts, err := w.ProfileCounts(ctx, c.who, p.ID)
		if err != nil || counts[StatusPending] != c.want {
			t.Errorf("got %v, %v, want %d pending", counts, err, c.want)
		}
		list, err := w.ProfileDevices(ctx, c.who, p.ID, StatusPending, ListQuery{})
		if err != nil || len(list.Items) != c.want || list.Total != c.want {
			t.Errorf("got %v, %v, want %d", list, err, c.want)
		}
		list, err = w.ProfileDevices(ctx, c.who, p.ID, StatusError, ListQuery{})
		if err != nil || len(list.Items) != 0 || list.Total != 0 {
			t.Errorf("got %v, %v with an error", list, err)
		}
	}
	// Rows move with the device's tags.
	w.write(func(tx store.Tx) error {
		south.Tags = []Tag{"north"}
		if err := devices.Put(tx, south); err != nil {
			return err
		}
		return w.noteChange(tx, changeScope{Device: south.ID, Why: "device"})
	})
	if counts, err := w.ProfileCounts(ctx, w.scoped("north"), p.ID); err != nil || counts[StatusPending] != 2 {
		t.Errorf("got %v, %v after the other came into scope", counts, err)
	}
	if _, err := w.DeviceProfiles(ctx, w.scoped("west"), north.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v for a device out of scope", err)
	}
	// Since stays while nothing new is said.
	var first ProfileStatus
	w.write(func(tx store.Tx) error {
		row := ProfileStatus{Profile: p.ID, Status: StatusError, Reason: Why("x", "a", "b"), Version: 1}
		if err := w.setDelivery(tx, north, row); err != nil {
			return err
		}
		list, err := w.deliveriesOf(tx, north.ID)
		first = list[0]
		return err
	})
	w.write(func(tx store.Tx) error {
		row := ProfileStatus{Profile: p.ID, Status: StatusError, Reason: Why("x", "a", "b"), Version: 2}
		if err := w.setDelivery(tx, north, row); err != nil {
			return err
		}
		list, err := w.deliveriesOf(tx, north.ID)
		if !list[0].Since.Equal(first.Since) || list[0].Name != p.Name || list[0].Version != 2 {
			t.Errorf("got %+v after %+v", list[0], first)
		}
		return err
	})
}

func TestRetryProfile(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	ada := w.person("Ada")
	d := w.device(ada, IOS, Corporate)
	p := w.profile(TypePasscode, nil)
	w.assign(p, all(ToAllDevices))
	w.drain()
	w.asked()
	me := Actor{Kind: ActorPerson, ID: string(ada.ID)}
	if err := w.RetryProfile(ctx, me, d.ID, p.ID); err != nil {
		t.Fatal(err)
	}
	if !w.asked()[d.ID] {
		t.Error("the device was not woken")
	}
	for _, c := range []struct {
		name string
		who  Actor
		p    ProfileID
		want error
	}{
		{"another person", Actor{Kind: ActorPerson, ID: "someone"}, p.ID, ErrNotFound},
		{"nobody", Actor{}, p.ID, ErrForbidden},
		{"a profile that is not there", me, "gone", ErrNotFound},
	} {
		if err := w.RetryProfile(ctx, c.who, d.ID, c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// Counters equal a recount after any operations.
func TestCountersEqualARecount(t *testing.T) {
	w := newProfWorld(t)
	var list []*Device
	for _, tags := range [][]Tag{nil, {"north"}, {"south", "north"}, {"south"}} {
		list = append(list, w.device(nil, IOS, Corporate, tags...))
	}
	some := []ProfileID{"p1", "p2", "p3"}
	states := []ProfileStatusCode{StatusPending, StatusSucceeded, StatusError, StatusRemoving}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			d := rapid.SampledFrom(list).Draw(rt, "device")
			p := rapid.SampledFrom(some).Draw(rt, "profile")
			op := rapid.IntRange(0, 3).Draw(rt, "op")
			state := rapid.SampledFrom(states).Draw(rt, "state")
			tags := rapid.SliceOfNDistinct(rapid.SampledFrom([]Tag{"north", "south", "west"}), 0, 2, rapid.ID).Draw(rt, "tags")
			err := w.db.Update(context.Background(), func(tx store.Tx) error {
				switch op {
				case 0:
					return w.dropDelivery(tx, d, p)
				case 1:
					d.Tags = tags
					return w.retag(tx, d)
				}
				return w.setDelivery(tx, d, ProfileStatus{Profile: p, Name: "n", Type: TypePasscode, Status: state})
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
		w.read(func(tx store.Tx) error {
			for _, who := range []Actor{w.admin, w.scoped("north"), w.scoped("south", "west"), w.scoped()} {
				total := map[ProfileStatusCode]int{}
				for _, p := range some {
					want := map[ProfileStatusCode]int{}
					err := deliveries.Each(tx, store.Query{Index: "profile", Value: string(p)}, func(r *delivery) (bool, error) {
						if sees(who, r.Tags) {
							want[r.Status]++
							total[r.Status]++
						}
						return true, nil
					})
					if err != nil {
						return err
					}
					got, err := countsOf(tx, who, p)
					if err != nil {
						return err
					}
					if !maps.Equal(got, want) {
						rt.Fatalf("%s for %v: got %v, recounted %v", p, who.Tags, got, want)
					}
				}
				got, err := w.statusTotals(tx, who)
				if err != nil {
					return err
				}
				if !maps.Equal(got, total) {
					rt.Fatalf("in all for %v: got %v, recounted %v", who.Tags, got, total)
				}
			}
			return nil
		})
	})
}

// Wanted depends on how things are, not on how they came to be so.
func TestWantedIsAPureFunction(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	ada, bob := w.person("Ada"), w.person("Bob")
	list := []*Device{w.device(ada, IOS, Corporate), w.device(ada, MacOS, Personal), w.device(bob, IPadOS, Personal), w.device(nil, IOS, Corporate)}
	targets := []Assignment{all(ToAllDevices), all(ToAllPeople)}
	for _, g := range []*Group{w.group(PeopleGroup, nil, string(ada.ID)), w.group(PeopleGroup, &Rule{Conditions: []Condition{{Field: "name", Op: "is", Value: "bob"}}}),
		w.group(DeviceGroup, nil, string(list[0].ID), string(list[3].ID))} {
		targets = append(targets, to(g), except(g))
	}
	root := w.profile(TypeTrustedRoot, nil)
	identity := w.profile(TypeIdentity, Values{"root": root.ID})
	signed := Values{"host": "a.example", "sign_in": "certificate", "identity": identity.ID}
	profs := []*Profile{root, identity, w.profile(TypeEmail, signed), w.profile(TypeEmail, exchangeAt("a.example")), w.profile(TypePasscode, nil)}
	type state struct {
		to     []Assignment
		choice int
	}
	// Each profile has two sets of settings to choose from, or of platforms.
	edit := func(rt *rapid.T, i, choice int) {
		in := ProfileInput{}
		switch {
		case i == 2:
			in.Settings = encode(t, []Values{signed, exchangeAt("b.example")}[choice])
		case i == 3:
			in.Settings = encode(t, []Values{exchangeAt("a.example"), exchangeAt("b.example")}[choice])
		default:
			in.Platforms = &[][]Platform{{IOS, IPadOS, MacOS}, {IOS}}[choice]
		}
		if _, err := w.UpdateProfile(ctx, w.admin, profs[i].ID, in); err != nil {
			rt.Fatal(err)
		}
	}
	assign := func(rt *rapid.T, i int, to []Assignment) {
		if err := w.Assign(ctx, w.admin, profs[i].ID, to, false); err != nil {
			rt.Fatal(err)
		}
	}
	drawTo := func(rt *rapid.T) []Assignment {
		out := rapid.SliceOfNDistinct(rapid.SampledFrom(targets), 0, 3, func(a Assignment) string { return a.To + string(a.Group) }).Draw(rt, "to")
		return slices.Clone(out)
	}
	look := func() []map[string]string {
		var out []map[string]string
		for _, d := range list {
			out = append(out, w.wants(d))
		}
		return out
	}
	rapid.Check(t, func(rt *rapid.T) {
		end := make([]state, len(profs))
		for i := range end {
			end[i] = state{drawTo(rt), rapid.IntRange(0, 1).Draw(rt, "choice")}
		}
		var seen []map[string]string
		for range 2 {
			for range rapid.IntRange(0, 4).Draw(rt, "detours") {
				i := rapid.IntRange(0, len(profs)-1).Draw(rt, "profile")
				if rapid.Bool().Draw(rt, "edit") {
					edit(rt, i, rapid.IntRange(0, 1).Draw(rt, "choice"))
				} else {
					assign(rt, i, drawTo(rt))
				}
			}
			for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4}).Draw(rt, "order") {
				if rapid.Bool().Draw(rt, "edit first") {
					edit(rt, i, end[i].choice)
					assign(rt, i, end[i].to)
				} else {
					assign(rt, i, end[i].to)
					edit(rt, i, end[i].choice)
				}
			}
			got := look()
			w.conf.Store(nil) // what is remembered must not matter either
			if fresh := look(); !slices.EqualFunc(got, fresh, maps.Equal) {
				rt.Fatalf("remembered %v, read anew %v", got, fresh)
			}
			if seen == nil {
				seen = got
			} else if !slices.EqualFunc(got, seen, maps.Equal) {
				rt.Fatalf("one way %v, another way %v", seen, got)
			}
		}
	})
}

// After any changes, and a fan-out with any batches and crashes, the rows of every device are what is wanted of it, and whoever has new rows
// was woken.
func TestFanOutMissesNobody(t *testing.T) {
	ctx := context.Background()
	w := newProfWorld(t)
	names := []string{"Ada", "Bob", "Cy"}
	var owners []*Person
	var list []*Device
	for _, n := range names {
		p := w.person(n)
		owners = append(owners, p)
		list = append(list, w.device(p, IOS, Corporate), w.device(p, MacOS, Personal))
	}
	list = append(list, w.device(nil, IOS, Corporate))
	byHand, ofDevices := w.group(PeopleGroup, nil), w.group(DeviceGroup, nil)
	byRule := w.group(PeopleGroup, &Rule{Conditions: []Condition{{Field: "name", Op: "is", Value: "ada"}}})
	targets := []Assignment{all(ToAllDevices), all(ToAllPeople)}
	for _, g := range []*Group{byHand, ofDevices, byRule} {
		targets = append(targets, to(g), except(g))
	}
	profs := []*Profile{w.profile(TypeTrustedRoot, nil), w.profile(TypeEmail, exchangeAt("a.example")), w.profile(TypeEmail, exchangeAt("a.example"), IOS), w.profile(TypePasscode, nil)}
	type rows map[string]int
	look := func() map[DeviceID]rows {
		out := map[DeviceID]rows{}
		w.read(func(tx store.Tx) error {
			return deliveries.Each(tx, store.Query{}, func(r *delivery) (bool, error) {
				if out[r.Device] == nil {
					out[r.Device] = rows{}
				}
				out[r.Device][r.Name+" "+string(r.Status)] = r.Revision
				return true, nil
			})
		})
		return out
	}
	rapid.Check(t, func(rt *rapid.T) {
		before := look()
		w.asked()
		for range rapid.IntRange(1, 8).Draw(rt, "changes") {
			var err error
			switch rapid.IntRange(0, 5).Draw(rt, "op") {
			case 0:
				p := rapid.SampledFrom(profs).Draw(rt, "profile")
				x := rapid.SliceOfNDistinct(rapid.SampledFrom(targets), 0, 3, func(a Assignment) string { return a.To + string(a.Group) }).Draw(rt, "to")
				err = w.Assign(ctx, w.admin, p.ID, x, false)
			case 1:
				p := rapid.SampledFrom(profs[1:3]).Draw(rt, "account")
				host := rapid.SampledFrom([]string{"a.example", "b.example"}).Draw(rt, "host")
				_, err = w.UpdateProfile(ctx, w.admin, p.ID, ProfileInput{Settings: encode(t, exchangeAt(host))})
			case 2:
				p := rapid.SampledFrom(owners).Draw(rt, "person")
				name := rapid.SampledFrom(names).Draw(rt, "name")
				_, err = w.UpdatePerson(ctx, w.admin, p.ID, PersonInput{Name: &name})
			case 3:
				p := string(rapid.SampledFrom(owners).Draw(rt, "member").ID)
				if rapid.Bool().Draw(rt, "in") {
					err = w.SetMembers(ctx, w.admin, byHand.ID, []string{p}, nil)
				} else {
					err = w.SetMembers(ctx, w.admin, byHand.ID, nil, []string{p})
				}
			case 4:
				d := string(rapid.SampledFrom(list).Draw(rt, "device").ID)
				if rapid.Bool().Draw(rt, "in") {
					err = w.SetMembers(ctx, w.admin, ofDevices.ID, []string{d}, nil)
				} else {
					err = w.SetMembers(ctx, w.admin, ofDevices.ID, nil, []string{d})
				}
			case 5:
				rule := Rule{Conditions: []Condition{{Field: "name", Op: "is", Value: rapid.SampledFrom(names).Draw(rt, "value")}}}
				_, err = w.UpdateGroup(ctx, w.admin, byRule.ID, GroupInput{Rule: &rule})
			}
			if err != nil {
				rt.Fatal(err)
			}
			// The fan-out is somewhere in between when the next change comes.
			for range rapid.IntRange(0, 2).Draw(rt, "steps") {
				if _, err := w.fanOutStep(ctx, rapid.IntRange(1, 3).Draw(rt, "batch")); err != nil {
					rt.Fatal(err)
				}
			}
		}
		w.restart()
		w.drain()
		after, woken := look(), w.asked()
		for _, d := range list {
			got := map[string]bool{}
			for k := range after[d.ID] {
				got[k] = true
			}
			want := map[string]bool{}
			for name, s := range w.wants(d) {
				status, _, _ := strings.Cut(s, " ")
				if status == "wanted" {
					status = string(StatusPending)
				}
				want[name+" "+status] = true
			}
			if !maps.Equal(got, want) {
				rt.Fatalf("%s: rows %v, wanted %v", d.Name, got, want)
			}
			if !maps.Equal(before[d.ID], after[d.ID]) && !woken[d.ID] {
				rt.Fatalf("%s: from %v to %v, and it was not woken", d.Name, before[d.ID], after[d.ID])
			}
		}
	})
}
