package ui

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// administration is what the pages about administrators, roles and one's own account ask of the domain.
type administration interface {
	Admins(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Admin], error)
	Admin(ctx context.Context, a fleet.Actor, id fleet.AdminID) (*fleet.Admin, error)
	CreateAdmin(ctx context.Context, a fleet.Actor, in fleet.AdminInput) (*fleet.Admin, error)
	DeleteAdmin(ctx context.Context, a fleet.Actor, id fleet.AdminID) error
	Roles(ctx context.Context, a fleet.Actor) ([]*fleet.Role, error)
	SaveRole(ctx context.Context, a fleet.Actor, r fleet.Role) (*fleet.Role, error)
	DeleteRole(ctx context.Context, a fleet.Actor, id fleet.RoleID) error
	Sessions(ctx context.Context, a fleet.Actor) ([]*fleet.Session, error)
	EndSession(ctx context.Context, a fleet.Actor, id fleet.SessionID) error
}

func (u *UI) adminRoutes() {
	u.admin("GET /admins", u.admins)
	u.admin("POST /admins", u.createAdmin)
	u.admin("GET /admins/new", u.newAdmin)
	u.admin("GET /admins/{id}", u.adminPage)
	u.admin("POST /admins/{id}", u.saveAdmin)
	u.admin("GET /admins/{id}/{act}", u.askAdmin)
	u.admin("POST /admins/{id}/{act}", u.actOnAdmin)
}

type adminsPage struct {
	Tabs  []Tab
	Form  Form
	Rows  []adminLine
	Pager Pager
	Empty *Empty
}

type adminLine struct {
	*fleet.Admin
	RoleName, Scope string
	Status          Status
	Self, Factor    bool // Factor: a second factor is set up
}

func (q *Request) adminTabs(current string) []Tab {
	return []Tab{
		{Href: "/admins", Word: q.T("admins.tab.list"), Current: current == "admins", Count: -1},
		{Href: "/roles", Word: q.T("admins.tab.roles"), Current: current == "roles", Count: -1},
	}
}

// roleName is what a role is called: built-in ones by our words.
func (q *Request) roleName(r *fleet.Role) string {
	if r.BuiltIn {
		return q.T("role." + string(r.ID))
	}
	return r.Name
}

// roleNames by id.
func (u *UI) roleNames(q *Request) (map[fleet.RoleID]string, []*fleet.Role, error) {
	roles, err := u.fleet.Roles(q.Context(), q.Actor)
	if err != nil {
		return nil, nil, err
	}
	names := map[fleet.RoleID]string{}
	for _, r := range roles {
		names[r.ID] = q.roleName(r)
	}
	return names, roles, nil
}

func (q *Request) adminLine(m *fleet.Admin, names map[fleet.RoleID]string) adminLine {
	line := adminLine{Admin: m, Factor: m.TOTP != nil, RoleName: names[m.Role], Self: q.Admin != nil && m.ID == q.Admin.ID, Scope: q.scope(m)}
	switch {
	case m.Disabled:
		line.Status = Status{Kind: Mute, Word: q.T("admins.status.disabled"), Icon: "ban"}
	case m.TOTP == nil:
		line.Status = Status{Kind: Warn, Word: q.T("admins.status.no-factor")}
	default:
		line.Status = Status{Kind: Good, Word: q.T("admins.status.active")}
	}
	return line
}

// scope says in words what an administrator sees.
func (q *Request) scope(m *fleet.Admin) string {
	switch {
	case m.AllTags:
		return q.T("admins.scope.all")
	case len(m.Tags) == 0:
		return q.T("admins.scope.untagged")
	}
	return q.T("admins.scope.tags", "tags", strings.Join(tagTexts(m.Tags), ", "))
}

func tagTexts(tags []fleet.Tag) []string {
	var out []string
	for _, t := range tags {
		out = append(out, string(t))
	}
	return out
}

