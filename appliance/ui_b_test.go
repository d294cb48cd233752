package appliance

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/ui/uitest"
)

// bWorld is an appliance with something to see on the pages about people, groups, invitations and profiles.
type bWorld struct {
	*world
	profiles map[string]fleet.ProfileID
	groups   map[string]fleet.GroupID
}

func newBWorld(t testing.TB) *bWorld {
	w := &bWorld{world: newWorld(t), profiles: map[string]fleet.ProfileID{}, groups: map[string]fleet.GroupID{}}
	f := w.Appliance.fleet
	list, err := f.Profiles(t.Context(), w.Actor, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		w.profiles[p.Name] = p.ID
	}
	all, err := f.Groups(t.Context(), w.Actor, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all.Items {
		w.groups[g.Name] = g.ID
	}
	return w
}

// view adds the administrator's session to a view.
func (w *bWorld) view(v uitest.View) uitest.View {
	v.Cookies = append(v.Cookies, &http.Cookie{Name: "__Host-muster_session", Value: w.session})
	if v.Lang != "" {
		lang := v.Lang
		if _, err := w.Appliance.fleet.UpdateAdmin(w.t.Context(), w.Actor, fleet.AdminID(w.Actor.ID), fleet.AdminInput{Language: &lang}); err != nil {
			w.t.Fatal(err)
		}
	}
	return v
}

func (w *bWorld) at(path string) string { return w.Appliance.config.URL + path }

// client is a browser without scripts, signed in.
func (w *bWorld) client() *http.Client {
	c := w.browser()
	u, _ := url.Parse(w.Appliance.config.URL)
	c.Jar.(*cookiejar.Jar).SetCookies(u, []*http.Cookie{{Name: "__Host-muster_session", Value: w.session, Path: "/", Secure: true}})
	return c
}

// bPages are all screens of this file, by name.
func (w *bWorld) bPages() [][2]string {
	anna, mail, root := string(w.people["Anna"]), string(w.profiles["Office mail"]), string(w.profiles["Office root certificate"])
	pages := [][2]string{
		{"people", "/people"}, {"people-none", "/people?q=zzz"}, {"person-new", "/people/new"}, {"person", "/people/" + anna}, {"person-edit", "/people/" + anna + "/edit"}, {"person-delete", "/people/" + anna + "/delete"},
		{"person-delete-free", "/people/" + string(w.people["Hugo"]) + "/delete"},
		{"groups", "/groups"}, {"group-new", "/groups/new"}, {"group", "/groups/" + string(w.groups["Office"]) + "?find=b"}, {"group-rule", "/groups/" + string(w.groups["All staff"])}, {"group-edit", "/groups/" + string(w.groups["All staff"]) + "/edit"}, {"group-delete", "/groups/" + string(w.groups["Office"]) + "/delete"},
		{"invitations", "/invitations"}, {"invitation-new", "/invitations/new?person=" + anna},
		{"profiles", "/profiles"}, {"profile-new", "/profiles/new"}, {"profile", "/profiles/" + mail}, {"profile-devices", "/profiles/" + mail + "/devices"}, {"profile-versions", "/profiles/" + mail + "/versions"},
		{"profile-edit", "/profiles/" + mail + "/edit"}, {"profile-assign", "/profiles/" + mail + "/assign"}, {"profile-unassign", "/profiles/" + mail + "/unassign"}, {"profile-delete", "/profiles/" + root + "/delete"},
		{"terms", "/settings/terms"},
	}
	return pages
}

func (w *bWorld) fill() {
	t := w.t
	_, id := w.device(sim.Options{Kind: sim.IPhone}, "Anna", fleet.Personal)
	w.device(sim.Options{Kind: sim.Mac}, "Bram", fleet.Corporate)
	w.settle(id, fleet.StatusSucceeded)
	w.invitation("Carla", fleet.IOS, fleet.Corporate, 3)
	days, host := `{"account":"exchange","host":"mail2.noordhaven.example","sign_in":"certificate","identity":"`+string(w.profiles["Mail identity"])+`","days":31}`, "Exchange mail, calendar, contacts"
	if _, err := w.Appliance.fleet.UpdateProfile(t.Context(), w.Actor, w.profiles["Office mail"], fleet.ProfileInput{Settings: []byte(days), Description: &host}); err != nil {
		t.Fatal(err)
	}
}

func TestPagesOfPeopleAndProfilesInTheBrowser(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	w.fill()
	for _, v := range []struct {
		name string
		uitest.View
	}{
		{"wide-light-en", uitest.View{Lang: "en"}},
		{"wide-dark-nl", uitest.View{Lang: "nl", Dark: true}},
		{"phone-light-nl", uitest.View{Width: 360, Height: 740, Lang: "nl"}},
		{"phone-dark-en", uitest.View{Width: 360, Height: 740, Lang: "en", Dark: true}},
	} {
		view := w.view(v.View)
		for _, p := range w.bPages() {
			t.Run(p[0]+" "+v.name, func(t *testing.T) {
				tab := b.Open(t, w.at(p[1]), view)
				tab.Shot(t, p[0]+"-"+v.name)
				tab.Check(t)
				if text := tab.Text(t, "main"); strings.Contains(text, "field.") || strings.Contains(text, "reason.input") || strings.Contains(text, "reason.assign") {
					t.Errorf("a text is missing: %s", text)
				}
			})
		}
	}
}

// press sends the form by one of its buttons.
func press(t *testing.T, tab *uitest.Tab, value string) {
	t.Helper()
	tab.Submit(t, `button[name="go"][value="`+value+`"]:not(.sr)`)
}

// TestMailProfileWithCertificates goes the way that this product is about, as a person does, with scripts and without: from nothing to an
// e-mail profile with an identity certificate and a root that are assigned together.
func TestMailProfileWithCertificates(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	w.fill()
	for _, c := range []struct {
		name, profile string
		uitest.View
	}{
		{"scripts", "Teachers’ mail", uitest.View{Lang: "en"}},
		{"no-scripts", "Pupils’ mail", uitest.View{Lang: "en", NoScript: true}},
		{"phone", "Phone mail", uitest.View{Lang: "nl", Width: 360, Height: 740, Dark: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := b.Open(t, w.at("/profiles/new"), w.view(c.View))
			press(t, tab, "next") // nothing chosen yet
			tab.Check(t)
			tab.Click(t, `input[name="type"][value="email"]`)
			press(t, tab, "next")
			tab.Type(t, "#f-name", "office MAIL") // taken
			press(t, tab, "next")
			if got := tab.Text(t, ".field-error"); !strings.Contains(got, "office MAIL") {
				t.Errorf("a name that is taken: %q", got)
			}
			tab.Shot(t, "wizard-basics-"+c.name)
			tab.Check(t)
			tab.Run(t, chromedp.Clear("#f-name", chromedp.ByQuery))
			tab.Type(t, "#f-name", c.profile)
			press(t, tab, "next")
			tab.Shot(t, "wizard-settings-"+c.name)
			tab.Check(t)
			tab.Click(t, `input[name="settings.sign_in"][value="certificate"]`)
			press(t, tab, "next") // no server, no certificate
			if got := tab.Text(t, "main"); strings.Contains(got, "reason.") {
				t.Errorf("a text is missing: %s", got)
			}
			tab.Check(t)
			press(t, tab, "make.identity")
			tab.Type(t, `[name="settings.host"]`, "mail3.noordhaven.example")
			tab.Shot(t, "wizard-settings-made-"+c.name)
			tab.Check(t)
			press(t, tab, "back")
			press(t, tab, "next")
			press(t, tab, "next")
			tab.Check(t)
			press(t, tab, "next")
			tab.Click(t, `[name="to.all-people"]`)
			tab.Shot(t, "wizard-assign-"+c.name)
			tab.Check(t)
			press(t, tab, "next")
			tab.Shot(t, "wizard-review-"+c.name)
			tab.Check(t)
			press(t, tab, "to.settings") // and forth again: everything is kept
			press(t, tab, "next")
			press(t, tab, "next")
			press(t, tab, "next")
			press(t, tab, "save")
			tab.Shot(t, "wizard-done-"+c.name)
			tab.Check(t)
			p := w.called(c.profile)
			if p.Values().String("host") != "mail3.noordhaven.example" || p.Values().String("sign_in") != "certificate" {
				t.Errorf("settings: %s", p.Settings)
			}
			for _, id := range []fleet.ProfileID{p.ID, fleet.ProfileID(p.Values().String("identity"))} {
				to, err := w.Appliance.fleet.Assignments(t.Context(), w.Actor, id)
				if err != nil || len(to) != 1 || to[0].To != fleet.ToAllPeople {
					t.Errorf("assignments of %s: %v, %v", id, to, err)
				}
			}
		})
	}
}

// called finds a profile by name.
func (w *bWorld) called(name string) *fleet.Profile {
	w.t.Helper()
	list, err := w.Appliance.fleet.Profiles(w.t.Context(), w.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.Name == name {
			return p
		}
	}
	w.t.Fatalf("no profile called %s", name)
	return nil
}

// TestInvitationIsShownOnce makes one from a person's page and withdraws it.
func TestInvitationIsShownOnce(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	for _, c := range []struct {
		name string
		uitest.View
	}{{"wide", uitest.View{Lang: "en"}}, {"phone", uitest.View{Lang: "nl", Width: 360, Height: 740, Dark: true}}, {"no-scripts", uitest.View{Lang: "en", NoScript: true}}} {
		t.Run(c.name, func(t *testing.T) {
			tab := b.Open(t, w.at("/invitations/new"), w.view(c.View))
			tab.Type(t, "#f-person", "noordhaven") // several fit
			tab.Submit(t, "main form .btn.primary")
			tab.Shot(t, "invitation-several-"+c.name)
			tab.Check(t)
			tab = b.Open(t, w.at("/invitations/new"), w.view(c.View))
			tab.Type(t, "#f-person", "anna@noordhaven.example")
			tab.Submit(t, "main form .btn.primary") // whose it is was not said
			tab.Check(t)
			tab.Click(t, `[name="ownership"][value="personal"]`)
			tab.Submit(t, "main form .btn.primary")
			tab.Shot(t, "invitation-made-"+c.name)
			tab.Check(t)
			link := tab.Text(t, "#link")
			if !strings.HasPrefix(link, w.Appliance.config.URL+"/enroll/") {
				t.Fatalf("link %q", link)
			}
			var text string
			tab.Run(t, chromedp.Value("#mail-text", &text, chromedp.ByQuery))
			if !strings.Contains(text, "Hallo Anna") || !strings.Contains(text, link) {
				t.Errorf("the mail is not in Anna's language, or lacks the link: %s", text)
			}
			tab.Submit(t, `main a.btn.primary`)
			tab.Submit(t, `a[href$="/revoke"]`)
			tab.Check(t)
			tab.Submit(t, "main form .btn.danger")
			tab.Check(t)
			res, err := w.browser().Get(link)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusGone {
				t.Errorf("a withdrawn link answers %d", res.StatusCode)
			}
		})
	}
}

// TestGroupFromRule writes a rule in form rows and looks whom it holds, with scripts and without.
func TestGroupFromRule(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	for _, c := range []struct {
		name string
		uitest.View
	}{{"scripts", uitest.View{Lang: "en"}}, {"no-scripts", uitest.View{Lang: "en", NoScript: true}}, {"phone", uitest.View{Lang: "nl", Width: 360, Height: 740}}} {
		t.Run(c.name, func(t *testing.T) {
			tab := b.Open(t, w.at("/groups/new"), w.view(c.View))
			tab.Type(t, "#f-name", "Rule "+c.name)
			if c.NoScript {
				tab.Click(t, `[name="way"][value="rule"]`)
				tab.Submit(t, `button[value="way"]`)
			} else {
				tab.Submit(t, `[name="way"][value="rule"]`)
			}
			tab.Run(t, chromedp.SetValue(`[name="op.0"]`, "starts", chromedp.ByQuery))
			tab.Type(t, `[name="value.0"]`, "anna")
			tab.Submit(t, `button[value="add"]`)
			tab.Type(t, `[name="value.1"]`, "Anna de Wit")
			tab.Submit(t, `button[value="preview"]`)
			tab.Shot(t, "group-rule-"+c.name)
			tab.Check(t)
			if got := tab.Text(t, "section[aria-live]"); !strings.Contains(got, "Anna de Wit") || strings.Contains(got, "Bram") {
				t.Errorf("preview: %s", got)
			}
			tab.Submit(t, `button[value="drop.0"]`)
			tab.Submit(t, "main form .btn.primary")
			tab.Check(t)
			if got := tab.Text(t, "main"); !strings.Contains(got, "Anna de Wit") {
				t.Errorf("the group: %s", got)
			}
		})
	}
}

// TestMembersByHand finds people, ticks them and takes one out again, without scripts.
func TestMembersByHand(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	tab := b.Open(t, w.at("/groups/"+string(w.groups["Office"])), w.view(uitest.View{Lang: "en", NoScript: true}))
	tab.Type(t, `[name="find"]`, "bra")
	tab.Submit(t, `form:has([name="find"]) button`)
	tab.Click(t, `[name="add"]`)
	tab.Submit(t, `form:has([name="add"]) button`)
	tab.Check(t)
	if got := tab.Text(t, "#members"); !strings.Contains(got, "Bram Jansen") {
		t.Errorf("members: %s", got)
	}
	tab.Submit(t, `button[value="`+string(w.people["Bram"])+`"]`)
	if got := tab.Text(t, "#members"); strings.Contains(got, "Bram Jansen") {
		t.Errorf("still a member: %s", got)
	}
}

// TestLeaverIsOfferedBothRemovals: a person with devices is not deleted, and either offer is carried out for all of them (C10).
func TestLeaverIsOfferedBothRemovals(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	_, phone := w.device(sim.Options{Kind: sim.IPhone}, "Eva", fleet.Corporate)
	_, mac := w.device(sim.Options{Kind: sim.Mac}, "Eva", fleet.Corporate)
	path := "/people/" + string(w.people["Eva"]) + "/delete"
	tab := b.Open(t, w.at(path), w.view(uitest.View{Lang: "en"}))
	tab.Shot(t, "leaver")
	tab.Check(t)
	tab.Type(t, `[name="confirm-retire"]`, "somebody else")
	tab.Submit(t, `form:has([value="retire"]) button`)
	if d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, phone); err != nil || d.State != fleet.Managed {
		t.Fatalf("retired without the right name: %v %v", d.State, err)
	}
	tab.Check(t)
	tab.Run(t, chromedp.Clear(`[name="confirm-retire"]`, chromedp.ByQuery))
	tab.Type(t, `[name="confirm-retire"]`, "Eva Smit")
	tab.Submit(t, `form:has([value="retire"]) button`)
	tab.Check(t)
	w.eventually("both devices are retired", func() bool {
		for _, id := range []fleet.DeviceID{phone, mac} {
			if d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, id); err != nil || d.State != fleet.Retired {
				return false
			}
		}
		return true
	})
	tab = b.Open(t, w.at(path), w.view(uitest.View{Lang: "en"}))
	tab.Submit(t, "main form .btn.danger")
	if _, err := w.Appliance.fleet.Person(t.Context(), w.Actor, w.people["Eva"]); err == nil {
		t.Error("Eva is still there")
	}
}

