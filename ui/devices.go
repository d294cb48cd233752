package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// devicesDomain is what the list of devices asks of the domain.
type devicesDomain interface {
	Devices(ctx context.Context, a fleet.Actor, fl fleet.DeviceFilter, q fleet.ListQuery) (fleet.List[*fleet.Device], error)
	Standing(ctx context.Context, a fleet.Actor, id fleet.DeviceID) (*fleet.Standing, error)
	Person(ctx context.Context, a fleet.Actor, id fleet.PersonID) (*fleet.Person, error)
	People(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Person], error)
	Groups(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Group], error)
	Profile(ctx context.Context, a fleet.Actor, id fleet.ProfileID) (*fleet.Profile, error)
}

// devicesPage is the list of devices.
type devicesPage struct {
	Head    Head
	Form    Form
	Selects []Field // always shown
	More    []Field // behind "more filters"
	Open    bool    // some of those are in use
	Hidden  []hiddenField
	Chips   []chip
	People  []Button // whose name the search fits
	Clear   string   // address without any filter; "" when none is in use
	Rows    []listedDevice
	Columns []column
	Pager   Pager
	Empty   *Empty
}

type hiddenField struct{ Name, Value string }

// chip is a filter in use, with the address of the list without it.
type chip struct{ Word, Href string }

// column is a head of the table; Href sorts by it.
type column struct {
	Word, Href string
	Sorted     string // "ascending", "descending" or ""
}

type listedDevice struct {
	ID                  fleet.DeviceID
	Name, Icon          string
	Person, PersonHref  string
	Model, System, Side string
	Status              Status
	Waits               string // why it is not well
	Seen                time.Time
}

// listQuery is the query of a list's address, for making addresses that differ
// in one thing.
type listQuery struct {
	path   string
	values url.Values
}

