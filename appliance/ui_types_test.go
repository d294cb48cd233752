package appliance

import (
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/ui/uitest"
)

// TestEveryTypeHasAForm looks at the form of each type that the wizard offers, in each language, wide and on a phone in turn.
func TestEveryTypeHasAForm(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	views := []uitest.View{{Lang: "en"}, {Lang: "nl", Width: 360, Height: 740, Dark: true}, {Lang: "nl"}, {Lang: "en", Width: 360, Height: 740}}
	for i, d := range fleet.ProfileTypes() {
		v := views[i%len(views)]
		t.Run(string(d.Type)+"-"+v.Lang, func(t *testing.T) {
			tab := b.Open(t, w.at("/profiles/new?type="+string(d.Type)), w.view(v))
			for _, target := range d.Targets { // a form for devices that the type goes to
				box := `[name="platforms"][value="` + string(target.Platform) + `"]`
				var ticked bool
				if tab.Eval(t, `document.querySelector('`+box+`').checked`, &ticked); !ticked {
					tab.Click(t, box)
				}
			}
			press(t, tab, "next")
			tab.Type(t, "#f-name", "Form of "+string(d.Type))
			press(t, tab, "next")
			tab.Shot(t, "type-"+string(d.Type)+"-"+v.Lang)
			tab.Check(t)
			text := tab.Text(t, "main")
			for _, raw := range []string{"field." + string(d.Type), "reason."} {
				if strings.Contains(text, raw) {
					t.Errorf("%q is shown: %s", raw, text)
				}
			}
			press(t, tab, "next") // what is missing is said, each at its place
			tab.Check(t)
		})
	}
}

// TestSecretInTheWizard: a key that was typed is carried to the last step without standing in any page, is saved, is never shown again, and is
// kept by whoever changes something else.
func TestSecretInTheWizard(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	const key = "salt wind over the dyke"
	for _, v := range []uitest.View{{Lang: "en"}, {Lang: "nl", NoScript: true}} {
		name := "Network " + v.Lang
		t.Run(name, func(t *testing.T) {
			tab := b.Open(t, w.at("/profiles/new?type=wifi"), w.view(v))
			hidden := func(step string) {
				t.Helper()
				var html string
				if tab.Eval(t, `document.documentElement.outerHTML`, &html); strings.Contains(html, key) {
					t.Errorf("%s: the key stands in the page", step)
				}
				tab.Check(t)
			}
			if v.NoScript {
				hidden = func(string) { tab.Check(t) } // nothing runs there that could look
			}
			press(t, tab, "next")
			tab.Type(t, "#f-name", name)
			press(t, tab, "next")
			tab.Type(t, `[name="settings.ssid"]`, name)
			press(t, tab, "next")
			if tab.Text(t, ".field-error") == "" {
				t.Error("a network without its key")
			}
			tab.Type(t, `[name="settings.password"]`, key)
			press(t, tab, "next")
			hidden("tags")
			press(t, tab, "to.settings")
			hidden("settings again")
			press(t, tab, "next")
			press(t, tab, "next")
			hidden("assignments")
			press(t, tab, "next")
			tab.Shot(t, "secret-review-"+v.Lang)
			hidden("review")
			press(t, tab, "save")
			hidden("saved")

			p := w.called(name)
			if p.Values().String("password") != fleet.SecretShown {
				t.Fatalf("saved as %s", p.Settings)
			}
			tab = b.Open(t, w.at("/profiles/"+string(p.ID)+"/edit"), w.view(v))
			press(t, tab, "next")
			tab.Shot(t, "secret-edit-"+v.Lang)
			hidden("edit")
			tab.Click(t, `[name="settings.hidden"]`)
			press(t, tab, "next")
			press(t, tab, "next")
			press(t, tab, "save")
			changed := w.called(name)
			if !changed.Values().Bool("hidden") || changed.Values().String("password") != fleet.SecretShown || changed.Revision != p.Revision+1 {
				t.Errorf("after an edit: %s, revision %d", changed.Settings, changed.Revision)
			}
			log, err := w.Appliance.fleet.Audit(t.Context(), w.Actor, fleet.AuditQuery{Object: "profile/" + string(p.ID)})
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(log.Items, func(r *fleet.AuditRecord) bool { return strings.Contains(string(r.Before)+string(r.After), key) }); i >= 0 {
				t.Errorf("the log holds the key: %s", log.Items[i].After)
			}
		})
	}
}

// TestFaultOfAHiddenSetting: what is wrong with a setting that belongs to platforms that were not chosen is said all the same.
func TestFaultOfAHiddenSetting(t *testing.T) {
	b := uitest.Start(t)
	w := newBWorld(t)
	tab := b.Open(t, w.at("/profiles/new?type=custom"), w.view(uitest.View{Lang: "en"}))
	for _, p := range []string{"ios", "ipados", "macos", "windows"} { // three are ticked at first
		tab.Click(t, `[name="platforms"][value="`+p+`"]`)
	}
	press(t, tab, "next")
	tab.Type(t, "#f-name", "For PCs")
	press(t, tab, "next")
	press(t, tab, "next")
	if got := tab.Text(t, `.message.bad`); got == "" {
		t.Error("nothing says what is missing")
	}
	tab.Check(t)
}
