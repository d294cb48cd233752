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

// SignInResult: either Session is set, or Next says what is still needed ("totp", "totp-setup") with Pending to hand back.
type SignInResult struct {
	Session string // secret for the cookie
	Next    string
	Pending string
	TOTPURL string   // otpauth:// for "totp-setup"
	Codes   []string // recovery codes, shown once, when TOTP was set up
}

// signIn is a sign-in whose password was right and that waits for its code.
type signIn struct {
	ID      string    `json:"id"` // made from the hash of its secret, as of a session
	Admin   AdminID   `json:"admin"`
	Expires time.Time `json:"expires"`
	Tries   int       `json:"tries"`
	Secret  []byte    `json:"secret,omitempty"` // sealed: a new TOTP secret to be confirmed
}

var signIns = store.Define("si", func(s *signIn) string { return s.ID },
	store.Index[signIn]{Name: "admin", Values: func(s *signIn) []string { return []string{string(s.Admin)} }},
	store.Index[signIn]{Name: "expires", Values: func(s *signIn) []string { return []string{auditTime(s.Expires)} }},
)

const (
	signInLifetime = 10 * time.Minute
	signInTries    = 5
	recoveryCodes  = 10
	recoveryBytes  = 10 // 80 bits: a fast hash does
)

// dropSignIns deletes begun sign-ins.
func dropSignIns(tx store.Tx, q store.Query) error {
	var ids []string
	err := signIns.Each(tx, q, func(s *signIn) (bool, error) {
		ids = append(ids, s.ID)
		return true, nil
	})
	for _, id := range ids {
		if err == nil {
			err = signIns.Delete(tx, id)
		}
	}
	if err != nil {
		return fmt.Errorf("drop sign-ins: %w", err)
	}
	return nil
}

func sortNewest[T any](list []T, at func(T) time.Time) {
	slices.SortStableFunc(list, func(x, y T) int { return cmp.Compare(at(y).UnixNano(), at(x).UnixNano()) })
}

// refusedSignIn says no more on purpose.
func refusedSignIn() error { return Refuse(ErrSignIn, "sign-in.refused") }

// signInKeys are the keys under which a try counts. Who signs in from an address with a live session of that account counts apart, so
// that a stranger who tries passwords cannot shut the owner out.
func signInKeys(tx store.Tx, m *Admin, mail, from string, now time.Time) (account, address string, err error) {
	address = "address " + addressKey(from)
	account = "account " + strings.ToLower(clip(mail, 254))
	if m == nil {
		return account, address, nil
	}
	known := false
	err = sessions.Each(tx, store.Query{Index: "admin", Value: string(m.ID)}, func(s *Session) (bool, error) {
		known = !s.over(now) && addressKey(s.From) == addressKey(from)
		return !known, nil
	})
	if known {
		account += " from " + addressKey(from)
	}
	return account, address, err
}

// SignIn checks the password (argon2id; a missing account takes as long). Limited per account and address.
func (f *Fleet) SignIn(ctx context.Context, mail, password, from, userAgent string) (*SignInResult, error) {
	mail = strings.TrimSpace(mail)
	var m *Admin
	var account, address string
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		if len(mail) > 0 && len(mail) <= 254 {
			if m, err = admins.Find(tx, "mail", strings.ToLower(mail)); errors.Is(err, store.ErrNotFound) {
				m, err = nil, nil
			}
			if err != nil {
				return err
			}
		}
		account, address, err = signInKeys(tx, m, mail, from, f.now())
		return err
	})
	if err != nil {
		return nil, err
	}
	l := &f.org.limits
	if err := l.count(address, account); err != nil {
		return nil, err
	}
	stored := ""
	if m != nil && !m.Disabled {
		stored = m.PasswordHash
	}
	ok, err := f.org.hashing.verify(ctx, stored, password)
	if err != nil {
		l.giveBack(address)
		l.giveBack(account)
		return nil, err
	}
	if !ok {
		return nil, f.failedSignIn(ctx, m, from, "password")
	}
	l.giveBack(address)
	l.forget(account)
	return f.beginSignIn(ctx, m.ID, stored)
}

