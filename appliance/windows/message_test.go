package windows

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// client reads a message that a real client is documented to send.
func client(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "client", name))
	must(t, err)
	return string(b)
}

// TestDocumentedMessages takes the client's messages as they are documented through discovery, enrolment and a session; only what a client fills
// in (token, code, request, address) is filled in.
func TestDocumentedMessages(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	p := w.newPC(testID)

	status, body := p.soap(DiscoveryPath, client(t, "discover.xml"))
	result := mustParse(t, body).find("Body", "DiscoverResponse", "DiscoverResult")
	if status != 200 || result.get("AuthPolicy") != "Federated" || result.get("EnrollmentVersion") != "5.0" ||
		result.get("EnrollmentPolicyServiceUrl") != w.server.URL+PolicyPath || result.get("EnrollmentServiceUrl") != w.server.URL+EnrolmentPath ||
		result.get("AuthenticationServiceUrl") != w.server.URL+SignInPath {
		t.Fatalf("discovery: %d %s", status, body)
	}
	if got := mustParse(t, body).get("Header", "RelatesTo"); got != "urn:uuid:5b1c6f0e-2a51-4c08-9d34-0f6f0a4f2d11" {
		t.Errorf("RelatesTo %q", got)
	}

	token, err := w.windows.newToken(ctx, w.ticket(w.person, fleet.Corporate).Secret)
	must(t, err)
	b64 := base64.StdEncoding.EncodeToString([]byte(token))
	security := strings.Replace(client(t, "token.xml"), "T1BBUVVFLVRPS0VO", b64, 1)
	if status, body := p.soap(PolicyPath, policiesRequest(security)); status != 200 {
		t.Fatalf("policies: %d %s", status, body)
	}
	request := strings.Replace(client(t, "request.xml"), "MIIC4T...", base64.StdEncoding.EncodeToString(csr(t, p.key, tagPrintable)), 1)
	request = strings.Replace(request, "A1B2...32 hex...", testID, 1)
	whole := `<s:Envelope xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>` + security + `</s:Header><s:Body>` + request + `</s:Body></s:Envelope>`
	status, body = p.soap(EnrolmentPath, whole)
	if status != 200 {
		t.Fatalf("enrolment: %d %s", status, body)
	}
	p.provision(document(t, body), "User")
	if got := parm(at(document(t, body), "DMClient", "Provider", "Muster"), "UPN"); got != "ada@example.org" {
		t.Errorf("UPN %q", got)
	}

	status, answer := p.post(client(t, "first.xml"))
	root := mustParse(t, answer)
	if status != 200 || root.get("SyncHdr", "SessionID") != "4" {
		t.Fatalf("first message: %d %s", status, answer)
	}
	var refs []string
	for _, s := range root.child("SyncBody").all("Status") {
		refs = append(refs, s.get("Cmd")+" "+s.get("CmdRef")+" "+s.get("Data"))
	}
	if got := strings.Join(refs, ", "); got != "SyncHdr 0 212, Alert 2 200, Alert 3 200, Replace 4 200" {
		t.Errorf("statuses %s", got)
	}
	results := `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>4</SessionID><MsgID>2</MsgID><Target><LocURI>x</LocURI></Target><Source><LocURI>` + testID +
		`</LocURI></Source></SyncHdr>` + client(t, "results.xml") + `</SyncML>`
	if status, answer := p.post(results); status != 200 {
		t.Errorf("results: %d %s", status, answer)
	}
}

