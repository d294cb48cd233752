package windows

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// world is the real domain with the real store and authority, served to PCs over TLS.
type world struct {
	t       testing.TB
	db      *store.DB
	pki     *pki.Authority
	fleet   *fleet.Fleet
	windows *Windows
	admin   fleet.Actor
	server  *httptest.Server
	person  *fleet.Person
	later   atomic.Int64 // how far the clock is put on, in nanoseconds
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	key := make([]byte, 64)
	_, _ = rand.Read(key)
	db, err := store.Open(t.TempDir(), store.Options{Key: key[:32], SecretsKey: key[32:], Small: true})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	w := &world{t: t, db: db, admin: fleet.Job("test")}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.pki, err = pki.Open(ctx, db, pki.Config{Organisation: "Example BV", Clock: w.now})
	must(t, err)
	w.fleet, err = fleet.New(fleet.Config{DB: db, PKI: w.pki, Clock: w.now, Logger: log})
	must(t, err)
	w.windows, err = New(Config{Fleet: w.fleet, PKI: w.pki, DB: db, SignInPage: "/enroll/windows", Clock: w.now, Logger: log})
	must(t, err)
	w.fleet.Use(w.windows, nil)

	mux := http.NewServeMux()
	mux.Handle(SessionPath, w.windows.SessionHandler())
	mux.Handle("/", w.windows.EnrolmentHandler())
	w.server = httptest.NewUnstartedServer(mux)
	w.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	w.server.StartTLS()
	t.Cleanup(w.server.Close)

	token, err := w.fleet.SetupLink(ctx, fleet.Actor{Kind: fleet.ActorSetup})
	must(t, err)
	_, err = w.fleet.Setup(ctx, token, "127.0.0.1", fleet.SetupInput{Organisation: "Example BV", Contact: "help@example.nl", AdminName: "Admin", AdminMail: "admin@example.nl",
		Password: "a long and odd passphrase", URL: w.server.URL})
	must(t, err)
	s, err := w.fleet.Settings(ctx)
	must(t, err)
	next := *s
	next.URL, next.DeviceURL = w.server.URL, w.server.URL
	_, err = w.fleet.SaveSettings(ctx, w.admin, next)
	must(t, err)
	w.person = w.newPerson("Ada Lovelace", "ada@example.org")
	return w
}

func (w *world) newPerson(name, mail string) *fleet.Person {
	w.t.Helper()
	p, err := w.fleet.CreatePerson(context.Background(), w.admin, fleet.PersonInput{Name: &name, Mail: &mail})
	must(w.t, err)
	return p
}

// ticket invites a person's PC and accepts, as the page does.
func (w *world) ticket(p *fleet.Person, own fleet.Ownership) *fleet.Ticket {
	w.t.Helper()
	ctx := context.Background()
	id := fleet.PersonID("")
	if p != nil {
		id = p.ID
	}
	_, code, err := w.fleet.Invite(ctx, w.admin, fleet.InvitationInput{Person: id, Platform: fleet.Windows, Mode: fleet.ModeDevice, Ownership: own})
	must(w.t, err)
	opened, err := w.fleet.OpenInvitation(ctx, code, "127.0.0.1")
	must(w.t, err)
	ticket, err := w.fleet.Accept(ctx, code, opened.Terms.ID, "nl", "127.0.0.1", "Edge "+newUUID())
	must(w.t, err)
	return ticket
}

// profile makes a profile and assigns it to all people.
func (w *world) profile(typ fleet.ProfileType, name string, settings map[string]any) *fleet.Profile {
	w.t.Helper()
	ctx := context.Background()
	b, err := json.Marshal(settings)
	must(w.t, err)
	platforms := []fleet.Platform{fleet.Windows}
	p, err := w.fleet.CreateProfile(ctx, w.admin, fleet.ProfileInput{Type: typ, Name: &name, Platforms: &platforms, Settings: b})
	must(w.t, err)
	must(w.t, w.fleet.Assign(ctx, w.admin, p.ID, []fleet.Assignment{{Profile: p.ID, To: fleet.ToAllPeople}}, false))
	return p
}

func (w *world) device(hardware string) *fleet.Device {
	w.t.Helper()
	d, err := w.fleet.DeviceByHardware(context.Background(), hardware)
	must(w.t, err)
	return d
}

