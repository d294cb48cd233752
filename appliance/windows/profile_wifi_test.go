package windows

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/store"
)

// TestWiFi delivers a network, gives it another name, and takes it away; the PC gives a profile back as Windows does, with its key encrypted.
func TestWiFi(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	root := w.profile(fleet.TypeTrustedRoot, "Root", map[string]any{"source": "internal"})
	identity := w.profile(fleet.TypeIdentity, "Identity", map[string]any{"root": string(root.ID)})
	home := w.profile(fleet.TypeWiFi, "Home", map[string]any{"ssid": "Home net", "security": "personal", "password": "correct horse", "proxy": "auto"})
	office := w.profile(fleet.TypeWiFi, "Office", map[string]any{"ssid": "Office", "security": "enterprise", "eap": "tls", "identity": string(identity.ID), "root": string(root.ID),
		"server_names": "radius.example.nl"})
	p := w.enrolled(testID, fleet.Corporate)
	p.hook = func(c sentCommand) { // Replace creates nothing, and what is read differs in form
		if v, is := p.tree[c.uri]; is && strings.HasSuffix(c.uri, "/WlanXml") {
			p.tree[c.uri] = keys.ReplaceAllString(strings.Replace(v, "<protected>false", "<protected>true", 1), "<keyMaterial>01AB</keyMaterial>")
		}
	}
	homeNode, officeNode := wifiNode+"Home%20net", wifiNode+"Office"
	p.missing = []string{homeNode + "/WlanXml", officeNode + "/WlanXml"}
	p.run()
	d := w.device(testID)
	want := func(id fleet.ProfileID, s fleet.ProfileStatusCode) {
		t.Helper()
		list, err := w.fleet.DeviceProfiles(ctx, w.admin, d.ID)
		must(t, err)
		for _, row := range list {
			if row.Profile == id {
				if row.Status != s || s == fleet.StatusSucceeded && row.Evidence.What != "profile-list" {
					t.Errorf("%s is %s, %+v, want %s", row.Name, row.Status, row.Reason, s)
				}
				return
			}
		}
		t.Errorf("no row of %s", id)
	}
	want(home.ID, fleet.StatusSucceeded)
	want(office.ID, fleet.StatusSucceeded)
	if got := p.sentTo(homeNode); got[0] != "Replace "+homeNode+"/WlanXml" || got[1] != "Add "+homeNode+"/WlanXml" {
		t.Errorf("sent %v", got)
	}
	if xml := p.tree[officeNode+"/WlanXml"]; !strings.Contains(xml, "<TrustedRootCA>"+spaced(thumbprint(w.pki.Root().Raw))+"</TrustedRootCA>") || !strings.Contains(xml, "<IssuerHash>"+spaced(thumbprint(w.pki.Issuing().Raw))) {
		t.Errorf("the network is not pinned: %s", xml)
	}
	must(t, w.db.View(ctx, func(tx store.Tx) error {
		list, err := ledgerOf(tx, d.Enrolment)
		b, _ := json.Marshal(list)
		if strings.Contains(string(b), "horse") {
			t.Error("the ledger holds the key")
		}
		return err
	}))

	// Somebody changes it on the PC: it is delivered again.
	p.missing = nil
	p.tree[officeNode+"/WlanXml"] = strings.Replace(p.tree[officeNode+"/WlanXml"], "radius.example.nl", "evil.example.nl", 1)
	w.later.Add(int64(25 * 3600e9))
	p.run()
	want(office.ID, fleet.StatusSucceeded)
	if !strings.Contains(p.tree[officeNode+"/WlanXml"], "radius.example.nl") {
		t.Error("what was changed on the PC stays changed")
	}

	_, err := w.fleet.UpdateProfile(ctx, w.admin, home.ID, fleet.ProfileInput{Settings: []byte(`{"ssid":"House","security":"open"}`), Version: home.Version})
	must(t, err)
	p.run()
	want(home.ID, fleet.StatusSucceeded)
	if p.tree[homeNode+"/WlanXml"] != "" || p.tree[homeNode+"/ProxyWPAD"] != "" || p.tree[wifiNode+"House/WlanXml"] == "" {
		t.Errorf("after its new name: %v", p.sentTo(wifiNode))
	}
	must(t, w.fleet.Assign(ctx, w.admin, home.ID, nil, false))
	p.run()
	want(home.ID, fleet.StatusRemoved)
	if p.tree[wifiNode+"House/WlanXml"] != "" || p.tree[officeNode+"/WlanXml"] == "" {
		t.Error("the wrong network went")
	}
}

func TestHoldsXML(t *testing.T) {
	want := `<a xmlns="x"><b>1 2</b><c>x</c><d><keyMaterial/></d><c>y</c></a>`
	for got, holds := range map[string]bool{
		want: true,
		`<?xml version="1.0"?><a xmlns="x"><c>y</c><more/><c>x</c><b>12</b><d><keyMaterial>0A</keyMaterial></d></a>`: true,
		`<a><b>1 2</b><c>x</c><d><keyMaterial/></d><c>x</c></a>`:                                                     false,
		`<a><b>1 3</b><c>x</c><d><keyMaterial/></d><c>y</c></a>`:                                                     false,
		`<a><b>1 2</b></a>`: false, `<z/>`: false, ``: false, `nothing`: false,
	} {
		if holdsXML(want, got) != holds {
			t.Errorf("%s: %t", got, !holds)
		}
	}
	if got := segment("Café {1}/%"); got != "Caf%C3%A9%20%7B1%7D%2F%25" {
		t.Errorf("segment %s", got)
	}
	if got := serverNames("a.example.org *.b.example.org"); got != `a.example.org;.*\.b\.example\.org` {
		t.Errorf("names %s", got)
	}
}

// FuzzHoldsXML reads what a PC says that it holds.
func FuzzHoldsXML(f *testing.F) {
	f.Add(`<a xmlns="x"><b>1 2</b><c>x</c></a>`)
	f.Add(`<a><a><a/></a></a>`)
	f.Fuzz(func(t *testing.T, got string) {
		if holdsXML(`<a><b>1 2</b><c>x</c></a>`, got) && !strings.Contains(got, "x") {
			t.Errorf("%q is taken for what was sent", got)
		}
		if _, err := parseXML([]byte(got)); err == nil && !holdsXML(got, got) {
			t.Errorf("%q differs from itself", got)
		}
	})
}
