package ui

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// tokens is what the pages about API tokens ask of the domain.
type tokens interface {
	Tokens(ctx context.Context, a fleet.Actor) ([]*fleet.Token, error)
	CreateToken(ctx context.Context, a fleet.Actor, name string, p []fleet.Permission, lifetime time.Duration) (*fleet.Token, string, error)
	RevokeToken(ctx context.Context, a fleet.Actor, id fleet.TokenID) error
}

func (u *UI) tokenRoutes() {
	u.admin("GET /settings/tokens", u.tokens)
	u.admin("GET /settings/tokens/new", u.newToken)
	u.admin("POST /settings/tokens", u.createToken)
	u.admin("GET /settings/tokens/{id}/revoke", u.askRevokeToken)
	u.admin("POST /settings/tokens/{id}/revoke", u.revokeToken)
}

type tokensPage struct {
	Tabs []Tab
	Rows []tokenRow
}

type tokenRow struct {
	*fleet.Token
	Owner  string // of another administrator's token
	Rights string
	Status Status
	Link   string
}

func (u *UI) tokens(q *Request) error {
	list, err := u.fleet.Tokens(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	page := tokensPage{Tabs: q.settingsTabs("tokens")}
	for _, t := range list {
		row := tokenRow{Token: t, Rights: q.Words.N("tokens.rights", len(t.Permissions), nil), Link: "/settings/tokens/" + url.PathEscape(string(t.ID)) + "/revoke"}
		if t.Admin != q.Admin.ID {
			if m, err := u.fleet.Admin(q.Context(), q.Actor, t.Admin); err == nil {
				row.Owner = m.Name
			}
		}
		switch left := t.Expires.Sub(u.now()); {
		case left <= 0:
			row.Status = Status{Kind: Mute, Word: q.T("tokens.expired"), Icon: "ban"}
		case left < 14*24*time.Hour:
			row.Status = Status{Kind: Warn, Word: q.T("tokens.ends-soon")}
		default:
			row.Status = Status{Kind: Good, Word: q.T("tokens.valid")}
		}
		page.Rows = append(page.Rows, row)
	}
	return q.Page("app/tokens", Page{Title: q.T("tokens.title"), Data: page})
}

// tokenDays are the lifetimes that are offered; the domain allows 366 days at most.
var tokenDays = []int{7, 30, 90, 180, 366}

type tokenForm struct {
	Form Form
	Head Head
	Grid []permissionGroup
	Days []Option
}

func (u *UI) newToken(q *Request) error {
	if !q.Actor.May(fleet.TokensEdit) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.TokensEdit))
	}
	return u.showNewToken(q, http.StatusOK, Form{Values: url.Values{"lifetime": {"90"}, "permissions": {string(fleet.DevicesRead)}}})
}

func (u *UI) showNewToken(q *Request, status int, form Form) error {
	page := tokenForm{Form: form, Head: Head{Title: q.T("tokens.new.title"), Sub: q.T("tokens.new.sub"), Back: "/settings/tokens", BackWord: q.T("tokens.title")},
		Grid: q.permissionGrid(func(p fleet.Permission) bool { return form.Has("permissions", string(p)) })}
	for _, d := range tokenDays {
		page.Days = append(page.Days, Option{Value: strconv.Itoa(d), Word: q.Words.N("tokens.days", d, nil)})
	}
	return q.PageStatus(status, "app/token-new", Page{Title: page.Head.Title, Data: page})
}

// createToken answers with the page that shows the secret: it is nowhere else, so there is nothing to redirect to.
func (u *UI) createToken(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(form.Value("lifetime"))
	if err != nil || days < 1 {
		form.Errors["lifetime"] = q.T("reason.input.required")
		return u.showNewToken(q, http.StatusUnprocessableEntity, form)
	}
	var permissions []fleet.Permission
	for _, p := range form.Values["permissions"] {
		permissions = append(permissions, fleet.Permission(p))
	}
	t, secret, err := u.fleet.CreateToken(q.Context(), q.Actor, strings.TrimSpace(form.Value("name")), permissions, time.Duration(min(days, 10_000))*24*time.Hour)
	if err != nil {
		if q.Refused(&form, err) {
			return u.showNewToken(q, http.StatusUnprocessableEntity, form)
		}
		return err
	}
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	title := q.T("tokens.made.title", "name", t.Name)
	return q.Page("app/token-made", Page{Title: title, Data: map[string]any{"Token": t, "Secret": secret, "Head": Head{Title: title, Back: "/settings/tokens", BackWord: q.T("tokens.title")},
		"Example": "curl -H 'Authorization: Bearer " + secret + "' " + settings.URL + "/api/v1/devices"}})
}

func (u *UI) tokenOf(q *Request) (*fleet.Token, error) {
	list, err := u.fleet.Tokens(q.Context(), q.Actor)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if string(t.ID) == q.PathValue("id") {
			return t, nil
		}
	}
	return nil, fleet.Refuse(fleet.ErrNotFound, "not-found", "what", "token")
}

func (u *UI) askRevokeToken(q *Request) error {
	t, err := u.tokenOf(q)
	if err != nil {
		return err
	}
	title := q.T("tokens.revoke.title", "name", t.Name)
	c := Confirm{Title: title, Text: q.T("tokens.revoke.text"), Warning: q.T("tokens.revoke.warning"), Action: q.URL.Path, Word: title, Danger: true, Back: "/settings/tokens"}
	if t.LastUsed != nil {
		c.Points = []string{q.T("tokens.revoke.used", "at", *t.LastUsed)}
	}
	return q.Page("app/confirm", Page{Title: title, Data: c})
}

func (u *UI) revokeToken(q *Request) error {
	t, err := u.tokenOf(q)
	if err != nil {
		return err
	}
	if err := u.fleet.RevokeToken(q.Context(), q.Actor, t.ID); err != nil {
		return err
	}
	q.Flash(Good, "tokens.revoked", "name", t.Name)
	return q.Redirect("/settings/tokens")
}
