package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hostile is text that people paste, or attackers send, with the code under which a one-line field refuses it; "" = kept as it is.
var hostile = []struct{ name, text, code string }{
	{"a megabyte", strings.Repeat("A", 1<<20), "input.too-long"},
	{"NUL", "An\x00na", "input.characters"},
	{"escape sequence", "An\x1b[31mna", "input.characters"},
	{"line break", "Anna\nBert", "input.one-line"},
	{"line separator", "Anna\u2028Bert", "input.one-line"},
	{"overriding direction", "Anna\u202Egnp.exe", "input.characters"},
	{"isolating direction", "Anna\u2066x", "input.characters"},
	{"invalid UTF-8", "An\xffna", "input.characters"},
	{"blanks only", "   ", "input.required"},
	{"blank at the end", "Anna ", "input.blanks"},
	{"nothing", "", "input.required"},
	{"markup", `<script>alert("x")</script>`, ""},
	{"template", `{{mail}} ${7*7} %s '; DROP TABLE people;--`, ""},
	{"Hebrew", "דנה לוי", ""},
	{"emoji with joiner", "Anna 👩‍💻", ""},
	{"combining marks", "Ame\u0301lie", ""},
}

func TestHostileTextInOneLineFields(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	fields := []struct {
		name  string
		field string
		write func(i int, text string) (string, error)
	}{
		{"name of a person", "name", func(i int, text string) (string, error) {
			p, err := h.CreatePerson(ctx, h.owner, PersonInput{Name: &text, Mail: ptr(fmt.Sprintf("p%d@example.org", i))})
			if err != nil {
				return "", err
			}
			got, err := h.Person(ctx, h.owner, p.ID)
			return got.Name, err
		}},
		{"name of a group", "name", func(_ int, text string) (string, error) {
			g, err := h.CreateGroup(ctx, h.owner, GroupInput{Name: &text, Kind: PeopleGroup})
			if err != nil {
				return "", err
			}
			got, err := h.Group(ctx, h.owner, g.ID)
			return got.Name, err
		}},
		{"name of a role", "name", func(_ int, text string) (string, error) {
			r, err := h.SaveRole(ctx, h.owner, Role{Name: text})
			if err != nil {
				return "", err
			}
			return r.Name, nil
		}},
		{"scope tag", "tags", func(i int, text string) (string, error) {
			p, err := h.CreatePerson(ctx, h.owner, PersonInput{Name: ptr("T"), Mail: ptr(fmt.Sprintf("t%d@example.org", i)), Tags: &[]Tag{Tag(text)}})
			if err != nil {
				return "", err
			}
			return string(p.Tags[0]), nil
		}},
		{"organisation", "organisation", func(_ int, text string) (string, error) {
			s, err := h.SaveSettings(ctx, h.owner, Settings{Organisation: text, Language: "en", URL: "https://m.example.org", DoorDays: 30, FactsEvery: Span(24 * time.Hour), RenewBefore: Span(60 * 24 * time.Hour)})
			if err != nil {
				return "", err
			}
			return s.Organisation, nil
		}},
	}
	for _, f := range fields {
		for i, x := range hostile {
			t.Run(f.name+"/"+x.name, func(t *testing.T) {
				got, err := f.write(i, x.text)
				if x.code != "" {
					wantField(t, err, f.field, x.code)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got != x.text {
					t.Errorf("kept %q, want %q", got, x.text)
				}
			})
		}
	}
	if broken, _, err := h.VerifyAudit(ctx, h.owner); broken != 0 || err != nil {
		t.Errorf("hostile text broke the log at %d: %v", broken, err)
	}
}

func TestMailAddresses(t *testing.T) {
	tests := []struct {
		mail string
		ok   bool
	}{
		{"anna@example.org", true}, {"anna+tag@sub.example.org", true}, {"änna@exämple.org", true},
		{"anna", false}, {"anna@", false}, {"@example.org", false}, {"Anna <anna@example.org>", false},
		{"a@b@c", false}, {"anna@example.org\r\nBcc: x@y", false}, {`"a b"@example.org`, false}, {strings.Repeat("a", 300) + "@example.org", false},
	}
	for _, tt := range tests {
		t.Run(clip(tt.mail, 40), func(t *testing.T) {
			bad := faults{}
			bad.mail("mail", tt.mail, true)
			if (len(bad) == 0) != tt.ok {
				t.Errorf("%q: %v, want ok %v", tt.mail, bad, tt.ok)
			}
		})
	}
}

func TestPeople(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.person("Anna Jansen", "Anna@example.org", "north")
	if anna.UPN != anna.Mail || anna.Version != 1 {
		t.Errorf("UPN %q, version %d", anna.UPN, anna.Version)
	}
	t.Run("mail is unique whatever its case", func(t *testing.T) {
		_, err := h.CreatePerson(ctx, h.owner, PersonInput{Name: ptr("Other"), Mail: ptr("aNNa@EXAMPLE.org")})
		r := wantRefusal(t, err, ErrConflict, "person.taken")
		if r.Fields["mail"].Code == "" {
			t.Errorf("fields %v do not name mail", r.Fields)
		}
	})
	t.Run("a person needs a mail address or a UPN", func(t *testing.T) {
		_, err := h.CreatePerson(ctx, h.owner, PersonInput{Name: ptr("Nobody")})
		wantField(t, err, "upn", "input.required")
	})
	t.Run("the UPN follows the mail address until it is given", func(t *testing.T) {
		p, err := h.UpdatePerson(ctx, h.owner, anna.ID, PersonInput{Mail: ptr("a.jansen@example.org"), Version: anna.Version})
		if err != nil || p.UPN != "a.jansen@example.org" {
			t.Fatalf("UPN %v, %v", p, err)
		}
		anna = p
	})
	t.Run("a save made from an older version is refused", func(t *testing.T) {
		_, err := h.UpdatePerson(ctx, h.owner, anna.ID, PersonInput{Name: ptr("X"), Version: 1})
		wantRefusal(t, err, ErrConflict, "changed-meanwhile")
	})
	t.Run("search finds beginnings of words, of all words asked", func(t *testing.T) {
		h.person("Bert van Dam", "bert@example.org", "south")
		h.person("Annemiek Dam", "annemiek@example.org", "south")
		for search, want := range map[string]string{"ann": "Anna Jansen,Annemiek Dam", "dam": "Annemiek Dam,Bert van Dam", "dam ann": "Annemiek Dam",
			"JANSEN": "Anna Jansen", "a.jansen@example.org": "Anna Jansen", "zzz": "", "nna": "", "exa": "Anna Jansen,Annemiek Dam,Bert van Dam"} {
			page, err := h.People(ctx, h.owner, ListQuery{Search: search})
			if err != nil || names(page.Items) != want || page.Total != len(page.Items) {
				t.Errorf("search %q: %q (total %d) %v, want %q", search, names(page.Items), page.Total, err, want)
			}
		}
	})
	t.Run("paging goes through everybody once", func(t *testing.T) {
		for _, q := range []ListQuery{{Limit: 1}, {Limit: 1, Search: "exa"}, {Limit: 2, Reverse: true}} {
			seen := map[PersonID]bool{}
			for pages := 0; pages < 10; pages++ {
				page, err := h.People(ctx, h.owner, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range page.Items {
					if seen[p.ID] {
						t.Errorf("%s came twice", p.Name)
					}
					seen[p.ID] = true
				}
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			if len(seen) != 3 {
				t.Errorf("%+v: saw %d people, want 3", q, len(seen))
			}
		}
	})
	t.Run("what lies outside the scope is not found", func(t *testing.T) {
		south := h.scoped("south")
		_, err := h.Person(ctx, south, anna.ID)
		wantRefusal(t, err, ErrNotFound, "not-found")
		_, err = h.UpdatePerson(ctx, south, anna.ID, PersonInput{Name: ptr("Mine")})
		wantRefusal(t, err, ErrNotFound, "not-found")
		wantRefusal(t, h.DeletePerson(ctx, south, anna.ID), ErrNotFound, "not-found")
		_, err = h.PersonGroups(ctx, south, anna.ID)
		wantRefusal(t, err, ErrNotFound, "not-found")
		page, err := h.People(ctx, south, ListQuery{})
		if err != nil || names(page.Items) != "Annemiek Dam,Bert van Dam" {
			t.Errorf("list %q, %v", names(page.Items), err)
		}
		page, err = h.People(ctx, south, ListQuery{Search: "anna"})
		if err != nil || len(page.Items) != 0 {
			t.Errorf("search %q, %v", names(page.Items), err)
		}
	})
	t.Run("nobody leaves or widens their scope", func(t *testing.T) {
		south := h.scoped("south")
		p, err := h.CreatePerson(ctx, south, PersonInput{Name: ptr("Cor"), Mail: ptr("cor@example.org")})
		if err != nil || len(p.Tags) != 1 || p.Tags[0] != "south" {
			t.Fatalf("made %v, %v", p, err)
		}
		_, err = h.CreatePerson(ctx, south, PersonInput{Name: ptr("Dirk"), Mail: ptr("dirk@example.org"), Tags: &[]Tag{"north"}})
		wantRefusal(t, err, ErrInvalid, "scope.tag-not-held")
		_, err = h.UpdatePerson(ctx, south, p.ID, PersonInput{Tags: &[]Tag{}})
		if err == nil {
			t.Error("a person was taken out of the scope")
		}
	})
	t.Run("rights", func(t *testing.T) {
		reader := Actor{Kind: ActorAdmin, ID: "r", Permissions: map[Permission]bool{PeopleRead: true}, AllTags: true}
		_, err := h.CreatePerson(ctx, reader, PersonInput{Name: ptr("X"), Mail: ptr("x@example.org")})
		wantRefusal(t, err, ErrForbidden, "forbidden")
		wantRefusal(t, h.DeletePerson(ctx, reader, anna.ID), ErrForbidden, "forbidden")
		_, err = h.People(ctx, Actor{}, ListQuery{})
		wantRefusal(t, err, ErrForbidden, "forbidden")
	})
}

func names(list []*Person) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Name)
	}
	return strings.Join(out, ",")
}

