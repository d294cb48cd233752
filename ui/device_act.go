package ui

import (
	"net/http"
	"slices"
	"strings"

	"muster/appliance/fleet"
)

// actPage asks before something is ordered: what happens to what, what cannot be
// undone, the options, and for what takes data away the device's name.
type actPage struct {
	Device   *fleet.Device
	Icon     string
	Back     string
	Title    string
	Text     string
	Status   string // how long ago it called in, for what waits for that
	Ways     []wayView
	Rows     []removedData
	Warning  string
	Danger   bool
	Type     string // name that must be typed
	Fields   []Field
	Hidden   []hiddenField
	Form     Form
	Action   string
	Word     string // of the button
	Refused  string // why it is not offered
	Mend     Button // where that can be changed; no Word: nowhere, or not by the reader
	Way      string
	Notes    []string
	Language string
}

// wayView is one of the two reasons for a wipe.
type wayView struct{ Icon, Title, Text, Href, Word string }

// removedData is one row of the table of what goes and what stays.
type removedData struct {
	Data, Outcome string
	Stays         bool
	Items         []string
	Serials       []string
}

// Ways of wiping: they differ in what goes and what happens afterwards.
const (
	wayNext = "next" // for the next person
	wayLost = "lost" // lost or stolen
	wayKeep = "keep" // for the same person: a PC that stays managed
)

// waysOf are the ways of a wipe that apply.
func waysOf(c fleet.ActionChoice) []string {
	out := []string{wayNext, wayLost}
	if slices.Contains(c.Options, "keep-enrolled") {
		out = append(out, wayKeep)
	}
	return out
}

var wayIcons = map[string]string{wayNext: "person", wayLost: "ban", wayKeep: "sync"}

// keptData is what goes and what stays on a PC that stays managed: codes below act.keep.
var keptData = []struct {
	code  string
	stays bool
}{{"files", false}, {"programs", false}, {"changes", false}, {"profiles", false}, {"accounts", true}, {"enrolment", true}, {"maker", true}}

func (u *UI) actAsk(q *Request) error {
	return q.showAct(http.StatusOK, Form{Values: q.URL.Query()})
}

