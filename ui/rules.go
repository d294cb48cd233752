package ui

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// rulesDomain is what the pages about rules for silent devices ask.
type rulesDomain interface {
	StaleRules(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.StaleRule], error)
	StaleRule(ctx context.Context, a fleet.Actor, id fleet.StaleRuleID) (*fleet.StaleRule, error)
	CreateStaleRule(ctx context.Context, a fleet.Actor, in fleet.StaleRuleInput) (*fleet.StaleRule, error)
	UpdateStaleRule(ctx context.Context, a fleet.Actor, id fleet.StaleRuleID, in fleet.StaleRuleInput) (*fleet.StaleRule, error)
	DeleteStaleRule(ctx context.Context, a fleet.Actor, id fleet.StaleRuleID) error
	PreviewStaleRule(ctx context.Context, a fleet.Actor, id fleet.StaleRuleID, q fleet.ListQuery) (*fleet.StalePreview, error)
	PreviewStaleInput(ctx context.Context, a fleet.Actor, in fleet.StaleRuleInput, q fleet.ListQuery) (*fleet.StalePreview, error)
	StaleEnforcement(r *fleet.StaleRule) []fleet.Enforcement
	NextStale(k fleet.StaleKind) time.Time
	RunStaleRule(ctx context.Context, a fleet.Actor, id fleet.StaleRuleID) (*fleet.StaleRun, error)
	StaleRuns(ctx context.Context, a fleet.Actor, rule fleet.StaleRuleID, q fleet.ListQuery) (fleet.List[*fleet.StaleRun], error)
	StaleRun(ctx context.Context, a fleet.Actor, id fleet.StaleRunID) (*fleet.StaleRun, error)
	StaleRunDevices(ctx context.Context, a fleet.Actor, id fleet.StaleRunID, q fleet.ListQuery) (fleet.List[*fleet.StaleRunDevice], error)
	AllowStaleRun(ctx context.Context, a fleet.Actor, id fleet.StaleRunID, seen string) (*fleet.StaleRun, error)
	StopStaleRun(ctx context.Context, a fleet.Actor, id fleet.StaleRunID) (*fleet.StaleRun, error)
	TakeBackStale(ctx context.Context, a fleet.Actor, id fleet.StaleRunID, device fleet.DeviceID) error
}

func (u *UI) rulesRoutes() {
	u.admin("GET /rules", u.rules)
	u.admin("GET /rules/new", u.newRule)
	u.admin("POST /rules/new", u.createRule)
	u.admin("GET /rules/{id}", u.rule)
	u.admin("GET /rules/{id}/edit", u.editRule)
	u.admin("POST /rules/{id}/edit", u.saveRule)
	u.admin("GET /rules/{id}/delete", u.askDeleteRule)
	u.admin("POST /rules/{id}/delete", u.deleteRule)
	u.admin("POST /rules/{id}/run", u.runRule)
	u.ruleRunRoutes()
}

func ruleID(q *Request) fleet.StaleRuleID { return fleet.StaleRuleID(q.PathValue("id")) }

// mayRule says whether the actor may make and change rules of a kind.
func (q *Request) mayRule(k fleet.StaleKind) bool {
	p := fleet.DevicesDelete
	if k == fleet.SyncExpiry {
		p = fleet.DevicesRetire
	}
	return q.Actor.AllTags && q.Actor.May(p)
}

// ruleRowView is a rule in words.
type ruleRowView struct {
	*fleet.StaleRule
	Does, About string
	State       Status
	Next        time.Time
}

func (q *Request) ruleRow(r *fleet.StaleRule, groups map[fleet.GroupID]string) ruleRowView {
	v := ruleRowView{StaleRule: r, Does: q.T("stale.kind." + string(r.Kind)), State: Status{Kind: Good, Word: q.T("stale.on")}}
	var about []string
	for _, p := range r.Platforms {
		about = append(about, q.saysPlatform(p))
	}
	v.About = q.Words.List(about)
	if len(about) == 0 {
		v.About = q.T("stale.about.all")
	}
	if r.Group != "" {
		name := groups[r.Group]
		if name == "" {
			name = string(r.Group)
		}
		v.About = q.T("stale.about.group", "about", v.About, "group", name)
	}
	switch {
	case r.Run != "":
		v.State = Status{Kind: Busy, Word: q.T("stale.running")}
	case r.Off:
		v.State = Status{Kind: Mute, Word: q.T("stale.off")}
	}
	if !r.Off {
		v.Next = q.ui.fleet.NextStale(r.Kind)
	}
	return v
}

