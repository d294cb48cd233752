package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/appliance/fleet"
	"muster/store"
)

const day = 24 * time.Hour

// rule makes a cleanup rule of 90 days that may take all, changed by change.
func (w *planWorld) rule(change func(*fleet.StaleRuleInput)) *fleet.StaleRule {
	w.t.Helper()
	w.n++
	in := fleet.StaleRuleInput{Kind: fleet.Cleanup, Name: new(fmt.Sprintf("Rule %d", w.n)), Days: new(90), Share: new(100)}
	if change != nil {
		change(&in)
	}
	r, err := w.CreateStaleRule(ctx, w.admin, in)
	if err != nil {
		w.t.Fatal(errText(err))
	}
	return r
}

// hits are the serials that a rule would hit now, and those that it would skip with the reason.
func (w *planWorld) preview(r *fleet.StaleRule) (hits []string, skips map[string]string) {
	w.t.Helper()
	p, err := w.PreviewStaleRule(ctx, w.admin, r.ID, fleet.ListQuery{Limit: 500})
	if err != nil {
		w.t.Fatal(errText(err))
	}
	skips = map[string]string{}
	for _, v := range p.Devices {
		if v.Action != "" {
			hits = append(hits, v.Serial)
		} else {
			skips[v.Serial] = v.Skip.Code
		}
	}
	if p.Hits != len(hits) || p.Skipped != len(skips) {
		w.t.Fatalf("preview counts %d and %d, lists %v and %v", p.Hits, p.Skipped, hits, skips)
	}
	slices.Sort(hits)
	return hits, skips
}

// outcomes of the devices of a run, by serial.
func (w *planWorld) outcomes(id fleet.StaleRunID) map[string]string {
	w.t.Helper()
	l, err := w.StaleRunDevices(ctx, w.admin, id, fleet.ListQuery{Limit: 500})
	if err != nil {
		w.t.Fatal(errText(err))
	}
	out := map[string]string{}
	for _, d := range l.Items {
		out[d.Verdict.Serial] = d.Outcome
	}
	return out
}

func (w *planWorld) run(r *fleet.StaleRule) *fleet.StaleRun {
	w.t.Helper()
	run, err := w.RunStaleRule(ctx, w.admin, r.ID)
	if err != nil {
		w.t.Fatal(errText(err))
	}
	return run
}

// night lets the time for answers pass and the job look.
func (w *planWorld) night(id fleet.StaleRunID) *fleet.StaleRun {
	w.t.Helper()
	w.sleep(25 * time.Hour)
	if _, err := w.AdvanceStaleRuns(ctx, fleet.Job("rules")); err != nil {
		w.t.Fatal(errText(err))
	}
	return w.staleRun(id)
}

func (w *planWorld) staleRun(id fleet.StaleRunID) *fleet.StaleRun {
	w.t.Helper()
	run, err := w.StaleRun(ctx, w.admin, id)
	if err != nil {
		w.t.Fatal(errText(err))
	}
	return run
}

// forgetContact takes every trace of a contact of a device out of the store, as with a record that was adopted.
func (w *planWorld) forgetContact(p *phone) {
	w.t.Helper()
	key := []byte("de/" + string(p.identity.Device))
	if err := w.db.Update(ctx, func(tx store.Tx) error {
		raw, err := tx.Get(key)
		if err != nil {
			return err
		}
		m := map[string]any{}
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		m["last_seen"] = time.Time{}
		if raw, err = json.Marshal(m); err != nil {
			return err
		}
		if err := tx.Delete([]byte("rp/" + string(p.identity.Device))); err != nil {
			return err
		}
		return tx.Put(key, raw)
	}); err != nil {
		w.t.Fatal(err)
	}
}

