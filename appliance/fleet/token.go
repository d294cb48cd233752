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

// Token is an API token: shown once, kept hashed, expiring, prefix "muster_"; never more rights than its maker, at issue and at
// each use.
type Token struct {
	ID          TokenID      `json:"id"`
	Name        string       `json:"name"`
	Admin       AdminID      `json:"admin"`
	Permissions []Permission `json:"permissions"`
	Hash        []byte       `json:"hash"`
	Created     time.Time    `json:"created"`
	Expires     time.Time    `json:"expires"`
	LastUsed    *time.Time   `json:"last_used,omitempty"` // coalesced to a minute
}

var tokens = store.Define("tk", func(t *Token) string { return string(t.ID) },
	store.Index[Token]{Name: "hash", Unique: true, Values: func(t *Token) []string { return nonEmpty(hexOf(t.Hash)) }},
	store.Index[Token]{Name: "admin", Values: func(t *Token) []string { return []string{string(t.Admin)} }},
)

// TokenPrefix begins every API token, so that people and scanners recognise one.
const TokenPrefix = "muster_"

const (
	tokenLifetime = 90 * 24 * time.Hour
	tokenLongest  = 366 * 24 * time.Hour
	tokensMost    = 50 // of one administrator
)

// shown is the token without its hash.
func (t *Token) shown() *Token {
	c := *t
	c.Hash = nil
	return &c
}

// CreateToken makes a token for the acting administrator and returns its secret this once. lifetime 0 = 90 days, at most 366 days. A token
// cannot make tokens: it would outlive itself.
func (f *Fleet) CreateToken(ctx context.Context, a Actor, name string, p []Permission, lifetime time.Duration) (*Token, string, error) {
	if err := need(a, TokensEdit); err != nil {
		return nil, "", err
	}
	if a.Kind != ActorAdmin || a.Token != "" {
		return nil, "", Refuse(ErrForbidden, "token.by-token")
	}
	if lifetime == 0 {
		lifetime = tokenLifetime
	}
	p = slices.Clone(p)
	slices.Sort(p)
	p = slices.Compact(p)
	bad := faults{}
	bad.line("name", name, 1, 100)
	if lifetime < time.Minute || lifetime > tokenLongest {
		bad.put("lifetime", "token.lifetime", "days", "366")
	}
	if len(p) == 0 {
		bad.put("permissions", "input.required")
	}
	for _, x := range p {
		if !slices.Contains(AllPermissions, x) {
			bad.put("permissions", "input.unknown", "value", clip(string(x), 60))
		}
	}
	if err := bad.refuse("token.invalid"); err != nil {
		return nil, "", err
	}
	if !holds(a, p) {
		return nil, "", Refuse(ErrForbidden, "token.beyond-own")
	}
	var out *Token
	var secret string
	err := f.db.Update(ctx, func(tx store.Tx) error {
		m, err := activeAdmin(tx, AdminID(a.ID))
		if err != nil {
			return err
		}
		n, err := tokens.Count(tx, store.Query{Index: "admin", Value: a.ID})
		if err != nil {
			return err
		}
		if n >= tokensMost {
			return Refuse(ErrConflict, "token.too-many", "most", fmt.Sprint(tokensMost))
		}
		secret = TokenPrefix + randomCode(secretBytes)
		now := f.now().UTC()
		t := &Token{ID: TokenID(store.NewID()), Name: name, Admin: m.ID, Permissions: p, Hash: hashSecret(secret), Created: now, Expires: now.Add(lifetime)}
		if err := tokens.Insert(tx, t); err != nil {
			return fmt.Errorf("save token: %w", err)
		}
		out = t.shown()
		return f.record(tx, a, "create", "token/"+string(t.ID), name, nil, nil, t)
	})
	if err != nil {
		return nil, "", err
	}
	return out, secret, nil
}

