package appliance

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// guest is someone with a browser and a session.
type guest struct {
	t       *testing.T
	w       *world
	client  *http.Client
	session string
}

// owner is signed in as the first owner.
func (w *world) owner(t *testing.T) *guest { return &guest{t, w, w.browser(), w.session} }

// someone adds an administrator and signs in as them.
func (w *world) someone(t *testing.T, mail string, role fleet.RoleID) *guest {
	t.Helper()
	name, password, all := "Someone "+string(role), "seven-quiet-herons-fly", true
	m, err := w.Appliance.fleet.CreateAdmin(t.Context(), w.Actor, fleet.AdminInput{Name: &name, Mail: &mail, Password: &password, Role: &role, AllTags: &all})
	if err != nil {
		t.Fatal(err)
	}
	session, err := w.Appliance.fleet.SignInAs(t.Context(), setupActor("test"), m.ID, "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	return &guest{t, w, w.browser(), session}
}

func (v *guest) send(req *http.Request) (status int, path, body string) {
	v.t.Helper()
	req.AddCookie(&http.Cookie{Name: "__Host-muster_session", Value: v.session})
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, resp.Request.URL.Path, string(raw)
}

func (v *guest) get(path string) (status int, body string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.w.Appliance.config.URL+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	status, _, body = v.send(req)
	return status, body
}

// post sends a form; keys and values alternate. Redirects are followed, with the session.
func (v *guest) post(path string, pairs ...string) (status int, at, body string) {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.w.Appliance.config.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	v.client.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		next.AddCookie(&http.Cookie{Name: "__Host-muster_session", Value: v.session})
		return nil
	}
	return v.send(req)
}

func (v *guest) wants(what string, status, want int, body string, parts ...string) {
	v.t.Helper()
	if status != want {
		v.t.Errorf("%s answers %d, want %d:\n%s", what, status, want, visible(body))
	}
	for _, p := range parts {
		if !strings.Contains(body, p) {
			v.t.Errorf("%s does not say %q:\n%s", what, p, visible(body))
		}
	}
}

var tags = regexp.MustCompile(`(?s)<(?:svg|script|style|template|aside).*?</(?:svg|script|style|template|aside)>|<[^>]*>`)

func visible(body string) string {
	text := strings.Join(strings.Fields(tags.ReplaceAllString(body, " ")), " ")
	if len(text) > 600 {
		text = text[:600] + "…"
	}
	return text
}

