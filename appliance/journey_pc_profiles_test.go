package appliance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/pki"
)

// Every type that a PC can be given: delivered, read back, changed, taken away again, and gone with a receipt when the PC is retired.
func TestPCGetsEveryType(t *testing.T) {
	w := newWorld(t)
	f := w.Appliance.fleet
	made := map[string]*fleet.Profile{}
	give := func(typ fleet.ProfileType, name string, settings map[string]any) {
		t.Helper()
		raw, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.CreateProfile(t.Context(), w.Actor, fleet.ProfileInput{Type: typ, Name: &name, Platforms: &[]fleet.Platform{fleet.Windows}, Settings: raw})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := f.Assign(t.Context(), w.Actor, p.ID, []fleet.Assignment{{To: fleet.ToAllPeople}}, false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		made[name] = p
	}
	var root, identity fleet.ProfileID
	list, err := f.Profiles(t.Context(), w.Actor, fleet.ListQuery{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		switch p.Name {
		case "Office root certificate":
			root = p.ID
		case "Mail identity":
			identity = p.ID
		}
	}
	// Any file will do: the simulated PC checks its hash, as Windows does, and has no installer to run.
	file := w.Appliance.pki.Issuing().Raw
	sum := sha256.Sum256(file)
	program := map[string]any{"product_code": "23170F69-40C1-2702-2408-000001000000", "version": "24.08.00", "url": w.Appliance.config.URL + pki.IssuerPath, "sha256": hex.EncodeToString(sum[:])}
	give(fleet.TypeEmail, "Office mail on PCs", map[string]any{"account": "exchange", "host": "mail.noordhaven.example"})
	give(fleet.TypeWiFi, "Office Wi-Fi", map[string]any{"ssid": "Noordhaven", "security": "enterprise", "eap": "tls", "identity": identity, "root": root, "server_names": "radius.noordhaven.example"})
	give(fleet.TypeWiFi, "Guest Wi-Fi", map[string]any{"ssid": "Gäste / 1", "security": "personal", "password": "correct horse battery"})
	give(fleet.TypeVPN, "Head office", map[string]any{"server": "vpn.noordhaven.example", "sign_in": "certificate", "identity": identity, "root": root})
	give(fleet.TypeRestrictions, "Limits", map[string]any{"no_camera": true, "pc_defer_quality": 3})
	give(fleet.TypeApp, "7-Zip", program)
	give(fleet.TypeIdentity, "Packed identity", map[string]any{"root": root, "delivery": "pkcs12"})
	give(fleet.TypeCustom, "Updates", map[string]any{"windows_nodes": "./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 1"})

	pc, id := w.pc(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 7}, w.invitation("Carla", fleet.Windows, fleet.Corporate, 1))
	all := []string{"Mail identity", "Office root certificate", "Passcode"}
	for name := range made {
		all = append(all, name)
	}
	slices.Sort(all)
	w.eventually("half of it has arrived", func() bool { return len(w.succeeded(id)) > len(all)/2 })
	w.eventually("all that a PC can be given has arrived", func() bool { return slices.Equal(w.succeeded(id), all) })
	for name, s := range w.statuses(id) {
		if s.Status == fleet.StatusSucceeded && s.Evidence.What != "profile-list" {
			t.Errorf("%s has arrived by %q, not read back", name, s.Evidence.What)
		}
	}
	s := pc.State()
	slices.Sort(s.WiFi)
	if !slices.Equal(s.WiFi, []string{"Gäste / 1", "Noordhaven"}) || !slices.Equal(s.VPN, []string{"Head office"}) || len(s.Apps) != 1 || len(s.Certificates) != 2 {
		t.Errorf("Wi-Fi %q, VPN %q, programs %q, %d identities", s.WiFi, s.VPN, s.Apps, len(s.Certificates))
	}
	if s.Policies["./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera"] != "0" || s.Policies["./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService"] != "1" {
		t.Errorf("policies %v", s.Policies)
	}

	// Changed, and taken away.
	change := func(name, settings string) {
		t.Helper()
		if _, err := f.UpdateProfile(t.Context(), w.Actor, made[name].ID, fleet.ProfileInput{Settings: []byte(settings), Version: made[name].Version}); err != nil {
			t.Fatal(err)
		}
	}
	change("Guest Wi-Fi", `{"ssid":"Visitors","security":"open"}`)
	change("Limits", `{"pc_no_bluetooth":true}`)
	if err := f.Assign(t.Context(), w.Actor, made["Updates"].ID, nil, false); err != nil {
		t.Fatal(err)
	}
	policy := func(name string) string { return pc.State().Policies["./Device/Vendor/MSFT/Policy/Config/"+name] }
	w.eventually("the changes are on the PC", func() bool {
		return slices.Contains(pc.State().WiFi, "Visitors") && policy("Connectivity/AllowBluetooth") == "0" && policy("Update/AllowMUUpdateService") == "" &&
			w.statuses(id)["Updates"].Status == fleet.StatusRemoved && len(w.succeeded(id)) == len(all)-1
	})
	if slices.Contains(pc.State().WiFi, "Gäste / 1") || policy("Camera/AllowCamera") != "" || policy("Update/DeferQualityUpdatesPeriodInDays") != "" {
		t.Errorf("what was changed is still there as it was: %q %v", pc.State().WiFi, pc.State().Policies)
	}

	if _, err := f.Act(t.Context(), w.Actor, id, fleet.ActRetire, fleet.ActionOptions{}, "CARLA-LAPTOP"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the PC has left management", func() bool { return !pc.State().Enrolled })
	receipt := w.receipt(id)
	if receipt.Outcome != "proved" {
		t.Errorf("receipt is %q: %+v", receipt.Outcome, receipt.Rows)
	}
	for _, row := range receipt.Rows {
		want := map[string][]string{"wifi-vpn": {"Guest Wi-Fi", "Head office", "Office Wi-Fi"}, "company-apps": {"7-Zip"}, "email": {"Office mail on PCs"},
			"certificates": {"Mail identity", "Office root certificate", "Packed identity"}, "settings": {"Limits", "Passcode"}}[row.Data]
		items := slices.Sorted(slices.Values(row.Items))
		if want != nil && (row.Proved != "proved" || len(row.Evidence) == 0 || !slices.Equal(items, want)) {
			t.Errorf("row %s: %s, %q, with %d pieces of evidence", row.Data, row.Proved, items, len(row.Evidence))
		}
		if row.Data == "certificates" && len(row.Serials) < 2 {
			t.Errorf("revoked: %q", row.Serials)
		}
	}
	left := pc.State()
	if len(left.WiFi)+len(left.VPN)+len(left.Certificates)+len(left.MailAccounts)+len(left.Apps)+len(left.Policies) > 0 {
		t.Errorf("left on the PC: %q %q %d identities %q %q %v", left.WiFi, left.VPN, len(left.Certificates), left.MailAccounts, left.Apps, left.Policies)
	}
	for _, c := range left.Complaints {
		t.Errorf("the PC complains: %s", c)
	}
}
