package appliance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// androids is a world with the stand-in for Google, to which the organisation is connected as on its first day.
type androids struct {
	*world
	google *sim.Google
}

func newAndroids(t *testing.T) *androids { return newAndroidsWith(t, true, func(*Config) {}) }

// newAndroidsWith leaves notifications away where they are not wanted: devices are then looked over.
func newAndroidsWith(t *testing.T, notified bool, change func(*Config)) *androids {
	t.Helper()
	google, err := sim.NewGoogle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { google.Close() })
	w := &androids{google: google}
	w.world = newWorldWith(t, t.TempDir(), func(c *Config) {
		c.Google = GoogleService{Management: google.URL(), PubSub: google.PubSubURL(), Roots: google.Roots(), PollEvery: 200 * time.Millisecond, Backoff: 5 * time.Millisecond, Rate: 500}
		change(c)
	})
	in := fleet.GoogleInput{Kind: fleet.GoogleOwn, KeyFile: string(google.ServiceAccount())}
	if notified {
		in.Topic, in.Subscription = "projects/"+google.Project()+"/topics/muster", "projects/"+google.Project()+"/subscriptions/muster"
	}
	a := w.Appliance.android
	if _, err := a.Connect(t.Context(), w.Actor, in); err != nil {
		t.Fatal(err)
	}
	page, err := a.SignUp(t.Context(), w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	back, err := google.SignUp(t.Context(), page)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.browser().Get(back)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	acc, err := w.Appliance.fleet.Google(t.Context(), w.Actor)
	if err != nil || !acc.Ready() {
		t.Fatalf("after the sign-up: %+v, %v", acc, err)
	}
	return w
}

// ticket invites, and accepts on the person's behalf.
func (w *androids) ticket(person string, m fleet.Mode) string {
	w.t.Helper()
	f := w.Appliance.fleet
	owner := fleet.Corporate
	if m == fleet.ModeWorkProfile {
		owner = fleet.Personal
	}
	_, code, err := f.Invite(w.t.Context(), w.Actor, fleet.InvitationInput{Person: w.people[person], Platform: fleet.Android, Mode: m, Ownership: owner})
	if err != nil {
		w.t.Fatal(err)
	}
	opened, err := f.OpenInvitation(w.t.Context(), code, "192.0.2.1")
	if err != nil {
		w.t.Fatal(err)
	}
	ticket, err := f.Accept(w.t.Context(), code, opened.Terms.ID, "en", "192.0.2.1", "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return ticket.Secret
}

// phone enrols a simulated Android; it lives until the test ends.
func (w *androids) phone(person string, m fleet.Mode, o sim.AndroidOptions) (*sim.Android, fleet.DeviceID) {
	w.t.Helper()
	entry, err := w.Appliance.android.NewEntry(w.t.Context(), w.ticket(person, m))
	if err != nil {
		w.t.Fatal(err)
	}
	o.Google, o.Roots, o.FactoryNew = w.google, w.roots, m != fleet.ModeWorkProfile
	if o.Poll == 0 {
		o.Poll = 300 * time.Millisecond
	}
	d := sim.NewAndroid(o)
	if err := d.EnrolToken(w.t.Context(), entry.Token); err != nil {
		w.t.Fatalf("enrolling: %v", err)
	}
	return d, w.live(d)
}

// act orders an action, confirmed by name.
func (w *androids) act(id fleet.DeviceID, t fleet.ActionType) *fleet.Action {
	w.t.Helper()
	d, err := w.Appliance.fleet.Device(w.t.Context(), w.Actor, id)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.Appliance.fleet.Act(w.t.Context(), w.Actor, id, t, fleet.ActionOptions{}, d.Name)
	if err != nil {
		w.t.Fatalf("%s: %v", t, err)
	}
	return a
}

// state of a device in our eyes.
func (w *androids) state(id fleet.DeviceID) fleet.State {
	d, err := w.Appliance.fleet.Device(w.t.Context(), w.Actor, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.State
}

// profile makes a profile for everybody's devices.
func (w *androids) profile(t fleet.ProfileType, name, settings string) *fleet.Profile {
	w.t.Helper()
	f := w.Appliance.fleet
	p, err := f.CreateProfile(w.t.Context(), w.Actor, fleet.ProfileInput{Type: t, Name: &name, Platforms: &[]fleet.Platform{fleet.Android}, Settings: []byte(settings)})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := f.Assign(w.t.Context(), w.Actor, p.ID, []fleet.Assignment{{To: fleet.ToAllDevices}, {To: fleet.ToAllPeople}}, false); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// The whole way of a personal phone: invitation, work profile, Gmail, retirement, receipt.
func TestAndroidWorkProfileFromInvitationToReceipt(t *testing.T) {
	w := newAndroids(t)
	w.profile(fleet.TypeEmail, "Office mail on Androids", `{"account":"exchange","host":"mail.noordhaven.example"}`)
	w.profile(fleet.TypePasscode, "Password of the work profile", `{"min_length":4}`)
	phone, id := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 1, Password: "2580"})
	want := []string{"Office mail on Androids", "Password of the work profile"}
	w.eventually("the work profile's settings have arrived", func() bool {
		got := w.succeeded(id)
		return slices.Contains(got, want[0]) && slices.Contains(got, want[1])
	})
	state := phone.State()
	if len(state.Mail) != 1 || state.Mail[0].Address != "anna@noordhaven.example" {
		t.Errorf("mail on the phone: %+v", state.Mail)
	}
	if state.Mode != sim.AndroidWorkProfile || !strings.HasSuffix(state.PolicyName, strings.ToLower(string(w.enrolment(id)))) {
		t.Errorf("mode %q, policy %q", state.Mode, state.PolicyName)
	}
	for _, s := range w.statuses(id) {
		if s.Status == fleet.StatusSucceeded && s.Evidence.None() {
			t.Errorf("%s has arrived without evidence", s.Name)
		}
	}
	if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActWipe, fleet.ActionOptions{}, "x"); err == nil {
		t.Error("a personal phone can be wiped")
	}
	w.act(id, fleet.ActRetire)
	w.eventually("the work profile is gone", func() bool { return w.state(id) == fleet.Retired })
	if s := phone.State(); s.Enrolled || s.Wiped != "work profile removed" || s.Resets != 0 {
		t.Errorf("the phone: enrolled %v, %q, %d resets", s.Enrolled, s.Wiped, s.Resets)
	}
	receipt := w.receipt(id)
	if receipt.Outcome != "proved" {
		t.Errorf("receipt is %q: %+v", receipt.Outcome, receipt.Rows)
	}
	for _, row := range receipt.Rows {
		if row.Proved == "not-proved" || row.Proved == "proved" && len(row.Evidence) == 0 {
			t.Errorf("row %s: %s with evidence %v", row.Data, row.Proved, row.Evidence)
		}
	}
	for _, c := range w.google.Complaints() {
		t.Errorf("Google complains: %s", c)
	}
}

// enrolment of a device.
func (w *androids) enrolment(id fleet.DeviceID) fleet.EnrolmentID {
	d, err := w.Appliance.fleet.Device(w.t.Context(), w.Actor, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Enrolment
}
