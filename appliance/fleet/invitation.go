package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/store"
)

// Invitation is a link and QR code for one person, one ownership, one mode, limited in uses
// and time, revocable (A10). Its code has 128 random bits and is kept hashed.
type Invitation struct {
	ID        InvitationID `json:"id"`
	Person    PersonID     `json:"person"` // empty: a device with no person
	Platform  Platform     `json:"platform"`
	Mode      Mode         `json:"mode"`
	Ownership Ownership    `json:"ownership"`
	Uses      int          `json:"uses"` // how often it may be used
	Used      int          `json:"used"`
	Expires   time.Time    `json:"expires"`
	Revoked   *time.Time   `json:"revoked,omitempty"`
	Tags      []Tag        `json:"tags,omitempty"`
	Note      string       `json:"note,omitempty"`
	CodeHash  []byte       `json:"code_hash"`
	Created   time.Time    `json:"created"`
	CreatedBy string       `json:"created_by"`
}

// InvitationState is open, used, expired or revoked.
type InvitationState string

// State of the invitation at a moment.
func (i *Invitation) State(now time.Time) InvitationState {
	switch {
	case i.Revoked != nil:
		return "revoked"
	case i.Used >= i.Uses:
		return "used"
	case !now.Before(i.Expires):
		return "expired"
	}
	return "open"
}

// Target is what an invitation leads to.
func (i *Invitation) Target() Target { return Target{i.Platform, i.Mode, i.Ownership} }

// InvitationInput says what an invitation is to be.
type InvitationInput struct {
	Person    PersonID
	Platform  Platform // IOS serves iPhone and iPad alike: the device tells which it is
	Mode      Mode
	Ownership Ownership
	Uses      int           // 0 = 1
	Lifetime  time.Duration // 0 = 7 days; at most 90 days
	Tags      []Tag         // of the device that comes; nil = those of the person
	Note      string
}

const (
	usesMost            = 1000
	invitationLifetime  = 7 * 24 * time.Hour
	invitationLongest   = 90 * 24 * time.Hour
	invitationShortest  = 5 * time.Minute
	invitationCodeBytes = 16
)

// invitable are the platforms that there are invitations for.
var invitable = []Platform{IOS, IPadOS, MacOS, Windows, Android}

// Invite makes an invitation; the code is returned this once. The link is <url>/enroll/<code>.
func (f *Fleet) Invite(ctx context.Context, a Actor, in InvitationInput) (*Invitation, string, error) {
	if err := need(a, InviteWrite); err != nil {
		return nil, "", err
	}
	if in.Uses == 0 {
		in.Uses = 1
	}
	if in.Lifetime == 0 {
		in.Lifetime = invitationLifetime
	}
	if in.Mode == "" {
		in.Mode = defaultMode(in.Platform, in.Ownership)
	}
	bad := faults{}
	if !slices.Contains(invitable, in.Platform) || (len(f.modules) > 0 && f.modules[in.Platform] == nil) {
		bad.put("platform", "invitation.platform", "platform", clip(string(in.Platform), 40))
	}
	bad.oneOf("ownership", string(in.Ownership), []string{string(Personal), string(Corporate)})
	bad.mode(in)
	bad.between("uses", in.Uses, 1, usesMost)
	if in.Lifetime < invitationShortest || in.Lifetime > invitationLongest {
		bad.put("lifetime", "invitation.lifetime", "days", "90")
	}
	bad.text("note", in.Note, 0, 500)
	bad.tags("tags", in.Tags)
	if err := bad.refuse("invitation.invalid"); err != nil {
		return nil, "", err
	}
	var inv *Invitation
	var code string
	err := f.db.Update(ctx, func(tx store.Tx) error {
		now := f.now().UTC()
		code = randomCode(invitationCodeBytes)
		inv = &Invitation{ID: InvitationID(store.NewID()), Person: in.Person, Platform: in.Platform, Mode: in.Mode, Ownership: in.Ownership,
			Uses: in.Uses, Expires: now.Add(in.Lifetime), Tags: sortedTags(in.Tags), Note: in.Note, CodeHash: hashSecret(code),
			Created: now, CreatedBy: a.Name}
		label := ""
		if in.Person != "" {
			p, err := f.personSeen(tx, a, in.Person)
			if errors.Is(err, ErrNotFound) {
				return &Refusal{Kind: ErrInvalid, Reason: Why("invitation.invalid"), Fields: map[string]Reason{"person": Why("not-found", "what", "person")}}
			}
			if err != nil {
				return err
			}
			label = p.Name
			if in.Tags == nil {
				inv.Tags = p.Tags
			}
		} else if in.Tags == nil {
			inv.Tags = tagsFor(a)
		}
		if in.Tags != nil {
			if err := keepsScope(a, nil, inv.Tags); err != nil {
				return err
			}
		}
		if err := invitations.Insert(tx, inv); err != nil {
			return fmt.Errorf("save invitation: %w", err)
		}
		if err := f.record(tx, a, "create", "invitation/"+string(inv.ID), label, inv.Tags, nil, inv); err != nil {
			return err
		}
		f.publish(tx, "invitation", string(inv.ID))
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return inv, code, nil
}

// mode checks that the platform knows the way of managing, and that it is meant for devices of that ownership.
func (bad faults) mode(in InvitationInput) {
	if in.Mode == ModeKiosk && in.Person != "" {
		bad.put("person", "invitation.kiosk-person")
	}
	known := false
	for _, t := range TargetsOf(in.Platform) {
		if t.Mode != in.Mode {
			continue
		}
		known = true
		if t.Ownership == in.Ownership {
			return
		}
	}
	switch {
	case !known:
		bad.put("mode", "input.choice", "value", clip(string(in.Mode), 40))
	case len(bad) == 0:
		bad.put("ownership", "invitation.mode-ownership", "mode", string(in.Mode), "ownership", string(in.Ownership))
	}
}

// invitationSeen reads an invitation within the actor's scope.
func (f *Fleet) invitationSeen(tx store.Tx, a Actor, id InvitationID) (*Invitation, error) {
	inv, err := invitations.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "invitation")
	}
	if !sees(a, inv.Tags) {
		return nil, Refuse(ErrNotFound, "not-found", "what", "invitation")
	}
	return inv, nil
}

