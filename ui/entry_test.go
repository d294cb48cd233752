package ui_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"muster/ui"
	"muster/ui/words"
)

// site is a running UI with a person's browser, minus the browser.
type site struct {
	*httptest.Server
	client *http.Client
}

func serve(t *testing.T, d *domain) *site {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cat, err := words.Load(log)
	if err != nil {
		t.Fatal(err)
	}
	u, err := ui.New(ui.Config{Fleet: d, Words: cat, Logger: log, WindowsCode: d.windowsCode})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(u)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &site{srv, &http.Client{Jar: jar}}
}

// do sends a request and returns status, final path and body.
func (s *site) do(t *testing.T, method, path string, form url.Values, header ...string) (int, string, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Request.URL.RequestURI(), string(raw)
}

func wants(t *testing.T, body string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("page lacks %q:\n%s", text, mainOf(body))
		}
	}
}

func mainOf(body string) string {
	_, after, _ := strings.Cut(body, "<main")
	in, _, _ := strings.Cut(after, "</main>")
	return in
}

func TestSignInWithCodeAndOut(t *testing.T) {
	d := newDomain()
	s := serve(t, d)
	if _, path, _ := s.do(t, "GET", "/live", nil); path != "/signin?to=%2Flive" {
		t.Errorf("a page for administrators led to %s", path)
	}
	status, _, body := s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {"wrong"}})
	if status != 422 {
		t.Errorf("wrong password: status %d", status)
	}
	wants(t, body, "Address or password is not right", `value="marit@example.org"`)
	if strings.Contains(body, `value="wrong"`) {
		t.Error("the password came back in the page")
	}
	_, _, body = s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {password}, "to": {"//evil.example/"}})
	wants(t, body, "Enter your code", `value="pending-1"`, `name="to" value="/"`)
	status, _, body = s.do(t, "POST", "/signin/code", url.Values{"pending": {"pending-1"}, "code": {"000000"}})
	if status != 422 {
		t.Errorf("wrong code: status %d", status)
	}
	wants(t, body, `aria-invalid="true"`)
	_, path, _ := s.do(t, "POST", "/signin/code", url.Values{"pending": {"pending-1"}, "code": {"123 456"}, "to": {"/signin"}})
	if path != "/" {
		t.Errorf("signed in, at %s, want /", path)
	}
	if !d.sessions["session-1"] {
		t.Fatal("no session")
	}
	_, path, body = s.do(t, "POST", "/signout", url.Values{})
	if path != "/signin" || d.sessions["session-1"] {
		t.Errorf("after signing out at %s, session %v", path, d.sessions)
	}
	wants(t, body, "You are signed out.")
}

func TestFirstSignInShowsRecoveryCodesOnce(t *testing.T) {
	d := newDomain()
	d.totp = false
	s := serve(t, d)
	_, _, body := s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {password}})
	wants(t, body, "Protect your account", "<svg viewBox", "JBSW Y3DP EHPK 3PXP")
	_, _, body = s.do(t, "POST", "/signin/code", url.Values{"pending": {"pending-1"}, "code": {"999999"}, "totp_url": {totpURL}})
	wants(t, body, "JBSW Y3DP", "Address or password is not right")
	_, _, body = s.do(t, "POST", "/signin/code", url.Values{"pending": {"pending-1"}, "code": {totpCode}, "totp_url": {totpURL}})
	wants(t, body, "Keep these recovery codes", "7kf2-9qxm")
	_, path, _ := s.do(t, "POST", "/signin/code", url.Values{"pending": {"gone"}, "code": {totpCode}})
	if path == "/signin/code" {
		t.Error("an old sign-in went on")
	}
}