// failedSignIn enters a failure in the log and returns the refusal. What was typed as an unknown account is not kept: it may be a password.
func (f *Fleet) failedSignIn(ctx context.Context, m *Admin, from, what string) error {
	err := f.db.Update(ctx, func(tx store.Tx) error { return f.recordFailure(tx, m, from, what) })
	if err != nil {
		return err
	}
	return refusedSignIn()
}

func (f *Fleet) recordFailure(tx store.Tx, m *Admin, from, what string) error {
	object, label := "sign-in", ""
	if m != nil {
		object, label = "admin/"+string(m.ID), m.Name
	}
	return f.record(tx, Actor{From: from, Via: "ui"}, verbSignInFailed, object, label, nil, nil, map[string]string{"wrong": what})
}

const verbSignInFailed = "sign-in-failed"

// beginSignIn keeps a sign-in that waits for its code. The password must not have changed since it was checked.
func (f *Fleet) beginSignIn(ctx context.Context, id AdminID, stored string) (*SignInResult, error) {
	var out *SignInResult
	err := f.db.Update(ctx, func(tx store.Tx) error {
		m, err := activeAdmin(tx, id)
		if err != nil {
			return err
		}
		if m.PasswordHash != stored {
			return refusedSignIn()
		}
		secret := randomCode(secretBytes)
		s := &signIn{ID: string(sessionID(secret)), Admin: id, Expires: f.now().UTC().Add(signInLifetime)}
		out = &SignInResult{Next: "totp", Pending: secret}
		if m.TOTP == nil {
			set, err := f.settings(tx)
			if err != nil {
				return err
			}
			key := newTOTPSecret()
			s.Secret = f.db.Sealer().Seal(signIns.Name(), s.ID, key)
			out.Next, out.TOTPURL = "totp-setup", totpURL(set.Organisation, m.Mail, key)
		}
		return signIns.Insert(tx, s)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SignInCode finishes with a TOTP code or a recovery code, or confirms a new TOTP secret. Five wrong codes end the sign-in.
func (f *Fleet) SignInCode(ctx context.Context, pending, code, from, userAgent string) (*SignInResult, error) {
	if pending == "" || len(pending) > 200 {
		return nil, Refuse(ErrSignIn, "sign-in.expired")
	}
	id := string(sessionID(pending))
	var who AdminID
	err := f.db.View(ctx, func(tx store.Tx) error {
		s, err := f.waitingSignIn(tx, id)
		if err == nil {
			who = s.Admin
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	l := &f.org.limits
	address, account := "address "+addressKey(from), "code of "+string(who)
	if err := l.count(address, account); err != nil {
		return nil, err
	}
	var out *SignInResult
	err = f.db.Update(ctx, func(tx store.Tx) error {
		out = nil
		s, err := f.waitingSignIn(tx, id)
		if err != nil {
			return err
		}
		m, err := activeAdmin(tx, s.Admin)
		if err != nil {
			return err
		}
		out, err = f.finishSignIn(tx, s, m, code, from, userAgent)
		return err
	})
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, Refuse(ErrSignIn, "sign-in.code")
	}
	l.giveBack(address)
	l.forget(account)
	return out, nil
}

func (f *Fleet) waitingSignIn(tx store.Tx, id string) (*signIn, error) {
	s, err := signIns.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !f.now().Before(s.Expires) {
		return nil, Refuse(ErrSignIn, "sign-in.expired")
	}
	return s, err
}

// finishSignIn returns nil for a wrong code, having counted it.
func (f *Fleet) finishSignIn(tx store.Tx, s *signIn, m *Admin, code, from, userAgent string) (*SignInResult, error) {
	now := f.now().UTC()
	changed := *m
	out := &SignInResult{}
	by, err := f.checkCode(s, &changed, code, now, out)
	if err != nil {
		return nil, err
	}
	if by == "" {
		if s.Tries++; s.Tries >= signInTries {
			err = signIns.Delete(tx, s.ID)
		} else {
			err = signIns.Put(tx, s)
		}
		if err != nil {
			return nil, fmt.Errorf("count wrong code: %w", err)
		}
		return nil, f.recordFailure(tx, m, from, "code")
	}
	if err := signIns.Delete(tx, s.ID); err != nil {
		return nil, fmt.Errorf("end sign-in: %w", err)
	}
	changed.LastSignIn = &now
	if err := admins.Put(tx, &changed); err != nil {
		return nil, fmt.Errorf("note sign-in: %w", err)
	}
	if out.Session, err = openSession(tx, m, from, userAgent, now); err != nil {
		return nil, err
	}
	who := Actor{Kind: ActorAdmin, ID: string(m.ID), Name: m.Name, From: from, Via: "ui"}
	return out, f.record(tx, who, "sign-in", "admin/"+string(m.ID), m.Name, nil, nil,
		map[string]any{"by": by, "recovery_left": len(changed.Recovery), "user_agent": clip(userAgent, 300)})
}

// checkCode says what a code is: "totp", "totp-setup", "recovery-code", or "" when wrong. It changes m as the use of the code demands.
func (f *Fleet) checkCode(s *signIn, m *Admin, code string, now time.Time, out *SignInResult) (string, error) {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(clip(code, 60))
	if s.Secret != nil {
		if m.TOTP != nil { // set up in another window meanwhile
			return "", nil
		}
		key, err := f.db.Sealer().Open(signIns.Name(), s.ID, s.Secret)
		if err != nil {
			return "", fmt.Errorf("open new second factor: %w", err)
		}
		step := totpMatch(key, digits, now, 0)
		if step == 0 {
			return "", nil
		}
		m.TOTP, m.TOTPUsed, m.Recovery = f.db.Sealer().Seal(admins.Name(), string(m.ID), key), step, nil
		for range recoveryCodes {
			c := randomCode(recoveryBytes)
			out.Codes = append(out.Codes, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:])
			m.Recovery = append(m.Recovery, hexOf(hashSecret(c)))
		}
		return "totp-setup", nil
	}
	if m.TOTP == nil { // reset meanwhile
		return "", nil
	}
	key, err := f.db.Sealer().Open(admins.Name(), string(m.ID), m.TOTP)
	if err != nil {
		return "", fmt.Errorf("open second factor: %w", err)
	}
	if step := totpMatch(key, digits, now, m.TOTPUsed); step != 0 {
		m.TOTPUsed = step
		return "totp", nil
	}
	if i := slices.Index(m.Recovery, hexOf(hashSecret(cleanCode(clip(code, 60))))); i >= 0 {
		m.Recovery = slices.Delete(slices.Clone(m.Recovery), i, i+1)
		return "recovery-code", nil
	}
	return "", nil
}

// SignInAs opens a session without password for the command line of the machine itself (Actor of kind setup): the way back in when every
// owner lost theirs, and the link that a demonstration prints. It is entered in the log.
func (f *Fleet) SignInAs(ctx context.Context, a Actor, id AdminID, from, userAgent string) (secret string, err error) {
	if a.Kind != ActorSetup {
		return "", Refuse(ErrForbidden, "forbidden.setup")
	}
	err = f.db.Update(ctx, func(tx store.Tx) error {
		m, err := admins.Get(tx, string(id))
		if err != nil {
			return notFound(err, "admin")
		}
		if secret, err = openSession(tx, m, from, userAgent, f.now().UTC()); err != nil {
			return err
		}
		return f.record(tx, a, "sign-in", "admin/"+string(id), m.Name, nil, nil, map[string]any{"by": "command-line"})
	})
	return secret, err
}
