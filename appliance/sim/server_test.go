package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/sim"

	"github.com/micromdm/plist"
	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	"github.com/smallstep/pkcs7"
)

type dict = map[string]any

const topic = "com.apple.mgmt.External.11111111-2222-4333-8444-555555555555"

// server is a device-management server as small as the tests allow.
type server struct {
	*httptest.Server
	t      testing.TB
	caKey  *rsa.PrivateKey
	ca     *x509.Certificate
	serial int64

	mu          sync.Mutex
	queue       []dict                           // commands for the device channel, each with CommandUUID
	userQ       []dict                           // for the user channel
	results     []dict                           // every message to the command address but Idle
	idles       int                              //
	checkins    []dict                           //
	certs       []string                         // serial that showed up with each message
	signed      int                              // messages with a good Mdm-Signature
	intls       int                              // messages with a client certificate
	answer      func(dict) (int, string, string) // overrides: status, content type, body; status 0 = none
	csrs        []*x509.CertificateRequest
	pending     int // SCEP requests to keep waiting
	refuse      bool
	caps        string
	form        string // page at /enroll
	accepted    int
	profile     []byte
	agents      []string
	redirects   int
	connections atomic.Int64 // open now
	ber         bool         // the last SCEP message had an indefinite length
}

// caKey is the one key of all test authorities; making it takes long.
var caKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// deviceKeys serves the devices of all tests.
var deviceKeys = sync.OnceValue(func() *sim.Keys { return sim.NewKeys(2048, 2, 2) })

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, serial: 100, caps: "POSTPKIOperation\nSHA-256\nAES\nSCEPStandard\nRenewal\n"}
	s.caKey = caKey()
	s.ca = selfCA(t, s.caKey)
	mux := http.NewServeMux()
	mux.HandleFunc("/scep", s.scep)
	mux.HandleFunc("PUT /mdm", s.mdm)
	mux.HandleFunc("/enroll", s.page)
	mux.HandleFunc("PUT /old", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.redirects++
		s.mu.Unlock()
		http.Redirect(w, r, s.URL+"/mdm", http.StatusMovedPermanently)
	})
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/enroll", http.StatusFound) })
	s.Server = httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		switch st {
		case http.StateNew:
			s.connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.connections.Add(-1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func selfCA(t testing.TB, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// roots trusts the server's TLS certificate.
func (s *server) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func scepOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}
}

func (s *server) scep(w http.ResponseWriter, r *http.Request) {
	switch op := r.URL.Query().Get("operation"); op {
	case "GetCACaps":
		io.WriteString(w, s.caps)
	case "GetCACert":
		w.Header().Set("Content-Type", "application/x-x509-ca-cert")
		w.Write(s.ca.Raw)
	case "PKIOperation":
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			_, raw, _ := strings.Cut(r.URL.RawQuery, "message=")
			var err error
			if body, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(raw, "%3D", "=")); err != nil {
				s.t.Errorf("GET PKIOperation: %v", err)
			}
		}
		s.ber = len(body) > 1 && body[0] == 0x30 && body[1] == 0x80
		out, err := s.certRep(body)
		if err != nil {
			s.t.Errorf("SCEP: %v", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Write(out)
	}
}

func (s *server) certRep(body []byte) ([]byte, error) {
	p7, err := pkcs7.Parse(body)
	if err != nil {
		return nil, err
	}
	if err := p7.Verify(); err != nil {
		return nil, err
	}
	var tx, kind string
	var nonce []byte
	if err := p7.UnmarshalSignedAttribute(scepOID(7), &tx); err != nil {
		return nil, err
	}
	if err := p7.UnmarshalSignedAttribute(scepOID(2), &kind); err != nil {
		return nil, err
	}
	if err := p7.UnmarshalSignedAttribute(scepOID(5), &nonce); err != nil {
		return nil, err
	}
	env, err := pkcs7.Parse(p7.Content)
	if err != nil {
		return nil, err
	}
	content, err := env.Decrypt(s.ca, s.caKey)
	if err != nil {
		return nil, err
	}
	printable := func(v string) asn1.RawValue {
		return asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte(v)}
	}
	status := "0"
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == "19" {
		csr, err := x509.ParseCertificateRequest(content)
		if err != nil {
			return nil, err
		}
		challenge, err := x509util.ParseChallengePassword(content)
		if err != nil {
			return nil, err
		}
		if challenge != "once" || s.refuse {
			status = "2"
		}
		s.csrs = append(s.csrs, csr)
	}
	if s.pending > 0 {
		s.pending--
		status = "3"
	}
	attrs := []pkcs7.Attribute{
		{Type: scepOID(7), Value: printable(tx)}, {Type: scepOID(2), Value: printable("3")}, {Type: scepOID(3), Value: printable(status)},
		{Type: scepOID(6), Value: nonce}, {Type: scepOID(5), Value: []byte("0123456789abcdef")},
	}
	var inner []byte
	switch status {
	case "2":
		attrs = append(attrs, pkcs7.Attribute{Type: scepOID(4), Value: printable("2")})
	case "0":
		csr := s.csrs[len(s.csrs)-1]
		s.serial++
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(s.serial), RawSubject: csr.RawSubject, NotBefore: time.Now().Add(-time.Minute),
			NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, s.ca, csr.PublicKey, s.caKey)
		if err != nil {
			return nil, err
		}
		certs, err := pkcs7.DegenerateCertificate(der)
		if err != nil {
			return nil, err
		}
		if inner, err = pkcs7.Encrypt(certs, p7.Certificates); err != nil {
			return nil, err
		}
	}
	sd, err := pkcs7.NewSignedData(inner)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(s.ca, s.caKey, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attrs}); err != nil {
		return nil, err
	}
	return sd.Finish()
}

