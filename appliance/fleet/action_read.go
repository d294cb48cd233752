package fleet

import (
	"context"

	"muster/store"
)

// Action returns one action.
func (f *Fleet) Action(ctx context.Context, a Actor, id ActionID) (*Action, error) {
	return viewed(ctx, f, func(tx store.Tx) (*Action, error) {
		x, err := actions.Get(tx, string(id))
		if err != nil {
			return nil, notFound(err, "action")
		}
		if err := f.seesAction(tx, a, x); err != nil {
			return nil, err
		}
		return x, nil
	})
}

// seesAction checks the scope of an action by its device or, when that is gone, by its receipt.
func (f *Fleet) seesAction(tx store.Tx, a Actor, x *Action) error {
	_, err := f.deviceOf(tx, a, x.Device, DevicesRead)
	if err == nil {
		return nil
	}
	if has, hasErr := devices.Has(tx, string(x.Device)); hasErr != nil || has {
		return err
	}
	if err := need(a, DevicesRead); err != nil {
		return err
	}
	seen := a.AllTags
	if err := receipts.Each(tx, store.Query{Index: "device", Value: string(x.Device)}, func(r *Receipt) (bool, error) {
		seen = seen || sees(a, r.Tags)
		return !seen, nil
	}); err != nil {
		return err
	}
	if !seen {
		return Refuse(ErrNotFound, "not-found", "what", "action")
	}
	return nil
}

// Actions of a device, newest first.
func (f *Fleet) Actions(ctx context.Context, a Actor, id DeviceID, q ListQuery) (List[*Action], error) {
	out := List[*Action]{Total: -1}
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.deviceOf(tx, a, id, DevicesRead); err != nil {
			return err
		}
		sq := store.Query{Index: "device", Value: string(id), Cursor: q.Cursor, Reverse: !q.Reverse}
		var err error
		out.Items, out.Next, err = pageOf(tx, actions, sq, pageLimit(q.Limit), func(*Action) (bool, error) { return true, nil })
		return err
	})
	return out, err
}

// RevealPIN returns the PIN of a locked Mac; audited. PINs outlive device records.
func (f *Fleet) RevealPIN(ctx context.Context, a Actor, id ActionID) (string, error) {
	var pin string
	err := f.db.Update(ctx, func(tx store.Tx) error {
		x, err := actions.Get(tx, string(id))
		if err != nil {
			return notFound(err, "action")
		}
		if err := f.seesAction(tx, a, x); err != nil {
			return err
		}
		if err := need(a, x.Type.Needs()); err != nil {
			return err
		}
		if len(x.Secret) == 0 {
			return Refuse(ErrNotFound, "not-found", "what", "pin")
		}
		plain, err := f.db.Sealer().Open(actions.Name(), string(x.ID), x.Secret)
		if err != nil {
			return err
		}
		pin = string(plain)
		return f.record(tx, a, "reveal-pin", "device/"+string(x.Device), "", nil, nil, map[string]any{"action": x.ID, "type": x.Type})
	})
	return pin, err
}
