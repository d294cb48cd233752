package ui_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
	"muster/ui"
	"muster/ui/uitest"
	"muster/ui/words"
)

// apple is a platform that delivers nothing: enough for invitations.
type apple struct{}

func (apple) Platforms() []fleet.Platform {
	return []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS}
}
func (apple) Applies(*fleet.Profile, fleet.Target) (bool, fleet.Reason) { return true, fleet.Reason{} }
func (apple) Compose(*fleet.Device, []*fleet.Profile) []fleet.Unit      { return nil }
func (apple) Marker(fleet.Unit) string                                  { return "" }
func (apple) Choices(*fleet.Device, map[fleet.FactKey]fleet.Fact) []fleet.ActionChoice {
	return []fleet.ActionChoice{{Type: fleet.ActLock, Offered: true}, {Type: fleet.ActRetire, Offered: true}}
}
func (apple) Once(fleet.ActionType) bool                                 { return false }
func (apple) Lifetime(fleet.ActionType) time.Duration                    { return 0 }
func (apple) Queries(*fleet.Device) []fleet.QueryKind                    { return nil }
func (apple) FactsOf(fleet.QueryKind, *fleet.Device) []fleet.FactKey     { return nil }
func (apple) Removal(*fleet.Device, fleet.ActionType) []fleet.RemovalRow { return nil }

// realSite serves the pages over the real domain.
func realSite(t *testing.T) (*site, *fleet.Fleet) {
	t.Helper()
	key := make([]byte, 64)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.TempDir(), store.Options{Key: key[:32], SecretsKey: key[32:], Small: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	authority, err := pki.Open(t.Context(), db, pki.Config{Organisation: "Muster"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(fleet.Config{DB: db, PKI: authority})
	if err != nil {
		t.Fatal(err)
	}
	f.Use(apple{}, nil)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cat, err := words.Load(log)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ui.New(ui.Config{Fleet: f, Words: cat, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(u)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &site{srv, &http.Client{Jar: jar}}, f
}

// oneTime computes the code that an authenticator app shows (RFC 6238).
func oneTime(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ReplaceAll(secret, " ", ""), "="))
	if err != nil {
		t.Fatal(err)
	}
	var step [8]byte
	binary.BigEndian.PutUint64(step[:], uint64(at.Unix()/30))
	mac := hmac.New(sha1.New, key)
	mac.Write(step[:])
	sum := mac.Sum(nil)
	at4 := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at4:at4+4])&0x7fffffff%1000000)
}

// field finds the value of a hidden field.
func field(t *testing.T, body, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no field %s in\n%s", name, mainOf(body))
	}
	return html.UnescapeString(m[1])
}

