package ui

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// wizardPage is one step as it is shown.
type wizardPage struct {
	Head    Head
	Form    Form
	Action  string
	Step    string
	Mode    string
	Steps   []wizardStep
	Carried []carriedValue
	Notes   []Message
	First   bool
	Cancel  string
	Next    string

	Types     []Option // of step type
	Platforms []Option
	Advice    string // on names, of step basics
	Taken     []string

	Groups  []settingGroup // of step settings
	Inserts []insertable
	Filled  *filledIn

	TagNames []fleet.Tag // that the administrator holds

	Assign *assignStep
	Review *reviewStep
}

// wizardStep is one mark in the row of steps; those behind may be returned to.
type wizardStep struct {
	Name, Word    string
	Done, Current bool
}

// insertable is a variable with what it stands for.
type insertable struct{ Code, Means string }

// filledIn shows the templates as they arrive at one person.
type filledIn struct {
	People Field
	Lines  []FactLine
	Error  string
}

// assignStep chooses who gets it.
type assignStep struct {
	PerPerson bool
	AllPeople Field
	AllDevice Field
	Groups    []assignGroup
	Chain     []*fleet.Profile
	Together  Field
	Broken    string // the present state of the chain, when it is broken
	Error     string
}

type assignGroup struct {
	Field
	Icon, Rule, Kind string
}

// reviewStep says what will be so, before it is.
type reviewStep struct {
	Basics   []FactLine
	Settings []settingLines
	To       []string
	Out      []string
	Along    []string
	Changes  []string // of an edit
	Same     bool     // an edit that sends devices nothing
	Notes    []Message
	Reach    *reachView
	Button   string
}

// reachView is fleet.Reach in words.
type reachView struct {
	Title    string
	Lines    []string
	Sample   []heldDevice
	More     string
	Without  []unfitRow
	Warnings []Message
}

type unfitRow struct {
	heldDevice
	Why    string
	Status Status
}

// show writes one step.
func (w *wizard) show(status int, step string) error {
	at := slices.Index(w.steps, step)
	p := wizardPage{Form: w.form, Step: step, Mode: w.mode, Notes: w.notes, First: at == 0, Cancel: "/profiles", Next: w.T("ui.next")}
	switch w.mode {
	case "new":
		p.Action = "/profiles/new"
		p.Head = Head{Title: w.T("profile.new"), Back: "/profiles", BackWord: w.T("profiles.title")}
		if name := strings.TrimSpace(w.form.Value("name")); name != "" && at > 1 {
			p.Head.Sub = w.T("type."+string(w.decl.Type)) + " · " + name
		} else if w.decl.Type != "" && at > 0 {
			p.Head.Sub = w.T("type." + string(w.decl.Type))
		}
	default:
		p.Cancel = "/profiles/" + string(w.profile.ID)
		p.Action = p.Cancel + "/" + w.mode
		p.Head = Head{Title: w.T("profile."+w.mode+".title", "name", w.profile.Name), Back: p.Cancel, BackWord: w.profile.Name}
	}
	for i, s := range w.steps {
		p.Steps = append(p.Steps, wizardStep{Name: s, Word: w.stepWord(s), Done: i < at, Current: i == at})
	}
	shown := func(string) bool { return false }
	var err error
	switch step {
	case "type":
		shown = oneOf("type", "platforms")
		w.typeStep(&p)
	case "basics":
		shown = oneOf("name", "description")
		if w.mode == "edit" {
			shown = oneOf("name", "description", "platforms")
			p.Platforms = w.platformOptions(w.decl)
		}
		err = w.basicsStep(&p)
	case "settings":
		var there map[string]bool
		if p.Groups, there, err = w.settingGroups(w.decl, w.platforms(), w.form); err == nil {
			shown = func(name string) bool { return there[name] || name == "person" }
			w.gatherUnseen(there)
			err = w.insertStep(&p)
		}
	case "tags":
		shown = oneOf("tags")
		p.TagNames = w.Actor.Tags
	case "assign":
		shown = func(name string) bool {
			return strings.HasPrefix(name, "to.") || strings.HasPrefix(name, "group.") || name == "together"
		}
		err = w.assignStep(&p)
	case "review":
		err = w.reviewStep(&p)
	}
	if err != nil {
		return err
	}
	p.Carried = w.carried(shown)
	return w.PageStatus(status, "app/profile-wizard", Page{Title: p.Head.Title + ": " + w.stepWord(step), Data: p})
}

