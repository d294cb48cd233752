package fleet

import (
	"context"
	"errors"
	"fmt"

	"muster/store"
)

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
	return updated(ctx, f, func(tx store.Tx) (*Admin, error) {
		old, m, err := start(tx)
		if err != nil {
			return nil, err
		}
		if hash != "" {
			m.PasswordHash = hash
		}
		if old == nil {
			m.ID = AdminID(store.NewID())
		}
		if err := f.mayChangeAdmin(tx, a, old, m, &in); err != nil {
			return nil, err
		}
		if err := f.putAdmin(tx, a, old, m); err != nil {
			return nil, err
		}
		if err := endAfterChange(tx, a, old, m, hash != ""); err != nil {
			return nil, err
		}
		return m.shown(), nil
	})
}

// mayChangeAdmin holds the rules against gaining rights, and the guard of the last owner. A token is not its maker: with the right to edit
// administrators alone it sets no password of one who may more.
func (f *Fleet) mayChangeAdmin(tx store.Tx, a Actor, old, m *Admin, in *AdminInput) error {
	self := old != nil && isSelf(a, old.ID)
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
			return refuseField(ErrConflict, "mail", Why("admin.taken", "mail", m.Mail))
		}
		return fmt.Errorf("save admin: %w", err)
	}
	var before any
	after := auditAdmin(m)
	if old != nil {
		before = auditAdmin(old)
		after["password_changed"] = old.PasswordHash != m.PasswordHash
	}
	return f.recordSave(tx, a, "admin/"+string(m.ID), m.Name, nil, before, after)
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
