package ui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"muster/appliance/fleet"
)

func (u *UI) accountRoutes() {
	u.admin("GET /account", u.account)
	u.admin("POST /account", u.saveAccount)
	u.admin("POST /account/password", u.savePassword)
	u.admin("POST /account/sessions/{id}/end", u.endSession)
}

type accountPage struct {
	Form     Form // of the name
	Password Form
	Facts    []FactLine
	Sessions []sessionLine
	Reset    string // where one's own second factor is set up anew; "" = an owner has to
	Choices  []Option
}

type sessionLine struct {
	*fleet.Session
	Browser string
	This    bool
}

func (u *UI) account(q *Request) error { return u.showAccount(q, http.StatusOK, Form{}, Form{}) }

func (u *UI) showAccount(q *Request, status int, form, password Form) error {
	if form.Values == nil {
		form.Values = url.Values{"name": {q.Admin.Name}}
	}
	page := accountPage{Form: form, Password: password}
	roles, err := u.fleet.Roles(q.Context(), q.Actor)
	role := string(q.Admin.Role)
	switch {
	case errors.Is(err, fleet.ErrForbidden): // only who edits administrators sees custom roles
		if key := "role." + role; q.Words.Has(key) {
			role = q.T(key)
		} else {
			role = q.T("account.role.custom")
		}
	case err != nil:
		return err
	default:
		for _, r := range roles {
			if r.ID == q.Admin.Role {
				role = q.roleName(r)
			}
		}
	}
	page.Facts = []FactLine{{Name: q.T("account.mail"), Value: q.Admin.Mail, Hint: q.T("account.mail.hint")}, {Name: q.T("account.role"), Value: role}, {Name: q.T("account.scope"), Value: q.scope(q.Admin)}}
	sessions, err := u.fleet.Sessions(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		page.Sessions = append(page.Sessions, sessionLine{Session: s, Browser: q.browserWord(s.UserAgent), This: s.ID == q.Actor.Session})
	}
	if q.Actor.May(fleet.AdminsEdit) {
		page.Reset = "/admins/" + url.PathEscape(string(q.Admin.ID)) + "/reset"
	}
	return q.PageStatus(status, "app/account", Page{Title: q.T("prefs.account"), Data: page})
}

// browserWord says in a few words what a browser called itself.
func (q *Request) browserWord(agent string) string {
	if agent == "" {
		return q.T("words.unknown")
	}
	pick := func(pairs ...string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if strings.Contains(agent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	browser := pick("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari")
	system := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Macintosh", "Mac", "Windows", "Windows", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return q.T("account.browser", "browser", browser, "system", system)
	case browser != "":
		return browser
	}
	r := []rune(agent)
	if len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return agent
}

func (u *UI) saveAccount(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(form.Value("name"))
	if _, err := u.fleet.UpdateAdmin(q.Context(), q.Actor, q.Admin.ID, fleet.AdminInput{Name: &name}); err != nil {
		if q.Refused(&form, err) {
			return u.showAccount(q, http.StatusUnprocessableEntity, form, Form{})
		}
		return err
	}
	q.Flash(Good, "account.saved")
	return q.Redirect("/account")
}

// savePassword asks for the present password first, with the limits of a sign-in: whoever finds an open browser cannot take the account over.
func (u *UI) savePassword(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	again := func() error { return u.showAccount(q, http.StatusUnprocessableEntity, Form{}, form) }
	if form.Value("password") != form.Value("again") {
		form.Errors["again"] = q.T("setup.again.differs")
		return again()
	}
	if _, err := u.fleet.SignIn(q.Context(), q.Admin.Mail, form.Value("present"), q.From(), q.UserAgent()); err != nil {
		if errors.Is(err, fleet.ErrSignIn) {
			form.Errors["present"] = q.T("account.present.wrong")
			return again()
		}
		return err
	}
	password := form.Value("password")
	if _, err := u.fleet.UpdateAdmin(q.Context(), q.Actor, q.Admin.ID, fleet.AdminInput{Password: &password}); err != nil {
		if q.Refused(&form, err) {
			return again()
		}
		return err
	}
	q.Flash(Good, "account.password.done")
	return q.Redirect("/account")
}

func (u *UI) endSession(q *Request) error {
	if err := u.fleet.EndSession(q.Context(), q.Actor, fleet.SessionID(q.PathValue("id"))); err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	q.Flash(Good, "account.session.done")
	return q.Redirect("/account")
}