// mdm serves both check-ins and commands.
func (s *server) mdm(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var msg dict
	if err := plist.Unmarshal(body, &msg); err != nil {
		s.t.Errorf("message: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var cert *x509.Certificate
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		cert = r.TLS.PeerCertificates[0]
		s.intls++
	}
	if h := r.Header.Get("Mdm-Signature"); h != "" {
		der, err := base64.StdEncoding.DecodeString(h)
		if err != nil {
			s.t.Errorf("Mdm-Signature: %v", err)
		}
		p7, err := pkcs7.Parse(der)
		if err != nil {
			s.t.Fatalf("Mdm-Signature: %v", err)
		}
		p7.Content = body
		if err := p7.Verify(); err != nil {
			s.t.Errorf("Mdm-Signature: %v", err)
		}
		s.signed++
		cert = p7.GetOnlySigner()
	}
	if cert == nil {
		s.t.Error("a message came without any identity")
		return
	}
	if err := cert.CheckSignatureFrom(s.ca); err != nil {
		s.t.Errorf("identity: %v", err)
	}
	s.certs = append(s.certs, cert.SerialNumber.String())
	if s.answer != nil {
		if status, ctype, text := s.answer(msg); status != 0 {
			w.Header().Set("Content-Type", ctype)
			w.WriteHeader(status)
			io.WriteString(w, text)
			return
		}
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-apple-aspen-mdm-checkin") {
		s.checkins = append(s.checkins, msg)
		return
	}
	q := &s.queue
	if msg["UserID"] != nil {
		q = &s.userQ
	}
	status, _ := msg["Status"].(string)
	if status == "Idle" {
		s.idles++
	} else {
		s.results = append(s.results, msg)
		if status != "NotNow" {
			*q = slices.DeleteFunc(*q, func(c dict) bool { return c["CommandUUID"] == msg["CommandUUID"] })
		}
	}
	if len(*q) == 0 || status == "NotNow" {
		w.Header().Set("Content-Length", "0")
		return
	}
	out, err := plist.Marshal((*q)[0])
	if err != nil {
		s.t.Errorf("command: %v", err)
	}
	w.Write(out)
}

// order queues a command and returns its UUID.
func (s *server) order(kind string, keys dict) string { return s.orderOn(&s.queue, kind, keys) }

func (s *server) orderOn(q *[]dict, kind string, keys dict) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	c := dict{"RequestType": kind}
	for k, v := range keys {
		c[k] = v
	}
	uuid := fmt.Sprintf("command-%d", s.serial)
	*q = append(*q, dict{"CommandUUID": uuid, "Command": c})
	return uuid
}

// result returns the last answer to a command, or nil.
func (s *server) result(uuid string) dict {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Backward(s.results) {
		if r["CommandUUID"] == uuid {
			return r
		}
	}
	return nil
}

