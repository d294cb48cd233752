package ui

import (
	"context"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// overviewDomain is what the first page asks of the domain.
type overviewDomain interface {
	Overview(ctx context.Context, a fleet.Actor) (*fleet.Counts, error)
	Certificates(ctx context.Context, a fleet.Actor, fl fleet.CertificateFilter, q fleet.ListQuery) (fleet.List[fleet.CertificateView], error)
	Profiles(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Profile], error)
}

func (u *UI) overviewRoutes() { u.admin("GET /{$}", u.overview) }

// overviewPage is the first page: what needs someone, and how things stand.
type overviewPage struct {
	Head     Head
	Needs    []needView
	Title    string // of the needs
	Calm     string // said when nothing needs anyone
	Start    []startStep
	Figures  []figureView
	CheckIns *BarChart
	Platform SplitBar
	State    SplitBar
	Profiles *SplitBar
	Expiry   *BarChart
}

type needView struct {
	Kind             Kind
	Text, Link, Word string
}

// startStep is one of the first things to do with an empty appliance.
type startStep struct {
	N                int
	Word, Hint, Href string
	Done             bool
}

type figureView struct {
	N          int
	Word, Href string
}

func (u *UI) overview(q *Request) error {
	if next, err := q.recoveryIsNext(); err != nil {
		return err
	} else if next {
		return q.Redirect("/settings/backup/key")
	}
	counts, err := u.fleet.Overview(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	needs, err := u.fleet.Needs(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	page := overviewPage{Head: Head{Title: q.T("nav.overview")}}
	if q.Actor.May(fleet.InviteWrite) {
		page.Head.Actions = []Button{{Href: "/invitations/new", Word: q.T("overview.invite"), Icon: "plus", Style: "primary"}}
	}
	needs = slices.DeleteFunc(needs, func(n fleet.Need) bool { return n.Severity == fleet.SeverityHint }) // the health page has those
	for _, n := range needs {
		page.Needs = append(page.Needs, q.needView(n))
	}
	page.Title = q.Words.N("overview.needs", len(needs), nil)
	if counts.Devices == 0 && len(counts.ByState) == 0 {
		if page.Start, err = q.startSteps(counts, needs); err != nil {
			return err
		}
	}
	page.Calm = q.T("overview.calm")
	page.Figures = q.figures(counts)
	page.CheckIns = q.checkInChart(counts)
	page.Platform, page.State, page.Profiles = q.platformChart(counts), q.stateChart(counts), q.statusChart(counts)
	if page.Expiry, err = q.expiryChart(); err != nil {
		return err
	}
	return q.Page("app/overview", Page{Title: page.Head.Title, Live: true, Data: page})
}

// needView gives a need its colour and a button that says what it does.
func (q *Request) needView(n fleet.Need) needView {
	v := needView{Text: q.Say(n.Reason), Link: n.Link, Kind: needKind(n.Severity), Word: q.T("ui.mend")}
	if status, ok := strings.CutPrefix(n.Reason.Code, "need.profiles-"); ok && q.Actor.May(fleet.DevicesRead) {
		v.Link = "/devices?status=" + status // on which devices, and why, is what one wants to know
	}
	if key := "overview.do." + n.Reason.Code; q.Words.Has(key) {
		v.Word = q.T(key)
	}
	return v
}

// startSteps leads from an empty appliance to its first device.
func (q *Request) startSteps(counts *fleet.Counts, needs []fleet.Need) ([]startStep, error) {
	pushed := true
	for _, n := range needs {
		pushed = pushed && n.Reason.Code != "need.push-missing"
	}
	var out []startStep
	add := func(may fleet.Permission, key, href string, done bool) {
		if q.Actor.May(may) {
			out = append(out, startStep{N: len(out) + 1, Word: q.T("overview.start." + key), Hint: q.T("overview.start." + key + ".hint"), Href: href, Done: done})
		}
	}
	add(fleet.SettingsEdit, "apple", "/settings/apple", pushed)
	add(fleet.PeopleEdit, "people", "/people", counts.People > 0)
	if q.Actor.May(fleet.ProfilesRead) {
		profiles, err := q.ui.fleet.Profiles(q.Context(), q.Actor, fleet.ListQuery{Limit: 1})
		if err != nil {
			return nil, err
		}
		add(fleet.ProfilesEdit, "profiles", "/profiles", len(profiles.Items) > 0)
	}
	add(fleet.InviteWrite, "invite", "/invitations/new", false)
	return out, nil
}

// figures are the numbers in the second row; each leads to the list behind it.
func (q *Request) figures(c *fleet.Counts) []figureView {
	out := []figureView{{c.Devices, q.Words.N("overview.figure.devices", c.Devices, nil), "/devices"}}
	if q.Actor.May(fleet.PeopleRead) && q.Actor.AllTags {
		out = append(out, figureView{c.People, q.Words.N("overview.figure.people", c.People, nil), "/people"})
	}
	if q.Actor.May(fleet.ProfilesRead) {
		open := c.Statuses[fleet.StatusPending] + c.Statuses[fleet.StatusRemoving]
		out = append(out, figureView{open, q.Words.N("overview.figure.pending", open, nil), "/devices?status=pending"})
	}
	if q.Actor.May(fleet.CertsRead) && q.Actor.AllTags {
		out = append(out, figureView{c.Expiring, q.Words.N("overview.figure.expiring", c.Expiring, nil), "/certificates"})
	}
	return out
}

// expiryFresh is how long the chart of certificates serves: it walks the list.
const expiryFresh = 5 * time.Minute
