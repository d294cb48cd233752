package ui

import (
	"context"
	"errors"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"regexp"
	"slices"

	"muster/appliance/fleet"
)

// profilesDomain is what the pages about profiles ask.
type profilesDomain interface {
	wizardDomain
	ProfileCounts(ctx context.Context, a fleet.Actor, id fleet.ProfileID) (map[fleet.ProfileStatusCode]int, error)
	ProfileDevices(ctx context.Context, a fleet.Actor, id fleet.ProfileID, status fleet.ProfileStatusCode, q fleet.ListQuery) (fleet.List[fleet.ProfileStatus], error)
	ProfileVersions(ctx context.Context, a fleet.Actor, id fleet.ProfileID) ([]*fleet.Profile, error)
	DeleteProfile(ctx context.Context, a fleet.Actor, id fleet.ProfileID) error
	Device(ctx context.Context, a fleet.Actor, id fleet.DeviceID) (*fleet.Device, error)
}

func (u *UI) profileRoutes() {
	u.wizardRoutes()
	u.admin("GET /profiles", u.profiles)
	u.admin("GET /profiles/{id}", u.profile)
	u.admin("GET /profiles/{id}/devices", u.profileDevices)
	u.admin("GET /profiles/{id}/versions", u.profileVersions)
	u.admin("GET /profiles/{id}/unassign", func(q *Request) error { return u.askProfile(q, http.StatusOK, "unassign", Form{}) })
	u.admin("POST /profiles/{id}/unassign", u.unassignProfile)
	u.admin("GET /profiles/{id}/delete", func(q *Request) error { return u.askProfile(q, http.StatusOK, "delete", Form{}) })
	u.admin("POST /profiles/{id}/delete", u.deleteProfile)
}

type profilesPage struct {
	Head   Head
	Search string
	Rows   []listedProfile
	Pager  *Pager
	Empty  *Empty
}

type listedProfile struct {
	*fleet.Profile
	Icon, TypeWord, On string
	Bar                SplitBar
	Total              int
	To                 string
}

// typeIcons are the icons of the types of profiles; a test holds every type to one.
var typeIcons = map[fleet.ProfileType]string{
	fleet.TypeEmail: "mail", fleet.TypeTrustedRoot: "shield", fleet.TypeIdentity: "certificate", fleet.TypePasscode: "key",
	fleet.TypeWiFi: "wifi", fleet.TypeVPN: "globe", fleet.TypeWebLink: "link", fleet.TypeRestrictions: "ban", fleet.TypeCustom: "document",
	fleet.TypeApp: "apps", fleet.TypeWorkSharing: "copy", fleet.TypePersonalUse: "person", fleet.TypeKiosk: "tablet",
}

func (u *UI) profiles(q *Request) error {
	ask := q.asked()
	list, err := u.fleet.Profiles(q.Context(), q.Actor, ask)
	if err != nil {
		return err
	}
	p := profilesPage{Head: Head{Title: q.T("profiles.title"), Sub: q.T("profiles.sub")}, Search: ask.Search}
	if q.Actor.May(fleet.ProfilesEdit) {
		p.Head.Actions = []Button{{Href: "/profiles/new", Word: q.T("profiles.new"), Icon: "plus", Style: "primary"}}
	}
	for _, x := range list.Items {
		row := listedProfile{Profile: x, Icon: typeIcons[x.Type], TypeWord: q.T("type." + string(x.Type)), On: q.saysPlatforms(x.Platforms)}
		counts, err := u.fleet.ProfileCounts(q.Context(), q.Actor, x.ID)
		if err != nil {
			return err
		}
		row.Bar, row.Total = q.countsBar(counts, "")
		to, err := u.fleet.Assignments(q.Context(), q.Actor, x.ID)
		if err != nil {
			return err
		}
		if row.To, err = q.toInShort(to); err != nil {
			return err
		}
		p.Rows = append(p.Rows, row)
	}
	switch {
	case len(p.Rows) > 0 || ask.Cursor != "":
		p.Pager = q.pages(list.Next, found(q, "profiles.found", list.Total))
	case ask.Search != "":
		p.Empty = &Empty{Icon: "search", Title: q.T("profiles.none-found", "text", ask.Search), Text: q.T("profiles.none-found.text"), Actions: []Button{{Href: "/profiles", Word: q.T("profiles.all")}}}
	default:
		p.Empty = &Empty{Icon: "profiles", Title: q.T("profiles.empty"), Text: q.T("profiles.empty.text"), Actions: p.Head.Actions}
	}
	return q.Page("app/profiles", Page{Title: q.T("profiles.title"), Live: true, Data: p})
}

