package fleet

import (
	"context"

	"muster/store"
)

// timeline holds events under their device: ids are the device, a dot and a ULID, so that id order is time order.
var timeline = store.Define("tl", func(e *Event) string { return e.ID })

// event adds a line to a device's timeline in the caller's transaction. by names who did it; empty for the device itself.
func (f *Fleet) event(tx store.Tx, d DeviceID, r Reason, ev Evidence, by string) error {
	e := &Event{ID: string(d) + "." + store.NewID(), Device: d, At: f.now().UTC(), Reason: r, Evidence: ev, Actor: by}
	if err := timeline.Put(tx, e); err != nil {
		return err
	}
	f.publish(tx, "device", string(d))
	return nil
}

// below is the range of ids that begin with a device and a dot.
func below(d DeviceID) store.Query {
	return store.Query{From: string(d) + ".", To: string(d) + "/"} // "/" follows "." in ASCII
}

// Timeline, newest first; with Reverse oldest first.
func (f *Fleet) Timeline(ctx context.Context, a Actor, id DeviceID, q ListQuery) (List[*Event], error) {
	out := List[*Event]{Total: -1}
	err := f.db.View(ctx, func(tx store.Tx) error {
		_, err := f.deviceOf(tx, a, id, DevicesRead)
		if err != nil {
			return err
		}
		sq := below(id)
		sq.Cursor, sq.Limit, sq.Reverse = q.Cursor, pageLimit(q.Limit), !q.Reverse
		out.Items, out.Next, err = pageOf(tx, timeline, sq, sq.Limit, func(*Event) (bool, error) { return true, nil })
		return err
	})
	return out, err
}
