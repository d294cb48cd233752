package ui_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"muster/appliance/fleet"
	"muster/ui/uitest"
)

func TestPeoplesPagesInTheBrowser(t *testing.T) {
	b := uitest.Start(t)
	fresh := newDomain()
	fresh.done = false
	first := newDomain()
	first.totp = false
	first.tickets["ticket-phone"], first.tickets["ticket-mac"] = "phone-code", "mac-code"
	set, ready := serve(t, fresh), serve(t, first)
	connected := newDomain()
	connected.tickets["ticket-phone"] = "phone-code"
	connected.call(fleet.Managed)
	done := serve(t, connected)

	for _, p := range []struct{ name, address, agent string }{
		{"setup", set.URL + "/setup", ""},
		{"signin", ready.URL + "/signin", ""},
		{"enrol-phone", ready.URL + "/enroll/phone-code", iPhone},
		{"enrol-elsewhere", ready.URL + "/enroll/phone-code", windows},
		{"enrol-mac", ready.URL + "/enroll/mac-code", macBook},
		{"enrol-used", ready.URL + "/enroll/used-code", iPhone},
		{"install-phone", ready.URL + "/enroll/t/ticket-phone", iPhone},
		{"install-elsewhere", ready.URL + "/enroll/t/ticket-phone", windows},
		{"install-mac", ready.URL + "/enroll/t/ticket-mac", macBook},
		{"install-done", done.URL + "/enroll/t/ticket-phone", iPhone},
		{"not-found", ready.URL + "/no/such/page", ""},
	} {
		for _, v := range []struct {
			name string
			uitest.View
		}{
			{"wide-light-en", uitest.View{}},
			{"phone-dark-en", uitest.View{Width: 360, Height: 740, Dark: true}},
			{"phone-light-nl", uitest.View{Width: 360, Height: 740, Lang: "nl"}},
			{"wide-dark-nl", uitest.View{Dark: true, Lang: "nl"}},
		} {
			t.Run(p.name+" "+v.name, func(t *testing.T) {
				v.View.UserAgent = p.agent
				tab := b.Open(t, p.address, v.View)
				tab.Shot(t, p.name+"-"+v.name)
				tab.Check(t)
			})
		}
		t.Run(p.name+" focus", func(t *testing.T) {
			b.Open(t, p.address, uitest.View{UserAgent: p.agent}).CheckFocus(t, 40)
		})
	}

	t.Run("sign-in with first code, keyboard and all", func(t *testing.T) {
		tab := b.Open(t, ready.URL+"/signin", uitest.View{})
		tab.Type(t, "#f-mail", "marit@example.org")
		tab.Type(t, "#f-password", password)
		tab.Submit(t, "main form button")
		tab.Shot(t, "totp-setup")
		tab.Check(t)
		tab.Type(t, "#f-code", "000000")
		tab.Submit(t, "main form button.primary")
		tab.Check(t)
		tab.Type(t, "#f-code", totpCode)
		tab.Submit(t, "main form button.primary")
		tab.Shot(t, "recovery")
		tab.Check(t)
		if got := tab.Text(t, "main"); !strings.Contains(got, "7kf2-9qxm") {
			t.Errorf("no recovery codes: %s", got)
		}
	})

	t.Run("the page follows the device", func(t *testing.T) {
		d := newDomain()
		d.tickets["ticket-phone"] = "phone-code"
		s := serve(t, d)
		tab := b.Open(t, s.URL+"/enroll/t/ticket-phone", uitest.View{UserAgent: iPhone, Width: 390, Height: 844})
		d.call(fleet.Enrolling)
		tab.Run(t, chromedp.WaitVisible("#progress .busy.icon", chromedp.ByQuery))
		d.call(fleet.Managed)
		tab.Run(t, chromedp.WaitVisible("#progress .good.icon", chromedp.ByQuery))
		if got := tab.Text(t, "#progress h2"); got != "Your iPhone is connected" {
			t.Errorf("the page says %q", got)
		}
		tab.Check(t)
	})

	t.Run("an iPad that says it is a Mac is not sent elsewhere", func(t *testing.T) {
		tab := b.Open(t, ready.URL+"/enroll/phone-code", uitest.View{UserAgent: macBook, Width: 820, Height: 1180, Touch: true})
		var shown bool
		tab.Eval(t, `document.querySelector(".not-touch-mac").checkVisibility()`, &shown)
		if shown {
			t.Error("the page asks to be opened elsewhere")
		}
	})
}

