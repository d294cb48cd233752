package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/store"
)

// Session is a server-side sign-in. Its secret is kept hashed: the id is made from that hash.
type Session struct {
	ID        SessionID `json:"id"`
	Admin     AdminID   `json:"admin"`
	Created   time.Time `json:"created"`
	LastUsed  time.Time `json:"last_used"` // coalesced to a minute
	Expires   time.Time `json:"expires"`   // 12 hours idle, 7 days at most
	From      string    `json:"from"`
	UserAgent string    `json:"user_agent"`
}

var sessions = store.Define("se", func(s *Session) string { return string(s.ID) },
	store.Index[Session]{Name: "admin", Values: func(s *Session) []string { return []string{string(s.Admin)} }},
	store.Index[Session]{Name: "expires", Values: func(s *Session) []string { return []string{auditTime(s.Expires)} }},
)

const (
	sessionIdle     = 12 * time.Hour
	sessionLongest  = 7 * 24 * time.Hour
	sessionCoalesce = time.Minute
	secretBytes     = 32
)

// sessionID names a session by its secret; the secret cannot be found from it.
func sessionID(secret string) SessionID {
	return SessionID(codeEncoding.EncodeToString(hashSecret(secret)))
}

// over says whether the session has ended by then.
func (s *Session) over(now time.Time) bool {
	return !now.Before(s.Expires) || now.Sub(s.LastUsed) >= sessionIdle
}

// openSession makes a session in the caller's transaction and returns its secret.
func openSession(tx store.Tx, m *Admin, from, userAgent string, now time.Time) (string, error) {
	secret := randomCode(secretBytes)
	s := &Session{ID: sessionID(secret), Admin: m.ID, Created: now, LastUsed: now, Expires: now.Add(sessionLongest), From: clip(from, 64), UserAgent: clip(userAgent, 300)}
	if err := sessions.Insert(tx, s); err != nil {
		return "", fmt.Errorf("open session: %w", err)
	}
	return secret, nil
}

// Authenticate turns a session cookie into the acting administrator. ErrSignIn when gone.
func (f *Fleet) Authenticate(ctx context.Context, secret, from string) (Actor, *Admin, error) {
	if secret == "" || len(secret) > 200 {
		return Actor{}, nil, Refuse(ErrSignIn, "sign-in.needed")
	}
	id := sessionID(secret)
	var actor Actor
	var admin *Admin
	var stale bool
	now := f.now()
	err := f.db.View(ctx, func(tx store.Tx) error {
		s, err := sessions.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			return Refuse(ErrSignIn, "sign-in.needed")
		}
		if err != nil {
			return err
		}
		if s.over(now) {
			return Refuse(ErrSignIn, "sign-in.expired")
		}
		stale = now.Sub(s.LastUsed) >= sessionCoalesce
		if admin, err = activeAdmin(tx, s.Admin); err != nil {
			return err
		}
		actor, err = actorOf(tx, admin)
		actor.From, actor.Via, actor.Session = from, "ui", s.ID
		return err
	})
	if err != nil {
		return Actor{}, nil, err
	}
	if stale {
		if err := f.useSession(ctx, id, now); err != nil && !errors.Is(err, ErrNoRoom) { // who is signed in can still look
			return Actor{}, nil, err
		}
	}
	return actor, admin.shown(), nil
}

// useSession notes a use, at most once a minute.
func (f *Fleet) useSession(ctx context.Context, id SessionID, now time.Time) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		s, err := sessions.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			return Refuse(ErrSignIn, "sign-in.needed")
		}
		if err != nil || now.Sub(s.LastUsed) < sessionCoalesce {
			return err
		}
		s.LastUsed = now.UTC()
		return sessions.Put(tx, s)
	})
}

// activeAdmin reads an administrator who may act; ErrSignIn otherwise.
func activeAdmin(tx store.Tx, id AdminID) (*Admin, error) {
	m, err := admins.Get(tx, string(id))
	if errors.Is(err, store.ErrNotFound) || err == nil && m.Disabled {
		return nil, Refuse(ErrSignIn, "sign-in.needed")
	}
	return m, err
}

