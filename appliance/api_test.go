package appliance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// client calls the API over TLS as a program does, and remembers which operations it called.
type client struct {
	t      *testing.T
	w      *world
	http   *http.Client
	token  string
	called map[string]bool
	routes []apiRoute
}

type apiRoute struct {
	method, path string
	pattern      *regexp.Regexp
}

func newClient(t *testing.T, w *world) *client {
	t.Helper()
	_, secret, err := w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "test", fleet.AllPermissions, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, w: w, http: w.browser(), token: secret, called: map[string]bool{}}
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	c.call("GET", "/openapi.json", nil, 200, &doc)
	for path, ops := range doc.Paths {
		for method := range ops {
			c.routes = append(c.routes, apiRoute{strings.ToUpper(method), path, regexp.MustCompile("^" + regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(path, `[^/]+`) + "$")})
		}
	}
	if len(c.routes) < 50 {
		t.Fatalf("only %d operations in the document", len(c.routes))
	}
	return c
}

// call sends a request, wants the status, and decodes the answer into out.
func (c *client) call(method, path string, body any, status int, out any) http.Header {
	c.t.Helper()
	header, raw := c.do(method, path, body, status, nil)
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return header
}

func (c *client) do(method, path string, body any, status int, extra http.Header) (http.Header, []byte) {
	c.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.w.Appliance.config.URL+"/api/v1"+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	for k, v := range extra {
		req.Header[k] = v
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, raw)
	}
	if bytes.Contains(raw, []byte("0001-01-01")) {
		c.t.Errorf("%s %s tells of the year 1: %s", method, path, raw)
	}
	if status >= 400 {
		if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
			c.t.Errorf("%s %s: error as %q", method, path, ct)
		}
		var p struct{ Code, Detail string }
		if err := json.Unmarshal(raw, &p); err != nil || p.Detail == "" || p.Detail == p.Code || strings.HasPrefix(p.Detail, "reason.") {
			c.t.Errorf("%s %s: a problem without words: %s", method, path, raw)
		}
	} else {
		plain, _, _ := strings.Cut(path, "?")
		for _, r := range c.routes {
			if r.method == method && r.pattern.MatchString(plain) {
				c.called[method+" "+r.path] = true
			}
		}
	}
	return resp.Header, raw
}

// unreadable sends what is no such body, and wants to be told so in the language that was asked for.
func (c *client) unreadable(method, path string, body any) {
	c.t.Helper()
	for lang, says := range map[string]string{"en": "The request cannot be read: ", "nl": "Het verzoek is niet te lezen: "} {
		_, raw := c.do(method, path, body, 400, http.Header{"Accept-Language": {lang}})
		var p struct {
			Code, Detail string
			Fields       map[string]any
		}
		if err := json.Unmarshal(raw, &p); err != nil || p.Code != "request.unreadable" || !strings.HasPrefix(p.Detail, says) || len(p.Detail) < len(says)+5 || p.Fields != nil {
			c.t.Errorf("%s %s in %s: %s (%v)", method, path, lang, raw, err)
		}
	}
}

type thing struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int    `json:"version"`
	URL     string `json:"url"`
	Code    string `json:"code"`
	Serial  string `json:"serial"`
}

type things struct {
	Items []thing `json:"items"`
	Next  string  `json:"next"`
}