// showAct shows the page for an action, with what was typed and why it was
// refused.
func (q *Request) showAct(status int, form Form) error {
	id, action := fleet.DeviceID(q.PathValue("id")), fleet.ActionType(q.PathValue("action"))
	d, err := q.ui.fleet.Device(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	choices, err := q.ui.fleet.ActionChoices(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	c, ok := choiceOf(choices, action)
	if !ok {
		return errNoPage
	}
	back := "/devices/" + string(id)
	page := actPage{Device: d, Icon: actionIcon(action), Back: back, Form: form, Action: back + "/act/" + string(action),
		Title: q.actionText("act.title", d, action, "name", d.Name), Text: q.Say(c.Reason), Word: q.actionText("act.button", d, action, "name", d.Name)}
	if !c.Offered {
		page.Refused, page.Text = q.Say(c.Reason), ""
		if c.Reason.Code == "query.off" && q.Actor.May(fleet.SettingsEdit) {
			page.Mend = Button{Href: "/settings/privacy#switches", Word: q.T("act.query.mend"), Style: "primary"}
		}
		if status == http.StatusOK {
			status = http.StatusConflict
			if c.Reason.Code == "forbidden" {
				status = http.StatusForbidden
			}
		}
		return q.PageStatus(status, "app/device-act", Page{Title: page.Title, Data: page})
	}
	way := form.Value("for")
	ways := waysOf(c)
	if action == fleet.ActWipe && !slices.Contains(ways, way) {
		page.Text = q.T("act.wipe.ways")
		for _, w := range ways {
			page.Ways = append(page.Ways, wayView{Icon: wayIcons[w], Title: q.T("act.wipe." + w), Text: q.wayText(w, choices), Href: page.Action + "?for=" + w, Word: q.T("act.wipe." + w + ".do")})
		}
		return q.PageStatus(status, "app/device-act", Page{Title: page.Title, Data: page})
	}
	if action == fleet.ActWipe {
		page.Way = way
		page.Hidden = append(page.Hidden, hiddenField{"for", way})
		page.Title = q.T("act.title.wipe."+way, "name", d.Name)
		page.Notes = append(page.Notes, q.wayText(way, choices))
	}
	if action == fleet.ActWipe && way == wayKeep {
		page.Danger, page.Type = true, d.Name
		page.Text, page.Notes = q.wayText(way, choices), []string{q.T("act.wipe.keep.how")}
		page.Warning, page.Word = q.T("act.undo.wipe.keep"), q.T("act.button.wipe.keep", "name", d.Name)
		for _, k := range keptData {
			page.Rows = append(page.Rows, removedData{Data: q.T("act.keep." + k.code), Outcome: q.T("act.keep." + k.code + ".text"), Stays: k.stays})
		}
	} else if c.Confirm {
		page.Danger, page.Type = true, d.Name
		page.Warning = q.T("act.undo." + string(action))
		rows, err := q.ui.fleet.RemovalPreview(q.Context(), q.Actor, id, action)
		if err != nil {
			return err
		}
		for _, r := range rows {
			page.Rows = append(page.Rows, q.removedData(r))
		}
	}
	if action == fleet.ActDelete && deviceEnded(d.State) {
		page.Text, page.Warning, page.Rows = q.T("device.delete.ended"), q.T("act.undo.delete.ended"), nil
	} else if action == fleet.ActDelete && d.Ownership == fleet.Personal {
		page.Notes = append(page.Notes, q.T("act.delete.personal"))
	}
	page.Fields = q.actFields(c, d, form)
	return q.PageStatus(status, "app/device-act", Page{Title: page.Title, Data: page})
}

// wayText says what a way of wiping brings. To lock a lost device first is no advice where that cannot be done.
func (q *Request) wayText(way string, choices []fleet.ActionChoice) string {
	if c, ok := choiceOf(choices, fleet.ActLock); way == wayLost && (!ok || !c.Offered) {
		return q.T("act.wipe.lost.text.no-lock")
	}
	return q.T("act.wipe." + way + ".text")
}

func (q *Request) removedData(r fleet.RemovalRow) removedData {
	code := r.Outcome.Code
	return removedData{Data: q.word("data", r.Data), Outcome: q.Say(r.Outcome), Stays: strings.HasSuffix(code, "stays") || strings.HasSuffix(code, "not-applicable"), Items: r.Items, Serials: r.Serials}
}

// actFields are the options that apply to this device. Whether a device counts as
// stolen is decided by the way of wiping.
func (q *Request) actFields(c fleet.ActionChoice, d *fleet.Device, form Form) []Field {
	has := func(option string) bool { return slices.Contains(c.Options, option) }
	field := func(name, kind string) Field {
		return Field{Form: form, Name: name, Type: kind, Label: q.T("act.field." + name), Hint: q.T("act.field." + name + ".hint"), Value: form.Value(name)}
	}
	var out []Field
	if has("message") {
		f := field("message", "textarea")
		f.Rows = 2
		out = append(out, f)
	}
	if has("phone") {
		f := field("phone", "tel")
		f.Autocomplete = "off"
		out = append(out, f)
	}
	if has("pin") {
		f := field("pin", "code")
		f.Autocomplete = "off"
		out = append(out, f)
	}
	if has("keep-data-plan") && form.Value("for") != wayLost {
		out = append(out, field("keep_data_plan", "check"))
	}
	if has("no-proximity") && form.Value("for") != wayLost {
		out = append(out, field("no_proximity", "check"))
	}
	if has("app") {
		f := field("app", "select")
		f.Required, f.Options = true, []Option{{Word: q.T("act.field.app.choose")}}
		for _, x := range c.Apps {
			o := Option{Value: x.ID, Word: x.ID}
			if x.Name != "" && x.Name != x.ID {
				o.Word = x.Name + " (" + x.ID + ")"
			}
			f.Options = append(f.Options, o)
		}
		out = append(out, f)
	}
	if c.Type == fleet.ActWipe && form.Value("for") != wayKeep {
		f := field("method", "select")
		f.Options = []Option{{Word: q.T("act.method.usual")}}
		for _, m := range fleet.WipeMethods {
			if has(m) && (m != "keep-provisioning" || form.Value("for") != wayLost) { // it might enrol again by itself
				f.Options = append(f.Options, Option{Value: m, Word: q.T("act.method." + m)})
			}
		}
		if len(f.Options) > 1 {
			out = append(out, f)
		}
	}
	if has("node") {
		f := field("node", "select")
		f.Required, f.Options = true, q.nodeOptions(c.Nodes)
		out = append(out, f)
	}
	if has("obliterate") {
		f := field("obliterate", "select")
		if f.Value == "" {
			f.Value = "Default"
		}
		for _, v := range []string{"Default", "DoNotObliterate", "ObliterateWithWarning", "Always"} {
			f.Options = append(f.Options, Option{Value: v, Word: q.T("act.obliterate." + v)})
		}
		f.Required = true
		out = append(out, f)
	}
	return out
}

func (u *UI) act(q *Request) error {
	id, action := fleet.DeviceID(q.PathValue("id")), fleet.ActionType(q.PathValue("action"))
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	d, err := u.fleet.Device(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	way := form.Value("for")
	if action == fleet.ActWipe && way != wayNext && way != wayLost && way != wayKeep {
		return q.showAct(http.StatusUnprocessableEntity, form)
	}
	o := fleet.ActionOptions{Message: strings.TrimSpace(form.Value("message")), Phone: strings.TrimSpace(form.Value("phone")), PIN: strings.TrimSpace(form.Value("pin")),
		KeepDataPlan: form.Value("keep_data_plan") != "", NoProximity: form.Value("no_proximity") != "", Obliterate: form.Value("obliterate"), Node: form.Value("node"), App: form.Value("app"), Method: form.Value("method"),
		KeepEnrolled: action == fleet.ActWipe && way == wayKeep, Stolen: action == fleet.ActWipe && way == wayLost}
	confirm := strings.TrimSpace(form.Value("confirm"))
	if strings.EqualFold(confirm, strings.TrimSpace(d.Name)) { // as the page's script has it
		confirm = d.Name
	}
	a, err := u.fleet.Act(q.Context(), q.Actor, id, action, o, confirm)
	if err != nil {
		if q.Refused(&form, err) {
			form.Values.Del("pin")
			return q.showAct(http.StatusUnprocessableEntity, form)
		}
		return err
	}
	key := "act.ordered"
	if per := key + "." + string(d.Platform); q.Words.Has(per) {
		key = per // nobody wakes it by a push of ours
	}
	if len(a.Secret) > 0 {
		key = "act.ordered.pin"
	}
	if action == fleet.ActDelete {
		q.Flash(Good, "act.ordered.delete", "name", d.Name)
		return q.Redirect("/devices")
	}
	q.Flash(Good, key, "action", string(action), "name", d.Name)
	return q.Redirect("/devices/" + string(id))
}