// toInShort names the first two that a profile is assigned to.
func (q *Request) toInShort(list []fleet.Assignment) (string, error) {
	in, _, err := q.saysAssignments(list)
	if err != nil || len(in) == 0 {
		return "", err
	}
	if len(in) > 2 {
		return q.T("assign.and-more", "names", in[0]+", "+in[1], "n", len(in)-2), nil
	}
	return q.Words.List(in), nil
}

// profilePage is one profile, in one of its views.
type profilePage struct {
	Head      Head
	Tabs      []Tab
	Profile   *fleet.Profile
	Bar       SplitBar
	Settings  []settingLines
	In, Out   []string
	MayAssign bool
	MayDelete bool
	Chain     []*fleet.Profile
	UsedBy    []*fleet.Profile
	Broken    string
	Facts     []FactLine

	Search   string // of the devices
	Status   string
	Statuses []Option
	Rows     []statusRow
	Pager    *Pager

	Versions []versionRow
}

// statusRow is the profile's state on one device.
type statusRow struct {
	heldDevice
	State   Status
	Why     string
	Since   fleet.ProfileStatus
	Version int
	Old     bool // the device holds, or is to get, another version than the newest
}

type versionRow struct {
	*fleet.Profile
	Present bool
	Changes []string
	First   bool
}

// openProfile reads the profile and what all its views show.
func (u *UI) openProfile(q *Request, view string) (*profilePage, error) {
	x, err := u.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(q.PathValue("id")))
	if err != nil {
		return nil, err
	}
	link := "/profiles/" + string(x.ID)
	p := &profilePage{Profile: x, MayAssign: q.Actor.May(fleet.ProfilesAssign), MayDelete: q.Actor.May(fleet.ProfilesEdit)}
	p.Head = Head{Title: x.Name, Sub: q.T("profile.sub", "type", q.T("type."+string(x.Type)), "platforms", q.saysPlatforms(x.Platforms), "version", x.Version), Back: "/profiles", BackWord: q.T("profiles.title")}
	if p.MayDelete {
		p.Head.Actions = append(p.Head.Actions, Button{Href: link + "/delete", Word: q.T("profile.delete.button"), Icon: "trash", Style: "danger"}, Button{Href: link + "/edit", Word: q.T("profile.edit.button"), Icon: "edit"})
	}
	if p.MayAssign {
		p.Head.Actions = append(p.Head.Actions, Button{Href: link + "/assign", Word: q.T("profile.assign.button"), Icon: "groups", Style: "primary"})
	}
	counts, err := u.fleet.ProfileCounts(q.Context(), q.Actor, x.ID)
	if err != nil {
		return nil, err
	}
	total := 0
	to := ""
	if q.Actor.May(fleet.DevicesRead) {
		to = link + "/devices"
	}
	p.Bar, total = q.countsBar(counts, to)
	p.Tabs = []Tab{{Href: link, Word: q.T("profile.tab.overview"), Current: view == "", Count: -1}}
	if q.Actor.May(fleet.DevicesRead) {
		p.Tabs = append(p.Tabs, Tab{Href: link + "/devices", Word: q.T("profile.tab.devices"), Current: view == "devices", Count: total})
	}
	p.Tabs = append(p.Tabs, Tab{Href: link + "/versions", Word: q.T("profile.tab.versions"), Current: view == "versions", Count: x.Version})
	return p, nil
}

