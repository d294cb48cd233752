package ui_test

import (
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"muster/ui"
	"muster/ui/uitest"
	"muster/ui/words"
)

// gallery is a page with every component on it, for looking at and for the
// checks in the browser.
func gallery(r *ui.Renderer, lang words.Lang) *ui.Page {
	p := r.Printer(lang)
	tr := func(en, nl string) string {
		if lang == words.Dutch {
			return nl
		}
		return en
	}
	now := time.Now()
	at := func(d time.Duration) template.HTML {
		t := now.Add(-d)
		return template.HTML(`<time tabindex="0" data-ago data-exact="` + p.DateTime(t) + `" datetime="` + t.UTC().Format(time.RFC3339) + `">` + p.Ago(t) + `</time>`)
	}
	bars := ui.BarChart{Title: tr("Check-ins", "Ingecheckt"), Summary: tr("Between 31 and 48 devices checked in each day of the last 30; one day had none.", "In de laatste 30 dagen checkten er dagelijks 31 tot 48 apparaten in; op één dag geen."), TopWord: "48", NameWord: tr("Day", "Dag"), NWord: tr("Devices", "Apparaten")}
	for i := range 30 {
		day, n := now.AddDate(0, 0, i-29), 31+(i*7)%18
		if i == 12 {
			n = 0
		}
		bars.Bars = append(bars.Bars, ui.Bar{Word: p.DayMonth(day), N: n, Text: strconv.Itoa(n)})
	}
	bars.From, bars.To = bars.Bars[0].Word, bars.Bars[29].Word
	type row struct {
		Icon, Name, Model, Person string
		Status                    ui.Status
		Seen                      time.Time
		Free                      int64
	}
	type need struct {
		Kind       ui.Kind
		Text, Word string
	}
	type figure struct {
		N    int
		Word string
	}
	good, wait := ui.Status{Kind: ui.Good, Word: tr("All is well", "Alles in orde")}, ui.Status{Kind: ui.Busy, Word: tr("Waiting for this iPhone to call in", "Wacht tot deze iPhone incheckt")}
	bad, mute := ui.Status{Kind: ui.Bad, Word: tr("E-mail blocked by an account of their own", "E-mail geblokkeerd door een eigen account")}, ui.Status{Kind: ui.Mute, Word: tr("Retired", "Buiten gebruik gesteld")}
	warn := ui.Status{Kind: ui.Warn, Word: tr("Silent for 12 days", "12 dagen niets gehoord")}
	data := map[string]any{
		"Head":     ui.Head{Title: tr("Anna’s iPhone", "iPhone van Anna"), Sub: tr("iPhone 15 · iOS 18.6 · personal · Anna de Vries", "iPhone 15 · iOS 18.6 · persoonlijk eigendom · Anna de Vries"), Back: "#", BackWord: p.T("nav.devices", nil), Status: new(good.AsPill()), Actions: []ui.Button{{Href: "#", Word: tr("Lock", "Vergrendelen"), Icon: "lock"}, {Href: "#", Word: tr("Wipe Anna’s iPhone", "iPhone van Anna wissen"), Icon: "wipe", Style: "danger"}, {Href: "#", Word: tr("Invite someone", "Iemand uitnodigen"), Icon: "invite", Style: "primary"}}},
		"Advice":   ui.Message{Kind: ui.Warn, Title: tr("One thing to do", "Eén ding te doen"), Text: tr("Ask Anna to remove the account she set up herself. The profile is tried again after that.", "Vraag Anna het account te verwijderen dat zij zelf heeft ingesteld. Daarna wordt het profiel opnieuw geprobeerd."), Link: "#", Word: tr("She did: try again", "Gedaan: opnieuw proberen")},
		"Overview": tr("Figures", "Cijfers"), "Figures": []figure{{1204, tr("devices", "apparaten")}, {318, tr("people", "mensen")}, {7, tr("profiles with errors", "profielen met fouten")}, {12, tr("certificates end soon", "certificaten verlopen binnenkort")}},
		"NeedsTitle": tr("3 things need you", "3 zaken vragen uw aandacht"),
		"Needs":      []need{{ui.Bad, tr("Apple’s push certificate ends in 9 days. After that no iPhone, iPad or Mac can be reached.", "Het pushcertificaat van Apple verloopt over 9 dagen. Daarna is geen iPhone, iPad of Mac meer te bereiken."), tr("Renew it", "Vernieuwen")}, {ui.Warn, tr("4 devices have been silent for more than 30 days.", "4 apparaten hebben al meer dan 30 dagen niet ingecheckt."), tr("Look at them", "Bekijken")}, {ui.Busy, tr("Ben’s invitation has not been used; it expires tomorrow.", "De uitnodiging van Ben is niet gebruikt en verloopt morgen."), tr("Send again", "Opnieuw sturen")}},
		"Bars":       bars,
		"Split":      ui.SplitBar{Title: tr("Devices by platform", "Apparaten per platform"), Summary: "iPhone 742, iPad 118, Mac 344", Parts: []ui.Part{{Word: "iPhone", N: 742, Text: p.Number(742), Class: "c1", Href: "#"}, {Word: "Mac", N: 344, Text: p.Number(344), Class: "c2", Href: "#"}, {Word: "iPad", N: 118, Text: p.Number(118), Class: "c3", Href: "#"}}},
		"Platform":   tr("Platform", "Platform"), "AllPlatforms": tr("All platforms", "Alle platformen"), "Chip": tr("Personal", "Persoonlijk eigendom"), "DevicesTitle": p.T("nav.devices", nil),
		"Col1": tr("Device", "Apparaat"), "Col2": tr("Person", "Persoon"), "Col3": tr("Status", "Status"), "Col4": tr("Last check-in", "Laatst ingecheckt"), "Col5": tr("Free space", "Vrije ruimte"),
		"Rows":          []row{{"phone", tr("Anna’s iPhone", "iPhone van Anna"), "iPhone 15 · iOS 18.6", "Anna de Vries", good, now.Add(-3 * time.Minute), 48_200_000_000}, {"laptop", "MB-0231", "MacBook Air · macOS 15.5", "Joris van den Bergh-Oudenhoven", wait, now.Add(-5 * time.Hour), 212_000_000_000}, {"tablet", tr("Front desk", "Receptie"), "iPad (10) · iPadOS 18.5", "–", bad, now.Add(-26 * time.Hour), 9_400_000_000}, {"phone", tr("Ben’s iPhone", "iPhone van Ben"), "iPhone SE · iOS 17.7", "Ben Hofstra", warn, now.Add(-12 * 24 * time.Hour), 3_100_000_000}, {"phone", tr("Old iPhone of Carla", "Oude iPhone van Carla"), "iPhone 11 · iOS 17.4", "Carla Smit", mute, now.Add(-70 * 24 * time.Hour), 0}},
		"Pager":         ui.Pager{Next: "#", Text: tr("1–5 of 1,204 devices", "1–5 van 1.204 apparaten")},
		"Tabs":          []ui.Tab{{Href: "#", Word: tr("Overview", "Overzicht"), Current: true, Count: -1}, {Href: "#", Word: p.T("nav.profiles", nil), Count: 4}, {Href: "#", Word: p.T("nav.certificates", nil), Count: 2}, {Href: "#", Word: tr("What is stored", "Vastgelegde gegevens"), Count: 17}},
		"TimelineTitle": tr("What happened", "Wat er gebeurde"), "FactsTitle": tr("Facts", "Gegevens"), "All": tr("All facts", "Alle gegevens"),
		"Timeline":  []ui.Moment{{ui.Good, "check", tr("E-mail and its certificate are in place.", "E-mail en het bijbehorende certificaat staan erop."), tr("read back from the device", "teruggelezen van het apparaat"), at(2 * time.Minute)}, {ui.Busy, "progress", tr("The iPhone called in and was handed the profile “Work mail”.", "De iPhone checkte in en kreeg het profiel ‘Werkmail’."), "", at(3 * time.Minute)}, {ui.Warn, "wait", tr("It was locked and asked to be tried later.", "Hij was vergrendeld en vroeg om het later te proberen."), tr("NotNow; next try in 4 minutes", "NotNow; volgende poging over 4 minuten"), at(64 * time.Minute)}, {ui.Mute, "invite", tr("Anna accepted the terms (version 3).", "Anna ging akkoord met de gebruiksvoorwaarden (versie 3)."), "192.0.2.14", at(50 * time.Hour)}},
		"Facts":     []ui.FactLine{{Name: tr("Serial number", "Serienummer"), Value: "F2LX4K9QN7", Mono: true}, {Name: tr("Storage", "Opslag"), Value: tr("48 GB of 128 GB free", "48 GB van 128 GB vrij")}, {Name: tr("Owner", "Eigendom"), Value: tr("personal", "persoonlijk"), Hint: tr("IMEI and location are never collected.", "IMEI en locatie worden nooit vastgelegd.")}},
		"Progress":  ui.Progress{Word: tr("Sending “Work mail”", "‘Werkmail’ verspreiden"), Done: 412, All: 1000, Text: tr("412 of 1,000", "412 van 1.000")},
		"Steps":     []ui.Step{{Word: tr("Type", "Type"), Done: true, Href: "#"}, {Word: tr("Basics", "Basis"), Done: true, Href: "#"}, {Word: tr("Settings", "Instellingen"), Current: true}, {Word: tr("Assignments", "Toewijzingen")}, {Word: tr("Review and create", "Beoordelen en maken")}},
		"FormTitle": tr("E-mail profile", "E-mailprofiel"), "L1": tr("Mail server", "Mailserver"), "H1": tr("The name that phones connect to, without https://", "De naam waarmee telefoons verbinden, zonder https://"), "L2": tr("Mail of the last", "Mail van de laatste"), "Unit": tr("days", "dagen"), "L3": tr("How people sign in", "Hoe mensen zich aanmelden"), "L4": tr("Note", "Notitie"), "L5": tr("Group", "Groep"), "L6": tr("Allow moving messages to other accounts", "Berichten naar andere accounts verplaatsen toestaan"), "Wipe": tr("Wipe Anna’s iPhone", "iPhone van Anna wissen"), "Sync": tr("Sync", "Synchroniseren"),
		"Choices":  []ui.Option{{Value: "cert", Word: tr("Certificate", "Certificaat"), Hint: tr("Nobody types a password. Needs the root and the identity profile, which are assigned along with this one.", "Niemand typt een wachtwoord. Vraagt het basis- en het identiteitsprofiel; die worden meteen mee toegewezen.")}, {Value: "password", Word: tr("Password", "Wachtwoord"), Hint: tr("Each person types it on the device; it is never in the profile.", "Iedereen typt het op het apparaat; het staat nooit in het profiel.")}},
		"Form":     ui.Form{Values: map[string][]string{"name": {"mail example.org"}, "port": {"14"}, "kind": {"cert"}}, Errors: map[string]string{"name": tr("A server name has no spaces. Did you mean mail.example.org?", "Een servernaam bevat geen spaties. Bedoelt u mail.example.org?"), "": tr("One field needs another look. Nothing was saved yet.", "Eén veld vraagt nog aandacht. Er is nog niets opgeslagen.")}},
		"Empty":    ui.Empty{Icon: "receipt", Title: tr("No receipts yet", "Nog geen bewijzen"), Text: tr("When a device is retired or wiped, the proof of what was removed from it is kept here, ready to print.", "Wordt een apparaat buiten gebruik gesteld of gewist, dan staat hier het bewijs van wat ervan is verwijderd, klaar om af te drukken."), Actions: []ui.Button{{Href: "#", Word: p.T("nav.devices", nil), Icon: "devices"}}},
		"Statuses": []ui.Status{good, wait, warn, bad, mute, good.AsPill(), wait.AsPill(), warn.AsPill(), bad.AsPill(), mute.AsPill()},
	}
	return &ui.Page{Title: tr("Component gallery", "Componenten"), Lang: lang, Org: "Bakkerij De Korenaar", Path: "/", User: &ui.User{Name: "Marit Jansen"}, Demo: true, Data: data,
		Nav: []ui.NavGroup{
			{Items: []ui.NavItem{{Href: "#1", Icon: "overview", Word: p.T("nav.overview", nil), First: true, Count: 3, Alert: true}}},
			{Title: p.T("nav.group.who", nil), Items: []ui.NavItem{{Href: "#2", Icon: "devices", Word: p.T("nav.devices", nil), First: true, Current: true, Count: 1204}, {Href: "#3", Icon: "people", Word: p.T("nav.people", nil), First: true}, {Href: "#4", Icon: "groups", Word: p.T("nav.groups", nil)}, {Href: "#5", Icon: "invite", Word: p.T("nav.invitations", nil)}}},
			{Title: p.T("nav.group.what", nil), Items: []ui.NavItem{{Href: "#6", Icon: "profiles", Word: p.T("nav.profiles", nil), First: true}, {Href: "#7", Icon: "certificate", Word: p.T("nav.certificates", nil)}}},
			{Title: p.T("nav.group.record", nil), Items: []ui.NavItem{{Href: "#8", Icon: "receipt", Word: p.T("nav.receipts", nil)}, {Href: "#9", Icon: "audit", Word: p.T("nav.audit", nil)}}},
			{Title: p.T("nav.group.house", nil), Items: []ui.NavItem{{Href: "#10", Icon: "admins", Word: p.T("nav.admins", nil)}, {Href: "#11", Icon: "settings", Word: p.T("nav.settings", nil)}}},
		},
		Flash:  []ui.Message{{Kind: ui.Good, Text: tr("“Work mail” is saved as version 4. It reaches 41 devices as they call in.", "‘Werkmail’ is opgeslagen als versie 4. Het bereikt 41 apparaten zodra ze inchecken.")}},
		Banner: []ui.Message{{Kind: ui.Bad, Text: tr("Apple’s push certificate ends in 9 days.", "Het pushcertificaat van Apple verloopt over 9 dagen."), Link: "#", Word: tr("Renew it", "Vernieuwen")}},
	}
}

