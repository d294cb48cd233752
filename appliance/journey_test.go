package appliance

import (
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// The thinnest whole way: an invitation, a phone, its profiles, an action, retirement, a receipt, and refusal afterwards.
func TestPhoneFromInvitationToReceipt(t *testing.T) {
	w := newWorld(t)
	phone, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Anna's iPhone", Seed: 1, Passcode: "482913"}, "Anna", fleet.Corporate)
	w.settle(id, fleet.StatusSucceeded)

	state := phone.State()
	if len(state.Complaints) > 0 {
		t.Errorf("the phone complains: %q", state.Complaints)
	}
	var mail *sim.Account
	for i := range state.Accounts {
		if state.Accounts[i].Address == "anna@noordhaven.example" {
			mail = &state.Accounts[i]
		}
	}
	if mail == nil {
		t.Fatalf("no mail account for Anna: %+v", state.Accounts)
	}
	for name, s := range w.statuses(id) {
		if s.Evidence.None() {
			t.Errorf("profile %q is %s without evidence", name, s.Status)
		}
	}

	if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActLock, fleet.ActionOptions{Message: "Found? Please call."}, ""); err != nil {
		t.Fatal(err)
	}
	w.eventually("the phone is locked", func() bool { return phone.State().Locked })

	if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActRetire, fleet.ActionOptions{}, "Anna's iPhone"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the phone has left management", func() bool { return !phone.State().Enrolled })
	receipt := w.receipt(id)
	if receipt.Outcome != "proved" {
		t.Errorf("receipt is %q, want proved: %+v", receipt.Outcome, receipt.Rows)
	}
	for _, row := range receipt.Rows {
		if row.Proved == "not-proved" || (row.Proved == "proved" && len(row.Evidence) == 0) {
			t.Errorf("row %s: %s with evidence %v", row.Data, row.Proved, row.Evidence)
		}
	}
	if left := phone.State(); len(left.Profiles) > 0 || len(left.Accounts) > 0 || len(left.Certificates) > 0 {
		t.Errorf("company data left on the phone: %+v %+v %+v", left.Profiles, left.Accounts, left.Certificates)
	}
	if why := phone.State().EndedBecause; !strings.Contains(why, "RemoveProfile") && why == "" {
		t.Errorf("management ended because %q", why)
	}
}

// receipt waits until a device's newest receipt is closed.
func (w *world) receipt(id fleet.DeviceID) *fleet.Receipt {
	w.t.Helper()
	var newest *fleet.Receipt
	w.eventually("a closed receipt", func() bool {
		l, err := w.Appliance.fleet.Receipts(w.t.Context(), w.Actor, id, fleet.ListQuery{Limit: 1})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(l.Items) == 0 || l.Items[0].Closed == nil {
			return false
		}
		newest = l.Items[0]
		return true
	})
	return newest
}

// A new name installs nothing anew; new settings do, in place, and nobody is asked for a password (P30, P70).
func TestEditReachesThePhoneOnce(t *testing.T) {
	w := newWorld(t)
	phone, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Bram's iPhone", Seed: 2, Passcode: "482913"}, "Bram", fleet.Corporate)
	w.settle(id, fleet.StatusSucceeded)
	mail := w.statuses(id)["Office mail"].Profile
	before := phone.State()

	name := "Mail at the office"
	if _, err := w.Appliance.fleet.UpdateProfile(t.Context(), w.Actor, mail, fleet.ProfileInput{Name: &name}); err != nil {
		t.Fatal(err)
	}
	w.sync(phone, id)
	if n := installs(phone.State()) - installs(before); n != 0 {
		t.Errorf("a new name led to %d installations", n)
	}

	p, err := w.Appliance.fleet.Profile(t.Context(), w.Actor, mail)
	if err != nil {
		t.Fatal(err)
	}
	settings := strings.Replace(string(p.Settings), `"days":7`, `"days":14`, 1)
	if _, err := w.Appliance.fleet.UpdateProfile(t.Context(), w.Actor, mail, fleet.ProfileInput{Settings: []byte(settings)}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the new version", func() bool {
		s := w.statuses(id)[name]
		return s.Version == 3 && s.Status == fleet.StatusSucceeded && installs(phone.State()) > installs(before)
	})
	after := phone.State()
	if n := installs(after) - installs(before); n != 1 {
		t.Errorf("%d installations for one change", n)
	}
	if after.Prompts != before.Prompts {
		t.Errorf("the person was asked for a password: %q", after.PromptLog)
	}
	if len(after.Complaints) > 0 {
		t.Errorf("the phone complains: %q", after.Complaints)
	}
}

// sync orders a contact and waits until the device has answered what it was asked.
func (w *world) sync(d *sim.Apple, id fleet.DeviceID) {
	w.t.Helper()
	a, err := w.Appliance.fleet.Act(w.t.Context(), w.Actor, id, fleet.ActSync, fleet.ActionOptions{}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually("the synchronisation is done", func() bool {
		got, err := w.Appliance.fleet.Action(w.t.Context(), w.Actor, a.ID)
		return err == nil && got.State == fleet.ActionDone
	})
}

func installs(s sim.State) int {
	n := 0
	for _, c := range s.Commands {
		if c.Type == "InstallProfile" {
			n++
		}
	}
	return n
}

// A Mac: mail waits for somebody to log in and then goes over the user channel; a wipe with a PIN ends it.
func TestMacWaitsForItsPerson(t *testing.T) {
	w := newWorld(t)
	mac, id := w.device(sim.Options{Kind: sim.Mac, Name: "Eva's MacBook", Seed: 3}, "Eva", fleet.Corporate)
	w.eventually("mail waits for the person", func() bool { return w.statuses(id)["Office mail"].Status == fleet.StatusWaitsPerson })
	if s := w.statuses(id)["Office mail"]; s.Reason.Code != "waiting.person-login" {
		t.Errorf("reason %q", s.Reason.Code)
	}
	if err := mac.UserLogsIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.settle(id, fleet.StatusSucceeded)
	if accounts := mac.State().Accounts; len(accounts) != 1 || accounts[0].Address != "eva@noordhaven.example" {
		t.Errorf("accounts %+v", accounts)
	}
	if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActWipe, fleet.ActionOptions{PIN: "135790"}, "Eva's MacBook"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the Mac is wiped", func() bool { return mac.State().Wiped })
	if r := w.receipt(id); r.Outcome != "proved" {
		t.Errorf("receipt %q: %+v", r.Outcome, r.Rows)
	}
	for _, c := range mac.State().Complaints {
		t.Errorf("the Mac complains: %s", c)
	}
}

// Everything stays through a restart: the phone carries on, and what was ordered meanwhile reaches it.
func TestRestartInBetween(t *testing.T) {
	w := newWorld(t)
	phone, id := w.device(sim.Options{Kind: sim.IPad, Name: "Carla's iPad", Seed: 4, Mood: sim.Mood{NotNow: 3, LosesAnswers: 2}}, "Carla", fleet.Corporate)
	w.restart()
	w.settle(id, fleet.StatusSucceeded)
	if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActRetire, fleet.ActionOptions{}, "Carla's iPad"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.eventually("the iPad has left", func() bool { return !phone.State().Enrolled })
	if r := w.receipt(id); r.Outcome != "proved" {
		t.Errorf("receipt %q", r.Outcome)
	}
}
