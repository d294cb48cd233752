package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// Needs says which permission an action takes.
func (t ActionType) Needs() Permission {
	switch t {
	case ActRetire:
		return DevicesRetire
	case ActWipe:
		return DevicesWipe
	case ActDelete:
		return DevicesDelete
	case ActQuery:
		return DevicesQuery
	}
	return DevicesLock
}

// choices are the platform's, completed by what the device's life and the actor's role allow.
func (f *Fleet) choices(tx store.Tx, a Actor, d *Device) ([]ActionChoice, error) {
	m := f.modules[d.Platform]
	if m == nil {
		return nil, fmt.Errorf("no module for platform %q", d.Platform)
	}
	sheet, err := factsOf(tx, d.ID)
	if err != nil {
		return nil, err
	}
	open, err := openActions(tx, d.ID)
	if err != nil {
		return nil, err
	}
	settings, err := f.settings(tx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(m.Choices(d, sheet.Facts))
	if !slices.ContainsFunc(out, func(c ActionChoice) bool { return c.Type == ActDelete }) {
		out = append(out, ActionChoice{Type: ActDelete, Offered: true, Confirm: true})
	}
	for i := range out {
		c := &out[i]
		if !c.Offered {
			continue
		}
		if isLifecycle(c.Type) {
			c.Confirm = true
		}
		if c.Type == ActQuery && !mayQuery(settings, d) {
			c.Offered, c.Reason, c.Nodes = false, Why("query.off"), nil
			continue
		}
		if r := f.hinders(d, c.Type, open); r.Code != "" {
			c.Offered, c.Reason, c.Nodes = false, r, nil
			continue
		}
		if c.Type == ActClearApp {
			if c.Apps, err = f.managedApps(tx, m, d); err != nil {
				return nil, err
			}
			if len(c.Apps) == 0 {
				c.Offered, c.Reason = false, Why("action.no-apps")
				continue
			}
		}
		own := a.Kind == ActorPerson && d.Person == PersonID(a.ID) && d.Ownership == Personal && (c.Type == ActLock || c.Type == ActRetire || c.Type == ActWipe)
		if !own && !a.May(c.Type.Needs()) {
			c.Offered, c.Nodes, c.Apps, c.Reason = false, nil, nil, Why("forbidden", "permission", string(c.Type.Needs()))
		}
	}
	return out, nil
}

// hinders says why a device's life does not allow an action now; the zero Reason when it does.
func (f *Fleet) hinders(d *Device, t ActionType, open []*Action) Reason {
	switch {
	case d.Hidden && t == ActDelete:
		return Why("action.deleted")
	case t == ActDelete:
		return Reason{}
	case d.State.ended():
		return Why("action.ended", "state", string(d.State))
	case t == ActWipe && d.State == Retiring:
		return Reason{}
	case t == ActWipe && d.State == Wiping && !slices.ContainsFunc(open, func(a *Action) bool { return a.lifecycle() }):
		return Reason{} // the one before it was lost
	case d.State.leaving():
		return Why("action.leaving", "state", string(d.State))
	case !isLifecycle(t) && d.State != Managed:
		return Why("action.not-reached")
	case t == ActQuery:
		return tooManyQueries(open)
	}
	for _, a := range open {
		if a.Type == t {
			return Why("action.open", "action", string(t))
		}
	}
	return Reason{}
}

// ActionChoices says which actions are offered on a device, and of the rest why they are not (C4).
func (f *Fleet) ActionChoices(ctx context.Context, a Actor, id DeviceID) ([]ActionChoice, error) {
	return viewed(ctx, f, func(tx store.Tx) ([]ActionChoice, error) {
		d, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return nil, err
		}
		return f.choices(tx, a, d)
	})
}

// checkOptions refuses options that the action does not have, and fills in a PIN where one is needed and none was given.
func checkOptions(c *ActionChoice, o *ActionOptions) error {
	bad := faults{}
	has := func(option string, given bool) {
		if given && !slices.Contains(c.Options, option) {
			bad.put(strings.ReplaceAll(option, "-", "_"), "action.option", "option", option)
		}
	}
	has("message", o.Message != "")
	has("phone", o.Phone != "")
	has("keep-data-plan", o.KeepDataPlan)
	has("no-proximity", o.NoProximity)
	has("obliterate", o.Obliterate != "")
	has("keep-enrolled", o.KeepEnrolled)
	has(o.Method, o.Method != "")
	if o.Method != "" {
		bad.oneOf("method", o.Method, WipeMethods)
	}
	if o.KeepEnrolled && (o.Stolen || o.Method != "") {
		bad.put("keep_enrolled", "action.option", "option", "keep-enrolled")
	}
	has("stolen", o.Stolen && c.Type != ActWipe)
	if o.PIN != "" && !c.NeedsPIN {
		bad.put("pin", "action.option", "option", "pin")
	}
	switch {
	case c.Type != ActQuery:
		has("node", o.Node != "")
	case !slices.Contains(c.Nodes, o.Node):
		bad.put("node", "query.node")
	}
	switch {
	case c.Type != ActClearApp:
		has("app", o.App != "")
	case !slices.ContainsFunc(c.Apps, func(x App) bool { return x.ID == o.App }):
		bad.put("app", "action.app")
	}
	bad.line("message", o.Message, 0, 300)
	bad.line("phone", o.Phone, 0, 40)
	if o.Obliterate != "" {
		bad.oneOf("obliterate", o.Obliterate, []string{"Default", "DoNotObliterate", "ObliterateWithWarning", "Always"})
	}
	if c.NeedsPIN && o.PIN == "" {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return err
		}
		o.PIN = fmt.Sprintf("%06d", n)
	}
	if c.NeedsPIN && (len(o.PIN) != 6 || strings.Trim(o.PIN, "0123456789") != "") {
		bad.put("pin", "action.pin")
	}
	return bad.refuse("action.invalid")
}

