package sim_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/sim"
)

// clock is a time that a test moves; it starts now, because tokens are signed with the real time.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(by time.Duration) { c.ahead.Add(int64(by)) }

// movable gives the stand-in a clock. The caller's token goes on being good.
func (c *googleClient) movable() *clock {
	k := &clock{}
	c.g.SetClock(k.now)
	return k
}

// again signs in with an assertion of the moved time.
func (c *googleClient) again(k *clock) {
	c.t.Helper()
	code, v := c.exchange(c.assertion(func(o object) { o["iat"], o["exp"] = k.now().Unix(), k.now().Add(time.Hour).Unix() }))
	if code != http.StatusOK {
		c.t.Fatalf("token: %d %v", code, v)
	}
	c.token = v["access_token"].(string)
}

func TestAndroidModes(t *testing.T) {
	c := newGoogle(t, true)
	all := object{"statusReportingSettings": reporting, "crossProfilePolicies": object{"crossProfileCopyPaste": "CROSS_PROFILE_COPY_PASTE_ALLOWED"}, "keyguardDisabled": true, "factoryResetDisabled": true}
	c.policy("all", all)
	for _, want := range []struct {
		mode             sim.AndroidMode
		usage            string
		fresh            bool
		management, owns string
		bad              []string
	}{
		{sim.AndroidWorkProfile, "PERSONAL_USAGE_ALLOWED", false, "PROFILE_OWNER", "PERSONALLY_OWNED", []string{"factoryResetDisabled MANAGEMENT_MODE", "keyguardDisabled MANAGEMENT_MODE"}},
		{sim.AndroidCompany, "PERSONAL_USAGE_ALLOWED", true, "PROFILE_OWNER", "COMPANY_OWNED", []string{"keyguardDisabled MANAGEMENT_MODE"}},
		{sim.AndroidManaged, "PERSONAL_USAGE_DISALLOWED", true, "DEVICE_OWNER", "COMPANY_OWNED", []string{"crossProfilePolicies MANAGEMENT_MODE"}},
		{sim.AndroidKiosk, "PERSONAL_USAGE_DISALLOWED_USERLESS", true, "DEVICE_OWNER", "COMPANY_OWNED", []string{"crossProfilePolicies MANAGEMENT_MODE"}},
	} {
		d := c.phone(sim.AndroidOptions{FactoryNew: want.fresh, Seed: int64(len(want.bad))}, "all", want.usage)
		s := d.State()
		if s.Mode != want.mode || !slices.Equal(slices.Sorted(slices.Values(s.NonCompliance)), want.bad) {
			t.Errorf("%s: %s, not compliant: %v", want.mode, s.Mode, s.NonCompliance)
		}
		v := c.do("GET", s.Name, nil)
		network, _ := v["networkInfo"].(object)
		if v["managementMode"] != want.management || v["ownership"] != want.owns || (network["imei"] != nil) != (want.owns == "COMPANY_OWNED") || (network["telephonyInfos"] != nil) != (want.management == "DEVICE_OWNER") {
			t.Errorf("%s reports %v", want.mode, v)
		}
		// What each mode does with the ways out.
		c.do("POST", s.Name+":issueCommand", object{"type": "RELINQUISH_OWNERSHIP", "duration": "3600s"})
		if err := d.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := d.State(); after.Enrolled == (want.mode == sim.AndroidCompany) {
			t.Errorf("%s: after giving up ownership: %+v", want.mode, after.Commands)
		}
		if want.mode == sim.AndroidCompany {
			continue
		}
		c.do("POST", s.Name+":issueCommand", object{"type": "REBOOT"})
		c.do("POST", s.Name+":issueCommand", object{"type": "WIPE", "wipeParams": object{}})
		if err := d.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := d.State()
		if got := after.Commands[1]; (got.ErrorCode == "") != (want.management == "DEVICE_OWNER") {
			t.Errorf("%s: reboot came to %+v", want.mode, got)
		}
		if (after.Wiped == "factory reset") != (want.owns == "COMPANY_OWNED") || after.Enrolled {
			t.Errorf("%s: the wipe did %q", want.mode, after.Wiped)
		}
	}
	personal := sim.NewAndroid(sim.AndroidOptions{Google: c.g})
	var no *sim.AndroidError
	if err := personal.EnrolToken(t.Context(), c.enrolmentToken("all", "PERSONAL_USAGE_DISALLOWED")); !errors.As(err, &no) {
		t.Errorf("a phone in use became fully managed: %v", err)
	}
}