// with returns the address with a value changed ("" = left out) and, since that
// is another list, without its cursor.
func (l listQuery) with(pairs ...string) string {
	v := url.Values{}
	for k, old := range l.values {
		if k != "cursor" && len(old) > 0 && old[0] != "" {
			v.Set(k, old[0])
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v.Del(pairs[i]); pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return l.path
	}
	return l.path + "?" + v.Encode()
}

// devicesLimit is how many devices a page of the list shows.
const devicesLimit = 50

func (u *UI) devicesRoutes() { u.admin("GET /devices", u.devices) }

func (u *UI) devices(q *Request) error {
	values := q.URL.Query()
	l := listQuery{"/devices", values}
	days, err := strconv.Atoi(values.Get("silent"))
	if err != nil || days < 0 || days > 3650 {
		days = 0
	}
	filter := fleet.DeviceFilter{
		Platform: fleet.Platform(values.Get("platform")), Ownership: fleet.Ownership(values.Get("ownership")), State: fleet.State(values.Get("state")),
		Person: fleet.PersonID(values.Get("person")), Group: fleet.GroupID(values.Get("group")), Profile: fleet.ProfileID(values.Get("profile")),
		Status: fleet.ProfileStatusCode(values.Get("status")), SilentFor: time.Duration(days) * 24 * time.Hour, Hidden: values.Get("deleted") != "",
	}
	sort := values.Get("sort")
	if sort == "name" || sort == "last-seen" {
		filter.Sort = sort
	}
	query := fleet.ListQuery{Search: values.Get("q"), Cursor: values.Get("cursor"), Limit: devicesLimit, Reverse: values.Get("turn") != ""}
	list, err := u.fleet.Devices(q.Context(), q.Actor, filter, query)
	if err != nil {
		return err
	}
	page := devicesPage{Form: Form{Values: values}, Head: Head{Title: q.T("nav.devices")}}
	if q.Actor.May(fleet.InviteWrite) {
		page.Head.Actions = []Button{{Href: "/invitations/new", Word: q.T("overview.invite"), Icon: "plus", Style: "primary"}}
	}
	if err := q.deviceFilters(&page, l); err != nil {
		return err
	}
	if page.Rows, err = q.deviceRows(list.Items); err != nil {
		return err
	}
	page.Columns = []column{
		l.column(q.T("devices.name"), "name", false), {Word: q.T("devices.person")}, {Word: q.T("devices.model")}, {Word: q.T("devices.state")},
		l.column(q.T("devices.seen"), "last-seen", true),
	}
	page.Pager = q.devicesPager(l, list.Next, len(list.Items), list.Total)
	if len(list.Items) == 0 {
		page.Empty = q.devicesEmpty(l, list.Next)
	}
	return q.PageStatus(http.StatusOK, "app/devices", Page{Title: page.Head.Title, Live: true, Data: page})
}

// column makes the head of a column that sorts. The first press sorts by it, the
// next turns it round.
func (l listQuery) column(word, sort string, newestFirst bool) column {
	c := column{Word: word, Href: l.with("sort", sort, "turn", "")}
	if l.values.Get("sort") != sort {
		return c
	}
	turned := l.values.Get("turn") != ""
	if !turned {
		c.Href = l.with("sort", sort, "turn", "1")
	}
	c.Sorted = "ascending"
	if turned != newestFirst {
		c.Sorted = "descending"
	}
	return c
}

// deviceFilters puts the choices of the filter on the page.
func (q *Request) deviceFilters(page *devicesPage, l listQuery) error {
	choose := func(name, label, all string, options ...Option) Field {
		return Field{Form: page.Form, Name: name, Label: q.T(label), Type: "select", Options: append([]Option{{Word: q.T(all)}}, options...)}
	}
	var platforms, states, statuses, silences, groups []Option
	for _, p := range []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS, fleet.Windows} {
		platforms = append(platforms, Option{Value: string(p), Word: q.word("platform", string(p))})
	}
	for _, s := range deviceStates() {
		states = append(states, Option{Value: string(s), Word: q.word("state", string(s))})
	}
	for _, s := range deliveryStatuses() {
		statuses = append(statuses, Option{Value: string(s), Word: q.word("status", string(s))})
	}
	for _, n := range []int{1, 7, 14, 30, 90} {
		silences = append(silences, Option{Value: strconv.Itoa(n), Word: q.Words.N("devices.silent", n, nil)})
	}
	ownerships := []Option{{Value: "corporate", Word: q.word("ownership", "corporate")}, {Value: "personal", Word: q.word("ownership", "personal")}}
	page.Selects = []Field{
		choose("platform", "devices.platform", "devices.platform.all", platforms...),
		choose("state", "devices.state", "devices.state.all", states...),
		choose("status", "devices.profile-status", "devices.profile-status.all", statuses...),
	}
	page.More = []Field{
		choose("ownership", "devices.ownership", "devices.ownership.all", ownerships...),
		choose("silent", "devices.silence", "devices.silence.all", silences...),
	}
	if q.Actor.May(fleet.PeopleRead) {
		list, err := q.ui.fleet.Groups(q.Context(), q.Actor, fleet.ListQuery{Limit: 200})
		if err != nil {
			return err
		}
		for _, g := range list.Items {
			groups = append(groups, Option{Value: string(g.ID), Word: g.Name})
		}
		if len(groups) > 0 {
			page.More = append(page.More, choose("group", "devices.group", "devices.group.all", groups...))
		}
	}
	page.More = append(page.More, choose("deleted", "devices.deleted", "devices.deleted.no", Option{Value: "1", Word: q.T("devices.deleted.yes")}))
	for _, f := range page.More {
		page.Open = page.Open || l.values.Get(f.Name) != ""
	}
	for _, name := range []string{"sort", "turn", "person", "profile"} {
		if v := l.values.Get(name); v != "" {
			page.Hidden = append(page.Hidden, hiddenField{name, v})
		}
	}
	for name := range l.values {
		if name != "sort" && name != "turn" && name != "cursor" && l.values.Get(name) != "" {
			page.Clear = listQuery{"/devices", url.Values{"sort": l.values["sort"], "turn": l.values["turn"]}}.with()
		}
	}
	return q.deviceChips(page, l)
}

// deviceChips names the person and the profile that the list is narrowed to, and
// offers the devices of people whose name the search fits.
func (q *Request) deviceChips(page *devicesPage, l listQuery) error {
	if id := l.values.Get("person"); id != "" {
		name, err := q.personName(fleet.PersonID(id))
		if err != nil {
			return err
		}
		page.Chips = append(page.Chips, chip{q.T("devices.of", "name", name), l.with("person", "")})
	}
	if id := l.values.Get("profile"); id != "" {
		name := id
		p, err := q.ui.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(id))
		switch {
		case err == nil:
			name = p.Name
		case !errors.Is(err, fleet.ErrNotFound) && !errors.Is(err, fleet.ErrForbidden):
			return err
		}
		page.Chips = append(page.Chips, chip{q.T("devices.with-profile", "name", name), l.with("profile", "")})
	}
	search := strings.TrimSpace(l.values.Get("q"))
	if search == "" || !q.Actor.May(fleet.PeopleRead) {
		return nil
	}
	list, err := q.ui.fleet.People(q.Context(), q.Actor, fleet.ListQuery{Search: search, Limit: 3})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		page.People = append(page.People, Button{Word: q.T("devices.of", "name", p.Name), Href: l.with("person", string(p.ID), "q", "")})
	}
	return nil
}