// stepWord names a step.
func (w *wizard) stepWord(step string) string {
	if step == "review" && w.mode != "new" {
		return w.T("profile.step.review.again")
	}
	return w.T("profile.step." + step)
}

func oneOf(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

func (w *wizard) typeStep(p *wizardPage) {
	var any []fleet.Platform
	for _, d := range fleet.ProfileTypes() {
		if d.Type == fleet.TypeCustom && !w.Actor.May(fleet.ProfilesCustom) {
			continue
		}
		p.Types = append(p.Types, Option{Value: string(d.Type), Word: w.T("type." + string(d.Type)), Hint: w.T("type." + string(d.Type) + ".hint")})
		for _, x := range declaredPlatforms(d) {
			if !slices.Contains(any, x) {
				any = append(any, x)
			}
		}
	}
	for _, x := range any {
		p.Platforms = append(p.Platforms, Option{Value: string(x), Word: w.saysPlatform(x)})
	}
}

func (w *wizard) platformOptions(d fleet.Declaration) []Option {
	var out []Option
	for _, x := range declaredPlatforms(d) {
		out = append(out, Option{Value: string(x), Word: w.saysPlatform(x)})
	}
	return out
}

func (w *wizard) basicsStep(p *wizardPage) error {
	p.Advice = w.T(w.decl.NameHint)
	list, err := w.ui.fleet.Profiles(w.Context(), w.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		return err
	}
	for _, x := range list.Items {
		if x.Type == w.decl.Type && (w.profile == nil || x.ID != w.profile.ID) && len(p.Taken) < 5 {
			p.Taken = append(p.Taken, x.Name)
		}
	}
	return nil
}

// insertStep explains the variables and fills them in for one person.
func (w *wizard) insertStep(p *wizardPage) error {
	if !slices.ContainsFunc(w.decl.Fields, func(fd fleet.Field) bool { return fd.Template }) {
		return nil
	}
	for _, v := range fleet.Variables() {
		p.Inserts = append(p.Inserts, insertable{"{{" + v + "}}", w.T("variable." + v)})
	}
	list, err := w.ui.fleet.People(w.Context(), w.Actor, fleet.ListQuery{Limit: 100})
	if err != nil {
		return unlessForbidden(err)
	}
	if len(list.Items) == 0 {
		return nil
	}
	person := list.Items[0]
	f := &filledIn{People: Field{Form: w.form, Name: "person", Label: w.T("profile.filled.person"), Type: "select", Required: true}}
	for _, x := range list.Items {
		f.People.Options = append(f.People.Options, Option{Value: string(x.ID), Word: x.Name})
		if string(x.ID) == w.form.Value("person") {
			person = x
		}
	}
	if f.Lines, err = w.filledLines(person); err != nil {
		var refusal *fleet.Refusal
		if !errors.As(err, &refusal) {
			return err
		}
		f.Error = w.Say(refusal.Reason)
	}
	p.Filled = f
	return nil
}

// filledLines are the settings with templates, filled in for a person.
func (w *wizard) filledLines(person *fleet.Person) ([]FactLine, error) {
	in, err := w.input()
	if err != nil {
		return nil, err
	}
	v, err := fleet.Fill(&fleet.Profile{Type: w.decl.Type, Settings: in.Settings}, person)
	if err != nil {
		return nil, err
	}
	var out []FactLine
	for _, fd := range w.decl.Fields {
		if !fd.Template || v.String(fd.Key) == "" {
			continue
		}
		label := fieldWord(w.decl.Type, fd.Key)
		if fd.Key == "user_name" {
			label += "_from"
		}
		out = append(out, FactLine{Name: w.T(label), Value: v.String(fd.Key)})
	}
	return out, nil
}

func (w *wizard) assignStep(p *wizardPage) error {
	a := &assignStep{PerPerson: w.decl.PerPerson, Error: w.form.Error("to"), Chain: w.chain()}
	a.AllPeople = Field{Form: w.form, Name: "to.all-people", Label: w.T("assign.all-people"), Hint: w.T("assign.all-people.hint"), Type: "check"}
	a.AllDevice = Field{Form: w.form, Name: "to.all-devices", Label: w.T("assign.all-devices"), Hint: w.T("assign.all-devices.hint"), Type: "check"}
	if a.PerPerson {
		a.AllDevice.Hint = w.T("assign.all-devices.person")
	}
	groups, err := w.allGroups()
	if err = unlessForbidden(err); err != nil {
		return err
	}
	for _, g := range groups {
		f := Field{Form: w.form, Name: "group." + string(g.ID), Label: g.Name, Type: "select", Required: true,
			Options: []Option{{Value: "", Word: w.T("assign.not")}, {Value: "in", Word: w.T("assign.include")}, {Value: "out", Word: w.T("assign.exclude")}}}
		a.Groups = append(a.Groups, assignGroup{Field: f, Icon: groupIcon(g.Kind), Rule: w.saysRule(g.Rule), Kind: string(g.Kind)})
	}
	if len(a.Chain) > 0 {
		var names []string
		for _, x := range a.Chain {
			names = append(names, "“"+x.Name+"”")
		}
		a.Together = Field{Form: w.form, Name: "together", Label: w.T("assign.together", "names", w.Words.List(names)), Hint: w.T("assign.together.hint"), Type: "check"}
	}
	p.Assign = a
	return nil
}

// saysAssignments names whom assignments include and exclude.
func (q *Request) saysAssignments(list []fleet.Assignment) (in, out []string, err error) {
	for _, a := range list {
		switch a.To {
		case fleet.ToAllPeople, fleet.ToAllDevices:
			in = append(in, q.T("assign."+a.To))
			continue
		}
		name := q.T("assign.group-gone")
		g, err := q.ui.fleet.Group(q.Context(), q.Actor, a.Group)
		if err == nil {
			name = g.Name
		} else if unlessGone(err) != nil {
			return nil, nil, err
		}
		if a.Exclude {
			out = append(out, name)
		} else {
			in = append(in, name)
		}
	}
	return in, out, nil
}

// unlessGone takes "not found" and "not allowed" for "nothing to show".
func unlessGone(err error) error {
	if errors.Is(err, fleet.ErrNotFound) {
		return nil
	}
	return unlessForbidden(err)
}

func (w *wizard) reviewStep(p *wizardPage) error {
	r := &reviewStep{Button: w.T("profile.save." + w.mode)}
	p.Review = r
	list := w.assignments()
	var err error
	if w.mode == "edit" {
		if list, err = w.ui.fleet.Assignments(w.Context(), w.Actor, w.profile.ID); err != nil {
			return err
		}
	}
	if r.To, r.Out, err = w.saysAssignments(list); err != nil {
		return err
	}
	if w.mode == "new" && len(list) > 0 {
		r.Button = w.T("profile.save.new.assign")
	}
	if w.mode == "assign" && len(list) == 0 {
		r.Button = w.T("profile.save.unassign")
	}
	if w.mode != "edit" && w.together() && len(list) > 0 {
		for _, x := range w.chain() {
			r.Along = append(r.Along, x.Name)
		}
	}
	if w.mode != "assign" {
		if err := w.reviewProfile(r); err != nil {
			return err
		}
	}
	reach, err := w.reach()
	if err != nil {
		if !w.Refused(&w.form, err) {
			return err
		}
		w.gatherTo()
		return nil
	}
	if reach != nil && (len(list) > 0 || reach.Loses > 0) {
		r.Reach = w.reachView(reach)
	}
	return nil
}

// reviewProfile puts the profile itself into words.
func (w *wizard) reviewProfile(r *reviewStep) error {
	in, err := w.input()
	if err != nil {
		return err
	}
	notes, err := w.ui.fleet.CheckProfile(w.Context(), w.Actor, in)
	if err != nil {
		return err
	}
	r.Notes = w.notesInWords(notes)
	r.Basics = []FactLine{{Name: w.T("profile.name"), Value: *in.Name}, {Name: w.T("profile.type"), Value: w.T("type." + string(w.decl.Type))}, {Name: w.T("profile.platforms"), Value: w.saysPlatforms(w.platforms())}}
	if *in.Description != "" {
		r.Basics = append(r.Basics, FactLine{Name: w.T("profile.description"), Value: *in.Description})
	}
	if in.Tags != nil && len(*in.Tags) > 0 {
		r.Basics = append(r.Basics, FactLine{Name: w.T("ui.tags"), Value: tagText(*in.Tags)})
	}
	as := &fleet.Profile{Type: w.decl.Type, Name: *in.Name, Description: *in.Description, Platforms: *in.Platforms, Settings: in.Settings}
	if r.Settings, err = w.settingsInWords(w.decl.Type, as.Values(), w.platforms()); err != nil {
		return err
	}
	if w.mode == "edit" {
		if in.Tags != nil {
			as.Tags = *in.Tags
		}
		if r.Changes, err = w.differences(w.profile, as); err != nil {
			return err
		}
		before, after, err := w.delivered(w.profile, as)
		if err != nil {
			return err
		}
		r.Same = slices.Equal(before, after)
	}
	return nil
}

// gatheredNotes are the notes about single settings and ways of managing, with the sentence that gathers those of one platform.
var gatheredNotes = map[string]string{
	"profile.setting-not-on-platform": "profile.not-known-there",
	"profile.setting-supervised":      "profile.supervised-there",
	"profile.not-on-mode":             "profile.not-managed-so",
}

// notesInWords says what a check found. Settings that a platform does not know are gathered into one sentence for each platform.
func (w *wizard) notesInWords(notes []fleet.Reason) []Message {
	var out []Message
	type about struct {
		word     string
		platform fleet.Platform
	}
	where := map[about]int{}
	names := map[about][]string{}
	for _, n := range notes {
		word, gathered := gatheredNotes[n.Code]
		if !gathered {
			out = append(out, Message{Kind: Mute, Text: w.Say(n)})
			continue
		}
		at := about{word, fleet.Platform(n.Args["platform"])}
		if names[at] == nil {
			where[at] = len(out)
			out = append(out, Message{Kind: Mute})
		}
		name := "“" + w.T(fieldWord(w.decl.Type, n.Args["setting"])) + "”"
		if mode, ok := n.Args["mode"]; ok {
			name = w.T("word.mode." + mode)
		}
		names[at] = append(names[at], name)
	}
	for at, list := range names {
		out[where[at]].Text = w.T(at.word, "platform", w.saysPlatform(at.platform), "settings", w.Words.List(list))
	}
	return out
}

// delivered are the settings that count, of two versions, for telling whether devices get anything anew.
func (q *Request) delivered(a, b *fleet.Profile) (before, after []string, err error) {
	for i, p := range []*fleet.Profile{a, b} {
		groups, err := q.settingsInWords(p.Type, p.Values(), p.Platforms)
		if err != nil {
			return nil, nil, err
		}
		list := []string{q.saysPlatforms(p.Platforms)}
		for _, g := range groups {
			for _, l := range g.Lines {
				list = append(list, l.Name, settingString(l.Value))
			}
		}
		if i == 0 {
			before = list
		} else {
			after = list
		}
	}
	return before, after, nil
}

// differences between two versions, a sentence each.
func (q *Request) differences(old, now *fleet.Profile) ([]string, error) {
	var out []string
	add := func(label, was, is string) {
		if was != is {
			out = append(out, q.T("profile.changed", "field", label, "from", orNone(q, was), "to", orNone(q, is)))
		}
	}
	add(q.T("profile.name"), old.Name, now.Name)
	add(q.T("profile.description"), old.Description, now.Description)
	add(q.T("profile.platforms"), q.saysPlatforms(old.Platforms), q.saysPlatforms(now.Platforms))
	add(q.T("ui.tags"), tagText(old.Tags), tagText(now.Tags))
	d, ok := declared(old.Type)
	if !ok {
		return out, nil
	}
	was, is := old.Values(), now.Values()
	for _, fd := range d.Fields {
		var said [2]string
		for i, v := range []fleet.Values{was, is} {
			x, ok := v[fd.Key]
			if !ok || x == "" || !v.Counts(d, fd) {
				continue
			}
			value, err := q.saysSetting(old.Type, fd, x, false)
			if err != nil {
				return nil, err
			}
			said[i] = settingString(value)
		}
		add(q.T(fieldWord(old.Type, fd.Key)), said[0], said[1])
	}
	return out, nil
}

func settingString(x any) string {
	s, ok := x.(string)
	if !ok {
		return strings.TrimSpace(strings.Trim(htmlText(x), "\n"))
	}
	return s
}

func orNone(q *Request, s string) string {
	if s == "" {
		return q.T("profile.nothing")
	}
	return "“" + s + "”"
}

// reachView says whom an assignment reaches.
func (q *Request) reachView(r *fleet.Reach) *reachView {
	v := &reachView{Title: q.T("reach.title", "devices", q.Words.N("reach.devices", r.Devices, nil), "people", q.Words.N("reach.people", r.People, nil))}
	if r.Devices == 0 {
		v.Title = q.T("reach.none")
	} else if r.People == 0 {
		v.Title = q.T("reach.title.devices", "devices", q.Words.N("reach.devices", r.Devices, nil))
	}
	if r.Gains > 0 && r.Gains != r.Devices {
		v.Lines = append(v.Lines, q.Words.N("reach.gains", r.Gains, nil))
	}
	if r.Loses > 0 {
		v.Lines = append(v.Lines, q.Words.N("reach.loses", r.Loses, nil))
	}
	for i, d := range r.Sample {
		if i == 8 {
			break
		}
		v.Sample = append(v.Sample, q.heldDevice(d))
	}
	if more := r.Devices - len(v.Sample); more > 0 && len(v.Sample) > 0 {
		v.More = q.Words.N("reach.more", more, nil)
	}
	for _, u := range r.Without {
		if u.Device != nil {
			v.Without = append(v.Without, unfitRow{heldDevice: q.heldDevice(u.Device), Why: q.Say(u.Reason), Status: q.deliveryStatus(u.Status)})
		}
	}
	for _, reason := range r.Warnings {
		v.Warnings = append(v.Warnings, Message{Kind: Warn, Text: q.Say(reason)})
	}
	return v
}

// countsBar draws how many devices have a profile in which state.
func (q *Request) countsBar(counts map[fleet.ProfileStatusCode]int, link string) (SplitBar, int) {
	bar := SplitBar{Title: q.T("profile.statuses"), Empty: q.T("profile.statuses.none")}
	total := 0
	var said []string
	for _, code := range deliveryCodes() {
		n := counts[code]
		if n <= 0 || code == fleet.StatusRemoved {
			continue
		}
		total += n
		status := q.deliveryStatus(code)
		part := Part{Word: status.Word, N: n, Text: q.Words.Number(int64(n)), Class: "c-" + string(status.Kind)}
		if link != "" {
			part.Href = link + "?status=" + string(code)
		}
		bar.Parts = append(bar.Parts, part)
		said = append(said, strconv.Itoa(n)+" "+strings.ToLower(part.Word))
	}
	bar.Summary = q.Words.List(said)
	return bar, total
}
