package appliance

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

const sessionName = "__Host-muster_session"

// signedIn is a browser with the administrator's session; it follows no redirects.
func (s *strict) signedIn() *http.Client {
	b := s.browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	u, _ := url.Parse(s.config.URL)
	b.Jar.SetCookies(u, []*http.Cookie{{Name: sessionName, Value: s.session, Secure: true, Path: "/"}})
	return b
}

// ask sends one request as a browser does.
func (s *strict) ask(c *http.Client, method, path string, form url.Values, header ...string) answer {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, s.config.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(b), resp.Header}
}

var routeIn = regexp.MustCompile(`u\.(open|admin)\("([A-Z]+) (/[^"]*)"`)

// uiRoute is a route that the pages register.
type uiRoute struct {
	guarded      bool
	method, path string // path with example ids
}

// uiRoutes reads the routes where they are registered, so that a new one cannot be forgotten here.
func uiRoutes(t *testing.T) []uiRoute {
	t.Helper()
	files, err := filepath.Glob("../ui/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []uiRoute
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range routeIn.FindAllStringSubmatch(string(src), -1) {
			path := strings.TrimSuffix(m[3], "{$}")
			path = regexp.MustCompile(`\{[a-z]+(\.\.\.)?\}`).ReplaceAllString(path, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
			out = append(out, uiRoute{m[1] == "admin", m[2], path})
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d routes found", len(out))
	}
	return out
}

// No page of an administrator opens without a session, no form is taken from elsewhere, and every answer has its protecting headers.
func TestEveryPageIsGuarded(t *testing.T) {
	w := newStrict(t)
	stranger, admin := w.browser(), w.signedIn()
	stranger.CheckRedirect = admin.CheckRedirect
	chain := func() int {
		_, n, err := w.Appliance.fleet.VerifyAudit(t.Context(), w.Actor)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := chain()
	secure := func(what string, h http.Header) {
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s %q", what, name, got)
			}
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", what, csp)
		}
		if !strings.Contains(h.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: Cache-Control %q", what, h.Get("Cache-Control"))
		}
		for _, c := range h.Values("Set-Cookie") {
			if !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "Secure") || !strings.Contains(c, "SameSite=") || strings.Contains(c, "Domain=") {
				t.Errorf("%s: cookie %q", what, strings.SplitN(c, ";", 2)[1])
			}
		}
	}
	for _, r := range uiRoutes(t) {
		what := r.method + " " + r.path
		var form url.Values
		if r.method == "POST" {
			form = url.Values{"name": {"x"}, "confirm": {"x"}}
		}
		if r.guarded {
			a := w.ask(stranger, r.method, r.path, form)
			secure(what, a.header)
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/signin") {
				t.Errorf("%s without a session: %d to %q", what, a.status, a.header.Get("Location"))
			}
			a = w.ask(stranger, r.method, r.path, form, "Cookie", sessionName+"=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
			if a.status != http.StatusSeeOther {
				t.Errorf("%s with an invented session: %d", what, a.status)
			}
			a = w.ask(stranger, r.method, r.path, form, "Cookie", "muster_session="+w.session)
			if a.status != http.StatusSeeOther {
				t.Errorf("%s with a session under the name for plain HTTP: %d", what, a.status)
			}
		}
		if r.method != "POST" {
			continue
		}
		for _, foreign := range [][]string{
			{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
			{"Origin", strings.Replace(w.config.URL, "https://", "https://evil.", 1)}, {"Origin", w.config.DeviceURL},
		} {
			a := w.ask(admin, r.method, r.path, form, foreign...)
			secure(what, a.header)
			if a.status != http.StatusForbidden {
				t.Errorf("%s from %v: %d", what, foreign, a.status)
			}
		}
	}
	if after := chain(); after != before {
		t.Errorf("%d records were made by strangers", after-before)
	}
	// The rest of what the public port serves.
	for _, path := range []string{"/healthz", "/readyz", "/scep?operation=GetCACaps", "/crl/issuing.crl", "/ca/root.crt", "/ca/issuing.crt", "/api/v1/devices", "/api/v1/openapi.json", "/api/nothing", "/enroll-profile/x/muster.mobileconfig", "/ocsp/AAAA", "/nothing", "/static/nothing"} {
		a := w.ask(stranger, "GET", path, nil)
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s (%d): no nosniff", path, a.status)
		}
		if a.header.Get("Set-Cookie") != "" || a.header.Get("Server") != "" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("GET %s: %v", path, a.header)
		}
	}
	if a := w.ask(admin, "GET", "/devices", nil); a.status != 200 {
		t.Errorf("the administrator is out: %d", a.status)
	}
	// Where a page leads after signing in is never elsewhere.
	for _, to := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/%09/evil.example", "/\t/evil.example"} {
		a := w.ask(admin, "GET", "/signin?to="+url.QueryEscape(to), nil)
		l, err := url.Parse(a.header.Get("Location"))
		if err != nil || l.Host != "" || l.Scheme != "" || strings.HasPrefix(l.Path, "//") {
			t.Errorf("%q leads to %q", to, a.header.Get("Location"))
		}
	}
}