// Act orders an action. For retire, wipe and delete confirm must be the device's name. What does not apply is ErrNotApplicable
// with the same words as ActionChoices. Retire, wipe, delete: access certificates are revoked in the same transaction, other open actions are
// overtaken, a receipt is opened. A PIN that is needed and not given is made up; RevealPIN tells it.
func (f *Fleet) Act(ctx context.Context, a Actor, id DeviceID, t ActionType, o ActionOptions, confirm string) (*Action, error) {
	var out *Action
	actionID := ActionID(store.NewID())
	given := o
	err := f.db.Update(ctx, func(tx store.Tx) error {
		d, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return err
		}
		list, err := f.choices(tx, a, d)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(c ActionChoice) bool { return c.Type == t })
		if i < 0 {
			return Refuse(ErrInvalid, "action.unknown-type", "action", clip(string(t), 40))
		}
		c := &list[i]
		if !c.Offered {
			kind := ErrNotApplicable
			switch c.Reason.Code {
			case "forbidden":
				kind = ErrForbidden
			case "action.open", "query.too-many", "action.leaving", "action.ended", "action.deleted":
				kind = ErrConflict
			}
			return &Refusal{Kind: kind, Reason: c.Reason}
		}
		if c.Confirm && confirm != d.Name {
			return refuseField(ErrInvalid, "confirm", Why("action.confirm", "name", d.Name))
		}
		o := given
		if err := checkOptions(c, &o); err != nil {
			return err
		}
		out, err = f.order(tx, a, d, list, actionID, t, o)
		return err
	})
	return out, err
}

// order stores an action and what it brings with it.
func (f *Fleet) order(tx store.Tx, by Actor, d *Device, list []ActionChoice, id ActionID, t ActionType, o ActionOptions) (*Action, error) {
	m := f.modules[d.Platform]
	now := f.now().UTC()
	a := &Action{ID: id, Device: d.ID, Enrolment: d.Enrolment, Type: t, Options: o, State: ActionQueued, By: by.Name, Created: now, Once: m.Once(t)}
	if a.lifecycle() && t != ActWipe { // the steps of a removal can be repeated
		a.Once = false
	}
	if o.PIN != "" {
		a.Secret = f.db.Sealer().Seal(actions.Name(), string(id), []byte(o.PIN))
		a.Options.PIN = ""
	}
	if life := m.Lifetime(t); life > 0 && !a.lifecycle() {
		end := now.Add(life)
		a.Expires = &end
	}
	label := map[string]any{"action": t, "id": id, "options": a.Options}
	if err := f.record(tx, by, string(t), "device/"+string(d.ID), d.Name, d.Tags, nil, label); err != nil {
		return nil, err
	}
	if err := f.event(tx, d.ID, Why("event.action-ordered", "action", string(t)), Evidence{}, by.Name); err != nil {
		return nil, err
	}
	f.publish(tx, "action", string(id))
	rep, err := reportOf(tx, d)
	if err != nil {
		return nil, err
	}
	rep.Open = append(rep.Open, id)
	if !a.lifecycle() {
		if t == ActSync {
			for _, q := range m.Queries(d) {
				rep.channel(DeviceChannel).query(q).Wanted = true
			}
		}
		if err := reports.Put(tx, rep); err != nil {
			return nil, err
		}
		if err := actions.Insert(tx, a); err != nil {
			return nil, err
		}
		f.touched(tx, d.ID)
		return a, f.wakeDevice(tx, d, string(t))
	}
	return a, f.orderRemoval(tx, by, d, rep, list, a)
}

