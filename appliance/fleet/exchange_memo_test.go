package fleet_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// What one message leaves in memory must not outlive a change: each case changes something between two messages of one run.
func TestChangesWithinARun(t *testing.T) {
	// start enrols a phone for which a mail account is wanted, and hands it the first order.
	start := func(t *testing.T) (*planWorld, *phone, *fleet.Profile, *fleet.Order) {
		w := newPlanWorld(t)
		mail := w.email()
		w.toAll(mail)
		p := w.phone("M1")
		p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
		c := p.contact()
		c.NewRun = true
		o, err := w.Exchange(ctx, c, nil)
		if err != nil || o == nil || stepOf(o) != "install:access" {
			t.Fatalf("%+v, %v", o, err)
		}
		return w, p, mail, o
	}
	next := func(t *testing.T, p *phone, o *fleet.Order) *fleet.Order {
		t.Helper()
		n, err := p.w.Exchange(ctx, p.contact(), p.do(o))
		if err != nil || n == nil {
			t.Fatalf("%+v, %v", n, err)
		}
		return n
	}

	t.Run("the person's address", func(t *testing.T) {
		w, p, _, o := start(t)
		mail := "anna@elsewhere.example"
		if _, err := w.UpdatePerson(ctx, w.admin, w.anna.ID, fleet.PersonInput{Mail: &mail}); err != nil {
			t.Fatal(errText(err))
		}
		n := next(t, p, o)
		if stepOf(n) != "install:access" || n.Person.Mail != mail || n.Step.Unit.Version == o.Step.Unit.Version {
			t.Fatalf("got %s for %s", stepOf(n), n.Person.Mail)
		}
	})
	t.Run("the profile", func(t *testing.T) {
		w, p, mail, o := start(t)
		raw := []byte(`{"account":"exchange","account_name":"Work","address":"{{mail}}","host":"new.example.org","sign_in":"password","user_name_from":"upn"}`)
		if _, err := w.UpdateProfile(ctx, w.admin, mail.ID, fleet.ProfileInput{Settings: raw}); err != nil {
			t.Fatal(errText(err))
		}
		n := next(t, p, o)
		if stepOf(n) != "install:access" || !strings.Contains(string(n.Profiles[0].Settings), "new.example.org") {
			t.Fatalf("got %s with %s", stepOf(n), n.Profiles[0].Settings)
		}
	})
	t.Run("the assignment, to a group and away from it", func(t *testing.T) {
		w, p, mail, o := start(t)
		name := "Crew"
		g, err := w.CreateGroup(ctx, w.admin, fleet.GroupInput{Name: &name, Kind: fleet.PeopleGroup})
		if err != nil {
			t.Fatal(errText(err))
		}
		if err := w.Assign(ctx, w.admin, mail.ID, []fleet.Assignment{{To: fleet.ToGroup, Group: g.ID}}, false); err != nil {
			t.Fatal(errText(err))
		}
		if o = next(t, p, o); stepOf(o) != "remove:access" {
			t.Fatalf("wanted of nobody: got %s", stepOf(o))
		}
		if err := w.SetMembers(ctx, w.admin, g.ID, []string{string(w.anna.ID)}, nil); err != nil {
			t.Fatal(errText(err))
		}
		if o = next(t, p, o); stepOf(o) != "install:access" {
			t.Fatalf("wanted of the group: got %s", stepOf(o))
		}
		if err := w.SetMembers(ctx, w.admin, g.ID, nil, []string{string(w.anna.ID)}); err != nil {
			t.Fatal(errText(err))
		}
		if o = next(t, p, o); stepOf(o) != "remove:access" {
			t.Fatalf("left the group: got %s", stepOf(o))
		}
	})
	t.Run("the device", func(t *testing.T) {
		w, p, _, o := start(t)
		name := "Front desk"
		if _, err := w.UpdateDevice(ctx, w.admin, p.identity.Device, fleet.DeviceInput{Name: &name}); err != nil {
			t.Fatal(errText(err))
		}
		if n := next(t, p, o); n.Device.Name != name {
			t.Fatalf("got %q", n.Device.Name)
		}
	})
	t.Run("what is ordered", func(t *testing.T) {
		w, p, _, o := start(t)
		a := w.act(p, fleet.ActLock)
		if n := next(t, p, o); n.Action == nil || n.Action.ID != a.ID {
			t.Fatalf("got %s", stepOf(n))
		}
	})
	t.Run("the push address", func(t *testing.T) {
		w, p, _, o := start(t)
		if _, err := w.Reach(ctx, p.contact(), []byte("moved")); err != nil {
			t.Fatal(err)
		}
		for n := o; n != nil; {
			var err error
			if n, err = w.Exchange(ctx, p.contact(), p.do(n)); err != nil {
				t.Fatal(err)
			}
		}
		w.act(p, fleet.ActLock)
		w.sleep(time.Minute)
		before := w.push.count()
		w.wakeUp()
		if w.push.count() == before || string(w.push.sent[w.push.count()-1].Address) != "moved" {
			t.Fatalf("pushed: %+v", w.push.sent)
		}
	})
	t.Run("what was handed out stays what it was", func(t *testing.T) {
		_, p, _, o := start(t)
		was := fmt.Sprintf("%+v %+v %+v", *o.Step.Unit, *o.Person, *o.Device)
		for n := o; n != nil; {
			var err error
			if n, err = p.w.Exchange(ctx, p.contact(), p.do(n)); err != nil {
				t.Fatal(err)
			}
		}
		if now := fmt.Sprintf("%+v %+v %+v", *o.Step.Unit, *o.Person, *o.Device); now != was {
			t.Errorf("\n got %s\nwant %s", now, was)
		}
	})
}

// A run takes the same steps and leaves the same status rows when nothing at all is remembered between two messages.
func TestRunWithoutMemory(t *testing.T) {
	run := func(forget bool) (steps []string, rows string) {
		w := newPlanWorld(t)
		root, id := w.identity()
		w.toAll(w.passcode(), root, id, w.email())
		p := w.phone("R1")
		p.issue = true
		p.postpone["query:certificates"] = 1
		p.enrol(w.ticket(fleet.Corporate, fleet.IOS))
		for range 2 {
			c := p.contact()
			c.NewRun = true
			var ans *fleet.Answer
			for {
				o, err := w.Exchange(ctx, c, ans)
				if err != nil {
					t.Fatal(errText(err))
				}
				if o == nil {
					break
				}
				steps = append(steps, stepOf(o))
				ans, c = p.do(o), p.contact()
				if forget {
					w.reopen()
				}
			}
		}
		list, err := w.DeviceProfiles(ctx, w.admin, p.identity.Device)
		if err != nil {
			t.Fatal(errText(err))
		}
		for _, r := range list {
			rows += fmt.Sprintln(r.Type, r.Status, r.Reason, r.Version, r.Evidence.What)
		}
		return steps, rows
	}
	steps, rows := run(false)
	bare, bareRows := run(true)
	wantSteps(t, steps, bare...)
	if rows != bareRows {
		t.Errorf("rows:\n got  %s\n want %s", rows, bareRows)
	}
}
