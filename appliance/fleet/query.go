package fleet

import (
	"context"
	"fmt"
	"time"

	"muster/store"
)

// A question (D8): an administrator asks a corporate PC for one value. Off until SwitchDeviceQuery is on, its own permission, and only what the
// platform names in ActionChoice.Nodes. The answer is data about a device: the register declares it, and it is not kept for long.

const (
	replyText   = 4000                // bytes of an answer
	repliesKept = 30 * 24 * time.Hour // then swept
	queriesMost = 10                  // under way at once, of one device
	repliesMost = 50                  // shown among the facts of a device
)

// Reply is a device's own answer to a question.
type Reply struct {
	Text string    `json:"text"`
	Cut  bool      `json:"cut,omitempty"` // it was longer
	At   time.Time `json:"at,omitzero"`
}

// mayQuery says whether answers of a device may be kept; what may not be kept is not asked.
func mayQuery(s *Settings, d *Device) bool {
	return Allowed(FactReplies, d.Target(), switchesFor(s, d.Switches, d.Ownership))
}

// tooManyQueries says why no further question is taken; the zero Reason when one is.
func tooManyQueries(open []*Action) Reason {
	n := 0
	for _, a := range open {
		if a.Type == ActQuery {
			n++
		}
	}
	if n < queriesMost {
		return Reason{}
	}
	return Why("query.too-many", "most", fmt.Sprint(queriesMost))
}

// takeReply notes the answer to a question and says how the action ended. When the switch was turned off meanwhile, nothing is kept.
func (s *situation) takeReply(a *Action, ans *Answer, ev Evidence) Reason {
	if a.Type != ActQuery {
		return Why("action.done")
	}
	if ans.Reply == nil || !mayQuery(s.settings, s.device) {
		return Why("query.not-kept")
	}
	a.Reply = &Reply{Text: clip(*ans.Reply, replyText), Cut: len(*ans.Reply) > replyText, At: ev.At}
	return Why("action.done")
}

// addReplies puts the answers of a device among its facts: what is held is shown.
func addReplies(tx store.Tx, sheet *factSheet) error {
	var list []string
	var at time.Time
	seen := 0
	err := actions.Each(tx, store.Query{Index: "device", Value: string(sheet.Device), Reverse: true}, func(a *Action) (bool, error) {
		if seen++; a.Reply != nil {
			list = append(list, a.Options.Node+": "+clip(a.Reply.Text, 200))
			if a.Reply.At.After(at) {
				at = a.Reply.At
			}
		}
		return len(list) < repliesMost && seen < 1000, nil
	})
	if len(list) > 0 {
		sheet.Facts[FactReplies] = Fact{Key: FactReplies, Value: list, At: at}
	}
	return err
}

// dropReplies takes the answers of a device away; the actions stay.
func dropReplies(tx store.Tx, d DeviceID) error {
	var list []*Action
	if err := actions.Each(tx, store.Query{Index: "device", Value: string(d)}, func(a *Action) (bool, error) {
		if a.Reply != nil {
			list = append(list, a)
		}
		return true, nil
	}); err != nil {
		return err
	}
	return putWithoutReply(tx, list)
}

func putWithoutReply(tx store.Tx, list []*Action) error {
	for _, a := range list {
		a.Reply = nil
		if err := actions.Put(tx, a); err != nil {
			return err
		}
	}
	return nil
}

// sweepReplies takes away answers whose time is over, and all of them while questions are switched off.
func (f *Fleet) sweepReplies(ctx context.Context) error {
	return f.inBatches(ctx, func(tx store.Tx) (bool, error) {
		settings, err := f.settings(tx)
		if err != nil {
			return false, err
		}
		until := f.now().UTC().Add(-repliesKept)
		if !settings.Switches[SwitchDeviceQuery] {
			until = f.now().UTC().Add(time.Hour)
		}
		var list []*Action
		if err := actions.Each(tx, store.Query{Index: "replied", To: sortable(until)}, func(a *Action) (bool, error) {
			list = append(list, a)
			return len(list) < sweepBatch, nil
		}); err != nil {
			return false, err
		}
		return len(list) == sweepBatch, putWithoutReply(tx, list)
	})
}
