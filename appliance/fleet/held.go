package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"muster/store"
)

// After a restore the appliance is held. Its records are those of some hours or days ago: a removal that was ordered then may have been called off
// since, a device that was silent then may have called. What cannot be undone therefore waits for an administrator who has looked at the list.

// held is the stored mark.
type held struct {
	Since  time.Time `json:"since"`  // the restore
	Backup time.Time `json:"backup"` // when the backup was made
}

var keyHeld = []byte("org/held")

// heldNow returns the mark, nil when nothing is held.
func heldNow(tx store.Tx) (*held, error) {
	b, err := tx.Get(keyHeld)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether held: %w", err)
	}
	h := &held{}
	return h, json.Unmarshal(b, h)
}

// Held says whether wipe, retire, delete, cleanup and sync expiry are held back after a restore. Whatever removes something from devices by
// itself asks first.
func (f *Fleet) Held(tx store.Tx) (bool, error) {
	h, err := heldNow(tx)
	return h != nil, err
}

// released gives the steps of a removal; while it is held, each waits for the administrator's yes.
func (s *situation) released(diffs []difference) []difference {
	if !s.restored {
		return diffs
	}
	for i := range diffs {
		diffs[i].Ready, diffs[i].Why, diffs[i].Next = false, Why("waiting.restored"), time.Time{}
	}
	return diffs
}

// HeldRemoval is a removal that waits.
type HeldRemoval struct {
	Device  DeviceID   `json:"device"`
	Name    string     `json:"name"`
	State   State      `json:"state"`
	Deleted bool       `json:"deleted"`
	Action  ActionType `json:"action,omitempty"`
	By      string     `json:"by,omitempty"`
	Ordered time.Time  `json:"ordered,omitzero"`
}

// Restored is what is to be looked at after a restore.
type Restored struct {
	Held     bool          `json:"held"`
	Since    *time.Time    `json:"since,omitempty"`
	Backup   *time.Time    `json:"backup,omitempty"`
	Removals []HeldRemoval `json:"removals"`
	Count    int           `json:"count"`          // of all removals
	List     string        `json:"list"`           // stands for exactly these removals: what Release is to be told
	More     bool          `json:"more,omitempty"` // there are more removals than are listed
	Unknown  []Stranger    `json:"unknown"`        // devices with our certificate and without a record
}

const heldShown = 500

// mayRelease: confirming sends removals out, on any device.
func mayRelease(a Actor) error {
	for _, p := range []Permission{DevicesRetire, DevicesWipe, DevicesDelete} {
		if err := need(a, p); err != nil {
			return err
		}
	}
	if !a.AllTags {
		return Refuse(ErrForbidden, "forbidden", "permission", string(DevicesWipe))
	}
	return nil
}

// Restored says whether the appliance is held, and what waits.
func (f *Fleet) Restored(ctx context.Context, a Actor) (*Restored, error) {
	if err := need(a, DevicesRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Restored, error) {
		out := &Restored{Removals: []HeldRemoval{}, Unknown: []Stranger{}}
		h, err := heldNow(tx)
		if err != nil {
			return nil, err
		}
		if a.AllTags {
			if out.Unknown, err = listStrangers(tx); err != nil {
				return nil, err
			}
		}
		if h == nil {
			return out, nil
		}
		out.Held, out.Since, out.Backup = true, &h.Since, &h.Backup
		out.List, err = heldRemovals(tx, func(d *Device, x *Action) {
			if !sees(a, d.Tags) {
				return
			}
			if out.Count++; len(out.Removals) == heldShown {
				out.More = true
				return
			}
			r := HeldRemoval{Device: d.ID, Name: d.Name, State: d.State, Deleted: d.Hidden}
			if x != nil {
				r.Action, r.By, r.Ordered = x.Type, x.By, x.Created
			}
			out.Removals = append(out.Removals, r)
		})
		return out, err
	})
}

// heldRemovals goes through the removals that wait, each with its order where there is one, and returns what stands for the list: as many other
// devices, or other orders for the same ones, give another.
func heldRemovals(tx store.Tx, fn func(*Device, *Action)) (string, error) {
	list := sha256.New()
	err := eachLeaving(tx, func(d *Device) (bool, error) {
		open, err := openActions(tx, d.ID)
		if err != nil {
			return false, err
		}
		var order *Action
		for _, x := range open {
			if x.lifecycle() {
				order = x
			}
		}
		fmt.Fprintln(list, d.ID, d.State, d.Hidden)
		if order != nil {
			fmt.Fprintln(list, order.ID, order.Type)
		}
		fn(d, order)
		return true, nil
	})
	return hexOf(list.Sum(nil)), err
}

