package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/ui/uitest"
)

// Another owner, who signs in through the page as people do.
const (
	walkerMail     = "ines@noordhaven.example"
	walkerPassword = "seven-quiet-herons-fly"
)

// signIn goes through the real sign-in page: password, setting up the second factor, keeping the recovery codes. It returns the cookies of
// the session.
func signIn(t *testing.T, w *world, b *uitest.Browser) []*http.Cookie {
	t.Helper()
	name, mail, password, role, all := "Ines Vos", walkerMail, walkerPassword, fleet.RoleOwner, true
	if _, err := w.Appliance.fleet.CreateAdmin(t.Context(), w.Actor, fleet.AdminInput{Name: &name, Mail: &mail, Password: &password, Role: &role, AllTags: &all}); err != nil {
		t.Fatal(err)
	}
	tab := b.Open(t, w.Appliance.config.URL+"/signin", uitest.View{})
	tab.Type(t, "#f-mail", walkerMail)
	tab.Type(t, "#f-password", walkerPassword)
	tab.Submit(t, "main form button.primary")
	var secret string
	tab.Eval(t, `document.getElementById("totp-secret").textContent`, &secret)
	code, err := totp(strings.ReplaceAll(secret, " ", ""), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tab.Type(t, "#f-code", code)
	tab.Submit(t, "main form button.primary")
	tab.Check(t)
	var out []*http.Cookie
	tab.Run(t, chromedp.ActionFunc(func(ctx context.Context) error {
		cookies, err := network.GetCookies().Do(ctx)
		for _, c := range cookies {
			if strings.Contains(c.Name, "session") {
				out = append(out, &http.Cookie{Name: c.Name, Value: c.Value, Secure: c.Secure})
			}
		}
		return err
	}))
	if len(out) != 1 {
		t.Fatalf("%d session cookies after signing in, want one", len(out))
	}
	return out
}

// screens are the addresses of all administrators' pages, with real things behind them. Those that this build does not serve are left out by
// asking the server.
func screens(t *testing.T, w *world, client *http.Client, cookies []*http.Cookie) []string {
	t.Helper()
	f, ctx := w.Appliance.fleet, t.Context()
	all := []string{"/", "/devices", "/people", "/people/new", "/groups", "/groups/new", "/invitations", "/invitations/new", "/profiles", "/profiles/new", "/receipts",
		"/certificates", "/certificates?state=", "/certificates?q=nothing-like-this", "/certificates/calendar",
		"/audit", "/audit?verb=create", "/audit?q=nothing-like-this", "/admins", "/admins/new", "/roles", "/roles/new", "/roles/owner", "/roles/help-desk", "/account",
		"/settings", "/settings/apple", "/settings/android", "/settings/android?check=now", "/settings/android/forget", "/settings/windows", "/settings/privacy", "/settings/terms", "/settings/tokens", "/settings/tokens/new", "/settings/register?open=all",
		"/enroll/windows?appru=ms-app%3A%2F%2Fwindows.immersivecontrolpanel&login_hint=ada%40example.org", "/search", "/search?q=a", "/search?q=pass", "/search?q=zzzz", "/health", "/health/jobs/sweep", "/health/jobs/compaction", "/help", "/help/removal", "/help/enrolment", "/help/collected", "/help/roles", "/help/android", "/about/work-profile"}
	all = append(all, "/settings/tls")
	all = append(all, "/settings/backup", "/settings/backup/key", "/restored")
	add := func(prefix, id string, tails ...string) {
		all = append(all, prefix+id)
		for _, tail := range tails {
			all = append(all, prefix+id+tail)
		}
	}
	devices, err := f.Devices(ctx, w.Actor, fleet.DeviceFilter{Hidden: true}, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range devices.Items {
		if i > 1 { // the others differ by their state only
			add("/devices/", string(d.ID))
			continue
		}
		add("/devices/", string(d.ID), "/retire", "/wipe", "/delete", "/lock", "/edit", "/profiles", "/actions", "/certificates", "/timeline", "/facts")
	}
	people, err := f.People(ctx, w.Actor, fleet.ListQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range people.Items {
		add("/people/", string(p.ID), "/edit", "/delete", "/invite", "/leave")
	}
	groups, err := f.Groups(ctx, w.Actor, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Items {
		add("/groups/", string(g.ID), "/edit", "/delete", "/members")
	}
	all = append(all, "/rules", "/rules/new?kind=cleanup", "/rules/new?kind=sync-expiry")
	for _, kind := range fleet.StaleKinds {
		rule, err := f.CreateStaleRule(ctx, w.Actor, fleet.StaleRuleInput{Kind: kind, Name: new("Walk " + string(kind))})
		if err != nil {
			t.Fatal(err)
		}
		run, err := f.RunStaleRule(ctx, w.Actor, rule.ID)
		if err != nil {
			t.Fatal(err)
		}
		add("/rules/", string(rule.ID), "/edit", "/delete")
		add("/rule-runs/", string(run.ID), "/allow")
	}
	profiles, err := f.Profiles(ctx, w.Actor, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range profiles.Items {
		add("/profiles/", string(p.ID), "/edit", "/assign", "/assignments", "/devices", "/versions", "/delete", "/settings")
	}
	for _, d := range fleet.ProfileTypes() {
		add("/profiles/new/", string(d.Type))
		all = append(all, "/profiles/new?type="+string(d.Type))
	}
	admins, err := f.Admins(ctx, w.Actor, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range admins.Items {
		add("/admins/", string(m.ID), "/reset", "/password", "/disable", "/delete")
	}
	receipts, err := f.Receipts(ctx, w.Actor, "", fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts.Items {
		add("/receipts/", string(r.ID))
	}
	invitations, err := f.Invitations(ctx, w.Actor, "", fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range invitations.Items {
		add("/invitations/", string(i.ID), "/revoke")
	}
	tokens, err := f.Tokens(ctx, w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range tokens {
		all = append(all, "/settings/tokens/"+string(k.ID)+"/revoke")
	}
	certificates, err := f.Certificates(ctx, w.Actor, fleet.CertificateFilter{State: fleet.CertificateLive}, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range certificates.Items {
		if c.Purpose == "access" {
			all = append(all, "/certificates/"+c.Serial+"/revoke?device="+url.QueryEscape(string(c.Device)))
			break
		}
	}
	return slices.DeleteFunc(all, func(path string) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Appliance.config.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			req.AddCookie(c)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			t.Errorf("%s answers %s", path, resp.Status)
		}
		return resp.StatusCode == http.StatusNotFound || resp.Request.URL.Path == "/signin"
	})
}

// TestWalk looks at every administrators' page of the real appliance in both languages, both themes, wide and on a phone: no console error,
// no report of the content policy, no request to elsewhere, landmarks, labels, contrast, nothing sideways.
func TestWalk(t *testing.T) {
	b := uitest.Start(t)
	androids := newAndroids(t)
	w := androids.world
	androids.profile(fleet.TypeEmail, "Office mail on Androids", `{"account":"exchange","host":"mail.noordhaven.example"}`)
	androids.phone("Daan", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 5, Mood: sim.AndroidMood{FailedApps: map[string]string{"com.google.android.gm": "INSUFFICIENT_STORAGE"}}})
	androids.phone("", fleet.ModeKiosk, sim.AndroidOptions{Seed: 6})
	_, phone := w.device(sim.Options{Kind: sim.IPhone, Seed: 1}, "Anna", fleet.Personal)
	_, mac := w.device(sim.Options{Kind: sim.Mac, Seed: 2}, "Bram", fleet.Corporate)
	delivered := func(id fleet.DeviceID) {
		w.eventually("profiles are delivered", func() bool {
			for _, s := range w.statuses(id) {
				if s.Status == fleet.StatusSucceeded {
					return true
				}
			}
			return false
		})
	}
	delivered(phone)
	delivered(mac)
	w.allowQueries()
	_, pc := w.pc(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 5}, w.invitation("Carla", fleet.Windows, fleet.Corporate, 1))
	w.answered(pc, "./Device/Vendor/MSFT/DeviceStatus/TPM/SpecificationVersion")
	w.device(sim.Options{Kind: sim.IPhone, Seed: 3, ManualAccount: "carla@noordhaven.example"}, "Carla", fleet.Personal)
	_, leaver := w.device(sim.Options{Kind: sim.IPhone, Seed: 4}, "Eva", fleet.Personal)
	delivered(leaver)
	w.eventually("the leaver's name has settled, and confirms", func() bool {
		d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, leaver)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Appliance.fleet.Act(t.Context(), w.Actor, leaver, fleet.ActRetire, fleet.ActionOptions{}, d.Name)
		return err == nil
	})
	w.eventually("the leaver is retired", func() bool {
		d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, leaver)
		return err == nil && d.State == fleet.Retired
	})
	if _, _, err := w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "Inventory export", []fleet.Permission{fleet.DevicesRead, fleet.PeopleRead}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Appliance.fleet.SaveRole(t.Context(), w.Actor, fleet.Role{Name: "Front desk", Permissions: []fleet.Permission{fleet.DevicesRead, fleet.PeopleRead, fleet.InviteWrite}}); err != nil {
		t.Fatal(err)
	}
	cookies := signIn(t, w, b)
	auditIsTold(t, w)
	paths := append(screens(t, w, w.browser(), cookies), "/devices/"+string(pc)+"/act/query")
	if only := os.Getenv("MUSTER_WALK"); only != "" { // for looking at some pages while working on them
		paths = slices.DeleteFunc(paths, func(p string) bool { return !strings.Contains(p, only) })
	}
	if len(paths) < 30 && os.Getenv("MUSTER_WALK") == "" {
		t.Errorf("only %d pages found: %v", len(paths), paths)
	}
	for _, lang := range []string{"en", "nl"} {
		t.Run(lang, func(t *testing.T) {
			for some := range slices.Chunk(paths, 6) { // a tab lives some minutes
				tab := b.Open(t, w.Appliance.config.URL+some[0], uitest.View{Lang: lang, Cookies: cookies})
				for i, path := range some {
					if i > 0 {
						tab.Run(t, chromedp.Navigate(w.Appliance.config.URL+path), chromedp.WaitReady("body", chromedp.ByQuery))
					}
					var said string
					if tab.Eval(t, "document.documentElement.lang", &said); said != lang {
						t.Errorf("%s calls itself %q for a reader of %s", path, said, lang)
					}
					name := strings.Trim(strings.NewReplacer("/", "_", "?", "_", "=", "_").Replace(path), "_")
					for _, look := range looks[lang] {
						tab.Run(t,
							emulation.SetDeviceMetricsOverride(look.width, look.height, 1, look.width < 500),
							emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
						tab.Check(t)
						tab.Shot(t, fmt.Sprintf("%s.%s-%s-%d", name, lang, look.scheme, look.width))
					}
				}
			}
		})
	}
}

// auditIsTold: every field in the log's details has a name for people.
func auditIsTold(t *testing.T, w *world) {
	t.Helper()
	list, err := w.Appliance.fleet.Audit(t.Context(), w.Actor, fleet.AuditQuery{ListQuery: fleet.ListQuery{Limit: 500}})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) < 20 {
		t.Errorf("only %d entries in the log", len(list.Items))
	}
	for _, r := range list.Items {
		for _, side := range []json.RawMessage{r.Before, r.After} {
			var fields map[string]json.RawMessage
			if len(side) == 0 || json.Unmarshal(side, &fields) != nil {
				continue
			}
			for name := range fields {
				needWords(t, "audit.field."+name)
			}
		}
	}
}

// look is one way of looking at a page, without loading it anew.
type look struct {
	scheme        string
	width, height int64
}

// looks pair languages with schemes and widths so that each of them meets each of the others, without looking at everything eight times.
var looks = map[string][]look{
	"en": {{"light", 1280, 900}, {"dark", 360, 780}},
	"nl": {{"dark", 1280, 900}, {"light", 360, 780}},
}
