package appliance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// Sync expiry on PCs: the days reach them with their first session, follow the rule and the tags that it spares, and go with it; a PC that is cut off
// leaves by itself. One that is too old for it is told nothing.
func TestPCSyncExpiry(t *testing.T) {
	clock := &movingClock{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Clock = clock.now })
	f := w.Appliance.fleet
	rule, err := f.CreateStaleRule(t.Context(), w.Actor, fleet.StaleRuleInput{Kind: fleet.SyncExpiry, Name: new("A month"), ExcludeTags: &[]fleet.Tag{"spare"}})
	if err != nil {
		t.Fatal(err)
	}
	pc, id := w.pc(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 41, Clock: clock.now},
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
	w.eventually("the days are on the PC, and read back", func() bool { return days(pc) == "30" && told("event.frame-confirmed") >= 1 })
	change(fleet.StaleRuleInput{Days: new(7)})
	w.eventually("a changed rule reaches the PC", func() bool { return days(pc) == "7" && told("event.frame-confirmed") >= 2 })
	tag("spare")
	w.eventually("a PC that the rule spares is told nothing", func() bool { return days(pc) == "" && told("event.frame-gone") >= 1 })
	tag()
	w.eventually("and once it is not spared it is told again", func() bool { return days(pc) == "7" && told("event.frame-confirmed") >= 3 })
	change(fleet.StaleRuleInput{Off: new(true)})
	w.eventually("a rule that is off goes from the PC", func() bool { return days(pc) == "" && told("event.frame-gone") >= 2 })
	change(fleet.StaleRuleInput{Off: new(false)})
	w.eventually("one that is on again is back", func() bool { return days(pc) == "7" && told("event.frame-confirmed") >= 4 })

	c := w.administrator()
	if _, body := w.read(c, "/rules/"+string(rule.ID)); !strings.Contains(body, "Ends management by itself after 7 days without contact") {
		t.Error("the rule's page does not say what a PC does by itself")
	}
	// Cleaned for the same person: offered from 1709 on, and afterwards all is as it was.
	if _, body := w.read(c, "/devices/"+string(oldID)+"/act/wipe"); strings.Contains(body, "for=keep") || !strings.Contains(body, "for=lost") {
		t.Error("a PC that cannot keep its enrolment through a wipe is offered it")
	}
	clean := "/devices/" + string(id) + "/act/wipe"
	if _, body := w.read(c, clean+"?for=keep"); !strings.Contains(body, "Clean CARLA-LAPTOP and keep it managed") || strings.Contains(body, `name="method"`) {
		t.Error("a wipe that keeps the enrolment is not offered as one")
	}
	if _, body := w.read(c, clean+"?for=next"); !strings.Contains(body, `value="protected"`) || !strings.Contains(body, `value="cloud"`) {
		t.Error("the other ways of erasing are not offered")
	}
	status, _ := w.answer(c.PostForm(w.Appliance.config.URL+clean, url.Values{"for": {"keep"}, "confirm": {"carla-laptop"}}))
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	w.eventually("the PC was reset, and stays managed", func() bool {
		s := pc.State()
		return len(s.Resets) == 1 && s.Resets[0] == "doWipePersistUserData" && s.Enrolled
	})
	calls := pc.State().Sessions
	w.eventually("it calls again", func() bool { return pc.State().Sessions > calls+1 })
	if n := len(pc.State().Policies); n > 0 {
		t.Errorf("%d settings were delivered while the PC may not have reset itself yet", n)
	}
	clock.advance(6 * time.Minute)
	w.eventually("it has everything again", func() bool {
		return days(pc) == "7" && told("event.frame-confirmed") >= 5 && len(w.succeeded(oldID)) > 0 && slices.Equal(w.succeeded(id), w.succeeded(oldID))
	})
	w.eventually("the old PC has its profiles", func() bool { return len(w.succeeded(oldID)) > 0 })
	if days(old) != "" {
		t.Errorf("a PC without the setting was told %s days", days(old))
	}
	pc.SetOffline(true)
	clock.advance(8 * 24 * time.Hour)
	w.eventually("the PC that is cut off leaves by itself", func() bool { return !pc.State().Enrolled })
	for _, p := range []*sim.Windows{pc, old} {
		for _, c := range p.State().Complaints {
			t.Errorf("a PC complains: %s", c)
		}
	}
}
