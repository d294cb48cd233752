package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/store"
)

func TestInvite(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	anna := h.person("Anna", "anna@example.org", "north")
	tests := []struct {
		name        string
		actor       Actor
		in          InvitationInput
		field, code string
	}{
		{"a platform that is not offered", h.owner, InvitationInput{Platform: "tizen", Mode: ModeDevice, Ownership: Personal}, "platform", "invitation.platform"},
		{"a way that is for company devices", h.owner, InvitationInput{Platform: Android, Mode: ModeFullyManaged, Ownership: Personal}, "ownership", "invitation.mode-ownership"},
		{"a work profile of ours on a personal phone", h.owner, InvitationInput{Platform: Android, Mode: ModeWorkProfile, Ownership: Corporate}, "ownership", "invitation.mode-ownership"},
		{"a kiosk with a person", h.owner, InvitationInput{Platform: Android, Mode: ModeKiosk, Ownership: Corporate, Person: anna.ID}, "person", "invitation.kiosk-person"},
		{"no ownership", h.owner, InvitationInput{Platform: IOS}, "ownership", "input.choice"},
		{"another mode", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Mode: "kiosk"}, "mode", "input.choice"},
		{"too many uses", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Uses: 1001}, "uses", "input.range"},
		{"negative uses", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Uses: -1}, "uses", "input.range"},
		{"too long", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Lifetime: 91 * 24 * time.Hour}, "lifetime", "invitation.lifetime"},
		{"in the past", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Lifetime: -time.Hour}, "lifetime", "invitation.lifetime"},
		{"hostile note", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Note: "a\x00b"}, "note", "input.characters"},
		{"a person who is not there", h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Person: "nobody"}, "person", "not-found"},
		{"a person outside the scope", h.scoped("south"), InvitationInput{Platform: IOS, Ownership: Personal, Person: anna.ID}, "person", "not-found"},
		{"a tag that one does not hold", h.scoped("south"), InvitationInput{Platform: IOS, Ownership: Personal, Tags: []Tag{"north"}}, "tags", "scope.tag-not-held"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := h.Invite(ctx, tt.actor, tt.in)
			wantField(t, err, tt.field, tt.code)
		})
	}
	t.Run("defaults", func(t *testing.T) {
		inv, code, err := h.Invite(ctx, h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Person: anna.ID})
		if err != nil {
			t.Fatal(err)
		}
		if inv.Uses != 1 || !inv.Expires.Equal(h.clock.now().Add(7*24*time.Hour)) || fmt.Sprint(inv.Tags) != "[north]" || inv.Mode != ModeDevice {
			t.Errorf("%+v", inv)
		}
		if len(code) < 26 || strings.Trim(code, "0123456789abcdefghjkmnpqrstvwxyz") != "" {
			t.Errorf("code %q is not 128 bits in base32 without look-alikes", code)
		}
		if strings.Contains(h.auditText(), code) {
			t.Error("the code is in the log")
		}
	})
	t.Run("scope", func(t *testing.T) {
		inv, _, err := h.Invite(ctx, h.owner, InvitationInput{Platform: IOS, Ownership: Personal, Tags: []Tag{"north"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Invitation(ctx, h.scoped("south"), inv.ID)
		wantRefusal(t, err, ErrNotFound, "not-found")
		wantRefusal(t, h.RevokeInvitation(ctx, h.scoped("south"), inv.ID), ErrNotFound, "not-found")
		list, err := h.Invitations(ctx, h.scoped("south"), "", ListQuery{})
		if err != nil || len(list.Items) != 0 {
			t.Errorf("%v, %v", list.Items, err)
		}
	})
}

func TestOpenInvitation(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	terms := h.terms()
	s, _ := h.Settings(ctx)
	s.Organisation, s.Contact, s.URL, s.Switches = "Acme", "it@acme.example", "https://m.acme.example", map[string]bool{SwitchPhoneNumber: true}
	if _, err := h.SaveSettings(ctx, h.owner, *s); err != nil {
		t.Fatal(err)
	}
	anna := h.person("Anna", "anna@example.org")
	inv, code, err := h.Invite(ctx, h.owner, InvitationInput{Person: anna.ID, Platform: IOS, Ownership: Personal})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("shows everything and uses nothing up, however often it is read", func(t *testing.T) {
		for range 5 {
			o, err := h.OpenInvitation(ctx, code, "203.0.113.5")
			if err != nil {
				t.Fatal(err)
			}
			if o.Person.ID != anna.ID || o.Organisation != "Acme" || o.Contact != "it@acme.example" || o.Terms.ID != terms.ID || o.Invitation.Used != 0 || o.Invitation.CodeHash != nil {
				t.Fatalf("%+v", o)
			}
			has := func(k FactKey) bool {
				return slices.ContainsFunc(o.Collected, func(d FactDeclaration) bool { return d.Key == k })
			}
			if !has(FactSerial) || !has(FactPhoneNumber) || has(FactCarrier) || has(FactIMEI) || has(FactApps) {
				t.Errorf("collected: %v", o.Collected)
			}
			if !slices.Contains(o.Never, "never.location") || !slices.Contains(o.Never, "never.photos") {
				t.Errorf("never: %v", o.Never)
			}
		}
	})
	t.Run("a code is read as people type it", func(t *testing.T) {
		typed := strings.ToUpper(code[:5]) + "-" + strings.ReplaceAll(strings.ReplaceAll(code[5:], "0", "O"), "1", "l") + " "
		if _, err := h.OpenInvitation(ctx, typed, "203.0.113.5"); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		_, err := h.OpenInvitation(ctx, "0123456789abcdefghjkmnpqrs", "203.0.113.6")
		wantRefusal(t, err, ErrNotFound, "invitation.unknown")
		for _, bad := range []string{"", strings.Repeat("x", 1<<20), "\x00", "../../etc/passwd"} {
			_, err := h.OpenInvitation(ctx, bad, "203.0.113.6")
			wantRefusal(t, err, ErrNotFound, "invitation.unknown")
		}
		h.clock.move(7*24*time.Hour - time.Second)
		if _, err := h.OpenInvitation(ctx, code, "203.0.113.6"); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		h.clock.move(time.Second)
		_, err = h.OpenInvitation(ctx, code, "203.0.113.6")
		wantRefusal(t, err, ErrGone, "invitation.expired")
		if err := h.RevokeInvitation(ctx, h.owner, inv.ID); err != nil {
			t.Fatal(err)
		}
		_, err = h.OpenInvitation(ctx, code, "203.0.113.6")
		wantRefusal(t, err, ErrGone, "invitation.revoked")
		if err := h.RevokeInvitation(ctx, h.owner, inv.ID); err != nil {
			t.Errorf("revoking twice: %v", err)
		}
	})
	t.Run("wrong codes are limited per address", func(t *testing.T) {
		_, right, err := h.Invite(ctx, h.owner, InvitationInput{Platform: IOS, Ownership: Personal})
		if err != nil {
			t.Fatal(err)
		}
		try := func(from string) error {
			_, err := h.OpenInvitation(ctx, randomCode(16), from)
			return err
		}
		for i := range codeLimit.most {
			wantRefusal(t, try(fmt.Sprintf("[2001:db8::%d]:443", i+1)), ErrNotFound, "invitation.unknown")
		}
		r := wantRefusal(t, try("2001:db8::ffff"), ErrLimited, "limited")
		if r.RetryAfter <= 0 || r.RetryAfter > codeLimit.window {
			t.Errorf("retry after %v", r.RetryAfter)
		}
		_, err = h.Accept(ctx, randomCode(16), terms.ID, "en", "2001:db8::1", "x")
		wantRefusal(t, err, ErrLimited, "limited")
		wantRefusal(t, try("2001:db8:0:1::1"), ErrNotFound, "invitation.unknown") // another network
		if _, err := h.OpenInvitation(ctx, right, "2001:db8::1"); err != nil {
			t.Errorf("a right code from a limited address: %v", err)
		}
		h.clock.move(codeLimit.window)
		wantRefusal(t, try("2001:db8::1"), ErrNotFound, "invitation.unknown")
	})
}

func TestAccept(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	terms := h.terms()
	anna := h.person("Anna", "anna@example.org", "north")
	invite := func(uses int) (*Invitation, string) {
		t.Helper()
		inv, code, err := h.Invite(ctx, h.owner, InvitationInput{Person: anna.ID, Platform: IOS, Ownership: Personal, Uses: uses})
		if err != nil {
			t.Fatal(err)
		}
		return inv, code
	}
	used := func(id InvitationID) int {
		t.Helper()
		inv, err := h.Invitation(ctx, h.owner, id)
		if err != nil {
			t.Fatal(err)
		}
		return inv.Used
	}
	t.Run("keeps who, when, which version, from where, and begins an enrolment", func(t *testing.T) {
		inv, code := invite(1)
		ticket, err := h.Accept(ctx, code, terms.ID, "nl", "203.0.113.9", "Safari")
		if err != nil {
			t.Fatal(err)
		}
		e, o, err := h.Redeem(ctx, ticket.Secret)
		if err != nil || e.ID != ticket.Enrolment || e.Person != anna.ID || fmt.Sprint(e.Tags) != "[north]" || o.Invitation.ID != inv.ID {
			t.Fatalf("%+v, %v", e, err)
		}
		list, err := h.Acceptances(ctx, h.owner, anna.ID, ListQuery{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%v, %v", list.Items, err)
		}
		if a := list.Items[0]; a.Version != 1 || a.Language != "nl" || a.From != "203.0.113.9" || a.UserAgent != "Safari" || !a.At.Equal(h.clock.now()) || a.Enrolment != e.ID {
			t.Errorf("%+v", a)
		}
		if strings.Contains(h.auditText(), ticket.Secret) {
			t.Error("the ticket is in the log")
		}
		list, err = h.Acceptances(ctx, h.scoped("south"), anna.ID, ListQuery{})
		if !errors.Is(err, ErrNotFound) || len(list.Items) != 0 {
			t.Errorf("outside the scope: %v, %v", list.Items, err)
		}
	})
	t.Run("the same browser within a minute gets the same ticket", func(t *testing.T) {
		inv, code := invite(1)
		first, err := h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", "Safari")
		if err != nil {
			t.Fatal(err)
		}
		h.clock.move(59 * time.Second)
		again, err := h.Accept(ctx, strings.ToUpper(code), terms.ID, "en", "203.0.113.9", "Safari")
		if err != nil || again.Secret != first.Secret || used(inv.ID) != 1 {
			t.Errorf("%v, %v, used %d", again, err, used(inv.ID))
		}
		_, err = h.Accept(ctx, code, terms.ID, "en", "203.0.113.10", "Safari")
		wantRefusal(t, err, ErrGone, "invitation.used")
		h.clock.move(2 * time.Second)
		_, err = h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", "Safari")
		wantRefusal(t, err, ErrGone, "invitation.used")
	})
	t.Run("two equal phones behind one address are two requests", func(t *testing.T) {
		inv, code := invite(2)
		first, err := h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", "Safari")
		if err != nil {
			t.Fatal(err)
		}
		second, err := h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", "Safari")
		if err != nil || second.Secret == first.Secret || used(inv.ID) != 2 {
			t.Errorf("%v, %v, used %d", second, err, used(inv.ID))
		}
	})
	t.Run("many at once never use more than there is", func(t *testing.T) {
		inv, code := invite(3)
		var wg sync.WaitGroup
		var mu sync.Mutex
		tickets := map[string]bool{}
		for i := range 20 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				ticket, err := h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", fmt.Sprint("browser ", i))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					tickets[ticket.Secret] = true
				} else if !errors.Is(err, ErrGone) {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		if len(tickets) != 3 || used(inv.ID) != 3 {
			t.Errorf("%d tickets, used %d, want 3", len(tickets), used(inv.ID))
		}
	})
	t.Run("refusals use nothing", func(t *testing.T) {
		inv, code := invite(1)
		_, err := h.Accept(ctx, code, "older", "en", "203.0.113.9", "Safari")
		wantRefusal(t, err, ErrConflict, "terms.changed")
		_, err = h.Accept(ctx, code, terms.ID, "fr", "203.0.113.9", "Safari")
		wantField(t, err, "language", "input.choice")
		_, err = h.Accept(ctx, "wrong", terms.ID, "en", "203.0.113.9", "Safari")
		wantRefusal(t, err, ErrNotFound, "invitation.unknown")
		if used(inv.ID) != 0 {
			t.Errorf("used %d", used(inv.ID))
		}
		h.clock.move(8 * 24 * time.Hour)
		_, err = h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", "Safari")
		wantRefusal(t, err, ErrGone, "invitation.expired")
	})
	t.Run("hostile headers are kept short and valid", func(t *testing.T) {
		_, code := invite(1)
		if _, err := h.Accept(ctx, code, terms.ID, "en", strings.Repeat("9", 1<<16), "\xff"+strings.Repeat("U", 1<<20)); err != nil {
			t.Fatal(err)
		}
		list, _ := h.Acceptances(ctx, h.owner, anna.ID, ListQuery{Limit: 1})
		if a := list.Items[0]; len(a.From) > 64 || len(a.UserAgent) > 310 || strings.ToValidUTF8(a.UserAgent, "") != a.UserAgent {
			t.Errorf("kept %d and %d bytes", len(a.From), len(a.UserAgent))
		}
	})
	t.Run("a ticket ends", func(t *testing.T) {
		inv, code := invite(3)
		open := func(agent string) *Ticket {
			t.Helper()
			ticket, err := h.Accept(ctx, code, terms.ID, "en", "203.0.113.9", agent)
			if err != nil {
				t.Fatal(err)
			}
			return ticket
		}
		late := open("late")
		h.clock.move(time.Hour)
		_, _, err := h.Redeem(ctx, late.Secret)
		wantRefusal(t, err, ErrGone, "ticket.expired")
		enrolled := open("enrolled")
		h.update(func(tx store.Tx) error {
			e, err := enrolments.Get(tx, string(enrolled.Enrolment))
			if err != nil {
				return err
			}
			e.Device = "d1"
			return enrolments.Put(tx, e)
		})
		_, _, err = h.Redeem(ctx, enrolled.Secret)
		wantRefusal(t, err, ErrGone, "ticket.enrolled")
		waiting := open("waiting")
		if err := h.RevokeInvitation(ctx, h.owner, inv.ID); err != nil {
			t.Fatal(err)
		}
		_, _, err = h.Redeem(ctx, waiting.Secret)
		wantRefusal(t, err, ErrGone, "invitation.revoked")
		err = h.db.View(ctx, func(tx store.Tx) error {
			e, err := enrolments.Get(tx, string(waiting.Enrolment))
			if err == nil && e.Ended == nil {
				t.Error("the enrolment that waited goes on")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"", "x", randomCode(20), strings.Repeat("0", 1<<20)} {
			_, _, err := h.Redeem(ctx, bad)
			wantRefusal(t, err, ErrNotFound, "ticket.unknown")
		}
	})
}

func TestTerms(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	_, err := h.Terms(ctx)
	wantRefusal(t, err, ErrNotFound, "terms.none")
	first := h.terms()
	if again := h.terms(); again.ID != first.ID {
		t.Error("unchanged text made a new version")
	}
	both := func(s string) map[string]string { return map[string]string{"en": s, "nl": s} }
	tests := []struct {
		name        string
		text        map[string]string
		field, code string
	}{
		{"one language missing", map[string]string{"en": "x"}, "text.nl", "input.required"},
		{"a language there are no words for", map[string]string{"en": "x", "nl": "x", "fr": "x"}, "text.fr", "input.choice"},
		{"a megabyte", both(strings.Repeat("x", 1<<20)), "text.en", "input.too-long"},
		{"control characters", both("a\x07b"), "text.en", "input.characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.SaveTerms(ctx, h.owner, tt.text)
			wantField(t, err, tt.field, tt.code)
		})
	}
	text := both("First <b>paragraph</b>.\n\nשלום עולם")
	second, err := h.SaveTerms(ctx, h.owner, text)
	if err != nil || second.Version != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	if now, err := h.Terms(ctx); err != nil || now.Text["nl"] != text["nl"] {
		t.Errorf("%+v, %v", now, err)
	}
	list, err := h.TermsVersions(ctx, h.owner)
	if err != nil || len(list) != 2 || list[0].Version != 2 || list[1].Text["en"] != "Be careful." {
		t.Errorf("%v, %v", list, err)
	}
	_, err = h.SaveTerms(ctx, Actor{Kind: ActorAdmin}, text)
	wantRefusal(t, err, ErrForbidden, "forbidden")
}
