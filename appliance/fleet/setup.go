package fleet

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// SetupState says whether the appliance was set up and, before that, whether a link is open.
type SetupState struct {
	Done    bool
	Expires time.Time
}

// setup is the stored state of set-up.
type setup struct {
	Done    bool      `json:"done"`
	Hash    []byte    `json:"hash,omitempty"`
	Expires time.Time `json:"expires"`
}

const setupLifetime = time.Hour

func readSetup(tx store.Tx) (setup, error) {
	var s setup
	b, err := tx.Get(keySetup)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read set-up: %w", err)
	}
	return s, json.Unmarshal(b, &s)
}

func writeSetup(tx store.Tx, s setup) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return tx.Put(keySetup, b)
}

// SetupLink makes (or, after a restart while unused, renews) the one-time set-up token: 256 bits, hashed, one hour.
// ErrConflict once set-up is done. Only the command line (Actor of kind setup) may ask for it.
func (f *Fleet) SetupLink(ctx context.Context, a Actor) (token string, err error) {
	if a.Kind != ActorSetup {
		return "", Refuse(ErrForbidden, "forbidden.setup")
	}
	err = f.db.Update(ctx, func(tx store.Tx) error {
		s, err := readSetup(tx)
		if err != nil {
			return err
		}
		if s.Done {
			return Refuse(ErrConflict, "setup.done")
		}
		token = randomCode(secretBytes)
		return writeSetup(tx, setup{Hash: hashSecret(token), Expires: f.now().UTC().Add(setupLifetime)})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// SetupState needs no actor: the first page asks it.
func (f *Fleet) SetupState(ctx context.Context) (SetupState, error) {
	var out SetupState
	err := f.db.View(ctx, func(tx store.Tx) error {
		s, err := readSetup(tx)
		out = SetupState{Done: s.Done, Expires: s.Expires}
		return err
	})
	return out, err
}

// SetupInput is what set-up asks for. What is given as a flag may stay empty.
type SetupInput struct {
	Organisation, Contact, Language string
	AdminName, AdminMail, Password  string
	URL                             string
	RecoveryNext                    bool // the recovery key is the last step, and whoever made the organisation is led there until it is made or put off
}

// checkSetup says whether a token opens set-up now.
func (f *Fleet) checkSetup(tx store.Tx, token string) error {
	s, err := readSetup(tx)
	switch {
	case err != nil:
		return err
	case s.Done:
		return Refuse(ErrConflict, "setup.done")
	case len(s.Hash) == 0 || subtle.ConstantTimeCompare(s.Hash, hashSecret(cleanCode(token))) != 1:
		return Refuse(ErrNotFound, "setup.unknown")
	case !f.now().Before(s.Expires):
		return Refuse(ErrGone, "setup.expired")
	}
	return nil
}

// Setup makes the organisation, its first owner and first terms. The token is used up. ErrNotFound "setup.unknown" for a wrong token, limited
// per address; ErrGone "setup.expired"; ErrConflict "setup.done".
func (f *Fleet) Setup(ctx context.Context, token, from string, in SetupInput) (*Admin, error) {
	var set *Settings
	err := f.db.View(ctx, func(tx store.Tx) error {
		if err := f.checkSetup(tx, token); err != nil {
			return err
		}
		present, err := f.settings(tx)
		if err != nil {
			return err
		}
		set = present.clone()
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		if wait := f.org.limits.wrong("setup "+addressKey(from), setupLimit); wait > 0 {
			return nil, limited(wait)
		}
	}
	if err != nil {
		return nil, err
	}
	fill := func(name string, to *string, from string) {
		if !slices.Contains(set.Locked, name) {
			*to = from
		}
	}
	if in.Language == "" {
		in.Language = "en"
	}
	fill("organisation", &set.Organisation, in.Organisation)
	fill("contact", &set.Contact, in.Contact)
	fill("language", &set.Language, in.Language)
	fill("url", &set.URL, strings.TrimRight(in.URL, "/"))
	if !slices.Contains(set.Locked, "device_url") {
		set.DeviceURL = ""
	}
	bad := checkSettings(set)
	bad.line("admin_name", in.AdminName, 1, 200)
	bad.mail("admin_mail", in.AdminMail, true)
	bad.password("password", in.Password, in.AdminName, in.AdminMail, set.Organisation)
	if err := bad.refuse("setup.invalid"); err != nil {
		return nil, err
	}
	hash, err := f.org.hashing.hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	var out *Admin
	err = f.db.Update(ctx, func(tx store.Tx) error {
		if err := f.checkSetup(tx, token); err != nil {
			return err
		}
		m := &Admin{ID: AdminID(store.NewID()), Mail: in.AdminMail, Name: in.AdminName, Role: RoleOwner, AllTags: true, Language: in.Language,
			PasswordHash: hash, Created: f.now().UTC()}
		out = m.shown()
		return f.setUp(tx, in.RecoveryNext, Actor{Kind: ActorSetup, ID: "setup", Name: in.AdminName, From: from, Via: "ui"}, set, m)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// setUp writes what set-up makes.
func (f *Fleet) setUp(tx store.Tx, recoveryNext bool, a Actor, set *Settings, m *Admin) error {
	s := set.clone()
	s.Locked, s.Version = nil, 1
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := f.putSettings(tx, raw); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	if err := f.record(tx, a, "create", "settings", "", nil, nil, s); err != nil {
		return err
	}
	if err := guardOwners(tx, nil, m); err != nil {
		return err
	}
	if err := f.putAdmin(tx, a, nil, m); err != nil {
		return err
	}
	if _, err := f.saveTerms(tx, a, defaultTerms(s.Organisation, s.Contact)); err != nil {
		return err
	}
	f.publish(tx, "settings", "")
	if recoveryNext {
		if err := writeRecovery(tx, recoveryRecord{Due: true}); err != nil {
			return err
		}
	}
	return writeSetup(tx, setup{Done: true})
}
