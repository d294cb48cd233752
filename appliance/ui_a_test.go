package appliance

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/ui/uitest"
)

// aWorld is an appliance with devices in every state that the pages of devices and receipts must show.
type aWorld struct {
	*world
	blocked, mac, offline, retired fleet.DeviceID
}

func newAWorld(t testing.TB) *aWorld {
	w := &aWorld{world: newWorld(t)}
	_, w.blocked = w.device(sim.Options{Seed: 1, Kind: sim.IPhone, Name: "Daan's iPhone", ManualAccount: "daan@noordhaven.example", Passcode: "482913"}, "Daan", fleet.Personal)
	_, w.mac = w.device(sim.Options{Seed: 2, Kind: sim.Mac, Name: "Eva's Mac"}, "Eva", fleet.Corporate)
	_, w.retired = w.device(sim.Options{Seed: 3, Kind: sim.IPad, Name: "Counter iPad"}, "", fleet.Corporate)
	away, offline := w.device(sim.Options{Seed: 4, Kind: sim.IPhone, Name: "Greet's iPhone", Passcode: "482913", Mood: sim.Mood{OfflineAfterEnrol: time.Millisecond, OfflineFor: time.Hour}}, "Greet", fleet.Corporate)
	w.offline = offline
	w.eventually("Daan's own mail account in the way", func() bool { return w.statuses(w.blocked)["Office mail"].Status == fleet.StatusWaitsPerson })
	w.eventually("the iPhone and the Mac are managed", func() bool { return w.look(w.offline).State == fleet.Managed && w.look(w.mac).State == fleet.Managed })
	w.eventually("Greet's iPhone is out of reach", func() bool { return away.State().Offline })
	for _, id := range []fleet.DeviceID{w.blocked, w.mac, w.retired, w.offline} {
		w.named(id)
	}
	w.eventually("the iPad has its passcode rule", func() bool { return w.statuses(w.retired)["Passcode"].Status == fleet.StatusSucceeded })
	w.order(w.retired, fleet.ActRetire, fleet.ActionOptions{})
	w.eventually("the iPad is retired", func() bool { return w.look(w.retired).State == fleet.Retired })
	return w
}