func TestSetUpFromTheLink(t *testing.T) {
	b := uitest.Start(t)
	fill := func(t *testing.T, tab *uitest.Tab) {
		t.Helper()
		for _, f := range [][2]string{{"organisation", "Kade 12"}, {"contact", "Marit"}, {"admin_name", "Marit Jansen"}, {"admin_mail", "marit@example.org"}, {"password", password}, {"again", password}} {
			tab.Type(t, "#f-"+f[0], f[1])
		}
	}
	t.Run("the code of the fragment moves into the form", func(t *testing.T) {
		d := newDomain()
		d.done = false
		s := serve(t, d)
		tab := b.Open(t, s.URL+"/setup#"+setupToken, uitest.View{})
		if path := tab.Path(t); path != "/setup" {
			t.Errorf("the address is still %s", path)
		}
		fill(t, tab)
		tab.Shot(t, "setup-with-code")
		tab.Check(t)
		tab.Submit(t, "main form button.primary")
		if path := tab.Path(t); path != "/signin" || d.seenCode != setupToken {
			t.Errorf("at %s with code %q", path, d.seenCode)
		}
		tab.Check(t)
	})
	t.Run("without scripts it is pasted", func(t *testing.T) {
		d := newDomain()
		d.done = false
		s := serve(t, d)
		tab := b.Open(t, s.URL+"/setup", uitest.View{NoScript: true})
		tab.Type(t, "#f-token", setupToken)
		fill(t, tab)
		tab.Check(t)
		tab.Submit(t, "main form button.primary")
		if path := tab.Path(t); path != "/signin" {
			t.Errorf("at %s", path)
		}
	})
}

func TestWithoutScripts(t *testing.T) {
	b := uitest.Start(t)
	d := newDomain()
	s := serve(t, d)
	t.Run("enrolment", func(t *testing.T) {
		tab := b.Open(t, s.URL+"/enroll/phone-code", uitest.View{NoScript: true, UserAgent: iPhone, Width: 360, Height: 740})
		tab.Check(t)
		tab.Click(t, "#f-accept")
		tab.Submit(t, `[data-step="accept"] button`)
		if path := tab.Path(t); path != "/enroll/t/ticket-of-phone-code" {
			t.Errorf("at %s", path)
		}
		tab.Check(t)
	})
	t.Run("sign-in", func(t *testing.T) {
		tab := b.Open(t, s.URL+"/signin", uitest.View{NoScript: true})
		tab.Type(t, "#f-mail", "marit@example.org")
		tab.Type(t, "#f-password", password)
		tab.Submit(t, "main form button")
		tab.Check(t)
		tab.Type(t, "#f-code", totpCode)
		tab.Submit(t, "main form button.primary")
		if !d.sessions["session-1"] {
			t.Error("no session")
		}
	})
	t.Run("language", func(t *testing.T) {
		tab := b.Open(t, s.URL+"/signin", uitest.View{NoScript: true})
		tab.Submit(t, `[name="lang"][value="nl"]`)
		if got := tab.Text(t, "h1"); got != "Aanmelden" {
			t.Errorf("heading %q", got)
		}
	})
}

func TestSignedInPages(t *testing.T) {
	b := uitest.Start(t)
	d := newDomain()
	d.sessions["session-1"] = true
	d.needs = []fleet.Need{{Severity: "error", Reason: fleet.Why("ticket.expired"), Link: "/settings"}}
	s := serve(t, d)
	cookies := []*http.Cookie{{Name: "muster_session", Value: "session-1"}}
	t.Run("an error page keeps the navigation and the warning", func(t *testing.T) {
		tab := b.Open(t, s.URL+"/no/such/page", uitest.View{Cookies: cookies})
		tab.Check(t)
		if got := tab.Text(t, ".side"); !strings.Contains(got, "Devices") || strings.Contains(got, "Administrators") {
			t.Errorf("navigation %q, want Devices and no Administrators", got)
		}
		if got := tab.Text(t, ".banners"); !strings.Contains(got, "Put it right") {
			t.Errorf("banner %q", got)
		}
	})
	t.Run("theme switches at once and stays", func(t *testing.T) {
		tab := b.Open(t, s.URL+"/no/such/page", uitest.View{Cookies: cookies})
		tab.Click(t, ".side .nav-foot summary")
		tab.Shot(t, "menu")
		tab.Click(t, `.side [name="theme"][value="dark"]`)
		var theme string
		tab.Eval(t, `document.documentElement.dataset.theme`, &theme)
		kept := func() string {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.admin.Theme
		}
		for deadline := time.Now().Add(time.Minute); kept() != "dark" && time.Now().Before(deadline); { // the page says so to the server by itself
			time.Sleep(10 * time.Millisecond)
		}
		if theme != "dark" || kept() != "dark" {
			t.Errorf("theme %q, kept %q, want dark twice", theme, kept())
		}
		tab.Check(t)
	})
}

func TestLiveStream(t *testing.T) {
	d := newDomain()
	d.sessions["session-1"] = true
	s := serve(t, d)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.client.Jar.SetCookies(u, []*http.Cookie{{Name: "muster_session", Value: "session-1"}})
	res, err := s.client.Get(s.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("content type %q", got)
	}
	d.changes <- fleet.Change{Kind: "device", ID: "d1"}
	close(d.changes)
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := res.Body.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if want := "event: change\ndata: {\"id\":\"d1\",\"kind\":\"device\"}\n\n"; !strings.Contains(all.String(), want) {
		t.Errorf("stream %q, want %q in it", all.String(), want)
	}
}