func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	p := w.newPC(testID)
	resp, err := p.client.Get(w.server.URL + "/enrollmentserver/discovery.SVC")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength != 0 {
		t.Errorf("probe: %d, length %d", resp.StatusCode, resp.ContentLength)
	}
	base := client(t, "discover.xml")
	volatile := regexp.MustCompile(`(CorrelationId="|Diagnostics">)[0-9a-f-]{36}`)
	for name, body := range map[string]string{"discover-federated.xml": base, "discover-on-premise.xml": strings.Replace(base, "<AuthPolicy>Federated</AuthPolicy>", "", 1)} {
		_, got := p.soap(DiscoveryPath, body)
		got = volatile.ReplaceAll(bytes.ReplaceAll(got, []byte(w.server.URL), []byte("https://mdm.example.org")), []byte("${1}activity"))
		golden(t, name, got)
	}
	for _, tt := range []struct{ name, old, new, want string }{
		{"an older protocol", "<RequestVersion>5.0<", "<RequestVersion>3.0<", "<EnrollmentVersion>3.0<"},
		{"a newer one", "<RequestVersion>5.0<", "<RequestVersion> 9.0 <", "<EnrollmentVersion>5.0<"},
		{"no number", "<RequestVersion>5.0<", "<RequestVersion>NaN<", "<EnrollmentVersion>5.0<"},
		{"password only", "<AuthPolicy>Federated</AuthPolicy>", "", "<AuthPolicy>OnPremise<"},
		{"a way unknown", "<AuthPolicy>Federated</AuthPolicy>", "<AuthPolicy>Federated</AuthPolicy><AuthPolicy>Dance</AuthPolicy>", "<AuthPolicy>Federated<"},
		{"Windows 8", "10.0.26100.1", "6.3.9600.0", "DeviceNotSupported"},
		{"certificates only", "<AuthPolicy>OnPremise</AuthPolicy>\n          <AuthPolicy>Federated</AuthPolicy>", "<AuthPolicy>Certificate</AuthPolicy>", "NotSupported"},
	} {
		if body := strings.Replace(base, tt.old, tt.new, 1); body == base {
			t.Errorf("%s: nothing replaced", tt.name)
		} else if _, got := p.soap("/EnrollmentServer/discovery.svc", body); !strings.Contains(string(got), tt.want) {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNameAndCode(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	p := w.newPC(testID)
	code, err := w.windows.NewCode(ctx, w.ticket(w.person, fleet.Personal).Secret)
	must(t, err)
	if code.User != "ada@example.org" || len(code.Code) != 10 {
		t.Fatalf("code %+v", code)
	}
	security := strings.NewReplacer("secret", strings.ToLower(code.Code[:5])+"-"+code.Code[5:], "ada@", "ADA@").Replace(client(t, "user.xml"))
	wrong := nameAndCode("ada@example.org", "0000000000")
	for range codeTries - 1 {
		if status, body := p.soap(PolicyPath, policiesRequest(wrong)); status != 500 || !strings.Contains(string(body), "s:Authentication") {
			t.Fatalf("a wrong code: %d %s", status, body)
		}
	}
	p.enrol(security)
	if got := w.device(testID); got.Ownership != fleet.Personal || strings.Contains(got.Name, "DESKTOP") {
		t.Errorf("device %+v", got)
	}

	t.Run("asked again, because an answer was lost", func(t *testing.T) {
		before := p.cert.Leaf.SerialNumber
		p.enrol(security)
		if p.cert.Leaf.SerialNumber.Cmp(before) != 0 {
			t.Error("another certificate")
		}
	})
	t.Run("used up by another PC", func(t *testing.T) {
		q := w.newPC("C1B2C3D4E5F60718293A4B5C6D7E8F90")
		if status, body := q.soap(EnrolmentPath, q.tokenRequest(security, csr(t, q.key, tagUTF8))); status != 500 || !strings.Contains(string(body), "s:Auth") {
			t.Errorf("%d %s", status, body)
		}
	})
	fresh := w.newPC(testID) // has no certificate to show
	t.Run("five wrong tries end it", func(t *testing.T) {
		code, err := w.windows.NewCode(ctx, w.ticket(w.person, fleet.Personal).Secret)
		must(t, err)
		for range codeTries {
			fresh.soap(PolicyPath, policiesRequest(wrong))
		}
		if status, _ := fresh.soap(PolicyPath, policiesRequest(nameAndCode(code.User, code.Code))); status != 500 {
			t.Errorf("the right code after five wrong ones: %d", status)
		}
	})
	t.Run("five wrong tries at once, while the store is busy", func(t *testing.T) {
		code, err := w.windows.NewCode(ctx, w.ticket(w.person, fleet.Personal).Secret)
		must(t, err)
		busy, carryOn := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() { _ = w.db.Update(ctx, func(store.Tx) error { close(busy); <-carryOn; return nil }) })
		<-busy
		waiting := func(n int, or *atomic.Bool) {
			for w.db.Stats().Waiting < n && !or.Load() {
				runtime.Gosched()
			}
		}
		var accepted, answered atomic.Bool
		for range codeTries {
			all.Go(func() {
				if _, err := w.windows.TicketFor(ctx, code.User, "0000000000"); err == nil {
					accepted.Store(true)
				}
			})
		}
		waiting(codeTries, &answered)
		all.Go(func() {
			if _, err := w.windows.TicketFor(ctx, code.User, code.Code); err == nil {
				accepted.Store(true)
			}
			answered.Store(true)
		})
		waiting(codeTries+1, &answered)
		close(carryOn)
		all.Wait()
		if accepted.Load() {
			t.Error("a sixth try is looked at")
		}
	})
	t.Run("time runs out", func(t *testing.T) {
		code, err := w.windows.NewCode(ctx, w.ticket(w.person, fleet.Personal).Secret)
		must(t, err)
		w.later.Add(int64(codeLife))
		if status, _ := fresh.soap(PolicyPath, policiesRequest(nameAndCode(code.User, code.Code))); status != 500 {
			t.Errorf("status %d", status)
		}
		must(t, w.windows.Tidy(ctx))
	})
	t.Run("the token of another directory", func(t *testing.T) {
		if _, body := fresh.soap(PolicyPath, policiesRequest(strings.Replace(client(t, "token.xml"), userTokenType, "urn:ietf:params:oauth:token-type:jwt", 1))); !strings.Contains(string(body), codeForeignToken) {
			t.Errorf("%s", body)
		}
	})
	t.Run("no person", func(t *testing.T) {
		code, err := w.windows.NewCode(ctx, w.ticket(nil, fleet.Corporate).Secret)
		must(t, err)
		q := w.newPC("D1B2C3D4E5F60718293A4B5C6D7E8F90")
		q.enrol(nameAndCode(code.User, code.Code))
	})
}

func TestHandOver(t *testing.T) {
	w := newWorld(t)
	p := w.newPC(testID)
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ticket := w.ticket(w.person, fleet.Corporate).Secret
	fetch := func(path string) (*http.Response, string) {
		resp, err := p.client.Get(w.server.URL + path)
		must(t, err)
		defer resp.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		return resp, b.String()
	}
	if resp, _ := fetch(SignInPath + "?appru=ms-app%3A%2F%2Fwindows.immersivecontrolpanel&login_hint=ada%40example.org"); resp.StatusCode != http.StatusSeeOther ||
		resp.Header.Get("Location") != "/enroll/windows?appru=ms-app%3A%2F%2Fwindows.immersivecontrolpanel&login_hint=ada%40example.org" {
		t.Errorf("sign-in: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	resp, body := fetch(HandOver(ticket, "ms-app://windows.immersivecontrolpanel"))
	if resp.StatusCode != 200 || resp.Header.Get("Content-Security-Policy") != handOverPolicy || !strings.Contains(body, `action="ms-app://windows.immersivecontrolpanel"`) || strings.Contains(body, "onload") {
		t.Errorf("hand-over: %d %v\n%s", resp.StatusCode, resp.Header, body)
	}
	_, rest, _ := strings.Cut(body, `name="wresult" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	p.enrol(userToken(token))
	for _, appru := range []string{"", "javascript:alert(1)", "data:text/html,x", "ms-app:", `ms-app://x"onload=`, "https://user@example.org/", "https://evil.example/", "http://evil.example/", "HTTPS://evil.example/"} {
		if resp, _ := fetch(HandOver(ticket, appru)); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("return to %q: %d", appru, resp.StatusCode)
		}
	}
	if resp, _ := fetch(HandOver("nothing", "ms-app://x")); resp.StatusCode != http.StatusGone {
		t.Errorf("unknown ticket: %d", resp.StatusCode)
	}
}

func TestRepeatedMessage(t *testing.T) {
	w := newWorld(t)
	w.mailSet()
	p := w.enrolled(testID, fleet.Corporate)
	p.session, p.msg = 0, 1
	first := p.message(p.hello())
	_, one := p.post(first)
	_, two := p.post(first)
	if len(p.read(one)) == 0 || !bytes.Equal(one, two) {
		t.Errorf("the same message got\n%s\nand\n%s", one, two)
	}
	w.later.Add(int64(replayFor + time.Second))
	if _, later := p.post(first); len(p.read(later)) == 0 {
		t.Error("session 0 again, later, is given nothing")
	}
	p.run()
	p.session = -1 // the next one is 0 again
	if got := p.run(); got != 200 {
		t.Errorf("session 0: %d", got)
	}
}

// TestNextMessagePlease is a PC that has more to say than one message holds, and one whose session was cut off: the same session number comes
// again with a first message, and nothing that was asked is lost.
func TestNextMessagePlease(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(testID, fleet.Corporate)
	p.session, p.msg = 5, 1
	_, answer := p.post(p.message(p.hello()))
	asked := p.read(answer) // the poll schedule
	if len(asked) < 5 {
		t.Fatalf("asked %+v", asked)
	}
	status := func(msg int, list []sentCommand) string {
		out := `<Status><CmdID>1</CmdID><MsgRef>` + strconv.Itoa(msg) + `</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>`
		for i, c := range list {
			out += `<Status><CmdID>` + strconv.Itoa(i+2) + `</CmdID><MsgRef>` + strconv.Itoa(msg) + `</MsgRef><CmdRef>` + c.id + `</CmdRef><Cmd>` + c.verb + `</Cmd><Data>200</Data></Status>`
		}
		return out
	}
	p.msg = 2
	_, answer = p.post(p.message(status(1, asked[:3]) + `<Alert><CmdID>99</CmdID><Data>1222</Data></Alert>`))
	if !strings.Contains(string(answer), "<Data>1222</Data>") || strings.Contains(string(answer), "<Replace>") {
		t.Errorf("a PC with more to say is answered %s", answer)
	}
	p.msg = 3
	_, answer = p.post(p.message(status(1, asked[3:])))
	if got := p.read(answer); len(got) == 0 || strings.Contains(string(answer), "/Poll/") {
		t.Errorf("after all was said: %s", answer)
	}
	p.msg = 1 // the session begins anew under its number
	if status, answer := p.post(p.message(p.hello())); status != 200 || len(p.read(answer)) == 0 || strings.Contains(string(answer), "/Poll/") {
		t.Errorf("the same session number again: %d %s", status, answer)
	}
	p.msg = 2
	if status, answer := p.post(p.message(`<Alert><CmdID>2</CmdID><Data>1223</Data></Alert>`)); status != 200 || len(p.read(answer)) != 0 {
		t.Errorf("aborted: %d %s", status, answer)
	}
	p.session = 5
	if p.run(); w.device(testID).Serial == "" {
		t.Error("what was asked is lost")
	}
}

func TestTwoPCsWithOneID(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	a := w.enrolled(testID, fleet.Corporate)
	a.run()
	b := w.newPC(testID)
	token, err := w.windows.newToken(ctx, w.ticket(w.newPerson("Bob", "bob@example.org"), fleet.Corporate).Secret)
	must(t, err)
	b.enrol(userToken(token))
	if got := b.run(); got != 200 {
		t.Errorf("the other PC: %d", got)
	}
	if got := a.run(); got != 200 {
		t.Errorf("the first PC, afterwards: %d", got)
	}
	list, err := w.fleet.Devices(ctx, w.admin, fleet.DeviceFilter{}, fleet.ListQuery{})
	must(t, err)
	warned := 0
	for _, d := range list.Items {
		if d.Warning != nil {
			warned++
		}
	}
	if len(list.Items) != 2 || warned == 0 {
		t.Errorf("%d devices, %d with a warning", len(list.Items), warned)
	}
	again := w.enrolled(testID, fleet.Corporate) // the same person: this one begins anew, and the one before has ended
	if again.run() != 200 || a.run() == 200 {
		t.Error("a second enrolment of one PC does not take the place of the first")
	}
}

// TestHostileSessions is what no device of ours sends: refused clearly, and nothing is lost by it.
func TestHostileSessions(t *testing.T) {
	w := newWorld(t)
	w.profile(fleet.TypePasscode, "Passcode", map[string]any{"min_length": 8})
	p := w.enrolled(testID, fleet.Corporate)
	p.session, p.msg = 1, 1
	good := p.message(p.hello())
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"nothing", "", 400},
		{"not XML", "hello", 400},
		{"another document", "<html/>", 400},
		{"entity bomb", `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><SyncML><SyncHdr><SessionID>&b;</SessionID></SyncHdr></SyncML>`, 400},
		{"unknown entity", strings.Replace(good, "<Data>1201<", "<Data>&b;<", 1), 400},
		{"too deep", strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100), 400},
		{"too many elements", "<SyncML>" + strings.Repeat("<a/>", maxElements) + "</SyncML>", 400},
		{"too large", strings.Replace(good, "<Final/>", "<!--"+strings.Repeat("x", maxSyncML)+"--><Final/>", 1), 400},
		{"too many commands", strings.Replace(good, "<Final/>", strings.Repeat("<Alert/>", maxCommands+1)+"<Final/>", 1), 400},
		{"cut off", good[:len(good)/2], 400},
		{"no session", strings.Replace(good, "<SessionID>1<", "<SessionID><", 1), 400},
		{"another device's name", strings.Replace(good, testID, "B"+testID[1:], 2), 400},
		{"a huge item", strings.Replace(good, "<Data>1201<", "<Data>"+strings.Repeat("9", 1<<20)+"<", 1), 200},
		{"statuses of nothing", strings.Replace(good, "<Final/>", "<Status><CmdID>9</CmdID><MsgRef>7</MsgRef><CmdRef>5</CmdRef><Cmd>Get</Cmd><Data>200</Data></Status><Final/>", 1), 200},
	} {
		if got, body := p.post(tt.body); got != tt.want {
			t.Errorf("%s: %d %.200s, want %d", tt.name, got, body, tt.want)
		}
	}
	stranger := w.newPC(testID)
	stranger.address = p.address
	if got, _ := stranger.post(good); got != 400 {
		t.Errorf("without certificate: %d", got)
	}
	if got := p.run(); got != 200 {
		t.Errorf("the device itself, afterwards: %d", got)
	}
	w.wantStatuses(w.device(testID).ID, map[fleet.ProfileType]fleet.ProfileStatusCode{fleet.TypePasscode: fleet.StatusSucceeded})
}

