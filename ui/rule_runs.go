package ui

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"muster/appliance/fleet"
)

func (u *UI) ruleRunRoutes() {
	u.admin("GET /rule-runs/{id}", u.ruleRun)
	u.admin("GET /rule-runs/{id}/allow", u.askAllowRun)
	u.admin("POST /rule-runs/{id}/allow", u.allowRun)
	u.admin("POST /rule-runs/{id}/stop", u.stopRun)
	u.admin("POST /rule-runs/{id}/take-back", u.takeBack)
}

func ruleRunID(q *Request) fleet.StaleRunID { return fleet.StaleRunID(q.PathValue("id")) }

// ruleRunRow is a run in words.
type ruleRunRow struct {
	Link    string
	Rule    string
	Started time.Time
	By      string
	State   Status
	Says    string
	Taken   int
	Devices int
}

func (q *Request) ruleRunRow(r *fleet.StaleRun) ruleRunRow {
	kind := map[fleet.StaleRunState]Kind{fleet.RunAsking: Busy, fleet.RunWaiting: Warn, fleet.RunRemoving: Busy, fleet.RunDone: Good, fleet.RunStopped: Mute}[r.State]
	row := ruleRunRow{Link: "/rule-runs/" + string(r.ID), Rule: r.Rule.Name, Started: r.Started, By: r.By, Devices: r.Devices,
		State: Status{Kind: kind, Word: q.T("stale.run." + string(r.State))}, Taken: r.Outcomes[fleet.OutcomeOrdered] + r.Outcomes[fleet.OutcomeDeleted] + r.Outcomes[fleet.OutcomeTakenBack]}
	if r.By == string(r.Rule.Kind) {
		row.By = q.T("stale.by-itself")
	}
	switch r.State {
	case fleet.RunAsking:
		row.Says = q.T("stale.run.asking.says", "at", q.Words.DateTime(r.JudgeAt))
	case fleet.RunWaiting:
		row.Says = q.T("stale.run.waiting.says", "left", r.Left, "covered", r.Covered, "share", r.Rule.Share)
	case fleet.RunRemoving:
		row.Says = q.T("stale.run.removing.says")
	case fleet.RunDone:
		row.Says = q.Words.N("stale.run.done.says", row.Taken, nil)
	case fleet.RunStopped:
		row.Says = q.Say(r.Stopped)
	}
	return row
}

type ruleRunPage struct {
	Head     Head
	Run      *fleet.StaleRun
	Row      ruleRunRow
	Facts    []FactLine
	Devices  []ruleRunDevice
	Pager    *Pager
	MayStop  bool
	MayAllow bool
	Allow    string // what a yes does, with the number of devices
}

type ruleRunDevice struct {
	verdictRow
	ID       fleet.DeviceID
	Outcome  Status
	Reason   string
	MayTake  bool
	TakeBack string
}

func (u *UI) ruleRun(q *Request) error {
	run, err := u.fleet.StaleRun(q.Context(), q.Actor, ruleRunID(q))
	if err != nil {
		return err
	}
	list, err := u.fleet.StaleRunDevices(q.Context(), q.Actor, run.ID, q.asked())
	if err != nil {
		return err
	}
	may := q.mayRule(run.Rule.Kind)
	p := ruleRunPage{Run: run, Row: q.ruleRunRow(run), MayStop: may && run.Ended == nil, MayAllow: may && run.State == fleet.RunWaiting}
	if p.MayAllow {
		p.Allow = q.Words.N("stale.allow."+string(run.Rule.Kind), run.Left, nil)
	}
	state := p.Row.State.AsPill()
	p.Head = Head{Title: q.T("stale.run.title", "rule", run.Rule.Name), Sub: p.Row.Says, Status: &state, Back: "/rules", BackWord: q.T("stale.title")}
	if _, err := u.fleet.StaleRule(q.Context(), q.Actor, run.Rule.ID); err == nil {
		p.Head.Back, p.Head.BackWord = "/rules/"+string(run.Rule.ID), run.Rule.Name
	}
	p.Facts = []FactLine{{Name: q.T("stale.run.started"), Value: q.Words.DateTime(run.Started)}, {Name: q.T("stale.run.by"), Value: p.Row.By},
		{Name: q.T("stale.days"), Value: q.Words.N("stale.days.n", run.Rule.Days, nil)}, {Name: q.T("stale.run.covered"), Value: q.Words.Number(int64(run.Covered))},
		{Name: q.T("stale.run.listed"), Value: q.Words.Number(int64(run.Devices))}}
	for _, o := range fleet.StaleOutcomes {
		if n := run.Outcomes[o]; n > 0 {
			p.Facts = append(p.Facts, FactLine{Name: q.T("stale.outcome." + o), Value: q.Words.Number(int64(n))})
		}
	}
	if run.YesBy != "" {
		p.Facts = append(p.Facts, FactLine{Name: q.T("stale.run.yes-by"), Value: run.YesBy})
	}
	if run.Ended != nil {
		p.Facts = append(p.Facts, FactLine{Name: q.T("stale.run.ended"), Value: q.Words.DateTime(*run.Ended)})
	}
	for _, d := range list.Items {
		p.Devices = append(p.Devices, q.ruleRunDevice(run, d, may))
	}
	p.Pager = q.pages(list.Next, "")
	return q.Page("app/rule-run", Page{Title: p.Head.Title, Live: true, Data: p})
}

