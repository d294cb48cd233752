package android

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

var update = flag.Bool("update", false, "write golden files")

// testRoot is a certificate that never changes, so that golden files do not.
func testRoot(t testing.TB) *x509.Certificate {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func profileOf(id string, t fleet.ProfileType, settings string) *fleet.Profile {
	return &fleet.Profile{ID: fleet.ProfileID(id), Type: t, Name: id, Platforms: []fleet.Platform{fleet.Android}, Settings: []byte(settings)}
}

var ada = &fleet.Person{ID: "p1", Name: "Ada \"A\" Byron", Mail: "ada@example.org", UPN: "ada@corp.example.org"}

// policyCases are what golden files exist for: every type in every mode that takes it.
func policyCases(t testing.TB) map[string]struct {
	r        *rendering
	profiles []*fleet.Profile
} {
	root := testRoot(t)
	personalFacts := []fleet.FactKey{fleet.FactPasscodePresent, fleet.FactModel}
	corporateFacts := []fleet.FactKey{fleet.FactPasscodePresent, fleet.FactIMEI, fleet.FactStorageFree, fleet.FactApps}
	work := func() *rendering {
		return &rendering{mode: fleet.ModeWorkProfile, ownership: fleet.Personal, person: ada, frame: fleet.Frame{Facts: personalFacts}, root: root}
	}
	company := func(m fleet.Mode) *rendering {
		return &rendering{mode: m, ownership: fleet.Corporate, person: ada, frame: fleet.Frame{Facts: corporateFacts}, root: root}
	}
	kiosk := company(fleet.ModeKiosk)
	kiosk.person = nil
	own := profileOf("root", fleet.TypeTrustedRoot, `{"source":"internal"}`)
	key := profileOf("key", fleet.TypeIdentity, `{"root":"root","delivery":"pkcs12"}`)
	identified := work() // no key ever stands in a file
	identified.packed = map[fleet.ProfileID]fleet.PackedIdentity{"key": {PKCS12: []byte("here a PKCS #12 file would stand")}}
	mailByKey := profileOf("mail", fleet.TypeEmail, `{"account":"exchange","host":"mail.example.org","sign_in":"certificate","identity":"key"}`)
	wifiByKey := profileOf("corp", fleet.TypeWiFi, `{"ssid":"Corp","security":"enterprise","eap":"tls","identity":"key","root":"root","server_names":"radius.example.org"}`)
	linked := work()
	linked.webApps = map[fleet.ProfileID]string{"link": "com.google.enterprise.webapp.x1", "stay": "com.google.enterprise.webapp.x2"}
	early := work()
	early.early = true
	expiring, erasing := work(), company(fleet.ModeFullyManaged)
	expiring.frame.Expiry, erasing.frame.Expiry = fleet.Expiry{Days: 7}, fleet.Expiry{Days: 7, Erase: 14}
	logged := func(m fleet.Mode, system int) *rendering {
		r := company(m)
		r.frame.Facts, r.frame.System, r.frame.Notified = append(slices.Clone(corporateFacts), fleet.FactNetworkUse), system, true
		return r
	}
	pass := profileOf("pass", fleet.TypePasscode, `{"min_length":6}`)
	return map[string]struct {
		r        *rendering
		profiles []*fleet.Profile
	}{
		"work_base":        {work(), nil},
		"company_base":     {company(fleet.ModeCompanyWorkProfile), nil},
		"managed_base":     {company(fleet.ModeFullyManaged), nil},
		"kiosk_base":       {kiosk, nil},
		"work_gmail":       {work(), []*fleet.Profile{own, profileOf("mail", fleet.TypeEmail, `{"account":"exchange","host":"mail.example.org","days":14}`)}},
		"work_outlook":     {work(), []*fleet.Profile{profileOf("mail", fleet.TypeEmail, `{"account":"exchange","host":"mail.example.org","android_app":"outlook","sign_in":"oauth"}`)}},
		"managed_nine":     {company(fleet.ModeFullyManaged), []*fleet.Profile{profileOf("mail", fleet.TypeEmail, `{"account":"exchange","host":"mail.example.org","android_app":"nine"}`)}},
		"work_passcode":    {work(), []*fleet.Profile{profileOf("pass", fleet.TypePasscode, `{"min_length":4,"max_failed":10,"max_age":90,"history":3}`)}},
		"managed_passcode": {company(fleet.ModeFullyManaged), []*fleet.Profile{profileOf("pass", fleet.TypePasscode, `{"min_length":8,"complex_chars":1,"auto_lock":10}`)}},
		"work_links":       {linked, []*fleet.Profile{profileOf("link", fleet.TypeWebLink, `{"label":"Intranet","url":"https://intranet.example.org/"}`), profileOf("stay", fleet.TypeWebLink, `{"label":"Hours","url":"https://hours.example.org/","removable":false}`)}},
		"work_expiry":      {expiring, []*fleet.Profile{pass}},
		"company_expiry":   {company(fleet.ModeCompanyWorkProfile), []*fleet.Profile{pass}},
		"managed_expiry":   {erasing, []*fleet.Profile{pass}},
		"managed_log":      {logged(fleet.ModeFullyManaged, 8), nil},
		"company_log":      {logged(fleet.ModeCompanyWorkProfile, 12), nil},
		"company_log_old":  {logged(fleet.ModeCompanyWorkProfile, 11), nil},
		"work_wifi": {work(), []*fleet.Profile{own, profileOf("office", fleet.TypeWiFi, `{"ssid":"Office","security":"personal","password":"correct horse"}`),
			profileOf("corp", fleet.TypeWiFi, `{"ssid":"Corp","security":"enterprise","eap":"peap","root":"root","server_names":"*.radius.example.org","proxy":"manual","proxy_host":"proxy.example.org"}`)}},
		"work_identity":       {identified, []*fleet.Profile{own, key, mailByKey, wifiByKey}},
		"work_identity_early": {early, []*fleet.Profile{own, key, mailByKey, wifiByKey, profileOf("pass", fleet.TypePasscode, `{"min_length":4}`)}},
		"work_sharing":        {work(), []*fleet.Profile{profileOf("share", fleet.TypeWorkSharing, `{}`)}},
		"company_sharing_open": {company(fleet.ModeCompanyWorkProfile), []*fleet.Profile{profileOf("share", fleet.TypeWorkSharing, `{"copy_paste":true,"share":"both","contacts":"hidden","widgets":true,"screenshots":true,"bluetooth":true,"nearby":true,"notifications_on_lock_screen":true}`),
			profileOf("personal", fleet.TypePersonalUse, `{"days_off":7,"camera":false,"private_space":false,"bluetooth":false,"blocked_apps":"com.example.game com.example.chat"}`)}},
		"work_apps": {work(), []*fleet.Profile{profileOf("teams", fleet.TypeApp, `{"kind":"play","package":"com.microsoft.teams","configuration":"{\"a\":{\"who\":\"{{name}} <{{mail}}>\"},\"n\":[1,true,\"{{upn}}\"]}"}`),
			profileOf("chrome", fleet.TypeApp, `{"kind":"play","package":"com.android.chrome","install":"available","auto_update":"late","permissions":"deny"}`),
			profileOf("cam", fleet.TypeApp, `{"kind":"play","package":"com.example.cam","permission_grants":"android.permission.CAMERA grant\nandroid.permission.READ_CONTACTS  grant\n\nandroid.permission-group.LOCATION deny"}`),
			profileOf("game", fleet.TypeApp, `{"kind":"play","package":"com.example.game","install":"blocked"}`)}},
		"managed_permissions":  {company(fleet.ModeFullyManaged), []*fleet.Profile{profileOf("cam", fleet.TypeApp, `{"kind":"play","package":"com.example.cam","permissions":"deny","permission_grants":"android.permission.CAMERA grant\nandroid.permission.READ_SMS ask"}`)}},
		"kiosk":                {kiosk, []*fleet.Profile{profileOf("front", fleet.TypeKiosk, `{"app":"com.example.kiosk","more_apps":"com.android.chrome"}`)}},
		"work_custom":          {work(), []*fleet.Profile{profileOf("more", fleet.TypeCustom, `{"android_policy":"{\"shortSupportMessage\":{\"defaultMessage\":\"Ask IT\"},\"applications\":[{\"packageName\":\"com.example.notes\",\"installType\":\"AVAILABLE\"}]}"}`)}},
		"managed_restrictions": {company(fleet.ModeFullyManaged), []*fleet.Profile{profileOf("limits", fleet.TypeRestrictions, `{"no_camera":true,"no_screenshots":true,"no_erase":true,"no_account_changes":true,"no_app_removal":true}`)}},
		"kiosk_open":           {kiosk, []*fleet.Profile{profileOf("front", fleet.TypeKiosk, `{"app":"com.example.kiosk","status_bar":"all","navigation":"all","settings_app":true,"lock_screen":true,"stay_on":false,"power_button":false}`)}},
	}
}

// Every policy that can be rendered is what Google's discovery document says, and what the golden file says.
func TestPolicies(t *testing.T) {
	for name, c := range policyCases(t) {
		t.Run(name, func(t *testing.T) {
			doc, err := c.r.policy(c.profiles)
			if err != nil {
				t.Fatal(err)
			}
			wantBody(t, "Policy", doc)
			got, err := json.MarshalIndent(doc, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", "policy", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("policy differs from %s:\n%s", file, got)
			}
			text := strings.ToLower(string(got))
			for _, word := range []string{"hunter2", `"password":`, "exchange_password"} {
				if strings.Contains(text, word) {
					t.Errorf("the policy holds %s", word)
				}
			}
		})
	}
}

// Every type that a mode takes has a golden policy, and a renderer.
func TestEveryTypeIsRendered(t *testing.T) {
	cases := policyCases(t)
	for _, d := range fleet.ProfileTypes() {
		for _, target := range d.Targets {
			if target.Platform != fleet.Android {
				continue
			}
			if renderers[d.Type] == nil {
				t.Errorf("%s can go to Android and has no renderer", d.Type)
			}
			shown := false
			for _, c := range cases {
				shown = shown || slices.ContainsFunc(c.profiles, func(p *fleet.Profile) bool { return p.Type == d.Type })
			}
			if !shown {
				t.Errorf("%s is rendered in no golden policy", d.Type)
			}
		}
	}
}

func wantBody(t testing.TB, schema string, body any) {
	t.Helper()
	plain, err := plainJSON(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range checkBody(schema, plain) {
		t.Errorf("%s: %s", schema, w)
	}
}

// Every other body that is sent is what the discovery document says.
func TestBodies(t *testing.T) {
	for mode, use := range usage {
		wantBody(t, "EnrollmentToken", tokenBody("enterprises/E/policies/p", mode, time.Hour, "01ARZ3NDEKTSV4RRFFQ69G5FAV"))
		if use == "" {
			t.Errorf("%s has no usage", mode)
		}
	}
	for _, a := range []fleet.ActionType{fleet.ActLock, fleet.ActClearPasscode, fleet.ActClearApp, fleet.ActRestart, fleet.ActWipe} {
		body, life := commandFor(&fleet.Action{Type: a, Options: fleet.ActionOptions{Message: "Bye", App: "com.example.cam"}}, "482915")
		body["duration"] = seconds(int(life.Seconds()))
		wantBody(t, "Command", body)
	}
	for _, m := range []fleet.Mode{fleet.ModeWorkProfile, fleet.ModeCompanyWorkProfile, fleet.ModeFullyManaged, fleet.ModeKiosk} {
		body := endCommand(m)
		body["duration"] = seconds(int(keepRemoval.Seconds()))
		wantBody(t, "Command", body)
		if body["type"] == "WIPE" && body["wipeParams"] == nil {
			t.Error("a WIPE without its parameters is refused by Google")
		}
	}
	for _, settings := range []string{`{"label":"Intranet","url":"https://intranet.example.org/"}`, `{"label":"Intranet","url":"https://intranet.example.org/","full_screen":true,"icon":"iVBORw0KGgo="}`} {
		wantBody(t, "WebApp", webAppBody(profileOf("link", fleet.TypeWebLink, settings).Values()))
	}
	wantBody(t, "Enterprise", enterpriseBody("Noordhaven"))
	wantBody(t, "Enterprise", topicBody("projects/p/topics/t"))
}

// The check itself finds what it is there for.
func TestCheckBody(t *testing.T) {
	for name, c := range map[string]struct{ schema, body, wrong string }{
		"unknown field":         {"Policy", `{"screenCaptureOff":true}`, "unknown field"},
		"unknown field deep":    {"Policy", `{"applications":[{"packageName":"a.b","instalType":"BLOCKED"}]}`, "unknown field"},
		"only Google's":         {"Policy", `{"version":"3"}`, "only Google sets this"},
		"only Google's, token":  {"EnrollmentToken", `{"value":"x"}`, "only Google sets this"},
		"wrong word":            {"Policy", `{"playStoreMode":"GREYLIST"}`, "no such choice"},
		"unspecified":           {"Policy", `{"playStoreMode":"PLAY_STORE_MODE_UNSPECIFIED"}`, "no such choice"},
		"number for a long":     {"Policy", `{"maximumTimeToLock":300000}`, "want text"},
		"duration":              {"Command", `{"type":"LOCK","duration":"1h"}`, "not in the form"},
		"text for a boolean":    {"Policy", `{"screenCaptureDisabled":"true"}`, "want true or false"},
		"object for a list":     {"Policy", `{"applications":{"a":1}}`, "want a list"},
		"deprecated":            {"Policy", `{"cameraDisabled":true}`, "deprecated"},
		"fraction for a number": {"Policy", `{"minimumApiLevel":3.5}`, "whole number"},
		"a device's own field":  {"Device", `{"hardwareInfo":{}}`, "only Google sets this"},
	} {
		var body any
		if err := json.Unmarshal([]byte(c.body), &body); err != nil {
			t.Fatal(err)
		}
		got := checkBody(c.schema, body)
		if len(got) != 1 || !strings.Contains(got[0], c.wrong) {
			t.Errorf("%s: got %q, want %q", name, got, c.wrong)
		}
	}
}

// A fragment cannot bring what Muster answers for, nor what Google does not know.
func TestCustomPolicy(t *testing.T) {
	a := &Android{}
	for body, code := range map[string]string{
		`{"screenCaptureDisabled":true}`:                                              "",
		`{"statusReportingSettings":{}}`:                                              "android.custom.forbidden",
		`{"usageLog":{"enabledLogTypes":["SECURITY_LOGS"]}}`:                          "android.custom.forbidden",
		`{"applications":[{"packageName":"a.b","delegatedScopes":["CERT_INSTALL"]}]}`: "android.custom.forbidden",
		`{"screenCapture":true}`:                                                      "android.custom.wrong",
		`{"version":"9"}`:                                                             "android.custom.forbidden",
	} {
		settings, _ := json.Marshal(map[string]string{"android_policy": body})
		p := profileOf("c", fleet.TypeCustom, string(settings))
		if got := a.CheckSettings(p)["android_policy"].Code; got != code {
			t.Errorf("%s: got %q, want %q", body, got, code)
		}
	}
	p := profileOf("c", fleet.TypeCustom, `{"android_policy":"{\"bluetoothDisabled\":true}"}`)
	if ok, r := a.Applies(p, fleet.Target{Platform: fleet.Android, Mode: fleet.ModeWorkProfile, Ownership: fleet.Personal}); ok || r.Code != "android.custom.personal" {
		t.Errorf("a personal device takes it: %v %q", ok, r.Code)
	}
	if ok, _ := a.Applies(p, fleet.Target{Platform: fleet.Android, Mode: fleet.ModeKiosk, Ownership: fleet.Corporate}); !ok {
		t.Error("a kiosk does not take it")
	}
}

func TestClash(t *testing.T) {
	r := &rendering{mode: fleet.ModeWorkProfile, person: ada, root: testRoot(t)}
	part := func(p *fleet.Profile) tree {
		x, err := r.part(p)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for name, c := range map[string]struct {
		a, b *fleet.Profile
		want string
	}{
		"lengths":             {profileOf("a", fleet.TypePasscode, `{"min_length":4}`), profileOf("b", fleet.TypePasscode, `{"min_length":6}`), "passwordPolicies/SCOPE_PROFILE/passwordMinimumLength"},
		"equal":               {profileOf("a", fleet.TypePasscode, `{"min_length":4}`), profileOf("b", fleet.TypePasscode, `{"min_length":4}`), ""},
		"one mail app":        {profileOf("a", fleet.TypeEmail, `{"host":"one.example.org"}`), profileOf("b", fleet.TypeEmail, `{"host":"two.example.org"}`), "applications/com.google.android.gm/managedConfiguration/exchange_host"},
		"two networks":        {profileOf("a", fleet.TypeWiFi, `{"ssid":"A","security":"open"}`), profileOf("b", fleet.TypeWiFi, `{"ssid":"B","security":"open"}`), ""},
		"one root":            {profileOf("a", fleet.TypeTrustedRoot, `{"source":"internal"}`), profileOf("b", fleet.TypeTrustedRoot, `{"source":"internal"}`), ""},
		"allowed and blocked": {profileOf("a", fleet.TypeApp, `{"kind":"play","package":"a.b"}`), profileOf("b", fleet.TypeApp, `{"kind":"play","package":"a.b","install":"blocked"}`), "applications/a.b/installType"},
	} {
		if got := clash(part(c.a), part(c.b)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestResults(t *testing.T) {
	owners := map[string][]fleet.ProfileID{"passwordPolicies": {"pass"}, "app/com.google.android.gm": {"mail"}, "openNetworkConfiguration": {"wifi", "root"}}
	d, err := readDevice([]byte(`{"name":"enterprises/E/devices/D","nonComplianceDetails":[
		{"settingName":"passwordPolicies","nonComplianceReason":"USER_ACTION","specificNonComplianceReason":"PASSWORD_POLICIES_PASSWORD_NOT_SUFFICIENT"},
		{"settingName":"applications","packageName":"com.google.android.gm","nonComplianceReason":"APP_NOT_INSTALLED","installationFailureReason":"IN_PROGRESS"},
		{"settingName":"openNetworkConfiguration","nonComplianceReason":"WORD_OF_TOMORROW"},
		{"settingName":"cameraAccess","nonComplianceReason":"API_LEVEL"}],
		"applicationReports":[{"packageName":"com.google.android.gm","keyedAppStates":[{"key":"account","severity":"INFO","message":"fine"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[fleet.ProfileID]fleet.Result{}
	for _, r := range results(d, owners) {
		got[r.Profile] = r
	}
	for p, want := range map[fleet.ProfileID]struct {
		status fleet.ProfileStatusCode
		code   string
	}{
		"pass": {fleet.StatusWaitsPerson, "android.not.password"}, "mail": {fleet.StatusPending, "android.not.installing"},
		"wifi": {fleet.StatusError, "android.not.other"}, "root": {fleet.StatusError, "android.not.other"},
	} {
		if got[p].Status != want.status || got[p].Reason.Code != want.code {
			t.Errorf("%s: got %s %s, want %s %s", p, got[p].Status, got[p].Reason.Code, want.status, want.code)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d results: %v", len(got), got)
	}
}

// Whatever a notification or a device says, nothing breaks, and nothing comes out that is not bounded.
func FuzzNotification(f *testing.F) {
	f.Add("STATUS_REPORT", []byte(`{"name":"enterprises/E/devices/D","appliedPolicyVersion":"3","enrollmentTokenData":"{\"e\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"}","nonComplianceDetails":[{"settingName":"a","fieldPath":"b[0].c"}],"applicationReports":[{"packageName":"x"}],"lastStatusReportTime":"2026-01-01T00:00:00.123Z"}`))
	f.Add("ENROLLMENT", []byte(`{"name":"enterprises/E/devices/D","state":7}`))
	f.Add("COMMAND", []byte(`{"name":"enterprises/E/devices/D/operations/1","done":true,"metadata":{"type":"WIPE","errorCode":"UNKNOWN"},"error":{"code":1}}`))
	f.Add("TEST", []byte{})
	f.Add("STATUS_REPORT", []byte(`{"name":"enterprises//devices/","memoryInfo":{"totalInternalStorage":1e99},"networkInfo":{"telephonyInfos":[{}]}}`))
	f.Add("STATUS_REPORT", []byte(`{"name":"enterprises/E/devices/D","nonComplianceDetails":[{"settingName":"openNetworkConfiguration","fieldPath":"onc.Certificates[9999999].x","specificNonComplianceContext":{"oncWifiContext":{"wifiGuid":"g"}}}]}`))
	owners := map[string][]fleet.ProfileID{"a": {"p"}, "app/x": {"q"}, onc: {"p"}}
	f.Add("USAGE_LOGS", []byte(`{"device":"enterprises/E/devices/D","usageLogEvents":[{"eventType":"CONNECT","eventTime":"2026-11-26T10:00:00Z","connectEvent":{"packageName":"x","destinationPort":1}},{"eventType":"CONNECT","eventTime":"9999-99-99"},{}]}`))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		var batch usageBatch
		if json.Unmarshal(data, &batch) == nil {
			for _, u := range countUses(&batch) {
				if u.N < 1 || u.App == "" {
					t.Errorf("counted %+v", u)
				}
			}
		}
		name, _ := deviceNamed(kind, data)
		if name != "" && enterpriseOf(name) == "" {
			t.Errorf("%q is no device", name)
		}
		d, err := readDevice(data)
		if err != nil {
			return
		}
		if len(enrolmentOf(d)) > 40 {
			t.Error("an enrolment longer than any")
		}
		hardwareOf(d)
		for _, r := range results(d, owners) {
			if len(r.Reason.DeviceWords) > 500 {
				t.Errorf("%d bytes of words", len(r.Reason.DeviceWords))
			}
		}
		for _, q := range []fleet.QueryKind{fleet.QueryDevice, fleet.QuerySecurity} {
			var keys []fleet.FactKey
			for _, s := range factSources {
				keys = append(keys, s.fact)
			}
			if _, err := json.Marshal(factsOf(q, d, keys)); err != nil {
				t.Error(err)
			}
		}
		appsOf(d, fleet.ModeWorkProfile, owners)
	})
}

// Google's errors come in JSON, in HTML, and cut short.
func FuzzError(f *testing.F) {
	f.Add(400, []byte(`{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"policy.x","description":"d"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3.5s"}]}}`))
	f.Add(502, []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := readError(status, nil, body)
		if len(e.words()) > 8000 || e.After < 0 {
			t.Errorf("%d bytes, after %s", len(e.words()), e.After)
		}
	})
}

// A complaint of networks and certificates is said of the profile that it concerns, as far as Google tells; and a certificate is taken for missing only if
// it can be the one.
func TestComplaintsOfNetworksAndCertificates(t *testing.T) {
	r := &rendering{mode: fleet.ModeWorkProfile, ownership: fleet.Personal, person: ada, root: testRoot(t), packed: map[fleet.ProfileID]fleet.PackedIdentity{
		"key": {PKCS12: []byte("one"), Fingerprint: "f1"}, "key2": {PKCS12: []byte("two"), Fingerprint: "f2"}}}
	profiles := []*fleet.Profile{
		profileOf("root", fleet.TypeTrustedRoot, `{"source":"internal"}`), profileOf("key", fleet.TypeIdentity, `{"root":"root","delivery":"mixed"}`),
		profileOf("key2", fleet.TypeIdentity, `{"root":"root","delivery":"pkcs12"}`),
		profileOf("office", fleet.TypeWiFi, `{"ssid":"Office","security":"personal","password":"correct horse"}`), profileOf("guests", fleet.TypeWiFi, `{"ssid":"Guests","security":"open"}`)}
	doc, err := r.policy(profiles)
	if err != nil {
		t.Fatal(err)
	}
	sent := &sentPolicy{Owners: r.owners(doc, profiles), Certificates: r.certificates(profiles)}
	for name, c := range map[string]struct{ complaint, blames, there string }{ // the lists are in the order of GUIDs: muster-key, muster-key2, root-…; wifi-guests, wifi-office
		"a place among certificates": {`"fieldPath":"onc.Certificates[1]"`, "key2", "f1"},
		"the root":                   {`"fieldPath":"openNetworkConfiguration.Certificates[2].X509"`, "root", "f1 f2"},
		"a place among networks":     {`"fieldPath":"onc.NetworkConfigurations[0].WiFi"`, "guests", "f1 f2"},
		"a network by its GUID":      {`"specificNonComplianceReason":"ONC_WIFI_INVALID_VALUE","specificNonComplianceContext":{"oncWifiContext":{"wifiGuid":"wifi-office"}}`, "office", "f1 f2"},
		"some network":               {`"specificNonComplianceReason":"ONC_WIFI_INVALID_ENTERPRISE_CONFIG"`, "guests office", "f1 f2"},
		"a place that there is not":  {`"fieldPath":"onc.Certificates[9]"`, "key key2 root", ""},
		"nothing said":               {`"fieldPath":"onc"`, "guests key key2 office root", ""},
	} {
		d, err := readDevice([]byte(`{"nonComplianceDetails":[{"settingName":"openNetworkConfiguration","nonComplianceReason":"INVALID_VALUE",` + c.complaint + `}]}`))
		if err != nil {
			t.Fatal(err)
		}
		var blamed []string
		for _, x := range results(d, sent.Owners) {
			blamed = append(blamed, string(x.Profile))
		}
		if got := strings.Join(blamed, " "); got != c.blames {
			t.Errorf("%s: said of %q, want %q", name, got, c.blames)
		}
		if got := strings.Join(certificatesOf(d, sent), " "); got != c.there {
			t.Errorf("%s: certificates %q, want %q", name, got, c.there)
		}
	}
}