func TestHostileEnrolment(t *testing.T) {
	w := newWorld(t)
	p := w.newPC(testID)
	token, err := w.windows.newToken(context.Background(), w.ticket(w.person, fleet.Corporate).Secret)
	must(t, err)
	good := p.tokenRequest(userToken(token), csr(t, p.key, tagPrintable))
	for _, tt := range []struct{ name, body, want string }{
		{"not XML", "x", "s:MessageFormat"},
		{"entity bomb", `<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>`, "s:MessageFormat"},
		{"too large", good + strings.Repeat(" ", maxSOAP), "s:MessageFormat"},
		{"another service's message", policiesRequest(userToken(token)), "s:MessageFormat"},
		{"no token", p.tokenRequest("", csr(t, p.key, tagPrintable)), "s:Authentication"},
		{"a token of nobody", p.tokenRequest(userToken("x"), csr(t, p.key, tagPrintable)), "s:Authentication"},
		{"no request", p.tokenRequest(userToken(token), bytes.Repeat([]byte{0x30}, 100)), "s:CertificateRequest"},
		{"a request signed by another", p.tokenRequest(userToken(token), forged(csr(t, p.key, tagPrintable))), "s:CertificateRequest"},
		{"no device id", strings.Replace(good, testID, "../../etc", 1), "s:MessageFormat"},
		{"an old Windows", strings.Replace(good, "10.0.26100.1742", "10.0.10240.1", 1), "DeviceNotSupported"},
		{"a renewal without certificate", strings.Replace(good, requestIssue, requestRenew, 1), "NotEligibleToRenew"},
	} {
		if status, body := p.soap(EnrolmentPath, tt.body); status != 500 || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s: %d %s, want %s", tt.name, status, body, tt.want)
		}
	}
	if status, body := p.soap(EnrolmentPath, good); status != 200 {
		t.Errorf("the right one, afterwards: %d %s", status, body)
	}
}