// groupNames are the groups that the actor may see, by id.
func (q *Request) groupNames() (map[fleet.GroupID]string, []Option, error) {
	list, err := q.ui.fleet.Groups(q.Context(), q.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		return nil, nil, err
	}
	names, options := map[fleet.GroupID]string{}, []Option{{Value: "", Word: q.T("stale.group.every")}}
	for _, g := range list.Items {
		names[g.ID] = g.Name
		options = append(options, Option{Value: string(g.ID), Word: g.Name})
	}
	return names, options, nil
}

type rulesPage struct {
	Head  Head
	Rows  []ruleRowView
	Pager *Pager
	Empty *Empty
	Runs  []ruleRunRow
}

func (u *UI) rules(q *Request) error {
	list, err := u.fleet.StaleRules(q.Context(), q.Actor, q.asked())
	if err != nil {
		return err
	}
	names, _, err := q.groupNames()
	if err != nil {
		return err
	}
	p := rulesPage{Head: Head{Title: q.T("stale.title"), Sub: q.T("stale.sub")}}
	for _, k := range []fleet.StaleKind{fleet.SyncExpiry, fleet.Cleanup} {
		if q.mayRule(k) {
			p.Head.Actions = append(p.Head.Actions, Button{Href: "/rules/new?kind=" + string(k), Word: q.T("stale.new." + string(k)), Icon: "plus"})
		}
	}
	if n := len(p.Head.Actions); n > 0 {
		p.Head.Actions[n-1].Style = "primary"
	}
	for _, r := range list.Items {
		p.Rows = append(p.Rows, q.ruleRow(r, names))
	}
	if len(p.Rows) == 0 {
		p.Empty = &Empty{Icon: "rules", Title: q.T("stale.empty"), Text: q.T("stale.empty.text"), Actions: p.Head.Actions}
	} else {
		p.Pager = q.pages(list.Next, "")
	}
	runs, err := u.fleet.StaleRuns(q.Context(), q.Actor, "", fleet.ListQuery{Limit: 10})
	if err != nil {
		return err
	}
	for _, r := range runs.Items {
		p.Runs = append(p.Runs, q.ruleRunRow(r))
	}
	return q.Page("app/rules", Page{Title: p.Head.Title, Live: true, Data: p})
}

// verdictRow is a device in a preview.
type verdictRow struct {
	Link, Icon, Name, Sub string
	Last                  time.Time
	Contact               string
	Status                Status
	Why                   string
}

func (q *Request) verdictRow(v fleet.StaleVerdict) verdictRow {
	row := verdictRow{Link: "/devices/" + string(v.Device), Icon: platformIcon(v.Platform), Name: v.Name, Sub: v.Serial, Last: v.LastContact}
	if row.Name == "" {
		row.Name = q.saysPlatform(v.Platform)
	}
	if v.Contact != "" {
		row.Contact = q.T("stale.contact." + v.Contact)
	}
	if v.Action == "" {
		row.Status, row.Why = Status{Kind: Mute, Word: q.T("stale.stays"), Icon: "hand"}, q.Say(v.Skip)
		return row
	}
	row.Status = Status{Kind: Warn, Word: q.T("stale.does." + string(v.Action))}
	if !v.Living {
		row.Why = q.T("stale.record-only")
	}
	return row
}

// rulePreview is what a rule would do now, in words.
type rulePreview struct {
	Text string
	Warn string
	Rows []verdictRow
	More string
}

