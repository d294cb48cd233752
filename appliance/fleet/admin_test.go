package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (h *house) admin(name string, role RoleID, tags ...Tag) (*Admin, Actor) {
	h.t.Helper()
	all := len(tags) == 0
	m, err := h.CreateAdmin(context.Background(), h.owner, AdminInput{Mail: ptr(strings.ToLower(name) + "@acme.example"), Name: &name, Password: ptr("a long phrase of " + name[:1] + " 4711"),
		Role: &role, Tags: &tags, AllTags: &all})
	if err != nil {
		h.t.Fatal(err)
	}
	return m, h.acting(m)
}

// acting is the administrator's actor as a sign-in gives it.
func (h *house) acting(m *Admin) Actor {
	h.t.Helper()
	secret, err := h.SignInAs(context.Background(), setupActor, m.ID, "192.0.2.1", "test")
	if err != nil {
		h.t.Fatal(err)
	}
	a, _, err := h.Authenticate(context.Background(), secret, "192.0.2.1")
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func TestNobodyGainsRights(t *testing.T) {
	h, owner := setUpHouse(t)
	ctx := context.Background()
	manager, err := h.SaveRole(ctx, h.owner, Role{Name: "Manager", Permissions: []Permission{AdminsEdit, TokensEdit, DevicesRead, PeopleRead, DevicesEdit, DevicesLock, DevicesRetire, InviteWrite, ProfilesRead, CertsRead}})
	if err != nil {
		t.Fatal(err)
	}
	mm, mia := h.admin("Mia", manager.ID)
	_, sam := h.admin("Sam", manager.ID, "south")
	desk, _ := h.admin("Dora", RoleHelpDesk)
	north, _ := h.admin("Nora", RoleHelpDesk, "north")
	south, _ := h.admin("Zoe", RoleHelpDesk, "south")
	input := func(role RoleID, tags ...Tag) AdminInput {
		all := len(tags) == 0
		return AdminInput{Mail: ptr("new@acme.example"), Name: ptr("New"), Password: ptr("a long phrase 4711"), Role: &role, Tags: &tags, AllTags: &all}
	}
	tests := []struct {
		name string
		do   func() error
		kind error
		code string
	}{
		{"a manager makes an owner", func() error { _, err := h.CreateAdmin(ctx, mia, input(RoleOwner)); return err }, ErrForbidden, "admin.beyond-own"},
		{"a manager makes themselves owner", func() error { _, err := h.UpdateAdmin(ctx, mia, mm.ID, AdminInput{Role: ptr(RoleOwner)}); return err }, ErrForbidden, "admin.beyond-own"},
		{"a manager sets the owner's password", func() error {
			_, err := h.UpdateAdmin(ctx, mia, owner.ID, AdminInput{Password: ptr("a long phrase 4711")})
			return err
		}, ErrForbidden, "admin.beyond-own"},
		{"a manager takes the owner's second factor", func() error { _, err := h.UpdateAdmin(ctx, mia, owner.ID, AdminInput{ResetTOTP: true}); return err }, ErrForbidden, "admin.beyond-own"},
		{"a manager disables the owner", func() error { _, err := h.UpdateAdmin(ctx, mia, owner.ID, AdminInput{Disabled: ptr(true)}); return err }, ErrForbidden, "admin.beyond-own"},
		{"a manager deletes the owner", func() error { return h.DeleteAdmin(ctx, mia, owner.ID) }, ErrForbidden, "admin.beyond-own"},
		{"a manager makes a role with more rights", func() error {
			_, err := h.SaveRole(ctx, mia, Role{Name: "More", Permissions: []Permission{DevicesWipe}})
			return err
		}, ErrForbidden, "role.beyond-own"},
		{"a manager widens their own role", func() error {
			r := *manager
			r.Permissions = append(slices.Clone(r.Permissions), DevicesWipe)
			_, err := h.SaveRole(ctx, mia, r)
			return err
		}, ErrForbidden, "role.beyond-own"},
		{"a built-in role is changed", func() error {
			_, err := h.SaveRole(ctx, h.owner, Role{ID: RoleReadOnly, Name: "x"})
			return err
		}, ErrConflict, "role.built-in"},
		{"a built-in role is deleted", func() error { return h.DeleteRole(ctx, h.owner, RoleOwner) }, ErrConflict, "role.built-in"},
		{"a role in use is deleted", func() error { return h.DeleteRole(ctx, h.owner, manager.ID) }, ErrConflict, "role.in-use"},
		{"a scoped manager makes one without scope", func() error { _, err := h.CreateAdmin(ctx, sam, input(RoleHelpDesk)); return err }, ErrForbidden, "admin.beyond-own"},
		{"a scoped manager makes one of another scope", func() error { _, err := h.CreateAdmin(ctx, sam, input(RoleHelpDesk, "north")); return err }, ErrForbidden, "admin.beyond-own"},
		{"a scoped manager looks at one outside the scope", func() error { _, err := h.Admin(ctx, sam, north.ID); return err }, ErrNotFound, "not-found"},
		{"a scoped manager changes one of the whole", func() error { _, err := h.UpdateAdmin(ctx, sam, desk.ID, AdminInput{Name: ptr("X")}); return err }, ErrNotFound, "not-found"},
		{"help desk makes an administrator", func() error { _, err := h.CreateAdmin(ctx, h.acting(desk), input(RoleReadOnly)); return err }, ErrForbidden, "forbidden"},
		{"help desk changes their own role", func() error {
			_, err := h.UpdateAdmin(ctx, h.acting(desk), desk.ID, AdminInput{Role: ptr(RoleOwner)})
			return err
		}, ErrForbidden, "forbidden"},
		{"help desk widens their own scope", func() error {
			_, err := h.UpdateAdmin(ctx, h.acting(south), south.ID, AdminInput{AllTags: ptr(true)})
			return err
		}, ErrForbidden, "forbidden"},
		{"help desk looks at another", func() error { _, err := h.Admin(ctx, h.acting(desk), owner.ID); return err }, ErrForbidden, "forbidden"},
		{"one deletes oneself", func() error { return h.DeleteAdmin(ctx, mia, mm.ID) }, ErrConflict, "admin.oneself"},
		{"the last owner is demoted", func() error {
			_, err := h.UpdateAdmin(ctx, h.owner, owner.ID, AdminInput{Role: ptr(RoleReadOnly)})
			return err
		}, ErrConflict, "admin.last-owner"},
		{"the last owner is disabled", func() error {
			_, err := h.UpdateAdmin(ctx, h.owner, owner.ID, AdminInput{Disabled: ptr(true)})
			return err
		}, ErrConflict, "admin.last-owner"},
		{"the last owner is deleted", func() error { return h.DeleteAdmin(ctx, Job("x"), owner.ID) }, ErrConflict, "admin.last-owner"},
		{"two have one address", func() error {
			in := input(RoleReadOnly)
			in.Mail = ptr("DORA@acme.example")
			_, err := h.CreateAdmin(ctx, h.owner, in)
			return err
		}, ErrConflict, "admin.taken"},
		{"nobody at all", func() error { _, err := h.CreateAdmin(ctx, Actor{}, input(RoleReadOnly)); return err }, ErrForbidden, "forbidden"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantRefusal(t, tt.do(), tt.kind, tt.code) })
	}
	t.Run("everyone changes their own name, password, language and theme", func(t *testing.T) {
		m, err := h.UpdateAdmin(ctx, h.acting(desk), desk.ID, AdminInput{Name: ptr("Dora D"), Password: ptr("some other phrase 12"), Language: ptr("nl"), Theme: ptr("dark")})
		if err != nil || m.Name != "Dora D" || m.Theme != "dark" {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("a weak password is refused for others too", func(t *testing.T) {
		_, err := h.UpdateAdmin(ctx, h.owner, desk.ID, AdminInput{Password: ptr("DoraDora2026")})
		wantField(t, err, "password", "password.guessable")
	})
	t.Run("a scoped manager may do what lies within", func(t *testing.T) {
		if _, err := h.CreateAdmin(ctx, sam, input(RoleHelpDesk, "south")); err != nil {
			t.Error(err)
		}
		list, err := h.Admins(ctx, sam, ListQuery{})
		if err != nil || len(list.Items) != 3 {
			t.Errorf("sees %d, %v", len(list.Items), err)
		}
	})
	t.Run("a disabled administrator is out at once", func(t *testing.T) {
		secret, err := h.SignInAs(ctx, setupActor, south.ID, "192.0.2.1", "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.UpdateAdmin(ctx, h.owner, south.ID, AdminInput{Disabled: ptr(true)}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Authenticate(ctx, secret, ""); !errors.Is(err, ErrSignIn) {
			t.Errorf("session: %v", err)
		}
		if _, err := h.SignIn(ctx, south.Mail, "a long phrase of Z 4711", "192.0.2.1", "x"); !errors.Is(err, ErrSignIn) {
			t.Errorf("sign-in: %v", err)
		}
	})
}

// Two owners who demote each other at the same time: one stays.
func TestOneOwnerStays(t *testing.T) {
	h, owner := setUpHouse(t)
	ctx := context.Background()
	second, _ := h.admin("Otto", RoleOwner)
	var wg sync.WaitGroup
	failures := make([]error, 2)
	for i, id := range []AdminID{owner.ID, second.ID} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, failures[i] = h.UpdateAdmin(ctx, h.owner, id, AdminInput{Role: ptr(RoleReadOnly)})
		}()
	}
	wg.Wait()
	if (failures[0] == nil) == (failures[1] == nil) {
		t.Errorf("%v and %v: exactly one should be refused", failures[0], failures[1])
	}
}

// A token that may edit administrators and nothing else does not become its maker by setting his password.
func TestTokenSetsNoPasswordOfItsMaker(t *testing.T) {
	h, _ := setUpHouse(t)
	m, a := h.admin("Tom", RoleOwner)
	_, secret, err := h.CreateToken(t.Context(), a, "people's desk", []Permission{AdminsEdit}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	by, err := h.AuthenticateToken(t.Context(), secret, "192.0.2.9")
	if err != nil || by.ID != string(m.ID) {
		t.Fatal(by, err)
	}
	_, err = h.UpdateAdmin(t.Context(), by, m.ID, AdminInput{Password: ptr("grey-window-teapot-7")})
	wantRefusal(t, err, ErrForbidden, "admin.beyond-own")
	if _, err := h.UpdateAdmin(t.Context(), a, m.ID, AdminInput{Password: ptr("grey-window-teapot-7")}); err != nil {
		t.Errorf("in person: %v", err)
	}
}

func TestTokens(t *testing.T) {
	h, _ := setUpHouse(t)
	ctx := context.Background()
	m, a := h.admin("Tom", RoleAdministrator)
	token, secret, err := h.CreateToken(ctx, a, "backup script", []Permission{DevicesRead, PeopleRead, DevicesRead}, 24*time.Hour)
	if err != nil || !strings.HasPrefix(secret, "muster_") || token.Hash != nil || len(token.Permissions) != 2 {
		t.Fatalf("%+v %q %v", token, secret, err)
	}
	use := func() (Actor, error) { return h.AuthenticateToken(ctx, secret, "192.0.2.9") }
	t.Run("acts with its own rights only", func(t *testing.T) {
		got, err := use()
		if err != nil || !got.May(DevicesRead) || got.May(DevicesWipe) || got.Token != token.ID || got.Via != "api" || got.ID != string(m.ID) {
			t.Errorf("%+v, %v", got, err)
		}
		_, _, err = h.CreateToken(ctx, Actor{Kind: ActorAdmin, ID: got.ID, Token: got.Token, Permissions: allPermissions()}, "child", []Permission{DevicesRead}, 0)
		wantRefusal(t, err, ErrForbidden, "token.by-token")
		_, err = h.UpdateAdmin(ctx, got, m.ID, AdminInput{Password: ptr("a stolen token 4711")})
		wantRefusal(t, err, ErrForbidden, "forbidden")
	})
	tests := []struct {
		name        string
		token       string
		permissions []Permission
		lifetime    time.Duration
		field, code string
	}{
		{"no name", "", []Permission{DevicesRead}, 0, "name", "input.required"},
		{"hostile name", "a\x00", []Permission{DevicesRead}, 0, "name", "input.characters"},
		{"no rights", "x", nil, 0, "permissions", "input.required"},
		{"unknown right", "x", []Permission{"devices.explode"}, 0, "permissions", "input.unknown"},
		{"for ever", "x", []Permission{DevicesRead}, 10 * 365 * 24 * time.Hour, "lifetime", "token.lifetime"},
		{"for no time", "x", []Permission{DevicesRead}, -time.Hour, "lifetime", "token.lifetime"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := h.CreateToken(ctx, a, tt.token, tt.permissions, tt.lifetime)
			wantField(t, err, tt.field, tt.code)
		})
	}
	t.Run("more rights than its maker", func(t *testing.T) {
		_, _, err := h.CreateToken(ctx, a, "x", []Permission{AdminsEdit}, 0)
		wantRefusal(t, err, ErrForbidden, "token.beyond-own")
	})
	t.Run("is not in the log", func(t *testing.T) {
		if strings.Contains(h.auditText(), secret[len(TokenPrefix):]) {
			t.Error("it is")
		}
	})
	t.Run("loses what its maker loses", func(t *testing.T) {
		if _, err := h.UpdateAdmin(ctx, h.owner, m.ID, AdminInput{Role: ptr(RoleReadOnly), Tags: &[]Tag{"north"}, AllTags: ptr(false)}); err != nil {
			t.Fatal(err)
		}
		got, err := use()
		if err != nil || !got.May(DevicesRead) || got.AllTags || len(got.Tags) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		narrow, err := h.SaveRole(ctx, h.owner, Role{Name: "People only", Permissions: []Permission{PeopleRead}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.UpdateAdmin(ctx, h.owner, m.ID, AdminInput{Role: &narrow.ID}); err != nil {
			t.Fatal(err)
		}
		if got, err = use(); err != nil || got.May(DevicesRead) || !got.May(PeopleRead) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("no good", func(t *testing.T) {
		for _, bad := range []string{"", "muster_", "muster_" + randomCode(32), secret + "x", strings.Repeat("muster_", 1<<17), secret[len(TokenPrefix):]} {
			_, err := h.AuthenticateToken(ctx, bad, "192.0.2.9")
			wantRefusal(t, err, ErrSignIn, "token.refused")
		}
		h.clock.move(24 * time.Hour)
		_, err := use()
		wantRefusal(t, err, ErrSignIn, "token.refused")
	})
	t.Run("revoked, disabled, deleted", func(t *testing.T) {
		n, b := h.admin("Tess", RoleAdministrator)
		make := func() (*Token, string) {
			t.Helper()
			token, secret, err := h.CreateToken(ctx, b, "x", []Permission{DevicesRead}, 0)
			if err != nil {
				t.Fatal(err)
			}
			return token, secret
		}
		one, first := make()
		_, second := make()
		wantRefusal(t, h.RevokeToken(ctx, a, one.ID), ErrNotFound, "not-found") // another's
		if err := h.RevokeToken(ctx, b, one.ID); err != nil {
			t.Fatal(err)
		}
		_, err := h.AuthenticateToken(ctx, first, "")
		wantRefusal(t, err, ErrSignIn, "token.refused")
		if _, err := h.AuthenticateToken(ctx, second, ""); err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteAdmin(ctx, h.owner, n.ID); err != nil {
			t.Fatal(err)
		}
		_, err = h.AuthenticateToken(ctx, second, "")
		wantRefusal(t, err, ErrSignIn, "token.refused")
		list, err := h.Tokens(ctx, h.owner)
		if err != nil || len(list) != 1 {
			t.Errorf("%d tokens left, %v", len(list), err)
		}
	})
}
