package ui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// peopleDomain is what the pages about people ask.
type peopleDomain interface {
	People(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Person], error)
	Person(ctx context.Context, a fleet.Actor, id fleet.PersonID) (*fleet.Person, error)
	CreatePerson(ctx context.Context, a fleet.Actor, in fleet.PersonInput) (*fleet.Person, error)
	UpdatePerson(ctx context.Context, a fleet.Actor, id fleet.PersonID, in fleet.PersonInput) (*fleet.Person, error)
	DeletePerson(ctx context.Context, a fleet.Actor, id fleet.PersonID) error
	PersonGroups(ctx context.Context, a fleet.Actor, id fleet.PersonID) ([]*fleet.Group, error)
	Groups(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Group], error)
	Devices(ctx context.Context, a fleet.Actor, fl fleet.DeviceFilter, q fleet.ListQuery) (fleet.List[*fleet.Device], error)
	ActionChoices(ctx context.Context, a fleet.Actor, id fleet.DeviceID) ([]fleet.ActionChoice, error)
	Act(ctx context.Context, a fleet.Actor, id fleet.DeviceID, t fleet.ActionType, o fleet.ActionOptions, confirm string) (*fleet.Action, error)
	Invitations(ctx context.Context, a fleet.Actor, person fleet.PersonID, q fleet.ListQuery) (fleet.List[*fleet.Invitation], error)
	Acceptances(ctx context.Context, a fleet.Actor, person fleet.PersonID, q fleet.ListQuery) (fleet.List[*fleet.Acceptance], error)
}

func (u *UI) peopleRoutes() {
	u.admin("GET /people", u.people)
	u.admin("GET /people/new", u.newPerson)
	u.admin("POST /people/new", u.createPerson)
	u.admin("GET /people/{id}", u.person)
	u.admin("GET /people/{id}/edit", u.editPerson)
	u.admin("POST /people/{id}/edit", u.savePerson)
	u.admin("GET /people/{id}/delete", u.askDeletePerson)
	u.admin("POST /people/{id}/delete", u.deletePerson)
}

// peoplePage is the list.
type peoplePage struct {
	Head   Head
	Search string
	Rows   []*fleet.Person
	Pager  *Pager
	Empty  *Empty
}

func (u *UI) people(q *Request) error {
	ask := q.asked()
	list, err := u.fleet.People(q.Context(), q.Actor, ask)
	if err != nil {
		return err
	}
	p := peoplePage{Head: Head{Title: q.T("people.title"), Sub: q.T("people.sub")}, Search: ask.Search, Rows: list.Items}
	may := q.Actor.May(fleet.PeopleEdit)
	if may {
		p.Head.Actions = []Button{{Href: "/people/new", Word: q.T("people.new"), Icon: "plus", Style: "primary"}}
	}
	switch {
	case len(list.Items) > 0 || ask.Cursor != "":
		p.Pager = q.pages(list.Next, found(q, "people.found", list.Total))
	case ask.Search != "":
		p.Empty = &Empty{Icon: "search", Title: q.T("people.none-found", "text", ask.Search), Text: q.T("people.none-found.text"), Actions: []Button{{Href: "/people", Word: q.T("people.all")}}}
	default:
		p.Empty = &Empty{Icon: "people", Title: q.T("people.empty"), Text: q.T("people.empty.text")}
		if may {
			p.Empty.Actions = []Button{{Href: "/people/new", Word: q.T("people.new"), Icon: "plus", Style: "primary"}}
		}
	}
	return q.Page("app/people", Page{Title: q.T("people.title"), Live: true, Data: p})
}

// found says how many there are, where that is known.
func found(q *Request, key string, total int) string {
	if total < 0 {
		return ""
	}
	return q.Words.N(key, total, nil)
}

// personForm is the form for a new person and for a change.
type personForm struct {
	Head      Head
	Form      Form
	Action    string
	Back      string
	Word      string
	Languages []Option
	Groups    []Option
	Tags      bool // the scope tags are worth showing
	Edit      bool
	Devices   int // that get anew what is filled in from the person
}

func (u *UI) newPerson(q *Request) error {
	if !q.Actor.May(fleet.PeopleEdit) {
		return fleet.ErrForbidden
	}
	return q.showPersonForm(http.StatusOK, nil, Form{})
}

