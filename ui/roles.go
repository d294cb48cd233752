package ui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

func (u *UI) roleRoutes() {
	u.admin("GET /roles", u.roles)
	u.admin("POST /roles", u.saveRole)
	u.admin("GET /roles/new", u.newRole)
	u.admin("GET /roles/{id}", u.rolePage)
	u.admin("POST /roles/{id}", u.saveRole)
	u.admin("GET /roles/{id}/delete", u.askDeleteRole)
	u.admin("POST /roles/{id}/delete", u.deleteRole)
}

// permissionGroup is a row of the grid: what the permissions are about.
type permissionGroup struct {
	Word  string
	Cells []permissionCell
}

type permissionCell struct {
	Value, Word string
	On, Locked  bool // Locked: who looks lacks it and cannot give it
	Roles       []bool
}

// permissionGrid groups all permissions by what they are about, in the domain's order.
func (q *Request) permissionGrid(on func(fleet.Permission) bool) []permissionGroup {
	var out []permissionGroup
	last := ""
	for _, p := range fleet.AllPermissions {
		about, _, _ := strings.Cut(string(p), ".")
		if about != last {
			out = append(out, permissionGroup{Word: q.T("permission.about." + about)})
			last = about
		}
		g := &out[len(out)-1]
		g.Cells = append(g.Cells, permissionCell{Value: string(p), Word: capital(q.T("word.permission." + string(p))), On: on(p), Locked: !q.Actor.May(p)})
	}
	return out
}

type rolesPage struct {
	Tabs  []Tab
	Roles []roleHead
	Grid  []permissionGroup // each cell with one answer a role
}

type roleHead struct{ Name, Link string }

// roles compares all roles in one table.
func (u *UI) roles(q *Request) error {
	if !q.Actor.May(fleet.AdminsEdit) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.AdminsEdit))
	}
	_, roles, err := u.roleNames(q)
	if err != nil {
		return err
	}
	page := rolesPage{Tabs: q.adminTabs("roles"), Grid: q.permissionGrid(func(fleet.Permission) bool { return false })}
	for _, r := range roles {
		page.Roles = append(page.Roles, roleHead{Name: q.roleName(r), Link: "/roles/" + url.PathEscape(string(r.ID))})
		for g := range page.Grid {
			for c := range page.Grid[g].Cells {
				cell := &page.Grid[g].Cells[c]
				cell.Roles = append(cell.Roles, slices.Contains(r.Permissions, fleet.Permission(cell.Value)))
			}
		}
	}
	return q.Page("app/roles", Page{Title: q.T("roles.title"), Data: page})
}

type roleForm struct {
	Form     Form
	Head     Head
	Action   string
	Grid     []permissionGroup
	ReadOnly string // why it cannot be changed, "" = it can
	Delete   string
	New      bool
}

func (u *UI) newRole(q *Request) error {
	if !q.Actor.May(fleet.AdminsEdit) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.AdminsEdit))
	}
	form := Form{Values: url.Values{}}
	if from := q.URL.Query().Get("from"); from != "" { // begin with another role's permissions
		r, err := u.roleOf(q, fleet.RoleID(from))
		if err != nil {
			return err
		}
		for _, p := range r.Permissions {
			if q.Actor.May(p) {
				form.Values.Add("permissions", string(p))
			}
		}
	} else {
		form.Values["permissions"] = []string{string(fleet.DevicesRead), string(fleet.PeopleRead)}
	}
	return u.showRole(q, http.StatusOK, fleet.Role{}, form)
}

func (u *UI) roleOf(q *Request, id fleet.RoleID) (*fleet.Role, error) {
	_, roles, err := u.roleNames(q)
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fleet.Refuse(fleet.ErrNotFound, "not-found", "what", "role")
}

func (u *UI) rolePage(q *Request) error {
	if !q.Actor.May(fleet.AdminsEdit) {
		return fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.AdminsEdit))
	}
	r, err := u.roleOf(q, fleet.RoleID(q.PathValue("id")))
	if err != nil {
		return err
	}
	form := Form{Values: url.Values{"name": {r.Name}}}
	for _, p := range r.Permissions {
		form.Values.Add("permissions", string(p))
	}
	return u.showRole(q, http.StatusOK, *r, form)
}

func (u *UI) showRole(q *Request, status int, r fleet.Role, form Form) error {
	page := roleForm{Form: form, New: r.ID == "", Action: "/roles", Grid: q.permissionGrid(func(p fleet.Permission) bool { return form.Has("permissions", string(p)) })}
	page.Head = Head{Title: q.T("roles.new.title"), Sub: q.T("roles.new.sub"), Back: "/roles", BackWord: q.T("roles.title")}
	if r.ID != "" {
		page.Action = "/roles/" + url.PathEscape(string(r.ID))
		page.Head.Title, page.Head.Sub = q.roleName(&r), q.T("roles.custom.sub")
		switch {
		case r.BuiltIn:
			page.ReadOnly, page.Head.Sub = q.T("roles.built-in"), q.T("role."+string(r.ID)+".hint")
			page.Head.Actions = []Button{{Href: "/roles/new?from=" + url.QueryEscape(string(r.ID)), Word: q.T("roles.copy"), Icon: "plus"}}
		case !q.holds(r.Permissions):
			page.ReadOnly = q.T("reason.role.beyond-own")
		default:
			page.Delete = page.Action + "/delete"
		}
	}
	return q.PageStatus(status, "app/role", Page{Title: page.Head.Title, Data: page})
}

func (u *UI) saveRole(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	r := fleet.Role{ID: fleet.RoleID(q.PathValue("id")), Name: strings.TrimSpace(form.Value("name"))}
	for _, p := range form.Values["permissions"] {
		r.Permissions = append(r.Permissions, fleet.Permission(p))
	}
	saved, err := u.fleet.SaveRole(q.Context(), q.Actor, r)
	if err != nil {
		if q.Refused(&form, err) {
			return u.showRole(q, http.StatusUnprocessableEntity, r, form)
		}
		return err
	}
	q.Flash(Good, "roles.saved", "name", saved.Name)
	return q.Redirect("/roles/" + url.PathEscape(string(saved.ID)))
}

func (u *UI) askDeleteRole(q *Request) error { return u.showDeleteRole(q, http.StatusOK, Form{}) }

func (u *UI) showDeleteRole(q *Request, status int, form Form) error {
	r, err := u.roleOf(q, fleet.RoleID(q.PathValue("id")))
	if err != nil {
		return err
	}
	if r.BuiltIn {
		return fleet.Refuse(fleet.ErrConflict, "role.built-in")
	}
	c := Confirm{Title: q.T("roles.delete.title", "name", r.Name), Text: q.T("roles.delete.text"), Action: q.URL.Path, Word: q.T("roles.delete.title", "name", r.Name),
		Danger: true, Back: "/roles/" + url.PathEscape(string(r.ID)), Form: form}
	return q.PageStatus(status, "app/confirm", Page{Title: c.Title, Data: c})
}

func (u *UI) deleteRole(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	id := fleet.RoleID(q.PathValue("id"))
	r, err := u.roleOf(q, id)
	if err != nil {
		return err
	}
	if err := u.fleet.DeleteRole(q.Context(), q.Actor, id); err != nil {
		if !r.BuiltIn && q.Refused(&form, err) {
			return u.showDeleteRole(q, http.StatusConflict, form)
		}
		return err
	}
	q.Flash(Good, "roles.deleted", "name", r.Name)
	return q.Redirect("/roles")
}
