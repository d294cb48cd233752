package appliance

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	c.unreadable("POST", "/rules", []string{"no rule"})
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
	c.call("POST", path+"/allow", map[string]any{"list": ""}, 409, nil)
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
	c.call("POST", path+"/allow", map[string]any{"list": "of others"}, 409, nil)
	c.call("POST", path+"/allow", map[string]any{"list": state.List}, 200, &state)
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

// kill -9 again and again while jobs run a cleanup rule: the run goes on where it was, and every silent device is deleted exactly once.
func TestKillNineDuringACleanupRun(t *testing.T) {
	killNineDuringARun(t, fleet.Cleanup, "delete", 8, "in fleet.(*Fleet).listRun", "in fleet.(*Fleet).removeRun", "device")
}

// The same for sync expiry: from every silent device the work account is withdrawn exactly once.
func TestKillNineDuringSyncExpiry(t *testing.T) {
	killNineDuringARun(t, fleet.SyncExpiry, "retire", 3, "in fleet.(*Fleet).listRun", "in fleet.(*Fleet).removeRun")
}

// killNineDuringARun kills an appliance on each of the changes, or in each of the functions, one after the other, and lets the last one finish: the
// first dies while it begins the run, the others while they give orders. verb is what the log calls an order.
func killNineDuringARun(t *testing.T, kind fleet.StaleKind, verb string, phones int, changes ...string) {
	clock := &movingClock{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Clock = clock.now })
	var ids []fleet.DeviceID
	for i := range phones {
		p := sim.NewApple(sim.Options{Kind: sim.IPhone, Name: "Silent", Seed: int64(950 + i), Roots: w.roots, Push: w.APNs})
		if err := p.Enrol(t.Context(), w.invitation("", fleet.IOS, fleet.Corporate, 1)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, w.find(p))
	}
	rule, err := w.Appliance.fleet.CreateStaleRule(t.Context(), w.Actor, fleet.StaleRuleInput{Kind: kind, Name: new("Silent"), Days: new(90), Share: new(100)})
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	ahead := 92 * 24 * time.Hour
	for _, on := range changes {
		c := childConfig{Ahead: ahead, DieOn: on}
		if in, ok := strings.CutPrefix(on, "in "); ok {
			c.DieOn, c.DieIn = "", in
		}
		child := w.child(c)
		late := time.AfterFunc(2*time.Minute, func() { child.Process.Kill() })
		child.Wait()
		if !late.Stop() {
			t.Fatalf("the appliance changed no %s", on)
		}
		ahead += 25 * time.Hour
	}
	clock.advance(ahead + 25*time.Hour)
	w.start()
	var runs fleet.List[*fleet.StaleRun]
	w.eventually("the run is done", func() bool {
		w.Appliance.jobs.Look()
		if runs, err = w.Appliance.fleet.StaleRuns(t.Context(), w.Actor, rule.ID, fleet.ListQuery{}); err != nil {
			t.Fatal(err)
		}
		open := slices.ContainsFunc(runs.Items, func(r *fleet.StaleRun) bool { return r.Ended == nil })
		if open && w.job("rules").Running == nil && runs.Items[0].State == fleet.RunAsking && clock.now().Before(runs.Items[0].JudgeAt) {
			clock.advance(25 * time.Hour) // however far the killed ones came
		}
		return len(runs.Items) > 0 && !open
	})
	cut := 0
	for _, name := range []string{string(kind), "rules"} {
		l, err := w.Appliance.fleet.JobRuns(t.Context(), w.Actor, name, fleet.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range l.Items {
			if r.Outcome == "interrupted" {
				cut++
			}
		}
	}
	if cut < 2 {
		t.Errorf("only %d runs of jobs were cut off: the kills missed them", cut)
	}
	taken := 0
	for _, r := range runs.Items {
		taken += r.Outcomes[fleet.OutcomeOrdered]
	}
	if taken != len(ids) {
		t.Errorf("%d devices taken in %d runs, want %d", taken, len(runs.Items), len(ids))
	}
	for _, id := range ids {
		log, err := w.Appliance.fleet.Audit(t.Context(), w.Actor, fleet.AuditQuery{Verb: verb, Object: "device/" + string(id)})
		if err != nil || len(log.Items) != 1 {
			t.Errorf("%s was ordered away %d times (%v)", id, len(log.Items), err)
		}
	}
	if broken, _, err := w.Appliance.fleet.VerifyAudit(t.Context(), fleet.Job("test")); err != nil || broken != 0 {
		t.Errorf("audit chain broken at %d: %v", broken, err)
	}
}