// forged breaks the signature of a request.
func forged(der []byte) []byte {
	out := bytes.Clone(der)
	out[len(out)-1] ^= 1
	return out
}

func TestSmallMessages(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(testID, fleet.Corporate)
	p.session, p.msg = 3, 1
	body := strings.Replace(p.message(p.hello()), "</SyncHdr>", `<Meta><MaxMsgSize xmlns="syncml:metinf">2000</MaxMsgSize></Meta></SyncHdr>`, 1)
	_, answer := p.post(body)
	if n := len(p.read(answer)); n < 1 || n > 6 || len(answer) > 2000 {
		t.Errorf("%d commands in %d bytes", n, len(answer))
	}
}

func FuzzSyncML(f *testing.F) {
	for _, name := range []string{"first.xml", "results.xml", "discover.xml", "request.xml"} {
		f.Add([]byte(client(f, name)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(b)
		if err == nil {
			j := &job{Order: "x", Batches: one(get("./DevDetail/SwV"), get("./DevInfo/Man"))}
			w := begin(m.session, m.msg, m.source, "x")
			turn := &turn{m: m, st: &session{}, out: w}
			turn.statuses()
			j.write(w, m.maxSize)
			if _, err := parseXML(w.end()); err != nil {
				t.Errorf("our answer cannot be read: %v", err)
			}
			j.take(m, m.msg)
		}
	})
}

func FuzzSOAP(f *testing.F) {
	for _, name := range []string{"discover.xml", "request.xml", "token.xml"} {
		f.Add([]byte(client(f, name)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readEnvelope(b, "Discover")
		if err != nil {
			fa := faultOf(err)
			relates := ""
			if e != nil {
				relates = e.messageID
			}
			if _, err := parseXML(fa.write(relates, fa.code(), "x")); err != nil {
				t.Errorf("our fault cannot be read: %v", err)
			}
			return
		}
		_, _ = readContext(e.body.child("AdditionalContext"))
		if _, err := parseXML(policies(e)); err != nil {
			t.Errorf("our answer cannot be read: %v", err)
		}
	})
}
