package appliance

import (
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// rules calls what can be called on rules without a device that is silent; TestCleanupOverTheWire calls the rest.
func (c *client) rules() {
	c.t.Helper()
	var one thing
	c.call("POST", "/rules", map[string]any{"kind": "cleanup", "name": "Old ones", "days": 120}, 201, &one)
	c.call("POST", "/rules/preview", map[string]any{"kind": "sync-expiry"}, 200, nil)
	c.call("POST", "/rules", map[string]any{"kind": "cleanup", "name": "Too soon", "days": 20}, 422, nil)
	rule := "/rules/" + one.ID
	c.call("GET", "/rules", nil, 200, nil)
	c.call("GET", rule, nil, 200, nil)
	c.call("PATCH", rule, map[string]any{"days": 150}, 200, nil)
	c.call("GET", rule+"/enforcement", nil, 200, nil)
	c.call("POST", rule+"/preview", nil, 200, nil)
	c.call("POST", rule+"/runs", nil, 201, &one)
	c.call("GET", rule+"/runs", nil, 200, nil)
	c.call("GET", "/rule-runs", nil, 200, nil)
	c.call("GET", "/rule-runs/"+one.ID, nil, 200, nil)
	c.call("GET", "/rule-runs/"+one.ID+"/devices", nil, 200, nil)
	c.call("DELETE", rule, nil, 204, nil)
	for _, path := range []string{"/rule-runs/{id}/allow", "/rule-runs/{id}/stop", "/rule-runs/{id}/devices/{device}/take-back"} {
		c.called["POST "+path] = true // in TestCleanupOverTheWire
	}
}

// A phone that is off is asked, waits for a yes, is deleted, and is met with the removal of its company data when it is on again; another is taken back.
func TestCleanupOverTheWire(t *testing.T) {
	clock := &movingClock{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Clock = clock.now })
	c := newClient(t, w)
	var phones []*sim.Apple
	var ids []fleet.DeviceID
	for i, name := range []string{"Lost", "Found"} {
		p := sim.NewApple(sim.Options{Kind: sim.IPhone, Name: name, Seed: int64(900 + i), Roots: w.roots, Push: w.APNs})
		if err := p.Enrol(t.Context(), w.invitation("", fleet.IOS, fleet.Corporate, 1)); err != nil {
			t.Fatal(err)
		}
		if err := p.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		phones, ids = append(phones, p), append(ids, w.find(p))
	}
	var rule, run thing
	clock.advance(91 * 24 * time.Hour)
	c.fresh()
	c.call("POST", "/rules", map[string]any{"kind": "cleanup", "name": "Silent", "days": 90}, 201, &rule)
	var preview fleet.StalePreview
	c.call("POST", "/rules/"+rule.ID+"/preview", nil, 200, &preview)
	if preview.Hits != 2 || !preview.NeedsYes {
		t.Fatalf("preview: %+v", preview)
	}
	c.call("POST", "/rules/"+rule.ID+"/runs", nil, 201, &run)
	path := "/rule-runs/" + run.ID
	c.call("POST", path+"/allow", nil, 409, nil)
	c.call("POST", path+"/stop", nil, 200, nil)
	c.call("POST", "/rules/"+rule.ID+"/runs", nil, 201, &run)
	path = "/rule-runs/" + run.ID
	clock.advance(25 * time.Hour)
	c.fresh()
	var state fleet.StaleRun
	w.eventually("the run waits for a yes", func() bool {
		w.Appliance.jobs.Look()
		c.call("GET", path, nil, 200, &state)
		return state.State == fleet.RunWaiting
	})
	c.call("POST", path+"/allow", nil, 200, &state)
	if state.State != fleet.RunDone || state.Outcomes[fleet.OutcomeOrdered] != 2 {
		t.Fatalf("allowed: %+v", state)
	}
	var visible things
	c.call("GET", "/devices", nil, 200, &visible)
	if len(visible.Items) != 0 {
		t.Errorf("%d devices are still in the list", len(visible.Items))
	}
	c.call("POST", path+"/devices/"+string(ids[1])+"/take-back", nil, 204, nil)
	if err := phones[0].Connect(t.Context()); err != nil {
		t.Logf("the phone's last session: %v", err)
	}
	w.eventually("the phone has left management", func() bool { return !phones[0].State().Enrolled })
	c.call("GET", "/devices/"+string(ids[0]), nil, 404, nil)
	if err := phones[1].Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !phones[1].State().Enrolled {
		t.Error("the phone that was taken back has left")
	}
}

// fresh gets a token that is valid by the clock as it stands now.
func (c *client) fresh() {
	c.t.Helper()
	var err error
	if _, c.token, err = c.w.Appliance.fleet.CreateToken(c.t.Context(), c.w.Actor, "later", fleet.AllPermissions, time.Hour); err != nil {
		c.t.Fatal(err)
	}
}
