package ui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// groupsDomain is what the pages about groups ask.
type groupsDomain interface {
	Groups(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Group], error)
	Group(ctx context.Context, a fleet.Actor, id fleet.GroupID) (*fleet.Group, error)
	CreateGroup(ctx context.Context, a fleet.Actor, in fleet.GroupInput) (*fleet.Group, error)
	UpdateGroup(ctx context.Context, a fleet.Actor, id fleet.GroupID, in fleet.GroupInput) (*fleet.Group, error)
	DeleteGroup(ctx context.Context, a fleet.Actor, id fleet.GroupID) error
	SetMembers(ctx context.Context, a fleet.Actor, id fleet.GroupID, add, remove []string) error
	Members(ctx context.Context, a fleet.Actor, id fleet.GroupID, q fleet.ListQuery) (fleet.List[fleet.Member], error)
	PreviewRule(ctx context.Context, a fleet.Actor, kind fleet.GroupKind, r fleet.Rule, q fleet.ListQuery) (fleet.List[fleet.Member], error)
	GroupProfiles(ctx context.Context, a fleet.Actor, id fleet.GroupID) ([]*fleet.Profile, error)
	People(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Person], error)
	Devices(ctx context.Context, a fleet.Actor, fl fleet.DeviceFilter, q fleet.ListQuery) (fleet.List[*fleet.Device], error)
}

func (u *UI) groupRoutes() {
	u.admin("GET /groups", u.groups)
	u.admin("GET /groups/new", u.newGroup)
	u.admin("POST /groups/new", u.createGroup)
	u.admin("GET /groups/{id}", u.group)
	u.admin("POST /groups/{id}/members", u.groupMembers)
	u.admin("GET /groups/{id}/edit", u.editGroup)
	u.admin("POST /groups/{id}/edit", u.saveGroup)
	u.admin("GET /groups/{id}/delete", u.askDeleteGroup)
	u.admin("POST /groups/{id}/delete", u.deleteGroup)
}

func groupID(q *Request) fleet.GroupID { return fleet.GroupID(q.PathValue("id")) }

type groupsPage struct {
	Head   Head
	Search string
	Rows   []groupRow
	Pager  *Pager
	Empty  *Empty
}

type groupRow struct {
	*fleet.Group
	Icon string
	Rule string // in words; "" = by hand
}

func (u *UI) groups(q *Request) error {
	ask := q.asked()
	list, err := u.fleet.Groups(q.Context(), q.Actor, ask)
	if err != nil {
		return err
	}
	p := groupsPage{Head: Head{Title: q.T("groups.title"), Sub: q.T("groups.sub")}, Search: ask.Search}
	add := []Button{{Href: "/groups/new", Word: q.T("groups.new"), Icon: "plus", Style: "primary"}}
	if !q.Actor.May(fleet.GroupsEdit) {
		add = nil
	}
	p.Head.Actions = add
	for _, g := range list.Items {
		p.Rows = append(p.Rows, groupRow{Group: g, Icon: groupIcon(g.Kind), Rule: q.saysRule(g.Rule)})
	}
	switch {
	case len(list.Items) > 0 || ask.Cursor != "":
		p.Pager = q.pages(list.Next, "")
	case ask.Search != "":
		p.Empty = &Empty{Icon: "search", Title: q.T("groups.none-found", "text", ask.Search), Text: q.T("groups.none-found.text"), Actions: []Button{{Href: "/groups", Word: q.T("groups.all")}}}
	default:
		p.Empty = &Empty{Icon: "groups", Title: q.T("groups.empty"), Text: q.T("groups.empty.text"), Actions: add}
	}
	return q.Page("app/groups", Page{Title: q.T("groups.title"), Live: true, Data: p})
}

func groupIcon(k fleet.GroupKind) string {
	if k == fleet.DeviceGroup {
		return "devices"
	}
	return "people"
}

