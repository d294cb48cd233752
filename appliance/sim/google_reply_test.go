package sim

import (
	"encoding/json"
	"strings"
	"testing"
)

// replyFaults reads an answer against its schema; output-only fields belong into answers.
func replyFaults(t *testing.T, schema string, v dict) []string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var body dict
	if err := d.Decode(&body); err != nil {
		t.Fatal(err)
	}
	bad, _ := googleSpec().checkBody(schema, schema, body)
	var out []string
	for _, b := range bad {
		if !strings.HasSuffix(b.text, "is output only.") {
			out = append(out, b.text)
		}
	}
	return out
}

// TestReplies holds what the stand-in says against the discovery document too: a client must not come to rely on what Google never sends.
func TestReplies(t *testing.T) {
	g, err := NewGoogle()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	e := &enterprise{name: "enterprises/LC1", fields: dict{}, policies: map[string]*policy{}, tokens: map[string]*enrolmentToken{}, devices: map[string]*enrolled{}, hardware: map[string][]string{}, webApps: map[string]dict{}}
	g.enterprises[e.name] = e
	check := func(schema string, v dict) {
		t.Helper()
		for _, fault := range replyFaults(t, schema, v) {
			t.Error(fault)
		}
	}
	ask := dict{}
	for name, f := range googleSpec().schemas["StatusReportingSettings"] {
		if f.kind == "bool" {
			ask[name] = true
		}
	}
	config := dict{"packageName": packageKnox, "installType": "FORCE_INSTALLED", "managedConfiguration": dict{"profileName": 7}}
	p, ref := g.setPolicy(e, e.name+"/policies/p", dict{"statusReportingSettings": ask, "applications": []any{config, dict{"packageName": "no.such.app", "installType": "FORCE_INSTALLED"}}, "usageLog": dict{"enabledLogTypes": []any{"NETWORK_ACTIVITY_LOGS"}}})
	if ref != nil {
		t.Fatal(ref.message)
	}
	check("Policy", p)
	check("Enterprise", e.view())
	for i, usage := range []string{usageAllowed, usageAllowed, usageDisallowed, usageUserless} {
		token, ref := g.createToken(e, &call{body: dict{"policyName": "p", "allowPersonalUsage": usage}})
		if ref != nil {
			t.Fatal(ref.message)
		}
		check("EnrollmentToken", token)
		d := NewAndroid(AndroidOptions{Google: g, FactoryNew: i > 0, Seed: int64(i), OSVersion: []string{"11", "16", "14", "13"}[i]})
		if err := d.EnrolToken(t.Context(), token["value"].(string)); err != nil {
			t.Fatal(err)
		}
		in := d.managed()
		check("Device", in.view())
		for kind := range orderKinds {
			body := dict{"type": kind, "newPassword": "123456"}
			if params := orderKinds[kind]; params != "" {
				body = dict{params: map[string]dict{"clearAppsDataParams": {"packageNames": []any{packageKnox}}, "startLostModeParams": {"lostEmailAddress": "a@example.com"},
					"requestDeviceInfoParams": {"deviceInfo": "EID"}}[params]}
				if body[params] == nil {
					body[params] = dict{}
				}
			}
			if _, ref := g.issueCommand(e, &call{parts: []string{"LC1", in.name[strings.LastIndex(in.name, "/")+1:]}, body: body}); ref != nil {
				t.Fatal(kind, ref.message)
			}
		}
		d.Visit("com.android.chrome", "intranet.example.com", 443)
		if err := d.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !d.State().Enrolled {
			t.Fatal("a harmless command ended management")
		}
		check("Device", in.view())
		for _, o := range in.operations {
			check("Operation", o.view())
			meta := clone(o.command)
			delete(meta, "@type")
			check("Command", meta)
		}
	}
	app, ref := g.getApplication(e, &call{parts: []string{"LC1", packageGmail}})
	if ref != nil {
		t.Fatal(ref.message)
	}
	check("Application", app)
}

// orderKinds are harmless commands and the parameters that they need.
var orderKinds = map[string]string{"LOCK": "", "REBOOT": "", "RESET_PASSWORD": "", "CLEAR_APP_DATA": "clearAppsDataParams", "START_LOST_MODE": "startLostModeParams", "STOP_LOST_MODE": "stopLostModeParams",
	"REQUEST_DEVICE_INFO": "requestDeviceInfoParams"}

// TestUsageLogs checks that what a phone logs fits the schema, and that only a company's phones log at all.
func TestUsageLogs(t *testing.T) {
	for mode, want := range map[AndroidMode]int{AndroidWorkProfile: 0, AndroidCompany: 2, AndroidManaged: 2} {
		d := NewAndroid(AndroidOptions{OSVersion: "14"})
		d.in, d.mode = &enrolled{}, mode
		d.work.policy = dict{"usageLog": dict{"enabledLogTypes": []any{"NETWORK_ACTIVITY_LOGS"}}}
		d.Visit("com.android.chrome", "intranet.example.com", 443)
		if len(d.logs) != want {
			t.Errorf("%s logged %d events", mode, len(d.logs))
		}
		for _, fault := range replyFaults(t, "BatchUsageLogEvents", dict{"device": "enterprises/LC1/devices/1", "usageLogEvents": d.logs}) {
			t.Error(fault)
		}
	}
}