// Every operation of the document is called with success at least once, by one administrator's working day.
func TestEveryAPIRoute(t *testing.T) {
	w, google := newWorldWithGoogle(t, func(*Config) {})
	c := newClient(t, w)
	var one thing
	var many things
	setUpGoogle(t, c, google)

	c.call("GET", "/me", nil, 200, nil)
	c.call("GET", "/overview", nil, 200, nil)
	c.call("GET", "/needs", nil, 200, nil)
	c.call("GET", "/register", nil, 200, nil)

	// People and groups.
	c.call("POST", "/people", map[string]any{"name": "Iris Klein", "mail": "iris@noordhaven.example"}, 201, &one)
	iris := one.ID
	c.call("GET", "/people?q=iris", nil, 200, &many)
	if len(many.Items) != 1 || many.Items[0].ID != iris {
		t.Errorf("searching for iris found %+v", many.Items)
	}
	c.call("PATCH", "/people/"+iris, map[string]any{"name": "Iris de Klein"}, 200, &one)
	c.call("GET", "/people/"+iris, nil, 200, &one)
	if one.Name != "Iris de Klein" {
		t.Errorf("name is %q after the change", one.Name)
	}
	c.call("POST", "/groups", map[string]any{"name": "Pilot", "kind": "people"}, 201, &one)
	pilot := one.ID
	c.call("PATCH", "/groups/"+pilot, map[string]any{"description": "First to get things"}, 200, nil)
	c.call("PATCH", "/groups/"+pilot+"/members", map[string]any{"add": []string{iris}}, 204, nil)
	c.call("GET", "/groups/"+pilot, nil, 200, nil)
	c.call("GET", "/groups/"+pilot+"/members", nil, 200, nil)
	c.call("GET", "/groups", nil, 200, nil)
	c.call("GET", "/people/"+iris+"/groups", nil, 200, &many)
	if len(many.Items) == 0 {
		t.Error("Iris is in no group")
	}

	// Profiles.
	c.call("GET", "/profile-types", nil, 200, nil)
	passcode := map[string]any{"type": "passcode", "name": "Pilot passcode", "platforms": []string{"ios"}, "settings": map[string]any{"min_length": 8}}
	c.call("POST", "/profiles/check", passcode, 200, nil)
	c.call("POST", "/profiles", passcode, 201, &one)
	profile := one.ID
	c.call("PATCH", "/profiles/"+profile, map[string]any{"description": "Eight"}, 200, nil)
	c.call("GET", "/profiles/"+profile, nil, 200, nil)
	c.call("GET", "/profiles/"+profile+"/versions", nil, 200, nil)
	c.call("GET", "/profiles", nil, 200, nil)
	to := map[string]any{"assignments": []any{map[string]any{"to": "group", "group": pilot}}}
	c.call("POST", "/profiles/"+profile+"/assignments?preview=true", to, 200, nil)
	c.call("PUT", "/profiles/"+profile+"/assignments", to, 204, nil)
	c.call("GET", "/profiles/"+profile+"/assignments", nil, 200, nil)

	// An invitation, and a phone that follows it.
	c.call("POST", "/invitations", map[string]any{"person": iris, "platform": "ios", "ownership": "corporate"}, 201, &one)
	invitation, link := one.ID, one.URL
	var again thing
	c.call("GET", "/invitations/"+invitation, nil, 200, &again)
	if again.Code != "" {
		t.Error("the code is shown a second time")
	}
	c.call("GET", "/invitations?person="+iris, nil, 200, nil)
	c.call("POST", "/invitations", map[string]any{"person": iris, "platform": "ios", "ownership": "personal"}, 201, &one)
	c.call("DELETE", "/invitations/"+one.ID, nil, 204, nil)
	mac := sim.NewApple(sim.Options{Kind: sim.Mac, Name: "Studio", Seed: 77, Roots: w.roots, Push: w.APNs, Mood: sim.Mood{UserLogsInAfter: time.Millisecond}})
	c.call("POST", "/invitations", map[string]any{"person": iris, "platform": "macos", "ownership": "corporate"}, 201, &one)
	phone := sim.NewApple(sim.Options{Kind: sim.IPhone, Name: "Iris", Seed: 78, Roots: w.roots, Push: w.APNs, ManualAccount: "iris@noordhaven.example"})
	for _, d := range []struct {
		sim  *sim.Apple
		link string
	}{{phone, link}, {mac, one.URL}} {
		if err := d.sim.Enrol(t.Context(), d.link); err != nil {
			t.Fatal(err)
		}
		go d.sim.Run(t.Context())
	}
	c.call("GET", "/people/"+iris+"/acceptances", nil, 200, &many)
	if len(many.Items) != 2 {
		t.Errorf("%d acceptances, want 2", len(many.Items))
	}
	phoneID, macID := string(w.find(phone)), string(w.find(mac))
	dev := "/devices/" + phoneID
	// Her own account with the same address stands in the way until she removes it (B8).
	w.eventually("the mail profile waits for her", func() bool {
		return w.statuses(fleet.DeviceID(phoneID))["Office mail"].Status == fleet.StatusWaitsPerson
	})
	phone.RemoveManualAccount()
	c.call("POST", dev+"/profiles/"+string(w.statuses(fleet.DeviceID(phoneID))["Office mail"].Profile)+"/retry", nil, 204, nil)
	w.settle(fleet.DeviceID(phoneID), fleet.StatusSucceeded)

	c.call("GET", "/devices?platform=ios", nil, 200, nil)
	c.call("GET", dev, nil, 200, nil)
	c.call("PATCH", dev, map[string]any{"name": "Iris's iPhone"}, 200, nil)
	for _, part := range []string{"standing", "facts", "apps", "profiles", "timeline", "choices", "removal?action=retire", "actions"} {
		c.call("GET", dev+"/"+part, nil, 200, nil)
	}
	c.call("GET", "/profiles/"+profile+"/status", nil, 200, nil)
	c.call("GET", "/profiles/"+profile+"/counts", nil, 200, nil)
	c.call("GET", dev+"/gaps", nil, 200, nil)
	c.call("POST", dev+"/actions", map[string]any{"action": "sync"}, 201, &one)
	c.call("GET", dev+"/actions/"+one.ID, nil, 200, nil)

	// So that its lock, below, can be called off: what was under way has ended when it finds that it has no network.
	phone.SetOffline(true)
	if err := phone.Connect(t.Context()); !errors.Is(err, sim.ErrOffline) {
		t.Fatalf("a phone without network: %v", err)
	}
	c.call("POST", "/devices/"+macID+"/actions", map[string]any{"action": "lock", "pin": "246810"}, 201, &one)
	var pin struct{ PIN string }
	c.call("POST", "/devices/"+macID+"/actions/"+one.ID+"/pin", nil, 200, &pin)
	if pin.PIN != "246810" {
		t.Errorf("PIN %q", pin.PIN)
	}
	c.call("POST", dev+"/actions", map[string]any{"action": "lock", "options": map[string]any{"message": "x"}}, 201, &one)
	c.call("DELETE", dev+"/actions/"+one.ID, nil, 204, nil)
	phone.SetOffline(false)

	// Certificates, terms, audit, settings.
	var certs struct {
		Items []struct{ Serial, Purpose string }
	}
	c.call("GET", "/certificates?device="+phoneID, nil, 200, &certs)
	for _, cert := range certs.Items {
		if cert.Purpose == "access" {
			c.call("DELETE", "/certificates/"+cert.Serial, nil, 204, nil)
		}
	}
	c.call("GET", "/terms", nil, 200, nil)
	c.call("POST", "/terms", map[string]any{"text": map[string]string{"en": "Be careful with it.", "nl": "Wees er voorzichtig mee."}}, 201, nil)
	c.call("GET", "/audit?object=device/"+phoneID, nil, 200, nil)
	var chain struct{ Broken, Checked int }
	c.call("GET", "/audit/verify", nil, 200, &chain)
	if chain.Broken != 0 || chain.Checked < 10 {
		t.Errorf("audit chain: %+v", chain)
	}
	_, lines := c.do("GET", "/audit/export", nil, 200, nil)
	if n := bytes.Count(lines, []byte("\n")); n < chain.Checked {
		t.Errorf("export has %d lines of %d", n, chain.Checked)
	}
	var settings map[string]any
	c.call("GET", "/settings", nil, 200, &settings)
	c.rules()
	c.call("GET", "/jobs", nil, 200, nil)
	c.call("GET", "/jobs/sweep", nil, 200, nil)
	c.call("GET", "/jobs/compaction/runs", nil, 200, nil)
	w.ran("compaction", time.Time{})
	c.call("POST", "/jobs/compaction/run", nil, 202, nil)
	settings["organisation"] = "Noordhaven Architecten BV"
	c.call("PUT", "/settings", settings, 200, nil)
	c.call("GET", "/settings/windows-push", nil, 404, nil)
	c.call("PUT", "/settings/windows-push", map[string]any{"family": "nonsense", "sid": "s-1", "secret": "x"}, 422, nil)
	c.call("PUT", "/settings/windows-push", map[string]any{"family": "Example.Muster_8wekyb3d8bbwe", "sid": "S-1-15-2-1-2-3-4-5-6-7", "secret": "Q0x~secret"}, 200, nil)
	if _, raw := c.do("GET", "/settings/windows-push", nil, 200, nil); strings.Contains(string(raw), "Q0x") || !strings.Contains(string(raw), "ms-app://s-1-15-2-1") {
		t.Errorf("push for PCs reads back as %s", raw)
	}
	c.call("DELETE", "/settings/windows-push", nil, 204, nil)
	c.call("GET", "/settings/push", nil, 200, nil)
	var tlsSettings map[string]any
	c.call("GET", "/settings/tls", nil, 200, &tlsSettings)
	delete(tlsSettings, "certificates")
	tlsSettings["names"] = []string{windowsName}
	c.call("PUT", "/settings/tls", tlsSettings, 200, nil)
	c.call("POST", "/settings/tls/renew", nil, 204, nil)
	var csr struct{ Request string }
	c.call("POST", "/settings/push/request", nil, 201, &csr)
	renewed, err := w.APNs.SignPush([]byte(csr.Request), demoTopic)
	if err != nil {
		t.Fatal(err)
	}
	c.call("PUT", "/settings/push", map[string]any{"certificate": string(renewed), "apple_account": "it@noordhaven.example"}, 200, nil)

	// Administrators, roles, tokens.
	c.call("GET", "/roles", nil, 200, &many)
	c.call("POST", "/roles", map[string]any{"name": "Front desk", "permissions": []string{"devices.read", "devices.lock"}}, 200, &one)
	role := one.ID
	c.call("POST", "/admins", map[string]any{"mail": "desk@noordhaven.example", "name": "Desk", "password": "grey-window-teapot-7", "role": role, "all_tags": true}, 201, &one)
	c.call("GET", "/admins/"+one.ID, nil, 200, nil)
	c.call("PATCH", "/admins/"+one.ID, map[string]any{"name": "The desk"}, 200, nil)
	c.call("GET", "/admins", nil, 200, nil)
	c.call("DELETE", "/admins/"+one.ID, nil, 204, nil)
	c.call("DELETE", "/roles/"+role, nil, 204, nil)
	extra, _, err := w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "report", []fleet.Permission{fleet.DevicesRead}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.call("GET", "/tokens", nil, 200, nil)
	c.call("DELETE", "/tokens/"+string(extra.ID), nil, 204, nil)

	// Away again.
	c.call("DELETE", dev+"?confirm="+strings.ReplaceAll("Iris's iPhone", " ", "%20"), nil, 200, nil)
	w.eventually("the phone has left", func() bool { return !phone.State().Enrolled })
	receipt := w.receipt(fleet.DeviceID(phoneID))
	c.call("GET", dev+"/receipt", nil, 200, nil)
	c.call("GET", "/receipts", nil, 200, nil)
	c.call("GET", "/receipts/"+string(receipt.ID), nil, 200, nil)
	c.call("PUT", "/profiles/"+profile+"/assignments", map[string]any{"assignments": []any{}}, 204, nil)
	c.call("DELETE", "/profiles/"+profile, nil, 204, nil)
	c.call("DELETE", "/groups/"+pilot, nil, 204, nil)
	c.call("POST", "/people", map[string]any{"name": "Short Stay", "mail": "short@noordhaven.example"}, 201, &one)
	c.call("DELETE", "/people/"+one.ID, nil, 204, nil)
	c.call("DELETE", "/people/"+iris, nil, 409, nil) // her Mac is still managed
	c.backups()

	for _, r := range c.routes {
		if !c.called[r.method+" "+r.path] {
			t.Errorf("%s %s was never called with success", r.method, r.path)
		}
	}
}