// messages lists the check-in messages in order.
func (s *server) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, m := range s.checkins {
		out = append(out, m["MessageType"].(string))
	}
	return out
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = append(s.agents, r.UserAgent())
	if r.URL.Query().Has("file") {
		if c, err := r.Cookie("visit"); err != nil || c.Value != "accepted" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/x-apple-aspen-config")
		w.Write(s.profile)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.Method == http.MethodPost {
		c, err := r.Cookie("visit")
		if err != nil || r.PostFormValue("accept") != "yes" || r.PostFormValue("csrf") != c.Value || r.Header.Get("Origin") != s.URL {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "<main>Not accepted</main>")
			return
		}
		s.accepted++
		http.SetCookie(w, &http.Cookie{Name: "visit", Value: "accepted"})
		http.Redirect(w, r, "/enroll?done", http.StatusSeeOther)
		return
	}
	if r.URL.Query().Has("done") {
		io.WriteString(w, `<main><p>Thanks.</p><a data-step="profile" href="?file">Download</a></main>`)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "visit", Value: "token"})
	io.WriteString(w, s.form)
}

const acceptForm = `<!doctype html><title>x</title><main><h1>Welcome</h1><p>We collect the serial number.</p>
<form method="post" data-step="accept" action="/enroll"><input type="hidden" name="csrf" value="token">
<label><input type="checkbox" name="accept" value="yes"> I agree</label><button name="go" value="1">Go</button></form></main>`

// uuid makes a UUID whose text shows its role.
func uuid(n int) string { return fmt.Sprintf("AAAAAAAA-0000-4000-8000-%012d", n) }

// payloadOf makes a payload with the common keys.
func payloadOf(kind, id string, n int, keys dict) dict {
	p := dict{"PayloadType": kind, "PayloadVersion": 1, "PayloadIdentifier": id, "PayloadUUID": uuid(n)}
	for k, v := range keys {
		p[k] = v
	}
	return p
}

// profileOf makes a profile; payloads are dicts.
func profileOf(id string, n int, payloads ...dict) dict {
	content := []any{}
	for _, p := range payloads {
		content = append(content, p)
	}
	return dict{"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": id, "PayloadUUID": uuid(n), "PayloadDisplayName": id, "PayloadContent": content}
}

func (s *server) scepPayload(id string, n int) dict {
	return payloadOf("com.apple.security.scep", id, n, dict{"PayloadContent": dict{
		"URL": s.URL + "/scep", "Name": "devices", "Subject": []any{[]any{[]any{"O", "Example"}}, []any{[]any{"CN", "dev-1"}}}, "Challenge": "once",
		"Keysize": 2048, "Key Type": "RSA", "Key Usage": 5, "SubjectAltName": dict{"rfc822Name": "a@example.org", "ntPrincipalName": "a@example.org"}}})
}

func (s *server) mdmPayload(n int) dict {
	return payloadOf("com.apple.mdm", "example.enrol.mdm", n, dict{"IdentityCertificateUUID": uuid(n - 1), "Topic": topic, "ServerURL": s.URL + "/mdm",
		"SignMessage": true, "CheckOutWhenRemoved": true, "AccessRights": 8191,
		"ServerCapabilities": []any{"com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"}})
}

// enrolment is the enrolment profile as a dictionary that tests may change.
func (s *server) enrolment() dict {
	return profileOf("example.enrol", 1, s.scepPayload("example.enrol.scep", 2), s.mdmPayload(3))
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := plist.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signedBy wraps a profile in a CMS message.
func (s *server) signedBy(b []byte) []byte {
	sd, err := pkcs7.NewSignedData(b)
	if err != nil {
		s.t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(s.ca, s.caKey, pkcs7.SignerInfoConfig{}); err != nil {
		s.t.Fatal(err)
	}
	out, err := sd.Finish()
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// csrPEM makes a request for a push certificate.
func csrPEM(t testing.TB) ([]byte, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "push"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key
}

func ecCSR(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// contains reports whether body holds every one of words.
func contains(body []byte, words ...string) bool {
	for _, w := range words {
		if !bytes.Contains(body, []byte(w)) {
			return false
		}
	}
	return true
}
