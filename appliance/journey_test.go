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
