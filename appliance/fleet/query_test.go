package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"muster/store"
)

// TestRepliesAreNotKeptForLong: an answer goes after its time, the action that asked for it stays.
func TestRepliesAreNotKeptForLong(t *testing.T) {
	h := newHouse(t)
	s, err := h.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Organisation, s.URL, s.Switches = "Test", "https://muster.example", map[string]bool{SwitchDeviceQuery: true}
	if _, err := h.SaveSettings(t.Context(), h.owner, *s); err != nil {
		t.Fatal(err)
	}
	for _, id := range []ActionID{"a", "b"} {
		h.update(func(tx store.Tx) error {
			return actions.Put(tx, &Action{ID: id, Device: "d", Type: ActQuery, State: ActionDone, Reply: &Reply{Text: string(id), At: h.clock.now()}})
		})
		h.clock.move(repliesKept / 2)
	}
	h.clock.move(time.Minute)
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	h.update(func(tx store.Tx) error {
		return actions.Each(tx, store.Query{}, func(a *Action) (bool, error) {
			if a.Reply == nil {
				left = append(left, string(a.ID))
				return true, nil
			}
			left = append(left, string(a.ID)+"="+a.Reply.Text)
			return true, nil
		})
	})
	if !slices.Equal(left, []string{"a", "b=b"}) {
		t.Errorf("left %q, want the younger answer and both actions", left)
	}
}

// TestReplyIsBounded: what a device answers is cut, and not kept at all once questions are switched off or where they may not be asked.
func TestReplyIsBounded(t *testing.T) {
	long := strings.Repeat("é", replyText)
	for _, tt := range []struct {
		name string
		own  Ownership
		on   bool
		kept bool
	}{{"on", Corporate, true, true}, {"off", Corporate, false, false}, {"personal", Personal, true, false}} {
		s := &situation{settings: &Settings{Switches: map[string]bool{SwitchDeviceQuery: tt.on}}, device: &Device{Platform: Windows, Mode: ModeDevice, Ownership: tt.own, Switches: []FactKey{FactReplies}}}
		a := &Action{Type: ActQuery}
		reason := s.takeReply(a, &Answer{Reply: &long}, Evidence{})
		if kept := a.Reply != nil; kept != tt.kept || kept != (reason.Code == "action.done") {
			t.Errorf("%s: kept %v with %s", tt.name, kept, reason.Code)
		}
		if a.Reply != nil && (len(a.Reply.Text) > replyText || !a.Reply.Cut) {
			t.Errorf("%s: %d bytes, cut %v", tt.name, len(a.Reply.Text), a.Reply.Cut)
		}
	}
}
