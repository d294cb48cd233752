package fleet

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/store"
)

// Acceptance records that the terms were accepted: who, when, which version, from where.
type Acceptance struct {
	ID         string       `json:"id"`
	Invitation InvitationID `json:"invitation"`
	Person     PersonID     `json:"person"`
	Terms      TermsID      `json:"terms"`
	Version    int          `json:"version"`
	Language   string       `json:"language"`
	At         time.Time    `json:"at,omitzero"`
	From       string       `json:"from"`
	UserAgent  string       `json:"user_agent"`
	Enrolment  EnrolmentID  `json:"enrolment"`
	Switches   []FactKey    `json:"switches,omitempty"` // optional facts that the accepted text named
}

var acceptances = store.Define("ap", func(a *Acceptance) string { return a.ID },
	store.Index[Acceptance]{Name: "invitation", Values: func(a *Acceptance) []string { return nonEmpty(string(a.Invitation)) }},
	store.Index[Acceptance]{Name: "person", Values: func(a *Acceptance) []string { return nonEmpty(string(a.Person)) }},
	store.Index[Acceptance]{Name: "enrolment", Values: func(a *Acceptance) []string { return nonEmpty(string(a.Enrolment)) }},
)

// Ticket lets the person fetch the enrolment profile for a while (one hour), several times.
type Ticket struct {
	Secret    string
	Enrolment EnrolmentID
	Expires   time.Time
}

const (
	ticketLifetime = time.Hour
	acceptAgain    = time.Minute // within it, the same browser pressing twice gets the same ticket
)

// ticketSecret is made from the code, which only its holder knows, and the enrolment: so a repeated request can be given the same ticket although
// the store holds only hashes of both.
func ticketSecret(code string, e EnrolmentID) string {
	m := hmac.New(sha256.New, []byte(cleanCode(code)))
	m.Write([]byte("muster enrolment ticket " + string(e)))
	return codeEncoding.EncodeToString(m.Sum(nil)[:20])
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// Accept keeps the acceptance, uses the invitation once, and begins an enrolment. The same browser that sends the same again within a minute
// gets the same ticket, where the invitation has one use only. ErrConflict "terms.changed" when other terms came into force since the page was read.
func (f *Fleet) Accept(ctx context.Context, code string, terms TermsID, language, from, userAgent string) (*Ticket, error) {
	from, userAgent = clip(from, 64), clip(userAgent, 300)
	bad := faults{}
	bad.oneOf("language", language, Languages)
	if err := bad.refuse("accept.invalid"); err != nil {
		return nil, err
	}
	var out *Ticket
	err := f.db.Update(ctx, func(tx store.Tx) error {
		out = nil
		inv, err := findCode(tx, code)
		if err != nil {
			return err
		}
		now := f.now().UTC()
		// Only where a second press would find the invitation used up: with more uses, two equal phones in one office are two requests.
		if inv.Revoked == nil && inv.Uses == 1 {
			if out, err = acceptedBefore(tx, inv, code, terms, from, userAgent, now); err != nil || out != nil {
				return err
			}
		}
		if s := inv.State(now); s != "open" {
			return closed(inv, s)
		}
		out, err = f.accept(tx, inv, code, terms, language, from, userAgent, now)
		return err
	})
	if err != nil {
		return nil, f.countWrong(err, "code "+addressKey(from))
	}
	return out, nil
}

// acceptedBefore finds the ticket of an equal request made within the last minute, if no device has taken it up; nil if there is none.
func acceptedBefore(tx store.Tx, inv *Invitation, code string, terms TermsID, from, userAgent string, now time.Time) (*Ticket, error) {
	var last *Acceptance
	err := acceptances.Each(tx, store.Query{Index: "invitation", Value: string(inv.ID), Reverse: true}, func(a *Acceptance) (bool, error) {
		if now.Sub(a.At) >= acceptAgain {
			return false, nil
		}
		if a.From == from && a.UserAgent == userAgent && a.Terms == terms {
			last = a
			return false, nil
		}
		return true, nil
	})
	if err != nil || last == nil {
		return nil, err
	}
	e, err := enrolments.Get(tx, string(last.Enrolment))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("enrolment of acceptance: %w", err)
	}
	if e.Device != "" || e.Ended != nil || !now.Before(e.TicketEnds) {
		return nil, nil
	}
	return &Ticket{Secret: ticketSecret(code, e.ID), Enrolment: e.ID, Expires: e.TicketEnds}, nil
}

