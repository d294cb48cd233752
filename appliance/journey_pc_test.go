package appliance

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// The whole way of a PC, through the pages that its person sees: invitation, code, profiles, retirement, receipt, and refusal afterwards.
func TestPCFromInvitationToReceipt(t *testing.T) {
	w := newWorld(t)
	f := w.Appliance.fleet
	name := "Office mail on PCs"
	mail, err := f.CreateProfile(t.Context(), w.Actor, fleet.ProfileInput{Type: fleet.TypeEmail, Name: &name, Platforms: &[]fleet.Platform{fleet.Windows},
		Settings: []byte(`{"account":"exchange","host":"mail.noordhaven.example"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Assign(t.Context(), w.Actor, mail.ID, []fleet.Assignment{{To: fleet.ToAllPeople}}, false); err != nil {
		t.Fatal(err)
	}
	link := w.invitation("Carla", fleet.Windows, fleet.Corporate, 1)
	pc, id := w.pc(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 5}, link)

	want := []string{"Mail identity", "Office mail on PCs", "Office root certificate", "Passcode"}
	w.eventually("the PC's profiles have arrived", func() bool { return slices.Equal(w.succeeded(id), want) })
	for _, name := range want {
		if w.statuses(id)[name].Evidence.None() {
			t.Errorf("profile %q has arrived without evidence", name)
		}
	}
	state := pc.State()
	if !slices.Contains(state.MailAccounts, "carla@noordhaven.example") || len(state.Roots) == 0 || len(state.Certificates) != 1 {
		t.Errorf("mail %q, %d roots, %d identities", state.MailAccounts, len(state.Roots), len(state.Certificates))
	}
	if got := state.Policies["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"]; got != "6" {
		t.Errorf("the least length of a password is %q: %v", got, state.Policies)
	}
	if state.UPN != "carla@noordhaven.example" {
		t.Errorf("enrolled as %q", state.UPN)
	}
	for _, text := range []string{"Noordhaven Architecten", "Windows PC"} {
		if !strings.Contains(state.TermsRead, text) {
			t.Errorf("the page that was accepted does not say %q: %s", text, state.TermsRead)
		}
	}

	session := pc.Identity()
	if _, err := f.Act(t.Context(), w.Actor, id, fleet.ActRetire, fleet.ActionOptions{}, "CARLA-LAPTOP"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the PC has left management", func() bool { return !pc.State().Enrolled })
	receipt := w.receipt(id)
	if receipt.Outcome != "proved" {
		t.Errorf("receipt is %q, want proved: %+v", receipt.Outcome, receipt.Rows)
	}
	for _, row := range receipt.Rows {
		if row.Proved == "not-proved" || (row.Proved == "proved" && len(row.Evidence) == 0) {
			t.Errorf("row %s: %s with evidence %v", row.Data, row.Proved, row.Evidence)
		}
	}
	left := pc.State()
	if len(left.MailAccounts) > 0 || len(left.Certificates) > 0 || len(left.Roots) > 0 {
		t.Errorf("company data left on the PC: %q %+v %+v", left.MailAccounts, left.Certificates, left.Roots)
	}
	if _, err := f.Identify(t.Context(), session); err == nil {
		t.Error("the retired PC's certificate is still taken for an identity")
	}
	if err := pc.Enrol(t.Context(), link); err == nil {
		t.Error("the used invitation lets the retired PC in again")
	}
	for _, c := range left.Complaints {
		t.Errorf("the PC complains: %s", c)
	}
}

// pc enrols a simulated PC with an invitation and returns it with its id; it lives until the test ends.
func (w *world) pc(o sim.WindowsOptions, link string) (*sim.Windows, fleet.DeviceID) {
	w.t.Helper()
	o.Roots, o.Poll = w.roots, 300*time.Millisecond
	pc := sim.NewWindows(o)
	if err := pc.Enrol(w.t.Context(), link); err != nil {
		w.t.Fatalf("enrolling: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); pc.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	d, err := w.Appliance.fleet.DeviceByHardware(w.t.Context(), strings.ToUpper(pc.State().DeviceID))
	if err != nil {
		w.t.Fatal(err)
	}
	return pc, d.ID
}

// succeeded names the profiles that have arrived on a device, in order.
func (w *world) succeeded(id fleet.DeviceID) []string {
	w.t.Helper()
	var names []string
	for name, s := range w.statuses(id) {
		if s.Status == fleet.StatusSucceeded {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
