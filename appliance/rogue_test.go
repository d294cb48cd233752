package appliance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/plist"
	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// strict is a world that writes its log down, debug level included, and whose clock a test can move.
type strict struct {
	*world
	log   *logBook
	ahead atomic.Int64 // how far its clock is ahead
}

func newStrict(t testing.TB) *strict {
	t.Helper()
	s := &strict{log: &logBook{}}
	s.world = newWorldWith(t, t.TempDir(), func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Clock = s.now
	})
	return s
}

// run is a subtest that the world's helpers speak to.
func (s *strict) run(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		was := s.t
		s.t = t
		defer func() { s.t = was }()
		f(t)
	})
}

func (s *strict) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// forward moves the clock, and runs what the clock would have run.
func (s *strict) forward(by time.Duration) {
	s.t.Helper()
	s.ahead.Add(int64(by))
	if err := s.Appliance.fleet.Sweep(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// logBook keeps log lines.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// mark is a place in the log; since gives what came after it.
func (l *logBook) mark() int { return len(l.text()) }

func (l *logBook) since(mark int) string { return l.text()[mark:] }

// rogue is a device in the test's own hand: it enrols by the book and can then say anything.
type rogue struct {
	w                   *strict
	udid, serial, topic string
	platform            fleet.Platform
	key                 *rsa.PrivateKey
	identity            tls.Certificate
	client              *http.Client
	ticket, challenge   string
	installed           map[string]string // identifier → marker
	facts               map[string]any    // more for Authenticate and DeviceInformation
	commands            []string
	refuses, notNow     string // a RequestType that it refuses, postpones
	left                bool
	profile             []byte
}

var rogueCount atomic.Int64

// newRogue is a device that has done nothing yet.
func (s *strict) newRogue() *rogue {
	n := rogueCount.Add(1)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	return &rogue{w: s, udid: fmt.Sprintf("00008103-%016X", n), serial: fmt.Sprintf("R0GUE%05d", n), topic: demoTopic, platform: fleet.IOS,
		key: key, installed: map[string]string{}, facts: map[string]any{}}
}

// enrolled is a managed rogue with its id.
func (s *strict) enrolled(person string, o fleet.Ownership) (*rogue, fleet.DeviceID) {
	s.t.Helper()
	r := s.newRogue()
	return r, r.enrol(s.invitation(person, r.platform, o, 1))
}

// enrol goes the whole way by the book.
func (r *rogue) enrol(link string) fleet.DeviceID {
	r.w.t.Helper()
	r.open(link)
	r.obtain()
	r.want(200, r.checkIn(r.authenticate()))
	r.want(200, r.checkIn(r.tokenUpdate()))
	return r.id()
}

func (r *rogue) id() fleet.DeviceID {
	r.w.t.Helper()
	d := r.device()
	if d == nil {
		r.w.t.Fatalf("no device with hardware %s", r.udid)
	}
	return d.ID
}

// device is the record of the rogue's hardware, nil without one.
func (r *rogue) device() *fleet.Device {
	r.w.t.Helper()
	q := fleet.ListQuery{Limit: 500}
	for {
		l, err := r.w.Appliance.fleet.Devices(context.Background(), r.w.Actor, fleet.DeviceFilter{Hidden: true}, q)
		if err != nil {
			r.w.t.Fatal(err)
		}
		for _, d := range l.Items {
			if d.Hardware == r.udid {
				return d
			}
		}
		if l.Next == "" {
			return nil
		}
		q.Cursor = l.Next
	}
}

// open accepts an invitation and takes the enrolment profile.
func (r *rogue) open(link string) {
	r.w.t.Helper()
	r.ticket = r.w.accept(link)
	r.download()
}

// download fetches the profile of the ticket; each time it holds another challenge.
func (r *rogue) download() {
	r.w.t.Helper()
	file, err := read(r.w.browser().Get(r.w.config.URL + profileAddress(r.ticket)))
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.profile = []byte(file)
	r.challenge, r.topic = challengeIn(r.w.t, r.profile)
}

func challengeIn(t testing.TB, raw []byte) (challenge, topic string) {
	t.Helper()
	if p7, err := pkcs7.Parse(raw); err == nil {
		raw = p7.Content
	}
	var p struct{ PayloadContent []map[string]any }
	if err := plist.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	for _, payload := range p.PayloadContent {
		switch payload["PayloadType"] {
		case "com.apple.security.scep":
			inner, _ := payload["PayloadContent"].(map[string]any)
			challenge, _ = inner["Challenge"].(string)
		case "com.apple.mdm":
			topic, _ = payload["Topic"].(string)
		}
	}
	return challenge, topic
}

// accept says yes on the enrolment page and returns the ticket.
func (s *strict) accept(link string) string {
	s.t.Helper()
	status, location, body := s.press(link)
	if status != http.StatusSeeOther {
		s.t.Fatalf("accepting: %d %.300s", status, body)
	}
	return strings.TrimPrefix(location, "/enroll/t/")
}

// press opens the page and presses its button, without following where it leads.
func (s *strict) press(link string) (status int, location, body string) {
	s.t.Helper()
	b := s.browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := b.Get(link)
	if err != nil {
		s.t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, "", string(page)
	}
	form := url.Values{"accept": {"yes"}}
	for _, input := range hidden.FindAllString(string(page), -1) {
		var name, value string
		for _, a := range attr.FindAllStringSubmatch(input, -1) {
			if a[1] == "name" {
				name = a[2]
			} else {
				value = a[2]
			}
		}
		form.Set(name, value)
	}
	if resp, err = b.PostForm(link, form); err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Location"), string(page)
}

// obtain trades the challenge for an identity.
func (r *rogue) obtain() {
	r.w.t.Helper()
	cert, err := r.w.scep(r.key, r.challenge, pkix.Name{CommonName: "phone"})
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.be(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: r.key, Leaf: cert})
}

// be takes on an identity, on connections of its own.
func (r *rogue) be(c tls.Certificate) {
	r.identity = c
	r.client = r.w.deviceClient(&c)
}

func (s *strict) deviceClient(c *tls.Certificate) *http.Client {
	conf := &tls.Config{RootCAs: s.roots, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if c != nil {
		conf.Certificates = []tls.Certificate{*c}
	}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: conf, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// errSCEP is a CertRep with a failure.
var errSCEP = errors.New("the authority refuses")

// scep is one PKCSReq with an RSA key.
func (s *strict) scep(key *rsa.PrivateKey, challenge string, subject pkix.Name) (*x509.Certificate, error) {
	return s.scepRequest(key, x509util.CertificateRequest{CertificateRequest: x509.CertificateRequest{Subject: subject}, ChallengePassword: challenge})
}

func (s *strict) scepRequest(key *rsa.PrivateKey, request x509util.CertificateRequest) (*x509.Certificate, error) {
	s.t.Helper()
	base := s.config.DeviceURL + "/scep"
	c := s.deviceClient(nil)
	raw, err := read(c.Get(base + "?operation=GetCACert"))
	if err != nil {
		return nil, err
	}
	authorities, err := scep.CACerts([]byte(raw))
	if err != nil {
		return nil, err
	}
	var ra []*x509.Certificate
	for _, a := range authorities {
		if a.PublicKeyAlgorithm == x509.RSA {
			ra = append(ra, a)
		}
	}
	der, err := x509util.CreateCertificateRequest(rand.Reader, &request, key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	signer, err := selfSigned(key)
	if err != nil {
		return nil, err
	}
	msg, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: ra, SignerKey: key, SignerCert: signer})
	if err != nil {
		return nil, err
	}
	answer, err := read(c.Post(base+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(msg.Raw)))
	if err != nil {
		return nil, err
	}
	reply, err := scep.ParsePKIMessage([]byte(answer), scep.WithCACerts(authorities))
	if err != nil {
		return nil, err
	}
	if reply.PKIStatus != scep.SUCCESS {
		return nil, fmt.Errorf("%w: %s %s", errSCEP, reply.PKIStatus, reply.FailInfo)
	}
	if err := reply.DecryptPKIEnvelope(signer, key); err != nil {
		return nil, err
	}
	return reply.CertRepMessage.Certificate, nil
}

// issue makes a certificate of our own authority with any binding; keep false forgets the record afterwards, as an older
// backup would.
func (s *strict) issue(b pki.Binding, keep bool) tls.Certificate {
	s.t.Helper()
	a := s.Appliance
	if err := a.pki.PrepareKey(); err != nil {
		s.t.Fatal(err)
	}
	forget := errors.New("forget")
	var p12 []byte
	err := a.db.Update(s.t.Context(), func(tx store.Tx) (err error) {
		if p12, _, err = a.pki.IssuePKCS12(tx, b, "x"); err == nil && !keep {
			err = forget
		}
		return err
	})
	if err != nil && !errors.Is(err, forget) {
		s.t.Fatal(err)
	}
	key, cert, _, err := gopkcs12.DecodeChain(p12, "x")
	if err != nil {
		s.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key.(crypto.Signer), Leaf: cert}
}

// answer is what a request brought.
type answer struct {
	status int
	kind   string
	body   string
	header http.Header
}

func (r *rogue) want(status int, a answer) answer {
	r.w.t.Helper()
	if a.status != status {
		r.w.t.Fatalf("answer %d %q, want %d", a.status, a.body, status)
	}
	return a
}

const (
	kindCheckIn = "application/x-apple-aspen-mdm-checkin"
	kindCommand = "application/x-apple-aspen-mdm; charset=UTF-8"
)

func (r *rogue) checkIn(body []byte) answer {
	r.w.t.Helper()
	return r.send("checkin", kindCheckIn, body)
}
func (r *rogue) connect(body []byte) answer {
	r.w.t.Helper()
	return r.send("connect", kindCommand, body)
}

func (r *rogue) send(endpoint, kind string, body []byte, header ...string) answer {
	r.w.t.Helper()
	return r.w.put(r.client, r.w.config.DeviceURL+"/mdm/apple/"+endpoint, kind, body, header...)
}

func (s *strict) put(c *http.Client, to, kind string, body []byte, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest("PUT", to, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{status: resp.StatusCode, body: err.Error()}
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(b), resp.Header}
}

// signed is the Mdm-Signature of a body.
func signed(t testing.TB, body []byte, c tls.Certificate) string {
	t.Helper()
	sd, err := pkcs7.NewSignedData(body)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(c.Leaf, c.PrivateKey, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	sd.Detach()
	der, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func encode(v any) []byte {
	var b bytes.Buffer
	if err := plist.NewEncoder(&b).Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (r *rogue) authenticate() []byte {
	m := map[string]any{"MessageType": "Authenticate", "UDID": r.udid, "Topic": r.topic, "OSVersion": "26.1", "BuildVersion": "23B85",
		"ProductName": "iPhone15,2", "SerialNumber": r.serial, "ModelName": "iPhone", "DeviceName": "Rogue"}
	if r.platform == fleet.MacOS {
		m["ProductName"], m["Model"], m["ModelName"] = "Mac14,2", "Mac14,2", "MacBook Air"
	}
	maps.Copy(m, r.facts)
	return encode(m)
}

func (r *rogue) tokenUpdate() []byte {
	token, _ := hex.DecodeString(strings.Repeat("cd", 24) + r.udid[len(r.udid)-16:])
	return encode(map[string]any{"MessageType": "TokenUpdate", "UDID": r.udid, "Topic": r.topic, "PushMagic": "magic-" + r.udid, "Token": token})
}

func (r *rogue) idle() []byte { return message("Status", "Idle", "UDID", r.udid) }

func (r *rogue) check(kind string, pairs ...any) []byte {
	m := map[string]any{"MessageType": kind, "UDID": r.udid}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return encode(m)
}

// command is what the server orders.
type command struct {
	CommandUUID string
	Command     struct {
		RequestType, Identifier string
		Payload                 []byte
	}
}

func commandIn(t testing.TB, body string) command {
	t.Helper()
	var c command
	if err := plist.Unmarshal([]byte(body), &c); err != nil {
		t.Fatalf("no command: %v in %.300s", err, body)
	}
	return c
}

// settle calls and answers until there is nothing more to do, or the device was told to leave. The names of the commands are kept.
func (r *rogue) settle() {
	r.w.t.Helper()
	a := r.want(200, r.connect(r.idle()))
	for range 60 {
		if a.body == "" {
			return
		}
		c := commandIn(r.w.t, a.body)
		result := r.obey(c)
		a = r.connect(result)
		if r.left {
			return
		}
		r.want(200, a)
	}
	r.w.t.Fatalf("no end of commands: %v", r.commands)
}

// settleKeeping is settle, and returns the commands as they came, profiles opened.
func (r *rogue) settleKeeping() []string {
	r.w.t.Helper()
	var out []string
	a := r.want(200, r.connect(r.idle()))
	for range 60 {
		if a.body == "" {
			return out
		}
		c := commandIn(r.w.t, a.body)
		out = append(out, a.body)
		if raw := c.Command.Payload; len(raw) > 0 {
			if p7, err := pkcs7.Parse(raw); err == nil {
				raw = p7.Content
			}
			out = append(out, string(raw))
		}
		a = r.want(200, r.connect(r.obey(c)))
	}
	r.w.t.Fatal("no end of commands")
	return nil
}

// plistInto decodes a property list.
func plistInto(t testing.TB, raw []byte, v any) {
	t.Helper()
	if err := plist.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

// obey does what is ordered and words the result.
func (r *rogue) obey(c command) []byte {
	t := c.Command.RequestType
	r.commands = append(r.commands, t)
	result := map[string]any{"Status": "Acknowledged", "UDID": r.udid, "CommandUUID": c.CommandUUID}
	switch {
	case t == r.refuses:
		result["Status"] = "Error"
		result["ErrorChain"] = []any{map[string]any{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "no"}}
		return encode(result)
	case t == r.notNow:
		result["Status"] = "NotNow"
		return encode(result)
	}
	switch t {
	case "DeviceInformation":
		q := map[string]any{"OSVersion": "26.1", "SerialNumber": r.serial}
		maps.Copy(q, r.facts)
		result["QueryResponses"] = q
	case "SecurityInfo":
		result["SecurityInfo"] = map[string]any{"PasscodePresent": true}
	case "InstallProfile":
		raw := c.Command.Payload
		if p7, err := pkcs7.Parse(raw); err == nil {
			raw = p7.Content
		}
		var p struct{ PayloadIdentifier, PayloadUUID string }
		if err := plist.Unmarshal(raw, &p); err == nil {
			r.installed[p.PayloadIdentifier] = p.PayloadUUID
		}
	case "RemoveProfile":
		if _, ours := r.installed[c.Command.Identifier]; !ours {
			r.left = true
			r.installed = map[string]string{}
		}
		delete(r.installed, c.Command.Identifier)
	case "EraseDevice":
		r.left = true
		r.installed = map[string]string{}
	case "ProfileList":
		list := []any{}
		for identifier, marker := range r.installed {
			list = append(list, map[string]any{"PayloadIdentifier": identifier, "PayloadUUID": marker, "PayloadVersion": 1})
		}
		result["ProfileList"] = list
	case "CertificateList":
		result["CertificateList"] = []any{}
	case "InstalledApplicationList":
		result["InstalledApplicationList"] = []any{}
	case "ManagedApplicationList":
		result["ManagedApplicationList"] = map[string]any{}
	}
	return encode(result)
}

// works proves that a device lost nothing: it is managed, and "sync now" brings it its questions.
func (r *rogue) works() {
	r.w.t.Helper()
	d := r.device()
	if d == nil || d.State != fleet.Managed {
		r.w.t.Fatalf("the device is not managed any more: %+v", d)
	}
	before := len(r.commands)
	if _, err := r.w.Appliance.fleet.Act(context.Background(), r.w.Actor, d.ID, fleet.ActSync, fleet.ActionOptions{}, ""); err != nil && !errors.Is(err, fleet.ErrConflict) {
		r.w.t.Fatal(err)
	}
	r.settle()
	if len(r.commands) == before {
		r.w.t.Error("the device is asked nothing any more")
	}
}

// timeline of a device, codes only.
func (s *strict) timeline(id fleet.DeviceID) string {
	s.t.Helper()
	l, err := s.Appliance.fleet.Timeline(context.Background(), s.Actor, id, fleet.ListQuery{Limit: 200})
	if err != nil {
		s.t.Fatal(err)
	}
	var codes []string
	for _, e := range l.Items {
		codes = append(codes, e.Reason.Code)
	}
	return strings.Join(codes, " ")
}

// needed are the codes of what needs a person.
func (s *strict) needed() string {
	s.t.Helper()
	l, err := s.Appliance.fleet.Needs(context.Background(), s.Actor)
	if err != nil {
		s.t.Fatal(err)
	}
	var codes []string
	for _, n := range l {
		codes = append(codes, n.Reason.Code)
	}
	return strings.Join(codes, " ")
}

// audited says whether the log has a record of a verb about an object.
func (s *strict) audited(verb, object string) bool {
	s.t.Helper()
	l, err := s.Appliance.fleet.Audit(context.Background(), s.Actor, fleet.AuditQuery{Verb: verb, Object: object, ListQuery: fleet.ListQuery{Limit: 100}})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(l.Items) > 0
}