// RevokeInvitation ends an invitation, and the enrolments begun with it that no device has taken up yet. Doing it twice is no error.
func (f *Fleet) RevokeInvitation(ctx context.Context, a Actor, id InvitationID) error {
	if err := need(a, InviteWrite); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		inv, err := f.invitationSeen(tx, a, id)
		if err != nil || inv.Revoked != nil {
			return err
		}
		return f.endInvitation(tx, a, inv)
	})
}

func (f *Fleet) endInvitation(tx store.Tx, a Actor, inv *Invitation) error {
	before := *inv
	now := f.now().UTC()
	inv.Revoked = &now
	if err := invitations.Put(tx, inv); err != nil {
		return fmt.Errorf("revoke invitation: %w", err)
	}
	var begun []EnrolmentID
	err := acceptances.Each(tx, store.Query{Index: "invitation", Value: string(inv.ID)}, func(acc *Acceptance) (bool, error) {
		begun = append(begun, acc.Enrolment)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("acceptances of invitation: %w", err)
	}
	for _, id := range begun {
		e, err := enrolments.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("enrolment of invitation: %w", err)
		}
		if e.Device != "" || e.Ended != nil {
			continue
		}
		e.Ended, e.EndReason = &now, "invitation-revoked"
		if err := enrolments.Put(tx, e); err != nil {
			return fmt.Errorf("end enrolment: %w", err)
		}
		if err := f.pki.VoidChallenges(tx, string(id)); err != nil {
			return fmt.Errorf("void challenges: %w", err)
		}
	}
	if err := f.record(tx, a, "revoke", "invitation/"+string(inv.ID), "", inv.Tags, before, inv); err != nil {
		return err
	}
	f.publish(tx, "invitation", string(inv.ID))
	return nil
}

// endInvitations revokes the open invitations of a person who is deleted.
func (f *Fleet) endInvitations(tx store.Tx, a Actor, p PersonID) error {
	var open []*Invitation
	now := f.now()
	err := invitations.Each(tx, store.Query{Index: "person", Value: string(p)}, func(inv *Invitation) (bool, error) {
		if inv.Revoked == nil && (inv.State(now) == "open" || inv.Used > 0) {
			open = append(open, inv)
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("invitations of person: %w", err)
	}
	for _, inv := range open {
		if err := f.endInvitation(tx, a, inv); err != nil {
			return err
		}
	}
	return nil
}

// Invitation returns one invitation.
func (f *Fleet) Invitation(ctx context.Context, a Actor, id InvitationID) (*Invitation, error) {
	if err := readsInvitations(a); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Invitation, error) {
		return f.invitationSeen(tx, a, id)
	})
}

func readsInvitations(a Actor) error {
	if a.May(InviteWrite) {
		return nil
	}
	return need(a, PeopleRead)
}

