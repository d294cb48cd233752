package ui

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// finder is what the search asks of the domain.
type finder interface {
	Devices(ctx context.Context, a fleet.Actor, fl fleet.DeviceFilter, q fleet.ListQuery) (fleet.List[*fleet.Device], error)
	People(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Person], error)
	Profiles(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Profile], error)
	Groups(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Group], error)
}

func (u *UI) searchRoutes() {
	u.admin("GET /search", u.search)
}

// serves says whether a page answers at this path: links to screens that are not there would be a promise.
func (u *UI) serves(path string) bool {
	_, pattern := u.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
	return pattern != "" && pattern != "/"
}

// hit is one thing found.
type hit struct {
	Href string `json:"href"`
	Word string `json:"word"`
	Sub  string `json:"sub,omitempty"`
	Icon string `json:"icon"`
	Kind string `json:"kind"` // in words
}

type searchPage struct {
	Query string
	Parts []searchPart
	Empty Empty
	Count int
}

type searchPart struct {
	Word string
	Hits []hit
	More string // the list with everything found, "" = that is all
}

// perKind is how many of each kind are shown; the lists have the rest.
const perKind = 8

// destinations are pages and actions that are found by name or by other words that people use for them (search.also.<name>).
var destinations = []struct {
	name, path, icon string
	needs            fleet.Permission
	action           bool
}{
	{"overview", "/", "overview", "", false},
	{"devices", "/devices", "devices", fleet.DevicesRead, false},
	{"people", "/people", "people", fleet.PeopleRead, false},
	{"groups", "/groups", "groups", fleet.PeopleRead, false},
	{"invitations", "/invitations", "invite", fleet.InviteWrite, false},
	{"profiles", "/profiles", "profiles", fleet.ProfilesRead, false},
	{"receipts", "/receipts", "receipt", fleet.DevicesRead, false},
	{"rules", "/rules", "rules", fleet.DevicesRead, false},
	{"certificates", "/certificates", "certificate", fleet.CertsRead, false},
	{"calendar", "/certificates/calendar", "calendar", fleet.CertsRead, false},
	{"audit", "/audit", "audit", fleet.AuditRead, false},
	{"admins", "/admins", "admins", fleet.AdminsEdit, false},
	{"roles", "/roles", "shield", fleet.AdminsEdit, false},
	{"settings", "/settings", "settings", fleet.SettingsRead, false},
	{"tls", "/settings/tls", "globe", fleet.SettingsRead, false},
	{"apple", "/settings/apple", "bell", fleet.SettingsRead, false},
	{"android", "/settings/android", "phone", fleet.SettingsRead, false},
	{"terms", "/settings/terms", "document", fleet.SettingsRead, false},
	{"privacy", "/settings/privacy", "eye", fleet.SettingsRead, false},
	{"backup", "/settings/backup", "server", fleet.SettingsRead, false},
	{"tokens", "/settings/tokens", "key", fleet.TokensEdit, false},
	{"register", "/settings/register", "document", "", false},
	{"health", "/health", "health", "", false},
	{"account", "/account", "person", "", false},
	{"help", "/help", "help", "", false},
	{"help-removal", "/help/removal", "help", "", false},
	{"help-enrolment", "/help/enrolment", "help", "", false},
	{"help-collected", "/help/collected", "help", "", false},
	{"help-roles", "/help/roles", "help", "", false},
	{"help-android", "/help/android", "help", "", false},
	{"do-invite", "/invitations/new", "invite", fleet.InviteWrite, true},
	{"do-person", "/people/new", "plus", fleet.PeopleEdit, true},
	{"do-group", "/groups/new", "plus", fleet.GroupsEdit, true},
	{"do-profile", "/profiles/new", "plus", fleet.ProfilesEdit, true},
	{"do-admin", "/admins/new", "plus", fleet.AdminsEdit, true},
	{"do-role", "/roles/new", "plus", fleet.AdminsEdit, true},
	{"do-token", "/settings/tokens/new", "key", fleet.TokensEdit, true},
	{"do-push", "/settings/apple", "upload", fleet.SettingsEdit, true},
	{"do-password", "/account", "lock", "", true},
}