// actorOf gives an administrator's present rights.
func actorOf(tx store.Tx, m *Admin) (Actor, error) {
	r, err := roleOf(tx, m.Role)
	if err != nil {
		return Actor{}, err
	}
	a := Actor{Kind: ActorAdmin, ID: string(m.ID), Name: m.Name, Tags: m.Tags, AllTags: m.AllTags, Permissions: map[Permission]bool{}}
	for _, p := range r.Permissions {
		a.Permissions[p] = true
	}
	return a, nil
}

// SignOut ends a session. One that is gone is no error.
func (f *Fleet) SignOut(ctx context.Context, secret string) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		s, err := sessions.Get(tx, string(sessionID(secret)))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := sessions.Delete(tx, string(s.ID)); err != nil {
			return err
		}
		m, err := admins.Get(tx, string(s.Admin))
		if err != nil {
			return notFound(err, "admin")
		}
		return f.record(tx, Actor{Kind: ActorAdmin, ID: string(m.ID), Name: m.Name, From: s.From, Via: "ui"}, "sign-out", "admin/"+string(m.ID), m.Name, nil, nil, nil)
	})
}

// Sessions lists the actor's own sessions that are still good, newest first.
func (f *Fleet) Sessions(ctx context.Context, a Actor) ([]*Session, error) {
	if a.Kind != ActorAdmin {
		return nil, Refuse(ErrForbidden, "forbidden.sessions")
	}
	var out []*Session
	err := f.db.View(ctx, func(tx store.Tx) error {
		return sessions.Each(tx, store.Query{Index: "admin", Value: a.ID}, func(s *Session) (bool, error) {
			if !s.over(f.now()) {
				out = append(out, s)
			}
			return true, nil
		})
	})
	sortNewest(out, func(s *Session) time.Time { return s.Created })
	return out, err
}

// EndSession ends one of the actor's own sessions, or, for who may edit administrators, one of an administrator whose rights do not go beyond
// the actor's.
func (f *Fleet) EndSession(ctx context.Context, a Actor, id SessionID) error {
	if a.Kind != ActorAdmin || a.Token != "" && !a.May(AdminsEdit) {
		return Refuse(ErrForbidden, "forbidden.sessions")
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		s, err := sessions.Get(tx, string(id))
		if err != nil {
			return notFound(err, "session")
		}
		m, err := admins.Get(tx, string(s.Admin))
		if err != nil {
			return notFound(err, "session")
		}
		if string(s.Admin) != a.ID {
			ok, err := withinRights(tx, a, m)
			if err != nil {
				return err
			}
			if !ok || !a.May(AdminsEdit) {
				return Refuse(ErrNotFound, "not-found", "what", "session")
			}
		}
		if err := sessions.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		return f.record(tx, a, "end-session", "admin/"+string(m.ID), m.Name, nil, s, nil)
	})
}

// endSessions ends all sign-ins of an administrator, begun ones too, but for one to keep.
func endSessions(tx store.Tx, id AdminID, keep SessionID) error {
	var ids []SessionID
	err := sessions.Each(tx, store.Query{Index: "admin", Value: string(id)}, func(s *Session) (bool, error) {
		if s.ID != keep {
			ids = append(ids, s.ID)
		}
		return true, nil
	})
	for _, s := range ids {
		if err == nil {
			err = sessions.Delete(tx, string(s))
		}
	}
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return dropSignIns(tx, store.Query{Index: "admin", Value: string(id)})
}

// sweepSignIns forgets sessions and begun sign-ins that have run out. Sweep calls it.
func (f *Fleet) sweepSignIns(ctx context.Context) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		now := f.now()
		var ids []SessionID
		err := sessions.Each(tx, store.Query{Limit: 1000}, func(s *Session) (bool, error) {
			if s.over(now) {
				ids = append(ids, s.ID)
			}
			return true, nil
		})
		for _, id := range ids {
			if err == nil {
				err = sessions.Delete(tx, string(id))
			}
		}
		if err != nil {
			return fmt.Errorf("sweep sessions: %w", err)
		}
		return dropSignIns(tx, store.Query{Index: "expires", To: auditTime(now), Limit: 1000})
	})
}