// Invitations lists the invitations of a person, or all, newest first.
func (f *Fleet) Invitations(ctx context.Context, a Actor, person PersonID, q ListQuery) (List[*Invitation], error) {
	out := List[*Invitation]{Total: -1}
	if err := readsInvitations(a); err != nil {
		return out, err
	}
	sq := store.Query{Cursor: q.Cursor, Reverse: !q.Reverse}
	if person != "" {
		sq.Index, sq.Value = "person", string(person)
	}
	wanted := splitSearch(q.Search)
	err := f.db.View(ctx, func(tx store.Tx) error {
		var err error
		out.Items, out.Next, err = pageOf(tx, invitations, sq, pageLimit(q.Limit), func(i *Invitation) (bool, error) {
			if !sees(a, i.Tags) {
				return false, nil
			}
			if len(wanted) == 0 {
				return true, nil
			}
			words := searchWords(i.Note, i.CreatedBy)
			if i.Person != "" {
				if p, err := people.Get(tx, string(i.Person)); err == nil {
					words = append(words, searchWords(p.Name, p.Mail)...)
				} else if !errors.Is(err, store.ErrNotFound) {
					return false, err
				}
			}
			return beginsWithAll(words, wanted), nil
		})
		return err
	})
	return out, err
}

// Opened is what the page behind a link shows.
type Opened struct {
	Invitation   *Invitation
	Person       *Person // nil without a person
	Organisation string
	Contact      string
	Terms        *Terms
	Target       Target
	Collected    []FactDeclaration // what will be collected from this kind of device, by the register and the settings
	Never        []string          // word keys of what is never collected (D4)
	Powers       []Reason          // what the organisation can do with this device: lock, retire, wipe ...
}

// OpenInvitation looks behind a code. It uses nothing up. A wrong, expired, used or revoked code is ErrNotFound
// or ErrGone with a Reason; wrong tries are limited per address. A right code is served even to a limited address: codes cannot be guessed,
// and people share addresses.
func (f *Fleet) OpenInvitation(ctx context.Context, code, from string) (*Opened, error) {
	var out *Opened
	err := f.db.View(ctx, func(tx store.Tx) error {
		inv, err := f.openCode(tx, code)
		if err != nil {
			return err
		}
		out, err = f.opened(tx, inv)
		return err
	})
	return out, f.countWrong(err, "code "+addressKey(from))
}

// countWrong counts a try that found nothing, and turns it into ErrLimited when there were too many.
func (f *Fleet) countWrong(err error, key string) error {
	if errors.Is(err, ErrNotFound) {
		if wait := f.org.limits.wrong(key, codeLimit); wait > 0 {
			return limited(wait)
		}
	}
	return err
}

// openCode finds the open invitation of a code.
func (f *Fleet) openCode(tx store.Tx, code string) (*Invitation, error) {
	inv, err := findCode(tx, code)
	if err != nil {
		return nil, err
	}
	if s := inv.State(f.now()); s != "open" {
		return nil, closed(inv, s)
	}
	return inv, nil
}

func findCode(tx store.Tx, code string) (*Invitation, error) {
	code = cleanCode(code)
	if code == "" {
		return nil, Refuse(ErrNotFound, "invitation.unknown")
	}
	inv, err := invitations.Find(tx, "code", hexOf(hashSecret(code)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, Refuse(ErrNotFound, "invitation.unknown")
	}
	return inv, err
}

// closed says why an invitation cannot be used any more: "invitation.revoked", "invitation.used", "invitation.expired".
func closed(inv *Invitation, s InvitationState) error {
	return Refuse(ErrGone, "invitation."+string(s), "expires", timeText(inv.Expires))
}

// opened gathers what the page shows.
func (f *Fleet) opened(tx store.Tx, inv *Invitation) (*Opened, error) {
	s, err := f.settings(tx)
	if err != nil {
		return nil, err
	}
	terms, err := presentTerms(tx)
	if err != nil {
		return nil, err
	}
	shown := *inv
	shown.CodeHash = nil
	o := &Opened{Invitation: &shown, Organisation: s.Organisation, Contact: s.Contact, Terms: terms, Target: inv.Target(),
		Collected: collectedFrom(s, inv.Target()), Never: NeverCollected(inv.Target()), Powers: f.powers(inv.Target())}
	if inv.Person != "" {
		o.Person, err = people.Get(tx, string(inv.Person))
		if errors.Is(err, store.ErrNotFound) {
			return nil, Refuse(ErrGone, "invitation.revoked", "expires", timeText(inv.Expires))
		}
		if err != nil {
			return nil, fmt.Errorf("person of invitation: %w", err)
		}
	}
	return o, nil
}

// powers is what the organisation can do with a device of this kind (P82: said before consent), and that a person can leave.
func (f *Fleet) powers(t Target) []Reason {
	out := []Reason{Why("power.profiles")}
	if m := f.modules[t.Platform]; m != nil {
		d := &Device{Platform: t.Platform, Mode: t.Mode, Ownership: t.Ownership, State: Managed, Channels: []Channel{DeviceChannel}}
		for _, c := range m.Choices(d, nil) {
			if c.Offered {
				out = append(out, Why("power."+string(c.Type)))
			}
		}
	}
	if t.Ownership == Personal {
		out = append(out, Why("power.leave"))
	}
	return out
}
