package windows

import (
	"context"
	"errors"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

const testCustom = `# Updates
./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 1
./Vendor/MSFT/Policy/Config/Update/TargetReleaseVersion chr 24H2
./Device/Vendor/MSFT/Policy/Config/Search/AllowSearchToUseLocation int 0

./Device/Vendor/MSFT/WiFi/Profile/Lab/WiFiCost int 2
./User/Vendor/MSFT/Policy/Config/Outlook~Policy~L_MicrosoftOfficeOutlook~L_ToolsAccounts~L_ExchangeSettings/L_AutomaticallyConfigureProfileBasedOnActive chr <enabled/>`

// TestCustomIsChecked: what stands in no table, or goes round the rest, is refused before it is saved, with its line.
func TestCustomIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		testCustom: "",
		"./Device/Vendor/MSFT/RemoteWipe/doWipe chr x":                                                    "windows.custom.forbidden",
		"./device/vendor/msft/remotewipe/doWipe chr x":                                                    "windows.custom.forbidden",
		"./Vendor/MSFT/DMClient/Provider/Muster/Unenroll chr Muster":                                      "windows.custom.forbidden",
		"./Device/Vendor/MSFT/DMClient/Provider/Muster/ManagementServiceAddress chr https://evil.example": "windows.custom.forbidden",
		"./SyncML/DMAcc/x/AppID chr w7":                                                                   "windows.custom.forbidden",
		"./Device/Vendor/MSFT/DMAcc/x chr y":                                                              "windows.custom.forbidden",
		"./Device/Vendor/MSFT/CertificateStore/ROOT/System/AA/EncodedCertificate b64 AAAA":                "windows.custom.forbidden",
		"./Device/Vendor/MSFT/ClientCertificateInstall/SCEP/a/Install/ServerURL chr https://evil.example": "windows.custom.forbidden",
		"./Device/Vendor/MSFT/Reboot/RebootNow null x":                                                    "windows.custom.form",
		"./Device/Vendor/MSFT/Reboot/Schedule/Single chr 2026-01-01T00:00:00":                             "windows.custom.forbidden",
		"./Device/Vendor/MSFT/%52emoteWipe/doWipe chr x":                                                  "windows.custom.forbidden",
		"./Device/Vendor/MSFT/Nothing/Here chr x":                                                         "windows.custom.no-node",
		"./Device/Vendor/MSFT/Policy/Config/Update/MaintenanceWindowEnabled int 1":                        "windows.custom.no-node",
		"./Device/Vendor/MSFT/DeviceStatus/OS/Edition chr 4":                                              "windows.custom.verb",
		"./Device/Vendor/MSFT/WiFi/Profile chr 4":                                                         "windows.custom.verb",
		"./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService chr 1":                            "windows.custom.format",
		"./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 2":                            "windows.custom.value",
		"./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int one":                          "windows.custom.value",
		"./Device/Vendor/MSFT/Policy/Config/Search/AllowSearchToUseLocation int yes":                      "windows.custom.value",
		"./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength int 8":                     "windows.custom.other-type",
		"./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera int 0":                                     "windows.custom.other-type",
		"./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int":                              "windows.custom.form",
		"nonsense": "windows.custom.form",
		"./Device/Vendor/MSFT/Policy/Config/A/B int 1\n./device/vendor/msft/policy/config/a/b int 2":                                     "windows.custom.twice",
		"./Device/Vendor/MSFT/Policy/Config/A/B int 1\n./Vendor/MSFT/Policy/Config/A/%42 int 2":                                          "windows.custom.twice",
		"./Device/Vendor/MSFT/WiFi/Profile/Lab/WlanXml chr <WLANProfile><sharedKey><keyMaterial>correct horse</keyMaterial></sharedKey>": "windows.custom.secret",
		"./Device/Vendor/MSFT/VPNv2/Lab/ProfileXML chr <VPNProfile><PresharedKey>correct horse</PresharedKey></VPNProfile>":              "windows.custom.secret",
		strings.Repeat("x", 5): "windows.custom.form",
	} {
		w := &Windows{}
		got := w.CheckSettings(profileOf(t, "01CUSTOM", fleet.TypeCustom, map[string]any{customField: text}))[customField]
		if got.Code != want {
			t.Errorf("%q: %q, want %q", text, got.Code, want)
		}
	}
	if ok, r := customApplies(fleet.Values{customField: testCustom}, fleet.Target{Platform: fleet.Windows, Mode: fleet.ModeDevice, Ownership: fleet.Personal}); ok || r.Code != "windows.not-applicable.custom-personal" {
		t.Errorf("on a personal PC: %t %+v", ok, r)
	}
	if ok, r := customApplies(fleet.Values{customField: "./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 1"}, fleet.Target{Platform: fleet.Windows, Mode: fleet.ModeDevice, Ownership: fleet.Personal}); !ok {
		t.Errorf("updates on a personal PC: %+v", r)
	}
}

