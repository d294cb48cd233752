package ui

import (
	"net/http"
	"net/url"

	"muster/appliance/fleet"
)

func (u *UI) pcSettingsRoutes() {
	u.admin("GET /settings/windows", u.pcSettings)
	u.admin("POST /settings/windows", u.savePCSettings)
	u.admin("POST /settings/windows/remove", u.removePCPush)
}

// pcSettingsPage tells how PCs are reached, and takes the name that pushes go under.
type pcSettingsPage struct {
	Tabs   []Tab
	Form   Form
	Edit   bool
	Push   *fleet.WindowsPush
	Status Status
	Facts  []FactLine
}

func (u *UI) pcSettings(q *Request) error { return u.showPCSettings(q, http.StatusOK, Form{}) }

func (u *UI) showPCSettings(q *Request, status int, form Form) error {
	if err := q.mayReadSettings(); err != nil {
		return err
	}
	page := pcSettingsPage{Tabs: q.settingsTabs("windows"), Form: form, Edit: q.Actor.MayWhole(fleet.SettingsEdit), Status: Status{Kind: Good, Word: q.T("windows.push.off")}}
	var err error
	if page.Push, err = u.fleet.WindowsPush(q.Context()); err != nil {
		return err
	}
	if p := page.Push; p != nil {
		page.Status.Word = q.T("windows.push.on")
		page.Facts = []FactLine{
			{Name: q.T("windows.push.family"), Value: p.Family, Mono: true},
			{Name: q.T("windows.push.sid"), Value: p.SID, Mono: true},
			{Name: q.T("windows.push.saved"), Value: q.Words.DateTime(p.Saved), Hint: q.T("apple.uploaded.by", "name", p.By)},
		}
		if page.Form.Values == nil {
			page.Form.Values = url.Values{"family": {p.Family}, "sid": {p.SID}}
		}
	}
	page.Status = page.Status.AsPill()
	return q.PageStatus(status, "app/settings-windows", Page{Title: q.T("settings.tab.windows"), Data: page})
}

func (u *UI) savePCSettings(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	_, err = u.fleet.SaveWindowsPush(q.Context(), q.Actor, fleet.WindowsPushInput{Family: form.Value("family"), SID: form.Value("sid"), Secret: form.Value("secret")})
	if err != nil {
		if q.Refused(&form, err) {
			return u.showPCSettings(q, http.StatusUnprocessableEntity, form)
		}
		return err
	}
	q.Flash(Good, "windows.push.done")
	return q.Redirect("/settings/windows")
}

func (u *UI) removePCPush(q *Request) error {
	if err := u.fleet.RemoveWindowsPush(q.Context(), q.Actor); err != nil {
		return err
	}
	q.Flash(Good, "windows.push.removed")
	return q.Redirect("/settings/windows")
}