// personName is a person's name as far as the actor may see it; "" otherwise.
func (q *Request) personName(id fleet.PersonID) (string, error) {
	if id == "" || !q.Actor.May(fleet.PeopleRead) {
		return "", nil
	}
	p, err := q.ui.fleet.Person(q.Context(), q.Actor, id)
	if errors.Is(err, fleet.ErrNotFound) || errors.Is(err, fleet.ErrForbidden) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return p.Name, nil
}

func (q *Request) deviceRows(list []*fleet.Device) ([]listedDevice, error) {
	names := map[fleet.PersonID]string{}
	var out []listedDevice
	for _, d := range list {
		name, known := names[d.Person]
		if !known {
			var err error
			if name, err = q.personName(d.Person); err != nil {
				return nil, err
			}
			names[d.Person] = name
		}
		r := listedDevice{ID: d.ID, Name: d.Name, Icon: platformIcon(d.Platform), Person: name, Model: d.Model, System: systemWord(d.Platform, d.OSVersion), Side: q.word("ownership", string(d.Ownership)), Seen: d.LastSeen}
		if r.Model == "" {
			r.Model = q.word("platform", string(d.Platform))
		}
		var err error
		if r.Status, r.Waits, err = q.deviceStatus(d); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// deviceStatus is a device's state in a word and, when not all is well, in a
// sentence that says what it waits for.
func (q *Request) deviceStatus(d *fleet.Device) (Status, string, error) {
	status := q.deviceStateStatus(d.State)
	if d.Hidden {
		status.Word = q.T("devices.deleted.word", "state", status.Word)
	}
	if d.Stolen {
		status.Kind, status.Icon = Bad, "ban"
		status.Word = q.T("devices.stolen.word", "state", status.Word)
	}
	s, err := q.ui.fleet.Standing(q.Context(), q.Actor, d.ID)
	if errors.Is(err, fleet.ErrNotFound) { // gone since the list was read
		return status, "", nil
	}
	if err != nil {
		return status, "", err
	}
	if s.Well || d.State != fleet.Managed {
		if d.State == fleet.Managed && !d.Stolen {
			status.Word = q.T("devices.well")
		}
		return status, "", nil
	}
	v := q.standingView(d, s, nil)
	status.Kind, status.Icon, status.Word = v.Kind, v.Icon, v.Title
	if d.Stolen {
		status.Kind, status.Icon = Bad, "ban"
	}
	return status, v.Text, nil
}

func (q *Request) devicesPager(l listQuery, next string, shown, total int) Pager {
	p := Pager{Text: q.Words.N("devices.shown", shown, nil)}
	if total >= 0 && total != shown {
		p.Text = q.Words.N("devices.shown-of", total, map[string]any{"shown": shown})
	}
	if l.values.Get("cursor") != "" {
		p.First = l.with()
	}
	if next != "" {
		v := url.Values{}
		for k, old := range l.values {
			v[k] = old
		}
		v.Set("cursor", next)
		p.Next = l.path + "?" + v.Encode()
	}
	return p
}

func (q *Request) devicesEmpty(l listQuery, next string) *Empty {
	filtered := l.with("sort", "", "turn", "") != l.path
	e := &Empty{Icon: "devices", Title: q.T("devices.none"), Text: q.T("devices.none.text")}
	switch {
	case next != "":
		e.Icon, e.Title, e.Text = "search", q.T("devices.none.here"), q.T("devices.none.here.text")
	case filtered:
		e.Icon, e.Title, e.Text = "search", q.T("devices.none.fit"), q.T("devices.none.fit.text")
		e.Actions = []Button{{Href: l.path, Word: q.T("devices.clear")}}
	case q.Actor.May(fleet.InviteWrite):
		e.Actions = []Button{{Href: "/invitations/new", Word: q.T("overview.invite"), Icon: "plus", Style: "primary"}}
	}
	return e
}