func (q *Request) rulePreview(p *fleet.StalePreview, link string) *rulePreview {
	out := &rulePreview{Text: q.Words.N("stale.preview.hits", p.Hits, map[string]any{"covered": p.Covered})}
	if p.Hits == 0 {
		out.Text = q.Words.N("stale.preview.none", p.Covered, nil)
	}
	if p.Skipped > 0 {
		out.Text += " " + q.Words.N("stale.preview.skipped", p.Skipped, nil)
	}
	if p.NeedsYes {
		out.Warn = q.T("stale.preview.share", "share", p.Rule.Share)
	}
	for _, v := range p.Devices {
		out.Rows = append(out.Rows, q.verdictRow(v))
	}
	if p.Next != "" && link != "" {
		out.More = at(link, map[string][]string{"after": {p.Next}})
	}
	return out
}

type rulePage struct {
	Head    Head
	Rule    ruleRowView
	Facts   []FactLine
	Where   []enforcementRow
	Preview *rulePreview
	Runs    []ruleRunRow
	MayRun  bool
}

type enforcementRow struct{ Platform, Device, Server string }

func (u *UI) rule(q *Request) error {
	r, err := u.fleet.StaleRule(q.Context(), q.Actor, ruleID(q))
	if err != nil {
		return err
	}
	names, _, err := q.groupNames()
	if err != nil {
		return err
	}
	link := "/rules/" + string(r.ID)
	p := rulePage{Rule: q.ruleRow(r, names), MayRun: q.mayRule(r.Kind) && r.Run == ""}
	state := p.Rule.State.AsPill()
	p.Head = Head{Title: r.Name, Sub: r.Description, Status: &state, Back: "/rules", BackWord: q.T("stale.title")}
	if q.mayRule(r.Kind) {
		p.Head.Actions = []Button{{Href: link + "/delete", Word: q.T("stale.delete.word"), Icon: "trash", Style: "danger"}, {Href: link + "/edit", Word: q.T("stale.edit.word"), Icon: "edit", Style: "primary"}}
	}
	p.Facts = q.ruleFacts(p.Rule)
	for _, e := range u.fleet.StaleEnforcement(r) {
		if r.Kind != fleet.SyncExpiry {
			break // a device does nothing by itself about being deleted
		}
		row := enforcementRow{Platform: q.saysPlatform(e.Platform), Device: q.Say(e.Device), Server: q.Say(e.Server)}
		if e.Mode != fleet.ModeDevice {
			row.Platform = q.T("stale.where.mode", "platform", row.Platform, "mode", q.T("word.mode."+string(e.Mode)))
		}
		p.Where = append(p.Where, row)
	}
	preview, err := u.fleet.PreviewStaleRule(q.Context(), q.Actor, r.ID, fleet.ListQuery{Cursor: q.URL.Query().Get("after"), Limit: 50})
	if err != nil {
		return err
	}
	p.Preview = q.rulePreview(preview, link)
	runs, err := u.fleet.StaleRuns(q.Context(), q.Actor, r.ID, fleet.ListQuery{Limit: 20})
	if err != nil {
		return err
	}
	for _, run := range runs.Items {
		p.Runs = append(p.Runs, q.ruleRunRow(run))
	}
	return q.Page("app/rule", Page{Title: r.Name, Live: true, Data: p})
}

func (q *Request) ruleFacts(r ruleRowView) []FactLine {
	out := []FactLine{
		{Name: q.T("stale.does"), Value: r.Does, Hint: q.T("stale.kind." + string(r.Kind) + ".hint")},
		{Name: q.T("stale.about"), Value: r.About},
		{Name: q.T("stale.days"), Value: q.Words.N("stale.days.n", r.Days, nil)},
		{Name: q.T("stale.grace"), Value: q.Words.N("stale.grace.n", r.GraceHours, nil)},
		{Name: q.T("stale.share"), Value: q.T("stale.share.n", "share", r.Share)},
		{Name: q.T("stale.erase"), Value: q.T("stale.erase." + strconv.FormatBool(r.Erase))},
	}
	if len(r.ExcludeTags) > 0 {
		var tags []string
		for _, t := range r.ExcludeTags {
			tags = append(tags, string(t))
		}
		out = append(out, FactLine{Name: q.T("stale.exclude"), Value: strings.Join(tags, ", ")})
	}
	if !r.Next.IsZero() {
		out = append(out, FactLine{Name: q.T("stale.next"), Value: q.Words.DateTime(r.Next)})
	}
	return out
}

