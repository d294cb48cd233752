package fleet

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/store"
)

const goodPassword = "correct horse battery staple"

var setupActor = Actor{Kind: ActorSetup, ID: "cli", Name: "command line", Via: "cli"}

func goodSetup() SetupInput {
	return SetupInput{Organisation: "Acme", Contact: "it@acme.example", Language: "nl", AdminName: "Olga Owner", AdminMail: "olga@acme.example",
		Password: goodPassword, URL: "https://muster.acme.example"}
}

// setUpHouse is a house after set-up, with its owner.
func setUpHouse(t testing.TB) (*house, *Admin) {
	t.Helper()
	h := newHouse(t)
	token, err := h.SetupLink(context.Background(), setupActor)
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.Setup(context.Background(), token, "192.0.2.1", goodSetup())
	if err != nil {
		t.Fatal(err)
	}
	h.owner.ID, h.owner.Name = string(m.ID), m.Name
	return h, m
}

func TestSetup(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	_, err := h.SetupLink(ctx, Actor{})
	wantRefusal(t, err, ErrForbidden, "forbidden.setup")
	first, err := h.SetupLink(ctx, setupActor)
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.SetupLink(ctx, setupActor)
	if err != nil || token == first || len(token) < 52 {
		t.Fatalf("renewed %q, %v", token, err)
	}
	_, err = h.Setup(ctx, first, "192.0.2.1", goodSetup())
	wantRefusal(t, err, ErrNotFound, "setup.unknown")
	_, err = h.Setup(ctx, "", "192.0.2.1", goodSetup())
	wantRefusal(t, err, ErrNotFound, "setup.unknown")
	tests := []struct {
		name        string
		change      func(*SetupInput)
		field, code string
	}{
		{"no organisation", func(in *SetupInput) { in.Organisation = "" }, "organisation", "input.required"},
		{"no name", func(in *SetupInput) { in.AdminName = "" }, "admin_name", "input.required"},
		{"no mail", func(in *SetupInput) { in.AdminMail = "" }, "admin_mail", "input.required"},
		{"no address", func(in *SetupInput) { in.URL = "" }, "url", "input.required"},
		{"eleven characters", func(in *SetupInput) { in.Password = "kq7#vT2!mXp" }, "password", "password.short"},
		{"one character", func(in *SetupInput) { in.Password = strings.Repeat("x", 20) }, "password", "password.simple"},
		{"digits in a row", func(in *SetupInput) { in.Password = "123456789012" }, "password", "password.simple"},
		{"one's own name", func(in *SetupInput) { in.Password = "OlgaOwner2026" }, "password", "password.guessable"},
		{"one's own mail", func(in *SetupInput) { in.Password = "olga@acme.example" }, "password", "password.guessable"},
		{"a usual one", func(in *SetupInput) { in.Password = "Password1234" }, "password", "password.guessable"},
		{"a megabyte", func(in *SetupInput) { in.Password = strings.Repeat("ab1!x", 1<<18) }, "password", "password.long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := goodSetup()
			tt.change(&in)
			_, err := h.Setup(ctx, token, "192.0.2.1", in)
			wantField(t, err, tt.field, tt.code)
		})
	}
	t.Run("after an hour the link is dead, and can be renewed", func(t *testing.T) {
		h.clock.move(time.Hour)
		_, err := h.Setup(ctx, token, "192.0.2.1", goodSetup())
		wantRefusal(t, err, ErrGone, "setup.expired")
		if token, err = h.SetupLink(ctx, setupActor); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("guesses are limited", func(t *testing.T) {
		var err error
		for range setupLimit.most + 1 {
			_, err = h.Setup(ctx, randomCode(32), "198.51.100.9", goodSetup())
		}
		wantRefusal(t, err, ErrLimited, "limited")
	})
	m, err := h.Setup(ctx, token, "192.0.2.1", goodSetup())
	if err != nil || m.Role != RoleOwner || !m.AllTags || m.PasswordHash != "" {
		t.Fatalf("%+v, %v", m, err)
	}
	t.Run("makes organisation, owner and terms, once", func(t *testing.T) {
		s, _ := h.Settings(ctx)
		terms, err := h.Terms(ctx)
		if err != nil || s.Organisation != "Acme" || !strings.Contains(terms.Text["nl"], "Acme") || !strings.Contains(terms.Text["en"], "it@acme.example") {
			t.Errorf("%+v, %+v, %v", s, terms, err)
		}
		state, err := h.SetupState(ctx)
		if err != nil || !state.Done {
			t.Errorf("%+v, %v", state, err)
		}
		_, err = h.Setup(ctx, token, "192.0.2.1", goodSetup())
		wantRefusal(t, err, ErrConflict, "setup.done")
		_, err = h.SetupLink(ctx, setupActor)
		wantRefusal(t, err, ErrConflict, "setup.done")
	})
	if log := h.auditText(); strings.Contains(log, goodPassword) || strings.Contains(log, token) || strings.Contains(log, "argon2") {
		t.Error("a secret is in the log")
	}
}

// RFC 4226 appendix D, and RFC 6238 appendix B for SHA-1.
func TestTOTPVectors(t *testing.T) {
	key := []byte("12345678901234567890")
	for i, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := hotp(key, uint64(i), 6); got != want {
			t.Errorf("HOTP %d: %s, want %s", i, got, want)
		}
	}
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := hotp(key, uint64(at/totpStep), 8); got != want {
			t.Errorf("TOTP at %d: %s, want %s", at, got, want)
		}
	}
	now := time.Unix(1111111111, 0)
	for step, ok := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		code := hotp(key, uint64(now.Unix()/totpStep+step), 6)
		if got := totpMatch(key, code, now, 0); (got != 0) != ok {
			t.Errorf("a code %d steps away: %v, want ok %v", step, got, ok)
		}
	}
	code := hotp(key, uint64(now.Unix()/totpStep), 6)
	if totpMatch(key, code, now, now.Unix()/totpStep) != 0 {
		t.Error("a used code was accepted")
	}
	for _, bad := range []string{"", "12345", "1234567", "abcdef", "05047\x00"} {
		if totpMatch(key, bad, now, 0) != 0 {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// enrolledTOTP signs in for the first time and returns the TOTP secret, the recovery codes and the session.
func enrolledTOTP(h *house, mail, password string) (key []byte, codes []string, session string) {
	h.t.Helper()
	ctx := context.Background()
	r, err := h.SignIn(ctx, mail, password, "192.0.2.1", "Firefox")
	if err != nil || r.Next != "totp-setup" || r.Session != "" {
		h.t.Fatalf("%+v, %v", r, err)
	}
	u, err := url.Parse(r.TOTPURL)
	if err != nil || u.Scheme != "otpauth" {
		h.t.Fatalf("%q, %v", r.TOTPURL, err)
	}
	key, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		h.t.Fatal(err)
	}
	done, err := h.SignInCode(ctx, r.Pending, h.code(key), "192.0.2.1", "Firefox")
	if err != nil || done.Session == "" || len(done.Codes) != 10 {
		h.t.Fatalf("%+v, %v", done, err)
	}
	return key, done.Codes, done.Session
}

func (h *house) code(key []byte) string {
	return hotp(key, uint64(h.clock.now().Unix()/totpStep), 6)
}

func TestSignIn(t *testing.T) {
	h, m := setUpHouse(t)
	ctx := context.Background()
	key, codes, session := enrolledTOTP(h, "Olga@Acme.example", goodPassword)
	begin := func(from string) string {
		t.Helper()
		r, err := h.SignIn(ctx, m.Mail, goodPassword, from, "Firefox")
		if err != nil || r.Next != "totp" || r.TOTPURL != "" {
			t.Fatalf("%+v, %v", r, err)
		}
		return r.Pending
	}
	t.Run("the session acts with the role's rights", func(t *testing.T) {
		a, who, err := h.Authenticate(ctx, session, "192.0.2.44")
		if err != nil || who.ID != m.ID || !a.May(AdminsEdit) || !a.AllTags || a.From != "192.0.2.44" || a.Session == "" || who.PasswordHash != "" || len(who.Recovery) != 0 {
			t.Fatalf("%+v, %+v, %v", a, who, err)
		}
	})
	t.Run("a code works once", func(t *testing.T) {
		p := begin("192.0.2.1")
		_, err := h.SignInCode(ctx, p, h.code(key), "192.0.2.1", "Firefox")
		wantRefusal(t, err, ErrSignIn, "sign-in.code")
		h.clock.move(30 * time.Second)
		r, err := h.SignInCode(ctx, p, " "+h.code(key)[:3]+" "+h.code(key)[3:], "192.0.2.1", "Firefox")
		if err != nil || r.Session == "" || r.Codes != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		_, err = h.SignInCode(ctx, p, h.code(key), "192.0.2.1", "Firefox")
		wantRefusal(t, err, ErrSignIn, "sign-in.expired")
	})
	t.Run("a recovery code works once", func(t *testing.T) {
		if r, err := h.SignInCode(ctx, begin("192.0.2.1"), strings.ToUpper(codes[3]), "192.0.2.1", "Firefox"); err != nil || r.Session == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		_, err := h.SignInCode(ctx, begin("192.0.2.1"), codes[3], "192.0.2.1", "Firefox")
		wantRefusal(t, err, ErrSignIn, "sign-in.code")
	})
	t.Run("five wrong codes end the sign-in, ten minutes too", func(t *testing.T) {
		h.clock.move(time.Hour)
		p := begin("192.0.2.1")
		for range signInTries {
			_, err := h.SignInCode(ctx, p, "000000", "192.0.2.1", "Firefox")
			wantRefusal(t, err, ErrSignIn, "sign-in.code")
		}
		_, err := h.SignInCode(ctx, p, h.code(key), "192.0.2.1", "Firefox")
		wantRefusal(t, err, ErrSignIn, "sign-in.expired")
		p = begin("192.0.2.1")
		h.clock.move(signInLifetime)
		_, err = h.SignInCode(ctx, p, h.code(key), "192.0.2.1", "Firefox")
		wantRefusal(t, err, ErrSignIn, "sign-in.expired")
	})
	t.Run("who is unknown and who is wrong are told the same", func(t *testing.T) {
		for _, mail := range []string{m.Mail, "nobody@acme.example", "", strings.Repeat("a", 1<<20), "a\x00b"} {
			for _, password := range []string{"wrong password here", "", strings.Repeat("p", 1<<20)} {
				_, err := h.SignIn(ctx, mail, password, "203.0.113.77", "x")
				if !errors.Is(err, ErrLimited) {
					wantRefusal(t, err, ErrSignIn, "sign-in.refused")
				}
			}
		}
		if log := h.auditText(); strings.Contains(log, "nobody@acme.example") || strings.Contains(log, "wrong password here") {
			t.Error("what was typed is in the log")
		}
	})
	t.Run("a pending sign-in of nobody's making", func(t *testing.T) {
		for _, bad := range []string{"", "x", randomCode(32), strings.Repeat("x", 1<<20)} {
			_, err := h.SignInCode(ctx, bad, "123456", "192.0.2.1", "x")
			wantRefusal(t, err, ErrSignIn, "sign-in.expired")
		}
	})
}

func TestSignInLimits(t *testing.T) {
	h, m := setUpHouse(t)
	ctx := context.Background()
	_, _, _ = enrolledTOTP(h, m.Mail, goodPassword) // from 192.0.2.1: a known address now
	wrong := func(mail, from string) error {
		_, err := h.SignIn(ctx, mail, "wrong password here", from, "x")
		return err
	}
	for i := range accountLimit.most {
		wantRefusal(t, wrong(m.Mail, fmt.Sprintf("203.0.113.%d", i)), ErrSignIn, "sign-in.refused")
	}
	r := wantRefusal(t, wrong(m.Mail, "203.0.113.200"), ErrLimited, "limited")
	if r.RetryAfter <= 0 || r.RetryAfter > accountLimit.window {
		t.Errorf("retry after %v", r.RetryAfter)
	}
	_, err := h.SignIn(ctx, m.Mail, goodPassword, "203.0.113.201", "x")
	wantRefusal(t, err, ErrLimited, "limited") // even with the right password, from a strange address
	if _, err := h.SignIn(ctx, m.Mail, goodPassword, "192.0.2.1", "x"); err != nil {
		t.Errorf("the owner is shut out from where she is signed in: %v", err)
	}
	h.clock.move(accountLimit.window)
	if _, err := h.SignIn(ctx, m.Mail, goodPassword, "203.0.113.201", "x"); err != nil {
		t.Errorf("after the window: %v", err)
	}
	for i := range addressLimit.most {
		if err := wrong(fmt.Sprintf("u%d@acme.example", i), "198.51.100.1"); !errors.Is(err, ErrSignIn) {
			t.Fatal(err)
		}
	}
	wantRefusal(t, wrong("another@acme.example", "198.51.100.1"), ErrLimited, "limited")
	wantRefusal(t, wrong("another@acme.example", "198.51.100.2"), ErrSignIn, "sign-in.refused")
}

// A flood may neither eat the machine's memory nor pass the limits by coming all at once.
func TestSignInFlood(t *testing.T) {
	h, m := setUpHouse(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	tried := 0
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := h.SignIn(context.Background(), m.Mail, "wrong password here", fmt.Sprintf("203.0.113.%d", i), "x")
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrSignIn) {
				tried++
			} else if !errors.Is(err, ErrLimited) {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if tried > accountLimit.most {
		t.Errorf("%d tries were looked at, want at most %d", tried, accountLimit.most)
	}
	if cap(h.org.hashing.turns) > 2 {
		t.Errorf("%d hashes at once", cap(h.org.hashing.turns))
	}
}

func TestSessions(t *testing.T) {
	h, m := setUpHouse(t)
	ctx := context.Background()
	key, _, session := enrolledTOTP(h, m.Mail, goodPassword)
	alive := func(s string) bool {
		t.Helper()
		_, _, err := h.Authenticate(ctx, s, "192.0.2.1")
		if err != nil && !errors.Is(err, ErrSignIn) {
			t.Fatal(err)
		}
		return err == nil
	}
	open := func() string {
		t.Helper()
		s, err := h.SignInAs(ctx, setupActor, m.ID, "192.0.2.1", "Firefox")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("the secret is not in the store's record", func(t *testing.T) {
		a, _, _ := h.Authenticate(ctx, session, "192.0.2.1")
		list, err := h.Sessions(ctx, a)
		if err != nil || len(list) != 1 || strings.Contains(session, string(list[0].ID)) || alive(string(list[0].ID)) {
			t.Errorf("%v, %v", list, err)
		}
	})
	t.Run("a use is noted at most once a minute", func(t *testing.T) {
		syncs := h.db.Syncs()
		for range 5 {
			alive(session)
		}
		h.clock.move(30 * time.Second)
		alive(session)
		if n := h.db.Syncs() - syncs; n != 0 {
			t.Errorf("%d writes within a minute", n)
		}
		h.clock.move(30 * time.Second)
		alive(session)
		if n := h.db.Syncs() - syncs; n != 1 {
			t.Errorf("%d writes after a minute, want 1", n)
		}
	})
	t.Run("twelve hours idle end it", func(t *testing.T) {
		s := open()
		h.clock.move(sessionIdle - time.Second)
		if !alive(s) {
			t.Fatal("ended early")
		}
		h.clock.move(sessionIdle)
		if alive(s) {
			t.Error("still alive")
		}
	})
	t.Run("seven days end it however busy", func(t *testing.T) {
		s := open()
		for range 14 {
			h.clock.move(12*time.Hour - time.Minute)
			if !alive(s) {
				t.Fatal("ended early")
			}
		}
		h.clock.move(14 * time.Minute)
		if alive(s) {
			t.Error("still alive")
		}
		if err := h.sweepSignIns(ctx); err != nil {
			t.Fatal(err)
		}
		err := h.db.View(ctx, func(tx store.Tx) error {
			n, err := sessions.Count(tx, store.Query{})
			if n != 0 {
				t.Errorf("%d sessions after the sweep", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("signing out, and ending another's", func(t *testing.T) {
		one, two := open(), open()
		if err := h.SignOut(ctx, one); err != nil || alive(one) || !alive(two) {
			t.Errorf("%v", err)
		}
		if err := h.SignOut(ctx, one); err != nil {
			t.Errorf("twice: %v", err)
		}
		a, _, _ := h.Authenticate(ctx, two, "192.0.2.1")
		wantRefusal(t, h.EndSession(ctx, a, "nothing"), ErrNotFound, "not-found")
		if err := h.EndSession(ctx, a, a.Session); err != nil || alive(two) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a new password ends the others", func(t *testing.T) {
		mine, other := open(), open()
		a, _, _ := h.Authenticate(ctx, mine, "192.0.2.1")
		if _, err := h.UpdateAdmin(ctx, a, m.ID, AdminInput{Password: ptr("another good phrase 77")}); err != nil {
			t.Fatal(err)
		}
		if !alive(mine) || alive(other) {
			t.Errorf("mine %v, other %v", alive(mine), alive(other))
		}
		_, err := h.SignIn(ctx, m.Mail, goodPassword, "192.0.2.1", "x")
		wantRefusal(t, err, ErrSignIn, "sign-in.refused")
	})
	t.Run("a new second factor is asked for after a reset", func(t *testing.T) {
		s := open()
		a, _, _ := h.Authenticate(ctx, s, "192.0.2.1")
		if _, err := h.UpdateAdmin(ctx, a, m.ID, AdminInput{ResetTOTP: true}); err != nil {
			t.Fatal(err)
		}
		if alive(s) {
			t.Error("the session outlived its second factor")
		}
		r, err := h.SignIn(ctx, m.Mail, "another good phrase 77", "192.0.2.1", "x")
		if err != nil || r.Next != "totp-setup" {
			t.Fatalf("%+v, %v", r, err)
		}
		_, err = h.SignInCode(ctx, r.Pending, h.code(key), "192.0.2.1", "x")
		wantRefusal(t, err, ErrSignIn, "sign-in.code")
	})
	t.Run("only the command line opens a session without a password", func(t *testing.T) {
		_, err := h.SignInAs(ctx, h.owner, m.ID, "192.0.2.1", "x")
		wantRefusal(t, err, ErrForbidden, "forbidden.setup")
	})
}
