package sim_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/appliance/sim"

	"github.com/smallstep/pkcs7"
)

// The Windows client signs SCEP requests with a certificate that only the lenient parser reads.
func init() { pkcs7.SetFallbackLegacyX509CertificateParserEnabled(true) }

// winServer is a management server for Windows as small as the tests allow. Its answers
// follow the printed examples, with fields for what a test changes.
type winServer struct {
	*httptest.Server
	t     testing.TB
	scep  *server // serves /scep
	caKey *rsa.PrivateKey
	ca    *x509.Certificate

	mu        sync.Mutex
	onPremise bool
	store     string                         // of the device certificate
	lifetime  time.Duration                  // of the device certificate
	renew     string                         // RenewPeriod
	tamper    func(step, body string) string // changes an answer
	raw       func(step string, w http.ResponseWriter) bool
	signin    func(w http.ResponseWriter, r *http.Request) bool
	discovers int
	tokens    []string // what came in the Security header
	contexts  map[string][]string
	requests  []string // Issue or Renew
	csrCN     asn1.RawValue
	pkcs7     int
	serial    int64
	valid     map[string]bool // serials that may open sessions

	queue     []string // one batch of commands per message
	received  []winMessage
	bodies    []string
	lost      int    // so many messages are answered by hanging up
	login     string // md5: wants the digest login, without certificates
	signature string // of the last message
	loggedIn  string // session that has logged in
	nonce     string
	status    int
	header    string // Meta of answers
	noFinal   bool
	extra     func(n int, reply string) string
}

// winMessage is a message of the client, as far as tests look.
type winMessage struct {
	XMLName xml.Name `xml:"SYNCML:SYNCML1.2 SyncML"`
	Hdr     struct {
		SessionID, MsgID string
		Target, Source   struct{ LocURI string }
		Cred             *struct {
			Data string
			Meta struct{ Type string }
		}
	} `xml:"SyncHdr"`
	Body struct {
		Commands []winCommand `xml:",any"`
	} `xml:"SyncBody"`
	cert string
	url  string
}

type winCommand struct {
	XMLName                          xml.Name
	CmdID, MsgRef, CmdRef, Cmd, Data string
	TargetRef                        string
	Item                             []winItem
}

type winItem struct {
	Source, Target struct{ LocURI string }
	Meta           struct{ Format, Type string }
	Data           string
}

func newWinServer(t testing.TB) *winServer {
	t.Helper()
	s := &winServer{t: t, caKey: caKey(), store: "User", lifetime: 365 * 24 * time.Hour, renew: "60", serial: 500, valid: map[string]bool{}, nonce: "MDEyMzQ1Njc4OWFiY2RlZg=="}
	s.ca = selfCA(t, s.caKey)
	s.scep = &server{t: t, serial: 100, caps: "POSTPKIOperation\nSHA-256\nAES\nSCEPStandard\nRenewal\n", caKey: s.caKey, ca: s.ca}
	mux := http.NewServeMux()
	mux.HandleFunc("/enroll/invite-1", s.page)
	mux.HandleFunc("GET /EnrollmentServer/Discovery.svc", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") })
	mux.HandleFunc("POST /EnrollmentServer/Discovery.svc", s.discovery)
	mux.HandleFunc("/EnrollmentServer/Auth", s.auth)
	mux.HandleFunc("POST /EnrollmentServer/Policy.svc", s.policy)
	mux.HandleFunc("POST /EnrollmentServer/Enrollment.svc", s.enrolment)
	mux.HandleFunc("POST /ManagementServer/MDM.svc", s.manage)
	mux.HandleFunc("/scep", s.scep.scep)
	mux.HandleFunc("/scep/pkiclient.exe", s.scep.scep)
	mux.HandleFunc("GET /agent.msi", func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) != 0 {
			t.Error("the package was fetched with a certificate")
		}
		io.WriteString(w, "an installer")
	})
	s.Server = httptest.NewUnstartedServer(mux)
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: pool}
	s.StartTLS()
	s.scep.Server = s.Server
	t.Cleanup(s.Close)
	return s
}

func (s *winServer) options() sim.WindowsOptions {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return sim.WindowsOptions{Roots: pool, Keys: deviceKeys(), Seed: 7, Minute: time.Millisecond}
}