func (u *UI) admins(q *Request) error {
	form := Form{Values: q.URL.Query()}
	list, err := u.fleet.Admins(q.Context(), q.Actor, fleet.ListQuery{Search: form.Value("q"), Cursor: form.Value("cursor")})
	if err != nil {
		return err
	}
	names, _, err := u.roleNames(q)
	if err != nil {
		return err
	}
	page := adminsPage{Tabs: q.adminTabs("admins"), Form: form, Pager: q.morePages(list.Next, q.Words.N("admins.count", len(list.Items), nil))}
	for _, m := range list.Items {
		page.Rows = append(page.Rows, q.adminLine(m, names))
	}
	if len(page.Rows) == 0 {
		page.Empty = &Empty{Icon: "search", Title: q.T("admins.none.title"), Text: q.T("admins.none.text"), Actions: []Button{{Href: "/admins", Word: q.T("list.all")}}}
	}
	return q.Page("app/admins", Page{Title: q.T("admins.title"), Data: page})
}

type adminForm struct {
	Form      Form
	New       bool
	Admin     adminLine
	Head      Head
	Roles     []Option
	Scopes    []Option
	Languages []Option
	Action    string
	Locked    bool // rights go beyond those of who looks: nothing can be changed
	Acts      []Button
}

// roleOptions lists roles; those with rights that the actor lacks cannot be chosen.
func (q *Request) roleOptions(roles []*fleet.Role) []Option {
	var out []Option
	for _, r := range roles {
		hint := q.T("admins.role.custom")
		if r.BuiltIn {
			hint = q.T("role." + string(r.ID) + ".hint")
		}
		out = append(out, Option{Value: string(r.ID), Word: q.roleName(r), Hint: hint, Disabled: !q.holds(r.Permissions)})
	}
	return out
}

// holds says whether who is signed in has all of these.
func (q *Request) holds(permissions []fleet.Permission) bool {
	return !slices.ContainsFunc(permissions, func(p fleet.Permission) bool { return !q.Actor.May(p) })
}

func (q *Request) languageOptions() []Option {
	out := []Option{{Value: "", Word: q.T("prefs.language.auto")}}
	for _, l := range words.Langs() {
		out = append(out, Option{Value: string(l), Word: q.T("lang." + string(l))})
	}
	return out
}

func (q *Request) newAdminForm(roles []*fleet.Role, form Form) adminForm {
	f := adminForm{Form: form, Roles: q.roleOptions(roles), Languages: q.languageOptions(), Scopes: []Option{
		{Value: "all", Word: q.T("admins.scope.all"), Hint: q.T("admins.scope.all.hint"), Disabled: !q.Actor.AllTags},
		{Value: "tags", Word: q.T("admins.scope.some"), Hint: q.T("admins.scope.some.hint")},
	}}
	return f
}

func (u *UI) newAdmin(q *Request) error {
	if !q.Actor.May(fleet.AdminsEdit) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.AdminsEdit))
	}
	scope := "all"
	if !q.Actor.AllTags {
		scope = "tags"
	}
	return u.showNewAdmin(q, http.StatusOK, Form{Values: url.Values{"role": {string(fleet.RoleHelpDesk)}, "scope": {scope}}})
}

func (u *UI) showNewAdmin(q *Request, status int, form Form) error {
	_, roles, err := u.roleNames(q)
	if err != nil {
		return err
	}
	f := q.newAdminForm(roles, form)
	f.New, f.Action = true, "/admins"
	f.Head = Head{Title: q.T("admins.new.title"), Sub: q.T("admins.new.sub"), Back: "/admins", BackWord: q.T("admins.title")}
	return q.PageStatus(status, "app/admin", Page{Title: f.Head.Title, Data: f})
}

