package fleet

import (
	"context"
	"fmt"
	"testing"

	"muster/store"
)

func BenchmarkGroupsOf(b *testing.B) {
	h := newHouse(b)
	p := h.person("Anna", "anna@example.org")
	d := &Device{ID: "d1", Hardware: "1", Person: p.ID, Name: "iPhone", Platform: IOS, OSVersion: "26.1"}
	for i := range 20 {
		g := h.group(fmt.Sprint("static ", i), PeopleGroup, nil)
		if err := h.SetMembers(context.Background(), h.owner, g.ID, []string{string(p.ID)}, nil); err != nil {
			b.Fatal(err)
		}
		h.group(fmt.Sprint("rule ", i), DeviceGroup, &Rule{Conditions: []Condition{{"person-mail", "ends", "@example.org"}, {"os-version", "at-least", "26"}}})
	}
	err := h.db.View(context.Background(), func(tx store.Tx) error {
		for b.Loop() {
			if in, err := h.groupsOf(tx, p, d); err != nil || len(in) != 40 {
				return fmt.Errorf("%d groups, %w", len(in), err)
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	h := newHouse(b)
	p := h.person("Anna", "anna@example.org")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := h.db.Update(context.Background(), func(tx store.Tx) error {
				return h.record(tx, h.owner, "update", "person/"+string(p.ID), p.Name, nil, p, p)
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	h, m := setUpHouse(b)
	secret, err := h.SignInAs(context.Background(), setupActor, m.ID, "192.0.2.1", "x")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := h.Authenticate(context.Background(), secret, "192.0.2.1"); err != nil {
			b.Fatal(err)
		}
	}
}