// orderRemoval sets a lifecycle target.
func (f *Fleet) orderRemoval(tx store.Tx, by Actor, d *Device, rep *reported, list []ActionChoice, a *Action) error {
	old := d.snapshot()
	if a.Options.Stolen {
		d.Stolen = true
	}
	e := evRetire
	if a.Type == ActWipe {
		e = evWipe
	}
	if a.Type == ActDelete {
		d.Hidden = true
		offers := func(t ActionType) bool {
			return slices.ContainsFunc(list, func(c ActionChoice) bool { return c.Type == t && (c.Offered || c.Reason.Code == "forbidden") })
		}
		if !offers(ActRetire) && offers(ActWipe) && !d.State.leaving() {
			if !by.May(DevicesWipe) { // where removal can only be a factory reset, deleting is one
				return Refuse(ErrForbidden, "forbidden", "permission", string(DevicesWipe))
			}
			e = evWipe
		}
	}
	if err := actions.Insert(tx, a); err != nil {
		return err
	}
	switch {
	case d.State.ended():
		if err := f.endAction(tx, a, ActionDone, Why("action.nothing-left"), Evidence{}); err != nil {
			return err
		}
		return f.purge(tx, old, d)
	case a.Type == ActDelete && d.State.leaving(): // the removal under way is the one that deleting needs
		if err := reports.Put(tx, rep); err != nil {
			return err
		}
		if err := f.saveDevice(tx, old, d); err != nil {
			return err
		}
		return f.wakeDevice(tx, d, string(a.Type))
	}
	if a.Type == ActWipe && d.State == Wiping { // again, after one that was lost
		rep.wipeAgain(d)
		if err := reports.Put(tx, rep); err != nil {
			return err
		}
		if err := f.saveDevice(tx, old, d); err != nil {
			return err
		}
		return f.wakeDevice(tx, d, string(a.Type))
	}
	if err := countDevice(tx, old, d); err != nil { // the passage counts from the device as it is now
		return err
	}
	return f.transit(tx, &passage{device: d, rep: rep, by: by.Name, action: a}, e)
}

// CallOff cancels what has not been handed over; a removal only while nothing of it was handed over, or when the device has refused it.
func (f *Fleet) CallOff(ctx context.Context, a Actor, id ActionID) error {
	return f.db.Update(ctx, func(tx store.Tx) error { return f.callOff(tx, a, id) })
}

func (f *Fleet) callOff(tx store.Tx, a Actor, id ActionID) error {
	x, err := actions.Get(tx, string(id))
	if err != nil {
		return notFound(err, "action")
	}
	d, err := f.deviceOf(tx, a, x.Device, DevicesRead)
	if err != nil {
		return Refuse(ErrNotFound, "not-found", "what", "action")
	}
	if err := need(a, x.Type.Needs()); err != nil {
		return err
	}
	if x.State != ActionQueued || x.Enrolment != d.Enrolment {
		return Refuse(ErrConflict, "action.too-late", "state", string(x.State))
	}
	rep, err := reportOf(tx, d)
	if err != nil {
		return err
	}
	if x.lifecycle() && rep.Removal != nil && rep.Removal.Begun && (rep.Tries[x.ID] == nil || rep.Removal.Handed) {
		return Refuse(ErrConflict, "action.too-late", "state", string(ActionSent))
	}
	if err := f.record(tx, a, "call-off", "device/"+string(d.ID), d.Name, d.Tags, nil, map[string]any{"action": x.Type, "id": x.ID}); err != nil {
		return err
	}
	if err := f.endAction(tx, x, ActionCancelled, Why("action.cancelled", "by", a.Name), Evidence{}); err != nil {
		return err
	}
	f.touched(tx, d.ID)
	if !x.lifecycle() {
		return nil
	}
	open, err := openActions(tx, d.ID)
	if err != nil {
		return err
	}
	old := d.snapshot()
	if x.Type == ActDelete {
		d.Hidden = false
	}
	if x.Options.Stolen {
		d.Stolen = false
	}
	for _, y := range open {
		if y.ID != x.ID && y.lifecycle() { // another order still wants it
			return f.saveDevice(tx, old, d)
		}
	}
	if err := countDevice(tx, old, d); err != nil {
		return err
	}
	return f.transit(tx, &passage{device: d, rep: rep, by: a.Name, action: x}, evCallOff)
}

// expireActions ends those whose time is over.
func (f *Fleet) expireActions(tx store.Tx, list []*Action, now time.Time) error {
	for _, a := range list {
		if a.Expires == nil || now.Before(*a.Expires) {
			continue
		}
		if a.Once && a.lifecycle() && a.State == ActionSent {
			if err := f.expireWipe(tx, a); err != nil {
				return err
			}
			continue
		}
		s, r := ActionExpired, Why("action.expired")
		if a.Once && a.State == ActionSent {
			s, r = ActionUnknown, Why("action.unknown")
		}
		if err := f.endAction(tx, a, s, r, Evidence{}); err != nil {
			return err
		}
		f.touched(tx, a.Device)
	}
	return nil
}