// TestSettingsFollowWhatIsTyped: with scripts, fields that do not count are hidden and the preview fills in at once.
func TestSettingsFollowWhatIsTyped(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	tab := b.Open(t, w.at("/profiles/"+string(w.profiles["Office mail"])+"/edit"), w.view(uitest.View{Lang: "en"}))
	press(t, tab, "next")
	var hidden bool
	tab.Eval(t, `document.querySelector('[name="settings.smtp_host"]').closest("[data-when]").hidden`, &hidden)
	if !hidden {
		t.Error("the server for sending shows with Exchange")
	}
	tab.Click(t, `input[name="settings.account"][value="imap"]`)
	tab.Eval(t, `document.querySelector('[name="settings.smtp_host"]').closest("[data-when]").hidden`, &hidden)
	if hidden {
		t.Error("the server for sending is hidden with IMAP")
	}
	tab.Click(t, `input[name="settings.account"][value="exchange"]`)
	tab.Run(t, chromedp.Focus(`[name="settings.account_name"]`, chromedp.ByQuery), chromedp.KeyEvent(kb.End))
	tab.Type(t, `[name="settings.account_name"]`, " of {{name}}")
	filled := func(want string) {
		t.Helper()
		w.eventually("the preview says "+want, func() bool { return strings.Contains(tab.Text(t, "#filled"), want) })
	}
	filled("anna@noordhaven.example of Anna de Wit")
	tab.Run(t, chromedp.SetValue("#f-person", string(w.people["Bram"]), chromedp.ByQuery), chromedp.Evaluate(`document.getElementById("f-person").dispatchEvent(new Event("input", { bubbles: true }))`, nil))
	filled("bram@noordhaven.example of Bram Jansen")
	tab.Check(t)
	press(t, tab, "next")
	press(t, tab, "next")
	tab.Shot(t, "edit-review")
	tab.Check(t)
	if got := tab.Text(t, "main"); !strings.Contains(got, "Name of the account") {
		t.Errorf("the review does not say what changes: %s", got)
	}
	press(t, tab, "save")
	if got := w.called("Office mail"); got.Version != 2 || got.Values().String("account_name") != "{{mail}} of {{name}}" {
		t.Errorf("version %d: %s", got.Version, got.Settings)
	}
}