// wantStatuses compares the statuses of a device's profiles, by type.
func (w *world) wantStatuses(d fleet.DeviceID, want map[fleet.ProfileType]fleet.ProfileStatusCode) {
	w.t.Helper()
	list, err := w.fleet.DeviceProfiles(context.Background(), w.admin, d)
	must(w.t, err)
	got := map[fleet.ProfileType]fleet.ProfileStatusCode{}
	for _, s := range list {
		got[s.Type] = s.Status
		if want[s.Type] != s.Status {
			w.t.Errorf("%s is %s, want %s: %+v", s.Type, s.Status, want[s.Type], s.Reason)
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("statuses %v, want %v", got, want)
	}
}

// pc is a scripted client with a tree in memory. It keeps the rules of real ones that matter to a server: a command without CmdID is
// malformed, an Atomic is all or nothing, ./User is there only while the person is signed in.
type pc struct {
	*world
	id      string
	key     *rsa.PrivateKey
	cert    tls.Certificate
	client  *http.Client
	address string
	login   string
	tree    map[string]string      // leaf → value
	refuse  map[string]int         // LocURI → status
	seen    []sentCommand          // commands in order
	hook    func(sentCommand)      // after each
	mute    func(sentCommand) bool // no Status for it
	missing []string               // leaves that a Replace does not create
	session int
	msg     int
	left    bool
	scep    string // CertThumbprint and state of SCEP nodes are made by this: "1", "2", "16"
	replies [][]byte
}

type sentCommand struct {
	verb, uri, format, data string
	id                      string
	kids                    []sentCommand
}

func (w *world) newPC(id string) *pc {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(w.t, err)
	tr := w.server.Client().Transport.(*http.Transport).Clone()
	w.t.Cleanup(tr.CloseIdleConnections)
	return &pc{world: w, id: id, key: key, client: &http.Client{Transport: tr}, login: "user", refuse: map[string]int{}, scep: "1",
		tree: map[string]string{
			"./DevInfo/DevId": id, "./DevInfo/Man": "LENOVO", "./DevInfo/Mod": "21CB", "./DevInfo/Lang": "en-US", "./DevDetail/SwV": "10.0.26100.1742",
			"./DevDetail/Ext/Microsoft/SMBIOSSerialNumber": "PF3" + id[:5], "./DevDetail/Ext/Microsoft/DNSComputerName": "DESKTOP-7Q2",
			"./Vendor/MSFT/DeviceStatus/OS/Edition": "48", "./DevDetail/Ext/Microsoft/FreeStorage": "1024", "./DevDetail/Ext/WLANMACAddress": "00155D010203",
			"./Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance": "1", "./Vendor/MSFT/DeviceStatus/Firewall/Status": "0",
		}}
}

func (p *pc) soap(path, body string) (int, []byte) {
	p.t.Helper()
	resp, err := p.client.Post(p.server.URL+path, soapType, strings.NewReader(body))
	must(p.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(p.t, err)
	if resp.ContentLength != int64(len(b)) || len(resp.TransferEncoding) > 0 {
		p.t.Errorf("%s: answer of %d bytes has length %d, encoding %v", path, len(b), resp.ContentLength, resp.TransferEncoding)
	}
	if got := resp.Header.Get("Content-Type"); got != soapType {
		p.t.Errorf("%s: content type %q", path, got)
	}
	if _, err := parseXML(b); err != nil {
		p.t.Errorf("%s: the answer cannot be read: %v", path, err)
	}
	return resp.StatusCode, b
}

func userToken(token string) string {
	return `<wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><wsse:BinarySecurityToken ValueType="` + userTokenType +
		`" EncodingType="x">` + base64.StdEncoding.EncodeToString([]byte(token)) + `</wsse:BinarySecurityToken></wsse:Security>`
}

func nameAndCode(user, code string) string {
	return `<wsse:Security s:mustUnderstand="1"><wsse:UsernameToken u:Id="uuid-4"><wsse:Username>` + user + `</wsse:Username><wsse:Password wsse:Type="…#PasswordText">` + code +
		`</wsse:Password></wsse:UsernameToken></wsse:Security>`
}

func policiesRequest(security string) string {
	return `<s:Envelope xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><a:MessageID>urn:uuid:c1d2</a:MessageID>` + security +
		`</s:Header><s:Body><GetPolicies xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy"><client/><requestFilter/></GetPolicies></s:Body></s:Envelope>`
}

func (p *pc) tokenRequest(security string, csr []byte) string {
	b64 := base64.StdEncoding.EncodeToString(csr)
	b64 = b64[:60] + "\r\n" + b64[60:]
	return `<s:Envelope xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><a:MessageID>urn:uuid:b7e8</a:MessageID>` + security +
		`</s:Header><s:Body><wst:RequestSecurityToken xmlns:wst="http://docs.oasis-open.org/ws-sx/ws-trust/200512">
  <wst:TokenType>http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentToken</wst:TokenType>
  <wst:RequestType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue</wst:RequestType>
  <wsse:BinarySecurityToken xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    ValueType="http://schemas.microsoft.com/windows/pki/2009/01/enrollment#PKCS10"
    EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#base64binary">` + b64 + `</wsse:BinarySecurityToken>
  <ac:AdditionalContext xmlns:ac="http://schemas.xmlsoap.org/ws/2006/12/authorization">
    <ac:ContextItem Name="UXInitiated"><ac:Value>true</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="HWDevID"><ac:Value>9F0E</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="DeviceID"><ac:Value> ` + p.id + `</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="EnrollmentType"><ac:Value>Full</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="DeviceName"><ac:Value>DESKTOP-7Q2</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="MAC"><ac:Value>00:15:5D:01:02:03</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="MAC"><ac:Value>00:15:5D:01:02:04</ac:Value></ac:ContextItem>
    <ac:ContextItem Name="OSVersion"><ac:Value>10.0.26100.1742</ac:Value></ac:ContextItem>
  </ac:AdditionalContext>
</wst:RequestSecurityToken></s:Body></s:Envelope>`
}

// csr is a request as Windows makes them: an exclamation mark and a trailing NUL in the common name, as string type of the test's choice.
func csr(t testing.TB, key *rsa.PrivateKey, tag int) []byte {
	t.Helper()
	cn := asn1.RawValue{Tag: tag, Bytes: []byte("5D21A7F0-93C4-4E68-8B1A-7F60C2!A1B2C3D4E5F60718293A4B5C6D7E8F90\x00")}
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type relative struct {
		A []attribute `asn1:"set"`
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	type info struct {
		Version int
		Subject []relative
		Key     asn1.RawValue
		Attrs   []asn1.RawValue `asn1:"tag:0,set,optional"`
	}
	tbs, err := asn1.Marshal(info{Subject: []relative{{[]attribute{{asn1.ObjectIdentifier{2, 5, 4, 3}, cn}}}}, Key: asn1.RawValue{FullBytes: spki}, Attrs: []asn1.RawValue{}})
	must(t, err)
	sum := sha256.Sum256(tbs)
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	must(t, err)
	der, err := asn1.Marshal(struct {
		TBS asn1.RawValue
		Alg pkix.AlgorithmIdentifier
		Sig asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	must(t, err)
	return der
}

const (
	tagUTF8      = 12
	tagPrintable = 19
)

// document takes the provisioning document out of an answer.
func document(t testing.TB, answer []byte) *node {
	t.Helper()
	root, err := parseXML(answer)
	must(t, err)
	b64 := root.get("Body", "RequestSecurityTokenResponseCollection", "RequestSecurityTokenResponse", "RequestedSecurityToken", "BinarySecurityToken")
	doc, err := base64.StdEncoding.DecodeString(b64)
	must(t, err)
	tree, err := parseXML(doc)
	must(t, err)
	return tree
}

// at follows characteristics by type.
func at(n *node, types ...string) *node {
	for _, typ := range types {
		i := slices.IndexFunc(n.all("characteristic"), func(k *node) bool { return k.attr("type") == typ })
		if i < 0 {
			return nil
		}
		n = n.all("characteristic")[i]
	}
	return n
}

func parm(n *node, name string) string {
	for _, p := range n.all("parm") {
		if p.attr("name") == name {
			return p.attr("value")
		}
	}
	return ""
}

// enrol takes a PC from token to certificate.
func (p *pc) enrol(security string) {
	p.t.Helper()
	if status, body := p.soap(PolicyPath, policiesRequest(security)); status != 200 {
		p.t.Fatalf("policies: %d %s", status, body)
	}
	status, body := p.soap(EnrolmentPath, p.tokenRequest(security, csr(p.t, p.key, tagPrintable)))
	if status != 200 {
		p.t.Fatalf("enrolment: %d %s", status, body)
	}
	p.provision(document(p.t, body), "User")
}

// provision takes in certificates and account, as the client does.
func (p *pc) provision(doc *node, store string) {
	p.t.Helper()
	my := at(doc, "CertificateStore", "My", store)
	if my == nil {
		p.t.Fatalf("no identity in My/%s", store)
	}
	holder := my.kids[0]
	der, err := base64.StdEncoding.DecodeString(parm(holder, "EncodedCertificate"))
	must(p.t, err)
	if thumbprint(der) != holder.attr("type") {
		p.t.Errorf("thumbprint %s of a certificate with %s", holder.attr("type"), thumbprint(der))
	}
	leaf, err := x509.ParseCertificate(der)
	must(p.t, err)
	p.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.key, Leaf: leaf}
	tr := p.server.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.Certificates = []tls.Certificate{p.cert}
	p.t.Cleanup(tr.CloseIdleConnections)
	p.client = &http.Client{Transport: tr}
	if a := parm(at(doc, "APPLICATION"), "ADDR"); a != "" {
		p.address = a
	}
}

// enrolled is a PC of the world's person, enrolled with a token.
func (w *world) enrolled(id string, own fleet.Ownership) *pc {
	w.t.Helper()
	p := w.newPC(id)
	token, err := w.windows.newToken(context.Background(), w.ticket(w.person, own).Secret)
	must(w.t, err)
	p.enrol(userToken(token))
	return p
}

// post sends a SyncML message and gives status and answer.
func (p *pc) post(body string) (int, []byte) {
	p.t.Helper()
	resp, err := p.client.Post(p.address+"?mode=Maintenance&Platform=WoA", syncMLType, strings.NewReader(body))
	must(p.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(p.t, err)
	if resp.ContentLength != int64(len(b)) || len(resp.TransferEncoding) > 0 {
		p.t.Errorf("answer of %d bytes has length %d, encoding %v", len(b), resp.ContentLength, resp.TransferEncoding)
	}
	return resp.StatusCode, b
}

func (p *pc) message(body string) string {
	return fmt.Sprintf(`<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>%X</SessionID><MsgID>%d</MsgID><Target><LocURI>%s</LocURI></Target>`+
		`<Source><LocURI>%s</LocURI></Source></SyncHdr><SyncBody>%s<Final/></SyncBody></SyncML>`, p.session, p.msg, p.address, p.id, body)
}

func (p *pc) hello() string {
	return `<Alert><CmdID>2</CmdID><Data>1201</Data></Alert><Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns="syncml:metinf">com.microsoft/MDM/LoginStatus</Type></Meta><Data>` +
		p.login + `</Data></Item></Alert><Replace><CmdID>4</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>` + p.id + `</Data></Item></Replace>`
}

// run holds one session to its end and gives the last HTTP status.
func (p *pc) run() int {
	p.t.Helper()
	p.session++
	p.msg = 1
	status, answer := p.post(p.message(p.hello()))
	for range 100 {
		if status != 200 {
			return status
		}
		p.replies = append(p.replies, answer)
		list := p.read(answer)
		if len(list) == 0 {
			return status
		}
		asked := p.msg
		p.msg++
		body := `<Status><CmdID>1</CmdID><MsgRef>` + fmt.Sprint(asked) + `</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>`
		n := 1
		say := func(c sentCommand, code int, value string) {
			if p.mute != nil && p.mute(c) {
				return
			}
			n++
			body += fmt.Sprintf(`<Status><CmdID>%d</CmdID><MsgRef>%d</MsgRef><CmdRef>%s</CmdRef><Cmd>%s</Cmd><Data>%d</Data></Status>`, n, asked, c.id, c.verb, code)
			if c.verb == "Get" && code == 200 {
				n++
				body += fmt.Sprintf(`<Results><CmdID>%d</CmdID><MsgRef>%d</MsgRef><CmdRef>%s</CmdRef><Item><Source><LocURI>%s</LocURI></Source><Data>%s</Data></Item></Results>`, n, asked, c.id, escape(c.uri), escape(value))
			}
		}
		for _, c := range list {
			p.seen = append(p.seen, c)
			p.obey(c, say)
			if p.hook != nil {
				p.hook(c)
			}
			if p.left {
				return 0
			}
		}
		status, answer = p.post(p.message(body))
	}
	p.t.Fatal("the server finds no end")
	return 0
}

// read takes the commands out of an answer, and holds its form against the rules.
func (p *pc) read(answer []byte) []sentCommand {
	p.t.Helper()
	root, err := parseXML(answer)
	must(p.t, err)
	body := root.child("SyncBody")
	if root.get("SyncHdr", "Target", "LocURI") != p.id || root.get("SyncHdr", "Source", "LocURI") != p.address || root.get("SyncHdr", "MsgID") != fmt.Sprint(p.msg) {
		p.t.Errorf("header of %s", answer)
	}
	if body.kids[0].name != "Status" || body.kids[0].get("CmdRef") != "0" || body.kids[len(body.kids)-1].name != "Final" {
		p.t.Errorf("SyncHdr's Status does not come first, or Final not last: %s", answer)
	}
	ids := map[string]bool{}
	var out []sentCommand
	var read func(n *node) sentCommand
	read = func(n *node) sentCommand {
		id := n.get("CmdID")
		if id == "" || ids[id] {
			p.t.Errorf("CmdID %q is missing or twice", id)
		}
		ids[id] = true
		c := sentCommand{verb: n.name, id: id, uri: n.get("Item", "Target", "LocURI"), format: n.get("Item", "Meta", "Format"), data: n.find("Item", "Data").whole()}
		if c.uri != "" {
			checkNode(p.t, "sent", command{Verb: c.verb, URI: c.uri, Format: c.format, Data: c.data}, anyBuild)
		}
		for _, k := range n.kids {
			if n.name == "Atomic" && k.name != "CmdID" {
				c.kids = append(c.kids, read(k))
			}
		}
		return c
	}
	for _, k := range body.kids {
		switch k.name {
		case "Status":
			if ids[k.get("CmdID")] {
				p.t.Errorf("CmdID %s is there twice", k.get("CmdID"))
			}
			ids[k.get("CmdID")] = true
		case "Final":
		default:
			out = append(out, read(k))
		}
	}
	return out
}

var scepBase = regexp.MustCompile(`^\./User/Vendor/MSFT/ClientCertificateInstall/SCEP/[^/]+`)

// obey carries out one command on the tree.
func (p *pc) obey(c sentCommand, say func(sentCommand, int, string)) {
	if c.verb == "Atomic" {
		before := map[string]string{}
		for k, v := range p.tree {
			before[k] = v
		}
		codes := make([]int, len(c.kids))
		failed := false
		for i, k := range c.kids {
			codes[i] = 215
			if !failed {
				p.obey(k, func(_ sentCommand, code int, _ string) { codes[i] = code })
				failed = codes[i] >= 300
			}
		}
		if failed {
			p.tree = before
			say(c, 507, "")
		} else {
			say(c, 200, "")
		}
		for i, k := range c.kids {
			if failed && codes[i] == 200 {
				codes[i] = 216
			}
			say(k, codes[i], "")
		}
		return
	}
	if code := p.refuse[c.uri]; code != 0 {
		say(c, code, "")
		return
	}
	if strings.HasPrefix(c.uri, "./User/") && p.login != "user" {
		say(c, 500, "")
		return
	}
	_, there := p.tree[c.uri]
	var below []string
	for k := range p.tree {
		if strings.HasPrefix(k, c.uri+"/") {
			below = append(below, k)
		}
	}
	switch c.verb {
	case "Get":
		switch {
		case there:
			say(c, 200, p.tree[c.uri])
		case len(below) > 0:
			names := map[string]bool{}
			for _, k := range below {
				name, _, _ := strings.Cut(strings.TrimPrefix(k, c.uri+"/"), "/")
				names[name] = true
			}
			var list []string
			for n := range names {
				list = append(list, n)
			}
			slices.Sort(list)
			say(c, 200, strings.Join(list, "/"))
		default:
			say(c, 404, "")
		}
	case "Add":
		if there {
			say(c, 418, "")
			return
		}
		p.tree[c.uri] = c.data
		say(c, 200, "")
	case "Replace":
		if !there && slices.Contains(p.missing, c.uri) {
			say(c, 404, "")
			return
		}
		p.tree[c.uri] = c.data
		say(c, 200, "")
	case "Delete":
		if !there && len(below) == 0 {
			say(c, 404, "")
			return
		}
		delete(p.tree, c.uri)
		for _, k := range below {
			delete(p.tree, k)
		}
		say(c, 200, "")
	case "Exec":
		if base := scepBase.FindString(c.uri); base != "" {
			p.tree[base+"/Status"] = p.scep
			if p.scep == "1" {
				p.tree[base+"/CertThumbprint"] = p.fetch(p.tree[base+"/Install/Challenge"])
			} else if p.scep == "16" {
				p.tree[base+"/ErrorCode"] = "-2146885613"
			}
		}
		say(c, 200, "")
	}
}

// sentTo lists what verbs were sent to nodes with a prefix.
func (p *pc) sentTo(prefix string) []string {
	var out []string
	var walk func(list []sentCommand)
	walk = func(list []sentCommand) {
		for _, c := range list {
			if strings.HasPrefix(c.uri, prefix) {
				out = append(out, c.verb+" "+c.uri)
			}
			walk(c.kids)
		}
	}
	walk(p.seen)
	return out
}

var _ = url.Values{}
var _ = bytes.Equal
