package ui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// actionDomain is what ordering on a device asks of the domain.
type actionDomain interface {
	Act(ctx context.Context, a fleet.Actor, id fleet.DeviceID, t fleet.ActionType, o fleet.ActionOptions, confirm string) (*fleet.Action, error)
	Action(ctx context.Context, a fleet.Actor, id fleet.ActionID) (*fleet.Action, error)
	Actions(ctx context.Context, a fleet.Actor, id fleet.DeviceID, q fleet.ListQuery) (fleet.List[*fleet.Action], error)
	ActionChoices(ctx context.Context, a fleet.Actor, id fleet.DeviceID) ([]fleet.ActionChoice, error)
	CallOff(ctx context.Context, a fleet.Actor, id fleet.ActionID) error
	RevealPIN(ctx context.Context, a fleet.Actor, id fleet.ActionID) (string, error)
	RemovalPreview(ctx context.Context, a fleet.Actor, id fleet.DeviceID, t fleet.ActionType) ([]fleet.RemovalRow, error)
}

func (u *UI) actionRoutes() {
	u.admin("GET /devices/{id}/act/{action}", u.actAsk)
	u.admin("POST /devices/{id}/act/{action}", u.act)
	u.admin("POST /devices/{id}/actions/{order}/call-off", u.callOff)
	u.admin("POST /devices/{id}/actions/{order}/pin", u.revealPIN)
}

// orderView is one order with its life.
type orderView struct {
	ID       fleet.ActionID
	Word     string
	Icon     string
	By       string
	Status   Status
	Why      string
	Life     []lifeStep
	Ended    time.Time
	Ordered  time.Time
	Options  string
	Evidence []evidenceView
	CallOff  bool
	PIN      bool
	Reply    *fleet.Reply
}

// lifeStep is one stage in the life of an order.
type lifeStep struct {
	Word    string
	At      time.Time // zero: not reached
	Current bool
}

// choiceView is an action that is offered, or not with the reason.
type choiceView struct {
	Type       fleet.ActionType
	Word, Icon string
	Do         string // on its button
	Text       string
	Danger     bool
	AtOnce     bool // needs no page of its own
	Href       string
}

// deviceOrders fills in what can be ordered, what is under way and what was.
func (q *Request) deviceOrders(page *devicePage, _ []fleet.ProfileStatus) error {
	ctx, d := q.Context(), page.Device
	choices, err := q.ui.fleet.ActionChoices(ctx, q.Actor, d.ID)
	if err != nil {
		return err
	}
	for _, c := range choices {
		if c.Reason.Code == "forbidden" {
			continue // what the role may not do is absent
		}
		v := q.choiceView(d, c)
		if c.Offered {
			page.Offered = append(page.Offered, v)
			page.Sync = page.Sync || c.Type == fleet.ActSync
			continue
		}
		page.Refused = append(page.Refused, v)
	}
	list, err := q.ui.fleet.Actions(ctx, q.Actor, d.ID, fleet.ListQuery{Limit: 50})
	if err != nil {
		return err
	}
	for _, a := range list.Items {
		v := q.orderView(d, a)
		if a.Ended == nil {
			page.Open = append(page.Open, v)
		} else {
			page.Past = append(page.Past, v)
		}
	}
	return nil
}

func (q *Request) choiceView(d *fleet.Device, c fleet.ActionChoice) choiceView {
	v := choiceView{Type: c.Type, Word: capital(q.actionText("word.action", d, c.Type)), Do: q.actionText("device.do", d, c.Type), Icon: actionIcon(c.Type), Text: q.Say(c.Reason), AtOnce: c.Type == fleet.ActSync,
		Danger: c.Type == fleet.ActWipe || c.Type == fleet.ActRetire || c.Type == fleet.ActDelete, Href: "/devices/" + string(d.ID) + "/act/" + string(c.Type)}
	if c.Offered && c.Type == fleet.ActDelete && deviceEnded(d.State) {
		v.Text = q.T("device.delete.ended")
	}
	return v
}

