package ui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// editPage changes what administrators decide about a device: its name, person,
// tags, and whether it counts as stolen.
type editPage struct {
	Head     Head
	Device   *fleet.Device
	Form     Form
	People   []*fleet.Person // offered while typing
	Personal bool            // its person cannot change
	Person   string          // name of the present one
	Seen     bool            // the role may see people
}

func (u *UI) deviceEdit(q *Request) error {
	d, err := u.fleet.Device(q.Context(), q.Actor, fleet.DeviceID(q.PathValue("id")))
	if err != nil {
		return err
	}
	if !q.Actor.May(fleet.DevicesEdit) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.DevicesEdit))
	}
	var tags []string
	for _, t := range d.Tags {
		tags = append(tags, string(t))
	}
	values := url.Values{"name": {d.Name}, "tags": {strings.Join(tags, ", ")}, "version": {strconv.Itoa(d.Version)}}
	if d.Stolen {
		values.Set("stolen", "on")
	}
	if d.Person != "" && q.Actor.May(fleet.PeopleRead) {
		if p, err := u.fleet.Person(q.Context(), q.Actor, d.Person); err == nil {
			values.Set("person", personHandle(p))
		}
	}
	return q.showEdit(http.StatusOK, d, Form{Values: values})
}

// personHandle is what a person is told by in a form: the address, else the
// sign-in name.
func personHandle(p *fleet.Person) string {
	if p.Mail != "" {
		return p.Mail
	}
	return p.UPN
}

// offeredPeople is how many people a form offers while one types.
const offeredPeople = 500

func (q *Request) showEdit(status int, d *fleet.Device, form Form) error {
	back := "/devices/" + string(d.ID)
	page := editPage{Head: Head{Title: q.T("device.edit.title", "name", d.Name), Back: back, BackWord: d.Name}, Device: d, Form: form, Personal: d.Ownership == fleet.Personal, Seen: q.Actor.May(fleet.PeopleRead)}
	var err error
	if page.Person, err = q.personName(d.Person); err != nil {
		return err
	}
	if page.Seen && !page.Personal {
		list, err := q.ui.fleet.People(q.Context(), q.Actor, fleet.ListQuery{Limit: offeredPeople})
		if err != nil {
			return err
		}
		page.People = list.Items
	}
	return q.PageStatus(status, "app/device-edit", Page{Title: page.Head.Title, Data: page})
}

func (u *UI) deviceSave(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	d, err := u.fleet.Device(q.Context(), q.Actor, fleet.DeviceID(q.PathValue("id")))
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(form.Value("version"))
	if err != nil {
		return errBadForm
	}
	stolen := form.Value("stolen") != ""
	in := fleet.DeviceInput{Version: version}
	if name := strings.TrimSpace(form.Value("name")); name != d.Name {
		in.Name = &name
	}
	if stolen != d.Stolen {
		in.Stolen = &stolen
	}
	tags := readTags(form.Value("tags"))
	in.Tags = &tags
	if _, given := form.Values["person"]; given && d.Ownership != fleet.Personal {
		id, err := q.findPerson(&form, strings.TrimSpace(form.Value("person")))
		if err != nil {
			return err
		}
		if form.Error("person") != "" {
			return q.showEdit(http.StatusUnprocessableEntity, d, form)
		}
		in.Person = &id
	}
	if _, err := u.fleet.UpdateDevice(q.Context(), q.Actor, d.ID, in); err != nil {
		if q.Refused(&form, err) {
			return q.showEdit(http.StatusUnprocessableEntity, d, form)
		}
		return err
	}
	q.Flash(Good, "device.saved")
	return q.Redirect("/devices/" + string(d.ID))
}

// readTags splits a line of tags at commas.
func readTags(line string) []fleet.Tag {
	out := []fleet.Tag{}
	for _, t := range strings.Split(line, ",") {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, fleet.Tag(t))
		}
	}
	return out
}

// findPerson finds the one person whose address, sign-in name or full name was
// typed; "" is nobody. When there is not exactly one it says so at the field.
func (q *Request) findPerson(form *Form, typed string) (fleet.PersonID, error) {
	if typed == "" {
		return "", nil
	}
	list, err := q.ui.fleet.People(q.Context(), q.Actor, fleet.ListQuery{Search: typed, Limit: 100})
	if err != nil {
		return "", err
	}
	var named []fleet.PersonID
	for _, p := range list.Items {
		if strings.EqualFold(p.Mail, typed) || strings.EqualFold(p.UPN, typed) {
			return p.ID, nil
		}
		if strings.EqualFold(p.Name, typed) {
			named = append(named, p.ID)
		}
	}
	switch len(named) {
	case 1:
		return named[0], nil
	case 0:
		form.Errors["person"] = q.T("device.edit.person.nobody", "typed", typed)
	default:
		form.Errors["person"] = q.T("device.edit.person.several", "typed", typed)
	}
	return "", nil
}