// pc is a PC that has enrolled.
func (s *winServer) pc(change func(*sim.WindowsOptions)) *sim.Windows {
	s.t.Helper()
	o := s.options()
	if change != nil {
		change(&o)
	}
	d := sim.NewWindows(o)
	s.t.Cleanup(d.Close)
	if err := d.Enrol(s.t.Context(), s.link()); err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *winServer) link() string { return s.URL + "/enroll/invite-1" }

func (s *winServer) page(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.Method != http.MethodPost {
		http.SetCookie(w, &http.Cookie{Name: "visit", Value: "1", Path: "/"})
		io.WriteString(w, `<main><p>We collect the serial number.</p><form method="post" data-step="accept"><input type="checkbox" name="accept" value="yes"><button>Go</button></form></main>`)
		return
	}
	if r.PostFormValue("accept") != "yes" {
		s.t.Error("the box was not ticked")
	}
	deep := "ms-device-enrollment:?mode=mdm&username=ada%40example.org&servername=" + strings.ReplaceAll(strings.ReplaceAll(s.URL, ":", "%3A"), "/", "%2F") + "&ownership=2"
	io.WriteString(w, `<main><p>Your code: <b data-code>ABCDE FGHIJ</b></p><a data-step="windows" href="`+html.EscapeString(deep)+`">Connect</a></main>`)
}