// ruleForm makes and changes a rule.
type ruleForm struct {
	Head      Head
	Form      Form
	Action    string
	Back      string
	Word      string
	Kind      fleet.StaleKind
	Edit      bool
	Platforms []Option
	Groups    []Option
	Least     int
	Most      int
	MayErase  bool
	Preview   *rulePreview
}

func (u *UI) newRule(q *Request) error {
	k := fleet.StaleKind(q.URL.Query().Get("kind"))
	if k != fleet.SyncExpiry {
		k = fleet.Cleanup
	}
	if !q.mayRule(k) {
		return fleet.ErrForbidden
	}
	days := "180"
	if k == fleet.SyncExpiry {
		days = "30"
	}
	return q.showRuleForm(http.StatusOK, nil, filled("kind", string(k), "days", days, "share", "10", "grace_hours", "24", "on", "on"))
}

func (q *Request) showRuleForm(status int, r *fleet.StaleRule, form Form) error {
	f := ruleForm{Form: form, Action: "/rules/new", Back: "/rules", Kind: fleet.StaleKind(form.Value("kind")), MayErase: q.Actor.May(fleet.DevicesWipe)}
	if r != nil {
		f.Kind = r.Kind
	} else if f.Kind != fleet.SyncExpiry {
		f.Kind = fleet.Cleanup
	}
	f.Word = q.T("stale.create")
	f.Head = Head{Title: q.T("stale.new." + string(f.Kind)), Sub: q.T("stale.kind." + string(f.Kind) + ".hint"), Back: "/rules", BackWord: q.T("stale.title")}
	if r != nil {
		link := "/rules/" + string(r.ID)
		f.Edit, f.Action, f.Back, f.Word = true, link+"/edit", link, q.T("ui.save")
		f.Head = Head{Title: q.T("stale.edit", "name", r.Name), Sub: f.Head.Sub, Back: link, BackWord: r.Name}
	}
	f.Least, f.Most = 30, 270
	if f.Kind == fleet.SyncExpiry {
		f.Least, f.Most = 7, 365
	}
	for _, p := range []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS, fleet.Windows, fleet.Android} {
		f.Platforms = append(f.Platforms, Option{Value: string(p), Word: q.saysPlatform(p)})
	}
	var err error
	if _, f.Groups, err = q.groupNames(); err != nil {
		return err
	}
	if form.Value("do") == "preview" {
		p, err := q.ui.fleet.PreviewStaleInput(q.Context(), q.Actor, ruleInput(form, f.Kind), fleet.ListQuery{Limit: 20})
		switch {
		case err == nil:
			f.Preview = q.rulePreview(p, "")
		case !q.Refused(&f.Form, err):
			return err
		}
	}
	return q.PageStatus(status, "app/rule-form", Page{Title: f.Head.Title, Data: f})
}

// ruleInput reads the form; a number that is none is out of every range.
func ruleInput(form Form, k fleet.StaleKind) fleet.StaleRuleInput {
	number := func(name string) *int {
		n, err := strconv.Atoi(strings.TrimSpace(form.Value(name)))
		if err != nil {
			n = -1
		}
		return &n
	}
	ticked := func(name string) *bool { return new(form.Value(name) != "") }
	platforms := []fleet.Platform{}
	for _, p := range form.Values["platforms"] {
		platforms = append(platforms, fleet.Platform(p))
	}
	in := fleet.StaleRuleInput{Kind: k, Name: new(strings.TrimSpace(form.Value("name"))), Description: new(strings.TrimSpace(form.Value("description"))),
		Platforms: &platforms, Days: number("days"), Share: number("share"), GraceHours: number("grace_hours"), Erase: ticked("erase"), ExcludeTags: new(tagsOf(form.Value("exclude_tags"))),
		Off: new(form.Value("on") == "")}
	if k == fleet.SyncExpiry {
		in.Group = new(fleet.GroupID(form.Value("group")))
	} else {
		in.Wide = ticked("wide")
	}
	in.Version, _ = strconv.Atoi(form.Value("version"))
	return in
}

