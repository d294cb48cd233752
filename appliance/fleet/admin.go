package fleet

import (
	"context"
	"errors"
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
	self := a.Kind == ActorAdmin && a.ID == string(id) && a.Token == ""
	if !self || !in.personal() {
		if err := need(a, AdminsEdit); err != nil {
			return nil, err
		}
	}
	return f.changeAdmin(ctx, a, id, in)
}

// checkAdmin says what is wrong with an administrator.
func checkAdmin(tx store.Tx, m *Admin, in *AdminInput) (faults, error) {
	bad := faults{}
	bad.mail("mail", m.Mail, true)
	bad.line("name", m.Name, 1, 200)
	if m.Language != "" {
		bad.oneOf("language", m.Language, Languages)
	}
	bad.oneOf("theme", m.Theme, Themes)
	bad.tags("tags", m.Tags)
	if m.AllTags && len(m.Tags) > 0 {
		bad.put("tags", "admin.tags-and-all")
	}
	if in.Password != nil {
		bad.password("password", *in.Password, m.Name, m.Mail)
	}
	if _, err := roleOf(tx, m.Role); errors.Is(err, ErrNotFound) {
		bad.put("role", "input.choice", "value", clip(string(m.Role), 60))
	} else if err != nil {
		return nil, err
	}
	return bad, nil
}

func applyAdmin(m *Admin, in *AdminInput) {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&m.Mail, in.Mail)
	set(&m.Name, in.Name)
	set(&m.Language, in.Language)
	set(&m.Theme, in.Theme)
	if in.Role != nil {
		m.Role = *in.Role
	}
	if in.Tags != nil {
		m.Tags = sortedTags(*in.Tags)
	}
	if in.AllTags != nil {
		m.AllTags = *in.AllTags
	}
	if in.Disabled != nil {
		m.Disabled = *in.Disabled
	}
	if in.ResetTOTP {
		m.TOTP, m.TOTPUsed, m.Recovery = nil, 0, nil
	}
}

// changeAdmin creates (id "") or changes an administrator. The password is checked before it is hashed, and hashed outside the transaction.
func (f *Fleet) changeAdmin(ctx context.Context, a Actor, id AdminID, in AdminInput) (*Admin, error) {
	start := func(tx store.Tx) (old, m *Admin, err error) {
		m = &Admin{Created: f.now().UTC()}
		if id != "" {
			if old, err = f.adminSeen(tx, a, id); err != nil {
				return nil, nil, err
			}
			if err := meanwhile(in.Version, old.Version, "admin"); err != nil {
				return nil, nil, err
			}
			c := *old
			m = &c
		}
		applyAdmin(m, &in)
		bad, err := checkAdmin(tx, m, &in)
		if err != nil {
			return nil, nil, err
		}
		return old, m, bad.refuse("admin.invalid")
	}
	hash := ""
	if in.Password != nil {
		err := f.db.View(ctx, func(tx store.Tx) error {
			_, _, err := start(tx)
			return err
		})
		if err != nil {
			return nil, err
		}
		if hash, err = f.org.hashing.hash(ctx, *in.Password); err != nil {
			return nil, err
		}
	}
	var out *Admin
	err := f.db.Update(ctx, func(tx store.Tx) error {
		old, m, err := start(tx)
		if err != nil {
			return err
		}
		if hash != "" {
			m.PasswordHash = hash
		}
		if old == nil {
			m.ID = AdminID(store.NewID())
		}
		if err := f.mayChangeAdmin(tx, a, old, m, &in); err != nil {
			return err
		}
		if err := f.putAdmin(tx, a, old, m); err != nil {
			return err
		}
		if err := endAfterChange(tx, a, old, m, hash != ""); err != nil {
			return err
		}
		out = m.shown()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// mayChangeAdmin holds the rules against gaining rights, and the guard of the last owner.
func (f *Fleet) mayChangeAdmin(tx store.Tx, a Actor, old, m *Admin, in *AdminInput) error {
	self := old != nil && a.Kind == ActorAdmin && a.ID == string(old.ID)
	if !self || !in.personal() {
		for _, one := range []*Admin{old, m} {
			if one == nil {
				continue
			}
			ok, err := withinRights(tx, a, one)
			if err != nil {
				return err
			}
			if !ok {
				return Refuse(ErrForbidden, "admin.beyond-own")
			}
		}
	}
	return guardOwners(tx, old, m)
}

// guardOwners refuses to lose the last active owner. It reads and writes the guard key whenever an owner comes or goes, so that two who do so
// at once exclude each other.
func guardOwners(tx store.Tx, old, m *Admin) error {
	was := old != nil && old.Role == RoleOwner && !old.Disabled
	is := m != nil && m.Role == RoleOwner && !m.Disabled
	if was == is {
		return nil
	}
	if _, err := tx.Get(keyOwners); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read guard of owners: %w", err)
	}
	if err := tx.Put(keyOwners, []byte(store.NewID())); err != nil {
		return fmt.Errorf("write guard of owners: %w", err)
	}
	if is {
		return nil
	}
	others := 0
	err := admins.Each(tx, store.Query{Index: "role", Value: string(RoleOwner)}, func(o *Admin) (bool, error) {
		if o.ID != old.ID && !o.Disabled {
			others++
		}
		return others == 0, nil
	})
	if err != nil {
		return fmt.Errorf("count owners: %w", err)
	}
	if others == 0 {
		return Refuse(ErrConflict, "admin.last-owner", "admin", old.Name)
	}
	return nil
}

// putAdmin writes an administrator with its log entry.
func (f *Fleet) putAdmin(tx store.Tx, a Actor, old, m *Admin) error {
	m.Version++
	if err := admins.Put(tx, m); err != nil {
		if errors.Is(err, store.ErrExists) {
			why := Why("admin.taken", "mail", m.Mail)
			return &Refusal{Kind: ErrConflict, Reason: why, Fields: map[string]Reason{"mail": why}}
		}
		return fmt.Errorf("save admin: %w", err)
	}
	verb := "update"
	var before any
	after := auditAdmin(m)
	if old == nil {
		verb = "create"
	} else {
		before = auditAdmin(old)
		after["password_changed"] = old.PasswordHash != m.PasswordHash
	}
	return f.record(tx, a, verb, "admin/"+string(m.ID), m.Name, nil, before, after)
}

// auditAdmin is what the log keeps of an administrator: whether secrets are there, never the secrets.
func auditAdmin(m *Admin) map[string]any {
	return map[string]any{"mail": m.Mail, "name": m.Name, "role": m.Role, "tags": m.Tags, "all_tags": m.AllTags, "language": m.Language,
		"theme": m.Theme, "disabled": m.Disabled, "second_factor": m.TOTP != nil, "recovery_left": len(m.Recovery)}
}

// endAfterChange ends sessions that a change made unsafe: all when the administrator was disabled or lost the second factor, all but the
// actor's own when the password changed.
func endAfterChange(tx store.Tx, a Actor, old, m *Admin, password bool) error {
	if old == nil {
		return nil
	}
	all := m.Disabled && !old.Disabled || m.TOTP == nil && old.TOTP != nil
	if !all && !password {
		return nil
	}
	keep := a.Session
	if all {
		keep = ""
	}
	return endSessions(tx, m.ID, keep)
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