func TestOldAndroidReportsMore(t *testing.T) {
	c := newGoogle(t, true)
	c.policy("p", object{"statusReportingSettings": reporting, "passwordPolicies": []any{object{"passwordScope": "SCOPE_DEVICE", "passwordQuality": "NUMERIC", "passwordMinimumLength": 6}}})
	old := c.phone(sim.AndroidOptions{OSVersion: "11", Seed: 3}, "p", "PERSONAL_USAGE_ALLOWED").State()
	fresh := c.phone(sim.AndroidOptions{OSVersion: "14", Seed: 3}, "p", "PERSONAL_USAGE_ALLOWED").State()
	v := c.do("GET", old.Name, nil)
	if v["hardwareInfo"].(object)["serialNumber"] != old.Serial || v["networkInfo"].(object)["imei"] != old.IMEI || len(old.Password) != 6 {
		t.Errorf("Android 11 reports %v with password %q", v, old.Password)
	}
	if v := c.do("GET", fresh.Name, nil); v["hardwareInfo"].(object)["serialNumber"] == fresh.Serial || len(fresh.Password) != 4 {
		t.Errorf("Android 14 reports %v with password %q", v, fresh.Password)
	}
}

func TestAndroidPassword(t *testing.T) {
	c := newGoogle(t, true)
	k := c.movable()
	rule := object{"passwordPolicies": []any{object{"passwordScope": "SCOPE_PROFILE", "passwordQuality": "NUMERIC", "passwordMinimumLength": 4}}}
	c.policy("p", rule)
	d := c.phone(sim.AndroidOptions{Mood: sim.AndroidMood{RefusesPassword: true}}, "p", "PERSONAL_USAGE_ALLOWED")
	s := d.State()
	if want := "passwordPolicies USER_ACTION PASSWORD_POLICIES_PASSWORD_NOT_SUFFICIENT"; !s.Blocked || len(s.NonCompliance) != 1 || s.NonCompliance[0] != want {
		t.Fatalf("without a password: %+v", s)
	}
	d.SetPassword("4711")
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.State(); s.Blocked || !s.Compliant {
		t.Errorf("with one: %+v", s)
	}
	// Without a rule of its own, Google's default wipes after ten days, even offline for the server's purposes.
	d.SetPassword("")
	_ = d.Sync(t.Context()) // what matters follows
	k.forward(10*24*time.Hour + time.Minute)
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.State(); s.Enrolled || s.Wiped != "work profile removed" {
		t.Errorf("after ten days: %+v", s)
	}
}

func TestAndroidApps(t *testing.T) {
	c := newGoogle(t, true)
	c.policy("p", object{"statusReportingSettings": reporting, "applications": []any{
		object{"packageName": "com.ninefolders.hd3.work", "installType": "FORCE_INSTALLED", "managedConfiguration": object{"AppServiceHost": "mail.example.com", "AppServicePort": "443", "UserEmail": "ada@example.com", "Colour": 1}},
		object{"packageName": "com.example.unknown", "installType": "FORCE_INSTALLED"}, object{"packageName": "com.microsoft.teams", "installType": "FORCE_INSTALLED"}, object{"packageName": "org.videolan.vlc"}}})
	d := c.phone(sim.AndroidOptions{Mood: sim.AndroidMood{SlowInstalls: 1, FailedApps: map[string]string{"com.microsoft.teams": "INSUFFICIENT_STORAGE"}}}, "p", "PERSONAL_USAGE_ALLOWED")
	if s := d.State(); !slices.Contains(s.NonCompliance, "applications PENDING com.ninefolders.hd3.work IN_PROGRESS") {
		t.Errorf("at first: %v", s.NonCompliance)
	}
	if err := d.InstallApp("org.videolan.vlc"); err != nil {
		t.Error(err)
	}
	if err := d.InstallApp("com.whatsapp"); err == nil {
		t.Error("an app that is not offered was installed")
	}
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := d.State()
	want := []string{"applications APP_NOT_INSTALLED com.example.unknown NOT_FOUND", "applications APP_NOT_INSTALLED com.microsoft.teams INSUFFICIENT_STORAGE"}
	if !slices.Equal(slices.Sorted(slices.Values(s.NonCompliance)), want) || !slices.Equal(slices.Sorted(maps.Keys(s.Apps)), []string{"com.ninefolders.hd3.work", "org.videolan.vlc"}) {
		t.Errorf("later: %v, apps %v", s.NonCompliance, s.Apps)
	}
	reports, _ := json.Marshal(c.do("GET", s.Name, nil)["applicationReports"])
	for _, part := range []string{`"key":"AppServicePort"`, `"severity":"ERROR"`, `"unknown setting"`} {
		if !strings.Contains(string(reports), part) {
			t.Errorf("the reports %s lack %s", reports, part)
		}
	}
	c.policy("p", object{"applications": []any{}})
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.State(); len(s.Apps) != 0 || len(s.Mail) != 0 {
		t.Errorf("what the policy no longer names stays: %v", s.Apps)
	}
}

