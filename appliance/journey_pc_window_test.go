package appliance

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// TestPCSignsInOnOurPage shows the window that Windows opens: a person with nothing but an invitation reads what will happen there and accepts,
// and Windows gets its token from the form that follows, to the app that opened the window and nowhere else.
func TestPCSignsInOnOurPage(t *testing.T) {
	w := newWorld(t)
	f := w.Appliance.fleet
	link := w.invitation("Dirk", fleet.Windows, fleet.Personal, 1)

	t.Run("only when Windows opens it", func(t *testing.T) {
		c := w.browser()
		for _, to := range []string{"", "javascript:alert(1)", "data:text/html,x", "//evil.example", "https://evil.example/take", "ms-app://x\"onload"} {
			resp, err := c.Get(w.Appliance.config.URL + "/enroll/windows?" + url.Values{"appru": {to}}.Encode())
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound || strings.Contains(string(body), "<form class=\"card") {
				t.Errorf("appru %q: %d", to, resp.StatusCode)
			}
		}
	})

	t.Run("a wrong code", func(t *testing.T) {
		c := w.browser()
		form := url.Values{"appru": {"ms-app://windows.immersivecontrolpanel"}, "username": {"dirk@noordhaven.example"}, "code": {"00000 00000"}}
		resp, err := c.PostForm(w.Appliance.config.URL+"/enroll/windows", form)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(body), "code is wrong") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})

	t.Run("an invitation for an iPhone", func(t *testing.T) {
		c := w.browser()
		other := w.invitation("Dirk", fleet.IOS, fleet.Personal, 1)
		form := url.Values{"appru": {"ms-app://windows.immersivecontrolpanel"}, "username": {""}, "code": {other}}
		resp, err := c.PostForm(w.Appliance.config.URL+"/enroll/windows", form)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusGone || !strings.Contains(string(body), "not for a Windows PC") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})

	// The person begins in Settings and pastes the link: nothing was accepted before.
	pc := sim.NewWindows(sim.WindowsOptions{Name: "DIRK-PC", Seed: 9, Roots: w.roots, FreshBrowser: true})
	if err := pc.EnrolAs(t.Context(), "dirk@noordhaven.example", w.Appliance.config.DeviceURL, link); err != nil {
		t.Fatal(err)
	}
	d, err := f.DeviceByHardware(t.Context(), strings.ToUpper(pc.State().DeviceID))
	if err != nil {
		t.Fatal(err)
	}
	if d.Ownership != fleet.Personal || d.Person != w.people["Dirk"] {
		t.Errorf("device %+v", d)
	}
	if terms := pc.State().TermsRead; !strings.Contains(terms, "Noordhaven Architecten") || !strings.Contains(terms, "Windows PC") {
		t.Errorf("read in the window before accepting: %s", terms)
	}
	accepted, err := f.Acceptances(t.Context(), w.Actor, d.Person, fleet.ListQuery{})
	if err != nil || len(accepted.Items) != 1 || accepted.Items[0].Enrolment != d.Enrolment {
		t.Errorf("acceptances %+v, %v", accepted.Items, err)
	}
}