func adminInput(form Form) fleet.AdminInput {
	name, mail, lang := strings.TrimSpace(form.Value("name")), strings.TrimSpace(form.Value("mail")), form.Value("language")
	role, all, tags := fleet.RoleID(form.Value("role")), form.Value("scope") == "all", tagsOf(form.Value("tags"))
	if all {
		tags = []fleet.Tag{}
	}
	version, _ := strconv.Atoi(form.Value("version"))
	return fleet.AdminInput{Name: &name, Mail: &mail, Language: &lang, Role: &role, AllTags: &all, Tags: &tags, Version: version}
}

func (u *UI) createAdmin(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if form.Value("password") != form.Value("again") {
		form.Errors["again"] = q.T("setup.again.differs")
		return u.showNewAdmin(q, http.StatusUnprocessableEntity, form)
	}
	in := adminInput(form)
	password := form.Value("password")
	in.Password = &password
	m, err := u.fleet.CreateAdmin(q.Context(), q.Actor, in)
	if err != nil {
		if q.Refused(&form, err) {
			return u.showNewAdmin(q, http.StatusUnprocessableEntity, form)
		}
		return err
	}
	q.Flash(Good, "admins.created", "name", m.Name)
	return q.Redirect("/admins/" + url.PathEscape(string(m.ID)))
}

func (u *UI) adminPage(q *Request) error {
	m, err := u.fleet.Admin(q.Context(), q.Actor, fleet.AdminID(q.PathValue("id")))
	if err != nil {
		return err
	}
	return u.showAdmin(q, http.StatusOK, m, Form{Values: adminValues(m)})
}

func adminValues(m *fleet.Admin) url.Values {
	scope := "tags"
	if m.AllTags {
		scope = "all"
	}
	return url.Values{"name": {m.Name}, "mail": {m.Mail}, "language": {m.Language}, "role": {string(m.Role)}, "scope": {scope},
		"tags": {strings.Join(tagTexts(m.Tags), ", ")}, "version": {strconv.Itoa(m.Version)}}
}

func (u *UI) showAdmin(q *Request, status int, m *fleet.Admin, form Form) error {
	names, roles, err := u.roleNames(q)
	if err != nil {
		return err
	}
	f := q.newAdminForm(roles, form)
	f.Admin, f.Action = q.adminLine(m, names), "/admins/"+url.PathEscape(string(m.ID))
	for _, r := range roles {
		if r.ID == m.Role {
			f.Locked = !q.Actor.May(fleet.AdminsEdit) || !q.holds(r.Permissions) || (m.AllTags && !q.Actor.AllTags)
		}
	}
	st := f.Admin.Status.AsPill()
	f.Head = Head{Title: m.Name, Sub: m.Mail, Status: &st, Back: "/admins", BackWord: q.T("admins.title")}
	if !f.Locked {
		for _, act := range adminActs {
			if act.offered(m) && (!f.Admin.Self || act.oneself) {
				f.Acts = append(f.Acts, Button{Href: f.Action + "/" + act.name, Word: q.T("admins.act."+act.name, "name", m.Name), Icon: act.icon, Style: act.style})
			}
		}
	}
	return q.PageStatus(status, "app/admin", Page{Title: m.Name, Data: f})
}

func (u *UI) saveAdmin(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	id := fleet.AdminID(q.PathValue("id"))
	m, err := u.fleet.UpdateAdmin(q.Context(), q.Actor, id, adminInput(form))
	if err != nil {
		if q.Refused(&form, err) {
			old, err := u.fleet.Admin(q.Context(), q.Actor, id)
			if err != nil {
				return err
			}
			return u.showAdmin(q, http.StatusUnprocessableEntity, old, form)
		}
		return err
	}
	q.Flash(Good, "admins.saved", "name", m.Name)
	return q.Redirect("/admins/" + url.PathEscape(string(m.ID)))
}

type adminAct struct {
	name, icon, style string
	danger, oneself   bool // oneself: may be done to one's own account
	points            int  // sentences that say what happens
	offered           func(*fleet.Admin) bool
}

