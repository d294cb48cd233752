package appliance

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"

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
	_ = os.Getenv
	_ = fmt.Sprint
}