func (u *UI) createRule(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	k := fleet.StaleKind(form.Value("kind"))
	if !q.mayRule(k) {
		return fleet.ErrForbidden
	}
	if form.Value("do") == "preview" {
		return q.showRuleForm(http.StatusOK, nil, form)
	}
	r, err := u.fleet.CreateStaleRule(q.Context(), q.Actor, ruleInput(form, k))
	if err != nil {
		if q.Refused(&form, err) {
			return q.showRuleForm(http.StatusUnprocessableEntity, nil, form)
		}
		return err
	}
	q.Flash(Good, "stale.created", "name", r.Name)
	return q.Redirect("/rules/" + string(r.ID))
}

func (u *UI) editRule(q *Request) error {
	r, err := u.fleet.StaleRule(q.Context(), q.Actor, ruleID(q))
	if err != nil {
		return err
	}
	if !q.mayRule(r.Kind) {
		return fleet.ErrForbidden
	}
	var tags []string
	for _, t := range r.ExcludeTags {
		tags = append(tags, string(t))
	}
	form := filled("kind", string(r.Kind), "name", r.Name, "description", r.Description, "days", strconv.Itoa(r.Days), "share", strconv.Itoa(r.Share),
		"grace_hours", strconv.Itoa(r.GraceHours), "group", string(r.Group), "exclude_tags", strings.Join(tags, ", "), "version", strconv.Itoa(r.Version))
	for name, on := range map[string]bool{"wide": r.Wide, "erase": r.Erase, "on": !r.Off} {
		if on {
			form.Values.Set(name, "on")
		}
	}
	for _, p := range r.Platforms {
		form.Values.Add("platforms", string(p))
	}
	return q.showRuleForm(http.StatusOK, r, form)
}

func (u *UI) saveRule(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	r, err := u.fleet.StaleRule(q.Context(), q.Actor, ruleID(q))
	if err != nil {
		return err
	}
	if form.Value("do") == "preview" {
		return q.showRuleForm(http.StatusOK, r, form)
	}
	if _, err := u.fleet.UpdateStaleRule(q.Context(), q.Actor, r.ID, ruleInput(form, r.Kind)); err != nil {
		if q.Refused(&form, err) {
			return q.showRuleForm(http.StatusUnprocessableEntity, r, form)
		}
		return err
	}
	q.Flash(Good, "stale.saved", "name", form.Value("name"))
	return q.Redirect("/rules/" + string(r.ID))
}

func (u *UI) askDeleteRule(q *Request) error {
	r, err := u.fleet.StaleRule(q.Context(), q.Actor, ruleID(q))
	if err != nil {
		return err
	}
	if !q.mayRule(r.Kind) {
		return fleet.ErrForbidden
	}
	link := "/rules/" + string(r.ID)
	title := q.T("stale.delete", "name", r.Name)
	return q.Page("app/confirm", Page{Title: title, Data: Confirm{Title: title, Points: []string{q.T("stale.delete.point1"), q.T("stale.delete.point2")},
		Action: link + "/delete", Word: title, Danger: true, Back: link}})
}

func (u *UI) deleteRule(q *Request) error {
	r, err := u.fleet.StaleRule(q.Context(), q.Actor, ruleID(q))
	if err != nil {
		return err
	}
	if err := u.fleet.DeleteStaleRule(q.Context(), q.Actor, r.ID); err != nil {
		return err
	}
	q.Flash(Good, "stale.deleted", "name", r.Name)
	return q.Redirect("/rules")
}

// runRule begins a run by hand.
func (u *UI) runRule(q *Request) error {
	run, err := u.fleet.RunStaleRule(q.Context(), q.Actor, ruleID(q))
	if err != nil {
		form := Form{}
		if q.Refused(&form, err) {
			q.Flash(Warn, "stale.not-begun")
			return q.Redirect("/rules/" + q.PathValue("id"))
		}
		return err
	}
	return q.Redirect("/rule-runs/" + string(run.ID))
}
