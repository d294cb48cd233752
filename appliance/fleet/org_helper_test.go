package fleet

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"muster/pki"
	"muster/store"
)

// testClock is a clock that stands until it is moved.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// house is a fleet on a real store with a clock in hand. owner may do everything.
type house struct {
	*Fleet
	t     testing.TB
	clock *testClock
	owner Actor
}

func newHouse(t testing.TB, locked ...Settings) *house {
	t.Helper()
	clock := &testClock{t: time.Now().UTC().Truncate(time.Second)}
	db, err := store.Open(t.TempDir(), store.Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	authority, err := pki.Open(context.Background(), db, pki.Config{Organisation: "Test", Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{DB: db, PKI: authority, Clock: clock.now}
	if len(locked) > 0 {
		c.Locked = locked[0]
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &house{Fleet: f, t: t, clock: clock,
		owner: Actor{Kind: ActorAdmin, ID: "owner", Name: "Olga Owner", From: "192.0.2.1", Via: "ui", Permissions: allPermissions(), AllTags: true}}
}

// scoped is an actor with all permissions for things with these tags.
func (h *house) scoped(tags ...Tag) Actor {
	return Actor{Kind: ActorAdmin, ID: "scoped", Name: "Sam Scoped", From: "192.0.2.2", Via: "ui", Permissions: allPermissions(), Tags: tags}
}

func (h *house) update(fn func(store.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(context.Background(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// put writes records straight into a collection.
func put[T any](h *house, c *store.Collection[T], list ...*T) {
	h.t.Helper()
	h.update(func(tx store.Tx) error {
		for _, v := range list {
			if err := c.Put(tx, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *house) person(name, mail string, tags ...Tag) *Person {
	h.t.Helper()
	p, err := h.CreatePerson(context.Background(), h.owner, PersonInput{Name: &name, Mail: &mail, Tags: &tags})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) group(name string, k GroupKind, r *Rule) *Group {
	h.t.Helper()
	g, err := h.CreateGroup(context.Background(), h.owner, GroupInput{Name: &name, Kind: k, Rule: r})
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

func (h *house) terms() *Terms {
	h.t.Helper()
	t, err := h.SaveTerms(context.Background(), h.owner, map[string]string{"en": "Be careful.", "nl": "Wees voorzichtig."})
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// auditText is the whole log as exported.
func (h *house) auditText() string {
	h.t.Helper()
	var b bytes.Buffer
	if err := h.ExportAudit(context.Background(), h.owner, AuditQuery{}, &b); err != nil {
		h.t.Fatal(err)
	}
	return b.String()
}

// wantRefusal checks kind and code of a refusal.
func wantRefusal(t testing.TB, err error, kind error, code string) *Refusal {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || !errors.Is(err, kind) || r.Reason.Code != code {
		t.Fatalf("got %v, want %v with code %q", err, kind, code)
	}
	return r
}

// wantField checks that an input was refused because of a field, with a code.
func wantField(t testing.TB, err error, field, code string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || !errors.Is(err, ErrInvalid) || r.Fields[field].Code != code {
		t.Fatalf("got %v, want field %q refused with %q", err, field, code)
	}
}

func ptr[T any](v T) *T { return &v }