// eachLeaving goes through the devices with a removal under way.
func eachLeaving(tx store.Tx, fn func(*Device) (bool, error)) error {
	for _, s := range []State{Retiring, Wiping} {
		more := true
		err := devices.Each(tx, store.Query{Index: "state", Value: string(s)}, func(d *Device) (_ bool, err error) {
			more, err = fn(d)
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Release ends the hold: what is on the list goes out, and what runs by itself runs again. seen is the List of the removals that the actor saw; when
// others wait now, he has to look again.
func (f *Fleet) Release(ctx context.Context, a Actor, seen string) error {
	if err := mayRelease(a); err != nil {
		return err
	}
	var ids []DeviceID
	err := f.db.Update(ctx, func(tx store.Tx) error {
		h, err := heldNow(tx)
		if err != nil {
			return err
		}
		if h == nil {
			return Refuse(ErrConflict, "restored.not-held")
		}
		ids = nil
		list, err := heldRemovals(tx, func(d *Device, _ *Action) { ids = append(ids, d.ID) })
		if err != nil {
			return err
		}
		if list != seen {
			return Refuse(ErrConflict, "restored.other-list")
		}
		if err := tx.Delete(keyHeld); err != nil {
			return err
		}
		f.publish(tx, "overview", "")
		return f.record(tx, a, "release", "settings", "", nil, h, map[string]any{"removals": len(ids)})
	})
	if err != nil {
		return err
	}
	// The time that a removal may take begins now, for each: it was not on its way while it was held. What a crash here leaves out is woken by
	// its next call and closed by its older date, as if it had been released at the restore.
	for _, id := range ids {
		if err := f.db.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
			d, err := devices.Get(tx, string(id))
			if err != nil {
				return ignoreAbsent(err)
			}
			rep, err := reportOf(tx, d)
			if err != nil {
				return err
			}
			if rep.Removal != nil {
				rep.Removal.Opened = f.now().UTC()
				if err := reports.Put(tx, rep); err != nil {
					return err
				}
			}
			f.touched(tx, d.ID)
			return f.wakeDevice(tx, d, "released")
		}); err != nil {
			return err
		}
	}
	return nil
}

// AfterRestore brings restored records into the state in which they may be served: held, and without anything that could be used twice, because
// it may have been used after the backup was made. It runs on the new store before that takes the old one's place, in transactions of bounded
// size, and can be repeated.
func (f *Fleet) AfterRestore(ctx context.Context, backup time.Time) error {
	if err := f.pki.AfterRestore(ctx); err != nil {
		return err
	}
	for _, drop := range []func(store.Tx) (bool, error){dropAll(sessions, sessionKey), dropAll(signIns, signInKey), dropAll(tokens, tokenKey), dropAll(onces, onceKey), dropAll(backups, backupKey), f.endOpenInvitations, f.endUnbegun} {
		if err := f.inBatches(ctx, drop); err != nil {
			return err
		}
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		s, err := readSetup(tx)
		if err != nil {
			return err
		}
		if err := writeSetup(tx, setup{Done: s.Done}); err != nil {
			return err
		}
		r, err := readRecovery(tx)
		if err != nil {
			return err
		}
		r.Pending = nil
		if err := writeRecovery(tx, r); err != nil {
			return err
		}
		b, err := json.Marshal(held{Since: f.now().UTC(), Backup: backup.UTC()})
		if err != nil {
			return err
		}
		if err := tx.Put(keyHeld, b); err != nil {
			return err
		}
		return f.record(tx, Actor{Kind: ActorSetup, ID: "restore", Name: "restore", Via: "cli"}, "restore", "settings", "", nil, nil, map[string]any{"backup": backup.UTC()})
	})
}

func sessionKey(s *Session) string { return string(s.ID) }
func signInKey(s *signIn) string   { return s.ID }
func tokenKey(t *Token) string     { return string(t.ID) }
func onceKey(o *onceRecord) string { return o.ID }
func backupKey(b *Backup) string   { return string(b.ID) }

// dropAll deletes all records of a collection, some in a transaction.
func dropAll[T any](c *store.Collection[T], id func(*T) string) func(store.Tx) (bool, error) {
	return func(tx store.Tx) (bool, error) {
		var ids []string
		if err := c.Each(tx, store.Query{Limit: sweepBatch}, func(v *T) (bool, error) {
			ids = append(ids, id(v))
			return true, nil
		}); err != nil {
			return false, err
		}
		for _, x := range ids {
			if err := c.Delete(tx, x); err != nil {
				return false, err
			}
		}
		return len(ids) == sweepBatch, nil
	}
}

// endOpenInvitations revokes what could still be used: it may have been used, or revoked, after the backup.
func (f *Fleet) endOpenInvitations(tx store.Tx) (bool, error) {
	now := f.now().UTC()
	var open []*Invitation
	if err := invitations.Each(tx, store.Query{}, func(i *Invitation) (bool, error) {
		if i.State(now) == "open" {
			open = append(open, i)
		}
		return len(open) < sweepBatch/4, nil
	}); err != nil {
		return false, err
	}
	for _, i := range open {
		if err := f.endInvitation(tx, Job("restore"), i); err != nil {
			return false, err
		}
	}
	return len(open) == sweepBatch/4, nil
}

// endUnbegun ends enrolments that were accepted and that no device had taken up.
func (f *Fleet) endUnbegun(tx store.Tx) (bool, error) {
	var list []*Enrolment
	if err := enrolments.Each(tx, store.Query{Index: "unbegun", Limit: sweepBatch}, func(e *Enrolment) (bool, error) {
		list = append(list, e)
		return true, nil
	}); err != nil {
		return false, err
	}
	now := f.now().UTC()
	for _, e := range list {
		if err := f.endNeverBegun(tx, e, now, "restored"); err != nil {
			return false, err
		}
	}
	return len(list) == sweepBatch, nil
}