func (q *Request) orderView(d *fleet.Device, a *fleet.Action) orderView {
	v := orderView{Reply: a.Reply, ID: a.ID, Word: capital(q.actionText("word.action", d, a.Type)), Icon: actionIcon(a.Type), By: a.By, Status: q.actionStatus(a.State), Why: q.Say(a.Reason), Ordered: a.Created,
		Evidence: q.evidence(a.Evidence), PIN: len(a.Secret) > 0 && q.Actor.May(a.Type.Needs())}
	if a.Ended != nil {
		v.Ended = *a.Ended
	} else {
		v.CallOff = a.State == fleet.ActionQueued && q.Actor.May(a.Type.Needs())
		if v.Why == "" {
			v.Why = q.T("device.order." + string(a.State))
		}
	}
	step := func(key string, at *time.Time) {
		s := lifeStep{Word: q.T("device.life." + key)}
		if at != nil {
			s.At = *at
		}
		v.Life = append(v.Life, s)
	}
	step("ordered", &a.Created)
	step("sent", a.Sent)
	var answered *time.Time
	if !a.Evidence.None() {
		answered = &a.Evidence.At
	}
	step("answered", answered)
	step("ended", a.Ended)
	for i := range v.Life {
		if i+1 < len(v.Life) && !v.Life[i].At.IsZero() && v.Life[i+1].At.IsZero() {
			v.Life[i].Current = true
			break
		}
	}
	var options []string
	option := func(on bool, key string, pairs ...any) {
		if on {
			options = append(options, q.T("device.option."+key, pairs...))
		}
	}
	o := a.Options
	option(o.Stolen, "stolen")
	option(o.Message != "", "message", "text", o.Message)
	option(o.Phone != "", "phone", "text", o.Phone)
	option(o.KeepDataPlan, "keep-data-plan")
	option(o.NoProximity, "no-proximity")
	if o.Obliterate != "" {
		option(true, "obliterate", "text", q.T("act.obliterate."+o.Obliterate))
	}
	option(o.KeepEnrolled, "keep-enrolled")
	if o.Method != "" {
		option(true, "method", "text", q.T("act.method."+o.Method))
	}
	option(o.App != "", "app", "text", o.App)
	option(o.Node != "", "node", "text", q.nodeWord(o.Node))
	v.Options = capital(strings.Join(options, "; "))
	return v
}

// flashRefusal goes back to a page and says there why something was refused.
// Errors of another kind, and those without words, are returned as they are.
func (q *Request) flashRefusal(err error, back string) error {
	var refusal *fleet.Refusal
	if !errors.As(err, &refusal) || !q.Words.Has("reason."+refusal.Reason.Code) {
		return err
	}
	switch {
	case errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotApplicable), errors.Is(err, fleet.ErrGone), errors.Is(err, fleet.ErrInvalid):
	default:
		return err
	}
	var pairs []string
	for k, v := range refusal.Reason.Args {
		pairs = append(pairs, k, v)
	}
	key := "reason." + refusal.Reason.Code
	q.Flash(Warn, key, pairs...)
	return q.Redirect(back)
}

func (u *UI) callOff(q *Request) error {
	back := "/devices/" + q.PathValue("id")
	a, err := q.orderOf()
	if err != nil {
		return err
	}
	if err := u.fleet.CallOff(q.Context(), q.Actor, a.ID); err != nil {
		return q.flashRefusal(err, back)
	}
	q.Flash(Good, "device.called-off", "action", string(a.Type))
	return q.Redirect(back)
}

// orderOf is the order that the address names, of the device that it names.
func (q *Request) orderOf() (*fleet.Action, error) {
	a, err := q.ui.fleet.Action(q.Context(), q.Actor, fleet.ActionID(q.PathValue("order")))
	if err != nil {
		return nil, err
	}
	if string(a.Device) != q.PathValue("id") {
		return nil, errNoPage
	}
	return a, nil
}

// revealPIN shows the PIN of a locked Mac once, on a page that is not kept.
func (u *UI) revealPIN(q *Request) error {
	a, err := q.orderOf()
	if err != nil {
		return err
	}
	pin, err := u.fleet.RevealPIN(q.Context(), q.Actor, a.ID)
	if err != nil {
		return err
	}
	back := "/devices/" + string(a.Device)
	name := q.T("device.this")
	if d, err := u.fleet.Device(q.Context(), q.Actor, a.Device); err == nil {
		name = d.Name
	} else if !errors.Is(err, fleet.ErrNotFound) {
		return err
	} else {
		back = "/receipts"
	}
	q.W.Header().Set("Cache-Control", "no-store")
	data := map[string]any{
		"Head": Head{Title: q.T("device.pin.title", "name", name), Back: back, BackWord: name}, "PIN": pin,
		"Ordered": a.Created, "Word": q.word("action", string(a.Type)), "Back": back,
	}
	return q.PageStatus(http.StatusOK, "app/device-pin", Page{Title: q.T("device.pin.title", "name", name), Data: data})
}

// choiceOf finds one action among the choices.
func choiceOf(list []fleet.ActionChoice, t fleet.ActionType) (fleet.ActionChoice, bool) {
	i := slices.IndexFunc(list, func(c fleet.ActionChoice) bool { return c.Type == t })
	if i < 0 {
		return fleet.ActionChoice{}, false
	}
	return list[i], true
}