func (q *Request) ruleRunDevice(run *fleet.StaleRun, d *fleet.StaleRunDevice, may bool) ruleRunDevice {
	kind := map[string]Kind{fleet.OutcomeOpen: Busy, fleet.OutcomeOrdered: Good, fleet.OutcomeDeleted: Good}[d.Outcome]
	row := ruleRunDevice{verdictRow: q.verdictRow(d.Verdict), ID: d.Verdict.Device, MayTake: may && d.Outcome == fleet.OutcomeOrdered}
	if kind == "" {
		kind = Mute
	}
	row.Outcome = Status{Kind: kind, Word: q.T("stale.outcome." + d.Outcome)}
	if d.Outcome == fleet.OutcomeOpen && run.Ended != nil {
		row.Outcome = Status{Kind: Mute, Word: q.T("stale.stays")}
	}
	if d.Reason.Code != "" {
		row.Reason = q.Say(d.Reason)
	}
	row.TakeBack = q.T("stale.take-back.one", "name", row.Name)
	return row
}

func (u *UI) askAllowRun(q *Request) error {
	run, err := u.fleet.StaleRun(q.Context(), q.Actor, ruleRunID(q))
	if err != nil {
		return err
	}
	if !q.mayRule(run.Rule.Kind) {
		return fleet.ErrForbidden
	}
	link := "/rule-runs/" + string(run.ID)
	title := q.Words.N("stale.allow."+string(run.Rule.Kind), run.Left, nil)
	return q.Page("app/confirm", Page{Title: title, Data: Confirm{Title: title,
		Points:  []string{q.T("stale.allow.share", "left", strconv.Itoa(run.Left), "covered", strconv.Itoa(run.Covered), "share", strconv.Itoa(run.Rule.Share)), q.T("stale.allow.again")},
		Warning: q.T("stale.allow.warning." + string(run.Rule.Kind)), Action: link + "/allow", Hidden: map[string]string{"list": cmp.Or(q.URL.Query().Get("list"), run.List)}, Word: title, Danger: true, Back: link}})
}

// onRun does something with a run and goes back to it.
func (q *Request) onRun(done, refused string, do func(fleet.StaleRunID) error) error {
	id := ruleRunID(q)
	err := do(id)
	form := Form{}
	switch {
	case err == nil:
		q.Flash(Good, done)
	case q.Refused(&form, err):
		var refusal *fleet.Refusal
		if errors.As(err, &refusal) && refusal.Reason.Code == "rule.other-list" {
			refused = "reason.rule.other-list"
		}
		q.Flash(Warn, refused)
	default:
		return err
	}
	return q.Redirect("/rule-runs/" + string(id))
}

func (u *UI) allowRun(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	return q.onRun("stale.allowed", "stale.not-waiting", func(id fleet.StaleRunID) error {
		_, err := u.fleet.AllowStaleRun(q.Context(), q.Actor, id, form.Value("list"))
		return err
	})
}

func (u *UI) stopRun(q *Request) error {
	return q.onRun("stale.stopped", "stale.ended", func(id fleet.StaleRunID) error {
		_, err := u.fleet.StopStaleRun(q.Context(), q.Actor, id)
		return err
	})
}

func (u *UI) takeBack(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	return q.onRun("stale.taken-back", "stale.too-late", func(id fleet.StaleRunID) error {
		return u.fleet.TakeBackStale(q.Context(), q.Actor, id, fleet.DeviceID(form.Value("device")))
	})
}
