package ui

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// invitationsDomain is what the pages about invitations ask.
type invitationsDomain interface {
	Invitations(ctx context.Context, a fleet.Actor, person fleet.PersonID, q fleet.ListQuery) (fleet.List[*fleet.Invitation], error)
	Invitation(ctx context.Context, a fleet.Actor, id fleet.InvitationID) (*fleet.Invitation, error)
	Invite(ctx context.Context, a fleet.Actor, in fleet.InvitationInput) (*fleet.Invitation, string, error)
	RevokeInvitation(ctx context.Context, a fleet.Actor, id fleet.InvitationID) error
	People(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Person], error)
	Person(ctx context.Context, a fleet.Actor, id fleet.PersonID) (*fleet.Person, error)
}

func (u *UI) invitationRoutes() {
	u.admin("GET /invitations", u.invitations)
	u.admin("GET /invitations/new", u.newInvitation)
	u.admin("POST /invitations/new", u.invite)
	u.admin("GET /invitations/{id}/revoke", u.askRevoke)
	u.admin("POST /invitations/{id}/revoke", u.revoke)
}

// invitationRow is one invitation in a list.
type invitationRow struct {
	Item     *fleet.Invitation
	Person   string // name, or what stands for it
	Link     string // to the person
	Platform string
	Icon     string
	Status   Status
	Uses     string
	Open     bool
}