// With the clock moved, a cleanup run asks first and then takes exactly the previewed devices that did not answer, once.
func TestCleanupTakesThePreviewedDevicesOnce(t *testing.T) {
	w := newPlanWorld(t)
	phones := map[string]*phone{}
	for _, s := range []string{"GONE", "GONE2", "BACK", "FRESH", "TAGGED", "STOLEN", "LOCKED", "BLANK"} {
		phones[s] = w.managed(s, fleet.Corporate)
	}
	id := func(s string) fleet.DeviceID { return phones[s].identity.Device }
	for s, in := range map[string]fleet.DeviceInput{"TAGGED": {Tags: &[]fleet.Tag{"spare"}}, "STOLEN": {Stolen: new(true)}} {
		if _, err := w.UpdateDevice(ctx, w.admin, id(s), in); err != nil {
			t.Fatal(errText(err))
		}
	}
	w.act(phones["LOCKED"], fleet.ActLock)
	if err := w.Sweep(ctx); err != nil { // last contacts are written
		t.Fatal(err)
	}
	w.forgetContact(phones["BLANK"])
	w.sleep(60 * day)
	phones["FRESH"].call()
	w.sleep(31 * day)

	r := w.rule(func(in *fleet.StaleRuleInput) { in.ExcludeTags = &[]fleet.Tag{"spare"} })
	hits, skips := w.preview(r)
	if want := []string{"BACK", "GONE", "GONE2"}; !slices.Equal(hits, want) {
		t.Fatalf("preview hits %v, want %v", hits, want)
	}
	for s, code := range map[string]string{"TAGGED": "rule.skip-tag", "STOLEN": "rule.skip-stolen", "LOCKED": "rule.skip-locked", "BLANK": "rule.skip-no-contact"} {
		if skips[s] != code {
			t.Errorf("%s is skipped for %q, want %q", s, skips[s], code)
		}
	}

	before := w.push.count()
	run := w.run(r)
	if run.State != fleet.RunAsking || run.Devices != 7 {
		t.Fatalf("run: %+v", run)
	}
	if _, err := w.RunStaleRule(ctx, w.admin, r.ID); !errors.Is(err, fleet.ErrConflict) {
		t.Fatalf("a second run at the same time: %v", err)
	}
	w.sleep(2 * time.Second)
	w.wakeUp()
	if got := w.push.count() - before; got < 3 {
		t.Errorf("%d pushes, want one for each device at least", got)
	}
	if _, err := w.AdvanceStaleRuns(ctx, fleet.Job("rules")); err != nil || w.staleRun(run.ID).State != fleet.RunAsking {
		t.Fatalf("judged before the time for answers was over: %v", err)
	}
	phones["BACK"].call()
	if run = w.night(run.ID); run.State != fleet.RunDone || run.Ended == nil {
		t.Fatalf("after the night: %+v", run)
	}
	got := w.outcomes(run.ID)
	for s, want := range map[string]string{"GONE": fleet.OutcomeOrdered, "GONE2": fleet.OutcomeOrdered, "BACK": fleet.OutcomeAnswered, "TAGGED": fleet.OutcomeSkipped} {
		if got[s] != want {
			t.Errorf("outcome of %s: %q, want %q", s, got[s], want)
		}
	}
	if _, there := got["FRESH"]; there {
		t.Error("a device that called is on record")
	}
	for s, hidden := range map[string]bool{"GONE": true, "GONE2": true, "BACK": false, "FRESH": false, "LOCKED": false} {
		if d := w.device(phones[s]); d.Hidden != hidden || hidden != (d.State == fleet.Retiring) {
			t.Errorf("%s: hidden %v, %s", s, d.Hidden, d.State)
		}
	}

	// Another run finds nothing more to take.
	if run = w.night(w.run(r).ID); run.Outcomes[fleet.OutcomeOrdered] != 0 {
		t.Errorf("a second run took more: %v", run.Outcomes)
	}
	log, err := w.Audit(ctx, w.admin, fleet.AuditQuery{Verb: "delete", Object: "device/" + string(id("GONE"))})
	if err != nil || len(log.Items) != 1 || log.Items[0].Name != r.Name {
		t.Errorf("audit of the deletion: %+v, %v", log.Items, err)
	}

	// One comes back and is met with its removal; the other is taken back before.
	steps := phones["GONE"].call()
	if len(steps) == 0 || steps[len(steps)-1] != "unenrol" {
		t.Errorf("the returning device was given %v", steps)
	}
	if err := w.TakeBackStale(ctx, w.admin, run.ID, id("GONE2")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("taken back from a run that did not take it: %v", err)
	}
	first, err := w.StaleRuns(ctx, w.admin, r.ID, fleet.ListQuery{Reverse: true, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.TakeBackStale(ctx, w.admin, first.Items[0].ID, id("GONE2")); err != nil {
		t.Fatal(errText(err))
	}
	if d := w.device(phones["GONE2"]); d.Hidden || d.State != fleet.Managed {
		t.Errorf("taken back: hidden %v, %s", d.Hidden, d.State)
	}
	if steps := phones["GONE2"].call(); slices.Contains(steps, "unenrol") {
		t.Errorf("taken back, and given %v", steps)
	}
}

// More than the share waits for a yes, visible as a need; a stopped run takes nothing.
func TestCleanupBeyondItsShareWaits(t *testing.T) {
	w := newPlanWorld(t)
	var phones []*phone
	for i := range 4 {
		phones = append(phones, w.managed(fmt.Sprintf("P%d", i), fleet.Personal))
	}
	w.sleep(91 * day)
	phones[0].call()
	r := w.rule(func(in *fleet.StaleRuleInput) { in.Share = new(50) })
	if p, err := w.PreviewStaleRule(ctx, w.admin, r.ID, fleet.ListQuery{}); err != nil || !p.NeedsYes || p.Covered != 4 || p.Hits != 3 {
		t.Fatalf("preview: %+v, %v", p, err)
	}
	waits := func() bool {
		needs, err := w.Needs(ctx, w.admin)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(needs, func(n fleet.Need) bool { return n.Reason.Code == "need.rule-waits" && n.Reason.Args["count"] == "3" })
	}
	run := w.night(w.run(r).ID)
	if run.State != fleet.RunWaiting || !waits() {
		t.Fatalf("run %s, need %v", run.State, waits())
	}
	if stopped, err := w.StopStaleRun(ctx, w.admin, run.ID); err != nil || stopped.State != fleet.RunStopped || waits() {
		t.Fatalf("stopped: %v, %v", stopped, err)
	}
	run = w.night(w.run(r).ID)
	for range 3 {
		if run = w.night(run.ID); run.State != fleet.RunWaiting {
			t.Fatalf("without a yes: %s", run.State)
		}
	}
	phones[1].call() // while it waits
	if _, err := w.AllowStaleRun(ctx, fleet.Actor{Kind: fleet.ActorAdmin, AllTags: true}, run.ID, run.List); !errors.Is(err, fleet.ErrForbidden) {
		t.Fatalf("allowed without the permission: %v", err)
	}
	var refusal *fleet.Refusal
	if _, err := w.AllowStaleRun(ctx, w.admin, run.ID, "of others"); !errors.As(err, &refusal) || refusal.Reason.Code != "rule.other-list" {
		t.Fatalf("a yes to another list: %v", err)
	}
	run, err := w.AllowStaleRun(ctx, w.admin, run.ID, run.List)
	if err != nil || run.State != fleet.RunDone {
		t.Fatalf("allowed: %+v, %v", run, err)
	}
	got := w.outcomes(run.ID)
	if got["P1"] != fleet.OutcomeAnswered || got["P2"] != fleet.OutcomeOrdered || got["P3"] != fleet.OutcomeOrdered {
		t.Errorf("outcomes: %v", got)
	}
	// A change of the rule ends a run that began under other terms.
	w.sleep(91 * day)
	run = w.run(r)
	if _, err := w.UpdateStaleRule(ctx, w.admin, r.ID, fleet.StaleRuleInput{Days: new(100)}); err != nil {
		t.Fatal(errText(err))
	}
	if run = w.staleRun(run.ID); run.State != fleet.RunStopped || run.Stopped.Code != "rule.stopped-changed" {
		t.Errorf("after the change: %+v", run)
	}
}

// Who administers a part of the house learns of a rule, its preview and its runs what concerns that part, in numbers too.
func TestRulesShowAPartWhatIsItsOwn(t *testing.T) {
	w := newPlanWorld(t)
	south := fleet.Actor{Kind: fleet.ActorAdmin, ID: "south", Tags: []fleet.Tag{"south"}, Permissions: map[fleet.Permission]bool{fleet.DevicesRead: true, fleet.DevicesDelete: true}}
	var phones []*phone
	for i := range 5 {
		phones = append(phones, w.managed(fmt.Sprintf("P%d", i), fleet.Personal))
	}
	tag := func(p *phone, tags ...fleet.Tag) {
		if _, err := w.UpdateDevice(ctx, w.admin, p.identity.Device, fleet.DeviceInput{Tags: &tags}); err != nil {
			t.Fatal(errText(err))
		}
	}
	tag(phones[0], "south")
	tag(phones[1], "south")
	tag(phones[2], "north")
	w.sleep(91 * day)
	phones[1].call()
	r := w.rule(func(in *fleet.StaleRuleInput) { in.Share = new(50) })
	p, err := w.PreviewStaleRule(ctx, south, r.ID, fleet.ListQuery{})
	if err != nil || p.Covered != 2 || p.Hits != 1 || !p.NeedsYes {
		t.Fatalf("preview: %+v, %v", p, err)
	}
	whole := w.night(w.run(r).ID)
	if whole.State != fleet.RunWaiting || whole.Covered != 5 || whole.Devices != 4 || whole.Left != 4 {
		t.Fatalf("run: %+v", whole)
	}
	look := func(devices int, serials ...string) {
		t.Helper()
		one, err := w.StaleRun(ctx, south, whole.ID)
		if err != nil {
			t.Fatal(err)
		}
		all, err := w.StaleRuns(ctx, south, r.ID, fleet.ListQuery{})
		if err != nil || len(all.Items) != 1 {
			t.Fatal(err)
		}
		for _, got := range []*fleet.StaleRun{one, all.Items[0]} {
			if got.Devices != devices || got.Left != devices || got.Outcomes[fleet.OutcomeOpen] != devices || got.Covered > 2 {
				t.Errorf("of the run he learns %+v", got)
			}
		}
		rows, err := w.StaleRunDevices(ctx, south, whole.ID, fleet.ListQuery{})
		var got []string
		for _, d := range rows.Items {
			got = append(got, d.Verdict.Serial)
		}
		if err != nil || !slices.Equal(got, serials) {
			t.Errorf("of its devices he sees %v, want %v (%v)", got, serials, err)
		}
	}
	look(1, "P0")
	tag(phones[0], "north") // no longer his, whatever it was when the run began
	look(0)
	if err := w.TakeBackStale(ctx, south, whole.ID, phones[0].identity.Device); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("taking back what is another's: %v", err)
	}
}

// Sync expiry revokes access at once, and removes the work account of a device when it returns.
func TestSyncExpiryWithdrawsAccess(t *testing.T) {
	w := newPlanWorld(t)
	root, identity := w.identity()
	w.toAll(root, identity)
	p, other := w.phone("GONE"), w.managed("OTHER", fleet.Personal)
	p.issue = true
	p.enrol(w.ticket(fleet.Personal, fleet.IOS))
	p.call()
	pilot, err := w.CreateGroup(ctx, w.admin, fleet.GroupInput{Name: new("Pilot"), Kind: fleet.DeviceGroup})
	if err != nil {
		t.Fatal(errText(err))
	}
	if err := w.SetMembers(ctx, w.admin, pilot.ID, []string{string(p.identity.Device)}, nil); err != nil {
		t.Fatal(errText(err))
	}
	r := w.rule(func(in *fleet.StaleRuleInput) {
		in.Kind, in.Days, in.Group = fleet.SyncExpiry, new(30), &pilot.ID
	})
	if err := w.DeleteGroup(ctx, w.admin, pilot.ID); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("the group of a rule was deleted: %v", err)
	}
	w.sleep(31 * day)
	if n, err := w.StartStaleRuns(ctx, fleet.Job("sync-expiry"), fleet.SyncExpiry); err != nil || n != 1 {
		t.Fatalf("%d runs, %v", n, err)
	}
	runs, err := w.StaleRuns(ctx, w.admin, r.ID, fleet.ListQuery{})
	if err != nil || len(runs.Items) != 1 {
		t.Fatal(err)
	}
	if run := w.night(runs.Items[0].ID); run.State != fleet.RunDone || run.Outcomes[fleet.OutcomeOrdered] != 1 {
		t.Fatalf("run: %+v", run)
	}
	if d := w.device(p); d.State != fleet.Retiring || d.Hidden {
		t.Errorf("device: %s, hidden %v", d.State, d.Hidden)
	}
	if d := w.device(other); d.State != fleet.Managed {
		t.Errorf("a device outside the group: %s", d.State)
	}
	if c := row(w.receipt(p.identity.Device), "certificates"); len(c.Serials) == 0 {
		t.Errorf("no certificate was revoked at once: %+v", c)
	}
	if steps := p.call(); !slices.Contains(steps, "unenrol") {
		t.Errorf("on its return it was given %v", steps)
	}
	if d := w.device(p); d.State != fleet.Retired {
		t.Errorf("after its return: %s", d.State)
	}
}

