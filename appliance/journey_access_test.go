package appliance

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// accessProfiles are the profiles of this journey by name.
type accessProfiles map[string]*fleet.Profile

// accessWorld is a first day with networks, a connection, a link, restrictions and a custom payload for everyone; what they refer to goes along.
func accessWorld(t *testing.T) (*world, accessProfiles) {
	t.Helper()
	w, out := newWorld(t), accessProfiles{}
	f := w.Appliance.fleet
	l, err := f.Profiles(t.Context(), w.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Items {
		out[p.Name] = p
	}
	root := string(out["Office root certificate"].ID)
	apple := []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
	create := func(typ fleet.ProfileType, name string, settings map[string]any) *fleet.Profile {
		t.Helper()
		raw, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.CreateProfile(t.Context(), w.Actor, fleet.ProfileInput{Type: typ, Name: &name, Platforms: &apple, Settings: raw})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = p
		return p
	}
	identity := create(fleet.TypeIdentity, "Network identity", map[string]any{"root": root, "purpose": "wifi", "delivery": "pkcs12"})
	for _, p := range []*fleet.Profile{
		create(fleet.TypeWiFi, "Studio Wi-Fi", map[string]any{"ssid": "Studio", "security": "enterprise", "identity": identity.ID, "root": root, "server_names": "radius.noordhaven.example"}),
		create(fleet.TypeWiFi, "Guest key", map[string]any{"ssid": "Guests", "password": "three small boats"}),
		create(fleet.TypeVPN, "Home office", map[string]any{"server": "vpn.noordhaven.example", "identity": identity.ID, "root": root, "connect": "always", "home_network": "Studio"}),
		create(fleet.TypeWebLink, "Handbook", map[string]any{"label": "Handbook", "url": "https://handbook.noordhaven.example/"}),
		create(fleet.TypeRestrictions, "Inside", map[string]any{"no_managed_to_personal": true, "no_screenshots": true, "no_app_install": true}),
		create(fleet.TypeCustom, "Partner network", map[string]any{"apple_payload": strings.ReplaceAll(guestNetwork, "Guests", "Partner")}),
	} {
		if err := f.Assign(t.Context(), w.Actor, p.ID, []fleet.Assignment{{To: fleet.ToAllPeople}}, true); err != nil {
			t.Fatal(err)
		}
	}
	return w, out
}

func ssids(s sim.State) []string {
	var out []string
	for _, n := range s.Networks {
		out = append(out, n.SSID)
	}
	slices.Sort(out)
	return out
}

// Networks, a connection, a link, restrictions and a custom payload reach an iPhone and a Mac, are read back, changed, taken away one by one, and
// go with the retirement, proved row by row.
func TestAccessFromAssignmentToReceipt(t *testing.T) {
	w, p := accessWorld(t)
	f := w.Appliance.fleet
	phone, phoneID := w.device(sim.Options{Kind: sim.IPhone, Name: "Eva's iPhone", Seed: 61, Passcode: "482913"}, "Eva", fleet.Corporate)
	mac, macID := w.device(sim.Options{Kind: sim.Mac, Name: "Farid's Mac", Seed: 62, Passcode: "482913"}, "Farid", fleet.Corporate)
	if err := mac.UserLogsIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.settle(phoneID, fleet.StatusSucceeded)
	w.settle(macID, fleet.StatusSucceeded)
	for name, s := range map[string]sim.State{"the iPhone": phone.State(), "the Mac": mac.State()} {
		if got := ssids(s); !slices.Equal(got, []string{"Guests", "Partner", "Studio"}) {
			t.Errorf("%s knows the networks %q", name, got)
		}
		for _, n := range s.Networks {
			if n.SSID == "Studio" && !n.ByCertificate || n.SSID == "Guests" && n.Key != "three small boats" {
				t.Errorf("%s: %+v", name, n)
			}
		}
		if len(s.VPNs) != 1 || s.VPNs[0].Server != "vpn.noordhaven.example" || !s.VPNs[0].ByCertificate || !s.VPNs[0].Always {
			t.Errorf("%s has the connections %+v", name, s.VPNs)
		}
		if len(s.WebLinks) != 1 || s.WebLinks[0].URL != "https://handbook.noordhaven.example/" {
			t.Errorf("%s has the links %+v", name, s.WebLinks)
		}
		if v, ruled := s.Restrictions["allowScreenShot"]; !ruled || v {
			t.Errorf("%s is restricted to %v", name, s.Restrictions)
		}
		if len(s.Complaints) > 0 {
			t.Errorf("%s complains: %q", name, s.Complaints)
		}
	}
	if _, ruled := phone.State().Restrictions["allowAppInstallation"]; ruled {
		t.Error("an iPhone without supervision obeys what needs it")
	}

	// One certificate on one device: the file of the identity was issued once, and its key is nowhere here any more.
	certificates, err := f.Certificates(t.Context(), w.Actor, fleet.CertificateFilter{Device: phoneID}, fleet.ListQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range certificates.Items {
		if c.Profile == p["Network identity"].ID {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d certificates of the network identity for one iPhone", n)
	}

	// An edit that does not type the key again keeps it, and installs that network once more and nothing else.
	before := phone.State()
	if _, err := f.UpdateProfile(t.Context(), w.Actor, p["Guest key"].ID, fleet.ProfileInput{Settings: json.RawMessage(`{"ssid":"Guests","hidden":true,"password":"` + fleet.SecretShown + `"}`)}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the edited network is there", func() bool {
		s := w.statuses(phoneID)["Guest key"]
		return s.Version == 2 && s.Status == fleet.StatusSucceeded
	})
	after := phone.State()
	if got := installs(after) - installs(before); got != 1 {
		t.Errorf("%d installations for one edit", got)
	}
	if i := slices.IndexFunc(after.Networks, func(n sim.Network) bool { return n.SSID == "Guests" }); i < 0 || after.Networks[i].Key != "three small boats" {
		t.Errorf("after an edit the iPhone knows %+v", after.Networks)
	}

	// Taken from everyone, the connection goes, and nothing else.
	if err := f.Assign(t.Context(), w.Actor, p["Home office"].ID, nil, false); err != nil {
		t.Fatal(err)
	}
	w.eventually("the connection is gone from both", func() bool {
		return len(phone.State().VPNs) == 0 && len(mac.State().VPNs) == 0 && w.statuses(phoneID)["Home office"].Status == fleet.StatusRemoved
	})
	if got := ssids(phone.State()); len(got) != 3 {
		t.Errorf("with the connection went a network: %q", got)
	}
	w.settleBut(phoneID, "Home office")
	w.settleBut(macID, "Home office")

	for _, d := range []struct {
		device *sim.Apple
		id     fleet.DeviceID
		name   string
	}{{phone, phoneID, "Eva's iPhone"}, {mac, macID, "Farid's Mac"}} {
		if _, err := f.Act(t.Context(), w.Actor, d.id, fleet.ActRetire, fleet.ActionOptions{}, d.name); err != nil {
			t.Fatal(err)
		}
		w.eventually(d.name+" has left management", func() bool { return !d.device.State().Enrolled })
		rc := w.receipt(d.id)
		if rc.Outcome != "proved" {
			t.Errorf("%s: the receipt is %q: %+v", d.name, rc.Outcome, rc.Rows)
		}
		for _, data := range []string{"wifi-vpn", "web-links", "certificates", "settings"} {
			i := slices.IndexFunc(rc.Rows, func(r fleet.RemovalRow) bool { return r.Data == data })
			if i < 0 || rc.Rows[i].Proved != "proved" || len(rc.Rows[i].Evidence) == 0 {
				t.Errorf("%s: row %s of the receipt: %+v", d.name, data, rc.Rows)
			}
		}
		s := d.device.State()
		if len(s.Networks)+len(s.VPNs)+len(s.WebLinks)+len(s.Restrictions)+len(s.Certificates) > 0 {
			t.Errorf("left on %s: %+v %+v %+v %+v %+v", d.name, s.Networks, s.VPNs, s.WebLinks, s.Restrictions, s.Certificates)
		}
	}
}

// settleBut waits until every profile of a device has arrived, apart from one that was taken away.
func (w *world) settleBut(id fleet.DeviceID, gone string) {
	w.t.Helper()
	w.eventually("all profiles but "+gone, func() bool {
		for name, s := range w.statuses(id) {
			if s.Status != fleet.StatusSucceeded && name != gone {
				return false
			}
		}
		return true
	})
}
