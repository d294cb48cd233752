package appliance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/ui/uitest"
)

// administrator is a browser in which the demo's administrator is signed in.
func (w *world) administrator() *http.Client {
	w.t.Helper()
	c := w.browser()
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, w.Appliance.config.URL+"/", nil)
	w.Appliance.pages.SetSession(rec, req, w.session)
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(w.Appliance.config.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	jar.SetCookies(u, rec.Result().Cookies())
	c.Jar = jar
	return c
}

// read asks for a page and returns its status and text.
func (w *world) read(c *http.Client, path string) (int, string) {
	w.t.Helper()
	res, err := c.Get(w.Appliance.config.URL + path)
	return w.answer(res, err)
}

func (w *world) answer(res *http.Response, err error) (int, string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// An administrator connects to Google through the pages: nothing, key, sign-up at Google, back, checks, and only then invitations.
func TestAndroidSetUpThroughThePages(t *testing.T) {
	w, google := newWorldWithGoogle(t, func(*Config) {})
	c := w.administrator()
	want := func(status int, body string, in string, not ...string) {
		t.Helper()
		if status != http.StatusOK || !strings.Contains(body, in) {
			t.Fatalf("%d, without %q: %s", status, in, body)
		}
		for _, n := range not {
			if strings.Contains(body, n) {
				t.Errorf("the page says %q", n)
			}
		}
	}
	status, body := w.read(c, "/settings/android")
	want(status, body, "Not connected", "PRIVATE KEY")
	if _, body = w.read(c, "/invitations/new"); !strings.Contains(body, "Connect to Google first") {
		t.Error("Androids can be invited without Google")
	}
	status, body = w.answer(c.PostForm(w.Appliance.config.URL+"/invitations/new", url.Values{"platform": {"android/kiosk"}, "uses": {"1"}, "days": {"7"}}))
	if status != http.StatusUnprocessableEntity || !strings.Contains(body, "Connect to Google first") {
		t.Errorf("a forced invitation: %d", status)
	}

	upload := func(file string) (int, string) {
		t.Helper()
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		for name, v := range map[string]string{"kind": "own", "notices": "pubsub"} {
			if err := m.WriteField(name, v); err != nil {
				t.Fatal(err)
			}
		}
		part, err := m.CreateFormFile("key_file", "key.json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, file); err != nil {
			t.Fatal(err)
		}
		m.Close()
		return w.answer(c.Post(w.Appliance.config.URL+"/settings/android", m.FormDataContentType(), &form))
	}
	if status, body = upload("{}"); status != http.StatusUnprocessableEntity || !strings.Contains(body, "f-key_file-error") {
		t.Errorf("a file that is no key: %d", status)
	}
	status, body = upload(string(google.ServiceAccount()))
	want(status, body, "Sign-up is missing", "PRIVATE KEY")
	status, body = w.answer(c.PostForm(w.Appliance.config.URL+"/settings/android/sign-up", nil))
	want(status, body, `data-step="google"`)
	page := regexp.MustCompile(`href="([^"]+)"[^>]*data-step="google"`).FindStringSubmatch(body)
	if page == nil {
		t.Fatal("there is no way to Google")
	}
	back, err := google.SignUp(t.Context(), strings.ReplaceAll(page[1], "&amp;", "&"))
	if err != nil {
		t.Fatal(err)
	}
	status, body = w.answer(c.Get(back))
	want(status, body, "Cannot be checked") // the quota: the first device shows it
	if !strings.Contains(body, "In order") || strings.Contains(body, "Not in order") {
		t.Error("the checks do not say that all is in order")
	}
	google.Change(func(o *sim.GoogleConditions) { o.APIOff = true })
	status, body = w.read(c, "/settings/android?check=now")
	want(status, body, "Not in order")
	google.Change(func(o *sim.GoogleConditions) { o.APIOff = false })
	status, body = w.answer(c.PostForm(w.Appliance.config.URL+"/invitations/new", url.Values{"platform": {"android/kiosk"}, "uses": {"1"}, "days": {"7"}}))
	want(status, body, "/enroll/")
	if !strings.Contains(body, "first screen") {
		t.Error("the invitation does not say that the device has to be new")
	}
	status, body = w.answer(c.PostForm(w.Appliance.config.URL+"/settings/android/forget", nil))
	want(status, body, "Not connected")
}

// Every mode goes through the page that its person sees, and each way out is offered or refused with its reason.
func TestAndroidsThroughThePages(t *testing.T) {
	w := newAndroids(t)
	w.profile(fleet.TypeEmail, "Office mail on Androids", `{"account":"exchange","host":"mail.noordhaven.example"}`)
	c := w.administrator()
	for i, want := range []struct {
		mode    fleet.Mode
		person  string
		is      sim.AndroidMode
		refuses string // the action whose page says no
		order   fleet.ActionType
		then    string
		ends    fleet.State
	}{
		{fleet.ModeWorkProfile, "Anna", sim.AndroidWorkProfile, "wipe", fleet.ActRetire, "work profile removed", fleet.Retired},
		{fleet.ModeCompanyWorkProfile, "Bram", sim.AndroidCompany, "restart", fleet.ActRetire, "work profile removed", fleet.Retired},
		{fleet.ModeFullyManaged, "Carla", sim.AndroidManaged, "retire", fleet.ActWipe, "factory reset", fleet.Wiped},
		{fleet.ModeKiosk, "", sim.AndroidKiosk, "retire", fleet.ActWipe, "factory reset", fleet.Wiped},
	} {
		owner := fleet.Corporate
		if want.mode == fleet.ModeWorkProfile {
			owner = fleet.Personal
		}
		_, code, err := w.Appliance.fleet.Invite(t.Context(), w.Actor, fleet.InvitationInput{Person: w.people[want.person], Platform: fleet.Android, Mode: want.mode, Ownership: owner})
		if err != nil {
			t.Fatal(err)
		}
		phone := sim.NewAndroid(sim.AndroidOptions{Google: w.google, Roots: w.roots, Seed: int64(i + 1), FactoryNew: want.mode != fleet.ModeWorkProfile, PersonalApps: []string{"com.whatsapp"}})
		if err := phone.Enrol(t.Context(), w.Appliance.config.URL+"/enroll/"+code); err != nil {
			t.Fatalf("%s: %v", want.mode, err)
		}
		id := w.live(phone)
		if s := phone.State(); s.Mode != want.is || !strings.Contains(s.TermsRead, "Noordhaven Architecten") {
			t.Errorf("%s became %q after reading %q", want.mode, s.Mode, s.TermsRead)
		}
		if want.person != "" {
			w.eventually("Gmail is configured", func() bool { return len(phone.State().Mail) == 1 })
		}
		w.named(id)
		status, body := w.read(c, "/devices/"+string(id))
		if status != http.StatusOK || !strings.Contains(body, "Android") {
			t.Errorf("%s: the device's page answers %d", want.mode, status)
		}
		if status, body = w.read(c, "/devices/"+string(id)+"/act/"+want.refuses); status != http.StatusConflict || strings.Contains(body, `name="confirm"`) {
			t.Errorf("%s: %s answers %d", want.mode, want.refuses, status)
		}
		w.act(id, want.order)
		w.eventually("the Android is out of management", func() bool { return w.state(id) == want.ends })
		if s := phone.State(); s.Wiped != want.then || (len(s.PersonalApps) == 1) != (want.then == "work profile removed") {
			t.Errorf("%s: %q, personal apps %v", want.mode, s.Wiped, s.PersonalApps)
		}
		if receipt := w.receipt(id); receipt.Outcome != "proved" {
			t.Errorf("%s: the receipt is %q: %+v", want.mode, receipt.Outcome, receipt.Rows)
		}
	}
	for _, complaint := range w.google.Complaints() {
		t.Errorf("Google complains: %s", complaint)
	}
}

// live lets an enrolled Android live until the test ends, and returns its id once its news has come.
func (w *androids) live(d *sim.Android) (id fleet.DeviceID) {
	w.t.Helper()
	name := d.State().Name
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	w.eventually("the Android is known", func() bool {
		who, err := w.Appliance.fleet.IdentifyService(w.t.Context(), name)
		if err == nil {
			id = who.Device
		}
		return err == nil
	})
	return id
}

// looksOf pairs a mode with a language and a theme, so that each is looked at without looking at everything four times.
var looksOf = map[fleet.Mode][2]string{fleet.ModeWorkProfile: {"nl", "dark"}, fleet.ModeKiosk: {"en", "light"}}

// The pages that the person of an Android sees hold in a browser: both languages and themes, wide and on a phone, before and after accepting.
func TestAndroidPeoplesPages(t *testing.T) {
	b := uitest.Start(t)
	w := newAndroids(t)
	for mode, owner := range map[fleet.Mode]fleet.Ownership{fleet.ModeWorkProfile: fleet.Personal, fleet.ModeKiosk: fleet.Corporate} {
		person := w.people["Anna"]
		if mode == fleet.ModeKiosk {
			person = ""
		}
		_, code, err := w.Appliance.fleet.Invite(t.Context(), w.Actor, fleet.InvitationInput{Person: person, Platform: fleet.Android, Mode: mode, Ownership: owner, Uses: 2})
		if err != nil {
			t.Fatal(err)
		}
		lang, scheme := looksOf[mode][0], looksOf[mode][1]
		tab := b.Open(t, w.Appliance.config.URL+"/enroll/"+code, uitest.View{Lang: lang})
		look := func(name string) {
			t.Helper()
			for _, width := range []int64{1280, 360} {
				tab.Run(t, emulation.SetDeviceMetricsOverride(width, 800, 1, width < 500), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
				tab.Check(t)
				tab.Shot(t, fmt.Sprintf("android_%s_%s.%s-%s-%d", name, mode, lang, scheme, width))
			}
		}
		look("enrol")
		tab.Click(t, `[name="accept"]`)
		tab.Submit(t, `[data-step="accept"] button`)
		var there bool
		tab.Eval(t, `!!document.querySelector('[data-step="android"], [data-qr]')`, &there)
		if !there {
			t.Errorf("%s, %s: nothing to go on with after accepting", mode, lang)
		}
		tab.Run(t, chromedp.Evaluate(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil))
		look("install")
	}
}
