package appliance

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// call sends an API request with a token and returns what came.
func (s *strict) call(token, method, path string, body any, header ...string) answer {
	s.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, s.config.URL+"/api/v1"+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.browser().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(b), resp.Header}
}

// apiRoutes are all operations of the API's own document.
func (s *strict) apiRoutes() [][2]string {
	s.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(s.call("", "GET", "/openapi.json", nil).body), &doc); err != nil {
		s.t.Fatal(err)
	}
	var out [][2]string
	for path, ops := range doc.Paths {
		for method := range ops {
			out = append(out, [2]string{strings.ToUpper(method), path})
		}
	}
	if len(out) < 50 {
		s.t.Fatalf("only %d operations", len(out))
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[1]+a[0], b[1]+b[0]) })
	return out
}

// scoped makes an owner whose scope is one tag, and returns his actor and a token with all his rights.
func (s *strict) scoped(mail string, tag fleet.Tag) (*fleet.Admin, fleet.Actor, string) {
	s.t.Helper()
	f, ctx := s.Appliance.fleet, s.t.Context()
	name, password, role, tags, all := "Scoped", "brown-lantern-pebble-3", fleet.RoleOwner, []fleet.Tag{tag}, false
	admin, err := f.CreateAdmin(ctx, s.Actor, fleet.AdminInput{Mail: &mail, Name: &name, Password: &password, Role: &role, Tags: &tags, AllTags: &all})
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := f.SignInAs(ctx, setupActor("test"), admin.ID, "127.0.0.1", "test")
	if err != nil {
		s.t.Fatal(err)
	}
	actor, _, err := f.Authenticate(ctx, secret, "127.0.0.1")
	if err != nil {
		s.t.Fatal(err)
	}
	_, token, err := f.CreateToken(ctx, actor, "scoped", fleet.AllPermissions, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return admin, actor, token
}

// What lies outside one's scope does not exist: not in lists, not by id, not to change, and no answer tells it from what never was.
func TestOutsideTheScopeIsNothing(t *testing.T) {
	w := newStrict(t)
	f, ctx := w.Appliance.fleet, t.Context()
	outside := map[string][]string{} // by kind of path: ids
	needles := map[string]string{}
	world := func(tag fleet.Tag, word string) map[string]string {
		tags := []fleet.Tag{tag}
		ids := map[string]string{}
		name, mail := word+" Person", strings.ToLower(word)+"@noordhaven.example"
		p, err := f.CreatePerson(ctx, w.Actor, fleet.PersonInput{Name: &name, Mail: &mail, Tags: &tags})
		if err != nil {
			t.Fatal(err)
		}
		w.people[word] = p.ID
		group := word + " Group"
		g, err := f.CreateGroup(ctx, w.Actor, fleet.GroupInput{Name: &group, Kind: fleet.PeopleGroup, Tags: &tags})
		if err != nil {
			t.Fatal(err)
		}
		profile, platforms := word+" Profile", []fleet.Platform{fleet.IOS}
		pr, err := f.CreateProfile(ctx, w.Actor, fleet.ProfileInput{Type: fleet.TypePasscode, Name: &profile, Platforms: &platforms, Tags: &tags, Settings: json.RawMessage(`{"min_length":6}`)})
		if err != nil {
			t.Fatal(err)
		}
		inv, code, err := f.Invite(ctx, w.Actor, fleet.InvitationInput{Person: p.ID, Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: fleet.Corporate, Tags: tags, Uses: 2})
		if err != nil {
			t.Fatal(err)
		}
		r := w.newRogue()
		id := r.enrol(w.config.URL + "/enroll/" + code)
		r.settle()
		action := w.act(id, fleet.ActLock, fleet.ActionOptions{Message: word})
		gone := w.newRogue()
		goneID := gone.enrol(w.config.URL + "/enroll/" + code)
		gone.settle()
		w.act(goneID, fleet.ActRetire, fleet.ActionOptions{})
		gone.settle()
		receipt := w.closedReceipt(goneID)
		admin, actor, _ := w.scoped(strings.ToLower(word)+".admin@noordhaven.example", tag)
		token, _, err := f.CreateToken(ctx, actor, word+" Token", []fleet.Permission{fleet.DevicesRead}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		certs := w.certificates(id)
		ids["people"], ids["groups"], ids["profiles"], ids["invitations"], ids["devices"] = string(p.ID), string(g.ID), string(pr.ID), string(inv.ID), string(id)
		ids["gone device"], ids["actions"], ids["receipts"], ids["admins"], ids["tokens"], ids["certificates"] = string(goneID), string(action.ID), string(receipt.ID), string(admin.ID), string(token.ID), certs[0].Serial
		ids["serial"], ids["hardware"], ids["mail"], ids["name"] = r.serial, r.udid, mail, name
		return ids
	}
	theirs, ours := world("utrecht", "Utrecht"), world("rotterdam", "Rotterdam")
	for k, v := range theirs {
		outside[k], needles[k] = append(outside[k], v), v
	}
	_, _, token := w.scoped("scoped@noordhaven.example", "rotterdam")
	id := regexp.MustCompile(`\{[^}]+\}`)
	fill := func(path string, ids map[string]string) string {
		kind := strings.Split(strings.TrimPrefix(path, "/"), "/")[0]
		path = strings.Replace(path, "{action}", ids["actions"], 1)
		path = strings.Replace(path, "{profile}", ids["profiles"], 1)
		return id.ReplaceAllString(path, ids[kind])
	}
	never := map[string]string{}
	for k := range theirs {
		never[k] = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	}
	ready := map[string]any{}
	reached := 0
	for _, route := range w.apiRoutes() {
		method, path := route[0], route[1]
		if !strings.Contains(path, "{") {
			if method != "GET" || path == "/openapi.json" {
				continue
			}
			a := w.call(token, method, path+"?limit=500", nil)
			if a.status == 400 {
				a = w.call(token, method, path, nil)
			}
			for kind, needle := range needles {
				if strings.Contains(a.body, needle) {
					t.Errorf("GET %s tells of %s: … %s …", path, kind, around([]byte(a.body), needle))
				}
			}
			if strings.Contains(a.body, ours["devices"]) || strings.Contains(a.body, ours["people"]) {
				reached++
			}
			continue
		}
		if strings.HasPrefix(path, "/roles") { // roles have no scope
			continue
		}
		var body any
		if method == "POST" || method == "PUT" || method == "PATCH" {
			body = ready
		}
		got, want := w.call(token, method, fill(path, theirs), body), w.call(token, method, fill(path, never), body)
		if method == "GET" && got.status != 404 {
			t.Errorf("GET %s outside the scope: %d %.200s", path, got.status, got.body)
		}
		if got.status != want.status || got.status < 400 || got.status == 403 {
			t.Errorf("%s %s outside the scope: %d, of what never was: %d", method, path, got.status, want.status)
		}
		if code := regexp.MustCompile(`"code":"[^"]*"`); code.FindString(got.body) != code.FindString(want.body) {
			t.Errorf("%s %s tells what is there from what is not: %s and %s", method, path, code.FindString(got.body), code.FindString(want.body))
		}
		for _, kind := range []string{"name", "mail", "serial", "hardware"} {
			if strings.Contains(got.body, theirs[kind]) {
				t.Errorf("%s %s tells the %s: %.300s", method, path, kind, got.body)
			}
		}
		// With a sound body too.
		for suffix, sound := range map[string]map[string]any{
			"PATCH /people/{id}": {"name": "Mine now"}, "PATCH /groups/{id}": {"name": "Mine now"}, "PATCH /profiles/{id}": {"name": "Mine now"}, "PATCH /devices/{id}": {"name": "Mine now"},
			"POST /devices/{id}/actions": {"action": "sync"}, "PATCH /admins/{id}": {"name": "Mine now"}, "PUT /profiles/{id}/assignments": {"assignments": []any{}}, "PATCH /groups/{id}/members": {"add": []string{ours["people"]}},
		} {
			if suffix == method+" "+path {
				if a := w.call(token, method, fill(path, theirs), sound); a.status != 404 {
					t.Errorf("%s with a sound body outside the scope: %d %.200s", suffix, a.status, a.body)
				}
			}
		}
	}
	if reached < 3 {
		t.Errorf("his own things stand in %d lists only: nothing is tested", reached)
	}
	// What is within may not lead out either.
	for what, c := range map[string]struct {
		method, path string
		body         any
	}{
		"a stranger's person for one's own device":    {"PATCH", "/devices/" + ours["devices"], map[string]any{"person": theirs["people"]}},
		"a stranger's member for one's own group":     {"PATCH", "/groups/" + ours["groups"] + "/members", map[string]any{"add": []string{theirs["people"]}}},
		"a stranger's group for one's own profile":    {"PUT", "/profiles/" + ours["profiles"] + "/assignments", map[string]any{"assignments": []any{map[string]any{"to": "group", "group": theirs["groups"]}}}},
		"an invitation for a stranger's person":       {"POST", "/invitations", map[string]any{"person": theirs["people"], "platform": "ios", "ownership": "corporate"}},
		"tags that one does not have":                 {"PATCH", "/devices/" + ours["devices"], map[string]any{"tags": []string{"utrecht"}}},
		"no tags at all":                              {"PATCH", "/devices/" + ours["devices"], map[string]any{"tags": []string{}}},
		"an administrator of all":                     {"POST", "/admins", map[string]any{"mail": "x@noordhaven.example", "name": "X", "password": "grey-window-teapot-7", "role": "owner", "all_tags": true}},
		"an administrator of other tags":              {"POST", "/admins", map[string]any{"mail": "y@noordhaven.example", "name": "Y", "password": "grey-window-teapot-7", "role": "owner", "tags": []string{"utrecht"}}},
		"a stranger's action under one's own device":  {"DELETE", "/devices/" + ours["devices"] + "/actions/" + theirs["actions"], nil},
		"a stranger's profile tried on one's own":     {"POST", "/devices/" + ours["devices"] + "/profiles/" + theirs["profiles"] + "/retry", nil},
		"one's own action under a stranger's device":  {"GET", "/devices/" + theirs["devices"] + "/actions/" + ours["actions"], nil},
		"the PIN of a stranger's action by one's own": {"POST", "/devices/" + ours["devices"] + "/actions/" + theirs["actions"] + "/pin", nil},
		"devices of a stranger's group":               {"GET", "/devices?group=" + theirs["groups"], nil},
		"devices of a stranger's person":              {"GET", "/devices?person=" + theirs["people"], nil},
		"invitations of a stranger's person":          {"GET", "/invitations?person=" + theirs["people"], nil},
		"certificates of a stranger's device":         {"GET", "/certificates?device=" + theirs["devices"], nil},
		"receipts of a stranger's device":             {"GET", "/receipts?device=" + theirs["gone device"], nil},
		"the log of a stranger's device":              {"GET", "/audit?object=device/" + theirs["devices"], nil},
		"a search for a stranger's serial number":     {"GET", "/devices?q=" + theirs["serial"], nil},
		"a search for a stranger's address":           {"GET", "/people?q=" + url.QueryEscape(theirs["mail"]), nil},
	} {
		a := w.call(token, c.method, c.path, c.body)
		if c.method != "GET" && a.status < 400 {
			t.Errorf("%s: %d %.300s", what, a.status, a.body)
		}
		sent, _ := json.Marshal(c.body)
		for kind, needle := range needles {
			if strings.Contains(a.body, needle) && !strings.Contains(string(sent), needle) {
				t.Errorf("%s tells of %s: %.300s", what, kind, a.body)
			}
		}
		if a.status >= 500 {
			t.Errorf("%s: %d %.300s", what, a.status, a.body)
		}
	}
}

// A token reaches no further than it was made for; a cookie reaches nothing here.
func TestTokenLimits(t *testing.T) {
	w := newStrict(t)
	f, ctx := w.Appliance.fleet, t.Context()
	r, id := w.enrolled("Anna", fleet.Corporate)
	r.settle()
	routes := w.apiRoutes()
	full := func(path string) string {
		return regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(strings.Replace(path, "/devices/{id}", "/devices/"+string(id), 1), "01ARZ3NDEKTSV4RRFFQ69G5FAV")
	}
	t.Run("a session's cookie", func(t *testing.T) {
		for _, route := range routes {
			if route[1] == "/openapi.json" {
				continue
			}
			a := w.call("", route[0], full(route[1]), nil, "Cookie", sessionName+"="+w.session+"; muster_session="+w.session)
			if a.status != http.StatusUnauthorized || !strings.Contains(a.kind, "problem+json") {
				t.Errorf("%s %s: %d", route[0], route[1], a.status)
			}
		}
	})
	t.Run("a session as a token, and a token as a session", func(t *testing.T) {
		if a := w.call(w.session, "GET", "/devices", nil); a.status != 401 {
			t.Errorf("answered %d", a.status)
		}
		_, token, err := f.CreateToken(ctx, w.Actor, "x", fleet.AllPermissions, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Authenticate(ctx, token, "127.0.0.1"); !errors.Is(err, fleet.ErrSignIn) {
			t.Errorf("a token signs in: %v", err)
		}
	})
	t.Run("one permission", func(t *testing.T) {
		_, token, err := f.CreateToken(ctx, w.Actor, "reader", []fleet.Permission{fleet.DevicesRead}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if a := w.call(token, "GET", "/devices/"+string(id), nil); a.status != 200 {
			t.Errorf("what it is for: %d", a.status)
		}
		before := r.device()
		for _, route := range routes {
			method, path := route[0], route[1]
			if method == "GET" {
				continue
			}
			var body any
			if method != "DELETE" {
				body = map[string]any{}
			}
			if a := w.call(token, method, full(path), body); a.status < 400 && !strings.HasSuffix(path, "/check") {
				t.Errorf("%s %s: %d %.200s", method, path, a.status, a.body)
			}
		}
		for _, action := range []string{"lock", "wipe", "retire", "delete", "restart", "clear-passcode", "sync"} {
			if a := w.call(token, "POST", "/devices/"+string(id)+"/actions", map[string]any{"action": action, "confirm": before.Name}); a.status != 403 && a.status != 409 { // 409: it does not apply to this device, whoever asks
				t.Errorf("%s: %d %.200s", action, a.status, a.body)
			}
		}
		for _, path := range []string{"/people", "/audit", "/audit/export", "/admins", "/tokens", "/settings", "/certificates", "/invitations", "/people/" + string(w.people["Anna"]) + "/acceptances"} {
			if a := w.call(token, "GET", path, nil); a.status != 403 {
				t.Errorf("GET %s: %d %.200s", path, a.status, a.body)
			}
		}
		if after := r.device(); after.State != before.State || after.Version < before.Version {
			t.Errorf("the device changed: %+v", after)
		}
	})
	t.Run("never more than its maker has", func(t *testing.T) {
		mail, name, password, role, all := "desk@noordhaven.example", "Desk", "grey-window-teapot-7", fleet.RoleOwner, true
		admin, err := f.CreateAdmin(ctx, w.Actor, fleet.AdminInput{Mail: &mail, Name: &name, Password: &password, Role: &role, AllTags: &all})
		if err != nil {
			t.Fatal(err)
		}
		secret, err := f.SignInAs(ctx, setupActor("test"), admin.ID, "127.0.0.1", "test")
		if err != nil {
			t.Fatal(err)
		}
		actor, _, err := f.Authenticate(ctx, secret, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_, token, err := f.CreateToken(ctx, actor, "all", fleet.AllPermissions, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if a := w.call(token, "GET", "/admins", nil); a.status != 200 {
			t.Fatalf("before: %d", a.status)
		}
		less := fleet.RoleReadOnly
		if _, err := f.UpdateAdmin(ctx, w.Actor, admin.ID, fleet.AdminInput{Role: &less}); err != nil {
			t.Fatal(err)
		}
		if a := w.call(token, "POST", "/people", map[string]any{"name": "X", "mail": "x@noordhaven.example"}); a.status != 403 && a.status != 401 {
			t.Errorf("after its maker lost rights: %d", a.status)
		}
		yes := true
		if _, err := f.UpdateAdmin(ctx, w.Actor, admin.ID, fleet.AdminInput{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if a := w.call(token, "GET", "/devices", nil); a.status != 401 {
			t.Errorf("after its maker was disabled: %d", a.status)
		}
		if _, _, err := f.Authenticate(ctx, secret, "127.0.0.1"); !errors.Is(err, fleet.ErrSignIn) {
			t.Errorf("a disabled administrator's session: %v", err)
		}
	})
	t.Run("after its time and after its end", func(t *testing.T) {
		_, short, err := f.CreateToken(ctx, w.Actor, "short", fleet.AllPermissions, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		kept, ended, err := f.CreateToken(ctx, w.Actor, "ended", fleet.AllPermissions, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.RevokeToken(ctx, w.Actor, kept.ID); err != nil {
			t.Fatal(err)
		}
		w.ahead.Add(int64(2 * time.Minute))
		for _, token := range []string{short, ended, short[:len(short)-1], short + "a", strings.ToUpper(short), "muster_", strings.Repeat("a", 10_000), "%00"} {
			if a := w.call(token, "GET", "/devices", nil); a.status != 401 || !strings.Contains(a.body, "token.refused") {
				t.Errorf("answered %d %.200s", a.status, a.body)
			}
		}
	})
	r.works()
}

// The pages keep the same border as the API.
func TestPagesOutsideTheScope(t *testing.T) {
	w := newStrict(t)
	f, ctx := w.Appliance.fleet, t.Context()
	r, _ := w.enrolled("Anna", fleet.Corporate) // nobody's tag: not his
	r.settle()
	w.invite(fleet.InvitationInput{})
	admin, _, _ := w.scoped("scoped@noordhaven.example", "rotterdam")
	secret, err := f.SignInAs(ctx, setupActor("test"), admin.ID, "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	needles := []string{string(r.id()), r.serial, r.udid, "anna@noordhaven.example", "Anna de Wit", "Office mail", string(w.people["Anna"]), demoMail}
	one := regexp.MustCompile(`/[0-9A-HJKMNP-TV-Z]{26}`)
	by := w.browser()
	by.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	walked := 0
	for _, path := range screens(t, w.world, w.browser(), []*http.Cookie{{Name: sessionName, Value: w.session}}) {
		a := w.ask(by, "GET", path, nil, "Cookie", sessionName+"="+secret)
		if strings.HasPrefix(a.header.Get("Location"), "/signin") {
			t.Fatalf("%s: he is not signed in", path)
		}
		if one.MatchString(path) && !strings.Contains(path, string(admin.ID)) && !strings.HasPrefix(path, "/settings/tokens/") { // the only token is his own
			walked++
			// A rule is about the whole house: everybody reads it, with no device of others in it, and only those whose scope is the whole change it.
			rule := strings.HasPrefix(path, "/rules/") || strings.HasPrefix(path, "/rule-runs/")
			want := http.StatusNotFound
			switch last := path[strings.LastIndex(path, "/")+1:]; {
			case rule && one.MatchString("/"+last):
				want = http.StatusOK
			case rule:
				want = http.StatusForbidden
			}
			if a.status != want {
				t.Errorf("GET %s: %d", path, a.status)
			}
		}
		if a.status >= 500 {
			t.Errorf("GET %s: %d", path, a.status)
		}
		for _, needle := range needles {
			if i := strings.Index(a.body, needle); i >= 0 && !strings.Contains(path, needle) {
				t.Errorf("GET %s shows %q: … %s …", path, needle, around([]byte(a.body), needle))
			}
		}
	}
	if walked < 10 {
		t.Errorf("only %d pages of single things", walked)
	}
}