// TestPagesBearBadInput sends what no form of ours would, and hostile text through forms that take it.
func TestPagesBearBadInput(t *testing.T) {
	w := newBWorld(t)
	c := w.client()
	hostile := `"><script>alert(1)</script>{{name}}`
	anna, mail, office := "/people/"+string(w.people["Anna"]), "/profiles/"+string(w.profiles["Office mail"]), "/groups/"+string(w.groups["Office"])
	long := strings.Repeat("x", 5000)
	wizard := url.Values{"type": {"email"}, "settings-of": {"email"}, "platforms": {"ios"}, "name": {"Bad"}, "settings.host": {"mail.example.org"}, "settings.account": {"exchange"},
		"settings.sign_in": {"password"}, "settings.user_name_from": {"upn"}, "settings.address": {"{{mail}}"}, "settings.account_name": {"{{mail}}"}, "settings.days": {"7"}, "settings.sync_mail": {"on"}}
	with := func(pairs ...string) url.Values {
		v := url.Values{}
		for k, list := range wizard {
			v[k] = list
		}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, r := range []struct {
		name, path string
		form       url.Values // nil = GET
		status     int
	}{
		{"nobody", "/people/nobody", nil, 404},
		{"no such group", "/groups/" + hostile, nil, 404},
		{"no such profile", "/profiles/nothing/edit", nil, 404},
		{"hostile search", "/people?q=" + url.QueryEscape(hostile), nil, 200},
		{"bad cursor", "/people?after=" + url.QueryEscape(hostile), nil, 400},
		{"bad cursor of profiles", "/profiles?after=zzz", nil, 400},
		{"unknown status", mail + "/devices?status=" + url.QueryEscape(hostile), nil, 200},
		{"hostile find", office + "?find=" + url.QueryEscape(hostile), nil, 200},
		{"invitation for nobody known", "/invitations/new?person=" + url.QueryEscape(hostile), nil, 404},
		{"person without a name", "/people/new", url.Values{"mail": {hostile}}, 422},
		{"person with a hostile name", "/people/new", url.Values{"name": {hostile}, "mail": {"h@noordhaven.example"}, "upn": {""}, "language": {""}}, 200},
		{"person with a long name", "/people/new", url.Values{"name": {long}}, 422},
		{"person twice", "/people/new", url.Values{"name": {"Anna"}, "mail": {"anna@noordhaven.example"}}, 422},
		{"person in a group that is not there", anna + "/edit", url.Values{"name": {"Anna"}, "mail": {"anna@noordhaven.example"}, "groups-shown": {"1"}, "groups": {hostile}}, 422},
		{"person of an old version", anna + "/edit", url.Values{"name": {"Anna"}, "mail": {"anna@noordhaven.example"}, "version": {"99"}}, 422},
		{"group without anything", "/groups/new", url.Values{}, 422},
		{"group with a hostile rule", "/groups/new", url.Values{"name": {hostile}, "kind": {"people"}, "way": {"rule"}, "field.0": {hostile}, "op.0": {"is"}, "value.0": {hostile}}, 422},
		{"group with a hostile preview", "/groups/new", url.Values{"name": {hostile}, "kind": {"devices"}, "way": {"rule"}, "field.0": {"name"}, "op.0": {hostile}, "value.0": {hostile}, "do": {"preview"}}, 200},
		{"group dropped row far off", "/groups/new", url.Values{"way": {"rule"}, "do": {"drop.99999999"}}, 200},
		{"group dropped row of no number", "/groups/new", url.Values{"way": {"rule"}, "do": {"drop." + hostile}}, 200},
		{"group with a hostile name", "/groups/new", url.Values{"name": {hostile}, "kind": {"people"}}, 200},
		{"member who is not there", office + "/members", url.Values{"add": {hostile}}, 422},
		{"invitation without anything", "/invitations/new", url.Values{}, 422},
		{"invitation for Android", "/invitations/new", url.Values{"platform": {"android"}, "ownership": {"personal"}, "uses": {"1"}, "days": {"7"}}, 422},
		{"invitation for ever", "/invitations/new", url.Values{"platform": {"ios"}, "ownership": {"personal"}, "uses": {"x"}, "days": {"9999999999999"}}, 422},
		{"invitation of a hostile person", "/invitations/new", url.Values{"platform": {"ios"}, "ownership": {"personal"}, "uses": {"1"}, "days": {"7"}, "person": {"<" + long + ">"}}, 422},
		{"invitation that is not there", "/invitations/none/revoke", url.Values{}, 404},
		{"wizard of no type", "/profiles/new", url.Values{"type": {hostile}, "step": {"review"}, "go": {"save"}}, 422},
		{"wizard of no step", "/profiles/new", with("step", hostile, "go", hostile), 200},
		{"wizard, all at once, name missing", "/profiles/new", with("step", "review", "go", "save", "name", ""), 422},
		{"wizard with a hostile name", "/profiles/new", with("step", "review", "go", "save", "name", hostile), 200},
		{"wizard with a number that is none", "/profiles/new", with("step", "settings", "go", "next", "settings.days", hostile), 422},
		{"wizard with no platform", "/profiles/new", with("step", "review", "go", "save", "platforms", hostile), 422},
		{"wizard to a group that is not there", "/profiles/new", with("step", "review", "go", "save", "group."+hostile, "in"), 422},
		{"wizard that refers to nothing", "/profiles/new", with("step", "settings", "go", "next", "settings.sign_in", "certificate", "settings.identity", hostile), 422},
		{"wizard that makes what it does not need", "/profiles/new", with("step", "settings", "go", "make."+hostile), 200},
		{"wizard with an unknown setting", "/profiles/new", with("step", "settings", "go", "next", "settings."+hostile, "x"), 200},
		{"edit of an old version", mail + "/edit", with("step", "review", "go", "save", "name", "Office mail", "version", "99"), 422},
		{"delete what others need", "/profiles/" + string(w.profiles["Mail identity"]) + "/delete", url.Values{}, 409},
		{"terms in one language", "/settings/terms", url.Values{"text.en": {hostile}}, 422},
		{"hostile terms", "/settings/terms", url.Values{"text.en": {hostile}, "text.nl": {hostile}}, 200},
		{"not UTF-8", "/people/new", url.Values{"name": {"a\xff\xfe"}}, 422},
	} {
		t.Run(r.name, func(t *testing.T) {
			var res *http.Response
			var err error
			address := w.Appliance.config.URL + (&url.URL{Path: strings.SplitN(r.path, "?", 2)[0]}).EscapedPath()
			if _, query, ok := strings.Cut(r.path, "?"); ok {
				address += "?" + query
			}
			if r.form == nil {
				res, err = c.Get(address)
			} else {
				res, err = c.PostForm(address, r.form)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			raw, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != r.status {
				t.Errorf("%d, want %d", res.StatusCode, r.status)
			}
			if strings.Contains(string(raw), "<script>alert") {
				t.Error("hostile text was not escaped")
			}
			if strings.Contains(string(raw), "reason.") {
				t.Error("a reason has no words")
			}
		})
	}
	for _, p := range w.bPages() { // with hostile names everywhere
		res, err := c.Get(w.at(p[1]))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || strings.Contains(string(raw), "<script>alert") {
			t.Errorf("%s: %d, or hostile text not escaped", p[1], res.StatusCode)
		}
	}
}

// TestRolesSeeWhatTheyMay: a reader finds no buttons that he may not press, and the addresses behind them are refused.
func TestRolesSeeWhatTheyMay(t *testing.T) {
	w := newBWorld(t)
	f := w.Appliance.fleet
	name, address, password, role := "Reader", "reader@noordhaven.example", "a-long-quiet-harbour-51", fleet.RoleReadOnly
	all := true
	reader, err := f.CreateAdmin(t.Context(), w.Actor, fleet.AdminInput{Name: &name, Mail: &address, Password: &password, Role: &role, AllTags: &all})
	if err != nil {
		t.Fatal(err)
	}
	if w.session, err = f.SignInAs(t.Context(), setupActor("test"), reader.ID, "127.0.0.1", "test"); err != nil {
		t.Fatal(err)
	}
	c := w.client()
	get := func(path string) (int, string) {
		res, err := c.Get(w.at(path))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(raw)
	}
	for _, p := range w.bPages() {
		status, body := get(p[1])
		forbidden := strings.Contains(p[0], "-new") || strings.Contains(p[0], "-edit") || strings.Contains(p[0], "-delete") || strings.Contains(p[0], "assign")
		switch {
		case forbidden && status != 403:
			t.Errorf("%s answers a reader %d", p[1], status)
		case !forbidden && status != 200 && status != 403:
			t.Errorf("%s answers a reader %d", p[1], status)
		case !forbidden && (strings.Contains(body, `/new"`) || strings.Contains(body, `/edit"`) || strings.Contains(body, `/delete"`) || strings.Contains(body, `/assign"`)):
			t.Errorf("%s shows a reader what he may not do", p[1])
		}
	}
}