// Tokens lists the actor's tokens; who may edit administrators sees those of all within his scope.
func (f *Fleet) Tokens(ctx context.Context, a Actor) ([]*Token, error) {
	if err := need(a, TokensEdit); err != nil {
		return nil, err
	}
	var out []*Token
	err := f.db.View(ctx, func(tx store.Tx) error {
		q := store.Query{Index: "admin", Value: a.ID}
		if a.May(AdminsEdit) {
			q = store.Query{}
		}
		return tokens.Each(tx, q, func(t *Token) (bool, error) {
			if string(t.Admin) != a.ID {
				m, err := admins.Get(tx, string(t.Admin))
				if err != nil || !seesAdmin(a, m) {
					return true, nil
				}
			}
			out = append(out, t.shown())
			return true, nil
		})
	})
	sortNewest(out, func(t *Token) time.Time { return t.Created })
	return out, err
}

// RevokeToken ends a token: one's own, or, for who may edit administrators, another's within his scope.
func (f *Fleet) RevokeToken(ctx context.Context, a Actor, id TokenID) error {
	if err := need(a, TokensEdit); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		t, err := tokens.Get(tx, string(id))
		if err != nil {
			return notFound(err, "token")
		}
		if string(t.Admin) != a.ID {
			m, err := admins.Get(tx, string(t.Admin))
			if err != nil || !a.May(AdminsEdit) || !seesAdmin(a, m) {
				return Refuse(ErrNotFound, "not-found", "what", "token")
			}
		}
		if err := tokens.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("revoke token: %w", err)
		}
		return f.record(tx, a, "revoke", "token/"+string(id), t.Name, nil, t, nil)
	})
}

// dropTokens ends all tokens of an administrator.
func dropTokens(tx store.Tx, id AdminID) error {
	var ids []TokenID
	err := tokens.Each(tx, store.Query{Index: "admin", Value: string(id)}, func(t *Token) (bool, error) {
		ids = append(ids, t.ID)
		return true, nil
	})
	for _, t := range ids {
		if err == nil {
			err = tokens.Delete(tx, string(t))
		}
	}
	if err != nil {
		return fmt.Errorf("revoke tokens: %w", err)
	}
	return nil
}

// AuthenticateToken turns a bearer token into its actor: the token's rights as far as its maker still has them. ErrSignIn for everything that
// is no good, without saying why.
func (f *Fleet) AuthenticateToken(ctx context.Context, bearer, from string) (Actor, error) {
	if !strings.HasPrefix(bearer, TokenPrefix) || len(bearer) > 200 {
		return Actor{}, Refuse(ErrSignIn, "token.refused")
	}
	var actor Actor
	var used *Token
	now := f.now()
	err := f.db.View(ctx, func(tx store.Tx) error {
		t, err := tokens.Find(tx, "hash", hexOf(hashSecret(bearer)))
		if errors.Is(err, store.ErrNotFound) || err == nil && !now.Before(t.Expires) {
			return Refuse(ErrSignIn, "token.refused")
		}
		if err != nil {
			return err
		}
		m, err := activeAdmin(tx, t.Admin)
		if errors.Is(err, ErrSignIn) {
			return Refuse(ErrSignIn, "token.refused")
		}
		if err != nil {
			return err
		}
		if actor, err = actorOf(tx, m); err != nil {
			return err
		}
		both := map[Permission]bool{}
		for _, p := range t.Permissions {
			if actor.Permissions[p] {
				both[p] = true
			}
		}
		actor.Permissions, actor.Token, actor.From, actor.Via = both, t.ID, from, "api"
		used = t
		return nil
	})
	if err != nil {
		return Actor{}, err
	}
	if used.LastUsed == nil || now.Sub(*used.LastUsed) >= sessionCoalesce {
		err = f.db.Update(ctx, func(tx store.Tx) error {
			t, err := tokens.Get(tx, string(used.ID))
			if errors.Is(err, store.ErrNotFound) {
				return Refuse(ErrSignIn, "token.refused")
			}
			if err != nil {
				return err
			}
			at := now.UTC()
			t.LastUsed = &at
			return tokens.Put(tx, t)
		})
	}
	if err != nil && !errors.Is(err, ErrNoRoom) { // what only reads goes on
		return Actor{}, err
	}
	return actor, nil
}