func TestAPIRefusals(t *testing.T) {
	w := newWorld(t)
	c := newClient(t, w)
	good := c.token
	for _, tc := range []struct {
		name, method, path, token string
		body                      any
		status                    int
	}{
		{"no token", "GET", "/devices", "", nil, 401},
		{"a made-up token", "GET", "/devices", "muster_" + strings.Repeat("a", 40), nil, 401},
		{"no such path", "GET", "/nothing", good, nil, 404},
		{"no such device", "GET", "/devices/01ARZ3NDEKTSV4RRFFQ69G5FAV", good, nil, 404},
		{"an id of hostile text", "GET", "/people/%00%ff..%2f", good, nil, 404},
		{"an unknown field", "POST", "/people", good, map[string]any{"name": "A", "mail": "a@b.example", "colour": "red"}, 400},
		{"an invalid address", "POST", "/people", good, map[string]any{"name": "A", "mail": "not an address"}, 422},
		{"a limit too high", "GET", "/devices?limit=100000", good, nil, 400},
		{"a broken cursor", "GET", "/devices?cursor=%21%21", good, nil, 422},
		{"a body too large", "POST", "/people", good, map[string]any{"name": strings.Repeat("a", 2<<20), "mail": "a@b.example"}, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.t, c.token = t, tc.token
			c.do(tc.method, tc.path, tc.body, tc.status, nil)
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	c := newClient(t, w)
	body := map[string]any{"person": w.people["Anna"], "platform": "ios", "ownership": "corporate"}
	key := http.Header{"Idempotency-Key": {"order-1"}}
	_, first := c.do("POST", "/invitations", body, 201, key)
	header, second := c.do("POST", "/invitations", body, 201, key)
	if !bytes.Equal(first, second) || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same key made another answer:\n%s\n%s", first, second)
	}
	// Many at once are one too: who comes while the first is under way is told so.
	var all sync.WaitGroup
	var made atomic.Int32
	for range 12 {
		all.Go(func() {
			in, _ := json.Marshal(body)
			req, _ := http.NewRequestWithContext(t.Context(), "POST", w.Appliance.config.URL+"/api/v1/invitations", bytes.NewReader(in))
			req.Header = http.Header{"Idempotency-Key": {"order-3"}, "Authorization": {"Bearer " + c.token}}
			resp, err := c.http.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			switch replayed := resp.Header.Get("Idempotency-Replayed") != ""; {
			case resp.StatusCode == 201 && !replayed:
				made.Add(1)
			case resp.StatusCode != 201 && resp.StatusCode != 409:
				t.Errorf("at once: %s", resp.Status)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("%d of twelve at once were done", n)
	}
	body["ownership"] = "personal"
	c.do("POST", "/invitations", body, 409, key)
	var list things
	c.call("GET", fmt.Sprintf("/invitations?person=%s", w.people["Anna"]), nil, 200, &list)
	if len(list.Items) != 2 {
		t.Errorf("%d invitations, want 2", len(list.Items))
	}
	// A refusal gives its key back.
	bad := http.Header{"Idempotency-Key": {"order-2"}}
	c.do("POST", "/people", map[string]any{"name": "", "mail": "x"}, 422, bad)
	c.do("POST", "/people", map[string]any{"name": "Jo", "mail": "jo@noordhaven.example"}, 201, bad)
}