// hostile are texts that forms are filled with.
var hostile = map[string]string{
	"markup":        `"><script>alert(1)</script><img src=x onerror=alert(2)>'`,
	"right to left": "\u202emoc.live\u202c \u2066x\u2069 اختبار",
	"NUL":           "a\x00b\x1b[31mc\r\nX-Injected: 1",
	"not UTF-8":     "\xff\xfe\xc0\x80",
	"a formula":     `=HYPERLINK("https://evil.example","x")`,
	"a template":    "{{.}} {{mail}} ${7*7} %s%n",
	"a megabyte":    strings.Repeat("m", 1<<20),
	"long":          strings.Repeat("界", 5000),
}

var (
	formTag   = regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	fieldTag  = regexp.MustCompile(`(?s)<(input|textarea|select|button)\b([^>]*)>`)
	optionTag = regexp.MustCompile(`<option[^>]*value="([^"]*)"`)
	htmlAttr  = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

func attrs(s string) map[string]string {
	out := map[string]string{}
	for _, m := range htmlAttr.FindAllStringSubmatch(s, -1) {
		out[m[1]] = html.UnescapeString(m[2])
	}
	return out
}

// postForm is a form of a page.
type postForm struct {
	action string
	values url.Values
	texts  []string // fields that take text
}

func formsOf(page, path string) []postForm {
	var out []postForm
	for _, m := range formTag.FindAllStringSubmatch(page, -1) {
		a := attrs(m[1])
		if !strings.EqualFold(a["method"], "post") {
			continue
		}
		f := postForm{action: a["action"], values: url.Values{}}
		if f.action == "" {
			f.action = path
		}
		for _, x := range fieldTag.FindAllStringSubmatch(m[2], -1) {
			fa := attrs(x[2])
			name := fa["name"]
			if name == "" {
				continue
			}
			switch {
			case x[1] == "select":
				if o := optionTag.FindStringSubmatch(m[2][strings.Index(m[2], x[0]):]); o != nil {
					f.values.Set(name, html.UnescapeString(o[1]))
				}
			case x[1] == "button", fa["type"] == "radio", fa["type"] == "checkbox":
				if x[1] != "button" || f.values.Get(name) == "" {
					f.values.Set(name, fa["value"])
				}
			case fa["type"] == "hidden":
				f.values.Set(name, fa["value"])
			default:
				f.values.Set(name, fa["value"])
				f.texts = append(f.texts, name)
			}
		}
		out = append(out, f)
	}
	return out
}

// Every form takes hostile text with a clear refusal or as mere text: never a crash, never markup of its making, never the end of a session.
func TestHostileForms(t *testing.T) {
	w := newStrict(t)
	r, _ := w.enrolled("Anna", fleet.Corporate)
	r.settle()
	mac := w.newRogue()
	mac.platform = fleet.MacOS
	mac.enrol(w.invitation("Bram", fleet.MacOS, fleet.Corporate, 1))
	mac.settle()
	gone, goneID := w.enrolled("Carla", fleet.Corporate)
	gone.settle()
	w.act(goneID, fleet.ActRetire, fleet.ActionOptions{})
	gone.settle()
	w.invite(fleet.InvitationInput{})
	admin := w.signedIn()
	cookies := []*http.Cookie{{Name: sessionName, Value: w.session}}
	pages := screens(t, w.world, w.browser(), cookies)
	for _, d := range []*fleet.Device{r.device(), mac.device()} {
		for _, act := range []string{"lock", "retire", "wipe", "delete", "restart", "clear-passcode", "sync"} {
			pages = append(pages, "/devices/"+string(d.ID)+"/act/"+act)
		}
	}
	seen, sent := map[string]bool{}, 0
	for _, path := range pages {
		for _, f := range formsOf(w.ask(admin, "GET", path, nil).body, path) {
			fields := slices.Sorted(func(yield func(string) bool) {
				for k := range f.values {
					if !yield(k) {
						return
					}
				}
			})
			shape := regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{32}`).ReplaceAllString(strings.SplitN(f.action, "?", 2)[0], "*") + " " + strings.Join(fields, ",")
			if seen[shape] || strings.Contains(f.action, "/signout") || strings.Contains(f.action, "/end") || strings.HasSuffix(f.action, "/account/password") || strings.HasPrefix(f.action, "/admins/") {
				continue
			}
			seen[shape] = true
			for kind, text := range hostile {
				if kind == "a megabyte" && sent%3 != 0 {
					continue
				}
				form := url.Values{}
				for k, v := range f.values {
					form[k] = slices.Clone(v)
				}
				for _, name := range f.texts {
					form.Set(name, text)
				}
				if len(f.texts) == 0 { // nothing to type: what is chosen is not what was offered
					if kind != "markup" && kind != "NUL" {
						continue
					}
					for k := range form {
						form.Set(k, text)
					}
					if len(form) == 0 {
						continue
					}
				}
				sent++
				mark := w.log.mark()
				a := w.ask(admin, "POST", f.action, form)
				if a.status >= 500 {
					t.Errorf("%s with %s: %d, log %.600s", f.action, kind, a.status, w.log.since(mark))
				}
				if a.header.Get("X-Injected") != "" {
					t.Errorf("%s with %s: a header was made", f.action, kind)
				}
				unharmed(t, f.action+" with "+kind, a.body)
			}
		}
	}
	if len(seen) < 20 || sent < 100 {
		t.Errorf("only %d forms and %d posts: %v", len(seen), sent, seen)
	}
	for _, path := range append(pages, "/search?q="+url.QueryEscape(hostile["markup"]), "/devices?q="+url.QueryEscape(hostile["markup"]), "/people?q="+url.QueryEscape(hostile["NUL"]),
		"/audit?actor="+url.QueryEscape(hostile["markup"]), "/devices?cursor="+url.QueryEscape(hostile["markup"]), "/audit?q="+url.QueryEscape(hostile["not UTF-8"]), "/devices?platform="+url.QueryEscape(hostile["markup"]), "/nothing"+url.PathEscape(hostile["markup"]), "/people/"+url.PathEscape(hostile["markup"])) {
		mark := w.log.mark()
		a := w.ask(admin, "GET", path, nil)
		if a.status >= 500 || a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), "/signin") {
			t.Errorf("GET %.80s afterwards: %d, log %.400s", path, a.status, w.log.since(mark))
		}
		unharmed(t, "GET "+path, a.body)
	}
	for _, need := range []func(){r.works} {
		if d := r.device(); d != nil && d.State == fleet.Managed {
			need()
		}
	}
	// Whoever is not signed in meets forms too.
	_, link := w.invite(fleet.InvitationInput{})
	stranger := w.browser()
	stranger.CheckRedirect = admin.CheckRedirect
	for _, path := range []string{"/signin", "/signin/code", "/setup", "/preferences", "/signout", strings.TrimPrefix(link, w.config.URL)} {
		for kind, text := range hostile {
			form := url.Values{}
			for _, k := range []string{"mail", "password", "code", "pending", "totp_url", "recovery", "to", "token", "organisation", "contact", "language", "admin_name", "admin_mail", "again", "url", "accept", "terms", "theme", "lang"} {
				form.Set(k, text)
			}
			a := w.ask(stranger, "POST", path, form)
			if a.status >= 500 || a.header.Get("X-Injected") != "" {
				t.Errorf("POST %.30s with %s: %d", path, kind, a.status)
			}
			unharmed(t, "POST "+path+" with "+kind, a.body)
		}
	}
	if _, n, err := w.Appliance.fleet.VerifyAudit(t.Context(), w.Actor); err != nil || n == 0 {
		t.Errorf("audit chain: %d, %v", n, err)
	}
	for line := range bytes.Lines(w.stored()) {
		if !bytes.HasPrefix(line, []byte("au")) && (bytes.Contains(line, []byte(`\u001b`)) || bytes.Contains(line, []byte(`\u0000`))) {
			t.Errorf("control characters were kept: %.400q", line)
		}
	}
}

// unharmed says that a page holds hostile text as text only.
func unharmed(t *testing.T, what, body string) {
	t.Helper()
	for _, raw := range []string{"<script>alert", "<img src=x", "\x00"} {
		if i := strings.Index(body, raw); i >= 0 {
			t.Errorf("%.80s: as it is: … %q …", what, body[max(0, i-100):min(len(body), i+60)])
		}
	}
}

// What devices and people say of themselves stands on the pages as text.
func TestHostileNamesOnPages(t *testing.T) {
	w := newStrict(t)
	evil := hostile["markup"]
	name, mail := evil[:40], "evil@noordhaven.example"
	p, err := w.Appliance.fleet.CreatePerson(t.Context(), w.Actor, fleet.PersonInput{Name: &name, Mail: &mail})
	if err != nil {
		t.Fatal(err)
	}
	w.people["Evil"] = p.ID
	group := evil
	if _, err := w.Appliance.fleet.CreateGroup(t.Context(), w.Actor, fleet.GroupInput{Name: &group, Kind: fleet.PeopleGroup}); err != nil {
		t.Fatal(err)
	}
	r := w.newRogue()
	r.facts = map[string]any{"DeviceName": evil, "ModelName": evil, "OSVersion": evil, "BuildVersion": evil, "SerialNumber": evil, "ProductName": "iPhone" + evil}
	id := r.enrol(w.invitation("Evil", fleet.IOS, fleet.Corporate, 1))
	a := r.want(200, r.connect(r.idle()))
	for a.body != "" { // it refuses all with words of its own
		c := commandIn(t, a.body)
		result := r.obey(c)
		if c.Command.RequestType == "InstallProfile" {
			result = encode(map[string]any{"UDID": r.udid, "Status": "Error", "CommandUUID": c.CommandUUID, "ErrorChain": []any{map[string]any{"ErrorCode": 4001, "ErrorDomain": evil, "LocalizedDescription": evil, "USEnglishDescription": evil}}})
		}
		a = r.want(200, r.connect(result))
	}
	w.act(id, fleet.ActRetire, fleet.ActionOptions{})
	cookies := []*http.Cookie{{Name: sessionName, Value: w.session}}
	shown := 0
	for _, path := range screens(t, w.world, w.browser(), cookies) {
		for _, lang := range []string{"en", "nl"} {
			a := w.ask(w.signedIn(), "GET", path, nil, "Accept-Language", lang)
			unharmed(t, path, a.body)
			shown += strings.Count(a.body, "&lt;script&gt;alert")
		}
	}
	if shown < 10 {
		t.Errorf("the name is shown %d times only: nothing is tested", shown)
	}
	if a := w.ask(w.signedIn(), "POST", "/audit/export", url.Values{}); a.status != 200 || !strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("export: %d %v", a.status, a.header)
	}
}

// Signing in: a session of one's own, a code once, and no endless guessing.
func TestSignInDefences(t *testing.T) {
	w := newStrict(t)
	f := w.Appliance.fleet
	mail, name, password, role, all := "second@noordhaven.example", "Second", "quiet-meadow-anchor-91", fleet.RoleOwner, true
	if _, err := f.CreateAdmin(t.Context(), w.Actor, fleet.AdminInput{Mail: &mail, Name: &name, Password: &password, Role: &role, AllTags: &all}); err != nil {
		t.Fatal(err)
	}
	var secret string
	totpLink := regexp.MustCompile(`otpauth://[^"]*secret=([A-Z2-7]+)`)
	hiddenValue := func(page, name string) string {
		for _, form := range formsOf(page, "") {
			if v := form.values.Get(name); v != "" {
				return v
			}
		}
		return ""
	}
	signIn := func(b *http.Client, code func() string) answer {
		t.Helper()
		first := w.ask(b, "POST", "/signin", url.Values{"mail": {mail}, "password": {password}})
		if first.status != 200 {
			t.Fatalf("password: %d %.200s", first.status, first.body)
		}
		if m := totpLink.FindStringSubmatch(html.UnescapeString(first.body)); m != nil {
			secret = m[1]
		}
		return w.ask(b, "POST", "/signin/code", url.Values{"pending": {hiddenValue(first.body, "pending")}, "totp_url": {hiddenValue(first.body, "totp_url")}, "code": {code()}})
	}
	now := func() string {
		code, err := totp(secret, w.now())
		if err != nil || secret == "" {
			t.Fatalf("no code: %v", err)
		}
		return code
	}
	session := func(a answer) string {
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			if c.Name == sessionName && c.MaxAge >= 0 {
				if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
					t.Errorf("session cookie %+v", c)
				}
				return c.Value
			}
		}
		return ""
	}
	fixed := strings.Repeat("f", 52)
	victim := w.browser()
	victim.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	u, _ := url.Parse(w.config.URL)
	victim.Jar.SetCookies(u, []*http.Cookie{{Name: sessionName, Value: fixed, Secure: true, Path: "/"}})
	var used string // as it was typed: half a minute may begin at any moment
	one := session(signIn(victim, func() string { used = now(); return used }))
	if one == "" || one == fixed {
		t.Fatalf("a session was not made anew: %q", one)
	}
	if a := w.ask(w.browser(), "GET", "/devices", nil, "Cookie", sessionName+"="+fixed); strings.Contains(a.body, "Noordhaven Architecten") && a.status == 200 && strings.Contains(a.body, `href="/people"`) {
		t.Error("the session that was laid ready opens the house")
	}
	t.Run("a code works once", func(t *testing.T) {
		a := signIn(victim, func() string { return used })
		if session(a) != "" || a.status != http.StatusUnprocessableEntity {
			t.Errorf("the same code again: %d", a.status)
		}
	})
	w.ahead.Add(int64(time.Minute))
	two := session(signIn(victim, now))
	if two == "" || two == one {
		t.Fatalf("a second sign-in: %q", two)
	}
	t.Run("signing out ends the session where it is kept", func(t *testing.T) {
		w.ask(victim, "POST", "/signout", url.Values{})
		if _, _, err := f.Authenticate(t.Context(), two, "127.0.0.1"); !errors.Is(err, fleet.ErrSignIn) {
			t.Errorf("it lives on: %v", err)
		}
		if _, _, err := f.Authenticate(t.Context(), one, "127.0.0.1"); err != nil {
			t.Errorf("the other one went along: %v", err)
		}
	})
	t.Run("five wrong codes end a sign-in", func(t *testing.T) {
		w.ahead.Add(int64(time.Minute))
		first := w.ask(victim, "POST", "/signin", url.Values{"mail": {mail}, "password": {password}})
		pending := hiddenValue(first.body, "pending")
		for range 5 {
			w.ask(victim, "POST", "/signin/code", url.Values{"pending": {pending}, "code": {"000000"}})
		}
		if a := w.ask(victim, "POST", "/signin/code", url.Values{"pending": {pending}, "code": {now()}}); session(a) != "" {
			t.Error("the sixth try is let in")
		}
	})
	t.Run("passwords cannot be guessed", func(t *testing.T) {
		stranger := w.browser()
		limited := 0
		for i := range 45 {
			a := w.ask(stranger, "POST", "/signin", url.Values{"mail": {[]string{"nobody@noordhaven.example", "other@noordhaven.example", "third@noordhaven.example", "fourth@noordhaven.example"}[i%4]}, "password": {fmt.Sprint("guess", i)}})
			switch a.status {
			case http.StatusTooManyRequests:
				limited++
				if a.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			case http.StatusUnprocessableEntity:
			default:
				t.Fatalf("guess %d: %d", i, a.status)
			}
		}
		if limited < 10 {
			t.Errorf("only %d of 45 were limited", limited)
		}
		if !w.audited("sign-in-failed", "sign-in") || !strings.Contains(w.needed(), "need.sign-in-attacks") {
			t.Errorf("needs: %s", w.needed())
		}
		if strings.Contains(w.log.text(), "guess4") {
			t.Error("what was typed is in the log")
		}
	})
	if a := w.ask(w.signedIn(), "GET", "/devices", nil); a.status != 200 {
		t.Errorf("the administrator is out: %d", a.status)
	}
}