func TestStaleRuleBounds(t *testing.T) {
	w := newPlanWorld(t)
	good := func() fleet.StaleRuleInput { return fleet.StaleRuleInput{Kind: fleet.Cleanup, Name: new("R")} }
	for name, c := range map[string]struct {
		change func(*fleet.StaleRuleInput)
		field  string
	}{
		"89 days":               {func(in *fleet.StaleRuleInput) { in.Days = new(89) }, "days"},
		"271 days":              {func(in *fleet.StaleRuleInput) { in.Days = new(271) }, "days"},
		"29 days, wide":         {func(in *fleet.StaleRuleInput) { in.Days, in.Wide = new(29), new(true) }, "days"},
		"no name":               {func(in *fleet.StaleRuleInput) { in.Name = new("") }, "name"},
		"unknown platform":      {func(in *fleet.StaleRuleInput) { in.Platforms = &[]fleet.Platform{"beos"} }, "platforms"},
		"group on cleanup":      {func(in *fleet.StaleRuleInput) { in.Group = new(fleet.GroupID("x")) }, "group"},
		"no share":              {func(in *fleet.StaleRuleInput) { in.Share = new(0) }, "share"},
		"group that is not":     {func(in *fleet.StaleRuleInput) { in.Kind, in.Group = fleet.SyncExpiry, new(fleet.GroupID("x")) }, "group"},
		"expiry after 6 days":   {func(in *fleet.StaleRuleInput) { in.Kind, in.Days = fleet.SyncExpiry, new(6) }, "days"},
		"a kind that is not":    {func(in *fleet.StaleRuleInput) { in.Kind = "tidy" }, "kind"},
		"no time for an answer": {func(in *fleet.StaleRuleInput) { in.GraceHours = new(0) }, "grace_hours"},
	} {
		in := good()
		c.change(&in)
		_, err := w.CreateStaleRule(ctx, w.admin, in)
		var r *fleet.Refusal
		if !errors.As(err, &r) || r.Fields[c.field].Code == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := good()
	in.Days, in.Wide = new(30), new(true)
	if _, err := w.CreateStaleRule(ctx, w.admin, in); err != nil {
		t.Errorf("30 days, widened: %s", errText(err))
	}
	in = good()
	in.Erase, in.Name = new(true), new("Erase")
	scoped := fleet.Job("x")
	scoped.AllTags = false
	if _, err := w.CreateStaleRule(ctx, scoped, in); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("by an administrator of a part: %v", err)
	}
	noWipe := fleet.Job("x")
	delete(noWipe.Permissions, fleet.DevicesWipe)
	if _, err := w.CreateStaleRule(ctx, noWipe, in); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("erasing, by one who may not wipe: %v", err)
	}
}

