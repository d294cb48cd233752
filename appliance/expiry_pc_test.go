package appliance

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// Sync expiry on PCs: the days reach them with their first session, follow the rule and the tags that it spares, and go with it; a PC that is cut off
// leaves by itself. One that is too old for it is told nothing.
func TestPCSyncExpiry(t *testing.T) {
	w := newWorld(t)
	f := w.Appliance.fleet
	rule, err := f.CreateStaleRule(t.Context(), w.Actor, fleet.StaleRuleInput{Kind: fleet.SyncExpiry, Name: new("A month"), ExcludeTags: &[]fleet.Tag{"spare"}})
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	pc, id := w.pc(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 41, Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }},
		w.invitation("Carla", fleet.Windows, fleet.Corporate, 1))
	old, oldID := w.pc(sim.WindowsOptions{Name: "OLD-LAPTOP", Seed: 42, OSVersion: "10.0.15063.1"}, w.invitation("Bram", fleet.Windows, fleet.Corporate, 1))
	days := func(p *sim.Windows) string {
		v, _ := p.Node("./Device/Vendor/MSFT/DMClient/Provider/Muster/NumberOfDaysAfterLostContactToUnenroll")
		return v
	}
	told := func(code string) int {
		t.Helper()
		lines, err := f.Timeline(t.Context(), w.Actor, id, fleet.ListQuery{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, l := range lines.Items {
			if l.Reason.Code == code {
				n++
			}
		}
		return n
	}
	change := func(in fleet.StaleRuleInput) {
		t.Helper()
		in.Version = rule.Version
		if rule, err = f.UpdateStaleRule(t.Context(), w.Actor, rule.ID, in); err != nil {
			t.Fatal(err)
		}
	}
	tag := func(tags ...fleet.Tag) {
		t.Helper()
		if _, err := f.UpdateDevice(t.Context(), w.Actor, id, fleet.DeviceInput{Tags: &tags}); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("the days are on the PC, and read back", func() bool { return days(pc) == "30" && told("event.frame-confirmed") == 1 })
	change(fleet.StaleRuleInput{Days: new(7)})
	w.eventually("a changed rule reaches the PC", func() bool { return days(pc) == "7" && told("event.frame-confirmed") == 2 })
	tag("spare")
	w.eventually("a PC that the rule spares is told nothing", func() bool { return days(pc) == "" && told("event.frame-gone") == 1 })
	tag()
	w.eventually("and once it is not spared it is told again", func() bool { return days(pc) == "7" })
	change(fleet.StaleRuleInput{Off: new(true)})
	w.eventually("a rule that is off goes from the PC", func() bool { return days(pc) == "" && told("event.frame-gone") == 2 })
	change(fleet.StaleRuleInput{Off: new(false)})
	w.eventually("one that is on again is back", func() bool { return days(pc) == "7" && told("event.frame-confirmed") == 4 })

	c := w.administrator()
	if _, body := w.read(c, "/rules/"+string(rule.ID)); !strings.Contains(body, "Ends management by itself after 7 days without contact") {
		t.Error("the rule's page does not say what a PC does by itself")
	}
	w.eventually("the old PC has its profiles", func() bool { return len(w.succeeded(oldID)) > 0 })
	if days(old) != "" {
		t.Errorf("a PC without the setting was told %s days", days(old))
	}
	pc.SetOffline(true)
	ahead.Store(int64(8 * 24 * time.Hour))
	w.eventually("the PC that is cut off leaves by itself", func() bool { return !pc.State().Enrolled })
	for _, p := range []*sim.Windows{pc, old} {
		for _, c := range p.State().Complaints {
			t.Errorf("a PC complains: %s", c)
		}
	}
}