func (w *aWorld) look(id fleet.DeviceID) *fleet.Device {
	w.t.Helper()
	d, err := w.Appliance.fleet.Device(w.t.Context(), w.Actor, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *aWorld) order(id fleet.DeviceID, t fleet.ActionType, o fleet.ActionOptions) *fleet.Action {
	w.t.Helper()
	a, err := w.Appliance.fleet.Act(w.t.Context(), w.Actor, id, t, o, w.look(id).Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *aWorld) receiptOf(id fleet.DeviceID) string {
	w.t.Helper()
	list, err := w.Appliance.fleet.Receipts(w.t.Context(), w.Actor, id, fleet.ListQuery{})
	if err != nil || len(list.Items) == 0 {
		w.t.Fatalf("no receipt: %v", err)
	}
	return "/receipts/" + string(list.Items[0].ID)
}

func (w *aWorld) at(path string) string { return w.Appliance.config.URL + path }

func (w *aWorld) page(id fleet.DeviceID) string { return "/devices/" + string(id) }

func (w *aWorld) signedIn(v uitest.View) uitest.View {
	v.Cookies = append(v.Cookies, &http.Cookie{Name: "__Host-muster_session", Value: w.session})
	return v
}

// speak sets the administrator's language, which counts before the browser's.
func (w *aWorld) speak(lang string) {
	w.t.Helper()
	if _, err := w.Appliance.fleet.UpdateAdmin(w.t.Context(), w.Actor, fleet.AdminID(w.Actor.ID), fleet.AdminInput{Language: &lang}); err != nil {
		w.t.Fatal(err)
	}
}

// aVisitor is a browser without scripts that holds a session and does not follow redirects.
type aVisitor struct {
	*http.Client
	w *aWorld
}

func (w *aWorld) visit(session string) *aVisitor {
	c := w.browser()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	u, _ := url.Parse(w.at("/"))
	c.Jar.(*cookiejar.Jar).SetCookies(u, []*http.Cookie{{Name: "__Host-muster_session", Value: session, Path: "/", Secure: true}})
	return &aVisitor{c, w}
}

func (v *aVisitor) do(method, path string, form url.Values) (int, string, http.Header) {
	v.w.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(v.w.t.Context(), method, v.w.at(path), body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := v.Do(r)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

func TestDevicePagesInTheBrowser(t *testing.T) {
	b := uitest.Start(t)
	w := newAWorld(t)
	w.order(w.offline, fleet.ActWipe, fleet.ActionOptions{Stolen: true})
	pages := [][2]string{
		{"overview", "/"}, {"devices", "/devices"}, {"devices-none", "/devices?q=zzzz&silent=30&ownership=personal"}, {"devices-sorted", "/devices?sort=name&turn=1&q=e"},
		{"device-blocked", w.page(w.blocked)}, {"device-mac", w.page(w.mac)}, {"device-wiping", w.page(w.offline)}, {"device-retired", w.page(w.retired)},
		{"timeline", w.page(w.mac) + "/timeline"}, {"edit", w.page(w.mac) + "/edit"}, {"edit-personal", w.page(w.blocked) + "/edit"},
		{"act-lock", w.page(w.mac) + "/act/lock"}, {"act-retire", w.page(w.blocked) + "/act/retire"}, {"act-wipe", w.page(w.mac) + "/act/wipe"},
		{"act-wipe-next", w.page(w.mac) + "/act/wipe?for=next"}, {"act-wipe-lost", w.page(w.mac) + "/act/wipe?for=lost"}, {"act-refused", w.page(w.blocked) + "/act/wipe"},
		{"act-delete", w.page(w.retired) + "/act/delete"}, {"act-restart", w.page(w.mac) + "/act/restart"},
		{"receipts", "/receipts"}, {"receipt", w.receiptOf(w.retired)}, {"receipt-open", w.receiptOf(w.offline)},
	}
	often := map[string]bool{"overview": true, "devices": true, "device-blocked": true, "act-wipe-next": true, "receipt": true} // seen in every view
	for _, v := range []struct {
		name string
		all  bool
		uitest.View
	}{
		{"wide-light-en", true, uitest.View{Lang: "en"}}, {"wide-dark-nl", false, uitest.View{Lang: "nl", Dark: true}},
		{"phone-light-en", false, uitest.View{Width: 360, Height: 740, Lang: "en"}}, {"phone-dark-nl", true, uitest.View{Width: 360, Height: 740, Lang: "nl", Dark: true}},
	} {
		w.speak(v.Lang)
		for _, p := range pages {
			if !v.all && !often[p[0]] {
				continue
			}
			t.Run(p[0]+" "+v.name, func(t *testing.T) {
				tab := b.Open(t, w.at(p[1]), w.signedIn(v.View))
				tab.Shot(t, "a-"+p[0]+"-"+v.name)
				tab.Check(t)
				if m := regexp.MustCompile(`\b(reason|device|devices|act|receipt|evidence|standing|overview|fact|word|category)\.[a-z]+[.a-z_-]*\b|\{[a-z_|:]+\}`).FindString(tab.Text(t, "main")); m != "" {
					t.Errorf("a text is missing or not filled in: %s", m)
				}
			})
		}
	}
	w.speak("en")
	for _, p := range []string{"/", "/devices", w.page(w.mac), w.page(w.mac) + "/act/wipe?for=next"} {
		t.Run("focus "+p, func(t *testing.T) { b.Open(t, w.at(p), w.signedIn(uitest.View{})).CheckFocus(t, 60) })
	}
	t.Run("the receipt fits on A4", func(t *testing.T) {
		tab := b.Open(t, w.at(w.receiptOf(w.retired)), w.signedIn(uitest.View{}))
		const wide = 718 // CSS pixels between margins of 16 mm on A4
		tab.Run(t, emulation.SetEmulatedMedia().WithMedia("print"), emulation.SetDeviceMetricsOverride(wide, 1000, 1, false))
		var got struct {
			Wide           int
			Nav, Paper, PR string
		}
		tab.Eval(t, `({Wide: document.documentElement.scrollWidth, Nav: getComputedStyle(document.querySelector(".side")).display, Paper: getComputedStyle(document.querySelector(".paper")).borderTopWidth, PR: getComputedStyle(document.querySelector(".print-only")).display})`, &got)
		if got.Wide > wide || got.Nav != "none" || got.Paper != "0px" || got.PR == "none" {
			t.Errorf("on paper: %+v", got)
		}
	})
}

func TestDevicePagesFollowTheDevice(t *testing.T) {
	b := uitest.Start(t)
	w := newAWorld(t)
	tab := b.Open(t, w.at(w.page(w.offline)), w.signedIn(uitest.View{}))
	list := b.Open(t, w.at("/devices"), w.signedIn(uitest.View{}))
	tab.Follow(t)
	list.Follow(t)
	a := w.order(w.offline, fleet.ActLock, fleet.ActionOptions{Message: "Bring it to the desk"})
	tab.Run(t, chromedp.WaitVisible(`#under-way .orders li`, chromedp.ByQuery))
	if got := tab.Text(t, "#under-way"); !strings.Contains(got, "Bring it to the desk") || !strings.Contains(got, "Queued") {
		t.Errorf("the open order is not told: %s", got)
	}
	if err := w.Appliance.fleet.CallOff(t.Context(), w.Actor, a.ID); err != nil {
		t.Fatal(err)
	}
	tab.Run(t, chromedp.WaitNotPresent(`#under-way .orders li`, chromedp.ByQuery), chromedp.WaitVisible(`#past table`, chromedp.ByQuery))
	if got := tab.Text(t, "#past"); !strings.Contains(got, "Called off") {
		t.Errorf("the order that was called off is not told: %s", got)
	}
	w.order(w.offline, fleet.ActRetire, fleet.ActionOptions{})
	list.Run(t, chromedp.WaitVisible(`//tr[@id="row-`+string(w.offline)+`"]//*[contains(text(),"Being retired")]`, chromedp.BySearch))
	tab.Run(t, chromedp.WaitVisible(`#standing.busy`, chromedp.ByQuery))
	tab.Check(t)
	list.Check(t)
}

func TestOrdersThroughTheForms(t *testing.T) {
	w := newAWorld(t)
	v := w.visit(w.session)
	f := w.Appliance.fleet

	t.Run("a wrong name orders nothing and keeps what was chosen", func(t *testing.T) {
		status, page, _ := v.do("POST", w.page(w.mac)+"/act/wipe", url.Values{"for": {"next"}, "confirm": {"Eva"}, "obliterate": {"Always"}})
		if status != http.StatusUnprocessableEntity || !strings.Contains(page, `value="Always" selected`) || !strings.Contains(page, "Type the name of the device") {
			t.Errorf("status %d\n%s", status, body(page))
		}
		if d := w.look(w.mac); d.State != fleet.Managed {
			t.Errorf("the device is %s", d.State)
		}
	})
	t.Run("a wipe without a way asks for it", func(t *testing.T) {
		status, page, _ := v.do("POST", w.page(w.mac)+"/act/wipe", url.Values{"confirm": {w.look(w.mac).Name}})
		if status != http.StatusUnprocessableEntity || !strings.Contains(page, "for=lost") {
			t.Errorf("status %d", status)
		}
	})
	t.Run("a bad PIN is told at its field and never sent back", func(t *testing.T) {
		status, page, _ := v.do("POST", w.page(w.mac)+"/act/lock", url.Values{"pin": {"77"}, "message": {"Hello"}})
		if status != http.StatusUnprocessableEntity || !strings.Contains(page, `id="f-pin-error"`) || !strings.Contains(page, "Hello</textarea>") || strings.Contains(page, `value="77"`) {
			t.Errorf("status %d\n%s", status, body(page))
		}
	})
	t.Run("the PIN of a locked Mac is shown once asked for, and that is in the log", func(t *testing.T) {
		status, _, head := v.do("POST", w.page(w.mac)+"/act/lock", url.Values{"pin": {"246810"}})
		if status != http.StatusSeeOther || head.Get("Location") != w.page(w.mac) {
			t.Fatalf("status %d to %s", status, head.Get("Location"))
		}
		list, err := f.Actions(t.Context(), w.Actor, w.mac, fleet.ListQuery{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%d orders, %v", len(list.Items), err)
		}
		if _, page, _ := v.do("GET", w.page(w.mac), nil); strings.Contains(page, "246810") {
			t.Error("the device's page shows the PIN")
		}
		status, page, head := v.do("POST", w.page(w.mac)+"/actions/"+string(list.Items[0].ID)+"/pin", url.Values{})
		if status != http.StatusOK || !strings.Contains(page, "246810") || head.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d, Cache-Control %q", status, head.Get("Cache-Control"))
		}
		log, err := f.Audit(t.Context(), w.Actor, fleet.AuditQuery{Verb: "reveal-pin"})
		if err != nil || len(log.Items) != 1 {
			t.Errorf("%d entries in the log, %v", len(log.Items), err)
		}
		if status, _, _ := v.do("POST", w.page(w.blocked)+"/actions/"+string(list.Items[0].ID)+"/pin", url.Values{}); status != http.StatusNotFound {
			t.Errorf("under another device's address: %d", status)
		}
	})
	t.Run("lost or stolen marks it, calling off clears it", func(t *testing.T) {
		name := w.look(w.offline).Name
		if status, page, _ := v.do("POST", w.page(w.offline)+"/act/wipe", url.Values{"for": {"lost"}, "confirm": {strings.ToUpper(name)}}); status != http.StatusSeeOther {
			t.Fatalf("status %d\n%s", status, body(page))
		}
		if d := w.look(w.offline); !d.Stolen || d.State != fleet.Wiping {
			t.Fatalf("stolen %v, %s", d.Stolen, d.State)
		}
		list, err := f.Actions(t.Context(), w.Actor, w.offline, fleet.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		off := w.page(w.offline) + "/actions/" + string(list.Items[0].ID) + "/call-off"
		if status, _, _ := v.do("POST", off, url.Values{}); status != http.StatusSeeOther {
			t.Fatalf("status %d", status)
		}
		if d := w.look(w.offline); d.Stolen || d.State != fleet.Managed {
			t.Errorf("stolen %v, %s", d.Stolen, d.State)
		}
		v.do("POST", off, url.Values{})
		if _, page, _ := v.do("GET", w.page(w.offline), nil); !strings.Contains(page, "Too late to call it off") {
			t.Error("calling off twice is not explained")
		}
	})
	t.Run("trying a blocked profile again", func(t *testing.T) {
		mail := w.statuses(w.blocked)["Office mail"]
		before := mail.Evidence
		if _, page, _ := v.do("GET", w.page(w.blocked), nil); !strings.Contains(page, "/profiles/"+string(mail.Profile)+"/retry") {
			t.Error("it is not offered")
		}
		if status, _, _ := v.do("POST", w.page(w.blocked)+"/profiles/"+string(mail.Profile)+"/retry", url.Values{}); status != http.StatusSeeOther {
			t.Errorf("status %d", status)
		}
		w.eventually("another answer of the device", func() bool { return w.statuses(w.blocked)["Office mail"].Evidence.Message != before.Message })
		w.eventually("the passcode rule is in place", func() bool { return w.statuses(w.blocked)["Passcode"].Status == fleet.StatusSucceeded })
		v.do("POST", w.page(w.blocked)+"/profiles/"+string(w.statuses(w.blocked)["Passcode"].Profile)+"/retry", url.Values{})
		if _, page, _ := v.do("GET", w.page(w.blocked), nil); !strings.Contains(page, "not waiting for a new try") {
			t.Error("that there is nothing to try again is not said")
		}
	})
	t.Run("name, tags and person", func(t *testing.T) {
		d := w.look(w.mac)
		form := url.Values{"name": {"Mac at the window"}, "person": {"nobody@example.org"}, "tags": {"North, , South"}, "version": {fmt.Sprint(d.Version)}}
		if status, page, _ := v.do("POST", w.page(w.mac)+"/edit", form); status != http.StatusUnprocessableEntity || !strings.Contains(page, "Nobody here is called") || !strings.Contains(page, "Mac at the window") {
			t.Errorf("status %d", status)
		}
		form.Set("person", "farid@noordhaven.example")
		form.Set("version", fmt.Sprint(w.look(w.mac).Version))
		if status, page, _ := v.do("POST", w.page(w.mac)+"/edit", form); status != http.StatusSeeOther {
			t.Fatalf("status %d\n%s", status, body(page))
		}
		if d := w.look(w.mac); d.Name != "Mac at the window" || d.Person != w.people["Farid"] || len(d.Tags) != 2 {
			t.Errorf("%+v", d)
		}
		form.Set("version", "1")
		form.Set("name", "Another")
		if status, page, _ := v.do("POST", w.page(w.mac)+"/edit", form); status != http.StatusUnprocessableEntity || !strings.Contains(page, "Someone else changed this") {
			t.Errorf("a stale save: status %d", status)
		}
	})
	t.Run("deleting leads to the list, and the record stays to be found", func(t *testing.T) {
		name := w.look(w.blocked).Name
		if status, _, head := v.do("POST", w.page(w.blocked)+"/act/delete", url.Values{"confirm": {name}}); status != http.StatusSeeOther || head.Get("Location") != "/devices" {
			t.Errorf("status %d to %s", status, head.Get("Location"))
		}
		if _, page, _ := v.do("GET", "/devices?q="+url.QueryEscape(name), nil); strings.Contains(page, "row-"+string(w.blocked)) {
			t.Error("it is still in the list")
		}
	})
}

// body is the part of a page that differs.
func body(page string) string {
	_, rest, _ := strings.Cut(page, "<main")
	inner, _, _ := strings.Cut(rest, "</main>")
	return inner
}

func TestDevicePagesWithHostileInput(t *testing.T) {
	w := newAWorld(t)
	v := w.visit(w.session)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`
	name, tags := evil, []fleet.Tag{}
	if _, err := w.Appliance.fleet.UpdateDevice(t.Context(), w.Actor, w.offline, fleet.DeviceInput{Name: &name, Tags: &tags}); err != nil {
		t.Fatal(err)
	}
	w.order(w.offline, fleet.ActLock, fleet.ActionOptions{Message: evil, Phone: "<i>1</i>"})
	w.order(w.offline, fleet.ActRetire, fleet.ActionOptions{})
	for _, path := range []string{"/", "/devices", "/devices?q=" + url.QueryEscape(evil), "/devices?person=" + url.QueryEscape(evil) + "&profile=" + url.QueryEscape(evil), w.page(w.offline), w.page(w.offline) + "/timeline",
		w.page(w.offline) + "/edit", w.page(w.offline) + "/act/delete", "/receipts", w.receiptOf(w.offline)} {
		status, page, _ := v.do("GET", path, nil)
		if status != http.StatusOK || strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") || strings.Contains(page, "<i>1") {
			t.Errorf("%s: status %d, unescaped text %v", path, status, strings.Contains(page, "<script>alert"))
		}
	}
	for _, path := range []string{"/devices?cursor=%00%ff", "/devices?silent=-1&sort=x&turn=y&platform=%00&state=zz&group=zz&status=zz", "/devices?silent=99999999999999999999", "/devices?q=" + strings.Repeat("x", 4000), "/devices?q=%ff%fe",
		"/devices/zzz", "/devices/" + strings.Repeat("9", 300), "/devices/%00", w.page(w.mac) + "/timeline?cursor=zz", w.page(w.mac) + "/act/explode", w.page(w.mac) + "/act/wipe?for=fun", "/receipts?cursor=zz", "/receipts?device=zz", "/receipts/zz"} {
		if status, page, _ := v.do("GET", path, nil); status >= 500 {
			t.Errorf("GET %s: status %d\n%s", path, status, body(page))
		}
	}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		path string
		form url.Values
	}{
		{w.page(w.mac) + "/act/explode", url.Values{}}, {w.page(w.mac) + "/act/lock", url.Values{"message": {long}, "phone": {long}, "pin": {long}}},
		{w.page(w.mac) + "/act/wipe", url.Values{"for": {"lost"}, "obliterate": {evil}, "confirm": {w.look(w.mac).Name}}},
		{w.page(w.mac) + "/act/lock", url.Values{"keep_data_plan": {"on"}, "message": {"a\x00b"}}}, {w.page(w.mac) + "/edit", url.Values{}}, {w.page(w.mac) + "/edit", url.Values{"version": {"1"}, "name": {""}}},
		{w.page(w.mac) + "/edit", url.Values{"version": {fmt.Sprint(w.look(w.mac).Version)}, "name": {long}, "tags": {strings.Repeat("t,", 4000) + evil}, "person": {evil}}},
		{w.page(w.mac) + "/profiles/zz/retry", url.Values{}}, {w.page(w.mac) + "/actions/zz/call-off", url.Values{}}, {w.page(w.mac) + "/actions/zz/pin", url.Values{}}, {"/devices/zz/act/retire", url.Values{}},
	} {
		status, page, _ := v.do("POST", c.path, c.form)
		if status >= 500 || status < 300 || strings.Contains(page, "<script>alert") {
			t.Errorf("POST %s: status %d\n%s", c.path, status, body(page))
		}
	}
	if d := w.look(w.mac); d.State != fleet.Managed {
		t.Errorf("the Mac is %s", d.State)
	}
}

func TestDevicePagesByRole(t *testing.T) {
	w := newAWorld(t)
	f := w.Appliance.fleet
	name, mail, password, role, all := "Reader", "reader@noordhaven.example", "slow-amber-lighthouse-9", fleet.RoleReadOnly, true
	reader, err := f.CreateAdmin(t.Context(), w.Actor, fleet.AdminInput{Name: &name, Mail: &mail, Password: &password, Role: &role, AllTags: &all})
	if err != nil {
		t.Fatal(err)
	}
	session, err := f.SignInAs(t.Context(), setupActor("test"), reader.ID, "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	v := w.visit(session)
	for _, path := range []string{"/", "/devices", w.page(w.mac), w.page(w.blocked), "/receipts", w.receiptOf(w.retired)} {
		status, page, _ := v.do("GET", path, nil)
		if status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
		for _, no := range []string{"/act/", "/retry", "/edit", "/invitations/new", "/call-off"} {
			if strings.Contains(body(page), no) {
				t.Errorf("%s offers %s to someone who may only read", path, no)
			}
		}
	}
	for _, path := range []string{"/act/lock", "/act/retire", "/act/sync", "/edit"} {
		status, _, _ := v.do("POST", w.page(w.mac)+path, url.Values{"confirm": {w.look(w.mac).Name}, "name": {"x"}, "version": {"0"}})
		if status != http.StatusForbidden {
			t.Errorf("POST %s: status %d, want 403", path, status)
		}
	}
	if status, _, head := w.visit("nonsense").do("GET", w.page(w.mac), nil); status != http.StatusSeeOther || !strings.HasPrefix(head.Get("Location"), "/signin") {
		t.Errorf("not signed in: status %d to %s", status, head.Get("Location"))
	}
}
