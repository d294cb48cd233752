package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/store"
)

// Role is a named set of permissions. Built-in: owner, administrator, help-desk, read-only, privacy-officer.
type Role struct {
	ID          RoleID       `json:"id"`
	Name        string       `json:"name"` // of a built-in role: its word key
	BuiltIn     bool         `json:"built_in"`
	Permissions []Permission `json:"permissions"`
}

// RoleOwner is the role that the last active administrator cannot lose.
const (
	RoleOwner         RoleID = "owner"
	RoleAdministrator RoleID = "administrator"
	RoleHelpDesk      RoleID = "help-desk"
	RoleReadOnly      RoleID = "read-only"
	RolePrivacy       RoleID = "privacy-officer"
)

// builtInRoles in the order of the UI.
var builtInRoles = []Role{
	{ID: RoleOwner, Permissions: AllPermissions},
	{ID: RoleAdministrator, Permissions: slices.DeleteFunc(slices.Clone(AllPermissions), func(p Permission) bool { return p == AdminsEdit })},
	{ID: RoleHelpDesk, Permissions: []Permission{DevicesRead, DevicesEdit, DevicesLock, DevicesRetire, PeopleRead, InviteWrite, ProfilesRead, CertsRead}},
	{ID: RoleReadOnly, Permissions: []Permission{DevicesRead, PeopleRead, ProfilesRead, CertsRead, AuditRead, SettingsRead}},
	{ID: RolePrivacy, Permissions: []Permission{DevicesRead, PeopleRead, TermsEdit, AuditRead, AuditExport, SettingsRead, PrivacyRead}},
}

func builtInRole(id RoleID) *Role {
	i := slices.IndexFunc(builtInRoles, func(r Role) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	r := builtInRoles[i]
	r.BuiltIn, r.Name = true, "role."+string(r.ID)
	r.Permissions = slices.Clone(r.Permissions)
	return &r
}

var customRoles = store.Define("ro", func(r *Role) string { return string(r.ID) },
	store.Index[Role]{Name: "name", Unique: true, Values: func(r *Role) []string { return []string{strings.ToLower(r.Name)} }},
)

// rolesMost bounds the custom roles.
const rolesMost = 100

func roleOf(tx store.Tx, id RoleID) (*Role, error) {
	if r := builtInRole(id); r != nil {
		return r, nil
	}
	r, err := customRoles.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "role")
	}
	return r, nil
}

// holds says whether the actor has every one of the permissions: nobody hands out what he has not.
func holds(a Actor, p []Permission) bool {
	return !slices.ContainsFunc(p, func(x Permission) bool { return !a.May(x) })
}

// Roles returns the built-in roles, then the custom ones by name.
func (f *Fleet) Roles(ctx context.Context, a Actor) ([]*Role, error) {
	if a.Kind != ActorAdmin && a.Kind != ActorJob && a.Kind != ActorSetup {
		return nil, need(a, AdminsEdit)
	}
	var out []*Role
	for _, r := range builtInRoles {
		out = append(out, builtInRole(r.ID))
	}
	err := f.db.View(ctx, func(tx store.Tx) error {
		return customRoles.Each(tx, store.Query{Index: "name"}, func(r *Role) (bool, error) {
			out = append(out, r)
			return true, nil
		})
	})
	return out, err
}

// SaveRole creates (ID "") or changes a custom role. Neither its old nor its new permissions may go beyond the actor's own.
func (f *Fleet) SaveRole(ctx context.Context, a Actor, r Role) (*Role, error) {
	if err := need(a, AdminsEdit); err != nil {
		return nil, err
	}
	r.Permissions = slices.Clone(r.Permissions)
	slices.SortFunc(r.Permissions, func(x, y Permission) int {
		return slices.Index(AllPermissions, x) - slices.Index(AllPermissions, y)
	})
	r.Permissions = slices.Compact(r.Permissions)
	r.BuiltIn = false
	bad := faults{}
	bad.line("name", r.Name, 1, 80)
	for _, p := range r.Permissions {
		if !slices.Contains(AllPermissions, p) {
			bad.put("permissions", "input.unknown", "value", clip(string(p), 60))
		}
	}
	if err := bad.refuse("role.invalid"); err != nil {
		return nil, err
	}
	if !holds(a, r.Permissions) {
		return nil, Refuse(ErrForbidden, "role.beyond-own")
	}
	if builtInRole(r.ID) != nil {
		return nil, Refuse(ErrConflict, "role.built-in")
	}
	create := r.ID == ""
	var out *Role
	err := f.db.Update(ctx, func(tx store.Tx) error {
		next := r
		var before any
		if create {
			n, err := customRoles.Count(tx, store.Query{})
			if err != nil {
				return err
			}
			if n >= rolesMost {
				return Refuse(ErrConflict, "role.too-many", "most", fmt.Sprint(rolesMost))
			}
			next.ID = RoleID(store.NewID())
		} else {
			old, err := customRoles.Get(tx, string(r.ID))
			if err != nil {
				return notFound(err, "role")
			}
			if !holds(a, old.Permissions) {
				return Refuse(ErrForbidden, "role.beyond-own")
			}
			before = old
		}
		if err := customRoles.Put(tx, &next); err != nil {
			if errors.Is(err, store.ErrExists) {
				return refuseField(ErrConflict, "name", Why("role.taken", "name", r.Name))
			}
			return fmt.Errorf("save role: %w", err)
		}
		out = &next
		return f.recordSave(tx, a, "role/"+string(next.ID), next.Name, nil, before, &next)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteRole removes a custom role that nobody has.
func (f *Fleet) DeleteRole(ctx context.Context, a Actor, id RoleID) error {
	if err := need(a, AdminsEdit); err != nil {
		return err
	}
	if builtInRole(id) != nil {
		return Refuse(ErrConflict, "role.built-in")
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		r, err := customRoles.Get(tx, string(id))
		if err != nil {
			return notFound(err, "role")
		}
		if !holds(a, r.Permissions) {
			return Refuse(ErrForbidden, "role.beyond-own")
		}
		n, err := admins.Count(tx, store.Query{Index: "role", Value: string(id)})
		if err != nil {
			return err
		}
		if n > 0 {
			return Refuse(ErrConflict, "role.in-use", "role", r.Name, "count", fmt.Sprint(n))
		}
		if err := customRoles.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("delete role: %w", err)
		}
		return f.record(tx, a, "delete", "role/"+string(id), r.Name, nil, r, nil)
	})
}
