package windows

import (
	"context"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

// TestVPNAndRestrictions delivers both, changes them, and takes them away.
func TestVPNAndRestrictions(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	vpn := w.profile(fleet.TypeVPN, "Head office", map[string]any{"server": "vpn.example.nl", "sign_in": "password", "root": string(root.ID), "connect": "always", "home_domains": "corp.example.nl"})
	one := w.profile(fleet.TypeRestrictions, "Cameras", map[string]any{"no_camera": true, "pc_defer_quality": 3})
	two := w.profile(fleet.TypeRestrictions, "Updates", map[string]any{"pc_defer_quality": 7, "pc_no_disconnect": true})
	p := w.enrolled(testID, fleet.Personal)
	p.missing = []string{vpnNode + "Head%20office/ProfileXML"}
	p.run()
	d := w.device(testID)
	all := map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeTrustedRoot: fleet.StatusSucceeded, fleet.TypeVPN: fleet.StatusSucceeded, fleet.TypeRestrictions: fleet.StatusSucceeded}
	w.wantStatuses(d.ID, all)
	xml := p.tree[vpnNode+"Head%20office/ProfileXML"]
	for _, part := range []string{"<AlwaysOn>true</AlwaysOn><TrustedNetworkDetection>corp.example.nl</TrustedNetworkDetection><NativeProfile><Servers>vpn.example.nl</Servers><RoutingPolicyType>SplitTunnel",
		"<NativeProtocolType>IKEv2</NativeProtocolType><DisableClassBasedDefaultRoute>true</DisableClassBasedDefaultRoute><PlumbIKEv2TSAsRoutes>true"} {
		if !strings.Contains(xml, part) {
			t.Errorf("%s lacks %s", xml, part)
		}
	}
	policy := func(name, want string) {
		t.Helper()
		if got := p.tree[configNode+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	policy("Camera/AllowCamera", "0")
	policy("Update/DeferQualityUpdatesPeriodInDays", "7")
	policy("Experience/AllowManualMDMUnenrollment", "") // a person can always take their own PC out

	must(t, w.fleet.Assign(ctx, w.admin, one.ID, nil, false))
	p.run()
	policy("Camera/AllowCamera", "")
	policy("Update/DeferQualityUpdatesPeriodInDays", "7")
	must(t, w.fleet.Assign(ctx, w.admin, two.ID, nil, false))
	must(t, w.fleet.Assign(ctx, w.admin, vpn.ID, nil, false))
	p.run()
	policy("Update/DeferQualityUpdatesPeriodInDays", "")
	if p.tree[vpnNode+"Head%20office/ProfileXML"] != "" {
		t.Error("the connection is left")
	}
}

// TestAddsCanBeRepeated: no order fails because its first try was carried out and its answer lost (an Add of what is there is refused with 418).
func TestAddsCanBeRepeated(t *testing.T) {
	adds := 0
	for name, d := range everything(t) {
		if d.unit == nil {
			continue
		}
		for i, b := range d.job.Batches {
			for _, c := range append(slices.Clone(b.Commands), flat(b.Commands)...) {
				if c.Verb != verbAdd {
					continue
				}
				adds++
				cleared := slices.ContainsFunc(d.job.Batches[:i], func(before batch) bool {
					return slices.ContainsFunc(before.Commands, func(x command) bool { return x.Verb == verbDelete && strings.HasPrefix(c.URI, x.URI+"/") })
				})
				if !slices.Contains(c.OK, 418) && b.If == nil && !cleared {
					t.Errorf("%s: Add %s fails when it is there", name, c.URI)
				}
			}
		}
	}
	if adds < 40 {
		t.Errorf("only %d Adds looked at", adds)
	}
}

func flat(list []command) []command {
	var out []command
	for _, c := range list {
		out = append(out, c.Kids...)
	}
	return out
}

// TestNotesBeforeSaving: what stays on a PC, and what people will notice, is said before a profile is saved (P43).
func TestNotesBeforeSaving(t *testing.T) {
	w := newWorld(t)
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	for _, c := range []struct {
		typ      fleet.ProfileType
		settings string
		want     []string
	}{
		{fleet.TypePasscode, `{"min_length":8}`, []string{"windows.keeps.password"}},
		{fleet.TypeRestrictions, `{"pc_encryption":true}`, []string{"windows.keeps.encryption"}},
		{fleet.TypeRestrictions, `{"no_camera":true}`, nil},
		{fleet.TypeVPN, `{"server":"vpn.example.nl","sign_in":"password","root":"` + string(root.ID) + `"}`, []string{"windows.vpn-drops"}},
		{fleet.TypeApp, `{"product_code":"{5b0a6f2e-8f6b-4a7c-9b1e-3b6c7f0e1a22}","version":"1.0","url":"https://a.example/b.msi","sha256":"` + strings.Repeat("a", 64) + `","remove_at_retire":false}`, []string{"windows.keeps.app"}},
		{fleet.TypeCustom, `{"windows_nodes":"./Device/Vendor/MSFT/DeviceStatus/CertAttestation/x int 1"}`, nil},
		{fleet.TypeCustom, `{"windows_nodes":"./Device/Vendor/MSFT/WiFi/Profile/Lab/ProfileSource int 1\n./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 1"}`, []string{"windows.keeps.custom-default"}},
		{fleet.TypeEmail, `{"account":"exchange","host":"mail.example.nl"}`, []string{"email.windows-mail-ended", "email.existing-account-overwritten"}},
	} {
		name := "New"
		notes, err := w.fleet.CheckProfile(context.Background(), w.admin, fleet.ProfileInput{Type: c.typ, Name: &name, Platforms: &[]fleet.Platform{fleet.Windows}, Settings: []byte(c.settings)})
		if err != nil && c.want != nil {
			t.Errorf("%s %s: %v", c.typ, c.settings, err)
			continue
		}
		for _, want := range c.want {
			if !slices.ContainsFunc(notes, func(r fleet.Reason) bool { return r.Code == want }) {
				t.Errorf("%s %s: %+v lacks %s", c.typ, c.settings, notes, want)
			}
		}
	}
}
