package fleet

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"muster/store"
)

func TestRules(t *testing.T) {
	anna := &Person{ID: "p", Name: "Anna Jansen", Mail: "anna@Example.org", UPN: "aj@corp.local", Language: "nl"}
	phone := &Device{ID: "d", Person: "p", Name: "Anna's iPhone", Platform: IOS, Ownership: Personal, Model: "iPhone 17", OSVersion: "26.1.2", Serial: "C39XX", Tags: []Tag{"North", "test"}}
	bare := &Device{ID: "b", Platform: MacOS, Ownership: Corporate}
	tests := []struct {
		field, op, value string
		anna, phone      bool // for people's and devices' fields
		bare             bool
	}{
		{"name", "is", "anna jansen", true, false, false},
		{"name", "is-not", "anna jansen", false, true, true},
		{"name", "contains", "JAN", true, false, false},
		{"name", "starts", "anna", true, true, false},
		{"name", "ends", "phone", false, true, false},
		{"mail", "ends", "@example.org", true, false, false},
		{"mail-domain", "is", "example.org", true, false, false},
		{"mail-domain", "is", "ample.org", false, false, false},
		{"upn", "starts", "aj@", true, false, false},
		{"language", "is", "nl", true, false, false},
		{"platform", "is", "ios", false, true, false},
		{"ownership", "is-not", "personal", false, false, true},
		{"model", "contains", "iphone", false, true, false},
		{"serial", "starts", "c39", false, true, false},
		{"os-version", "at-least", "26.1", false, true, false},
		{"os-version", "at-least", "26.1.2", false, true, false},
		{"os-version", "at-least", "26.1.10", false, false, false},
		{"os-version", "below", "26.1.10", false, true, false},
		{"os-version", "below", "26", false, false, false},
		{"os-version", "below", "9", false, false, false},
		{"tag", "is", "north", false, true, false},
		{"tag", "is-not", "test", false, false, true},
		{"person-mail", "is", "anna@example.org", false, true, false},
		{"person-mail", "is-not", "anna@example.org", false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.op+" "+tt.value, func(t *testing.T) {
			r := &Rule{Conditions: []Condition{{tt.field, tt.op, tt.value}}}
			if slices.Contains(personFields, tt.field) && !(tt.field == "name" && tt.op == "ends") {
				if got := r.matchesPerson(anna); got != tt.anna {
					t.Errorf("person: %v, want %v", got, tt.anna)
				}
			}
			if slices.Contains(deviceFields, tt.field) {
				if got := r.matchesDevice(phone, anna.Mail); got != tt.phone {
					t.Errorf("phone: %v, want %v", got, tt.phone)
				}
				if got := r.matchesDevice(bare, ""); got != tt.bare {
					t.Errorf("device without anything: %v, want %v", got, tt.bare)
				}
			}
		})
	}
	t.Run("all and any", func(t *testing.T) {
		yes, no := Condition{"name", "starts", "anna"}, Condition{"language", "is", "en"}
		for _, tt := range []struct {
			r    Rule
			want bool
		}{{Rule{false, []Condition{yes, yes}}, true}, {Rule{false, []Condition{yes, no}}, false}, {Rule{true, []Condition{no, yes}}, true},
			{Rule{true, []Condition{no, no}}, false}, {Rule{false, nil}, false}, {Rule{true, nil}, false}} {
			if got := tt.r.matchesPerson(anna); got != tt.want {
				t.Errorf("%+v: %v, want %v", tt.r, got, tt.want)
			}
		}
	})
}

func TestRulesAreChecked(t *testing.T) {
	h := newHouse(t)
	many := make([]Condition, 21)
	for i := range many {
		many[i] = Condition{"name", "is", "x"}
	}
	tests := []struct {
		name  string
		kind  GroupKind
		conds []Condition
		field string
		code  string
	}{
		{"no condition", PeopleGroup, nil, "rule", "group.rule-conditions"},
		{"too many", PeopleGroup, many, "rule", "group.rule-conditions"},
		{"device field for people", PeopleGroup, []Condition{{"serial", "is", "x"}}, "rule.0", "input.choice"},
		{"people field for devices", DeviceGroup, []Condition{{"upn", "is", "x"}}, "rule.0", "input.choice"},
		{"unknown comparison", DeviceGroup, []Condition{{"name", "is", "x"}, {"name", "matches", ".*"}}, "rule.1", "input.choice"},
		{"empty value", DeviceGroup, []Condition{{"name", "is", ""}}, "rule.0", "input.required"},
		{"version of a name", DeviceGroup, []Condition{{"name", "at-least", "3"}}, "rule.0", "group.rule-version-only"},
		{"version that is none", DeviceGroup, []Condition{{"os-version", "below", "new"}}, "rule.0", "group.rule-version"},
		{"unknown kind", "things", []Condition{{"name", "is", "x"}}, "kind", "input.choice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.CreateGroup(context.Background(), h.owner, GroupInput{Name: ptr("G"), Kind: tt.kind, Rule: &Rule{Conditions: tt.conds}})
			wantField(t, err, tt.field, tt.code)
		})
	}
}