func (q *Request) invitationRows(list []*fleet.Invitation) ([]invitationRow, error) {
	var out []invitationRow
	names := map[fleet.PersonID]string{}
	for _, i := range list {
		row := invitationRow{Item: i, Platform: q.invitedTo(i.Platform, i.Mode), Icon: platformIcon(i.Platform), Uses: q.T("invitation.uses.of", "used", i.Used, "uses", i.Uses)}
		state := i.State(q.ui.now())
		row.Open = state == "open"
		row.Status = Status{Kind: map[fleet.InvitationState]Kind{"open": Busy, "used": Good}[state], Word: q.T("invitation.state." + string(state))}
		if row.Status.Kind == "" {
			row.Status.Kind = Mute
		}
		if i.Person == "" {
			row.Person = q.T("invitation.nobody")
		} else {
			name, known := names[i.Person]
			if !known {
				p, err := q.ui.fleet.Person(q.Context(), q.Actor, i.Person)
				switch {
				case err == nil:
					name = p.Name
				case errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrForbidden):
				default:
					return nil, err
				}
				names[i.Person] = name
			}
			row.Person, row.Link = name, "/people/"+string(i.Person)
			if name == "" {
				row.Person, row.Link = q.T("invitation.person-gone"), ""
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// invitedTo names the devices that an invitation is for: one for iPhone serves iPads as well.
func (q *Request) invitedTo(p fleet.Platform, m fleet.Mode) string {
	switch p {
	case fleet.Android:
		return q.T("invitation.platform.android." + string(m))
	case fleet.IOS:
		return q.T("invitation.platform.ios")
	case fleet.Windows:
		return q.T("word.platform.windows")
	}
	return q.saysPlatform(p)
}

type invitationsPage struct {
	Head  Head
	Rows  []invitationRow
	May   bool
	Pager *Pager
	Empty *Empty
}

func (u *UI) invitations(q *Request) error {
	ask := q.asked()
	list, err := u.fleet.Invitations(q.Context(), q.Actor, "", ask)
	if err != nil {
		return err
	}
	p := invitationsPage{Head: Head{Title: q.T("invitations.title"), Sub: q.T("invitations.sub")}, May: q.Actor.May(fleet.InviteWrite)}
	if p.Rows, err = q.invitationRows(list.Items); err != nil {
		return err
	}
	if p.May {
		p.Head.Actions = []Button{{Href: "/invitations/new", Word: q.T("invitations.new"), Icon: "invite", Style: "primary"}}
	}
	p.Pager = q.pages(list.Next, "")
	if len(p.Rows) == 0 && ask.Cursor == "" {
		p.Empty = &Empty{Icon: "invite", Title: q.T("invitations.empty"), Text: q.T("invitations.empty.text"), Actions: p.Head.Actions}
	}
	return q.Page("app/invitations", Page{Title: q.T("invitations.title"), Live: true, Data: p})
}

// invitationForm asks whom, what and for how long.
type invitationForm struct {
	Head      Head
	Form      Form
	People    []string // suggestions for the person's field
	Choose    []Option // more than one person has what was typed
	Platforms []Option
	Owners    []Option
	Lifetimes []Option
}

func (u *UI) newInvitation(q *Request) error {
	if !q.Actor.May(fleet.InviteWrite) {
		return fleet.ErrForbidden
	}
	form := filled("platform", string(fleet.IOS), "uses", "1", "days", "7")
	if ready, err := q.appleReady(); err != nil {
		return err
	} else if !ready {
		form.Values.Set("platform", string(fleet.Windows))
	}
	if id := q.FormValue("person"); id != "" {
		p, err := u.fleet.Person(q.Context(), q.Actor, fleet.PersonID(id))
		if err != nil {
			return err
		}
		form.Values.Set("person", addressOf(p))
		form.Values.Set("ownership", "")
	}
	return q.showInvitationForm(http.StatusOK, form, nil)
}

// appleReady says whether Apple's devices can be invited: without a valid push certificate none can be enrolled.
func (q *Request) appleReady() (bool, error) {
	push, err := q.ui.fleet.PushCertificate(q.Context())
	return push != nil && q.ui.now().Before(push.NotAfter), err
}

// addressOf is what stands for a person in a field: one reads it, and it finds them again.
func addressOf(p *fleet.Person) string {
	if p.Mail != "" {
		return p.Name + " <" + p.Mail + ">"
	}
	return p.Name + " <" + p.UPN + ">"
}

func (q *Request) showInvitationForm(status int, form Form, choose []*fleet.Person) error {
	f := invitationForm{Form: form, Head: Head{Title: q.T("invitations.new"), Sub: q.T("invitation.new.sub"), Back: "/invitations", BackWord: q.T("invitations.title")}}
	list, err := q.ui.fleet.People(q.Context(), q.Actor, fleet.ListQuery{Limit: 300})
	if err = unlessForbidden(err); err != nil {
		return err
	}
	for _, p := range list.Items {
		f.People = append(f.People, addressOf(p))
	}
	for _, p := range choose {
		f.Choose = append(f.Choose, Option{Value: addressOf(p), Word: p.Name, Hint: p.Mail})
	}
	apple, err := q.appleReady()
	if err != nil {
		return err
	}
	f.Platforms = []Option{{Value: string(fleet.IOS), Word: q.T("invitation.platform.ios"), Hint: q.T("invitation.platform.ios.hint")},
		{Value: string(fleet.MacOS), Word: q.saysPlatform(fleet.MacOS), Hint: q.T("invitation.platform.macos.hint")},
		{Value: string(fleet.Windows), Word: q.T("word.platform.windows"), Hint: q.T("invitation.platform.windows.hint")}}
	if !apple { // said here, and not to the person who opens the invitation in vain
		for i := range f.Platforms[:2] {
			f.Platforms[i].Disabled, f.Platforms[i].Hint = true, q.T("invitation.platform.apple.off")
		}
	}
	android, err := q.androidOptions()
	if err != nil {
		return err
	}
	f.Platforms = append(f.Platforms, android...)
	f.Owners = []Option{{Value: string(fleet.Personal), Word: q.T("owner.personal"), Hint: q.T("owner.personal.means")},
		{Value: string(fleet.Corporate), Word: q.T("owner.corporate"), Hint: q.T("owner.corporate.means")}}
	for _, d := range []int{1, 3, 7, 14, 30, 90} {
		f.Lifetimes = append(f.Lifetimes, Option{Value: strconv.Itoa(d), Word: q.Words.N("time.unit.days", d, nil)})
	}
	return q.PageStatus(status, "app/invitation-form", Page{Title: f.Head.Title, Data: f})
}

// personTyped finds whom the person's field means. Several may have what was typed: they are returned to choose from.
func (q *Request) personTyped(text string) (one *fleet.Person, several []*fleet.Person, err error) {
	text = strings.TrimSpace(text)
	find := text
	if _, after, ok := strings.Cut(text, "<"); ok {
		find = strings.TrimSuffix(strings.TrimSpace(after), ">")
	}
	list, err := q.ui.fleet.People(q.Context(), q.Actor, fleet.ListQuery{Search: find, Limit: 20})
	if err != nil {
		return nil, nil, err
	}
	for _, p := range list.Items {
		if strings.EqualFold(p.Mail, find) || strings.EqualFold(p.UPN, find) || strings.EqualFold(addressOf(p), text) {
			return p, nil, nil
		}
	}
	if len(list.Items) == 1 {
		return list.Items[0], nil, nil
	}
	return nil, list.Items, nil
}

// invited is the page that shows a link, this once.
type invited struct {
	Head     Head
	Item     *fleet.Invitation
	Link     string
	QR       template.HTML
	Person   *fleet.Person
	Text     string // to paste into a mail, in the person's language
	Mail     template.URL
	Language string
	Facts    []FactLine
	Again    string
	New      bool // the device is set up from its first screen
	PC       bool // its camera reads no codes
}

func (u *UI) invite(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	in := fleet.InvitationInput{Platform: fleet.Platform(form.Value("platform")), Mode: fleet.ModeDevice, Ownership: fleet.Ownership(form.Value("ownership")), Note: strings.TrimSpace(form.Value("note"))}
	if t, ok := androidChosen(form.Value("platform")); ok {
		in.Platform, in.Mode, in.Ownership = t.Platform, t.Mode, t.Ownership
		ready, err := u.fleet.GoogleReady(q.Context())
		if err != nil {
			return err
		}
		if !ready || u.google == nil {
			form.Errors["platform"] = q.T("invitation.platform.android.off")
			return q.showInvitationForm(http.StatusUnprocessableEntity, form, nil)
		}
	}
	if in.Uses, err = strconv.Atoi(strings.TrimSpace(form.Value("uses"))); err != nil || in.Uses == 0 {
		in.Uses = -1 // refused by the domain, in its words
	}
	days, err := strconv.Atoi(form.Value("days"))
	if err != nil || days < 1 || days > 90 {
		days = 10000
	}
	in.Lifetime = time.Duration(days) * 24 * time.Hour
	var person *fleet.Person
	if typed := form.Value("person"); strings.TrimSpace(typed) != "" {
		one, several, err := q.personTyped(typed)
		if err != nil {
			return err
		}
		if one == nil {
			form.Errors["person"] = q.T("invitation.person.unknown")
			if len(several) > 0 {
				form.Errors["person"] = q.Words.N("invitation.person.several", len(several), nil)
			}
			return q.showInvitationForm(http.StatusUnprocessableEntity, form, several)
		}
		person, in.Person = one, one.ID
	}
	if in.Ownership == "" {
		form.Errors["ownership"] = q.T("invitation.ownership.missing")
		return q.showInvitationForm(http.StatusUnprocessableEntity, form, nil)
	}
	i, code, err := u.fleet.Invite(q.Context(), q.Actor, in)
	if err != nil {
		if q.Refused(&form, err) {
			form.Errors["days"] = form.Errors["lifetime"]
			return q.showInvitationForm(http.StatusUnprocessableEntity, form, nil)
		}
		return err
	}
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	p := invited{Item: i, Person: person, New: startsNew(fleet.Target{Platform: i.Platform, Mode: i.Mode}), PC: i.Platform == fleet.Windows, Link: strings.TrimRight(settings.URL, "/") + "/enroll/" + code, Again: "/invitations/new"}
	if person != nil {
		p.Again += "?person=" + url.QueryEscape(string(person.ID))
	}
	if p.QR, err = QR(p.Link, q.T("invitation.qr")); err != nil {
		return err
	}
	p.write(q, settings)
	q.W.Header().Set("Cache-Control", "no-store")
	return q.Page("app/invitation-made", Page{Title: p.Head.Title, Data: p})
}

// write fills in what people read: the head, the facts and the text for a mail.
func (p *invited) write(q *Request, settings *fleet.Settings) {
	i := p.Item
	p.Head = Head{Title: q.T("invitation.made"), Sub: q.T("invitation.made.sub"), Back: "/invitations", BackWord: q.T("invitations.title")}
	name := q.T("invitation.nobody")
	lang := words.Lang(settings.Language)
	if p.Person != nil {
		name = p.Person.Name
		p.Head.Title = q.T("invitation.made.for", "name", name)
		if p.Person.Language != "" {
			lang = words.Lang(p.Person.Language)
		}
	}
	if known, ok := words.ParseLang(string(lang)); ok {
		lang = known
	} else {
		lang = words.English
	}
	p.Language = q.T("invitation.mail.in." + string(lang))
	p.Facts = []FactLine{{Name: q.T("invitation.person"), Value: name}, {Name: q.T("invitation.for"), Value: q.invitedTo(i.Platform, i.Mode)},
		{Name: q.T("person.device.owner"), Value: q.T("owner." + string(i.Ownership))}, {Name: q.T("invitation.uses.label"), Value: q.Words.N("invitation.uses.times", i.Uses, nil)},
		{Name: q.T("invitation.expires"), Value: q.Words.DateTime(i.Expires)}}
	theirs := q.ui.render.Printer(lang)
	key := "invitation.mail.text"
	if p.Person == nil {
		key = "invitation.mail.text.nobody"
	}
	if p.New {
		key += ".new" // the link belongs on another screen than the device's
	}
	args := words.Args{"name": firstName(p.Person), "org": settings.Organisation, "link": p.Link, "device": theirs.T("invitation.mail.device."+string(i.Platform)+"."+string(i.Ownership), nil),
		"until": theirs.Date(i.Expires), "contact": settings.Contact}
	p.Text = theirs.T(key, args)
	if p.Person != nil && p.Person.Mail != "" {
		v := url.Values{"subject": {theirs.T("invitation.mail.subject", args)}, "body": {p.Text}}
		p.Mail = template.URL("mailto:" + url.PathEscape(p.Person.Mail) + "?" + strings.ReplaceAll(v.Encode(), "+", "%20"))
	}
}

func firstName(p *fleet.Person) string {
	if p == nil {
		return ""
	}
	if parts := strings.Fields(p.Name); len(parts) > 0 {
		return parts[0]
	}
	return p.Name
}

func (u *UI) askRevoke(q *Request) error {
	if !q.Actor.May(fleet.InviteWrite) {
		return fleet.ErrForbidden
	}
	i, err := u.fleet.Invitation(q.Context(), q.Actor, fleet.InvitationID(q.PathValue("id")))
	if err != nil {
		return err
	}
	rows, err := q.invitationRows([]*fleet.Invitation{i})
	if err != nil {
		return err
	}
	title := q.T("invitation.revoke.title", "name", rows[0].Person)
	return q.Page("app/confirm", Page{Title: title, Data: Confirm{Title: title, Points: []string{q.T("invitation.revoke.point1"), q.T("invitation.revoke.point2")},
		Warning: q.T("invitation.revoke.warning"), Action: "/invitations/" + string(i.ID) + "/revoke", Word: q.T("invitation.revoke.button", "name", rows[0].Person), Danger: true, Back: "/invitations"}})
}

func (u *UI) revoke(q *Request) error {
	if err := u.fleet.RevokeInvitation(q.Context(), q.Actor, fleet.InvitationID(q.PathValue("id"))); err != nil {
		return err
	}
	q.Flash(Good, "invitation.revoked")
	return q.Redirect("/invitations")
}
