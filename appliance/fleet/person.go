package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// Person is someone whose devices are managed. Profiles are filled from it at delivery (B3).
type Person struct {
	ID       PersonID  `json:"id"`
	Name     string    `json:"name"`
	Mail     string    `json:"mail"`
	UPN      string    `json:"upn"` // user principal name; the mail address when left empty
	Language string    `json:"language,omitempty"`
	Tags     []Tag     `json:"tags,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Updated  time.Time `json:"updated,omitzero"`
	Version  int       `json:"version"` // rises with each change; a save names the version that it edits
}

// PersonInput creates or changes a person; nil leaves a field as it is.
type PersonInput struct {
	Name, Mail, UPN, Language *string
	Tags                      *[]Tag
	Groups                    *[]GroupID // static groups of people
	Version                   int        // 0 = do not check
}

// ListQuery is what every list takes. Search is matched case-insensitively against the start
// of the words of name, address, serial number and the like.
type ListQuery struct {
	Search  string
	Cursor  string
	Limit   int // 0 = 50, at most 500
	Reverse bool
}

// List is one page of a list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // cursor of the next page; empty at the end
	Total int    `json:"total"`          // of all pages where cheap to know, else -1
}

// CreatePerson adds a person. Name and at least one of mail and UPN are required; both are unique.
func (f *Fleet) CreatePerson(ctx context.Context, a Actor, in PersonInput) (*Person, error) {
	if err := need(a, PeopleEdit); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Person, error) {
		now := f.now().UTC()
		p := &Person{ID: PersonID(store.NewID()), Tags: tagsFor(a), Created: now}
		if err := f.savePerson(tx, a, nil, p, in, now); err != nil {
			return nil, err
		}
		return p, nil
	})
}

// UpdatePerson changes a person; devices get profiles filled with the new attributes.
func (f *Fleet) UpdatePerson(ctx context.Context, a Actor, id PersonID, in PersonInput) (*Person, error) {
	if err := need(a, PeopleEdit); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Person, error) {
		old, err := f.personSeen(tx, a, id)
		if err != nil {
			return nil, err
		}
		if err := meanwhile(in.Version, old.Version, "person"); err != nil {
			return nil, err
		}
		p := *old
		if err := f.savePerson(tx, a, old, &p, in, f.now().UTC()); err != nil {
			return nil, err
		}
		return &p, nil
	})
}

// personAudit is a person with groups, for the log.
type personAudit struct {
	*Person
	Groups []GroupID `json:"groups,omitempty"`
}

// savePerson checks p changed by in against old (nil: new) and writes it with its memberships, log entry and change record.
func (f *Fleet) savePerson(tx store.Tx, a Actor, old, p *Person, in PersonInput, now time.Time) error {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&p.Name, in.Name)
	set(&p.Mail, in.Mail)
	set(&p.UPN, in.UPN)
	set(&p.Language, in.Language)
	if in.Tags != nil {
		p.Tags = sortedTags(*in.Tags)
	}
	if p.UPN == "" || (in.Mail != nil && in.UPN == nil && old != nil && strings.EqualFold(old.UPN, old.Mail)) {
		p.UPN = p.Mail
	}
	bad := faults{}
	bad.line("name", p.Name, 1, 200)
	bad.mail("mail", p.Mail, false)
	if bad.line("upn", p.UPN, 1, 254) && strings.ContainsAny(p.UPN, " <>\"") {
		bad.put("upn", "input.mail")
	}
	if p.Language != "" {
		bad.oneOf("language", p.Language, Languages)
	}
	bad.tags("tags", p.Tags)
	before := personAudit{Person: old}
	after := personAudit{Person: p}
	var err error
	if old != nil {
		if before.Groups, err = staticGroups(tx, string(p.ID)); err != nil {
			return err
		}
		after.Groups = before.Groups
	}
	if in.Groups != nil {
		after.Groups = slices.Clone(*in.Groups)
		slices.Sort(after.Groups)
		after.Groups = slices.Compact(after.Groups)
		if len(after.Groups) > 200 {
			bad.put("groups", "input.too-many", "most", "200")
		}
	}
	if err := bad.refuse("person.invalid"); err != nil {
		return err
	}
	var was any
	var oldTags []Tag
	if old != nil {
		was, oldTags = before, old.Tags
	}
	if err := keepsScope(a, oldTags, p.Tags); err != nil {
		return err
	}
	if err := f.changeGroups(tx, a, string(p.ID), before.Groups, after.Groups); err != nil {
		return err
	}
	p.Updated = now
	p.Version++
	if err := people.Put(tx, p); err != nil {
		return takenPerson(tx, p, err)
	}
	if err := f.recordSave(tx, a, "person/"+string(p.ID), p.Name, p.Tags, was, after); err != nil {
		return err
	}
	if old != nil {
		if err := f.noteChange(tx, changeScope{Person: p.ID, Why: "person"}); err != nil {
			return err
		}
	}
	f.publish(tx, "person", string(p.ID))
	return nil
}

// takenPerson says which of the unique fields was taken.
func takenPerson(tx store.Tx, p *Person, err error) error {
	if !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("save person: %w", err)
	}
	field, value := "upn", p.UPN
	if p.Mail != "" {
		if q, ferr := people.Find(tx, "mail", strings.ToLower(p.Mail)); ferr == nil && q.ID != p.ID {
			field, value = "mail", p.Mail
		}
	}
	return refuseField(ErrConflict, field, Why("person.taken", "value", value))
}

// personSeen reads a person within the actor's scope.
func (f *Fleet) personSeen(tx store.Tx, a Actor, id PersonID) (*Person, error) {
	p, err := people.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "person")
	}
	if !sees(a, p.Tags) {
		return nil, Refuse(ErrNotFound, "not-found", "what", "person")
	}
	return p, nil
}

// stillManaged says whether a device keeps its person from being deleted (C10): everything whose removal is not done.
func stillManaged(d *Device) bool {
	switch d.State {
	case Retired, Wiped, Left, Closed:
		return false
	}
	return true
}

// DeletePerson refuses with ErrConflict "person.has-devices" while managed devices exist (C10). Open invitations of the person are
// revoked; acceptances and receipts stay, as proof.
func (f *Fleet) DeletePerson(ctx context.Context, a Actor, id PersonID) error {
	if err := need(a, PeopleEdit); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		p, err := f.personSeen(tx, a, id)
		if err != nil {
			return err
		}
		var held []*Device
		err = devices.Each(tx, store.Query{Index: "person", Value: string(id)}, func(d *Device) (bool, error) {
			if stillManaged(d) {
				held = append(held, d)
			}
			return len(held) < 100, nil
		})
		if err != nil {
			return fmt.Errorf("devices of person: %w", err)
		}
		if len(held) > 0 {
			return Refuse(ErrConflict, "person.has-devices", "person", p.Name, "count", fmt.Sprint(len(held)), "device", held[0].Name)
		}
		if err := f.endInvitations(tx, a, id); err != nil {
			return err
		}
		in, err := staticGroups(tx, string(id))
		if err != nil {
			return err
		}
		for _, g := range in {
			if err := memberships.Delete(tx, string(g)+"."+string(id)); err != nil {
				return fmt.Errorf("take from group: %w", err)
			}
			f.publish(tx, "group", string(g))
		}
		if err := people.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("delete person: %w", err)
		}
		if err := f.record(tx, a, "delete", "person/"+string(id), p.Name, p.Tags, personAudit{p, in}, nil); err != nil {
			return err
		}
		f.publish(tx, "person", string(id))
		return nil
	})
}

// Person returns one person.
func (f *Fleet) Person(ctx context.Context, a Actor, id PersonID) (*Person, error) {
	if err := need(a, PeopleRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Person, error) {
		return f.personSeen(tx, a, id)
	})
}

// People lists people by name.
func (f *Fleet) People(ctx context.Context, a Actor, q ListQuery) (List[*Person], error) {
	out := List[*Person]{Total: -1}
	if err := need(a, PeopleRead); err != nil {
		return out, err
	}
	keep := func(p *Person) (bool, error) { return sees(a, p.Tags), nil }
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		if strings.TrimSpace(q.Search) != "" {
			out.Items, out.Next, out.Total, err = searchPage(tx, people, q, func(p *Person) string { return string(p.ID) },
				func(p *Person) []string { return searchWords(p.Name, p.Mail, p.UPN) }, keep,
				func(x, y *Person) int { return cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)) })
			return err
		}
		out.Items, out.Next, err = pageOf(tx, people, store.Query{Index: "name", Cursor: q.Cursor, Reverse: q.Reverse}, pageLimit(q.Limit), keep)
		return err
	})
	return out, err
}