func (q *Request) showPersonForm(status int, p *fleet.Person, form Form) error {
	f := personForm{Form: form, Action: "/people/new", Back: "/people", Word: q.T("person.create"), Languages: languageOptions(q, true)}
	f.Head = Head{Title: q.T("person.new"), Sub: q.T("person.new.sub"), Back: "/people", BackWord: q.T("people.title")}
	if p != nil {
		link := "/people/" + string(p.ID)
		f.Edit, f.Action, f.Back, f.Word = true, link+"/edit", link, q.T("ui.save")
		f.Head = Head{Title: q.T("person.edit", "name", p.Name), Back: link, BackWord: p.Name}
	}
	f.Tags = q.Actor.AllTags || len(q.Actor.Tags) > 0
	groups, err := q.ui.fleet.Groups(q.Context(), q.Actor, fleet.ListQuery{Limit: 500})
	if err = unlessForbidden(err); err != nil {
		return err
	}
	for _, g := range groups.Items {
		if g.Kind == fleet.PeopleGroup && g.Rule == nil {
			f.Groups = append(f.Groups, Option{Value: string(g.ID), Word: g.Name, Hint: g.Description})
		}
	}
	return q.PageStatus(status, "app/person-form", Page{Title: f.Head.Title, Data: f})
}

// languageOptions are the languages; with none, "not said" comes first.
func languageOptions(q *Request, none bool) []Option {
	var out []Option
	if none {
		out = append(out, Option{Value: "", Word: q.T("person.language.none")})
	}
	for _, l := range words.Langs() {
		out = append(out, Option{Value: string(l), Word: q.T("lang." + string(l))})
	}
	return out
}

// personInput reads the form.
func personInput(form Form) fleet.PersonInput {
	text := func(name string) *string { s := strings.TrimSpace(form.Value(name)); return &s }
	in := fleet.PersonInput{Name: text("name"), Mail: text("mail"), UPN: text("upn"), Language: text("language")}
	if form.Values.Has("tags") {
		tags := tagsOf(form.Value("tags"))
		in.Tags = &tags
	}
	if form.Value("groups-shown") != "" {
		groups := []fleet.GroupID{}
		for _, id := range form.Values["groups"] {
			groups = append(groups, fleet.GroupID(id))
		}
		in.Groups = &groups
	}
	in.Version, _ = strconv.Atoi(form.Value("version"))
	return in
}

func (u *UI) createPerson(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	in := personInput(form)
	if in.Tags != nil && len(*in.Tags) == 0 {
		in.Tags = nil
	}
	p, err := u.fleet.CreatePerson(q.Context(), q.Actor, in)
	if err != nil {
		if q.Refused(&form, err) {
			return q.showPersonForm(http.StatusUnprocessableEntity, nil, form)
		}
		return err
	}
	q.Flash(Good, "person.created", "name", p.Name)
	return q.Redirect("/people/" + string(p.ID))
}

// personID of the address.
func personID(q *Request) fleet.PersonID { return fleet.PersonID(q.PathValue("id")) }

func (u *UI) editPerson(q *Request) error {
	p, err := u.fleet.Person(q.Context(), q.Actor, personID(q))
	if err != nil {
		return err
	}
	if !q.Actor.May(fleet.PeopleEdit) {
		return fleet.ErrForbidden
	}
	groups, err := u.fleet.PersonGroups(q.Context(), q.Actor, p.ID)
	if err != nil {
		return err
	}
	form := filled("name", p.Name, "mail", p.Mail, "upn", p.UPN, "language", p.Language, "tags", tagText(p.Tags), "version", strconv.Itoa(p.Version))
	for _, g := range groups {
		if g.Rule == nil {
			form.Values.Add("groups", string(g.ID))
		}
	}
	return q.showPersonForm(http.StatusOK, p, form)
}

func (u *UI) savePerson(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	p, err := u.fleet.UpdatePerson(q.Context(), q.Actor, personID(q), personInput(form))
	if err != nil {
		if q.Refused(&form, err) {
			old, gone := u.fleet.Person(q.Context(), q.Actor, personID(q))
			if gone != nil {
				return gone
			}
			return q.showPersonForm(http.StatusUnprocessableEntity, old, form)
		}
		return err
	}
	q.Flash(Good, "person.saved", "name", p.Name)
	return q.Redirect("/people/" + string(p.ID))
}

// personPage is everything about one person.
type personPage struct {
	Head        Head
	Person      *fleet.Person
	Facts       []FactLine
	Devices     []heldDevice
	MayDevices  bool
	Groups      []*fleet.Group
	Invitations []invitationRow
	MayInvite   bool
	Invite      string // link to the form
	Acceptances []*fleet.Acceptance
	MayEdit     bool
}

// heldDevice is a device as other pages list it.
type heldDevice struct {
	Link, Icon, Name, Sub string
	Status                Status
	Device                *fleet.Device
}

func (q *Request) heldDevice(d *fleet.Device) heldDevice {
	name := d.Name
	if name == "" {
		name = q.saysPlatform(d.Platform)
	}
	sub := d.Model
	if sub == "" {
		sub = q.saysPlatform(d.Platform)
	}
	return heldDevice{Link: "/devices/" + string(d.ID), Icon: platformIcon(d.Platform), Name: name, Sub: sub, Status: q.deviceStateStatus(d.State), Device: d}
}

