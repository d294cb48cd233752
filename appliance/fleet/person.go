package fleet

import (
	"context"
	"time"
)

// Person is someone whose devices are managed. Profiles are filled from it at delivery (B3).
type Person struct {
	ID       PersonID  `json:"id"`
	Name     string    `json:"name"`
	Mail     string    `json:"mail"`
	UPN      string    `json:"upn"` // user principal name; the mail address when left empty
	Language string    `json:"language,omitempty"`
	Tags     []Tag     `json:"tags,omitempty"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
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

func (f *Fleet) CreatePerson(ctx context.Context, a Actor, in PersonInput) (*Person, error) {
	panic("unbuilt")
}
func (f *Fleet) UpdatePerson(ctx context.Context, a Actor, id PersonID, in PersonInput) (*Person, error) {
	panic("unbuilt")
}

// DeletePerson refuses with ErrConflict "person.has-devices" while managed devices exist (C10).
func (f *Fleet) DeletePerson(ctx context.Context, a Actor, id PersonID) error { panic("unbuilt") }
func (f *Fleet) Person(ctx context.Context, a Actor, id PersonID) (*Person, error) {
	panic("unbuilt")
}
func (f *Fleet) People(ctx context.Context, a Actor, q ListQuery) (List[*Person], error) {
	panic("unbuilt")
}

// PersonGroups names the groups that the person is in, static and by rule.
func (f *Fleet) PersonGroups(ctx context.Context, a Actor, id PersonID) ([]*Group, error) {
	panic("unbuilt")
}
