package apple

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/store"
)

const testUDID = "00008101-000A1B2C3D4E001E"

// wire is a device's end of the line: an HTTPS client with its identity.
type wire struct {
	*rig
	server *httptest.Server
	client *http.Client
	id     tls.Certificate
	sign   bool // with Mdm-Signature
	udid   string
	user   string // speaks for a user of a Mac
}

// dial serves the rig's Apple over TLS and connects with an identity.
func (r *rig) dial(id tls.Certificate) *wire {
	r.t.Helper()
	srv := httptest.NewUnstartedServer(r.apple.Handler())
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	r.t.Cleanup(srv.Close)
	tr := srv.Client().Transport.(*http.Transport).Clone()
	if id.Certificate != nil {
		tr.TLSClientConfig.Certificates = []tls.Certificate{id}
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &wire{rig: r, server: srv, client: &http.Client{Transport: tr}, id: id, udid: testUDID}
}

type answered struct {
	status int
	kind   string
	length int64
	body   []byte
}

func (w *wire) do(method, path, kind string, body []byte, headers ...string) answered {
	w.t.Helper()
	req, err := http.NewRequest(method, w.server.URL+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if w.sign {
		req.Header.Set("Mdm-Signature", signature(w.t, body, w.id))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		w.t.Error("a device was answered 401: it would leave management")
	}
	return answered{resp.StatusCode, resp.Header.Get("Content-Type"), resp.ContentLength, b}
}

// message encodes keys and values as a device does, with the identifiers that each message has.
func (w *wire) message(pairs ...any) []byte {
	m := map[string]any{"UDID": w.udid}
	if w.user != "" {
		m["UserID"], m["UserShortName"] = w.user, "anna"
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return mustPlist(m)
}

func (w *wire) checkIn(pairs ...any) answered {
	w.t.Helper()
	return w.do(http.MethodPut, CheckInPath, checkInType, w.message(pairs...))
}

func (w *wire) command(pairs ...any) answered {
	w.t.Helper()
	return w.do(http.MethodPut, ConnectPath, "application/x-apple-aspen-mdm; charset=UTF-8", w.message(pairs...))
}

func (w *wire) authenticate() answered {
	w.t.Helper()
	return w.checkIn("MessageType", "Authenticate", "Topic", testTopic, "OSVersion", "18.1", "BuildVersion", "22B83", "ProductName", "iPhone15,2",
		"SerialNumber", "F2LX0001", "IMEI", "35 123456 789012 3", "SomethingNew", []string{"unknown"}, "ModelName", 42)
}

func (w *wire) enrol() {
	w.t.Helper()
	if got := w.authenticate(); got.status != http.StatusOK || len(got.body) > 0 {
		w.t.Fatalf("Authenticate: %d %s", got.status, got.body)
	}
	if got := w.tokenUpdate(); got.status != http.StatusOK || len(got.body) > 0 {
		w.t.Fatalf("TokenUpdate: %d %s", got.status, got.body)
	}
}

func (w *wire) tokenUpdate(more ...any) answered {
	w.t.Helper()
	return w.checkIn(append([]any{"MessageType", "TokenUpdate", "Topic", testTopic, "Token", bytes.Repeat([]byte{7}, 32), "PushMagic", "MAGIC",
		"UnlockToken", []byte("open sesame"), "AwaitingConfiguration", false}, more...)...)
}

func TestEnrolmentOverTheWire(t *testing.T) {
	for _, mode := range []struct {
		name string
		tls  bool
		sign bool
	}{{"identity by TLS", true, false}, {"identity by signature", false, true}, {"both", true, true}} {
		t.Run(mode.name, func(t *testing.T) {
			r := newRig(t)
			r.fleet.enrolment = &fleet.Enrolment{ID: "01E", Platform: fleet.IOS, Ownership: fleet.Corporate}
			id := r.identity("01E")
			w := r.dial(id)
			if !mode.tls {
				w = r.dial(tls.Certificate{})
				w.id = id
			}
			w.sign = mode.sign
			w.enrol()
			in := r.fleet.enrols[0]
			if in.Hardware != testUDID || in.Platform != fleet.IOS || in.Topic != testTopic || in.Facts["serial"] != "F2LX0001" || in.Facts["os-version"] != "18.1" {
				t.Errorf("enrolled as %+v", in)
			}
			if _, ok := in.Facts["model-name"]; ok {
				t.Error("a key of the wrong type became a fact")
			}
			if string(r.fleet.secrets[secretUnlock]) != "open sesame" {
				t.Error("the unlock token was not kept")
			}
			sealed := r.fleet.wakes[fleet.DeviceChannel]
			if bytes.Contains(sealed, []byte("MAGIC")) {
				t.Error("the wake address is not sealed")
			}
			addr, err := r.apple.openAddress("dev-01E", fleet.DeviceChannel, sealed)
			if err != nil || addr.Magic != "MAGIC" || len(addr.Token) != 32 || addr.Topic != testTopic {
				t.Errorf("address %+v, %v", addr, err)
			}
			if _, err := r.apple.openAddress("another", fleet.DeviceChannel, sealed); err == nil {
				t.Error("the address of one device opens for another")
			}
			if got := w.command("Status", "Idle"); got.status != 200 || got.length != 0 || len(got.body) != 0 {
				t.Errorf("nothing to do is 200 with Content-Length 0, got %d with %d", got.status, got.length)
			}
			if c := r.fleet.contacts[len(r.fleet.contacts)-1]; !c.NewRun || c.Channel != fleet.DeviceChannel || c.From == "" || c.Identity.Device != "dev-01E" {
				t.Errorf("contact %+v", c)
			}
		})
	}
}

func TestNamesOfPersonalDevicesStayTheirs(t *testing.T) {
	for _, c := range []struct {
		ownership fleet.Ownership
		want      string
	}{{fleet.Corporate, "Anna's Mac"}, {fleet.Personal, "MacBook Pro"}} {
		r := newRig(t)
		r.fleet.enrolment = &fleet.Enrolment{ID: "01E", Platform: fleet.MacOS, Ownership: c.ownership}
		if _, err := r.apple.EnrolmentProfile(context.Background(), "good"); err != nil {
			t.Fatal(err)
		}
		w := r.dial(r.identity("01E"))
		w.checkIn("MessageType", "Authenticate", "Topic", testTopic, "DeviceName", "Anna's Mac", "ModelName", "MacBook Pro", "Model", "MacBookPro18,3", "UnlockToken", []byte("x"))
		in := r.fleet.enrols[0]
		if in.Name != c.want || in.Platform != fleet.MacOS {
			t.Errorf("%s device enrolled as %q on %s, want %q", c.ownership, in.Name, in.Platform, c.want)
		}
	}
}

func TestPersonalDeviceKeepsItsUnlockToken(t *testing.T) {
	r := newRig(t)
	r.fleet.enrolment = &fleet.Enrolment{ID: "01E", Ownership: fleet.Personal}
	w := r.dial(r.identity("01E"))
	w.enrol()
	if len(r.fleet.secrets) != 0 {
		t.Errorf("kept %v of a personal device", r.fleet.secrets)
	}
}

func TestUserChannelOfAMac(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	w.user = "7F0A1B2C-0000-4000-8000-000000000001"
	if got := w.tokenUpdate("NotOnConsole", false, "UserLongName", "Anna"); got.status != 200 {
		t.Fatalf("TokenUpdate of a user: %d", got.status)
	}
	ch := fleet.Channel("user:" + w.user)
	if r.fleet.wakes[ch] == nil || r.fleet.wakes[fleet.DeviceChannel] == nil {
		t.Errorf("channels reached: %v", len(r.fleet.wakes))
	}
	w.command("Status", "Idle")
	if c := r.fleet.contacts[len(r.fleet.contacts)-1]; c.Channel != ch {
		t.Errorf("the user's call came in on %q", c.Channel)
	}
	if got := w.checkIn("MessageType", "UserAuthenticate"); got.status != http.StatusGone {
		t.Errorf("UserAuthenticate: %d, want 410", got.status)
	}
	if got := w.checkIn("MessageType", "CheckOut", "Topic", testTopic); got.status != 200 || len(r.fleet.left) != 0 {
		t.Errorf("a user's CheckOut: %d, left %v", got.status, r.fleet.left)
	}
	w.user = ""
	if got := w.checkIn("MessageType", "CheckOut", "Topic", testTopic); got.status != 200 || len(r.fleet.left) != 1 {
		t.Errorf("the Mac's CheckOut: %d, left %v", got.status, r.fleet.left)
	}
}

func TestBootstrapToken(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	read := func() []byte {
		got := w.checkIn("MessageType", "GetBootstrapToken")
		d, err := readPlist(got.body)
		if got.status != 200 || err != nil {
			t.Fatalf("GetBootstrapToken: %d %s", got.status, got.body)
		}
		return d.data("BootstrapToken")
	}
	if got := read(); got != nil {
		t.Errorf("none was kept, and %q came", got)
	}
	w.checkIn("MessageType", "SetBootstrapToken", "BootstrapToken", []byte("boot"))
	if got := read(); string(got) != "boot" {
		t.Errorf("got %q", got)
	}
	w.checkIn("MessageType", "SetBootstrapToken")
	if got := read(); got != nil {
		t.Errorf("forgotten, and %q came", got)
	}
}

func TestDeclarativeManagementWithNothingDeclared(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	ask := func(endpoint string) answered {
		return w.checkIn("MessageType", "DeclarativeManagement", "Endpoint", endpoint, "Data", []byte(`{"StatusItems":{}}`))
	}
	var tokens struct {
		SyncTokens struct{ DeclarationsToken, Timestamp string }
	}
	var items struct {
		Declarations      map[string][]any
		DeclarationsToken string
	}
	first, again := ask("tokens"), ask("tokens")
	if first.kind != jsonType || !bytes.Equal(first.body, again.body) {
		t.Errorf("tokens are not stable JSON: %s, then %s", first.body, again.body)
	}
	if err := json.Unmarshal(first.body, &tokens); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ask("declaration-items").body, &items); err != nil {
		t.Fatal(err)
	}
	if items.DeclarationsToken == "" || items.DeclarationsToken != tokens.SyncTokens.DeclarationsToken || tokens.SyncTokens.Timestamp == "" {
		t.Errorf("tokens differ: %+v and %+v", tokens, items)
	}
	for _, k := range []string{"Activations", "Configurations", "Assets", "Management"} {
		if v, ok := items.Declarations[k]; !ok || v == nil || len(v) != 0 {
			t.Errorf("%s is %v, want an empty array", k, v)
		}
	}
	for endpoint, want := range map[string]int{"declaration/configuration/x": 404, "status": 200, "nonsense": 400} {
		if got := ask(endpoint); got.status != want || want == 200 && got.length != 0 {
			t.Errorf("%s: %d with %d bytes, want %d", endpoint, got.status, got.length, want)
		}
	}
}

// TestEveryCheckInIsKnown sends each check-in message of Apple's schema: none may be strange to the server.
func TestEveryCheckInIsKnown(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	kinds := loadSchema(t).checkins
	if len(kinds) != 8 {
		t.Fatalf("%d messages in the schema", len(kinds))
	}
	for kind := range kinds {
		got := w.checkIn("MessageType", kind, "Topic", testTopic, "Endpoint", "tokens", "Token", []byte("t"), "PushMagic", "m", "TokenServiceType", "com.apple.maid")
		want := map[string]int{"GetToken": 400, "UserAuthenticate": 410}[kind]
		if want == 0 {
			want = 200
		}
		if got.status != want || bytes.Contains(got.body, []byte("unknown check-in")) {
			t.Errorf("%s: %d %s, want %d", kind, got.status, got.body, want)
		}
	}
}

// TestHostileInput sends what no device sends. Each is refused, changes nothing, and leaves the line usable.
func TestHostileInput(t *testing.T) {
	r := newRig(t)
	id := r.identity("01E")
	w := r.dial(id)
	w.enrol()
	other := r.identity("02F")
	good := w.message("Status", "Idle")
	signed := signature(t, good, id)
	plain := r.dial(tls.Certificate{})
	foreign := r.dial(selfSigned(t))
	second := r.dial(other)
	deep := strings.Repeat("<array>", 100) + strings.Repeat("</array>", 100)
	cases := []struct {
		name    string
		wire    *wire
		method  string
		kind    string
		body    []byte
		headers []string
		want    int
	}{
		{"no identity at all", plain, "PUT", "", good, nil, 400},
		{"a certificate of another authority", foreign, "PUT", "", good, nil, 400},
		{"an identity of another enrolment", second, "PUT", "", good, nil, 400},
		{"signed by one identity over the connection of another", second, "PUT", "", good, []string{"Mdm-Signature", signed}, 400},
		{"a signature of another message", plain, "PUT", "", w.message("Status", "Acknowledged", "CommandUUID", "1"), []string{"Mdm-Signature", signed}, 400},
		{"a signature that is no base64", plain, "PUT", "", good, []string{"Mdm-Signature", "%%%"}, 400},
		{"a signature that is no CMS", plain, "PUT", "", good, []string{"Mdm-Signature", base64.StdEncoding.EncodeToString(good)}, 400},
		{"a truncated message", w, "PUT", "", good[:len(good)/2], nil, 400},
		{"no message", w, "PUT", "", nil, nil, 400},
		{"not a property list", w, "PUT", "", []byte(`{"Status":"Idle"}`), nil, 400},
		{"another device's UDID", w, "PUT", "", bytes.Replace(good, []byte(testUDID), []byte("00008101-FFFFFFFFFFFFFFFF"), 1), nil, 400},
		{"no UDID", w, "PUT", "", []byte("<plist><dict><key>Status</key><string>Idle</string></dict></plist>"), nil, 400},
		{"two UDIDs", w, "PUT", "", bytes.Replace(good, []byte("<dict>"), []byte("<dict><key>UDID</key><string>x</string>"), 1), nil, 400},
		{"nested without end", w, "PUT", "", []byte("<plist><dict><key>a</key>" + deep + "</dict></plist>"), nil, 400},
		{"an entity bomb", w, "PUT", "", []byte(`<!DOCTYPE p [<!ENTITY a "aaaa">]><plist><dict><key>UDID</key><string>&a;</string></dict></plist>`), nil, 400},
		{"an unknown status", w, "PUT", "", w.message("Status", "Dancing", "CommandUUID", "1"), nil, 400},
		{"a result without a command", w, "PUT", "", w.message("Status", "Acknowledged"), nil, 400},
		{"an unknown check-in", w, "PUT", checkInType, w.message("MessageType", "Hello\x01"), nil, 400},
		{"GetToken", w, "PUT", checkInType, w.message("MessageType", "GetToken", "TokenServiceType", "com.apple.maid"), nil, 400},
		{"TokenUpdate without a token", w, "PUT", checkInType, w.message("MessageType", "TokenUpdate", "Topic", testTopic, "PushMagic", "x"), nil, 400},
		{"TokenUpdate with a giant token", w, "PUT", checkInType, w.message("MessageType", "TokenUpdate", "Topic", testTopic, "PushMagic", "x", "Token", make([]byte, 9000)), nil, 400},
		{"TokenUpdate of another topic", w, "PUT", checkInType, w.message("MessageType", "TokenUpdate", "Topic", "com.apple.mgmt.other", "PushMagic", "x", "Token", []byte("t")), nil, 400},
		{"Authenticate under another topic", w, "PUT", checkInType, w.message("MessageType", "Authenticate", "Topic", "com.apple.mgmt.other"), nil, 400},
		{"a check-in of more than 1 MiB", w, "PUT", checkInType, append(slices.Clone(good), make([]byte, maxCheckIn)...), nil, 400},
		{"a result of more than 8 MiB", w, "PUT", "", append(slices.Clone(good), make([]byte, maxResult)...), nil, 400},
		{"GET", w, "GET", "", nil, nil, 405},
	}
	calls, enrols := len(r.fleet.contacts), len(r.fleet.enrols)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := ConnectPath
			if c.kind != "" {
				path = CheckInPath
			}
			got := c.wire.do(c.method, path, c.kind, c.body, c.headers...)
			if got.status != c.want {
				t.Errorf("got %d %s, want %d", got.status, got.body, c.want)
			}
		})
	}
	if len(r.fleet.contacts) != calls || len(r.fleet.enrols) != enrols || len(r.fleet.answers) != 0 {
		t.Error("something hostile reached the domain")
	}
	if got := w.command("Status", "Idle"); got.status != 200 {
		t.Errorf("the honest device is then answered %d", got.status)
	}
}

