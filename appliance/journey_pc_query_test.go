package appliance

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// Questions to PCs (D8): off until switched on, with their own right, never to a personal PC, answered with evidence, and not kept for long.
func TestPCIsAsked(t *testing.T) {
	w := newWorld(t)
	f, c := w.Appliance.fleet, newClient(t, w)
	_, office := w.pc(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 5}, w.invitation("Carla", fleet.Windows, fleet.Corporate, 1))
	_, own := w.pc(sim.WindowsOptions{Name: "BRAM-PC", Seed: 6}, w.invitation("Bram", fleet.Windows, fleet.Personal, 1))
	w.eventually("both PCs have reported", func() bool { return len(w.succeeded(office)) > 0 && len(w.succeeded(own)) > 0 })

	const tpm = "./Device/Vendor/MSFT/DeviceStatus/TPM/SpecificationVersion"
	ask := func(id fleet.DeviceID, node string, status int) (out struct {
		ID     fleet.ActionID
		Reason fleet.Reason
	}) {
		t.Helper()
		c.call("POST", "/devices/"+string(id)+"/actions", map[string]any{"action": "query", "options": map[string]any{"node": node}}, status, &out)
		return out
	}
	refused := func(id fleet.DeviceID, code string) {
		t.Helper()
		list, err := f.ActionChoices(t.Context(), w.Actor, id)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(x fleet.ActionChoice) bool { return x.Type == fleet.ActQuery })
		if i < 0 || list[i].Offered || list[i].Reason.Code != code || len(list[i].Nodes) > 0 {
			t.Fatalf("choices %+v, want a refusal with %s", list, code)
		}
	}
	refused(office, "query.off")
	ask(office, tpm, 409)

	settings, err := f.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settings.Switches = map[string]bool{fleet.SwitchDeviceQuery: true}
	c.call("PUT", "/settings", settings, 200, nil)
	refused(own, "windows.query.personal")
	ask(own, tpm, 409)
	for _, node := range []string{"", "./Device/Vendor/MSFT/WiFi/Profile/Office/WlanXml", "./DevInfo/Ext/ICCID"} {
		ask(office, node, 422)
	}
	all := c.token
	_, c.token, err = f.CreateToken(t.Context(), w.Actor, "desk", []fleet.Permission{fleet.DevicesRead, fleet.DevicesLock, fleet.DevicesWipe}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ask(office, tpm, 403)
	c.token = all

	order := ask(office, tpm, 201)
	var done fleet.Action
	w.eventually("the PC has answered", func() bool {
		c.call("GET", "/devices/"+string(office)+"/actions/"+string(order.ID), nil, 200, &done)
		return done.Ended != nil
	})
	if done.State != fleet.ActionDone || done.Reply == nil || done.Reply.Text != "2.0, 0, 1.59" || done.Evidence.None() {
		t.Fatalf("%+v with reply %+v", done, done.Reply)
	}
	none := ask(office, "./Device/Vendor/MSFT/BitLocker/SystemDrivesRecoveryMessage", 201)
	w.eventually("the PC has said that it has no such value", func() bool {
		done = fleet.Action{}
		c.call("GET", "/devices/"+string(office)+"/actions/"+string(none.ID), nil, 200, &done)
		return done.Ended != nil
	})
	if done.State != fleet.ActionFailed || done.Reason.Code != "windows.status.not-there" || !strings.HasPrefix(done.Reason.DeviceWords, "404 ") {
		t.Errorf("%+v", done)
	}

	owner := w.owner(t)
	if status, page := owner.get("/devices/" + string(office)); status != 200 || !strings.Contains(page, "2.0, 0, 1.59") || !strings.Contains(page, "TPM version") {
		t.Errorf("the device's page (%d) does not show the answer", status)
	}
	if status, page := owner.get("/devices/" + string(own) + "/act/query"); status != 409 || !strings.Contains(page, "A personal PC is not asked") {
		t.Errorf("the page of a personal PC: %d", status)
	}
	if status, page := owner.get("/devices/" + string(office) + "/act/query"); status != 200 || !strings.Contains(page, "BIOS version") {
		t.Errorf("the form: %d", status)
	}
	if status, at, _ := owner.post("/devices/"+string(office)+"/act/query", "node", "./DevDetail/Ext/Microsoft/SMBIOSVersion"); status != 200 || at != "/devices/"+string(office) {
		t.Errorf("the form answers %d at %s", status, at)
	}
	var log struct{ Items []fleet.AuditRecord }
	c.call("GET", "/audit?"+url.Values{"verb": {"query"}}.Encode(), nil, 200, &log)
	if len(log.Items) != 3 || !strings.Contains(string(log.Items[2].After), tpm) {
		t.Errorf("the log: %+v", log.Items)
	}

	held := func() bool {
		facts, err := f.Facts(t.Context(), w.Actor, office)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(facts, func(x fleet.Fact) bool { return x.Key == fleet.FactReplies })
	}
	if !held() {
		t.Error("the answers are not among what is held")
	}
	if status, _, _ := owner.post("/settings/privacy"); status != 200 { // none is ticked
		t.Errorf("switching off: %d", status)
	}
	w.eventually("the answers are gone", func() bool {
		if err := f.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		return !held()
	})
}

// allowQueries switches questions to PCs on.
func (w *world) allowQueries() {
	w.t.Helper()
	s, err := w.Appliance.fleet.Settings(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	s.Switches = map[string]bool{fleet.SwitchDeviceQuery: true}
	if _, err := w.Appliance.fleet.SaveSettings(w.t.Context(), w.Actor, *s); err != nil {
		w.t.Fatal(err)
	}
}

// answered asks a PC for a node and waits for the answer.
func (w *world) answered(id fleet.DeviceID, node string) {
	w.t.Helper()
	var a *fleet.Action
	w.eventually("the PC takes a question", func() (ok bool) {
		var err error
		a, err = w.Appliance.fleet.Act(w.t.Context(), w.Actor, id, fleet.ActQuery, fleet.ActionOptions{Node: node}, "")
		return err == nil
	})
	w.eventually("the PC has answered", func() bool {
		x, err := w.Appliance.fleet.Action(w.t.Context(), w.Actor, a.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		return x.Reply != nil
	})
}