func TestFromSetUpToAnAcceptedInvitation(t *testing.T) {
	s, f := realSite(t)
	ctx := context.Background()
	token, err := f.SetupLink(ctx, fleet.Actor{Kind: fleet.ActorSetup})
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"token": {"not-the-code-of-the-link-at-all"}, "organisation": {"Kade 12"}, "contact": {"Marit"}, "language": {"nl"}, "admin_name": {"Marit Jansen"}, "admin_mail": {"not an address"}, "password": {"short"}, "again": {"short"}, "url": {"https://mdm.example.org"}}
	status, _, body := s.do(t, "POST", "/setup", form)
	if status != 422 {
		t.Errorf("wrong code: status %d", status)
	}
	wants(t, body, "This set-up code is not right")
	form.Set("token", token)
	status, _, body = s.do(t, "POST", "/setup", form)
	if status != 422 {
		t.Errorf("mistakes: status %d", status)
	}
	wants(t, body, "This is not an e-mail address", `id="f-password-error"`)
	form.Set("admin_mail", "marit@example.org")
	form.Set("password", "vier losse woorden hier")
	form.Set("again", "vier losse woorden hier")
	_, path, body := s.do(t, "POST", "/setup", form)
	if path != "/signin" {
		t.Fatalf("set-up led to %s:\n%s", path, mainOf(body))
	}

	status, _, body = s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {"wrong wrong wrong"}})
	if status != 422 {
		t.Errorf("wrong password: status %d", status)
	}
	wants(t, body, "Address or password is not right")
	_, _, body = s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {"vier losse woorden hier"}})
	wants(t, body, "Protect your account")
	link, err := url.Parse(field(t, body, "totp_url"))
	if err != nil {
		t.Fatal(err)
	}
	code := url.Values{"pending": {field(t, body, "pending")}, "totp_url": {link.String()}, "to": {"/"}}
	code.Set("code", "12345")
	status, _, body = s.do(t, "POST", "/signin/code", code)
	if status != 422 {
		t.Errorf("wrong code: status %d", status)
	}
	wants(t, body, "That code is not right")
	code.Set("code", oneTime(t, link.Query().Get("secret"), time.Now()))
	_, _, body = s.do(t, "POST", "/signin/code", code)
	wants(t, body, "Keep these recovery codes")
	recovery := regexp.MustCompile(`<li>([a-z0-9-]+)</li>`).FindStringSubmatch(body)
	if recovery == nil {
		t.Fatal("no recovery code")
	}
	wants(t, body, `href="/settings/backup/key"`) // the last step of set-up: the key without which no backup can be opened

	if _, path, body = s.do(t, "GET", "/", nil); path != "/settings/backup/key" {
		t.Errorf("with set-up not at its end the overview is %s", path)
	}
	wants(t, body, "Laatste stap: de herstelsleutel", `formaction="/settings/backup/key/later"`)
	if _, path, body = s.do(t, "POST", "/settings/backup/key/later", url.Values{}); path != "/" {
		t.Errorf("putting the key off led to %s", path)
	}
	wants(t, body, "Er worden nog geen back-ups gemaakt")

	// Signed in, in the language that set-up chose: the choice of theme is kept with the administrator, and can be left to the browser again.
	if _, _, body = s.do(t, "POST", "/preferences", url.Values{"theme": {"auto"}, "back": {"/no/such/page"}}); strings.Contains(body, "data-theme") {
		t.Error("the browser's own theme cannot be chosen")
	}
	_, _, body = s.do(t, "POST", "/preferences", url.Values{"theme": {"dark"}, "back": {"/no/such/page"}})
	wants(t, body, `data-theme="dark"`, `lang="nl"`, "Marit Jansen", "Apparaten")

	job := fleet.Job("test")
	name, mail := "Anna de Vries", "anna@example.org"
	person, err := f.CreatePerson(ctx, job, fleet.PersonInput{Name: &name, Mail: &mail})
	if err != nil {
		t.Fatal(err)
	}
	invitation, secret, err := f.Invite(ctx, job, fleet.InvitationInput{Person: person.ID, Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: fleet.Personal})
	if err != nil {
		t.Fatal(err)
	}

	anna := &site{s.Server, &http.Client{}}
	status, _, body = anna.do(t, "GET", "/enroll/"+secret, nil, "User-Agent", iPhone)
	if status != 200 {
		t.Fatalf("the invitation answers %d:\n%s", status, mainOf(body))
	}
	wants(t, body, "Hello Anna", "Kade 12", "Serial number", "Your photos", "Lock the screen", "You can end this yourself", "Marit")
	if m := regexp.MustCompile(`(?:fact|why|never|reason)\.[a-z.-]+`).FindString(mainOf(body)); m != "" {
		t.Errorf("a text is missing: %s", m)
	}
	if strings.Contains(mainOf(body), "IMEI</span>") {
		t.Error("the page says that the IMEI is collected from a personal iPhone")
	}
	_, path, body = anna.do(t, "POST", "/enroll/"+secret, url.Values{"terms": {field(t, body, "terms")}, "accept": {"on"}}, "User-Agent", iPhone)
	if !strings.HasPrefix(path, "/enroll/t/") {
		t.Fatalf("accepting led to %s:\n%s", path, mainOf(body))
	}
	wants(t, body, `data-step="profile"`, "Waiting for your iPhone")
	status, _, body = anna.do(t, "GET", "/enroll/"+secret, nil, "User-Agent", iPhone)
	if status != 410 {
		t.Errorf("used up, the invitation answers %d", status)
	}
	wants(t, mainOf(body), "has been used already", "Marit")
	if got, err := f.Invitation(ctx, job, invitation.ID); err != nil || got.Used != 1 {
		t.Errorf("invitation %+v, %v", got, err)
	}

	t.Run("in the browser", func(t *testing.T) {
		b := uitest.Start(t)
		_, secret, err := f.Invite(ctx, job, fleet.InvitationInput{Person: person.ID, Platform: fleet.MacOS, Mode: fleet.ModeDevice, Ownership: fleet.Corporate})
		if err != nil {
			t.Fatal(err)
		}
		tab := b.Open(t, s.URL+"/enroll/"+secret, uitest.View{UserAgent: macBook, Lang: "nl"})
		tab.Shot(t, "real-enrol-mac")
		tab.Check(t)
		tab.Click(t, "#f-accept")
		tab.Submit(t, `[data-step="accept"] button`)
		tab.Shot(t, "real-install-mac")
		tab.Check(t)
	})

	_, path, body = s.do(t, "POST", "/signout", url.Values{})
	if path != "/signin" {
		t.Errorf("signing out led to %s", path)
	}
	wants(t, body, "You are signed out.")

	_, _, body = s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {"vier losse woorden hier"}, "to": {"/no/such/page"}})
	wants(t, body, "Enter your code", "Phone not at hand?")
	again := url.Values{"pending": {field(t, body, "pending")}, "to": {"/no/such/page"}, "recovery": {" " + strings.ToUpper(recovery[1]) + " "}}
	_, path, _ = s.do(t, "POST", "/signin/code", again)
	if path != "/no/such/page" {
		t.Errorf("a recovery code led to %s", path)
	}
}