func TestHousePages(t *testing.T) {
	w := newWorld(t)
	v := w.owner(t)
	f := w.Appliance.fleet

	t.Run("settings keep what was typed, refuse what is locked and what someone else changed", func(t *testing.T) {
		v := w.owner(t)
		_, body := v.get("/settings")
		version := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(body)
		if version == nil {
			t.Fatalf("no version on the page:\n%s", visible(body))
		}
		status, _, body := v.post("/settings", "version", version[1], "organisation", "", "contact", "Desk <b>12</b>", "language", "nl", "door_days", "9999", "facts_every", "x", "renew_before", "60")
		v.wants("wrong settings", status, 422, body, "Desk &lt;b&gt;12&lt;/b&gt;", `value="9999"`, "Between 1 and 365", "Fill this in.")
		status, at, body := v.post("/settings", "version", version[1], "organisation", "Noordhaven & Zn", "contact", "Desk 12", "language", "nl", "door_days", "45", "facts_every", "12", "renew_before", "70",
			"url", "https://elsewhere.example")
		v.wants("settings", status, 200, body, "The settings are saved.", "Noordhaven &amp; Zn")
		s, err := f.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if at != "/settings" || s.DoorDays != 45 || s.FactsEvery != fleet.Span(12*time.Hour) || s.RenewBefore != fleet.Span(70*24*time.Hour) || s.Language != "nl" || s.URL != w.Appliance.config.URL {
			t.Errorf("at %s, saved %+v", at, s)
		}
		status, _, body = v.post("/settings", "version", version[1], "organisation", "Other", "contact", "", "language", "en", "door_days", "45", "facts_every", "12", "renew_before", "70")
		v.wants("a save over a newer one", status, 422, body, "while you were at it")
	})

	t.Run("privacy switches", func(t *testing.T) {
		v := w.owner(t)
		status, _, body := v.post("/settings/privacy", "switches", "carrier", "switches", "mac")
		v.wants("privacy", status, 200, body, "They count for devices accepted from now on")
		s, _ := f.Settings(t.Context())
		if !s.Switches["carrier"] || !s.Switches["mac"] || s.Switches["phone-number"] {
			t.Errorf("switches %v", s.Switches)
		}
		status, _, body = v.post("/settings/privacy", "switches", "everything")
		v.wants("an unknown switch", status, 422, body, "everything")
	})

	t.Run("the push certificate: request, another topic refused with the reason, renewal taken", func(t *testing.T) {
		v := w.owner(t)
		w.device(sim.Options{Kind: sim.IPhone, Seed: 1}, "Anna", fleet.Personal)
		request := func() []byte {
			status, _, csr := v.post("/settings/apple/request")
			if status != 200 || !strings.Contains(csr, "CERTIFICATE REQUEST") {
				t.Fatalf("request answers %d: %s", status, csr)
			}
			return []byte(csr)
		}
		upload := func(file []byte, account string) (int, string) {
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			part, _ := form.CreateFormFile("certificate", "MDM.pem")
			part.Write(file)
			form.WriteField("apple_account", account)
			form.Close()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Appliance.config.URL+"/settings/apple/certificate", &body)
			req.Header.Set("Content-Type", form.FormDataContentType())
			v.client.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
				next.AddCookie(&http.Cookie{Name: "__Host-muster_session", Value: v.session})
				return nil
			}
			status, _, page := v.send(req)
			return status, page
		}
		other, err := w.APNs.SignPush(request(), "com.apple.mgmt.External.00000000-1111-2222-3333-444444444444")
		if err != nil {
			t.Fatal(err)
		}
		status, body := upload(other, "someone@example.org")
		v.wants("another topic", status, 409, body, "would have cut off your devices", "Nothing has changed", "choose Renew, not Create", "it@noordhaven.example")
		if p, _ := f.PushCertificate(t.Context()); p == nil || p.Topic != demoTopic {
			t.Errorf("push certificate %+v", p)
		}
		status, body = upload([]byte("<script>alert(1)</script>"), "it@noordhaven.example")
		v.wants("rubbish", status, 422, body, "This file holds no certificate")
		status, body = upload(nil, "it@noordhaven.example")
		v.wants("nothing", status, 422, body, "Choose the .pem file")
		same, err := w.APNs.SignPush(request(), demoTopic)
		if err != nil {
			t.Fatal(err)
		}
		status, body = upload(same, "new-owner@noordhaven.example")
		v.wants("a renewal", status, 200, body, "is in use from now on", "new-owner@noordhaven.example")
	})

	t.Run("a token is shown once, works, and ends", func(t *testing.T) {
		v := w.owner(t)
		status, _, body := v.post("/settings/tokens", "name", "x", "lifetime", "7")
		v.wants("a token without rights", status, 422, body, "Fill this in.")
		status, _, body = v.post("/settings/tokens", "name", "Export", "lifetime", "7", "permissions", "devices.read")
		v.wants("a token", status, 200, body, "only this once")
		secret := regexp.MustCompile(`muster_[A-Za-z0-9_-]+`).FindString(body)
		_, body = v.get("/settings/tokens")
		if secret == "" || strings.Contains(body, secret) || !strings.Contains(body, "Export") {
			t.Fatalf("secret %q, list:\n%s", secret, visible(body))
		}
		ask := func() int {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Appliance.config.URL+"/api/v1/devices", nil)
			req.Header.Set("Authorization", "Bearer "+secret)
			resp, err := w.browser().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		if got := ask(); got != 200 {
			t.Errorf("the token's request answers %d", got)
		}
		link := regexp.MustCompile(`/settings/tokens/[^/"]+/revoke`).FindString(body)
		status, _, body = v.post(link)
		v.wants("revoking", status, 200, body, "is revoked")
		if got := ask(); got != 401 {
			t.Errorf("after revoking the token's request answers %d, want 401", got)
		}
	})

	t.Run("the log: sentences, changes, check, export", func(t *testing.T) {
		v := w.owner(t)
		status, body := v.get("/audit?verb=update")
		v.wants("the log", status, 200, body, "changed the settings", "Noordhaven &amp; Zn", "Noordhaven Architecten")
		status, _, body = v.post("/audit/verify")
		v.wants("the check", status, 200, body, "The chain is whole")
		status, _, lines := v.post("/audit/export", "verb", "update")
		if status != 200 {
			t.Fatalf("export answers %d", status)
		}
		count := 0
		for line := range strings.Lines(lines) {
			var r fleet.AuditRecord
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.Verb != "update" {
				t.Fatalf("line %q: %v", line, err)
			}
			count++
		}
		if count == 0 {
			t.Error("the export is empty")
		}
		_, body = v.get("/audit?verb=export")
		v.wants("the export's own entry", 200, 200, body, "exported the audit log")
	})

	t.Run("the log's details name people, for who may see them", func(t *testing.T) {
		name, mail, group := "Named Olga", "olga@noordhaven.example", "Named by the log"
		p, err := f.CreatePerson(t.Context(), w.Actor, fleet.PersonInput{Name: &name, Mail: &mail})
		if err != nil {
			t.Fatal(err)
		}
		g, err := f.CreateGroup(t.Context(), w.Actor, fleet.GroupInput{Name: &group, Kind: fleet.PeopleGroup})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.SetMembers(t.Context(), w.Actor, g.ID, []string{string(p.ID)}, nil); err != nil {
			t.Fatal(err)
		}
		reader, err := f.SaveRole(t.Context(), w.Actor, fleet.Role{Name: "Log only", Permissions: []fleet.Permission{fleet.AuditRead, fleet.AuditExport}})
		if err != nil {
			t.Fatal(err)
		}
		link := `<a href="/people/` + string(p.ID) + `">` + name + `</a>`
		v := w.owner(t)
		status, body := v.get("/audit?verb=members")
		v.wants("the log of who sees people", status, 200, body)
		if !strings.Contains(body, link) {
			t.Errorf("no %s in\n%s", link, visible(body))
		}
		status, body = v.get("/audit?verb=accept")
		v.wants("the log of who accepted", status, 200, body, "invitation for Anna", "enrolment of ")
		if ids := regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`).FindAllString(tags.ReplaceAllString(body, " "), -1); len(ids) > 0 {
			t.Errorf("ids in the place of names: %v", ids)
		}
		v = w.someone(t, "log-only@noordhaven.example", reader.ID)
		status, body = v.get("/audit?verb=members")
		v.wants("the log of who does not", status, 200, body, string(p.ID))
		if strings.Contains(body, name) {
			t.Errorf("who may not see people reads a name in\n%s", visible(body))
		}
		if _, _, lines := w.owner(t).post("/audit/export", "verb", "members"); !strings.Contains(lines, string(p.ID)) || strings.Contains(lines, name) {
			t.Errorf("the export does not keep the id: %s", lines)
		}
	})

	t.Run("one's own account", func(t *testing.T) {
		v := w.someone(t, "own@noordhaven.example", fleet.RoleReadOnly)
		elsewhere, err := f.SignInAs(t.Context(), setupActor("test"), fleet.AdminID(adminByMail(t, w, "own@noordhaven.example")), "192.0.2.7", "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0")
		if err != nil {
			t.Fatal(err)
		}
		status, body := v.get("/account")
		v.wants("the account", status, 200, body, "Firefox on Linux", "192.0.2.7", "Read only", "Ask an owner to reset it")
		status, _, body = v.post("/account", "name", `<img src=x>`)
		v.wants("a new name", status, 200, body, "Your name is saved.", "&lt;img src=x&gt;")
		status, _, body = v.post("/account/password", "present", "wrong-password-here", "password", "eight-loud-otters-swim", "again", "eight-loud-otters-swim")
		v.wants("a wrong present password", status, 422, body, "This is not your present password")
		status, _, body = v.post("/account/password", "present", "seven-quiet-herons-fly", "password", "short", "again", "short")
		v.wants("a short password", status, 422, body, "At least 12 characters")
		status, _, body = v.post("/account/password", "present", "seven-quiet-herons-fly", "password", "eight-loud-otters-swim", "again", "eight-loud-otters-swim")
		v.wants("a new password", status, 200, body, "signed out everywhere else")
		if _, _, err := f.Authenticate(t.Context(), elsewhere, "192.0.2.7"); err == nil {
			t.Error("the other session still works after a new password")
		}
	})

	t.Run("administrators and roles: no escalation", func(t *testing.T) {
		status, _, body := v.post("/roles", "name", "People keepers", "permissions", "admins.edit", "permissions", "people.read", "permissions", "devices.read")
		v.wants("a role", status, 200, body, "The role People keepers is saved.")
		keeper := w.someone(t, "keeper@noordhaven.example", roleByName(t, w, "People keepers"))
		status, body = keeper.get("/admins/new")
		keeper.wants("the form", status, 200, body, `value="owner" required disabled`)
		status, _, body = keeper.post("/admins", "name", "Evil", "mail", "evil@noordhaven.example", "role", "owner", "scope", "all", "password", "seven-quiet-herons-fly", "again", "seven-quiet-herons-fly")
		keeper.wants("making an owner", status, 403, body, "more rights than you have")
		status, _, body = keeper.post("/roles", "name", "Wiper", "permissions", "devices.wipe")
		keeper.wants("a role beyond one's own", status, 403, body, "rights that you lack")
		first := adminByMail(t, w, demoMail)
		status, body = keeper.get("/admins/" + first)
		keeper.wants("an owner's page", status, 200, body, "has more rights than you")
		for _, act := range []string{"disable", "reset", "password", "delete"} {
			status, _, body = keeper.post("/admins/"+first+"/"+act, "confirm", "Demo administrator", "password", "seven-quiet-herons-fly", "again", "seven-quiet-herons-fly")
			keeper.wants(act+" of an owner", status, 403, body, "more rights than you have")
		}
		status, _, body = v.post("/admins/" + first + "/disable")
		v.wants("disabling the last owner", status, 409, body, "is the last owner")
		status, _, body = v.post("/admins/" + adminByMail(t, w, "keeper@noordhaven.example") + "/delete")
		v.wants("deleting without the name", status, 422, body, "Nothing was changed")
		status, _, body = v.post("/admins/" + adminByMail(t, w, "keeper@noordhaven.example") + "/disable")
		v.wants("disabling", status, 200, body, "is disabled and signed out")
		if status, body := keeper.get("/admins"); status != 200 || !strings.Contains(body, `action="/signin"`) {
			t.Errorf("a disabled administrator gets %d:\n%s", status, visible(body))
		}
		status, _, body = v.post("/roles/owner", "name", "Mine", "permissions", "devices.read")
		v.wants("changing a built-in role", status, 422, body, "Built-in roles cannot be changed")
	})

	t.Run("what the role may not do is absent and refused", func(t *testing.T) {
		desk := w.someone(t, "desk@noordhaven.example", fleet.RoleHelpDesk)
		_, body := desk.get("/help")
		for _, href := range []string{"/admins", "/settings", "/audit"} {
			if strings.Contains(body, `<a href="`+href+`"`) {
				t.Errorf("the navigation of a help desk has %s", href)
			}
		}
		for _, path := range []string{"/audit", "/admins", "/admins/new", "/roles", "/roles/new", "/roles/owner", "/settings", "/settings/apple", "/settings/privacy", "/settings/tokens", "/settings/tokens/new"} {
			if status, body := desk.get(path); status != 403 {
				t.Errorf("%s answers a help desk %d:\n%s", path, status, visible(body))
			}
		}
		for _, path := range []string{"/audit/verify", "/audit/export", "/settings", "/settings/apple", "/settings/apple/request", "/settings/apple/certificate", "/settings/privacy", "/settings/tokens", "/roles", "/admins"} {
			if status, _, body := desk.post(path, "name", "x", "lifetime", "7", "role", "read-only", "password", "seven-quiet-herons-fly", "again", "seven-quiet-herons-fly"); status != 403 {
				t.Errorf("POST %s answers a help desk %d:\n%s", path, status, visible(body))
			}
		}
		status, body := desk.get("/search?q=settings")
		desk.wants("the search", status, 200, body)
		if strings.Contains(body, `href="/settings" data-kind`) {
			t.Error("a help desk finds the settings")
		}
		for _, path := range []string{"/certificates", "/certificates/calendar", "/health", "/help", "/account", "/settings/register"} {
			if status, body := desk.get(path); status != 200 {
				t.Errorf("%s answers a help desk %d:\n%s", path, status, visible(body))
			}
		}
	})
}

func TestSearchAndCertificates(t *testing.T) {
	w := newWorld(t)
	v := w.owner(t)
	f := w.Appliance.fleet
	_, id := w.device(sim.Options{Kind: sim.IPhone, Seed: 5}, "Anna", fleet.Personal)
	w.named(id) // before the list is read: the question names the device as it is called by then
	var access fleet.CertificateView
	w.eventually("an access certificate is issued", func() bool {
		l, err := f.Certificates(t.Context(), w.Actor, fleet.CertificateFilter{Device: id, State: fleet.CertificateLive}, fleet.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range l.Items {
			if c.Purpose == "access" {
				access = c
			}
		}
		return access.Serial != ""
	})

	t.Run("the palette's JSON", func(t *testing.T) {
		for query, want := range map[string]string{"push": "/settings/apple", "anna": "", "audit": "/audit", "wachtw": ""} {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Appliance.config.URL+"/search?q="+query, nil)
			req.Header.Set("Accept", "application/json")
			status, _, body := v.send(req)
			var answer struct {
				Query   string
				Results []struct{ Href, Word, Kind string }
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || answer.Query != query || answer.Results == nil {
				t.Fatalf("%s: %d %v %s", query, status, err, body)
			}
			found := want == ""
			for _, r := range answer.Results {
				found = found || r.Href == want
			}
			if !found {
				t.Errorf("%q does not find %s: %s", query, want, body)
			}
		}
	})
	t.Run("revoking an access certificate", func(t *testing.T) {
		link := "/certificates/" + access.Serial + "/revoke"
		status, body := v.get("/certificates")
		v.wants("the list", status, 200, body, link, "Identity of the device")
		status, body = v.get(link)
		v.wants("the question", status, 200, body, "can never be used again", access.DeviceName)
		status, _, body = v.post(link)
		v.wants("the revocation", status, 200, body, "The certificate is revoked")
		l, err := f.Certificates(t.Context(), w.Actor, fleet.CertificateFilter{Device: id, State: fleet.CertificateRevoked}, fleet.ListQuery{})
		if err != nil || len(l.Items) != 1 || l.Items[0].Serial != access.Serial {
			t.Errorf("revoked: %+v, %v", l.Items, err)
		}
		status, _, body = v.post("/certificates/ffff/revoke")
		v.wants("an unknown one", status, 404, body)
	})
	t.Run("the calendar says who must do what", func(t *testing.T) {
		status, body := v.get("/certificates/calendar")
		v.wants("the calendar", status, 200, body, "it@noordhaven.example", "Certificate of 127.0.0.1", "Root certificate of Muster", "Identities of devices", "never with another account")
	})
	t.Run("health knows the appliance", func(t *testing.T) {
		status, body := v.get("/health")
		v.wants("health", status, 200, body, Version, "Data on the disk", "Every minute")
	})
}

// Pages get what nobody would type, and answer without falling over or showing it as markup.
func TestHousePagesTakeHostileInput(t *testing.T) {
	w := newWorld(t)
	v := w.owner(t)
	const hostile = "\"><script>alert(1)</script>{{.}}\x01\u202e"
	bad := url.QueryEscape(hostile)
	for _, path := range []string{"/certificates?q=" + bad + "&state=" + bad + "&within=-3&device=" + bad + "&cursor=" + bad, "/certificates?cursor=" + bad, "/certificates/" + url.PathEscape(hostile) + "/revoke",
		"/audit?q=" + bad + "&verb=" + bad + "&actor=" + bad + "&object=" + bad + "&since=" + bad + "&until=9999-99-99", "/audit?cursor=" + bad, "/admins?q=" + bad + "&cursor=" + bad, "/admins/" + url.PathEscape(hostile),
		"/admins/x/y", "/roles/" + url.PathEscape(hostile), "/roles/new?from=" + bad, "/settings/tokens/" + url.PathEscape(hostile) + "/revoke", "/search?q=" + bad, "/search?q=" + strings.Repeat("a", 5000), "/help/" + url.PathEscape(hostile)} {
		status, body := v.get(path)
		if status >= 500 || strings.Contains(body, "<script>alert") {
			t.Errorf("GET %.80s answers %d:\n%s", path, status, visible(body))
		}
	}
	fields := []string{"name", hostile, "mail", hostile, "role", hostile, "scope", hostile, "tags", hostile, "language", hostile, "password", hostile, "again", hostile, "version", hostile, "permissions", hostile,
		"lifetime", hostile, "organisation", hostile, "contact", hostile, "url", hostile, "device_url", hostile, "door_days", hostile, "facts_every", hostile, "renew_before", hostile, "switches", hostile,
		"pasted", hostile, "apple_account", hostile, "present", hostile, "confirm", hostile, "q", hostile, "since", hostile, "cursor", hostile}
	for _, path := range []string{"/admins", "/admins/" + adminByMail(t, w, demoMail), "/admins/" + adminByMail(t, w, demoMail) + "/delete", "/admins/" + adminByMail(t, w, demoMail) + "/x", "/roles", "/roles/x", "/roles/x/delete", "/roles/owner/delete",
		"/account", "/account/password", "/account/sessions/x/end", "/settings", "/settings/privacy", "/settings/apple/certificate", "/settings/tokens", "/settings/tokens/x/revoke", "/certificates/x/revoke", "/audit/export", "/audit/verify"} {
		status, _, body := v.post(path, fields...)
		if status >= 500 || strings.Contains(body, "<script>alert") {
			t.Errorf("POST %s answers %d:\n%s", path, status, visible(body))
		}
	}
}

func adminByMail(t *testing.T, w *world, mail string) string {
	t.Helper()
	l, err := w.Appliance.fleet.Admins(t.Context(), w.Actor, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Items {
		if m.Mail == mail {
			return string(m.ID)
		}
	}
	t.Fatalf("no administrator %s", mail)
	return ""
}

func roleByName(t *testing.T, w *world, name string) fleet.RoleID {
	t.Helper()
	roles, err := w.Appliance.fleet.Roles(t.Context(), w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		if r.Name == name {
			return r.ID
		}
	}
	t.Fatalf("no role %s", name)
	return ""
}
