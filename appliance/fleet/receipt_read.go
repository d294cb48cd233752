package fleet

import (
	"context"
	"slices"

	"muster/store"
)

// Receipt returns one receipt; it outlives the device's record.
func (f *Fleet) Receipt(ctx context.Context, a Actor, id ReceiptID) (*Receipt, error) {
	if err := need(a, DevicesRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Receipt, error) {
		rc, err := receipts.Get(tx, string(id))
		if err != nil {
			return nil, notFound(err, "receipt")
		}
		if !sees(a, rc.Tags) {
			return nil, Refuse(ErrNotFound, "not-found", "what", "receipt")
		}
		return rc, nil
	})
}

// Receipts lists those of a device, or of all with an empty device, newest first.
func (f *Fleet) Receipts(ctx context.Context, a Actor, device DeviceID, q ListQuery) (List[*Receipt], error) {
	out := List[*Receipt]{Total: -1}
	if err := need(a, DevicesRead); err != nil {
		return out, err
	}
	err := f.db.View(ctx, func(tx store.Tx) error {
		sq := store.Query{Cursor: q.Cursor, Reverse: !q.Reverse}
		if device != "" {
			sq.Index, sq.Value = "device", string(device)
		}
		items, next, err := pageOf(tx, receipts, sq, pageLimit(q.Limit), func(r *Receipt) (bool, error) { return sees(a, r.Tags), nil })
		out.Items, out.Next = items, next
		return err
	})
	return out, err
}

// RemovalPreview is the table shown before retire, wipe or delete.
func (f *Fleet) RemovalPreview(ctx context.Context, a Actor, id DeviceID, t ActionType) ([]RemovalRow, error) {
	var out []RemovalRow
	err := f.db.View(ctx, func(tx store.Tx) error {
		d, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return err
		}
		if !isLifecycle(t) {
			return Refuse(ErrInvalid, "action.no-removal", "action", string(t))
		}
		m := f.modules[d.Platform]
		if m == nil {
			return Refuse(ErrNotApplicable, "profile.platform-off", "platform", string(d.Platform))
		}
		out = slices.Clone(m.Removal(d, t))
		rep, err := reportOf(tx, d)
		if err != nil {
			return err
		}
		for i := range out {
			row := &out[i]
			for _, ch := range rep.channels() {
				for _, u := range rep.Channels[ch].held() {
					for _, h := range u.holds() {
						if row.goes() && row.concerns(h.Type) && h.Name != "" && !slices.Contains(row.Items, h.Name) {
							row.Items = append(row.Items, h.Name)
						}
					}
				}
			}
			if row.Data == "certificates" {
				for _, c := range rep.Access {
					row.Serials = append(row.Serials, c.Serial)
				}
				slices.Sort(row.Serials)
			}
		}
		return nil
	})
	return out, err
}