func (s *winServer) auth(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signin != nil && s.signin(w, r) {
		return
	}
	q := r.URL.Query()
	if q.Get("appru") != "ms-app://windows.immersivecontrolpanel" || q.Get("login_hint") != "ada@example.org" || q.Get("os") != "x" {
		s.t.Errorf("sign-in asked with %s", r.URL.RawQuery)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if c, err := r.Cookie("visit"); err != nil || c.Value == "" {
		if r.PostFormValue("code") != "ABCDEFGHIJ" || r.PostFormValue("email") != "ada@example.org" {
			io.WriteString(w, `<main><form method="post" data-step="code"><input name="email"><input name="code"><button>Go</button></form></main>`)
			return
		}
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-abc'; form-action 'self' ms-app:")
	io.WriteString(w, `<!DOCTYPE html><html><body><form method="post" action="`+html.EscapeString(q.Get("appru"))+`"><input type="hidden" name="wresult" value="OPAQUE-TOKEN">
<noscript><input type="submit" value="Continue"></noscript></form><script nonce="abc">document.forms[0].submit()</script></body></html>`)
}

var (
	messageID = regexp.MustCompile(`<a:MessageID>([^<]*)</a:MessageID>`)
	bst       = regexp.MustCompile(`(?s)<wsse:BinarySecurityToken ValueType="([^"]*)" EncodingType="[^"]*#base64binary">([^<]*)</wsse:BinarySecurityToken>`)
	password  = regexp.MustCompile(`<wsse:Username>([^<]*)</wsse:Username><wsse:Password wsse:Type="[^"]*#PasswordText">([^<]*)</wsse:Password>`)
	item      = regexp.MustCompile(`<ac:ContextItem Name="([^"]*)"><ac:Value>([^<]*)</ac:Value></ac:ContextItem>`)
)

// soap answers a request of enrolment.
func (s *winServer) soap(w http.ResponseWriter, step, request, action, security, bodyAttrs, body string) {
	text := `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><s:Header><a:Action s:mustUnderstand="1">` +
		action + `</a:Action><a:RelatesTo>` + messageID.FindStringSubmatch(request)[1] + `</a:RelatesTo>` + security + `</s:Header><s:Body` + bodyAttrs + `>` + body + `</s:Body></s:Envelope>`
	if s.tamper != nil {
		text = s.tamper(step, text)
	}
	w.Header().Set("Content-Type", "application/soap+xml; charset=utf-8")
	if s.raw != nil && s.raw(step, w) {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	io.WriteString(w, text)
}

func (s *winServer) read(r *http.Request) string {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	if ct := r.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/soap+xml") {
		s.t.Errorf("request came as %q", ct)
	}
	return string(b)
}

func (s *winServer) discovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.read(r)
	s.discovers++
	if !strings.Contains(b, "<EmailAddress>ada@example.org</EmailAddress>") || !strings.Contains(b, "<DeviceType>CIMClient_Windows</DeviceType>") {
		s.t.Errorf("discovery: %s", b)
	}
	how, where := "Federated", `<AuthenticationServiceUrl>`+s.URL+`/EnrollmentServer/Auth?os=x</AuthenticationServiceUrl>`
	if s.onPremise {
		how, where = "OnPremise", ""
	}
	s.soap(w, "discovery", b, "http://schemas.microsoft.com/windows/management/2012/01/enrollment/IDiscoveryService/DiscoverResponse", "", "",
		`<DiscoverResponse xmlns="http://schemas.microsoft.com/windows/management/2012/01/enrollment"><DiscoverResult><AuthPolicy>`+how+`</AuthPolicy><EnrollmentVersion>4.0</EnrollmentVersion><EnrollmentPolicyServiceUrl>`+
			s.URL+`/EnrollmentServer/Policy.svc</EnrollmentPolicyServiceUrl><EnrollmentServiceUrl>`+s.URL+`/EnrollmentServer/Enrollment.svc</EnrollmentServiceUrl>`+where+`</DiscoverResult></DiscoverResponse>`)
}

// token notes what proved the person.
func (s *winServer) token(b string) {
	head, _, _ := strings.Cut(b, "</s:Header>")
	if m := bst.FindStringSubmatch(head); m != nil {
		raw, err := base64.StdEncoding.DecodeString(m[2])
		if err != nil || !strings.HasSuffix(m[1], "/DeviceEnrollmentUserToken") {
			s.t.Errorf("token %q %v", m[1], err)
		}
		s.tokens = append(s.tokens, string(raw))
	} else if m := password.FindStringSubmatch(head); m != nil {
		s.tokens = append(s.tokens, m[1]+":"+m[2])
	}
}

// policyReply is the reply printed in the documentation.
const policyReply = `<GetPoliciesResponse xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy"><response><policyID/><policyFriendlyName xsi:nil="true"/><nextUpdateHours xsi:nil="true"/><policiesNotChanged xsi:nil="true"/><policies><policy><policyOIDReference>0</policyOIDReference><cAs xsi:nil="true"/><attributes><commonName>DeviceIdentity</commonName><policySchema>3</policySchema><certificateValidity><validityPeriodSeconds>31536000</validityPeriodSeconds><renewalPeriodSeconds>5184000</renewalPeriodSeconds></certificateValidity><permission><enroll>true</enroll><autoEnroll>false</autoEnroll></permission><privateKeyAttributes><minimalKeyLength>2048</minimalKeyLength><keySpec xsi:nil="true"/><keyUsageProperty xsi:nil="true"/><permissions xsi:nil="true"/><algorithmOIDReference xsi:nil="true"/><cryptoProviders><provider>Microsoft Software Key Storage Provider</provider></cryptoProviders></privateKeyAttributes><revision><majorRevision>101</majorRevision><minorRevision>0</minorRevision></revision><supersededPolicies xsi:nil="true"/><privateKeyFlags xsi:nil="true"/><subjectNameFlags xsi:nil="true"/><enrollmentFlags xsi:nil="true"/><generalFlags xsi:nil="true"/><hashAlgorithmOIDReference>0</hashAlgorithmOIDReference><rARequirements xsi:nil="true"/><keyArchivalAttributes xsi:nil="true"/><extensions xsi:nil="true"/></attributes></policy></policies></response><cAs xsi:nil="true"/><oIDs><oID><value>2.16.840.1.101.3.4.2.1</value><group>4</group><oIDReferenceID>0</oIDReferenceID><defaultName>szOID_NIST_sha256</defaultName></oID><oID><value>1.2.840.113549.1.1.1</value><group>3</group><oIDReferenceID>1</oIDReferenceID><defaultName>szOID_RSA_RSA</defaultName></oID></oIDs></GetPoliciesResponse>`

func (s *winServer) policy(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.read(r)
	s.token(b)
	s.soap(w, "policy", b, "http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy/IPolicy/GetPoliciesResponse", "",
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"`, policyReply)
}

// looseCSR reads a request as a server has to: crypto/x509 refuses its subject.
type looseCSR struct {
	TBS struct {
		Raw     asn1.RawContent
		Version int
		Subject asn1.RawValue
		Key     asn1.RawValue
		Attrs   asn1.RawValue
	}
	Alg pkix.AlgorithmIdentifier
	Sig asn1.BitString
}

func (s *winServer) key(der []byte) *rsa.PublicKey {
	var c looseCSR
	if rest, err := asn1.Unmarshal(der, &c); err != nil || len(rest) != 0 {
		s.t.Fatalf("request: %v", err)
	}
	pub, err := x509.ParsePKIXPublicKey(c.TBS.Key.FullBytes)
	if err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(c.TBS.Raw)
	if err := rsa.VerifyPKCS1v15(pub.(*rsa.PublicKey), crypto.SHA256, sum[:], c.Sig.Bytes); err != nil {
		s.t.Errorf("request: %v", err)
	}
	var rdns []asn1.RawValue
	if _, err := asn1.Unmarshal(c.TBS.Subject.FullBytes, &rdns); err != nil || len(rdns) != 1 {
		s.t.Fatalf("subject: %v", err)
	}
	var pair struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	if _, err := asn1.Unmarshal(rdns[0].Bytes, &pair); err != nil {
		s.t.Fatal(err)
	}
	s.csrCN = pair.Value
	return pub.(*rsa.PublicKey)
}

// thumb is a certificate's name in a provisioning document.
func thumb(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (s *winServer) enrolment(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.read(r)
	s.token(b)
	_, body, _ := strings.Cut(b, "<s:Body>")
	m := bst.FindStringSubmatch(body)
	if m == nil {
		s.t.Fatalf("no token in %s", body)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(html.UnescapeString(m[2])), ""))
	if err != nil {
		s.t.Fatal(err)
	}
	kind := "Issue"
	if strings.Contains(body, "200512/Renew<") {
		kind = "Renew"
		p7, err := pkcs7.Parse(der)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := p7.Verify(); err != nil {
			s.t.Error(err)
		}
		if !strings.HasSuffix(m[1], "#PKCS7") || len(r.TLS.PeerCertificates) == 0 || !r.TLS.PeerCertificates[0].Equal(p7.GetOnlySigner()) {
			s.t.Error("the renewal is not signed by the certificate of the connection")
		}
		der = p7.Content
		s.pkcs7++
	}
	s.requests = append(s.requests, kind)
	s.contexts = map[string][]string{}
	for _, m := range item.FindAllStringSubmatch(body, -1) {
		s.contexts[m[1]] = append(s.contexts[m[1]], m[2])
	}
	s.serial++
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(s.serial), Subject: pkix.Name{CommonName: "enrolment-1"}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(s.lifetime), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, s.ca, s.key(der), s.caKey)
	if err != nil {
		s.t.Fatal(err)
	}
	s.valid[strconv.FormatInt(s.serial, 10)] = true
	doc := s.provisioning(cert, kind)
	if s.tamper != nil {
		doc = s.tamper("document", doc)
	}
	now := time.Now().UTC()
	const layout = "2006-01-02T15:04:05.000Z"
	s.soap(w, "enrolment", b, "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RSTRC/wstep",
		`<o:Security s:mustUnderstand="1" xmlns:o="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><u:Timestamp u:Id="_0"><u:Created>`+now.Add(-5*time.Minute).Format(layout)+
			`</u:Created><u:Expires>`+now.Add(5*time.Minute).Format(layout)+`</u:Expires></u:Timestamp></o:Security>`, "",
		`<RequestSecurityTokenResponseCollection xmlns="http://docs.oasis-open.org/ws-sx/ws-trust/200512"><RequestSecurityTokenResponse><TokenType>http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentToken</TokenType><DispositionMessage xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollment"/><RequestedSecurityToken><BinarySecurityToken xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" ValueType="http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentProvisionDoc" EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#base64binary">`+
			base64.StdEncoding.EncodeToString([]byte(doc))+`</BinarySecurityToken></RequestedSecurityToken><RequestID xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollment">0</RequestID></RequestSecurityTokenResponse></RequestSecurityTokenResponseCollection>`)
}

func (s *winServer) provisioning(cert []byte, kind string) string {
	encode := func(der []byte) string {
		return `<characteristic type="` + thumb(der) + `"><parm name="EncodedCertificate" value="` + base64.StdEncoding.EncodeToString(der) + `"/></characteristic>`
	}
	doc := `<wap-provisioningdoc version="1.1"><characteristic type="CertificateStore"><characteristic type="Root"><characteristic type="System">` + encode(s.ca.Raw) +
		`</characteristic></characteristic><characteristic type="My"><characteristic type="` + s.store + `">` + encode(cert) + `<characteristic type="PrivateKeyContainer"/></characteristic>` +
		`<characteristic type="WSTEP"><characteristic type="Renew"><parm name="ROBOSupport" value="true" datatype="boolean"/><parm name="RenewPeriod" value="` + s.renew +
		`" datatype="integer"/><parm name="RetryInterval" value="4" datatype="integer"/></characteristic></characteristic></characteristic></characteristic>` +
		`<characteristic type="APPLICATION"><parm name="APPID" value="w7"/><parm name="PROVIDER-ID" value="Example"/>`
	if kind == "Renew" {
		return doc + `</characteristic></wap-provisioningdoc>`
	}
	return doc + `<parm name="NAME" value="Example Ltd"/><parm name="ADDR" value="` + s.URL + `/ManagementServer/MDM.svc"/><parm name="CONNRETRYFREQ" value="6"/><parm name="INITIALBACKOFFTIME" value="30000"/><parm name="MAXBACKOFFTIME" value="120000"/><parm name="BACKCOMPATRETRYDISABLED"/><parm name="DEFAULTENCODING" value="application/vnd.syncml.dm+xml"/>` +
		`<characteristic type="APPAUTH"><parm name="AAUTHLEVEL" value="CLIENT"/><parm name="AAUTHTYPE" value="DIGEST"/><parm name="AAUTHSECRET" value="r1"/><parm name="AAUTHDATA" value="MTIzNDU2Nzg5MDEyMzQ1Ng=="/></characteristic>` +
		`<characteristic type="APPAUTH"><parm name="AAUTHLEVEL" value="APPSRV"/><parm name="AAUTHTYPE" value="DIGEST"/><parm name="AAUTHNAME" value="dev-0001"/><parm name="AAUTHSECRET" value="s3cret-Pass"/><parm name="AAUTHDATA" value="` + s.nonce + `"/></characteristic></characteristic>` +
		`<characteristic type="DMClient"><characteristic type="Provider"><characteristic type="Example"><parm name="UPN" value="ada@example.org" datatype="string"/><parm name="EntDeviceName" value="Ada's laptop" datatype="string"/><parm name="EntDMID" value="enrolment-1" datatype="string"/>` +
		`<characteristic type="Poll"><parm name="NumberOfFirstRetries" value="0" datatype="integer"/><parm name="IntervalForFirstSetOfRetries" value="10" datatype="integer"/><parm name="PollOnLogin" value="true" datatype="boolean"/></characteristic></characteristic></characteristic></characteristic></wap-provisioningdoc>`
}

// manage answers one message of a session.
func (s *winServer) manage(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	var m winMessage
	if err := xml.Unmarshal(b, &m); err != nil {
		s.t.Errorf("message: %v\n%s", err, b)
	}
	m.url, s.signature = r.URL.String(), r.Header.Get("MDM-Signature")
	if len(r.TLS.PeerCertificates) > 0 {
		m.cert = r.TLS.PeerCertificates[0].SerialNumber.String()
	}
	s.received, s.bodies = append(s.received, m), append(s.bodies, string(b))
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	if s.lost > 0 {
		s.lost--
		panic(http.ErrAbortHandler)
	}
	good := s.valid[m.cert]
	if s.login == "md5" {
		good = s.loggedIn == m.Hdr.SessionID || m.Hdr.Cred != nil && m.Hdr.Cred.Data == md5Cred("dev-0001", "s3cret-Pass", s.nonce)
		if good {
			s.loggedIn = m.Hdr.SessionID
		}
	}
	var out strings.Builder
	id := 0
	next := func() string { id++; return strconv.Itoa(id) }
	if !good {
		code := "401"
		if m.Hdr.Cred == nil {
			code = "407"
		}
		fmt.Fprintf(&out, `<Status><CmdID>%s</CmdID><MsgRef>%s</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Chal><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type><NextNonce xmlns="syncml:metinf">%s</NextNonce></Meta></Chal><Data>%s</Data></Status>`, next(), m.Hdr.MsgID, s.nonce, code)
	} else {
		fmt.Fprintf(&out, `<Status><CmdID>%s</CmdID><MsgRef>%s</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>`, next(), m.Hdr.MsgID)
		for _, c := range m.Body.Commands {
			switch c.XMLName.Local {
			case "Status", "Results", "Final":
			default:
				fmt.Fprintf(&out, `<Status><CmdID>%s</CmdID><MsgRef>%s</MsgRef><CmdRef>%s</CmdRef><Cmd>%s</Cmd><Data>200</Data></Status>`, next(), m.Hdr.MsgID, c.CmdID, c.XMLName.Local)
			}
		}
		if len(s.queue) > 0 {
			out.WriteString(numbered(s.queue[0], 100*len(s.received)))
			s.queue = s.queue[1:]
		}
	}
	final := "<Final/>"
	if s.noFinal {
		s.noFinal, final = false, ""
	}
	reply := `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>` + m.Hdr.SessionID + `</SessionID><MsgID>` + m.Hdr.MsgID +
		`</MsgID><Target><LocURI>` + m.Hdr.Source.LocURI + `</LocURI></Target><Source><LocURI>` + m.Hdr.Target.LocURI + `</LocURI></Source>` + s.header + `</SyncHdr><SyncBody>` + out.String() + final + `</SyncBody></SyncML>`
	if s.extra != nil {
		reply = s.extra(len(s.received), reply)
	}
	w.Header().Set("Content-Type", "application/vnd.syncml.dm+xml; charset=utf-8")
	if s.raw != nil && s.raw("session", w) {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	io.WriteString(w, reply)
}

// numbered fills in the CmdIDs that a batch leaves as #.
func numbered(batch string, from int) string {
	for strings.Contains(batch, "<CmdID>#</CmdID>") {
		from++
		batch = strings.Replace(batch, "<CmdID>#</CmdID>", "<CmdID>"+strconv.Itoa(from)+"</CmdID>", 1)
	}
	return batch
}

// The commands that tests send; CmdIDs are filled in.
func cmd(verb, uri, format, data string) string {
	meta := ""
	if format != "" {
		meta = `<Meta><Format xmlns="syncml:metinf">` + format + `</Format></Meta>`
	}
	body := ""
	if data != "-" {
		body = `<Data>` + html.EscapeString(data) + `</Data>`
	}
	return `<` + verb + `><CmdID>#</CmdID><Item><Target><LocURI>` + html.EscapeString(uri) + `</LocURI></Target>` + meta + body + `</Item></` + verb + `>`
}

func get(uri string) string { return cmd("Get", uri, "", "-") }

func whole(kids ...string) string {
	return `<Atomic><CmdID>#</CmdID>` + strings.Join(kids, "") + `</Atomic>`
}

// run queues batches, runs a session and returns the statuses and results that came
// back, without those of SyncHdr.
func (s *winServer) run(d *sim.Windows, batches ...string) (codes []string, found map[string]string) {
	s.t.Helper()
	err := s.session(d, batches...)
	if err != nil {
		s.t.Fatalf("session: %v", err)
	}
	return s.answers()
}

func (s *winServer) session(d *sim.Windows, batches ...string) error {
	s.mu.Lock()
	s.queue, s.received, s.bodies = slices.Clone(batches), nil, nil
	s.mu.Unlock()
	return d.Session(s.t.Context())
}

func (s *winServer) answers() (codes []string, found map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = map[string]string{}
	for _, m := range s.received {
		for _, c := range m.Body.Commands {
			switch {
			case c.XMLName.Local == "Status" && c.CmdRef != "0":
				codes = append(codes, c.Data)
			case c.XMLName.Local == "Results":
				for _, i := range c.Item {
					found[i.Source.LocURI] = i.Data
				}
			}
		}
	}
	return codes, found
}

// alerts lists the alerts of all messages as code, type and data.
func (s *winServer) alerts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, m := range s.received {
		for _, c := range m.Body.Commands {
			if c.XMLName.Local != "Alert" {
				continue
			}
			text := c.Data
			if len(c.Item) > 0 {
				text += " " + c.Item[0].Meta.Type + "=" + c.Item[0].Data
			}
			out = append(out, text)
		}
	}
	return out
}