func TestAnswersToTroubleWithTheIdentity(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	r.fleet.unknown = map[fleet.EnrolmentID]bool{"01E": true}
	if got := w.command("Status", "Idle"); got.status != 400 {
		t.Errorf("our certificate without a record: %d, want 400, never sent away", got.status)
	}
	r.fleet.unknown, r.fleet.ended = nil, map[fleet.EnrolmentID]bool{"01E": true}
	s := loadSchema(t)
	got := w.command("Status", "Idle")
	d, err := readPlist(got.body)
	if got.status != 403 || err != nil || !strings.Contains(got.kind, "xml") {
		t.Fatalf("an ended enrolment: %d %s %v", got.status, got.kind, err)
	}
	c := &checker{target: target{os: "iOS"}}
	c.dictionary("error", d, s.other["unrecognized.device"].PayloadKeys)
	for _, f := range c.faults {
		t.Error(f)
	}
	got = w.do("PUT", ConnectPath, "", w.message("Status", "Idle"), "Accept", "application/json")
	var body struct{ Code string }
	if err := json.Unmarshal(got.body, &body); err != nil || got.kind != jsonType || body.Code != "com.apple.unrecognized.device" {
		t.Errorf("as JSON: %s %s", got.kind, got.body)
	}
	r.fleet.ended = nil
	r.fleet.fail = errTest
	if got := w.command("Status", "Idle"); got.status != 500 || bytes.Contains(got.body, []byte("fire")) {
		t.Errorf("our own trouble: %d %s", got.status, got.body)
	}
	err = r.db.Update(context.Background(), func(tx store.Tx) error {
		sum := sha256.Sum256(w.id.Leaf.Raw)
		c, err := r.pki.Certificate(tx, hex.EncodeToString(sum[:]))
		if err != nil {
			return err
		}
		return r.pki.Revoke(tx, c.Serial, 4, r.now)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.command("Status", "Idle"); got.status != 400 {
		t.Errorf("a revoked identity: %d, want 400", got.status)
	}
}

func TestResultsBecomeAnswers(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	chain := func(pairs ...any) []map[string]any {
		var out []map[string]any
		for i := 0; i+1 < len(pairs); i += 2 {
			out = append(out, map[string]any{"ErrorDomain": pairs[i], "ErrorCode": pairs[i+1], "LocalizedDescription": fmt.Sprintf("words %v", pairs[i+1])})
		}
		return out
	}
	unit := fleet.Unit{Key: unitAccess, Version: "v7"}
	sum := sha256.Sum256([]byte("certificate"))
	for _, c := range []struct {
		name string
		msg  []any
		want fleet.Answer
	}{
		{"acknowledged", []any{"Status", "Acknowledged"}, fleet.Answer{Outcome: fleet.Done}},
		{"a lock that protects nothing", []any{"Status", "Acknowledged", "MessageResult", "NoPasscodeSet"}, fleet.Answer{Outcome: fleet.Done, Reason: fleet.Why(codeNoPasscode)}},
		{"not now", []any{"Status", "NotNow"}, fleet.Answer{Outcome: fleet.Postponed, Reason: fleet.Why(codeNotNow)}},
		{"malformed", []any{"Status", "CommandFormatError"}, fleet.Answer{Outcome: fleet.Malformed, Reason: fleet.Why(codeFormat, "domain", "", "number", "0")}},
		{"the last element is the cause", []any{"Status", "Error", "ErrorChain", chain("MCInstallationErrorDomain", 4001, "MCEASErrorDomain", 21005)},
			fleet.Answer{Outcome: fleet.Failed, Account: true, Blames: fleet.TypeEmail, Reason: fleet.Reason{Code: codeAccount,
				Args: map[string]string{"domain": "MCEASErrorDomain", "number": "21005"}, DeviceWords: "words 21005"}}},
		{"below an account that exists, the keychain's trouble", []any{"Status", "Error", "ErrorChain", chain("MCInstallationErrorDomain", 4001, "MCEASErrorDomain", 21005, "NSOSStatusErrorDomain", -25299)},
			fleet.Answer{Outcome: fleet.Failed, Account: true, Blames: fleet.TypeEmail, Reason: fleet.Reason{Code: codeAccount,
				Args: map[string]string{"domain": "MCEASErrorDomain", "number": "21005"}, DeviceWords: "words -25299"}}},
		{"a number that nobody knows, of a known subject", []any{"Status", "Error", "ErrorChain", chain("MCInstallationErrorDomain", 4001, "MCSCEPErrorDomain", 22099)},
			fleet.Answer{Outcome: fleet.Failed, Blames: fleet.TypeIdentity, Reason: fleet.Reason{Code: codeError,
				Args: map[string]string{"domain": "MCSCEPErrorDomain", "number": "22099"}, DeviceWords: "words 22099"}}},
		{"a newer domain has the same numbers", []any{"Status", "Error", "ErrorChain", chain("DMCSCEPErrorDomain", 22005)},
			fleet.Answer{Outcome: fleet.Failed, Blames: fleet.TypeIdentity, Reason: fleet.Reason{Code: "apple.identity-unreachable",
				Args: map[string]string{"domain": "DMCSCEPErrorDomain", "number": "22005"}, DeviceWords: "words 22005"}}},
		{"the same number elsewhere means nothing", []any{"Status", "Error", "ErrorChain", chain("NSURLErrorDomain", 21005)},
			fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Reason{Code: codeError,
				Args: map[string]string{"domain": "NSURLErrorDomain", "number": "21005"}, DeviceWords: "words 21005"}}},
		{"an error without a chain", []any{"Status", "Error"}, fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Why(codeError, "domain", "", "number", "0")}},
		{"what is not there cannot be installed over", []any{"Status", "Error", "ErrorChain", chain("MCMDMErrorDomain", 12013)},
			fleet.Answer{Outcome: fleet.Failed, Reason: fleet.Reason{Code: "apple.profile-not-ours",
				Args: map[string]string{"domain": "MCMDMErrorDomain", "number": "12013"}, DeviceWords: "words 12013"}}},
		{"a removal of what is not there", []any{"CommandUUID", "01ORDER-remove", "Status", "Error", "ErrorChain", chain("MCMDMErrorDomain", 12075)},
			fleet.Answer{Outcome: fleet.Absent, Reason: fleet.Reason{Code: "apple.profile-not-there",
				Args: map[string]string{"domain": "MCMDMErrorDomain", "number": "12075"}, DeviceWords: "words 12075"}}},
		{"device information", []any{"Status", "Acknowledged", "QueryResponses", map[string]any{"OSVersion": "18.2", "DeviceCapacity": 128.0, "IsSupervised": true,
			"BatteryLevel": 0.5, "ProductName": 5, "ServiceSubscriptions": []any{map[string]any{"IMEI": "35", "PhoneNumber": "316"}, map[string]any{"IMEI": "36"}}}},
			fleet.Answer{Outcome: fleet.Done, Facts: map[fleet.FactKey]any{"os-version": "18.2", "storage-total": int64(128e9), "supervised": true,
				"imei": []string{"35", "36"}, "phone-number": "316"}}},
		{"security of a phone", []any{"Status", "Acknowledged", "SecurityInfo", map[string]any{"HardwareEncryptionCaps": 3, "PasscodePresent": true, "PasscodeCompliant": true,
			"PasscodeCompliantWithProfiles": false}}, fleet.Answer{Outcome: fleet.Done, Facts: map[fleet.FactKey]any{"encrypted": true, "passcode-present": true, "passcode-meets": false}}},
		{"security of a Mac", []any{"Status", "Acknowledged", "SecurityInfo", map[string]any{"FDE_Enabled": false, "SystemIntegrityProtectionEnabled": true,
			"FirewallSettings": map[string]any{"FirewallEnabled": true}}}, fleet.Answer{Outcome: fleet.Done, Facts: map[fleet.FactKey]any{"encrypted": false, "firewall": true, "system-integrity": true}}},
		{"profiles", []any{"Status", "Acknowledged", "ProfileList", []any{map[string]any{"PayloadIdentifier": "muster.profile.access", "PayloadUUID": strings.ToLower(r.apple.Marker(unit))},
			map[string]any{"PayloadIdentifier": enrolmentIdentifier, "PayloadUUID": "X"}, map[string]any{"PayloadIdentifier": "com.example.private", "PayloadUUID": "Y"}}},
			fleet.Answer{Outcome: fleet.Done, Markers: map[string]string{"access": r.apple.Marker(unit)}}},
		{"no profiles is an answer too", []any{"Status", "Acknowledged", "ProfileList", []any{}}, fleet.Answer{Outcome: fleet.Done, Markers: map[string]string{}}},
		{"certificates", []any{"Status", "Acknowledged", "CertificateList", []any{map[string]any{"CommonName": "x", "IsIdentity": true, "Data": []byte("certificate")}, "rubbish"}},
			fleet.Answer{Outcome: fleet.Done, Certificates: []string{hex.EncodeToString(sum[:])}}},
		{"apps without sizes", []any{"Status", "Acknowledged", "InstalledApplicationList", []any{map[string]any{"Identifier": "nl.example", "Name": "Mail", "ShortVersion": "2", "Version": "200", "BundleSize": 99}}},
			fleet.Answer{Outcome: fleet.Done, Apps: []fleet.App{{ID: "nl.example", Name: "Mail", Version: "2"}}}},
		{"managed apps", []any{"Status", "Acknowledged", "ManagedApplicationList", map[string]any{"b": map[string]any{"Status": "Managed"}, "a": map[string]any{"Status": "Managed"}, "c": map[string]any{"Status": "Prompting"}}},
			fleet.Answer{Outcome: fleet.Done, Apps: []fleet.App{{ID: "a", Managed: true}, {ID: "b", Managed: true}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Order = "01ORDER"
			if got := w.command(append([]any{"CommandUUID", "01ORDER"}, c.msg...)...); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			got, want := asJSON(t, r.fleet.last()), asJSON(t, &c.want)
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if c := r.fleet.contacts[len(r.fleet.contacts)-1]; c.NewRun {
				t.Error("a result is not a new run")
			}
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOrdersThatCannotBeRenderedGiveWay shows that an order which cannot become a command is reported and the next one handed out.
func TestOrdersThatCannotBeRenderedGiveWay(t *testing.T) {
	r := newRig(t)
	w := r.dial(r.identity("01E"))
	w.enrol()
	delete(r.fleet.secrets, secretUnlock)
	d := r.fleet.devices["dev-01E"]
	r.fleet.orders = []*fleet.Order{
		{ID: "01A", Device: d, Step: fleet.Step{Kind: fleet.StepAction}, Action: &fleet.Action{Type: fleet.ActClearPasscode}},
		{ID: "01B", Device: d, Step: fleet.Step{Kind: fleet.StepQuery, Query: fleet.QuerySecurity}},
	}
	got := w.command("Status", "Idle")
	env, err := readPlist(got.body)
	if err != nil || env.text("CommandUUID") != "01B" || env.dict("Command").text("RequestType") != "SecurityInfo" {
		t.Fatalf("got %s", got.body)
	}
	if a := r.fleet.last(); a == nil || a.Order != "01A" || a.Outcome != fleet.Failed || a.Reason.Code != codeNoUnlockToken {
		t.Errorf("reported as %+v", a)
	}
	for range maxUnrenderable + 5 {
		r.fleet.orders = append(r.fleet.orders, &fleet.Order{ID: "01X", Device: d, Step: fleet.Step{Kind: "dance"}})
	}
	if got := w.command("Status", "Idle"); got.status != 200 || got.length != 0 {
		t.Errorf("a queue of rubbish: %d with %d bytes", got.status, got.length)
	}
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	c := srv.TLS.Certificates[0]
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Leaf = leaf
	return c
}