// search finds devices, people, profiles, groups, pages and actions. The palette reads the same page; who asks for JSON gets that.
func (u *UI) search(q *Request) error {
	text := strings.TrimSpace(q.URL.Query().Get("q"))
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200])
	}
	page := searchPage{Query: text}
	if text != "" {
		if err := u.find(q, &page); err != nil {
			return err
		}
	}
	for _, p := range page.Parts {
		page.Count += len(p.Hits)
	}
	q.W.Header().Add("Vary", "Accept")
	if strings.Contains(q.Request.Header.Get("Accept"), "application/json") {
		all := []hit{}
		for _, p := range page.Parts {
			all = append(all, p.Hits...)
		}
		q.W.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(q.W).Encode(map[string]any{"query": text, "results": all}) // a reader that went away is no error of ours
		return nil
	}
	page.Empty = Empty{Icon: "search", Title: q.T("search.start.title"), Text: q.T("search.start.text")}
	if text != "" {
		page.Empty = Empty{Icon: "search", Title: q.T("search.none.title", "query", text), Text: q.T("palette.nothing")}
	}
	return q.Page("app/search", Page{Title: q.T("search.title"), Data: page})
}

func (u *UI) find(q *Request, page *searchPage) error {
	query := fleet.ListQuery{Search: page.Query, Limit: perKind}
	add := func(word, list string, next string, hits []hit) {
		if len(hits) == 0 {
			return
		}
		part := searchPart{Word: word, Hits: hits}
		if next != "" {
			part.More = list + "?q=" + url.QueryEscape(page.Query)
		}
		page.Parts = append(page.Parts, part)
	}
	// what the role may not see is not searched; a refusal would say no more than an empty list
	allowed := func(err error) error {
		if errors.Is(err, fleet.ErrForbidden) {
			return nil
		}
		return err
	}
	if q.Actor.May(fleet.DevicesRead) && u.serves("/devices/x") {
		l, err := u.fleet.Devices(q.Context(), q.Actor, fleet.DeviceFilter{}, query)
		if err := allowed(err); err != nil {
			return err
		}
		var hits []hit
		for _, d := range l.Items {
			hits = append(hits, hit{"/devices/" + string(d.ID), d.Name, strings.Join(nonEmptyTexts(d.Model, d.Serial), " · "), platformIcon(d.Platform), q.T("word.platform." + string(d.Platform))})
		}
		add(q.T("nav.devices"), "/devices", l.Next, hits)
	}
	if q.Actor.May(fleet.PeopleRead) {
		if u.serves("/people/x") {
			l, err := u.fleet.People(q.Context(), q.Actor, query)
			if err := allowed(err); err != nil {
				return err
			}
			var hits []hit
			for _, p := range l.Items {
				hits = append(hits, hit{"/people/" + string(p.ID), p.Name, p.Mail, "person", q.T("search.kind.person")})
			}
			add(q.T("nav.people"), "/people", l.Next, hits)
		}
		if u.serves("/groups/x") {
			l, err := u.fleet.Groups(q.Context(), q.Actor, query)
			if err := allowed(err); err != nil {
				return err
			}
			var hits []hit
			for _, g := range l.Items {
				hits = append(hits, hit{"/groups/" + string(g.ID), g.Name, g.Description, "groups", q.T("search.kind.group")})
			}
			add(q.T("nav.groups"), "/groups", l.Next, hits)
		}
	}
	if q.Actor.May(fleet.ProfilesRead) && u.serves("/profiles/x") {
		l, err := u.fleet.Profiles(q.Context(), q.Actor, query)
		if err := allowed(err); err != nil {
			return err
		}
		var hits []hit
		for _, p := range l.Items {
			hits = append(hits, hit{"/profiles/" + string(p.ID), p.Name, q.word("type", string(p.Type)), "profiles", q.T("search.kind.profile")})
		}
		add(q.T("nav.profiles"), "/profiles", l.Next, hits)
	}
	pages, actions := u.findDestinations(q, page.Query)
	add(q.T("search.pages"), "", "", pages)
	add(q.T("search.actions"), "", "", actions)
	return nil
}

// findDestinations compares the beginnings of words, as the lists do.
func (u *UI) findDestinations(q *Request, text string) (pages, actions []hit) {
	wanted := strings.Fields(strings.ToLower(text))
	for _, d := range destinations {
		if (d.needs != "" && !q.Actor.May(d.needs)) || (d.path != "/" && !u.serves(d.path)) {
			continue
		}
		word := q.T("search.place." + d.name)
		all := strings.FieldsFunc(strings.ToLower(word+" "+q.T("search.also."+d.name)), func(r rune) bool { return strings.ContainsRune(" ,-()/", r) })
		if slices.ContainsFunc(wanted, func(w string) bool {
			return !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, w) })
		}) {
			continue
		}
		if d.action {
			actions = append(actions, hit{Href: d.path, Word: word, Icon: d.icon, Kind: q.T("search.kind.action")})
		} else {
			pages = append(pages, hit{Href: d.path, Word: word, Icon: d.icon, Kind: q.T("search.kind.page")})
		}
	}
	return pages, actions
}

func nonEmptyTexts(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