func (u *UI) profile(q *Request) error {
	p, err := u.openProfile(q, "")
	if err != nil {
		return err
	}
	x := p.Profile
	if p.Settings, err = q.settingsInWords(x.Type, x.Values(), x.Platforms); err != nil {
		return err
	}
	to, err := u.fleet.Assignments(q.Context(), q.Actor, x.ID)
	if err != nil {
		return err
	}
	if p.In, p.Out, err = q.saysAssignments(to); err != nil {
		return err
	}
	p.Chain = q.chainOf(x.Type, x.Values())
	if err := q.chainState(p, to); err != nil {
		return err
	}
	if p.UsedBy, err = q.referrers(x.ID); err != nil {
		return err
	}
	if x.Description != "" {
		p.Facts = append(p.Facts, FactLine{Name: q.T("profile.description"), Value: x.Description})
	}
	p.Facts = append(p.Facts, FactLine{Name: q.T("profile.made"), Value: q.Words.DateTime(x.Created)}, FactLine{Name: q.T("profile.changed.last"), Value: q.Words.DateTime(x.Updated)})
	if len(x.Tags) > 0 {
		p.Facts = append(p.Facts, FactLine{Name: q.T("ui.tags"), Value: tagText(x.Tags)})
	}
	return q.Page("app/profile", Page{Title: x.Name, Live: true, Data: p})
}

// chainState says when what a profile refers to is not assigned to all that it is assigned to (B6): asked of the preview, which knows the rules.
func (q *Request) chainState(p *profilePage, to []fleet.Assignment) error {
	if len(p.Chain) == 0 || len(to) == 0 {
		return nil
	}
	reach, err := q.ui.fleet.PreviewAssign(q.Context(), q.Actor, p.Profile.ID, nil, to)
	if err != nil {
		var refusal *fleet.Refusal
		if errors.As(err, &refusal) {
			return nil
		}
		return err
	}
	for _, r := range reach.Warnings {
		if r.Code == "assign.chain-broken" || r.Code == "assign.chain-targets-differ" {
			p.Broken = q.Say(r)
			return nil
		}
	}
	return nil
}