// A device whose removal can only be a factory reset is left alone, unless the rule says so.
func TestRulesEraseOnlyWhenTheySaySo(t *testing.T) {
	w := newPlanWorld(t)
	kiosk, personal := w.managed("KIOSK1", fleet.Corporate), w.managed("KIOSK2", fleet.Personal)
	w.sleep(91 * day)
	for _, k := range fleet.StaleKinds {
		r := w.rule(func(in *fleet.StaleRuleInput) { in.Kind = k })
		hits, skips := w.preview(r)
		if len(hits) != 0 || skips["KIOSK1"] != "rule.skip-erase-only" || skips["KIOSK2"] != "rule.skip-no-removal" {
			t.Errorf("%s without the word: hits %v, skips %v", k, hits, skips)
		}
		if _, err := w.UpdateStaleRule(ctx, w.admin, r.ID, fleet.StaleRuleInput{Erase: new(true)}); err != nil {
			t.Fatal(errText(err))
		}
		if hits, _ = w.preview(r); !slices.Equal(hits, []string{"KIOSK1"}) {
			t.Errorf("%s with the word: hits %v", k, hits)
		}
		if k == fleet.SyncExpiry {
			w.night(w.run(r).ID)
		}
	}
	if d := w.device(kiosk); d.State != fleet.Wiping {
		t.Errorf("the kiosk is %s", d.State)
	}
	if d := w.device(personal); d.State != fleet.Managed {
		t.Errorf("a device from which nothing can be removed is %s", d.State)
	}
}