// saysRule writes a rule as a sentence; "" for none.
func (q *Request) saysRule(r *fleet.Rule) string {
	if r == nil {
		return ""
	}
	var parts []string
	for _, c := range r.Conditions {
		value := c.Value
		if c.Field == "platform" || c.Field == "ownership" {
			value = q.saysRuleValue(c)
		}
		parts = append(parts, q.T("rule.sentence", "field", q.T("rule.field."+c.Field), "op", q.T("rule.op."+c.Op), "value", value))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	if r.Any {
		return strings.Join(parts, " "+q.T("rule.or")+" ")
	}
	return strings.Join(parts, " "+q.T("rule.and")+" ")
}

// saysRuleValue says a value that people know by another word.
func (q *Request) saysRuleValue(c fleet.Condition) string {
	prefix := map[string]string{"platform": "system.", "ownership": "owner."}[c.Field]
	if key := prefix + strings.ToLower(c.Value); prefix != "" && q.Words.Has(key) {
		return q.T(key)
	}
	return c.Value
}

// groupForm makes and changes a group.
type groupForm struct {
	Head   Head
	Form   Form
	Action string
	Back   string
	Word   string
	Edit   bool
	Kind   fleet.GroupKind
	ByRule bool
	Kinds  []Option
	Ways   []Option
	Anys   []Option
	Fields []Option
	Ops    []Option
	Rows   []ruleRow
	Tags   bool
	Holds  *holds
}

// ruleRow is one condition in the form.
type ruleRow struct {
	N     int
	Field Field
	Op    Field
	Value Field
	Error string
}

// holds is whom a rule holds now.
type holds struct {
	Text string
	Rows []memberRow
	More bool
}

// memberRow is a person or device in a group.
type memberRow struct {
	ID, Link, Icon, Name, Sub string
	Person                    bool
}

func (q *Request) memberRows(list []fleet.Member) []memberRow {
	var out []memberRow
	for _, m := range list {
		switch {
		case m.Person != nil:
			out = append(out, memberRow{ID: string(m.Person.ID), Link: "/people/" + string(m.Person.ID), Name: m.Person.Name, Sub: m.Person.Mail, Person: true, Icon: "person"})
		case m.Device != nil:
			d := q.heldDevice(m.Device)
			out = append(out, memberRow{ID: string(m.Device.ID), Link: d.Link, Name: d.Name, Sub: d.Sub, Icon: d.Icon})
		}
	}
	return out
}

// ruleRowsMost is how many conditions the form shows; fleet takes 20.
const ruleRowsMost = 20

// ruleOf reads the rule from the form: rows whose three fields are empty do not count.
func ruleOf(form Form) fleet.Rule {
	r := fleet.Rule{Any: form.Value("any") == "any"}
	for i := range ruleRowsMost {
		n := strconv.Itoa(i)
		c := fleet.Condition{Field: form.Value("field." + n), Op: form.Value("op." + n), Value: strings.TrimSpace(form.Value("value." + n))}
		if c.Value != "" {
			r.Conditions = append(r.Conditions, c)
		}
	}
	return r
}

func (u *UI) newGroup(q *Request) error {
	if !q.Actor.May(fleet.GroupsEdit) {
		return fleet.ErrForbidden
	}
	return q.showGroupForm(http.StatusOK, nil, filled("kind", string(fleet.PeopleGroup), "way", "hand"))
}

func (q *Request) showGroupForm(status int, g *fleet.Group, form Form) error {
	f := groupForm{Form: form, Action: "/groups/new", Back: "/groups", Word: q.T("group.create"), Kind: fleet.GroupKind(form.Value("kind")), ByRule: form.Value("way") == "rule"}
	f.Head = Head{Title: q.T("groups.new"), Sub: q.T("group.new.sub"), Back: "/groups", BackWord: q.T("groups.title")}
	if g != nil {
		link := "/groups/" + string(g.ID)
		f.Edit, f.Kind, f.Action, f.Back, f.Word = true, g.Kind, link+"/edit", link, q.T("ui.save")
		f.Head = Head{Title: q.T("group.edit", "name", g.Name), Back: link, BackWord: g.Name}
	}
	if f.Kind != fleet.DeviceGroup {
		f.Kind = fleet.PeopleGroup
	}
	f.Tags = q.Actor.AllTags || len(q.Actor.Tags) > 0
	f.Kinds = []Option{{Value: string(fleet.PeopleGroup), Word: q.T("group.kind.people"), Hint: q.T("group.kind.people.hint")},
		{Value: string(fleet.DeviceGroup), Word: q.T("group.kind.devices"), Hint: q.T("group.kind.devices.hint")}}
	f.Ways = []Option{{Value: "hand", Word: q.T("group.way.hand"), Hint: q.T("group.way.hand.hint")}, {Value: "rule", Word: q.T("group.way.rule"), Hint: q.T("group.way.rule.hint")}}
	f.Anys = []Option{{Value: "all", Word: q.T("rule.all")}, {Value: "any", Word: q.T("rule.any")}}
	for _, name := range fleet.RuleFields(f.Kind) {
		f.Fields = append(f.Fields, Option{Value: name, Word: q.T("rule.field." + name)})
	}
	for _, op := range fleet.RuleOps() {
		if f.Kind == fleet.PeopleGroup && (op == "at-least" || op == "below") {
			continue
		}
		f.Ops = append(f.Ops, Option{Value: op, Word: q.T("rule.op." + op)})
	}
	if f.ByRule {
		f.Rows = q.ruleRows(form, f.Fields, f.Ops)
		if r := ruleOf(form); len(r.Conditions) > 0 {
			if err := q.previewRule(&f, form, r); err != nil {
				return err
			}
		}
	}
	return q.PageStatus(status, "app/group-form", Page{Title: f.Head.Title, Data: f})
}

// ruleRows are the rows as typed, and one empty one more.
func (q *Request) ruleRows(form Form, fields, ops []Option) []ruleRow {
	n := 1
	for i := range ruleRowsMost {
		if form.Value("value."+strconv.Itoa(i)) != "" || form.Value("row."+strconv.Itoa(i)) != "" {
			n = i + 1
		}
	}
	if form.Value("do") == "add" && n < ruleRowsMost {
		n++
	}
	var out []ruleRow
	for i := range n {
		no, count := strconv.Itoa(i), strconv.Itoa(i+1)
		row := ruleRow{N: i, Error: form.Error("rule." + no)}
		row.Field = Field{Form: form, Name: "field." + no, Label: q.T("rule.field.label", "n", count), Type: "select", Options: fields, Required: true}
		row.Op = Field{Form: form, Name: "op." + no, Label: q.T("rule.op.label", "n", count), Type: "select", Options: ops, Required: true}
		row.Value = Field{Form: form, Name: "value." + no, Label: q.T("rule.value.label", "n", count), Type: "text", Value: form.Value("value." + no), Required: true}
		out = append(out, row)
	}
	return out
}

// previewRule puts whom the rule holds beside the form, or what is wrong with it at its rows.
func (q *Request) previewRule(f *groupForm, form Form, r fleet.Rule) error {
	list, err := q.ui.fleet.PreviewRule(q.Context(), q.Actor, f.Kind, r, fleet.ListQuery{Limit: 10})
	if err != nil {
		if errors.Is(err, fleet.ErrForbidden) {
			return nil
		}
		if q.Refused(&form, err) {
			for i := range f.Rows {
				f.Rows[i].Error = form.Error("rule." + strconv.Itoa(i))
			}
			return nil
		}
		return err
	}
	h := &holds{Rows: q.memberRows(list.Items), More: list.Next != ""}
	switch {
	case len(h.Rows) == 0:
		h.Text = q.T("group.holds.none")
	case h.More:
		h.Text = q.T("group.holds.more", "n", len(h.Rows))
	default:
		h.Text = q.Words.N("group.holds."+string(f.Kind), len(h.Rows), nil)
	}
	f.Holds = h
	return nil
}

// groupStep handles the buttons that do not save: another row, a row less, whom it would hold. It reports false for the button that saves.
func (q *Request) groupStep(g *fleet.Group, form Form) (bool, error) {
	do := form.Value("do")
	if n, ok := strings.CutPrefix(do, "drop."); ok {
		dropRow(form, n)
	}
	if do == "" {
		return false, nil
	}
	return true, q.showGroupForm(http.StatusOK, g, form)
}

// dropRow takes out one condition and moves up those below it.
func dropRow(form Form, n string) {
	from, err := strconv.Atoi(n)
	if err != nil || from < 0 {
		return
	}
	for i := from; i < ruleRowsMost; i++ {
		for _, part := range []string{"field.", "op.", "value.", "row."} {
			here, below := part+strconv.Itoa(i), part+strconv.Itoa(i+1)
			if form.Values.Has(below) {
				form.Values.Set(here, form.Value(below))
			} else {
				form.Values.Del(here)
			}
		}
	}
}

func groupInput(form Form, edit bool) fleet.GroupInput {
	name, description := strings.TrimSpace(form.Value("name")), strings.TrimSpace(form.Value("description"))
	in := fleet.GroupInput{Name: &name, Description: &description}
	if !edit {
		in.Kind = fleet.GroupKind(form.Value("kind"))
	}
	if form.Value("way") == "rule" {
		r := ruleOf(form)
		in.Rule = &r
	} else if edit && form.Value("was") == "rule" {
		in.NoRule = true
	}
	if form.Values.Has("tags") {
		if tags := tagsOf(form.Value("tags")); len(tags) > 0 || edit {
			in.Tags = &tags
		}
	}
	in.Version, _ = strconv.Atoi(form.Value("version"))
	return in
}

func (u *UI) createGroup(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if done, err := q.groupStep(nil, form); done || err != nil {
		return err
	}
	g, err := u.fleet.CreateGroup(q.Context(), q.Actor, groupInput(form, false))
	if err != nil {
		if q.Refused(&form, err) {
			return q.showGroupForm(http.StatusUnprocessableEntity, nil, form)
		}
		return err
	}
	q.Flash(Good, "group.created", "name", g.Name)
	return q.Redirect("/groups/" + string(g.ID))
}

func (u *UI) editGroup(q *Request) error {
	g, err := u.fleet.Group(q.Context(), q.Actor, groupID(q))
	if err != nil {
		return err
	}
	if !q.Actor.May(fleet.GroupsEdit) {
		return fleet.ErrForbidden
	}
	form := filled("name", g.Name, "description", g.Description, "kind", string(g.Kind), "way", "hand", "was", "hand", "tags", tagText(g.Tags), "version", strconv.Itoa(g.Version))
	if g.Rule != nil {
		form.Values.Set("way", "rule")
		form.Values.Set("was", "rule")
		if g.Rule.Any {
			form.Values.Set("any", "any")
		}
		for i, c := range g.Rule.Conditions {
			n := strconv.Itoa(i)
			form.Values.Set("field."+n, c.Field)
			form.Values.Set("op."+n, c.Op)
			form.Values.Set("value."+n, c.Value)
		}
	}
	return q.showGroupForm(http.StatusOK, g, form)
}

func (u *UI) saveGroup(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	g, err := u.fleet.Group(q.Context(), q.Actor, groupID(q))
	if err != nil {
		return err
	}
	if done, err := q.groupStep(g, form); done || err != nil {
		return err
	}
	if _, err = u.fleet.UpdateGroup(q.Context(), q.Actor, g.ID, groupInput(form, true)); err != nil {
		if q.Refused(&form, err) {
			return q.showGroupForm(http.StatusUnprocessableEntity, g, form)
		}
		return err
	}
	q.Flash(Good, "group.saved", "name", strings.TrimSpace(form.Value("name")))
	return q.Redirect("/groups/" + string(g.ID))
}

// groupPage shows one group.
type groupPage struct {
	Head     Head
	Group    *fleet.Group
	Rule     string
	Members  []memberRow
	MaySee   bool
	MayEdit  bool
	Search   string // among the members
	Pager    *Pager
	Find     string // among those who could be added
	Found    []memberRow
	Profiles []*fleet.Profile
	Form     Form
}

func (u *UI) group(q *Request) error {
	g, err := u.fleet.Group(q.Context(), q.Actor, groupID(q))
	if err != nil {
		return err
	}
	return q.showGroup(http.StatusOK, g, Form{})
}

func (q *Request) showGroup(status int, g *fleet.Group, form Form) error {
	link := "/groups/" + string(g.ID)
	may := q.Actor.May(fleet.GroupsEdit)
	p := groupPage{Group: g, Rule: q.saysRule(g.Rule), MayEdit: may && g.Rule == nil, Search: q.asked().Search, Find: strings.TrimSpace(q.FormValue("find")), Form: form}
	p.Head = Head{Title: g.Name, Sub: g.Description, Back: "/groups", BackWord: q.T("groups.title")}
	if may {
		p.Head.Actions = []Button{{Href: link + "/delete", Word: q.T("group.delete.button"), Icon: "trash", Style: "danger"}, {Href: link + "/edit", Word: q.T("group.edit.button"), Icon: "edit", Style: "primary"}}
	}
	list, err := q.ui.fleet.Members(q.Context(), q.Actor, g.ID, q.asked())
	switch {
	case err == nil:
		p.MaySee = true
		p.Members = q.memberRows(list.Items)
		p.Pager = q.pages(list.Next, found(q, "group.members.count", list.Total))
	case !errors.Is(err, fleet.ErrForbidden):
		return err
	}
	if p.MayEdit && p.MaySee && p.Find != "" {
		if p.Found, err = q.candidates(g, p.Find); err != nil {
			return err
		}
	}
	p.Profiles, err = q.ui.fleet.GroupProfiles(q.Context(), q.Actor, g.ID)
	if err = unlessForbidden(err); err != nil {
		return err
	}
	return q.PageStatus(status, "app/group", Page{Title: g.Name, Live: true, Data: p})
}

// candidates are people or devices that the search finds and the group does not hold.
func (q *Request) candidates(g *fleet.Group, find string) ([]memberRow, error) {
	ask := fleet.ListQuery{Search: find, Limit: 20}
	var all []fleet.Member
	if g.Kind == fleet.DeviceGroup {
		list, err := q.ui.fleet.Devices(q.Context(), q.Actor, fleet.DeviceFilter{}, ask)
		if err != nil {
			return nil, err
		}
		for _, d := range list.Items {
			all = append(all, fleet.Member{Device: d})
		}
	} else {
		list, err := q.ui.fleet.People(q.Context(), q.Actor, ask)
		if err != nil {
			return nil, err
		}
		for _, p := range list.Items {
			all = append(all, fleet.Member{Person: p})
		}
	}
	in, err := q.ui.fleet.Members(q.Context(), q.Actor, g.ID, fleet.ListQuery{Search: find, Limit: 500})
	if err != nil {
		return nil, err
	}
	there := q.memberRows(in.Items)
	return slices.DeleteFunc(q.memberRows(all), func(m memberRow) bool {
		return slices.ContainsFunc(there, func(x memberRow) bool { return x.ID == m.ID })
	}), nil
}

func (u *UI) groupMembers(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	g, err := u.fleet.Group(q.Context(), q.Actor, groupID(q))
	if err != nil {
		return err
	}
	add, remove := form.Values["add"], form.Values["remove"]
	if err := u.fleet.SetMembers(q.Context(), q.Actor, g.ID, add, remove); err != nil {
		if q.Refused(&form, err) {
			if form.Errors[""] == "" {
				form.Errors[""] = form.Errors["members"]
			}
			return q.showGroup(http.StatusUnprocessableEntity, g, form)
		}
		return err
	}
	switch {
	case len(add) > 0:
		q.Flash(Good, "group.added", "count", strconv.Itoa(len(add)), "name", g.Name)
	case len(remove) > 0:
		q.Flash(Good, "group.removed", "count", strconv.Itoa(len(remove)), "name", g.Name)
	}
	return q.Redirect("/groups/" + string(g.ID))
}

func (u *UI) askDeleteGroup(q *Request) error { return q.showDeleteGroup(http.StatusOK, Form{}) }

func (q *Request) showDeleteGroup(status int, form Form) error {
	if !q.Actor.May(fleet.GroupsEdit) {
		return fleet.ErrForbidden
	}
	g, err := q.ui.fleet.Group(q.Context(), q.Actor, groupID(q))
	if err != nil {
		return err
	}
	link := "/groups/" + string(g.ID)
	title := q.T("group.delete", "name", g.Name)
	return q.PageStatus(status, "app/confirm", Page{Title: title, Data: Confirm{Title: title, Points: []string{q.T("group.delete.point1"), q.T("group.delete.point2")},
		Warning: q.T("group.delete.warning"), Action: link + "/delete", Word: title, Danger: true, Back: link, Form: form}})
}

func (u *UI) deleteGroup(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	g, err := u.fleet.Group(q.Context(), q.Actor, groupID(q))
	if err != nil {
		return err
	}
	if err := u.fleet.DeleteGroup(q.Context(), q.Actor, g.ID); err != nil {
		if q.Refused(&form, err) {
			return q.showDeleteGroup(http.StatusConflict, form)
		}
		return err
	}
	q.Flash(Good, "group.deleted", "name", g.Name)
	return q.Redirect("/groups")
}