func FuzzCustom(f *testing.F) {
	f.Add(testCustom)
	f.Add("./Device/Vendor/MSFT/%52emoteWipe/doWipe chr x")
	f.Fuzz(func(t *testing.T, text string) {
		list, bad := customNodes(text)
		if bad.Code != "" {
			return
		}
		for _, n := range list {
			if n.csp == nil || n.csp.allows(verbExec) && !n.csp.allows(verbReplace) || forbidden(n.uri) || len(list) > customMost {
				t.Errorf("%q lets %+v through", text, n)
			}
			n.removal()
		}
	})
}

// TestCustom delivers lines of both scopes, reads them back, and takes away what can be taken away.
func TestCustom(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	p0 := w.profile(fleet.TypeCustom, "Lab", map[string]any{customField: testCustom})
	p := w.enrolled(testID, fleet.Corporate)
	p.run()
	d := w.device(testID)
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeCustom: fleet.StatusSucceeded})
	if p.tree["./Device/Vendor/MSFT/Policy/Config/Update/TargetReleaseVersion"] != "24H2" {
		t.Errorf("tree %v", p.tree)
	}
	// Another profile with one of its nodes: neither is delivered, each names the other.
	p1 := w.profile(fleet.TypeCustom, "Twin", map[string]any{customField: "./device/vendor/msft/Policy/Config/Update/allowMUUpdateService int 0"})
	p.run()
	list, err := w.fleet.DeviceProfiles(ctx, w.admin, d.ID)
	must(t, err)
	for _, s := range list {
		if s.Profile == p1.ID && (s.Status != fleet.StatusConflict || s.Reason.Code != "profile.same-setting" || s.Reason.Args["other"] != "Lab") {
			t.Errorf("twin: %s %+v", s.Status, s.Reason)
		}
	}
	must(t, w.fleet.Assign(ctx, w.admin, p1.ID, nil, false))
	p.run()
	must(t, w.fleet.Assign(ctx, w.admin, p0.ID, nil, false))
	p.run()
	for k := range p.tree {
		if strings.Contains(k, "/Policy/Config/") || strings.Contains(k, "/WiFi/") {
			t.Errorf("%s is left", k)
		}
	}
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeCustom: fleet.StatusRemoved})

	// Refused before it is saved, at its field; and without the permission, altogether.
	name := "Wipe them all"
	in := fleet.ProfileInput{Type: fleet.TypeCustom, Name: &name, Platforms: &[]fleet.Platform{fleet.Windows}, Settings: []byte(`{"windows_nodes":"# fine\n./Vendor/MSFT/RemoteWipe/doWipe chr x"}`)}
	var refusal *fleet.Refusal
	if _, err := w.fleet.CreateProfile(ctx, w.admin, in); !errors.As(err, &refusal) || refusal.Fields["settings."+customField].Code != "windows.custom.forbidden" || refusal.Fields["settings."+customField].Args["line"] != "2" {
		t.Errorf("forbidden nodes: %v", err)
	}
	in.Settings = []byte(`{"windows_nodes":"./Device/Vendor/MSFT/Policy/Config/Update/AllowMUUpdateService int 1"}`)
	limited := fleet.Actor{Kind: fleet.ActorAdmin, ID: "01EDITOR", Permissions: map[fleet.Permission]bool{fleet.ProfilesEdit: true, fleet.ProfilesRead: true}}
	if _, err := w.fleet.CreateProfile(ctx, limited, in); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("without the permission: %v", err)
	}

	old := &rendering{order: &fleet.Order{Device: &fleet.Device{OSVersion: "10.0.14393.0"}}}
	_, err = old.custom(profileOf(t, "01CUSTOM", fleet.TypeCustom, map[string]any{customField: testCustom}), false)
	if cannot, is := err.(*unrenderable); !is || !cannot.unfit || cannot.reason.Code != "windows.custom.too-old" {
		t.Errorf("on an old build: %v", err)
	}
}
