package ui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// organisation is what the pages of settings ask of the domain.
type organisation interface {
	SaveSettings(ctx context.Context, a fleet.Actor, in fleet.Settings) (*fleet.Settings, error)
	MakePushCSR(ctx context.Context, a fleet.Actor) ([]byte, error)
	WindowsPush(ctx context.Context) (*fleet.WindowsPush, error)
	SaveWindowsPush(ctx context.Context, a fleet.Actor, in fleet.WindowsPushInput) (*fleet.WindowsPush, error)
	RemoveWindowsPush(ctx context.Context, a fleet.Actor) error
	UploadPush(ctx context.Context, a fleet.Actor, certPEM []byte, appleAccount string) (*fleet.PushCertificate, error)
}

func (u *UI) settingsRoutes() {
	u.admin("GET /settings", u.settings)
	u.admin("POST /settings", u.saveSettings)
	u.admin("GET /settings/privacy", u.privacy)
	u.admin("POST /settings/privacy", u.savePrivacy)
}

// settingsTabs are the pages of settings as far as the role may see them.
func (q *Request) settingsTabs(current string) []Tab {
	var out []Tab
	for _, t := range settingsPlaces {
		if t.name != "organisation" && !q.ui.serves("/settings/"+t.name) {
			continue
		}
		if t.needs == "" || slices.ContainsFunc(strings.Fields(t.needs), func(p string) bool { return q.Actor.May(fleet.Permission(p)) }) {
			href := "/settings"
			if t.name != "organisation" {
				href += "/" + t.name
			}
			out = append(out, Tab{Href: href, Word: q.T("settings.tab." + t.name), Current: t.name == current, Count: -1})
		}
	}
	return out
}

// settingsPlaces are the pages of settings; any one of the permissions opens a page, none means everyone.
var settingsPlaces = []struct{ name, needs string }{
	{"organisation", string(fleet.SettingsRead)},
	{"tls", string(fleet.SettingsRead)},
	{"apple", string(fleet.SettingsRead)},
	{"windows", string(fleet.SettingsRead)},
	{"android", string(fleet.SettingsRead)},
	{"terms", string(fleet.TermsEdit) + " " + string(fleet.SettingsRead)},
	{"privacy", string(fleet.SettingsRead)},
	{"backup", string(fleet.SettingsRead)},
	{"tokens", string(fleet.TokensEdit)},
	{"register", ""},
}

// lockedSetting is one that was given when the server was started.
type lockedSetting struct {
	Name, Label, Value, Hint string
	Locked                   bool
}

type settingsPage struct {
	Tabs      []Tab
	Form      Form
	Edit      bool // the role may change settings
	Languages []Option
	Locked    map[string]bool
	Addresses []lockedSetting
	Version   int
}

func (q *Request) mayReadSettings() error {
	if !q.Actor.May(fleet.SettingsRead) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.SettingsRead))
	}
	return nil
}

func (u *UI) settings(q *Request) error {
	s, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	return u.showSettings(q, http.StatusOK, s, Form{Values: url.Values{
		"organisation": {s.Organisation}, "contact": {s.Contact}, "language": {s.Language}, "url": {s.URL}, "device_url": {s.DeviceURL},
		"door_days": {strconv.Itoa(s.DoorDays)}, "audit_days": {strconv.Itoa(s.AuditDays)}, "facts_every": {strconv.Itoa(int(time.Duration(s.FactsEvery) / time.Hour))},
		"renew_before": {strconv.Itoa(int(time.Duration(s.RenewBefore) / (24 * time.Hour)))}, "version": {strconv.Itoa(s.Version)},
	}})
}

func (u *UI) showSettings(q *Request, status int, s *fleet.Settings, form Form) error {
	if err := q.mayReadSettings(); err != nil {
		return err
	}
	page := settingsPage{Tabs: q.settingsTabs("organisation"), Form: form, Edit: q.Actor.MayWhole(fleet.SettingsEdit), Locked: lockedSet(s), Version: s.Version}
	for _, l := range words.Langs() {
		page.Languages = append(page.Languages, Option{Value: string(l), Word: q.T("lang." + string(l))})
	}
	for _, name := range []string{"url", "device_url"} {
		page.Addresses = append(page.Addresses, lockedSetting{Name: name, Label: q.T("settings." + name), Value: form.Value(name), Hint: q.T("settings." + name + ".hint"), Locked: page.Locked[name]})
	}
	return q.PageStatus(status, "app/settings", Page{Title: q.T("settings.title"), Data: page})
}

func lockedSet(s *fleet.Settings) map[string]bool {
	locked := map[string]bool{}
	for _, name := range s.Locked {
		locked[name] = true
	}
	return locked
}

// changeSettings reads the settings, lets change write into them unless they are locked, and saves. The version stands in the form, so that
// nobody overwrites what another has saved meanwhile.
func (u *UI) changeSettings(q *Request, form Form, change func(s *fleet.Settings, locked map[string]bool)) (*fleet.Settings, error) {
	s, err := u.fleet.Settings(q.Context())
	if err != nil {
		return nil, err
	}
	change(s, lockedSet(s))
	if v, err := strconv.Atoi(form.Value("version")); err == nil {
		s.Version = v
	}
	return u.fleet.SaveSettings(q.Context(), q.Actor, *s)
}