func TestGoogleCommands(t *testing.T) {
	c := newGoogle(t, true)
	k := c.movable()
	c.policy("p", object{"cameraDisabled": true})
	d := c.phone(sim.AndroidOptions{}, "p", "PERSONAL_USAGE_ALLOWED")
	name := d.State().Name
	c.refused(400, "INVALID_ARGUMENT", "POST", name+":issueCommand", object{"type": "WIPE"})
	c.refused(400, "INVALID_ARGUMENT", "POST", name+":issueCommand", object{"type": "LOCK", "wipeParams": object{}})
	c.refused(400, "INVALID_ARGUMENT", "POST", name+":issueCommand", object{})
	c.refused(400, "INVALID_ARGUMENT", "POST", name+":issueCommand", object{"type": "LOCK", "errorCode": "UNKNOWN"})

	d.SetOffline(true)
	if err := d.Sync(t.Context()); !errors.Is(err, sim.ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	missed := c.do("POST", name+":issueCommand", object{"type": "LOCK"})
	cancelled := c.do("POST", name+":issueCommand", object{"type": "LOCK", "duration": "86400s"})
	c.do("POST", cancelled["name"].(string)+":cancel", nil)
	kept := c.do("POST", name+":issueCommand", object{"type": "LOCK", "duration": "315360000s"})
	k.forward(11 * time.Minute)
	c.pull()
	d.SetOffline(false)
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.State(); s.Locks != 1 {
		t.Errorf("locked %d times", s.Locks)
	}
	for _, want := range []struct {
		op    object
		done  any
		error bool
	}{{missed, nil, false}, {cancelled, true, true}, {kept, true, false}} {
		if v := c.do("GET", want.op["name"].(string), nil); v["done"] != want.done || (v["error"] != nil) != want.error {
			t.Errorf("%v, want done %v", v, want.done)
		}
	}
	if l := c.do("GET", name+"/operations?pageSize=2", nil); len(l["operations"].([]any)) != 2 || l["nextPageToken"] == nil {
		t.Errorf("operations %v", l)
	}
	// A person who deletes the work profile tells nobody; the record stays as it was.
	c.pull()
	if err := d.RemoveWorkProfile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := c.do("GET", name, nil); v["appliedState"] != "ACTIVE" || len(c.pull()) != 0 {
		t.Errorf("Google learnt of the removal: %v", v)
	}
	c.do("DELETE", name, nil)
	c.refused(404, "NOT_FOUND", "GET", name, nil)
}

func TestPubSub(t *testing.T) {
	c := newGoogle(t, true)
	k := c.movable()
	c.policy("p", object{})
	c.g.Change(func(o *sim.GoogleConditions) { o.Duplicated, o.Shuffled = true, true })
	d := c.phone(sim.AndroidOptions{}, "p", "PERSONAL_USAGE_ALLOWED")
	take := func() []any {
		v := c.do("POST", simSub+":pull", object{"maxMessages": 10, "returnImmediately": true})
		l, _ := v["receivedMessages"].([]any)
		return l
	}
	kind := func(v any) any { return v.(object)["message"].(object)["attributes"].(object)["notificationType"] }
	first := take()
	if len(first) != 4 || kind(first[0]) != "STATUS_REPORT" || kind(first[3]) != "ENROLLMENT" {
		t.Fatalf("came %v", first)
	}
	if len(take()) != 0 {
		t.Error("what is leased came again at once")
	}
	k.forward(61 * time.Second)
	c.again(k)
	second := take()
	if len(second) != 4 || second[0].(object)["deliveryAttempt"] != float64(2) {
		t.Fatalf("after the deadline came %v", second)
	}
	c.do("POST", simSub+":modifyAckDeadline", object{"ackIds": []any{second[0].(object)["ackId"]}, "ackDeadlineSeconds": 0})
	if len(take()) != 1 {
		t.Error("what was given back did not come again")
	}
	c.do("POST", simSub+":acknowledge", object{"ackIds": []any{second[1].(object)["ackId"], second[2].(object)["ackId"], second[3].(object)["ackId"]}})
	if n := c.g.Unacknowledged(); n != 1 {
		t.Errorf("%d wait", n)
	}
	c.g.Change(func(o *sim.GoogleConditions) { o.Lost = true })
	_ = d.Sync(t.Context()) // its report is lost
	if n := c.g.Unacknowledged(); n != 1 {
		t.Errorf("%d wait although notifications are lost", n)
	}
	// A pull that finds nothing waits until something comes.
	c.g.Change(func(o *sim.GoogleConditions) { *o = sim.GoogleConditions{DeviceQuota: 500} })
	done := make(chan object, 1)
	go func() {
		_, v := c.try("POST", simSub+":pull", object{"maxMessages": 1})
		done <- v
	}()
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := <-done; len(v["receivedMessages"].([]any)) != 1 {
		t.Errorf("the long pull gave %v", v)
	}
}

func TestGoogleConditions(t *testing.T) {
	c := newGoogle(t, true)
	c.policy("p", object{})
	list := func() (int, object) { return c.try("GET", c.enterprise+"/devices", nil) }
	change := func(f func(*sim.GoogleConditions)) { c.g.Change(f) }

	change(func(o *sim.GoogleConditions) { o.APIOff = true })
	_, v := list()
	if info := v["error"].(object)["details"].([]any)[0].(object); info["reason"] != "SERVICE_DISABLED" || info["domain"] != "googleapis.com" {
		t.Errorf("an API that is off answers %v", v)
	}
	change(func(o *sim.GoogleConditions) { o.APIOff, o.CutOff = false, true })
	c.refused(403, "PERMISSION_DENIED", "GET", c.enterprise+"/devices", nil)
	change(func(o *sim.GoogleConditions) { *o = sim.GoogleConditions{DeviceQuota: 0} })
	if err := sim.NewAndroid(sim.AndroidOptions{Google: c.g}).EnrolToken(t.Context(), c.enrolmentToken("p", "PERSONAL_USAGE_ALLOWED")); err == nil {
		t.Error("a device enrolled without a quota")
	}
	change(func(o *sim.GoogleConditions) {
		*o = sim.GoogleConditions{DeviceQuota: 5, NotModified: true, NoTopicRole: true}
	})
	if code, _ := c.try("PATCH", c.enterprise+"/policies/p", object{}); code != http.StatusNotModified {
		t.Errorf("a patch without effect answered %d", code)
	}
	c.refused(403, "PERMISSION_DENIED", "PUT", "projects/sim-project/topics/other", object{})

	c.g.Answer(1, sim.GoogleTrouble{Path: "/devices", Status: 429, RetryAfter: 60})
	c.g.Answer(1, sim.GoogleTrouble{Path: "/devices", Status: 502, HTML: true})
	if code, v := list(); code != 429 || v["error"].(object)["details"].([]any)[0].(object)["retryDelay"] != "60s" {
		t.Errorf("%d %v", code, v)
	}
	if code, v := list(); code != 502 || v != nil {
		t.Errorf("%d %v", code, v)
	}
	if code, _ := list(); code != 200 {
		t.Errorf("afterwards %d", code)
	}
	c.g.ExpireTokens()
	c.refused(401, "UNAUTHENTICATED", "GET", c.enterprise+"/devices", nil)
	for want, f := range map[string]func(object){
		"wrong audience": func(o object) { o["aud"] = "https://oauth2.googleapis.com/token" },
		"short-lived":    func(o object) { o["exp"] = time.Now().Add(2 * time.Hour).Unix() },
		"issuer":         func(o object) { o["iss"] = "eve@example.com" },
		"scope":          func(o object) { o["scope"] = "" },
	} {
		if code, v := c.exchange(c.assertion(f)); code != 400 || v["error"] != "invalid_grant" || !strings.Contains(v["error_description"].(string), want) {
			t.Errorf("%s: %d %v", want, code, v)
		}
	}
	forged := c.assertion(nil)
	if code, v := c.exchange(forged[:len(forged)-8] + "AAAAAAAA"); code != 400 || v["error"] != "invalid_grant" {
		t.Errorf("a forged assertion: %d %v", code, v)
	}
	c.g.Unreachable(true)
	if resp, err := c.http.Get(c.g.URL()); err == nil {
		resp.Body.Close()
		t.Error("reachable")
	}
	c.g.Unreachable(false)
	c.signIn()
	if code, _ := list(); code != 200 {
		t.Errorf("back again: %d", code)
	}
}

func TestPoliciesEnd(t *testing.T) {
	c := newGoogle(t, true)
	k := c.movable()
	c.policy("used", object{"screenCaptureDisabled": true})
	c.policy("unused", object{"screenCaptureDisabled": true})
	d := c.phone(sim.AndroidOptions{}, "used", "PERSONAL_USAGE_ALLOWED")
	c.refused(400, "FAILED_PRECONDITION", "DELETE", c.enterprise+"/policies/used", nil)
	k.forward(7*24*time.Hour + time.Hour)
	c.again(k)
	c.refused(404, "NOT_FOUND", "GET", c.enterprise+"/policies/unused", nil)
	c.do("GET", c.enterprise+"/policies/used", nil)
	// A device without a policy gives up after five minutes.
	lost := c.phone(sim.AndroidOptions{Seed: 9}, "never", "PERSONAL_USAGE_ALLOWED")
	if v := c.do("GET", lost.State().Name, nil); v["appliedState"] != "PROVISIONING" {
		t.Errorf("without a policy: %v", v)
	}
	k.forward(6 * time.Minute)
	_ = lost.Sync(t.Context()) // it gives up
	if lost.State().Enrolled || !d.State().Enrolled {
		t.Error("the wrong device gave up")
	}
	if len(c.g.Complaints()) != 1 {
		t.Errorf("complaints %v", c.g.Complaints())
	}
	// The same phone again is known by its earlier names.
	again := c.phone(sim.AndroidOptions{Seed: 9}, "used", "PERSONAL_USAGE_ALLOWED")
	if v := c.do("GET", again.State().Name, nil); len(v["previousDeviceNames"].([]any)) != 1 {
		t.Errorf("enrolled again: %v", v)
	}
	if l := c.do("GET", c.enterprise+"/devices?pageSize=1&fields=devices(name,policyName),nextPageToken", nil); len(l["devices"].([]any)) != 1 || len(l["devices"].([]any)[0].(object)) != 2 || l["nextPageToken"] == nil {
		t.Errorf("the list gave %v", l)
	}
}

func TestAndroidThroughPage(t *testing.T) {
	c := newGoogle(t, true)
	c.policy("p", object{"applications": []any{gmail}})
	var body atomic.Value
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(acceptForm))
			return
		}
		_, _ = w.Write([]byte(body.Load().(string)))
	}))
	t.Cleanup(s.Close)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	body.Store(`<!doctype html><main><a data-step="android" href="https://enterprise.google.com/android/enroll?et=` + c.enrolmentToken("p", "PERSONAL_USAGE_ALLOWED") + `">Set up</a></main>`)
	d := sim.NewAndroid(sim.AndroidOptions{Google: c.g, Roots: roots})
	if err := d.Enrol(t.Context(), s.URL); err != nil || !d.State().Enrolled || !strings.Contains(d.State().TermsRead, "serial number") {
		t.Errorf("by the button: %v, %+v", err, d.State())
	}
	token := c.do("POST", c.enterprise+"/enrollmentTokens", object{"policyName": "p", "allowPersonalUsage": "PERSONAL_USAGE_DISALLOWED"})
	body.Store(`<!doctype html><main><div data-qr="` + strings.ReplaceAll(token["qrCode"].(string), `"`, "&quot;") + `"></div></main>`)
	d = sim.NewAndroid(sim.AndroidOptions{Google: c.g, Roots: roots, FactoryNew: true, Seed: 2})
	if err := d.Enrol(t.Context(), s.URL); err != nil || d.State().Mode != sim.AndroidManaged {
		t.Errorf("by the code: %v, %+v", err, d.State())
	}
	body.Store(`<!doctype html><main>Nothing</main>`)
	if err := sim.NewAndroid(sim.AndroidOptions{Google: c.g, Roots: roots, Seed: 3}).Enrol(t.Context(), s.URL); err == nil {
		t.Error("a page without a way enrolled")
	}
}