func (u *UI) person(q *Request) error {
	person, err := u.fleet.Person(q.Context(), q.Actor, personID(q))
	if err != nil {
		return err
	}
	link := "/people/" + string(person.ID)
	p := personPage{Person: person, MayEdit: q.Actor.May(fleet.PeopleEdit), MayInvite: q.Actor.May(fleet.InviteWrite), MayDevices: q.Actor.May(fleet.DevicesRead),
		Invite: "/invitations/new?person=" + string(person.ID)}
	p.Head = Head{Title: person.Name, Sub: person.Mail, Back: "/people", BackWord: q.T("people.title")}
	if p.MayEdit {
		p.Head.Actions = append(p.Head.Actions, Button{Href: link + "/delete", Word: q.T("person.delete.button"), Icon: "trash", Style: "danger"},
			Button{Href: link + "/edit", Word: q.T("person.edit.button"), Icon: "edit"})
	}
	if p.MayInvite {
		p.Head.Actions = append(p.Head.Actions, Button{Href: p.Invite, Word: q.T("person.invite"), Icon: "invite", Style: "primary"})
	}
	language := q.T("person.language.none")
	if person.Language != "" {
		language = q.T("lang." + person.Language)
	}
	p.Facts = []FactLine{{Name: q.T("person.mail"), Value: orDash(person.Mail)}, {Name: q.T("person.upn"), Value: orDash(person.UPN), Hint: q.T("person.upn.short")}}
	if strings.EqualFold(person.Mail, person.UPN) {
		p.Facts = []FactLine{{Name: q.T("person.both"), Value: person.Mail}}
	}
	p.Facts = append(p.Facts, FactLine{Name: q.T("person.language"), Value: language})
	if len(person.Tags) > 0 {
		p.Facts = append(p.Facts, FactLine{Name: q.T("ui.tags"), Value: tagText(person.Tags)})
	}
	if p.MayDevices {
		list, err := u.fleet.Devices(q.Context(), q.Actor, fleet.DeviceFilter{Person: person.ID}, fleet.ListQuery{Limit: 100})
		if err != nil {
			return err
		}
		for _, d := range list.Items {
			p.Devices = append(p.Devices, q.heldDevice(d))
		}
	}
	if p.Groups, err = u.fleet.PersonGroups(q.Context(), q.Actor, person.ID); err != nil {
		return err
	}
	invitations, err := u.fleet.Invitations(q.Context(), q.Actor, person.ID, fleet.ListQuery{Limit: 20})
	if err = unlessForbidden(err); err != nil {
		return err
	}
	if p.Invitations, err = q.invitationRows(invitations.Items); err != nil {
		return err
	}
	accepted, err := u.fleet.Acceptances(q.Context(), q.Actor, person.ID, fleet.ListQuery{Limit: 20})
	if err = unlessForbidden(err); err != nil {
		return err
	}
	p.Acceptances = accepted.Items
	return q.Page("app/person", Page{Title: person.Name, Live: true, Data: p})
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// leaving is what stands between a person and being deleted (C10).
type leaving struct {
	Head       Head
	Person     *fleet.Person
	Form       Form
	Held       []leavingDevice
	Retire     int // devices that can be retired
	Wipe       int // devices that can be wiped
	Underway   int // whose removal has begun
	Action     string
	Back       string
	RetireWord string
	WipeWord   string
}

type leavingDevice struct {
	heldDevice
	CanRetire, CanWipe bool
	NoRetire, NoWipe   string // why not
}

// leaving gathers the devices that keep a person from being deleted.
func (q *Request) leaving(p *fleet.Person, form Form) (*leaving, error) {
	link := "/people/" + string(p.ID)
	l := &leaving{Person: p, Form: form, Action: link + "/delete", Back: link,
		Head: Head{Title: q.T("person.delete.devices", "name", p.Name), Sub: q.T("person.delete.devices.sub"), Back: link, BackWord: p.Name}}
	list, err := q.ui.fleet.Devices(q.Context(), q.Actor, fleet.DeviceFilter{Person: p.ID, Hidden: true}, fleet.ListQuery{Limit: 200})
	if err = unlessForbidden(err); err != nil {
		return nil, err
	}
	for _, d := range list.Items {
		switch d.State {
		case fleet.Retired, fleet.Wiped, fleet.Left, fleet.Closed:
			continue
		}
		one := leavingDevice{heldDevice: q.heldDevice(d)}
		if d.State == fleet.Retiring || d.State == fleet.Wiping {
			l.Underway++
			l.Held = append(l.Held, one)
			continue
		}
		choices, err := q.ui.fleet.ActionChoices(q.Context(), q.Actor, d.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range choices {
			switch {
			case c.Type == fleet.ActRetire && c.Offered:
				one.CanRetire = true
				l.Retire++
			case c.Type == fleet.ActRetire:
				one.NoRetire = q.Say(c.Reason)
			case c.Type == fleet.ActWipe && c.Offered:
				one.CanWipe = true
				l.Wipe++
			case c.Type == fleet.ActWipe:
				one.NoWipe = q.Say(c.Reason)
			}
		}
		l.Held = append(l.Held, one)
	}
	l.RetireWord = q.Words.N("person.retire-all", l.Retire, words.Args{"name": p.Name})
	l.WipeWord = q.Words.N("person.wipe-all", l.Wipe, words.Args{"name": p.Name})
	return l, nil
}

func (u *UI) askDeletePerson(q *Request) error {
	if !q.Actor.May(fleet.PeopleEdit) {
		return fleet.ErrForbidden
	}
	p, err := u.fleet.Person(q.Context(), q.Actor, personID(q))
	if err != nil {
		return err
	}
	return q.showDeletePerson(http.StatusOK, p, Form{})
}

func (q *Request) showDeletePerson(status int, p *fleet.Person, form Form) error {
	l, err := q.leaving(p, form)
	if err != nil {
		return err
	}
	if len(l.Held) > 0 {
		return q.PageStatus(status, "app/person-leaving", Page{Title: l.Head.Title, Live: true, Data: l})
	}
	link := "/people/" + string(p.ID)
	return q.PageStatus(status, "app/confirm", Page{Title: q.T("person.delete", "name", p.Name), Data: Confirm{
		Title: q.T("person.delete", "name", p.Name), Points: []string{q.T("person.delete.point1"), q.T("person.delete.point2"), q.T("person.delete.point3")},
		Warning: q.T("person.delete.warning"), Action: link + "/delete", Word: q.T("person.delete", "name", p.Name), Danger: true, Back: link, Form: form}})
}

// deletePerson deletes, or orders one of the two removals for all devices first.
func (u *UI) deletePerson(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	p, err := u.fleet.Person(q.Context(), q.Actor, personID(q))
	if err != nil {
		return err
	}
	order := fleet.ActionType(form.Value("do"))
	if order == fleet.ActRetire || order == fleet.ActWipe {
		return u.removeDevicesOf(q, p, order, form)
	}
	if err := u.fleet.DeletePerson(q.Context(), q.Actor, p.ID); err != nil {
		if errors.Is(err, fleet.ErrConflict) && q.Refused(&form, err) {
			return q.showDeletePerson(http.StatusConflict, p, form)
		}
		return err
	}
	q.Flash(Good, "person.deleted", "name", p.Name)
	return q.Redirect("/people")
}

// removeDevicesOf orders a removal of every device for which it is offered. What was ordered before a refusal stays ordered, and the page says
// which device refused.
func (u *UI) removeDevicesOf(q *Request, p *fleet.Person, order fleet.ActionType, form Form) error {
	if !strings.EqualFold(strings.TrimSpace(form.Value("confirm-"+string(order))), p.Name) {
		form.Errors["confirm-"+string(order)] = q.T("confirm.wrong", "name", p.Name)
		return q.showDeletePerson(http.StatusUnprocessableEntity, p, form)
	}
	l, err := q.leaving(p, form)
	if err != nil {
		return err
	}
	n := 0
	for _, d := range l.Held {
		if order == fleet.ActRetire && !d.CanRetire || order == fleet.ActWipe && !d.CanWipe {
			continue
		}
		if _, err := u.fleet.Act(q.Context(), q.Actor, d.Device.ID, order, fleet.ActionOptions{}, d.Device.Name); err != nil {
			if q.Refused(&form, err) {
				return q.showDeletePerson(http.StatusConflict, p, form)
			}
			return err
		}
		n++
	}
	q.Flash(Warn, "person.removal-ordered", "count", strconv.Itoa(n), "name", p.Name)
	return q.Redirect("/people/" + string(p.ID) + "/delete")
}

// allGroups returns all groups that the actor sees, for choosing.
func (q *Request) allGroups() ([]*fleet.Group, error) {
	var out []*fleet.Group
	ask := fleet.ListQuery{Limit: 500}
	for {
		list, err := q.ui.fleet.Groups(q.Context(), q.Actor, ask)
		if err != nil {
			return nil, err
		}
		out = append(out, list.Items...)
		if list.Next == "" || len(out) >= 2000 {
			return slices.Clip(out), nil
		}
		ask.Cursor = list.Next
	}
}