// adminActs are what can be done to an administrator beside editing, each with a page that asks first.
var adminActs = []adminAct{
	{"reset", "key", "", false, true, 3, func(m *fleet.Admin) bool { return m.TOTP != nil }},
	{"password", "lock", "", false, false, 2, func(m *fleet.Admin) bool { return true }},
	{"disable", "ban", "danger", true, false, 3, func(m *fleet.Admin) bool { return !m.Disabled }},
	{"enable", "check", "", false, false, 1, func(m *fleet.Admin) bool { return m.Disabled }},
	{"delete", "trash", "danger", true, false, 3, func(m *fleet.Admin) bool { return true }},
}

func (u *UI) askAdmin(q *Request) error {
	return u.showAdminAct(q, http.StatusOK, Form{Values: url.Values{}})
}

func (u *UI) showAdminAct(q *Request, status int, form Form) error {
	name := q.PathValue("act")
	for _, act := range adminActs {
		if act.name != name {
			continue
		}
		m, err := u.fleet.Admin(q.Context(), q.Actor, fleet.AdminID(q.PathValue("id")))
		if err != nil {
			return err
		}
		if !q.Actor.May(fleet.AdminsEdit) {
			return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.AdminsEdit))
		}
		key := "admins." + name
		c := Confirm{Title: q.T("admins.act."+name, "name", m.Name), Action: q.URL.Path, Word: q.T("admins.act."+name, "name", m.Name),
			Danger: act.danger, Back: "/admins/" + url.PathEscape(string(m.ID)), Form: form}
		for i := range act.points {
			c.Points = append(c.Points, q.T(key+"."+strconv.Itoa(i+1), "name", m.Name))
		}
		switch name {
		case "delete":
			c.Type = m.Name
		case "password":
			c.Fields = []Field{
				{Form: form, Name: "password", Label: q.T("setup.password"), Hint: q.T("setup.password.hint"), Type: "password", Required: true, Autocomplete: "new-password"},
				{Form: form, Name: "again", Label: q.T("setup.again"), Type: "password", Required: true, Autocomplete: "new-password"},
			}
		}
		return q.PageStatus(status, "app/confirm", Page{Title: c.Title, Data: c})
	}
	return errNoPage
}

func (u *UI) actOnAdmin(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	id := fleet.AdminID(q.PathValue("id"))
	name := q.PathValue("act")
	if !slices.ContainsFunc(adminActs, func(a adminAct) bool { return a.name == name }) {
		return errNoPage
	}
	m, err := u.fleet.Admin(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	var in fleet.AdminInput
	switch name {
	case "disable", "enable":
		off := name == "disable"
		in.Disabled = &off
	case "reset":
		in.ResetTOTP = true
	case "password":
		if form.Value("password") != form.Value("again") {
			form.Errors["again"] = q.T("setup.again.differs")
			return u.showAdminAct(q, http.StatusUnprocessableEntity, form)
		}
		password := form.Value("password")
		in.Password = &password
	case "delete":
		if !strings.EqualFold(strings.TrimSpace(form.Value("confirm")), strings.TrimSpace(m.Name)) {
			form.Errors["confirm"] = q.T("confirm.wrong", "name", m.Name)
			return u.showAdminAct(q, http.StatusUnprocessableEntity, form)
		}
	}
	if name == "delete" {
		err = u.fleet.DeleteAdmin(q.Context(), q.Actor, id)
	} else {
		_, err = u.fleet.UpdateAdmin(q.Context(), q.Actor, id, in)
	}
	if err != nil {
		if q.Refused(&form, err) {
			return u.showAdminAct(q, http.StatusConflict, form)
		}
		return err
	}
	done := "admins.done." + name
	q.Flash(Good, done, "name", m.Name)
	if name == "delete" {
		return q.Redirect("/admins")
	}
	return q.Redirect("/admins/" + url.PathEscape(string(id)))
}