// C10: a person with devices that are still managed is not deleted.
func TestDeletePerson(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	tests := []struct {
		state   State
		refused bool
	}{{Enrolling, true}, {Managed, true}, {Retiring, true}, {Wiping, true}, {Retired, false}, {Wiped, false}, {Left, false}, {Closed, false}}
	for _, tt := range tests {
		t.Run(string(tt.state), func(t *testing.T) {
			p := h.person("P "+string(tt.state), string(tt.state)+"@example.org")
			g := h.group("G "+string(tt.state), PeopleGroup, nil)
			if err := h.SetMembers(ctx, h.owner, g.ID, []string{string(p.ID)}, nil); err != nil {
				t.Fatal(err)
			}
			inv, _, err := h.Invite(ctx, h.owner, InvitationInput{Person: p.ID, Platform: IOS, Ownership: Personal})
			if err != nil {
				t.Fatal(err)
			}
			put(h, devices, &Device{ID: DeviceID("d-" + tt.state), Person: p.ID, Name: "Phone", State: tt.state, Hidden: true})
			err = h.DeletePerson(ctx, h.owner, p.ID)
			now, _ := h.Invitation(ctx, h.owner, inv.ID)
			members, merr := h.Members(ctx, h.owner, g.ID, ListQuery{})
			if merr != nil {
				t.Fatal(merr)
			}
			if tt.refused {
				wantRefusal(t, err, ErrConflict, "person.has-devices")
				if _, err := h.Person(ctx, h.owner, p.ID); err != nil || now.Revoked != nil || len(members.Items) != 1 {
					t.Errorf("half done: %v, invitation %+v, %d members", err, now, len(members.Items))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Person(ctx, h.owner, p.ID); err == nil || now.Revoked == nil || len(members.Items) != 0 {
				t.Errorf("left over: person %v, invitation %+v, %d members", err, now, len(members.Items))
			}
		})
	}
}