// galleryServer serves the gallery's pages with the headers of the real ones.
func galleryServer(t *testing.T) *httptest.Server {
	t.Helper()
	cat, err := words.Load(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ui.NewRenderer(cat, nil, os.DirFS("testdata/gallery"))
	if err != nil {
		t.Fatal(err)
	}
	show := func(name string, page func(words.Lang) *ui.Page) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			p := page(words.Negotiate("", req.Header.Get("Accept-Language")))
			body, err := r.Render(name, p)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(body)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/static/", r.Static())
	mux.Handle("/{$}", show("app/gallery", func(l words.Lang) *ui.Page { return gallery(r, l) }))
	mux.Handle("/confirm", show("app/confirm", func(l words.Lang) *ui.Page {
		p := gallery(r, l)
		p.Title, p.Flash, p.Banner = "Wipe", nil, nil
		p.Data = ui.Confirm{Title: "Wipe Anna’s iPhone", Text: "Use this when the phone is lost, or before it goes to someone else.", Points: []string{"Everything on it goes: company data and Anna’s own photos, messages and apps.", "It leaves management, and its certificates are revoked at once.", "It happens when the phone next has a connection."}, Warning: "This cannot be undone, and the data cannot be recovered.", Action: "#", Word: "Wipe Anna’s iPhone", Danger: true, Back: "#", Type: "Anna’s iPhone"}
		return p
	}))
	mux.Handle("/icons", show("app/icons", func(l words.Lang) *ui.Page {
		p := gallery(r, l)
		p.Data, p.Banner, p.Flash = r.Icons(), nil, nil
		return p
	}))
	mux.Handle("/pictures", show("people/pictures", func(l words.Lang) *ui.Page {
		return &ui.Page{Title: "Pictures", Lang: l, Org: "Bakkerij De Korenaar", Path: "/", Slim: "broad"}
	}))
	srv := httptest.NewServer(ui.Secure(mux))
	t.Cleanup(srv.Close)
	return srv
}

func TestGalleryInTheBrowser(t *testing.T) {
	b := uitest.Start(t)
	srv := galleryServer(t)
	for _, path := range []string{"/", "/confirm", "/icons", "/pictures"} {
		for _, v := range []struct {
			name string
			uitest.View
		}{
			{"wide light English", uitest.View{}},
			{"wide dark Dutch", uitest.View{Dark: true, Lang: "nl"}},
			{"phone light Dutch", uitest.View{Width: 360, Height: 740, Lang: "nl"}},
			{"phone dark English", uitest.View{Width: 360, Height: 740, Dark: true}},
		} {
			t.Run(path+" "+v.name, func(t *testing.T) {
				tab := b.Open(t, srv.URL+path, v.View)
				tab.Shot(t, "gallery"+path+" "+v.name)
				tab.Check(t)
			})
		}
	}
	t.Run("focus is visible and in order", func(t *testing.T) {
		b.Open(t, srv.URL+"/", uitest.View{}).CheckFocus(t, 80)
	})
	t.Run("palette finds a page by keyboard", func(t *testing.T) {
		tab := b.Open(t, srv.URL+"/", uitest.View{})
		var got string
		tab.Eval(t, `(() => { document.dispatchEvent(new KeyboardEvent("keydown", {key: "k", ctrlKey: true, bubbles: true})); const i = document.getElementById("palette-input"); i.value = "cert"; i.dispatchEvent(new Event("input")); return document.querySelector("#palette-list [aria-selected=true]")?.textContent ?? "" })()`, &got)
		if got != "Certificates" {
			t.Errorf("palette offers %q, want Certificates", got)
		}
		tab.Shot(t, "palette")
	})
	t.Run("a dangerous button waits for the name", func(t *testing.T) {
		tab := b.Open(t, srv.URL+"/confirm", uitest.View{})
		var before, after bool
		tab.Eval(t, `document.querySelector("[data-confirm]").disabled`, &before)
		tab.Type(t, "#f-confirm", "anna’s iphone")
		tab.Eval(t, `document.querySelector("[data-confirm]").disabled`, &after)
		if !before || after {
			t.Errorf("disabled before %v and after %v, want true and false", before, after)
		}
	})
}
