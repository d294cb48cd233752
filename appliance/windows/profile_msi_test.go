package windows

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

const testMSI = msiNode + "%7B5B0A6F2E-8F6B-4A7C-9B1E-3B6C7F0E1A22%7D"

func msiSettings(version string) map[string]any {
	return map[string]any{"product_code": "{5b0a6f2e-8f6b-4a7c-9b1e-3b6c7f0e1a22}", "version": version, "url": "https://files.example.org/agent.msi", "sha256": strings.Repeat("ab", 32)}
}

// TestMSI follows an app from the order to its removal: the device's answer is not its installation.
func TestMSI(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	app := w.profile(fleet.TypeApp, "Agent", msiSettings("1.4.0"))
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})
	p := w.enrolled(testID, fleet.Corporate)
	p.hook = func(c sentCommand) {
		if c.verb == "Exec" && strings.HasSuffix(c.uri, "/DownloadInstall") {
			p.tree[testMSI+"/Status"] = "50"
		}
	}
	p.run()
	d := w.device(testID)
	status := func(id fleet.ProfileID) fleet.ProfileStatus {
		t.Helper()
		list, err := w.fleet.DeviceProfiles(ctx, w.admin, d.ID)
		must(t, err)
		i := slices.IndexFunc(list, func(s fleet.ProfileStatus) bool { return s.Profile == id })
		if i < 0 {
			t.Fatalf("no row of %s: %+v", id, list)
		}
		return list[i]
	}
	want := func(s fleet.ProfileStatusCode, code, words string) {
		t.Helper()
		if got := status(app.ID); got.Status != s || got.Reason.Code != code || !strings.Contains(got.Reason.DeviceWords, words) {
			t.Errorf("status %s, %+v, want %s, %s", got.Status, got.Reason, s, code)
		}
	}
	if got := p.sentTo(testMSI + "/DownloadInstall"); !slices.Equal(got, []string{"Add " + testMSI + "/DownloadInstall", "Exec " + testMSI + "/DownloadInstall"}) {
		t.Errorf("sent %v", got)
	}
	want(fleet.StatusPending, "windows.msi.installing", "")
	w.wantStatuses(d.ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypeApp: fleet.StatusPending, fleet.TypePasscode: fleet.StatusSucceeded})

	p.tree[testMSI+"/Status"], p.tree[testMSI+"/LastError"], p.tree[testMSI+"/LastErrorDesc"] = "60", "-2147023278", "Fatal error during installation."
	p.run()
	want(fleet.StatusError, "windows.msi.busy", "0x80070652 Fatal error")
	before := len(p.sentTo(testMSI + "/DownloadInstall"))
	w.later.Add(int64(6 * time.Minute))
	p.run()
	if got := len(p.sentTo(testMSI + "/DownloadInstall")); got != before+2 {
		t.Errorf("tried again with %d commands", got-before)
	}
	p.tree[testMSI+"/Status"], p.tree[testMSI+"/Version"] = "70", "1.4.0.0"
	p.run()
	want(fleet.StatusSucceeded, "profile.confirmed", "")

	// A new version: the state of the old one is no proof.
	p.hook = nil
	_, err := w.fleet.UpdateProfile(ctx, w.admin, app.ID, fleet.ProfileInput{Settings: []byte(`{"product_code":"{5B0A6F2E-8F6B-4A7C-9B1E-3B6C7F0E1A22}","version":"1.5.0","url":"https://files.example.org/agent-1.5.msi","sha256":"` + strings.Repeat("cd", 32) + `","timeout":10,"retries":0}`), Version: app.Version})
	must(t, err)
	p.run()
	want(fleet.StatusPending, "windows.msi.begun", "")
	w.later.Add(int64(3 * time.Hour))
	p.run()
	want(fleet.StatusError, "windows.msi.too-long", "")
	p.hook = func(c sentCommand) {
		if c.verb == "Exec" && strings.HasSuffix(c.uri, "/DownloadInstall") {
			p.tree[testMSI+"/Status"], p.tree[testMSI+"/Version"] = "70", "1.5.0"
		}
	}
	w.later.Add(int64(time.Hour))
	p.run()
	want(fleet.StatusSucceeded, "profile.confirmed", "")

	must(t, w.fleet.Assign(ctx, w.admin, app.ID, nil, false))
	p.run()
	if got := p.sentTo(testMSI); got[len(got)-5] != "Delete "+testMSI && !slices.Contains(got, "Delete "+testMSI) {
		t.Errorf("removal sent %v", got)
	}
	if got := status(app.ID); got.Status != fleet.StatusRemoved {
		t.Errorf("after its removal: %+v", got)
	}
}

// TestMSIStaysAtRetire: a program that the profile does not list for removal is left on the PC, and the receipt says so.
func TestMSIStaysAtRetire(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	keep := msiSettings("1.4.0")
	keep["remove_at_retire"] = false
	w.profile(fleet.TypeApp, "Office", keep)
	goes := msiSettings("2.0.0")
	goes["product_code"] = "11111111-8f6b-4a7c-9b1e-3b6c7f0e1a22"
	w.profile(fleet.TypeApp, "Agent", goes)
	p := w.enrolled(testID, fleet.Corporate)
	p.hook = func(c sentCommand) {
		if base, is := strings.CutSuffix(c.uri, "/DownloadInstall"); is && c.verb == "Exec" {
			p.tree[base+"/Status"] = "70"
		}
		p.left = strings.HasSuffix(c.uri, "/Unenroll")
	}
	p.run()
	d := w.device(testID)
	_, err := w.fleet.Act(ctx, w.admin, d.ID, fleet.ActRetire, fleet.ActionOptions{}, d.Name)
	must(t, err)
	p.run()
	if got := p.sentTo(testMSI); slices.Contains(got, "Delete "+testMSI) || p.tree[testMSI+"/Status"] != "70" {
		t.Errorf("what was to stay is gone: %v", got)
	}
	receipts, err := w.fleet.Receipts(ctx, w.admin, d.ID, fleet.ListQuery{})
	must(t, err)
	for _, row := range receipts.Items[0].Rows {
		switch row.Data {
		case "company-apps":
			if row.Proved != "proved" || !slices.Equal(row.Items, []string{"Agent"}) || len(row.Evidence) == 0 {
				t.Errorf("company apps: %+v", row)
			}
		case "other-apps":
			if row.Proved != "not-needed" || !slices.Equal(row.Items, []string{"Office"}) {
				t.Errorf("other apps: %+v", row)
			}
		}
	}
}

func TestMSIErrors(t *testing.T) {
	for number, want := range map[string]string{"-2147023293": "windows.msi.fatal", "-2147012889": "windows.msi.unreachable", "-2147024883": "windows.msi.hash", "-1": "windows.msi.failed", "": "windows.msi.failed"} {
		if got := msiFailed("windows.msi.failed", number, ""); got.Code != want {
			t.Errorf("%q is %s, want %s", number, got.Code, want)
		}
	}
}
