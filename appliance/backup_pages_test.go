package appliance

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/store"
	"muster/ui/uitest"
)

// An owner makes the recovery key on the pages, proves it, makes a backup and rehearses it; after a restore the list and an unknown device are shown.
func TestBackupPages(t *testing.T) {
	b := uitest.Start(t)
	w := newWorld(t)
	_, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Anna's iPhone", Seed: 31, Passcode: "482913"}, "Anna", fleet.Corporate)
	w.named(id)
	base := w.Appliance.config.URL
	tab := b.Open(t, base+"/settings/backup/key", uitest.View{Cookies: signIn(t, w, b)})
	text := func() (s string) {
		t.Helper()
		tab.Check(t)
		tab.Eval(t, `document.querySelector("main").innerText`, &s)
		return s
	}
	see := func(words ...string) {
		t.Helper()
		page := text()
		for _, x := range words {
			if !strings.Contains(page, x) {
				t.Errorf("no %q in %s", x, page)
			}
		}
	}
	visit := func(path string) {
		t.Helper()
		tab.Run(t, chromedp.Navigate(base+path), chromedp.WaitReady("body", chromedp.ByQuery))
	}
	tab.Submit(t, "main form button.primary")
	see("shown this once")
	var key string
	tab.Eval(t, `document.getElementById("recovery-key").textContent`, &key)
	_, groups := fleet.RecoveryGroups(strings.TrimSpace(key))
	visit("/settings/backup/proof")
	asked := regexp.MustCompile(`Group (\d+)`).FindAllStringSubmatch(text(), -1)
	if len(asked) != 2 {
		t.Fatalf("asked for %v", asked)
	}
	for i, a := range asked {
		n := int(a[1][0] - '0')
		tab.Type(t, []string{"#f-part1", "#f-part2"}[i], groups[n-1])
	}
	tab.Submit(t, "main form button.primary")
	see("The recovery key is in use", "There is no backup yet")
	tab.Submit(t, "main form button.primary")
	see("read back and counted", "by hand", "Rehearse")
	tab.Submit(t, `form[action$="/rehearse"] button`)
	see("The rehearsal went well", "Restored and checked")
	tab.Shot(t, "backup-made")

	f := w.Appliance.fleet
	d, err := f.Device(t.Context(), w.Actor, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Identify(t.Context(), w.forgotten(d)); !errors.Is(err, fleet.ErrNoRecord) {
		t.Fatal(err)
	}
	// Held as after a restore, but with the session that this browser has.
	if err := w.Appliance.db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Put([]byte("org/held"), []byte(`{"since":"2026-11-26T10:00:00Z","backup":"2026-11-26T02:15:00Z"}`))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Act(t.Context(), w.Actor, id, fleet.ActRetire, fleet.ActionOptions{}, "Anna's iPhone"); err != nil {
		t.Fatal(err)
	}
	visit("/restored")
	see("Removals wait for you", "Anna's iPhone", "Let this removal go ahead", "Take back")
	tab.Shot(t, "restored-held")
	tab.Submit(t, `form[action="/restored"] button`)
	see("Nothing waits")
}