func TestSetup(t *testing.T) {
	d := newDomain()
	d.done = false
	s := serve(t, d)
	_, path, body := s.do(t, "GET", "/signin", nil)
	if path != "/setup" {
		t.Errorf("before set-up, sign-in leads to %s", path)
	}
	wants(t, body, "data-fragment", `name="token"`)
	form := url.Values{"token": {setupToken}, "organisation": {"Kade 12 <b>"}, "contact": {"Marit"}, "language": {"nl"}, "admin_name": {"Marit"}, "admin_mail": {"marit@example.org"}, "password": {password}, "again": {"other"}, "url": {"https://mdm.example.org"}}
	status, _, body := s.do(t, "POST", "/setup", form)
	if status != 422 {
		t.Errorf("two passwords: status %d", status)
	}
	wants(t, body, "The two passwords differ", "Kade 12 &lt;b&gt;", setupToken)
	if d.seenCode != "" {
		t.Error("the code was used up by a form with a mistake")
	}
	if strings.Contains(body, password) {
		t.Error("the password came back in the page")
	}
	form.Set("again", password)
	form.Set("token", "wrong")
	if status, _, _ = s.do(t, "POST", "/setup", form); status != 422 {
		t.Errorf("wrong token: status %d", status)
	}
	form.Set("token", setupToken)
	_, path, body = s.do(t, "POST", "/setup", form)
	if path != "/signin" {
		t.Errorf("after set-up at %s", path)
	}
	wants(t, body, "Muster is set up")
	if _, path, _ = s.do(t, "GET", "/setup", nil); path != "/signin" {
		t.Errorf("set-up once more leads to %s", path)
	}
}

func TestErrorsAndHeaders(t *testing.T) {
	d := newDomain()
	s := serve(t, d)
	t.Run("an unknown page in plain words", func(t *testing.T) {
		status, _, body := s.do(t, "GET", "/no/such/page", nil, "Accept-Language", "nl")
		if status != 404 {
			t.Errorf("status %d", status)
		}
		wants(t, body, "Hier is niets", `lang="nl"`)
	})
	t.Run("a form from another website is refused", func(t *testing.T) {
		status, _, body := s.do(t, "POST", "/signin", url.Values{"mail": {"marit@example.org"}, "password": {password}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		if status != 403 {
			t.Errorf("status %d", status)
		}
		wants(t, body, "came from another website")
	})
	t.Run("too large a form is refused", func(t *testing.T) {
		status, _, body := s.do(t, "POST", "/signin", url.Values{"mail": {strings.Repeat("x", 2<<20)}})
		if status != 413 {
			t.Errorf("status %d", status)
		}
		wants(t, body, "That is too large")
	})
	t.Run("too many tries say when", func(t *testing.T) {
		req, _ := http.NewRequest("GET", s.URL+"/enroll/limited-code", nil)
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 429 || res.Header.Get("Retry-After") != "120" {
			t.Errorf("status %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	})
	t.Run("headers", func(t *testing.T) {
		res, err := s.client.Get(s.URL + "/signin")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for name, want := range map[string]string{"Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "camera=()", "Cache-Control": "no-store"} {
			if got := res.Header.Get(name); !strings.Contains(got, want) {
				t.Errorf("%s is %q, want %q in it", name, got, want)
			}
		}
		if csp := res.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("policy %q", csp)
		}
	})
	t.Run("the choice of language and theme is kept", func(t *testing.T) {
		_, path, body := s.do(t, "POST", "/preferences", url.Values{"lang": {"nl"}, "theme": {"dark"}, "back": {"/signin"}})
		if path != "/signin" {
			t.Errorf("back at %s", path)
		}
		wants(t, body, `lang="nl" data-theme="dark"`, "Aanmelden")
		if _, path, _ := s.do(t, "POST", "/preferences", url.Values{"lang": {"en"}, "back": {"https://evil.example/"}}); strings.Contains(path, "evil") {
			t.Errorf("led to %s", path)
		}
	})
	t.Run("a forged flash shows nothing", func(t *testing.T) {
		req, _ := http.NewRequest("GET", s.URL+"/signin", nil)
		req.AddCookie(&http.Cookie{Name: "muster_flash", Value: "eyJrIjoiYmFkIiwidCI6IlBheSBub3cifQ"})
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, _ := io.ReadAll(res.Body)
		if strings.Contains(string(raw), "Pay now") {
			t.Error("a foreign text stands on the page")
		}
	})
}