// cutOff is a context that ends after a number of looks at it, as a process that is killed at some point of a run.
type cutOff struct {
	context.Context
	left *int
}

func (c cutOff) Err() error {
	if *c.left--; *c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Whatever calls, is locked or tagged, and wherever a run is cut off and the appliance restarted: a run takes only devices that were previewed, each once, and
// all of those that stayed silent.
func TestAnyRunIsWithinItsPreviewAndTakesEachOnce(t *testing.T) {
	w := newPlanWorld(t)
	var phones []*phone
	for i := range 5 {
		phones = append(phones, w.managed(fmt.Sprintf("P%d", i), fleet.Corporate))
	}
	r := w.rule(func(in *fleet.StaleRuleInput) { in.Wide, in.Days = new(true), new(30) })
	orders := map[string]int{} // how often each was ordered away
	life := func(t *rapid.T) {
		some := func(label string, do func(*phone)) {
			for _, p := range phones {
				if rapid.IntRange(0, 3).Draw(t, label+" "+p.serial) > 0 {
					do(p)
				}
			}
		}
		w.sleep(time.Duration(rapid.IntRange(1, 20).Draw(t, "days")) * day)
		some("calls before", func(p *phone) { p.call() })
		w.sleep(time.Duration(rapid.IntRange(5, 31).Draw(t, "days more")) * day)
		hits, _ := w.preview(r)
		if n, err := w.StartStaleRuns(ctx, fleet.Job("cleanup"), fleet.Cleanup); err != nil || n != 1 {
			t.Fatalf("%d runs: %v", n, err)
		}
		answered := map[string]bool{}
		some("answers", func(p *phone) {
			if rapid.Bool().Draw(t, "does") {
				p.call()
				answered[p.serial] = true
			}
		})
		w.sleep(25 * time.Hour)
		left := rapid.IntRange(0, 12).Draw(t, "steps until it is cut off")
		_, _ = w.AdvanceStaleRuns(cutOff{ctx, &left}, fleet.Job("rules"))
		if rapid.Bool().Draw(t, "restart") {
			if err := w.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			w.reopen()
		}
		if _, err := w.AdvanceStaleRuns(ctx, fleet.Job("rules")); err != nil {
			t.Fatal(err)
		}
		runs, err := w.StaleRuns(ctx, w.admin, r.ID, fleet.ListQuery{Limit: 1})
		if err != nil || runs.Items[0].State != fleet.RunDone {
			t.Fatalf("run: %+v, %v", runs.Items[0], err)
		}
		outcomes := w.outcomes(runs.Items[0].ID)
		for _, p := range phones {
			s := p.serial
			switch outcome, on := outcomes[s]; {
			case on != slices.Contains(hits, s):
				t.Fatalf("%s on record: %v, previewed: %v", s, on, hits)
			case on && (outcome == fleet.OutcomeOrdered) == answered[s]:
				t.Fatalf("%s: %s, answered %v", s, outcome, answered[s])
			case outcome == fleet.OutcomeOrdered:
				orders[s]++
			}
			log, err := w.Audit(ctx, w.admin, fleet.AuditQuery{Verb: "delete", Object: "device/" + string(p.identity.Device)})
			if err != nil || len(log.Items) != orders[s] {
				t.Fatalf("%s was ordered away %d times, want %d (%v)", s, len(log.Items), orders[s], err)
			}
			if outcomes[s] == fleet.OutcomeOrdered {
				if err := w.TakeBackStale(ctx, w.admin, runs.Items[0].ID, p.identity.Device); err != nil {
					t.Fatal(errText(err))
				}
			}
		}
	}
	few(t)
	rapid.Check(t, life)
}

// few keeps property tests over a real store short: each case takes many synced writes.
func few(t *testing.T) {
	t.Helper()
	was := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", "12"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", was) })
}
