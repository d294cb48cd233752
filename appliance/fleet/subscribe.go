package fleet

import (
	"context"
	"sync"
	"sync/atomic"

	"muster/store"
)

// Change is published after a commit, for live pages. ID is empty when the thing is gone and the reader may not see everything.
type Change struct {
	Kind string // "device", "profile", "person", "group", "invitation", "action", "receipt", "settings", "overview", "job", "rule"
	ID   string
}

// pendingChanges is how many undelivered changes a reader may have.
const pendingChanges = 256

// hub hands changes to its listeners. Handing over never waits.
type hub struct {
	count     atomic.Int64
	mu        sync.Mutex
	listeners map[*listener]struct{}
}

func (h *hub) init() { h.listeners = map[*listener]struct{}{} }

func (h *hub) hand(c Change) {
	if h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.add(c)
	}
}

// listener is a bounded queue in which equal waiting changes are one.
type listener struct {
	mu     sync.Mutex
	queue  []Change
	queued map[Change]bool
	lost   bool
	ready  chan struct{}
}

func (l *listener) add(c Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queued[c] {
		return
	}
	if len(l.queue) == pendingChanges {
		delete(l.queued, l.queue[0])
		l.queue = l.queue[1:]
		l.lost = true
	}
	l.queue = append(l.queue, c)
	l.queued[c] = true
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

func (l *listener) take() (Change, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		l.lost = false
		return Change{Kind: "reset"}, true
	}
	if len(l.queue) == 0 {
		return Change{}, false
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	delete(l.queued, c)
	return c, true
}

// publish tells listeners of a change once the caller's transaction is durable.
func (f *Fleet) publish(tx store.Tx, kind, id string) {
	tx.OnCommit(func() { f.org.hub.hand(Change{Kind: kind, ID: id}) })
}

// Announce tells listeners of a change that no transaction made: of the server's certificate, for example.
func (f *Fleet) Announce(kind string) { f.org.hub.hand(Change{Kind: kind}) }

// Subscribe delivers changes within the actor's scope until ctx ends; a slow reader loses the oldest and is told by a Change of Kind "reset".
// The channel is closed when ctx ends. Whoever calls reads the state of things after subscribing, so that nothing falls between.
func (f *Fleet) Subscribe(ctx context.Context, a Actor) <-chan Change {
	out := make(chan Change)
	l := &listener{queued: map[Change]bool{}, ready: make(chan struct{}, 1)}
	h := &f.org.hub
	h.mu.Lock()
	h.listeners[l] = struct{}{}
	h.mu.Unlock()
	h.count.Add(1)
	go func() {
		defer close(out)
		defer func() {
			h.mu.Lock()
			delete(h.listeners, l)
			h.mu.Unlock()
			h.count.Add(-1)
		}()
		for {
			c, ok := l.take()
			if !ok {
				select {
				case <-ctx.Done():
					return
				case <-l.ready:
				}
				continue
			}
			if c, ok = f.visible(ctx, a, c); !ok {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case out <- c:
			}
		}
	}()
	return out
}

// visible says what of a change an actor may know.
func (f *Fleet) visible(ctx context.Context, a Actor, c Change) (Change, bool) {
	if a.Kind == "" {
		return c, false
	}
	reads := map[string]Permission{"device": DevicesRead, "action": DevicesRead, "receipt": DevicesRead, "person": PeopleRead,
		"group": PeopleRead, "invitation": PeopleRead, "profile": ProfilesRead, "job": SettingsRead, "rule": DevicesRead}
	if p, ok := reads[c.Kind]; ok && !a.May(p) {
		return c, false
	}
	if a.AllTags || c.ID == "" {
		return c, true
	}
	found := true
	var tags []Tag
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		tags, err = tagsOf(tx, c)
		return err
	})
	if err != nil {
		found = false
	}
	switch {
	case !found:
		return Change{Kind: c.Kind}, true
	case tags == nil && unscoped(c.Kind):
		return c, true
	}
	return c, sees(a, tags)
}

// unscoped kinds carry no tags.
func unscoped(kind string) bool {
	return kind == "settings" || kind == "overview" || kind == "job" || kind == "rule" || kind == "reset"
}

// tagsOf finds the scope tags of what changed.
func tagsOf(tx store.Tx, c Change) ([]Tag, error) {
	switch c.Kind {
	case "device":
		v, err := devices.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return v.Tags, nil
	case "action":
		v, err := actions.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return tagsOf(tx, Change{Kind: "device", ID: string(v.Device)})
	case "receipt":
		v, err := receipts.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return v.Tags, nil
	case "person":
		v, err := people.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return v.Tags, nil
	case "group":
		v, err := groups.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return v.Tags, nil
	case "invitation":
		v, err := invitations.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return v.Tags, nil
	case "profile":
		v, err := profiles.Get(tx, c.ID)
		if err != nil {
			return nil, err
		}
		return v.Tags, nil
	}
	return nil, nil
}