// referrers are the profiles that refer to this one.
func (q *Request) referrers(id fleet.ProfileID) ([]*fleet.Profile, error) {
	list, err := q.ui.fleet.Profiles(q.Context(), q.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		return nil, err
	}
	var out []*fleet.Profile
	for _, p := range list.Items {
		d, _ := declared(p.Type)
		v := p.Values()
		if slices.ContainsFunc(d.Fields, func(fd fleet.Field) bool {
			return fd.Kind == fleet.KindProfile && v.String(fd.Key) == string(id) && v.Counts(d, fd)
		}) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (u *UI) profileDevices(q *Request) error {
	p, err := u.openProfile(q, "devices")
	if err != nil {
		return err
	}
	ask := q.asked()
	p.Search, p.Status = ask.Search, q.URL.Query().Get("status")
	known := slices.Contains(deliveryCodes(), fleet.ProfileStatusCode(p.Status))
	if !known {
		p.Status = ""
	}
	p.Statuses = []Option{{Value: "", Word: q.T("profile.status.all")}}
	for _, code := range deliveryCodes() {
		p.Statuses = append(p.Statuses, Option{Value: string(code), Word: q.word("status", string(code))})
	}
	list, err := u.fleet.ProfileDevices(q.Context(), q.Actor, p.Profile.ID, fleet.ProfileStatusCode(p.Status), ask)
	if err != nil {
		return err
	}
	for _, s := range list.Items {
		row := statusRow{State: q.deliveryStatus(s.Status), Why: q.Say(s.Reason), Since: s, Version: s.Version, Old: s.Version != p.Profile.Version}
		d, err := u.fleet.Device(q.Context(), q.Actor, s.Device)
		switch {
		case err == nil:
			row.heldDevice = q.heldDevice(d)
		case unlessGone(err) == nil:
			row.heldDevice = heldDevice{Icon: "none", Name: q.T("profile.device-gone")}
		default:
			return fmt.Errorf("device of a status: %w", err)
		}
		p.Rows = append(p.Rows, row)
	}
	p.Pager = q.pages(list.Next, found(q, "profile.devices.found", list.Total))
	return q.Page("app/profile-devices", Page{Title: p.Profile.Name, Live: true, Data: p})
}

func (u *UI) profileVersions(q *Request) error {
	p, err := u.openProfile(q, "versions")
	if err != nil {
		return err
	}
	list, err := u.fleet.ProfileVersions(q.Context(), q.Actor, p.Profile.ID)
	if err != nil {
		return err
	}
	for i, x := range list {
		row := versionRow{Profile: x, Present: i == 0, First: x.Version == 1}
		if i+1 < len(list) {
			if row.Changes, err = q.differences(list[i+1], x); err != nil {
				return err
			}
		}
		p.Versions = append(p.Versions, row)
	}
	return q.Page("app/profile-versions", Page{Title: p.Profile.Name, Live: true, Data: p})
}

// askProfile confirms that a profile is unassigned or deleted: what is the "unassign" or "delete".
func (u *UI) askProfile(q *Request, status int, what string, form Form) error {
	needs := fleet.ProfilesAssign
	if what == "delete" {
		needs = fleet.ProfilesEdit
	}
	if !q.Actor.May(needs) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(needs))
	}
	x, err := u.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(q.PathValue("id")))
	if err != nil {
		return err
	}
	counts, err := u.fleet.ProfileCounts(q.Context(), q.Actor, x.ID)
	if err != nil {
		return err
	}
	if what == "delete" { // no button for what would be refused
		by, err := q.referrers(x.ID)
		if err != nil {
			return err
		}
		if len(by) > 0 {
			p := &profilePage{Profile: x, UsedBy: by, Head: Head{Title: q.T("profile.needed", "name", x.Name), Sub: q.T("profile.needed.text"), Back: "/profiles/" + string(x.ID), BackWord: x.Name}}
			return q.PageStatus(status, "app/profile-needed", Page{Title: p.Head.Title, Data: p})
		}
	}
	_, total := q.countsBar(counts, "")
	link := "/profiles/" + string(x.ID)
	title := q.T("profile."+what+".confirm", "name", x.Name)
	c := Confirm{Title: title, Points: []string{q.Words.N("profile.goes-from", total, nil), q.goesWith(what, x.Type), q.T("profile." + what + ".point")},
		Warning: q.T("profile." + what + ".warning"), Action: link + "/" + what, Word: title, Danger: true, Back: link, Form: form}
	return q.PageStatus(status, "app/confirm", Page{Title: title, Data: c})
}

// goesWith says what goes from devices with a profile of this type; types without words of their own share a sentence.
func (q *Request) goesWith(what string, t fleet.ProfileType) string {
	key := "profile." + what + ".point."
	if own := key + string(t); q.Words.Has(own) {
		return q.T(own)
	}
	return q.T(key + "other")
}

func (u *UI) unassignProfile(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	id := fleet.ProfileID(q.PathValue("id"))
	if err := u.fleet.Assign(q.Context(), q.Actor, id, nil, false); err != nil {
		if q.Refused(&form, err) {
			return u.askProfile(q, http.StatusConflict, "unassign", form)
		}
		return err
	}
	q.Flash(Good, "profile.unassigned")
	return q.Redirect("/profiles/" + string(id))
}

func (u *UI) deleteProfile(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	x, err := u.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(q.PathValue("id")))
	if err != nil {
		return err
	}
	if err := u.fleet.DeleteProfile(q.Context(), q.Actor, x.ID); err != nil {
		if q.Refused(&form, err) {
			return u.askProfile(q, http.StatusConflict, "delete", form)
		}
		return err
	}
	q.Flash(Good, "profile.deleted", "name", x.Name)
	return q.Redirect("/profiles")
}

var markup = regexp.MustCompile(`<[^>]*>`)

// htmlText is the text of a value that may be HTML of ours.
func htmlText(x any) string {
	if h, ok := x.(template.HTML); ok {
		return html.UnescapeString(markup.ReplaceAllString(string(h), ""))
	}
	return fmt.Sprint(x)
}