// accept writes acceptance, enrolment and the use. The invitation itself is the guard key: each use reads and writes it.
func (f *Fleet) accept(tx store.Tx, inv *Invitation, code string, terms TermsID, language, from, userAgent string, now time.Time) (*Ticket, error) {
	present, err := presentTerms(tx)
	if err != nil {
		return nil, err
	}
	if present.ID != terms {
		return nil, Refuse(ErrConflict, "terms.changed")
	}
	s, err := f.settings(tx)
	if err != nil {
		return nil, err
	}
	who := Actor{Kind: ActorPerson, ID: string(inv.Person), From: from, Via: "enrolment page"}
	if inv.Person != "" {
		p, err := people.Get(tx, string(inv.Person))
		if err != nil {
			return nil, notFound(err, "person")
		}
		who.Name = p.Name
	}
	inv.Used++
	if err := invitations.Put(tx, inv); err != nil {
		return nil, fmt.Errorf("use invitation: %w", err)
	}
	switched := switchedFacts(s, inv.Ownership)
	id := EnrolmentID(store.NewID())
	secret := ticketSecret(code, id)
	e := &Enrolment{ID: id, Invitation: inv.ID, Person: inv.Person, Platform: inv.Platform, Mode: inv.Mode, Ownership: inv.Ownership,
		Tags: slices.Clone(inv.Tags), Switches: switched, TicketHash: hashSecret(secret), TicketEnds: now.Add(ticketLifetime), Created: now}
	if err := enrolments.Insert(tx, e); err != nil {
		return nil, fmt.Errorf("begin enrolment: %w", err)
	}
	acc := &Acceptance{ID: store.NewID(), Invitation: inv.ID, Person: inv.Person, Terms: terms, Version: present.Version, Language: language,
		At: now, From: from, UserAgent: userAgent, Enrolment: id, Switches: switched}
	if err := acceptances.Insert(tx, acc); err != nil {
		return nil, fmt.Errorf("keep acceptance: %w", err)
	}
	if err := f.record(tx, who, "accept", "invitation/"+string(inv.ID), who.Name, inv.Tags, nil, acc); err != nil {
		return nil, err
	}
	f.publish(tx, "invitation", string(inv.ID))
	return &Ticket{Secret: secret, Enrolment: id, Expires: e.TicketEnds}, nil
}

// findTicket finds the enrolment of a ticket, whatever its state.
func findTicket(tx store.Tx, ticket string) (*Enrolment, error) {
	ticket = cleanCode(ticket)
	if ticket == "" {
		return nil, Refuse(ErrNotFound, "ticket.unknown")
	}
	e, err := enrolments.Find(tx, "ticket", hexOf(hashSecret(ticket)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, Refuse(ErrNotFound, "ticket.unknown")
	}
	return e, err
}

// hasEnrolled says whether an enrolment has got its device. One that called and could never be reached lost an answer on the way, undid the
// installation, and must be able to begin anew.
func hasEnrolled(tx store.Tx, e *Enrolment) (bool, error) {
	if e.Device == "" {
		return false, nil
	}
	d, err := devices.Get(tx, string(e.Device))
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return d.Enrolment != e.ID || d.State != Enrolling, nil
}

// Redeem turns a ticket into the enrolment it belongs to. ErrGone when expired ("ticket.expired"), enrolled already ("ticket.enrolled")
// or revoked ("invitation.revoked").
func (f *Fleet) Redeem(ctx context.Context, ticket string) (*Enrolment, *Opened, error) {
	var out *Enrolment
	var opened *Opened
	err := f.db.View(ctx, func(tx store.Tx) error {
		e, err := findTicket(tx, ticket)
		if err != nil {
			return err
		}
		inv, err := invitations.Get(tx, string(e.Invitation))
		if err != nil {
			return notFound(err, "invitation")
		}
		enrolled, err := hasEnrolled(tx, e)
		if err != nil {
			return err
		}
		switch {
		case enrolled:
			return Refuse(ErrGone, "ticket.enrolled")
		case inv.Revoked != nil:
			return closed(inv, "revoked")
		case e.Ended != nil, !f.now().Before(e.TicketEnds):
			return Refuse(ErrGone, "ticket.expired")
		}
		out = e
		opened, err = f.opened(tx, inv)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return out, opened, nil
}

// Acceptances lists what a person accepted, or everybody, newest first. A person outside the actor's scope is ErrNotFound.
func (f *Fleet) Acceptances(ctx context.Context, a Actor, person PersonID, q ListQuery) (List[*Acceptance], error) {
	out := List[*Acceptance]{Total: -1}
	if !a.May(PrivacyRead) {
		if err := need(a, PeopleRead); err != nil {
			return out, err
		}
	}
	sq := store.Query{Cursor: q.Cursor, Reverse: !q.Reverse}
	if person != "" {
		sq.Index, sq.Value = "person", string(person)
	}
	err := f.db.View(ctx, func(tx store.Tx) error {
		if person != "" {
			if _, err := f.personSeen(tx, a, person); err != nil {
				return err
			}
		}
		var err error
		out.Items, out.Next, err = pageOf(tx, acceptances, sq, pageLimit(q.Limit), func(acc *Acceptance) (bool, error) {
			inv, err := invitations.Get(tx, string(acc.Invitation))
			if errors.Is(err, store.ErrNotFound) {
				return sees(a, nil), nil
			}
			return err == nil && sees(a, inv.Tags), err
		})
		return err
	})
	return out, err
}