// What the API does, the forms do: preview before saving, make, run, stop, change, delete; and a job by hand.
func TestRulesAndJobsByForms(t *testing.T) {
	w := newWorld(t)
	browser := w.browser()
	at, err := url.Parse(w.Appliance.config.URL)
	if err != nil {
		t.Fatal(err)
	}
	browser.Jar.SetCookies(at, []*http.Cookie{{Name: sessionName, Value: w.session, Path: "/", Secure: true}})
	// post submits a form and returns where that leads, and what is shown there.
	post := func(path string, form url.Values) (string, string) {
		t.Helper()
		resp, err := browser.PostForm(w.Appliance.config.URL+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode >= 500 {
			t.Fatalf("POST %s: %d", path, resp.StatusCode)
		}
		return resp.Request.URL.Path, string(body)
	}
	p := sim.NewApple(sim.Options{Kind: sim.IPhone, Name: "Drawer", Seed: 990, Roots: w.roots, Push: w.APNs})
	if err := p.Enrol(t.Context(), w.invitation("Anna", fleet.IOS, fleet.Corporate, 1)); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"kind": {"cleanup"}, "name": {"Drawers"}, "days": {"20"}, "share": {"10"}, "grace_hours": {"24"}, "on": {"on"}, "platforms": {"ios"}}
	if path, body := post("/rules/new", form); path != "/rules/new" || !strings.Contains(body, "90") || !strings.Contains(body, `aria-invalid="true"`) {
		t.Errorf("20 days were taken: %s", path)
	}
	form.Set("days", "90")
	form.Set("do", "preview")
	if path, body := post("/rules/new", form); path != "/rules/new" || !strings.Contains(body, "It would take no device now; it is about one.") {
		t.Errorf("no preview at %s", path)
	}
	form.Del("do")
	rule, body := post("/rules/new", form)
	if !strings.HasPrefix(rule, "/rules/") || rule == "/rules/new" || !strings.Contains(body, "90 days of silence") {
		t.Fatalf("made: %s", rule)
	}
	run, body := post(rule+"/run", nil)
	if !strings.HasPrefix(run, "/rule-runs/") || !strings.Contains(body, "No device was silent for long enough.") {
		t.Errorf("run: %s", run)
	}
	if path, body := post(run+"/stop", nil); path != run || !strings.Contains(body, "This run has ended already.") {
		t.Errorf("a run that is done was stopped: %s", path)
	}
	form.Set("days", "120")
	form.Del("on")
	if path, body := post(rule+"/edit", form); path != rule || !strings.Contains(body, "120 days of silence") || !strings.Contains(body, ">Off<") {
		t.Errorf("changed: %s", path)
	}
	if path, body := post(rule+"/delete", nil); path != "/rules" || strings.Contains(body, rule) {
		t.Errorf("deleted: %s", path)
	}
	w.ran("compaction", time.Time{})
	if path, body := post("/health/jobs/compaction/run", nil); path != "/health/jobs/compaction" || !strings.Contains(body, "The job has been started.") {
		t.Errorf("job by hand: %s", path)
	}
	w.eventually("the run by hand is in the history", func() bool {
		l, err := w.Appliance.fleet.JobRuns(t.Context(), w.Actor, "compaction", fleet.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return l.Items[0].By == "Demo administrator"
	})
}