// membersOf lists a group through the public door and checks that groupsOf says the same of each.
func membersOf(h *house, g GroupID) []string {
	h.t.Helper()
	page, err := h.Members(context.Background(), h.owner, g, ListQuery{Limit: 500})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, m := range page.Items {
		out = append(out, memberName(m))
		err := h.db.View(context.Background(), func(tx store.Tx) error {
			in, err := h.groupsOf(tx, m.Person, m.Device)
			if err == nil && !in[g] {
				h.t.Errorf("groupsOf does not know %s", memberName(m))
			}
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return out
}

func TestGroups(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna, bert := h.person("Anna", "anna@example.org"), h.person("Bert", "bert@other.example")
	put(h, devices, &Device{ID: "d1", Hardware: "h1", Name: "iPhone", Platform: IOS, State: Managed, Person: anna.ID, OSVersion: "26.0"},
		&Device{ID: "d2", Hardware: "h2", Name: "Mac", Platform: MacOS, State: Managed})
	staff := h.group("Staff", PeopleGroup, nil)
	t.Run("members come and go", func(t *testing.T) {
		if err := h.SetMembers(ctx, h.owner, staff.ID, []string{string(anna.ID), string(bert.ID), string(anna.ID)}, nil); err != nil {
			t.Fatal(err)
		}
		if got := membersOf(h, staff.ID); fmt.Sprint(got) != "[anna bert]" {
			t.Errorf("members %v", got)
		}
		if err := h.SetMembers(ctx, h.owner, staff.ID, nil, []string{string(anna.ID), "nobody"}); err != nil {
			t.Fatal(err)
		}
		if got := membersOf(h, staff.ID); fmt.Sprint(got) != "[bert]" {
			t.Errorf("members %v", got)
		}
	})
	t.Run("one change, one record; none, none", func(t *testing.T) {
		page, err := h.Audit(ctx, h.owner, AuditQuery{Verb: "members"})
		if err != nil || len(page.Items) != 2 {
			t.Fatalf("%d records, %v", len(page.Items), err)
		}
		if err := h.SetMembers(ctx, h.owner, staff.ID, []string{string(bert.ID)}, nil); err != nil {
			t.Fatal(err)
		}
		if page, _ = h.Audit(ctx, h.owner, AuditQuery{Verb: "members"}); len(page.Items) != 2 {
			t.Errorf("a change that changes nothing was recorded")
		}
	})
	t.Run("a group holds one kind", func(t *testing.T) {
		err := h.SetMembers(ctx, h.owner, staff.ID, []string{string(anna.ID), "d1"}, nil)
		wantRefusal(t, err, ErrInvalid, "group.no-such-member")
		if got := membersOf(h, staff.ID); fmt.Sprint(got) != "[bert]" {
			t.Errorf("a refused change was half done: %v", got)
		}
	})
	t.Run("too many at once", func(t *testing.T) {
		wantRefusal(t, h.SetMembers(ctx, h.owner, staff.ID, make([]string, 1001), nil), ErrInvalid, "group.too-many-at-once")
	})
	t.Run("a rule finds whom it describes, and follows changes", func(t *testing.T) {
		g := h.group("Example people", PeopleGroup, &Rule{Conditions: []Condition{{"mail-domain", "is", "example.org"}}})
		if got := membersOf(h, g.ID); fmt.Sprint(got) != "[anna]" {
			t.Errorf("members %v", got)
		}
		if _, err := h.UpdatePerson(ctx, h.owner, bert.ID, PersonInput{Mail: ptr("bert@example.org")}); err != nil {
			t.Fatal(err)
		}
		if got := membersOf(h, g.ID); fmt.Sprint(got) != "[anna bert]" {
			t.Errorf("members %v", got)
		}
		if _, err := h.UpdateGroup(ctx, h.owner, g.ID, GroupInput{Rule: &Rule{Conditions: []Condition{{"name", "is", "bert"}}}}); err != nil {
			t.Fatal(err)
		}
		if got := membersOf(h, g.ID); fmt.Sprint(got) != "[bert]" {
			t.Errorf("members after the rule changed %v", got)
		}
		wantRefusal(t, h.SetMembers(ctx, h.owner, g.ID, []string{string(anna.ID)}, nil), ErrConflict, "group.by-rule")
		list, err := h.PersonGroups(ctx, h.owner, bert.ID)
		if err != nil || len(list) != 2 || list[0].Name != "Example people" || list[1].Name != "Staff" {
			t.Errorf("groups of Bert: %v, %v", list, err)
		}
		t.Run("and can be frozen", func(t *testing.T) {
			got, err := h.UpdateGroup(ctx, h.owner, g.ID, GroupInput{NoRule: true})
			if err != nil || got.Rule != nil {
				t.Fatalf("%v, %v", got, err)
			}
			if _, err := h.UpdatePerson(ctx, h.owner, bert.ID, PersonInput{Name: ptr("Robert")}); err != nil {
				t.Fatal(err)
			}
			if got := membersOf(h, g.ID); fmt.Sprint(got) != "[robert]" {
				t.Errorf("members %v", got)
			}
		})
	})
	t.Run("a device rule looks at the person", func(t *testing.T) {
		g := h.group("Anna's devices", DeviceGroup, &Rule{Conditions: []Condition{{"person-mail", "starts", "anna@"}, {"os-version", "at-least", "26"}}})
		if got := membersOf(h, g.ID); fmt.Sprint(got) != "[iphone]" {
			t.Errorf("members %v", got)
		}
	})
	t.Run("a group with members gets no rule, and keeps its kind", func(t *testing.T) {
		_, err := h.UpdateGroup(ctx, h.owner, staff.ID, GroupInput{Rule: &Rule{Conditions: []Condition{{"name", "is", "x"}}}})
		wantRefusal(t, err, ErrConflict, "group.has-members")
		_, err = h.UpdateGroup(ctx, h.owner, staff.ID, GroupInput{Kind: DeviceGroup})
		wantRefusal(t, err, ErrInvalid, "group.kind-stays")
	})
	t.Run("names are unique", func(t *testing.T) {
		_, err := h.CreateGroup(ctx, h.owner, GroupInput{Name: ptr("STAFF"), Kind: DeviceGroup})
		wantRefusal(t, err, ErrConflict, "group.taken")
	})
	t.Run("a group in use stays", func(t *testing.T) {
		put(h, profiles, &Profile{ID: "pr", Name: "Mail"})
		put(h, assignments, &Assignment{ID: "as", Profile: "pr", To: "group", Group: staff.ID})
		r := wantRefusal(t, h.DeleteGroup(ctx, h.owner, staff.ID), ErrConflict, "group.in-use")
		if r.Reason.Args["profile"] != "Mail" {
			t.Errorf("args %v", r.Reason.Args)
		}
		h.update(func(tx store.Tx) error { return assignments.Delete(tx, "as") })
		if err := h.DeleteGroup(ctx, h.owner, staff.ID); err != nil {
			t.Fatal(err)
		}
		if list, err := h.PersonGroups(ctx, h.owner, bert.ID); err != nil || len(list) != 1 {
			t.Errorf("groups of Bert: %v, %v", list, err)
		}
	})
	t.Run("scope", func(t *testing.T) {
		g, err := h.CreateGroup(ctx, h.scoped("south"), GroupInput{Name: ptr("South"), Kind: PeopleGroup})
		if err != nil {
			t.Fatal(err)
		}
		north := h.scoped("north")
		_, err = h.Group(ctx, north, g.ID)
		wantRefusal(t, err, ErrNotFound, "not-found")
		_, err = h.Members(ctx, north, g.ID, ListQuery{})
		wantRefusal(t, err, ErrNotFound, "not-found")
		wantRefusal(t, h.DeleteGroup(ctx, north, g.ID), ErrNotFound, "not-found")
		wantRefusal(t, h.SetMembers(ctx, north, g.ID, nil, nil), ErrNotFound, "not-found")
		wantRefusal(t, h.SetMembers(ctx, h.scoped("south"), g.ID, []string{string(anna.ID)}, nil), ErrInvalid, "group.no-such-member")
		cor := h.person("Cor", "cor@example.org", "south")
		if err := h.SetMembers(ctx, h.owner, g.ID, []string{string(anna.ID), string(cor.ID)}, nil); err != nil {
			t.Fatal(err)
		}
		page, err := h.Members(ctx, h.scoped("south"), g.ID, ListQuery{})
		if err != nil || len(page.Items) != 1 || page.Items[0].Person.ID != cor.ID {
			t.Errorf("a scoped administrator sees %v, %v", page.Items, err)
		}
		list, err := h.Groups(ctx, north, ListQuery{})
		if err != nil || len(list.Items) != 0 {
			t.Errorf("groups of the north: %v, %v", list.Items, err)
		}
	})
}

// A group with more members than one transaction takes is deleted whole.
func TestDeleteLargeGroup(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	g := h.group("Large", PeopleGroup, nil)
	for i := range 3 {
		h.update(func(tx store.Tx) error {
			for j := range 900 {
				if err := memberships.Put(tx, &membership{Group: g.ID, Member: fmt.Sprint(i*900 + j)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := h.DeleteGroup(ctx, h.owner, g.ID); err != nil {
		t.Fatal(err)
	}
	err := h.db.View(ctx, func(tx store.Tx) error {
		n, err := memberships.Count(tx, store.Query{})
		if n != 0 {
			t.Errorf("%d memberships left", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
