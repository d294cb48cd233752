package appliance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// newWorldWithGoogle is a world that would reach the stand-in for Google, with nothing set up.
func newWorldWithGoogle(t *testing.T, change func(*Config)) (*world, *sim.Google) {
	t.Helper()
	google, err := sim.NewGoogle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { google.Close() })
	return newWorldWith(t, t.TempDir(), func(c *Config) {
		c.Google = GoogleService{Management: google.URL(), PubSub: google.PubSubURL(), Roots: google.Roots(), PollEvery: 200 * time.Millisecond, Backoff: 5 * time.Millisecond, Rate: 500}
		change(c)
	}), google
}

// newAndroidsWith leaves notifications away where they are not wanted: devices are then looked over.
func newAndroidsWith(t *testing.T, notified bool, change func(*Config)) *androids {
	t.Helper()
	w := &androids{}
	w.world, w.google = newWorldWithGoogle(t, change)
	google := w.google
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

// managed waits until a device has reported for the first time: it can be told things from then on.
func (w *androids) managed(id fleet.DeviceID) {
	w.t.Helper()
	w.eventually("the device has reported", func() bool {
		d, err := w.Appliance.fleet.Device(w.t.Context(), w.Actor, id)
		if err != nil {
			w.t.Fatal(err)
		}
		return d.State == fleet.Managed
	})
}

// act orders an action, confirmed by name.
func (w *androids) act(id fleet.DeviceID, t fleet.ActionType) *fleet.Action {
	w.t.Helper()
	if t != fleet.ActRetire && t != fleet.ActWipe && t != fleet.ActDelete {
		w.managed(id)
	}
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

// Company devices: what each mode can be told, and how each leaves.
func TestAndroidCompanyDevices(t *testing.T) {
	w := newAndroids(t)
	f := w.Appliance.fleet
	w.profile(fleet.TypePersonalUse, "Personal side", `{"camera":false,"days_off":7}`)
	w.profile(fleet.TypeKiosk, "Front desk", `{"app":"com.example.kiosk"}`)
	w.profile(fleet.TypeApp, "Scanner", `{"kind":"play","package":"com.microsoft.teams"}`)
	w.profile(fleet.TypeApp, "On request", `{"kind":"play","package":"com.whatsapp","install":"available"}`)
	w.profile(fleet.TypeApp, "Not here", `{"kind":"play","package":"com.example.game","install":"blocked"}`)
	shared, sharedID := w.phone("Bram", fleet.ModeCompanyWorkProfile, sim.AndroidOptions{Seed: 11, Password: "2580"})
	managed, managedID := w.phone("Carla", fleet.ModeFullyManaged, sim.AndroidOptions{Seed: 12, Password: "2580"})
	kiosk, kioskID := w.phone("", fleet.ModeKiosk, sim.AndroidOptions{Seed: 13})
	for id, name := range map[fleet.DeviceID]string{sharedID: "Personal side", kioskID: "Front desk"} {
		w.eventually(name+" has arrived", func() bool {
			return slices.Contains(w.succeeded(id), name) || w.statuses(id)[name].Status == fleet.StatusPending
		})
	}
	if s := w.statuses(managedID)["Personal side"]; s.Status != fleet.StatusNotApplicable {
		t.Errorf("rules for a personal side on a device without one: %s", s.Status)
	}
	for _, id := range []fleet.DeviceID{sharedID, managedID, kioskID} {
		w.managed(id)
	}
	for id, refused := range map[fleet.DeviceID][]fleet.ActionType{sharedID: {fleet.ActRestart}, managedID: {fleet.ActRetire}, kioskID: {fleet.ActRetire}} {
		choices, err := f.ActionChoices(t.Context(), w.Actor, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range choices {
			if c.Offered == slices.Contains(refused, c.Type) || c.Reason.Code == "" {
				t.Errorf("%s on %s: offered %v, %q", c.Type, id, c.Offered, c.Reason.Code)
			}
		}
	}

	lock := w.act(managedID, fleet.ActLock)
	w.eventually("the device is locked", func() bool { return managed.State().Locks == 1 && w.action(lock.ID).State == fleet.ActionDone })
	reset := w.act(managedID, fleet.ActClearPasscode)
	pin, err := f.RevealPIN(t.Context(), w.Actor, reset.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("it has the new password", func() bool { return managed.State().Password == pin && w.action(reset.ID).State == fleet.ActionDone })
	restart := w.act(managedID, fleet.ActRestart)
	w.eventually("it was restarted", func() bool { return managed.State().Reboots == 1 && w.action(restart.ID).State == fleet.ActionDone })

	phones := map[fleet.DeviceID]*sim.Android{sharedID: shared, managedID: managed, kioskID: kiosk}
	clear := func(id fleet.DeviceID, app string) (*fleet.Action, error) {
		return f.Act(t.Context(), w.Actor, id, fleet.ActClearApp, fleet.ActionOptions{App: app}, "")
	}
	for id, list := range map[fleet.DeviceID][]string{managedID: {"", "com.example.game", "com.example.stranger"}, kioskID: {""}} {
		for _, app := range list {
			if _, err := clear(id, app); !errors.Is(err, fleet.ErrInvalid) {
				t.Errorf("clearing the data of %q: %v", app, err)
			}
		}
	}
	for id, app := range map[fleet.DeviceID]string{sharedID: "com.microsoft.teams", managedID: "com.microsoft.teams", kioskID: "com.example.kiosk"} {
		w.eventually(app+" is installed", func() bool {
			_, there := phones[id].State().Apps[app]
			return there
		})
		a, err := clear(id, app)
		if err != nil {
			t.Fatal(err)
		}
		w.eventually("the data of "+app+" are cleared", func() bool { return w.action(a.ID).State == fleet.ActionDone })
	}
	absent, err := clear(managedID, "com.whatsapp")
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("clearing what is not there fails with the reason", func() bool {
		a := w.action(absent.ID)
		return a.State == fleet.ActionFailed && a.Reason.Code == "android.clear-app.absent"
	})
	if n := managed.State().Cleared["com.microsoft.teams"]; n != 1 {
		t.Errorf("data cleared %d times", n)
	}

	w.act(sharedID, fleet.ActRetire)
	w.act(managedID, fleet.ActWipe)
	w.act(kioskID, fleet.ActDelete)
	w.eventually("the work profile was given up", func() bool { return w.state(sharedID) == fleet.Retired })
	w.eventually("the device was reset", func() bool { return w.state(managedID) == fleet.Wiped })
	w.eventually("the kiosk is gone from the list", func() bool {
		_, err := f.Device(t.Context(), w.Actor, kioskID)
		return err != nil
	})
	if s := shared.State(); s.Enrolled || s.Resets != 0 {
		t.Errorf("a device given up: enrolled %v, %d resets", s.Enrolled, s.Resets)
	}
	for _, phone := range []*sim.Android{managed, kiosk} {
		if s := phone.State(); s.Enrolled || s.Resets != 1 {
			t.Errorf("%s: enrolled %v, %d resets", s.Model, s.Enrolled, s.Resets)
		}
	}
	for _, id := range []fleet.DeviceID{sharedID, managedID, kioskID} {
		if r := w.receipt(id); r.Outcome != "proved" {
			t.Errorf("receipt of %s is %q: %+v", r.Name, r.Outcome, r.Rows)
		}
	}
	for _, c := range w.google.Complaints() {
		t.Errorf("Google complains: %s", c)
	}
}

// action reads an action.
func (w *androids) action(id fleet.ActionID) *fleet.Action {
	w.t.Helper()
	a, err := w.Appliance.fleet.Action(w.t.Context(), w.Actor, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// Trouble at Google holds things up and loses nothing: without notifications, with quota errors, broken answers, a token that ended, an
// answer that was lost after the deed, no network at all, and a restart of ours in between.
func TestAndroidThroughTrouble(t *testing.T) {
	w := newAndroidsWith(t, false, func(*Config) {})
	phone, id := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 21, Password: "2580"})
	w.google.Answer(1, sim.GoogleTrouble{Path: "PATCH", Status: 429, RetryAfter: 0})
	w.google.Answer(2, sim.GoogleTrouble{Path: "PATCH", Status: 502, HTML: true})
	w.google.Answer(1, sim.GoogleTrouble{Path: "/policies/", Status: 503, After: true})
	w.google.ExpireTokens()
	w.profile(fleet.TypeEmail, "Mail through trouble", `{"account":"exchange","host":"mail.noordhaven.example"}`)
	w.eventually("the mail arrives all the same", func() bool { return slices.Contains(w.succeeded(id), "Mail through trouble") })

	phone.SetOffline(true)
	last, since := -1, 0
	w.eventually("nobody has asked for the phone for three looks at all devices", func() bool { // else the lock may go with a turn that is under way
		n := w.google.Counts().Methods
		if n["enterprises.devices.get"] != last {
			last, since = n["enterprises.devices.get"], n["enterprises.devices.list"]
		}
		return n["enterprises.devices.list"] >= since+3
	})
	w.google.Unreachable(true)
	lock := w.act(id, fleet.ActLock)
	w.eventually("what hinders it can be seen", func() bool {
		s, err := w.Appliance.fleet.Standing(t.Context(), w.Actor, id)
		return err == nil && s.Reason.Code == "android.google-unreachable"
	})
	w.restart()
	w.google.Unreachable(false)
	phone.SetOffline(false)
	w.eventually("the lock is carried out once", func() bool { return w.action(lock.ID).State == fleet.ActionDone })
	if n := phone.State().Locks; n != 1 {
		t.Errorf("locked %d times", n)
	}

	w.google.Answer(1, sim.GoogleTrouble{Path: ":issueCommand", Status: 500, After: true}) // it was sent, and nobody heard
	lock = w.act(id, fleet.ActLock)
	w.eventually("a lost answer is found again", func() bool { return w.action(lock.ID).State == fleet.ActionDone })
	if n := phone.State().Locks; n != 2 {
		t.Errorf("locked %d times, want twice: a command was sent again that had been taken", n)
	}

	acc, err := w.Appliance.fleet.Google(t.Context(), w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	w.google.Answer(1, sim.GoogleTrouble{Path: "POST /v1/" + acc.Enterprise + "/webApps", Status: 500, After: true}) // it was made, and nobody heard
	link := w.profile(fleet.TypeWebLink, "House pages", `{"label":"House","url":"https://house.example.org/"}`)
	linked := func(says string) bool {
		for pkg, app := range w.google.WebApps() {
			if a, there := phone.State().Apps[pkg]; there && app == says+" https://house.example.org/" && len(w.google.WebApps()) == 1 {
				return a.Title != ""
			}
		}
		return false
	}
	w.eventually("the link is an app of the work profile, made once", func() bool { return linked("House") && slices.Contains(w.succeeded(id), "House pages") })
	if _, err := w.Appliance.fleet.UpdateProfile(t.Context(), w.Actor, link.ID, fleet.ProfileInput{Settings: []byte(`{"label":"Our house","url":"https://house.example.org/"}`)}); err != nil {
		t.Fatal(err)
	}
	w.eventually("its new title is with Google, and the phone has said so", func() bool {
		row := w.statuses(id)["House pages"]
		return linked("Our house") && row.Version == 2 && row.Status == fleet.StatusSucceeded
	})

	// As after an older backup was restored: it knows a web app that is gone from Google, and not one that was made since.
	w.google.LoseWebApps()
	w.eventually("a web app that Google has no longer is made anew", func() bool { return linked("Our house") })
	w.google.MakeWebApp(acc.Enterprise, "Menu", "https://menu.example.org/")
	left := func() string {
		checks, err := w.Appliance.android.Check(t.Context(), w.Actor)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if c.Code == "web-apps" && c.State == "warn" {
				return c.Reason.Args["titles"]
			}
		}
		return ""
	}
	w.eventually("a web app that nothing stands behind is named", func() bool { return left() == "Menu" })
	menu := w.profile(fleet.TypeWebLink, "Menu", `{"label":"Menu","url":"https://menu.example.org/"}`)
	w.eventually("a link of its title and address takes it over", func() bool {
		return slices.Contains(w.succeeded(id), "Menu") && len(w.google.WebApps()) == 2 && left() == ""
	})
	if err := w.Appliance.fleet.Assign(t.Context(), w.Actor, menu.ID, nil, false); err != nil {
		t.Fatal(err)
	}
	if err := w.Appliance.fleet.DeleteProfile(t.Context(), w.Actor, menu.ID); err != nil {
		t.Fatal(err)
	}
	w.eventually("and goes with it", func() bool { return len(w.google.WebApps()) == 1 && linked("Our house") })
	if err := w.Appliance.fleet.Assign(t.Context(), w.Actor, link.ID, nil, false); err != nil {
		t.Fatal(err)
	}
	w.eventually("the app is off the phone", func() bool { return !linked("Our house") })
	if err := w.Appliance.fleet.DeleteProfile(t.Context(), w.Actor, link.ID); err != nil {
		t.Fatal(err)
	}
	w.eventually("and then gone from Google", func() bool { return len(w.google.WebApps()) == 0 })
}

// Notifications come twice, out of order, or not at all. A person removes the work profile by themselves, which nobody is told; when they enrol
// anew, the former life is closed with a receipt.
func TestAndroidNotificationsAndFarewell(t *testing.T) {
	w := newAndroids(t)
	w.google.Change(func(c *sim.GoogleConditions) {
		c.Duplicated, c.Shuffled, c.Oddities, c.NotModified = true, true, true, true
	})
	w.profile(fleet.TypePasscode, "Password first", `{"min_length":4}`)
	phone, id := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 31, Mood: sim.AndroidMood{RefusesPassword: true}})
	w.eventually("it waits for the person", func() bool { return w.statuses(id)["Password first"].Status == fleet.StatusWaitsPerson })
	if r := w.statuses(id)["Password first"].Reason.Code; r != "android.not.password" {
		t.Errorf("the reason is %q", r)
	}
	phone.SetPassword("97531")
	w.eventually("the password meets the rules", func() bool { return w.statuses(id)["Password first"].Status == fleet.StatusSucceeded })
	gaps, err := w.Appliance.fleet.FactGaps(t.Context(), w.Actor, id)
	if err != nil || !slices.ContainsFunc(gaps, func(g fleet.FactGap) bool {
		return g.Key == fleet.FactWiFiMAC && g.Reason.Code == "android.gap.personal-12"
	}) {
		t.Errorf("gaps: %+v, %v", gaps, err)
	}

	first := w.enrolment(id)
	if err := phone.RemoveWorkProfile(t.Context()); err != nil {
		t.Fatal(err)
	}
	entry, err := w.Appliance.android.NewEntry(t.Context(), w.ticket("Anna", fleet.ModeWorkProfile))
	if err != nil {
		t.Fatal(err)
	}
	if err := phone.EnrolToken(t.Context(), entry.Token); err != nil {
		t.Fatal(err)
	}
	w.eventually("the phone has a new life", func() bool { return w.state(id) == fleet.Managed && w.enrolment(id) != first })
	l, err := w.Appliance.fleet.Receipts(t.Context(), w.Actor, id, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(l.Items, func(r *fleet.Receipt) bool { return r.Enrolment == first && r.Closed != nil }) {
		t.Errorf("no receipt of the first life among %d", len(l.Items))
	}
}

// What is said of a device besides its profiles reaches it at once, as a profile does: a switch for optional facts, and sync expiry. The device itself
// carries out what it can of that, also without contact, and the rule's page says no more than it does.
func TestAndroidFrameAndExpiry(t *testing.T) {
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w := newAndroidsWith(t, false, func(c *Config) { c.Clock = clock })
	w.google.SetClock(clock)
	f := w.Appliance.fleet
	set := func(on bool) {
		t.Helper()
		s, err := f.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Switches = map[string]bool{fleet.SwitchPhoneNumber: on, fleet.SwitchNetworkUse: on}
		if _, err := f.SaveSettings(t.Context(), w.Actor, *s); err != nil {
			t.Fatal(err)
		}
	}
	untold, _ := w.phone("Bram", fleet.ModeFullyManaged, sim.AndroidOptions{Seed: 53, Password: "258036"})
	set(true)
	w.profile(fleet.TypePasscode, "Password first", `{"min_length":6}`)
	told, toldID := w.phone("Carla", fleet.ModeCompanyWorkProfile, sim.AndroidOptions{Seed: 52, Password: "258036"})
	phone, _ := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 51, Mood: sim.AndroidMood{RefusesPassword: true}})
	asks := func() any {
		reports, _ := phone.State().Policy["statusReportingSettings"].(map[string]any)
		return reports["networkInfoEnabled"]
	}
	wipes := func() string {
		return fmt.Sprint(phone.State().Policy["policyEnforcementRules"])
	}
	w.eventually("the accepted switch counts, and work is blocked", func() bool { return asks() == true && phone.State().Blocked })
	if !strings.Contains(wipes(), "wipeAfterDays:30") {
		t.Errorf("without sync expiry: %s", wipes())
	}
	c := w.administrator()
	logs := func(d *sim.Android) bool { return d.State().Policy["usageLog"] != nil }
	known := func() string {
		facts, err := f.Facts(t.Context(), w.Actor, toldID)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(facts)
	}
	w.eventually("the company phone has what is wanted of it", func() bool { return slices.Contains(w.succeeded(toldID), "Password first") })
	if logs(told) {
		t.Error("the network log is on where nothing could bring it here")
	}
	if _, err := w.Appliance.android.Connect(t.Context(), w.Actor, fleet.GoogleInput{Kind: fleet.GoogleOwn, Topic: "projects/" + w.google.Project() + "/topics/muster", Subscription: "projects/" + w.google.Project() + "/subscriptions/muster"}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the network log is on where its person was told, as soon as notifications are", func() bool { return logs(told) })
	if logs(untold) || logs(phone) {
		t.Error("the network log is on where nobody was told, or on a personal phone")
	}
	_, code, err := f.Invite(t.Context(), w.Actor, fleet.InvitationInput{Platform: fleet.Android, Mode: fleet.ModeKiosk, Ownership: fleet.Corporate})
	if err != nil {
		t.Fatal(err)
	}
	if _, body := w.read(c, "/enroll/"+code); !strings.Contains(body, `data-notice="network"`) || !strings.Contains(body, "How often which app used the network") {
		t.Error("the enrolment page does not tell of the network log")
	}
	told.Visit("com.android.chrome", "secret.example", 443)
	_ = told.Sync(t.Context())
	w.eventually("the use of the network is counted", func() bool { return strings.Contains(known(), "com.android.chrome: 1") })
	if strings.Contains(known(), "secret") || strings.Contains(known(), "192.0.2.80") {
		t.Error("it is kept with whom an app spoke")
	}
	acc, err := f.Google(t.Context(), w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	batch := func(times ...string) []byte { // as a message that is delivered again after a restart: nothing in memory knows it
		text := ""
		for _, at := range times {
			text += fmt.Sprintf(`,{"eventType":"CONNECT","eventTime":%q,"connectEvent":{"packageName":"com.android.chrome"}}`, clock().UTC().Add(-time.Minute).Format("2006-01-02T15:04:")+at)
		}
		return []byte(fmt.Sprintf(`{"device":%q,"usageLogEvents":[%s]}`, told.State().Name, text[1:]))
	}
	first, second := batch("01Z", "02Z"), batch("03Z")
	for _, data := range [][]byte{first, first, second, first} {
		w.google.Post(acc.Enterprise, "USAGE_LOGS", data)
	}
	w.eventually("batches that come again count once", func() bool {
		return strings.Contains(known(), "com.android.chrome: 4") && w.google.Unacknowledged() == 0
	})
	set(false)
	w.eventually("the switch reaches the phone though no profile changed", func() bool { return asks() == false && !logs(told) })
	w.eventually("what may be kept no longer is gone", func() bool { return !strings.Contains(known(), "com.android.chrome: ") })

	rule, err := f.CreateStaleRule(t.Context(), w.Actor, fleet.StaleRuleInput{Kind: fleet.SyncExpiry, Name: new("A week"), Days: new(7)})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("sync expiry reaches the phone", func() bool { return strings.Contains(wipes(), "wipeAfterDays:7") })
	_, body := w.read(c, "/rules/"+string(rule.ID))
	for _, says := range []string{"removes the work profile after 7 days, also without contact", "erase itself any sooner than the usual 300 days", "only a factory reset could remove it", "Android, kiosk"} {
		if !strings.Contains(body, says) {
			t.Errorf("the rule's page does not say %q", says)
		}
	}
	phone.SetOffline(true)
	ahead.Store(int64(8 * 24 * time.Hour))
	_ = phone.Sync(t.Context()) // it finds no network, and looks at its clock
	if s := phone.State(); s.Enrolled || s.Wiped != "work profile removed" {
		t.Errorf("after a week without contact: enrolled %v, %q", s.Enrolled, s.Wiped)
	}
	for _, complaint := range w.google.Complaints() {
		t.Errorf("Google complains: %s", complaint)
	}
}

// Google drops a command for a device that stays off, and tells nobody: it is seen by the clock and sent again, and the device obeys once.
func TestAndroidCommandRunsOut(t *testing.T) {
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w := newAndroidsWith(t, false, func(c *Config) { c.Clock = clock })
	w.google.SetClock(clock)
	phone, id := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 41, Password: "2580"})
	w.eventually("the phone is managed", func() bool { return w.state(id) == fleet.Managed })
	issued := func() int { return w.google.Counts().Methods["enterprises.devices.issueCommand"] }
	phone.SetOffline(true)
	lock := w.act(id, fleet.ActLock)
	w.eventually("the command is with Google", func() bool { return issued() == 1 && w.action(lock.ID).State == fleet.ActionAcknowledged })
	ahead.Store(int64(70 * time.Minute))
	w.eventually("it ran out and was sent again", func() bool { return issued() == 2 })
	phone.SetOffline(false)
	w.eventually("the phone is locked", func() bool { return w.action(lock.ID).State == fleet.ActionDone })
	if n := phone.State().Locks; n != 1 {
		t.Errorf("locked %d times", n)
	}
}
