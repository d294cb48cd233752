package ui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"muster/appliance/fleet"
)

// WindowsSignInPath is the page that Windows opens in a window of its own while it
// enrols.
const WindowsSignInPath = "/enroll/windows"

func (u *UI) windowsRoutes() {
	u.open("GET "+WindowsSignInPath, u.windowsSignIn)
	u.open("POST "+WindowsSignInPath, u.windowsSignedIn)
}

// windowsSignInPage asks who the person is: by the code that their invitation's page
// shows, or by the invitation itself, which is then opened in the same window.
type windowsSignInPage struct {
	Form         Form
	Organisation string
	Contact      string
	Return       string // address of the app that opened the window; goes through every form
	Hinted       bool   // Windows told the user name
}

// returnTo is the app that opened the window, as far as it may be handed a token.
func (q *Request) returnTo(appru string) (string, error) {
	if _, ok := q.ui.handOver("", appru); !ok {
		return "", fleet.Refuse(fleet.ErrNotFound, "windows.no-return")
	}
	return appru, nil
}

func (u *UI) windowsSignIn(q *Request) error {
	query := q.URL.Query()
	appru, err := q.returnTo(query.Get("appru"))
	if err != nil {
		return q.enrolRefused(err)
	}
	hint := query.Get("login_hint")
	if len(hint) > 200 {
		hint = ""
	}
	return q.showWindowsSignIn(http.StatusOK, appru, Form{Values: url.Values{"username": {hint}}})
}

func (q *Request) showWindowsSignIn(status int, appru string, form Form) error {
	s, err := q.ui.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	return q.PageStatus(status, "people/windows", Page{Title: q.T("windows.signin.title"), Org: s.Organisation, Slim: "slim",
		Data: windowsSignInPage{Form: form, Organisation: s.Organisation, Contact: s.Contact, Return: appru, Hinted: form.Value("username") != ""}})
}

// oneTimeMost is the longest that a one-time code is, typed with blanks and hyphens; an
// invitation's code is longer.
const oneTimeMost = 16

// windowsSignedIn takes a code, or leads to the invitation.
func (u *UI) windowsSignedIn(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	appru, err := q.returnTo(form.Value("appru"))
	if err != nil {
		return q.enrolRefused(err)
	}
	code := invitationCodeIn(form.Value("code"))
	if code == "" {
		form.Errors["code"] = q.T("windows.signin.missing")
		return q.showWindowsSignIn(http.StatusUnprocessableEntity, appru, form)
	}
	if len(code) > oneTimeMost {
		return q.Redirect("/enroll/" + url.PathEscape(code) + "?" + url.Values{"appru": {appru}}.Encode())
	}
	ticket, err := u.windowsTicket(q.Context(), form.Value("username"), code)
	if err != nil {
		if !errors.Is(err, fleet.ErrNotFound) && !errors.Is(err, fleet.ErrGone) {
			return err
		}
		var refusal *fleet.Refusal
		form.Errors["code"] = q.T("windows.signin.wrong")
		if errors.As(err, &refusal) && q.Words.Has("reason."+refusal.Reason.Code) {
			form.Errors["code"] = q.Say(refusal.Reason)
		}
		return q.showWindowsSignIn(http.StatusUnprocessableEntity, appru, form)
	}
	return q.handOverTo(ticket, appru)
}

// handOverTo sends the window on to the page that gives Windows its token.
func (q *Request) handOverTo(ticket, appru string) error {
	to, ok := q.ui.handOver(ticket, appru)
	if !ok {
		return q.enrolRefused(fleet.Refuse(fleet.ErrNotFound, "windows.no-return"))
	}
	return q.Redirect(to)
}

// invitationCodeIn finds the code in what a person typed or pasted: a code, or the whole link.
func invitationCodeIn(s string) string {
	s = strings.TrimSpace(s)
	if _, after, ok := strings.Cut(s, "/enroll/"); ok {
		s = after
	}
	s, _, _ = strings.Cut(s, "?")
	s = strings.TrimSuffix(strings.Join(strings.Fields(s), ""), "/")
	if len(s) > 100 || strings.ContainsAny(s, "/\\") {
		return ""
	}
	return s
}
