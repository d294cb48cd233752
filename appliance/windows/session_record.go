package windows

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// session is what is remembered of an enrolled PC between messages.
type session struct {
	Enrolment fleet.EnrolmentID `json:"enrolment"`
	Hardware  string            `json:"hardware"` // DeviceID: Source of every message
	Machine   bool              `json:"machine,omitempty"`
	User      string            `json:"user,omitempty"`
	Reached   []fleet.Channel   `json:"reached,omitempty"` // channels that fleet was told of
	Settled   bool              `json:"settled,omitempty"` // the poll schedule was repeated in a session

	Family      string    `json:"family,omitempty"`      // package family name that its push channel is for
	Channel     []byte    `json:"channel,omitempty"`     // hash of the channel that fleet knows
	ChannelNext time.Time `json:"channel_next,omitzero"` // when it is read again

	// Of the session under way; empty when the last answer of ours held no command.
	ID     string    `json:"id,omitempty"`
	Msg    string    `json:"msg,omitempty"` // the message answered last
	Digest []byte    `json:"digest,omitempty"`
	Reply  []byte    `json:"reply,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Login  string    `json:"login,omitempty"` // "user", "others", "none"
	Scope  string    `json:"scope,omitempty"` // "device", "user": the only one that is served; else both
	Count  int       `json:"count,omitempty"`
	Job    *job      `json:"job,omitempty"`
}

// sessionRecord is a session as stored: sealed, since commands hold secrets.
type sessionRecord struct {
	Enrolment fleet.EnrolmentID `json:"enrolment"`
	Sealed    []byte            `json:"sealed"`
}

var sessions = store.Define("xs", func(s *sessionRecord) string { return string(s.Enrolment) })

// over ends what belongs to one session only.
func (s *session) over() {
	s.ID, s.Msg, s.Digest, s.Reply, s.At, s.Login, s.Scope, s.Count, s.Job = "", "", nil, nil, time.Time{}, "", "", 0, nil
}

func keepSession(tx store.Tx, sealer *store.Sealer, s *session) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return sessions.Put(tx, &sessionRecord{Enrolment: s.Enrolment, Sealed: sealer.Seal(sessions.Name(), string(s.Enrolment), b)})
}

// sessionOf reads what is remembered of an enrolment; a fresh one when that is nothing.
func (w *Windows) sessionOf(tx store.Tx, e fleet.EnrolmentID) (*session, error) {
	r, err := sessions.Get(tx, string(e))
	if errors.Is(err, store.ErrNotFound) {
		return &session{Enrolment: e}, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := w.db.Sealer().Open(sessions.Name(), string(e), r.Sealed)
	if err != nil {
		return nil, fmt.Errorf("session of enrolment %s: %w", e, err)
	}
	s := &session{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("session of enrolment %s: %w", e, err)
	}
	s.Enrolment = e
	return s, nil
}

// forget drops session and ledger of an enrolment: it begins, or has ended.
func forget(tx store.Tx, e fleet.EnrolmentID) error {
	if err := sessions.Delete(tx, string(e)); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	list, err := ledgerOf(tx, e)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := ledger.Delete(tx, d.id()); err != nil {
			return err
		}
	}
	return nil
}