func (u *UI) saveSettings(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	whole := func(name string, unit time.Duration) time.Duration {
		n, err := strconv.Atoi(strings.TrimSpace(form.Value(name)))
		if err != nil || n < 0 || n > 100_000 {
			return -unit // outside of every range: the domain says which
		}
		return time.Duration(n) * unit
	}
	_, err = u.changeSettings(q, form, func(s *fleet.Settings, locked map[string]bool) {
		text := func(name string, to *string) {
			if !locked[name] && form.Values.Has(name) {
				*to = strings.TrimSpace(form.Value(name))
			}
		}
		text("organisation", &s.Organisation)
		text("contact", &s.Contact)
		text("language", &s.Language)
		text("url", &s.URL)
		text("device_url", &s.DeviceURL)
		if !locked["door_days"] && form.Values.Has("door_days") {
			s.DoorDays = int(whole("door_days", 1))
		}
		if !locked["audit_days"] && form.Values.Has("audit_days") {
			s.AuditDays = int(whole("audit_days", 1))
		}
		if !locked["facts_every"] && form.Values.Has("facts_every") {
			s.FactsEvery = fleet.Span(whole("facts_every", time.Hour))
		}
		if !locked["renew_before"] && form.Values.Has("renew_before") {
			s.RenewBefore = fleet.Span(whole("renew_before", 24*time.Hour))
		}
	})
	if err != nil {
		if q.Refused(&form, err) {
			s, err := u.fleet.Settings(q.Context())
			if err != nil {
				return err
			}
			for _, name := range []string{"url", "device_url"} { // locked fields are not sent
				if !form.Values.Has(name) {
					form.Values.Set(name, map[string]string{"url": s.URL, "device_url": s.DeviceURL}[name])
				}
			}
			return u.showSettings(q, http.StatusUnprocessableEntity, s, form)
		}
		return err
	}
	q.Flash(Good, "settings.saved")
	return q.Redirect("/settings")
}

// privacySwitch is an optional fact of personal devices.
type privacySwitch struct {
	Name, Label, Hint string
	On                bool
	Facts             []string
	More              []string // how it works, for who wants to know
}

type privacyPage struct {
	Tabs     []Tab
	Form     Form
	Switches []privacySwitch
	Edit     bool
	Version  int
	Locked   bool
}

// switches are the optional facts in the order of the register, each with what it stands for.
func (q *Request) switches(s *fleet.Settings) []privacySwitch {
	var out []privacySwitch
	for _, name := range []string{fleet.SwitchPhoneNumber, fleet.SwitchCarrier, fleet.SwitchMAC, fleet.SwitchManagedApps, fleet.SwitchDeviceQuery, fleet.SwitchNetworkUse} {
		sw := privacySwitch{Name: name, Label: q.T("switch." + name), Hint: q.T("switch." + name + ".hint"), On: s.Switches[name]}
		for i := 1; q.Words.Has(fmt.Sprintf("switch.%s.more.%d", name, i)); i++ {
			sw.More = append(sw.More, q.T(fmt.Sprintf("switch.%s.more.%d", name, i)))
		}
		for _, d := range fleet.Declarations() {
			if d.Switch == name {
				sw.Facts = append(sw.Facts, q.T("fact."+string(d.Key)))
			}
		}
		if len(sw.Facts) == 1 && sw.Facts[0] == sw.Label {
			sw.Facts = nil // the name says it
		}
		out = append(out, sw)
	}
	return out
}

func (u *UI) privacy(q *Request) error {
	s, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	return u.showPrivacy(q, http.StatusOK, s, Form{})
}

func (u *UI) showPrivacy(q *Request, status int, s *fleet.Settings, form Form) error {
	if err := q.mayReadSettings(); err != nil {
		return err
	}
	page := privacyPage{Tabs: q.settingsTabs("privacy"), Form: form, Switches: q.switches(s), Edit: q.Actor.MayWhole(fleet.SettingsEdit), Version: s.Version, Locked: lockedSet(s)["switches"]}
	if form.Values != nil {
		for i := range page.Switches {
			page.Switches[i].On = form.Has("switches", page.Switches[i].Name)
		}
	}
	return q.PageStatus(status, "app/settings-privacy", Page{Title: q.T("settings.tab.privacy"), Data: page})
}

func (u *UI) savePrivacy(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	_, err = u.changeSettings(q, form, func(s *fleet.Settings, locked map[string]bool) {
		s.Switches = map[string]bool{}
		for _, name := range form.Values["switches"] {
			s.Switches[name] = true
		}
	})
	if err != nil {
		if q.Refused(&form, err) {
			if form.Errors[""] == "" {
				form.Errors[""] = form.Errors["switches"]
			}
			s, err := u.fleet.Settings(q.Context())
			if err != nil {
				return err
			}
			return u.showPrivacy(q, http.StatusUnprocessableEntity, s, form)
		}
		return err
	}
	q.Flash(Good, "privacy.saved")
	return q.Redirect("/settings/privacy")
}
