package appliance

import (
	"net/http"
	"testing"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// setUpGoogle sets Android up by the API alone, looks at the prerequisites before and after, sees what is refused, and takes it down again.
func setUpGoogle(t *testing.T, c *client, google *sim.Google) {
	t.Helper()
	type checks struct{ Items []fleet.GoogleCheck }
	state := func(list checks, code string) string {
		for _, x := range list.Items {
			if x.Code == code {
				return x.State
			}
		}
		return ""
	}
	var view struct{ Connected, Ready bool }
	c.call("GET", "/settings/google", nil, 200, &view)
	if view.Connected || view.Ready {
		t.Errorf("connected before anybody did: %+v", view)
	}
	c.call("POST", "/settings/google/sign-up", map[string]any{}, 404, nil)
	c.call("PUT", "/settings/google", map[string]any{"kind": "own", "key_file": "{}"}, 422, nil)
	c.call("PUT", "/settings/google", map[string]any{"kind": "own", "key_file": string(google.ServiceAccount()),
		"topic": "projects/" + google.Project() + "/topics/muster", "subscription": "projects/" + google.Project() + "/subscriptions/muster"}, 200, nil)
	var found checks
	google.Change(func(g *sim.GoogleConditions) { g.KeyRevoked = true })
	google.ExpireTokens()
	c.call("GET", "/settings/google/check", nil, 200, &found)
	if state(found, "token") != "bad" {
		t.Errorf("a key that was deleted: %+v", found)
	}
	google.Change(func(g *sim.GoogleConditions) { g.KeyRevoked = false })
	var page struct{ URL string }
	c.call("POST", "/settings/google/sign-up", map[string]any{}, 200, &page)
	back, err := google.SignUp(t.Context(), page.URL)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Get(back)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if again, err := c.http.Get(back); err != nil || again.StatusCode != http.StatusConflict {
		t.Errorf("the sign-up was taken twice: %v", err)
	} else {
		again.Body.Close()
	}
	google.Change(func(g *sim.GoogleConditions) { g.APIOff = true })
	c.call("GET", "/settings/google/check", nil, 200, &found)
	if state(found, "api") != "bad" {
		t.Errorf("the interface is switched off: %+v", found)
	}
	google.Change(func(g *sim.GoogleConditions) { g.APIOff = false })
	c.call("GET", "/settings/google/check", nil, 200, &found)
	for code, want := range map[string]string{"token": "good", "api": "good", "enterprise": "good", "notifications": "good", "quota": "unknown", "usage": "unknown"} {
		if got := state(found, code); got != want {
			t.Errorf("check %s: %q, want %q: %+v", code, got, want, found)
		}
	}
	c.call("GET", "/settings/google", nil, 200, &view)
	if !view.Ready {
		t.Error("not ready after the sign-up")
	}
	c.call("DELETE", "/settings/google", nil, 204, nil)
}
