package ui

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// termsDomain is what the page about the terms of use asks.
type termsDomain interface {
	Terms(ctx context.Context) (*fleet.Terms, error)
	TermsVersions(ctx context.Context, a fleet.Actor) ([]*fleet.Terms, error)
	SaveTerms(ctx context.Context, a fleet.Actor, text map[string]string) (*fleet.Terms, error)
}

func (u *UI) termsRoutes() {
	u.admin("GET /settings/terms", u.terms)
	u.admin("POST /settings/terms", u.saveTerms)
}

// termsPage has the texts side by side, and the versions below.
type termsPage struct {
	Head     Head
	Tabs     []Tab
	Form     Form
	MayEdit  bool
	Texts    []termsField
	Present  *fleet.Terms
	Versions []*fleet.Terms
}

type termsField struct {
	Lang string
	Field
}

func (u *UI) terms(q *Request) error {
	present, err := u.fleet.Terms(q.Context())
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	form := Form{}
	if present != nil {
		form = filled()
		for lang, text := range present.Text {
			form.Values.Set("text."+lang, text)
		}
	}
	return q.showTerms(http.StatusOK, present, form)
}

func (q *Request) showTerms(status int, present *fleet.Terms, form Form) error {
	p := termsPage{Head: Head{Title: q.T("settings.title"), Sub: q.T("terms.sub")}, Tabs: q.settingsTabs("terms"), Form: form, Present: present, MayEdit: q.Actor.May(fleet.TermsEdit)}
	var err error
	if p.Versions, err = q.ui.fleet.TermsVersions(q.Context(), q.Actor); unlessForbidden(err) != nil {
		return err
	}
	for _, l := range words.Langs() {
		name := "text." + string(l)
		p.Texts = append(p.Texts, termsField{Lang: string(l), Field: Field{Form: form, Name: name, Label: q.T("lang." + string(l)), Type: "textarea", Rows: 18, Required: true, Value: form.Value(name), Locked: !p.MayEdit}})
	}
	return q.PageStatus(status, "app/terms", Page{Title: q.T("terms.title"), Data: p})
}

func (u *UI) saveTerms(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	present, err := u.fleet.Terms(q.Context())
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	text := map[string]string{}
	for _, l := range words.Langs() {
		text[string(l)] = strings.TrimSpace(strings.ReplaceAll(form.Value("text."+string(l)), "\r\n", "\n"))
	}
	saved, err := u.fleet.SaveTerms(q.Context(), q.Actor, text)
	if err != nil {
		if q.Refused(&form, err) {
			return q.showTerms(http.StatusUnprocessableEntity, present, form)
		}
		return err
	}
	if present != nil && saved.Version == present.Version {
		q.Flash(Mute, "terms.unchanged")
	} else {
		q.Flash(Good, "terms.saved", "version", strconv.Itoa(saved.Version))
	}
	return q.Redirect("/settings/terms")
}
