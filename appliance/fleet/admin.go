package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// Admin is an administrator of Muster.
type Admin struct {
	ID           AdminID    `json:"id"`
	Mail         string     `json:"mail"`
	Name         string     `json:"name"`
	Role         RoleID     `json:"role"`
	Tags         []Tag      `json:"tags,omitempty"` // scope; with AllTags everything
	AllTags      bool       `json:"all_tags"`
	Language     string     `json:"language,omitempty"`
	Theme        string     `json:"theme,omitempty"`
	Disabled     bool       `json:"disabled"`
	PasswordHash string     `json:"password_hash"`       // argon2id, PHC string
	TOTP         []byte     `json:"totp,omitempty"`      // sealed
	TOTPUsed     int64      `json:"totp_used,omitempty"` // last accepted time step: a code works once
	Recovery     []string   `json:"recovery,omitempty"`  // hashes of unused recovery codes
	Created      time.Time  `json:"created"`
	LastSignIn   *time.Time `json:"last_sign_in,omitempty"`
	Version      int        `json:"version"`
}

var admins = store.Define("ad", func(a *Admin) string { return string(a.ID) },
	store.Index[Admin]{Name: "mail", Unique: true, Values: func(a *Admin) []string { return nonEmpty(strings.ToLower(a.Mail)) }},
	store.Index[Admin]{Name: "name", Values: func(a *Admin) []string { return []string{strings.ToLower(a.Name)} }},
	store.Index[Admin]{Name: "role", Values: func(a *Admin) []string { return []string{string(a.Role)} }},
)

// shown is the administrator without anything secret: what leaves this package.
func (a *Admin) shown() *Admin {
	c := *a
	c.PasswordHash, c.TOTPUsed, c.Recovery = "", 0, nil
	if c.TOTP != nil {
		c.TOTP = []byte{} // not nil: a second factor is set up
	}
	return &c
}

// AdminInput creates or changes an administrator; nil leaves a field as it is.
type AdminInput struct {
	Mail, Name, Password, Language, Theme *string
	Role                                  *RoleID
	Tags                                  *[]Tag
	AllTags, Disabled                     *bool
	ResetTOTP                             bool
	Version                               int
}

// personal says whether the input changes only what everyone may change of themselves.
func (in *AdminInput) personal() bool {
	return in.Mail == nil && in.Role == nil && in.Tags == nil && in.AllTags == nil && in.Disabled == nil && !in.ResetTOTP
}

// Themes of the UI; "" follows the browser.
var Themes = []string{"", "light", "dark"}

// withinRights says whether nothing of an administrator's rights goes beyond the actor's: permissions and scope.
func withinRights(tx store.Tx, a Actor, m *Admin) (bool, error) {
	r, err := roleOf(tx, m.Role)
	if err != nil {
		return false, err
	}
	if !holds(a, r.Permissions) {
		return false, nil
	}
	if a.AllTags {
		return true, nil
	}
	if m.AllTags || (len(m.Tags) == 0) != (len(a.Tags) == 0) {
		return false, nil
	}
	return !slices.ContainsFunc(m.Tags, func(t Tag) bool { return !slices.Contains(a.Tags, t) }), nil
}

// adminSeen reads an administrator. Those whose scope does not lie within the actor's are not found.
func (f *Fleet) adminSeen(tx store.Tx, a Actor, id AdminID) (*Admin, error) {
	m, err := admins.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "admin")
	}
	if a.ID != string(id) && !seesAdmin(a, m) {
		return nil, Refuse(ErrNotFound, "not-found", "what", "admin")
	}
	return m, nil
}

func seesAdmin(a Actor, m *Admin) bool { return a.AllTags || (!m.AllTags && sees(a, m.Tags)) }

// CreateAdmin adds an administrator with a first password. Role and scope never go beyond the actor's own.
func (f *Fleet) CreateAdmin(ctx context.Context, a Actor, in AdminInput) (*Admin, error) {
	if err := need(a, AdminsEdit); err != nil {
		return nil, err
	}
	if in.Role == nil {
		return nil, &Refusal{Kind: ErrInvalid, Reason: Why("admin.invalid"), Fields: map[string]Reason{"role": Why("input.required")}}
	}
	if in.Password == nil {
		return nil, &Refusal{Kind: ErrInvalid, Reason: Why("admin.invalid"), Fields: map[string]Reason{"password": Why("input.required")}}
	}
	return f.changeAdmin(ctx, a, "", in)
}

// UpdateAdmin changes an administrator whose rights do not go beyond the actor's. The last active owner can be neither disabled nor
// demoted. Everyone may change their own name, password, language and theme; a new password ends all other sessions and a lost right all.
func (f *Fleet) UpdateAdmin(ctx context.Context, a Actor, id AdminID, in AdminInput) (*Admin, error) {
	if !isSelf(a, id) || !in.personal() {
		if err := need(a, AdminsEdit); err != nil {
			return nil, err
		}
	}
	return f.changeAdmin(ctx, a, id, in)
}

// isSelf says whether an administrator acts in person, not by a token.
func isSelf(a Actor, id AdminID) bool {
	return a.Kind == ActorAdmin && a.ID == string(id) && a.Token == ""
}

// DeleteAdmin removes an administrator with sessions and tokens; never the last active owner, never oneself.
func (f *Fleet) DeleteAdmin(ctx context.Context, a Actor, id AdminID) error {
	if err := need(a, AdminsEdit); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		m, err := f.adminSeen(tx, a, id)
		if err != nil {
			return err
		}
		ok, err := withinRights(tx, a, m)
		if err != nil {
			return err
		}
		if !ok {
			return Refuse(ErrForbidden, "admin.beyond-own")
		}
		if err := guardOwners(tx, m, nil); err != nil {
			return err
		}
		if a.Kind == ActorAdmin && a.ID == string(id) {
			return Refuse(ErrConflict, "admin.oneself")
		}
		if err := endSessions(tx, id, ""); err != nil {
			return err
		}
		if err := dropTokens(tx, id); err != nil {
			return err
		}
		if err := admins.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("delete admin: %w", err)
		}
		return f.record(tx, a, "delete", "admin/"+string(id), m.Name, nil, auditAdmin(m), nil)
	})
}

// Admin returns one administrator, without secrets; everyone may see themselves.
func (f *Fleet) Admin(ctx context.Context, a Actor, id AdminID) (*Admin, error) {
	if a.Kind != ActorAdmin || a.ID != string(id) {
		if err := need(a, AdminsEdit); err != nil {
			return nil, err
		}
	}
	var out *Admin
	err := f.db.View(ctx, func(tx store.Tx) error {
		m, err := f.adminSeen(tx, a, id)
		if err == nil {
			out = m.shown()
		}
		return err
	})
	return out, err
}

// Admins lists administrators by name, without secrets.
func (f *Fleet) Admins(ctx context.Context, a Actor, q ListQuery) (List[*Admin], error) {
	out := List[*Admin]{Total: -1}
	if err := need(a, AdminsEdit); err != nil {
		return out, err
	}
	wanted := splitSearch(q.Search)
	err := f.db.View(ctx, func(tx store.Tx) error {
		list, next, err := pageOf(tx, admins, store.Query{Index: "name", Cursor: q.Cursor, Reverse: q.Reverse}, pageLimit(q.Limit), func(m *Admin) (bool, error) {
			return seesAdmin(a, m) && beginsWithAll(searchWords(m.Name, m.Mail), wanted), nil
		})
		for _, m := range list {
			out.Items = append(out.Items, m.shown())
		}
		out.Next = next
		return err
	})
	return out, err
}
