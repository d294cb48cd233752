package sim_test

import (
	"context"
	"crypto/md5"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/appliance/sim"

	"github.com/smallstep/pkcs7"
)

// md5Cred is the digest login of OMA-DM.
func md5Cred(name, secret, nonce string) string {
	raw, _ := base64.StdEncoding.DecodeString(nonce)
	inner := md5.Sum([]byte(name + ":" + secret))
	outer := md5.Sum(append([]byte(base64.StdEncoding.EncodeToString(inner[:])+":"), raw...))
	return base64.StdEncoding.EncodeToString(outer[:])
}

func TestWindowsEnrols(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	if !slices.Equal(s.tokens, []string{"OPAQUE-TOKEN", "OPAQUE-TOKEN"}) {
		t.Errorf("tokens %q", s.tokens)
	}
	st := d.State()
	if !st.Enrolled || st.Provider != "Example" || st.UPN != "ada@example.org" || st.Identity.Serial != "501" || !strings.Contains(st.TermsRead, "serial number") {
		t.Errorf("%+v", st)
	}
	if len(st.Complaints) != 0 {
		t.Errorf("complaints %q", st.Complaints)
	}
	if st.Poll != 10*time.Millisecond {
		t.Errorf("poll %v", st.Poll)
	}
	if s.csrCN.Tag != asn1.TagPrintableString || !strings.Contains(string(s.csrCN.Bytes), "!"+st.DeviceID+"\x00") {
		t.Errorf("common name %d %q", s.csrCN.Tag, s.csrCN.Bytes)
	}
	for name, want := range map[string]string{"DeviceID": st.DeviceID, "EnrollmentType": "Full", "OSVersion": "10.0.22631.4460", "DeviceType": "CIMClient_Windows"} {
		if !slices.Equal(s.contexts[name], []string{want}) {
			t.Errorf("%s = %q, want %s", name, s.contexts[name], want)
		}
	}
	if len(s.contexts["MAC"]) != 2 {
		t.Errorf("MAC = %q", s.contexts["MAC"])
	}
	if err := d.Enrol(t.Context(), s.link()); hresult(err) != 0x8018000A {
		t.Errorf("second enrolment: %v", err)
	}
}

func TestWindowsEnrolsOtherwise(t *testing.T) {
	for name, c := range map[string]struct {
		server func(*winServer)
		pc     func(*sim.WindowsOptions)
		tokens []string
	}{
		"by name and code":              {func(s *winServer) { s.onPremise = true }, nil, []string{"ada@example.org:ABCDEFGHIJ", "ada@example.org:ABCDEFGHIJ"}},
		"in a window of its own":        {nil, func(o *sim.WindowsOptions) { o.FreshBrowser = true }, []string{"OPAQUE-TOKEN", "OPAQUE-TOKEN"}},
		"as a device":                   {func(s *winServer) { s.store = "System" }, func(o *sim.WindowsOptions) { o.EnrolDevice = true }, []string{"OPAQUE-TOKEN", "OPAQUE-TOKEN"}},
		"with a UTF8String":             {nil, func(o *sim.WindowsOptions) { o.UTF8Subject = true }, []string{"OPAQUE-TOKEN", "OPAQUE-TOKEN"}},
		"with the private key inside":   {func(s *winServer) { s.tamper = keyInside }, nil, []string{"OPAQUE-TOKEN", "OPAQUE-TOKEN"}},
		"with an older protocol number": {nil, func(o *sim.WindowsOptions) { o.OSVersion = "10.0.17763.100" }, []string{"OPAQUE-TOKEN", "OPAQUE-TOKEN"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			if c.server != nil {
				c.server(s)
			}
			d := s.pc(c.pc)
			if !slices.Equal(s.tokens, c.tokens) {
				t.Errorf("tokens %q", s.tokens)
			}
			if codes, _ := s.run(d, get("./DevDetail/SwV")); !slices.Equal(codes, []string{"200"}) {
				t.Errorf("codes %q", codes)
			}
		})
	}
}

// keyInside moves the key container into the certificate, as documented for renewal.
func keyInside(step, body string) string {
	if step == "document" {
		body = strings.Replace(body, `</characteristic><characteristic type="PrivateKeyContainer"/>`, `<characteristic type="PrivateKeyContainer"/></characteristic>`, 1)
	}
	return body
}

// hresult is what Windows gave up with.
func hresult(err error) uint32 {
	var w *sim.WindowsError
	if errors.As(err, &w) {
		return w.HRESULT
	}
	return 0
}

// TestWindowsGivesUp changes one thing of a good answer each time.
func TestWindowsGivesUp(t *testing.T) {
	change := func(step, from, to string) func(*winServer) {
		return func(s *winServer) {
			s.tamper = func(at, body string) string {
				if at == step && !strings.Contains(body, from) {
					s.t.Errorf("%s is not in %s", from, body)
				}
				if at == step {
					body = strings.Replace(body, from, to, 1)
				}
				return body
			}
		}
	}
	chunked := func(step string) func(*winServer) {
		return func(s *winServer) {
			s.raw = func(at string, w http.ResponseWriter) bool {
				if at == step {
					w.(http.Flusher).Flush()
				}
				return false
			}
		}
	}
	const fault = `<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>s:Authorization</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-us">No.</s:Text></s:Reason>%</s:Fault>`
	const detail = `<s:Detail><DeviceEnrollmentServiceError xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollment"><ErrorType>DeviceCapReached</ErrorType><Message>x</Message></DeviceEnrollmentServiceError></s:Detail>`
	faulty := func(detail string) func(*winServer) {
		return func(s *winServer) {
			s.tamper = func(step, body string) string {
				if step == "enrolment" {
					head, _, _ := strings.Cut(body, "<s:Body>")
					body = head + "<s:Body>" + strings.ReplaceAll(fault, "%", detail) + "</s:Body></s:Envelope>"
				}
				return body
			}
		}
	}
	for name, c := range map[string]struct {
		server func(*winServer)
		pc     func(*sim.WindowsOptions)
		want   uint32
	}{
		"no certificate of trust":     {nil, func(o *sim.WindowsOptions) { o.Roots = nil }, 0x80180012},
		"a chunked discovery":         {chunked("discovery"), nil, 0x80180005},
		"a chunked policy":            {chunked("policy"), nil, 0x80180005},
		"another action":              {change("discovery", "DiscoverResponse</a:Action>", "Discover</a:Action>"), nil, 0x801900C8},
		"no mustUnderstand":           {change("policy", ` s:mustUnderstand="1"`, ""), nil, 0x801900C8},
		"another RelatesTo":           {change("policy", "<a:RelatesTo>urn:uuid:", "<a:RelatesTo>urn:uuid:0"), nil, 0x801900C8},
		"an answer in SOAP 1.1":       {change("policy", "http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"), nil, 0x801900C8},
		"a version above its own":     {change("discovery", "<EnrollmentVersion>4.0<", "<EnrollmentVersion>10.0<"), nil, 0x80180006},
		"elements out of order":       {change("discovery", "<EnrollmentVersion>4.0</EnrollmentVersion>", ""), nil, 0x80180006},
		"services on two hosts":       {change("discovery", "/EnrollmentServer/Policy.svc", ".example.org/EnrollmentServer/Policy.svc"), nil, 0x80180006},
		"on-premise with a page":      {change("discovery", ">Federated<", ">OnPremise<"), nil, 0x80180006},
		"a policy out of order":       {change("policy", `<policySchema>3</policySchema>`, ""), nil, 0x80180005},
		"a policy with SHA-1":         {change("policy", "2.16.840.1.101.3.4.2.1", "1.3.14.3.2.26"), nil, 0x80180005},
		"a wrong token type":          {change("enrolment", "DeviceEnrollmentProvisionDoc", "DeviceEnrollmentProvisionDocument"), nil, 0x80180005},
		"no timestamp":                {change("enrolment", "u:Timestamp u:Id", "u:Timestump u:Id"), nil, 0x801900C8},
		"an old timestamp":            {change("enrolment", "<u:Created>20", "<u:Created>21"), nil, 0x80180007},
		"a fault":                     {faulty(""), nil, 0x80180003},
		"a fault with its type":       {faulty(detail), nil, 0x80180013},
		"a foreign characteristic":    {change("document", `<characteristic type="DMClient">`, `<characteristic type="RootCATrustedCertificates"/><characteristic type="DMClient">`), nil, 0x83750005},
		"a wrong thumbprint":          {change("document", `<characteristic type="System"><characteristic type="`, `<characteristic type="System"><characteristic type="00`), nil, 0x80180023},
		"the wrong certificate store": {func(s *winServer) { s.store = "System" }, nil, 0x80180004},
		"no key container":            {change("document", `<characteristic type="PrivateKeyContainer"/>`, ""), nil, 0x80180004},
		"an unknown parameter":        {change("document", `name="CONNRETRYFREQ"`, `name="ConnRetryFreq"`), nil, 0x80180023},
		"another application":         {change("document", `value="w7"`, `value="w4"`), nil, 0x80180023},
		"two names of the provider":   {change("document", `<characteristic type="Example">`, `<characteristic type="example">`), nil, 0x80180023},
		"a boolean as text":           {change("document", `name="ROBOSupport" value="true" datatype="boolean"`, `name="ROBOSupport" value="true"`), nil, 0x80180023},
		"no nonce on 25H2":            {change("document", `<parm name="AAUTHDATA" value="MTIzNDU2Nzg5MDEyMzQ1Ng=="/>`, ""), func(o *sim.WindowsOptions) { o.OSVersion = "10.0.26200.1" }, 0x80180023},
		"plain http":                  {change("document", `name="ADDR" value="https`, `name="ADDR" value="http`), nil, 0x80180023},
		"an expired certificate":      {func(s *winServer) { s.lifetime = -time.Second }, nil, 0x8018000D},
		"a page that goes elsewhere":  {page(`<form method="post" action="ms-app://other"><input name="wresult" value="x"><button>Go</button></form>`, ""), nil, 0x8018000F},
		"a policy against the form":   {page(`<form method="post" action="ms-app://windows.immersivecontrolpanel"><input name="wresult" value="x"><button>Go</button></form>`, "form-action 'self'"), nil, 0x8018000F},
		"a policy against the script": {page(`<body onload="f()"><form method="post" action="ms-app://windows.immersivecontrolpanel"><input name="wresult" value="x"><noscript><button>Go</button></noscript></form>`, "script-src 'self'"), nil, 0x8018000F},
		"a page without a way on":     {page(`<main>Refused</main>`, ""), nil, 0x8018000F},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			if c.server != nil {
				c.server(s)
			}
			o := s.options()
			if c.pc != nil {
				c.pc(&o)
			}
			d := sim.NewWindows(o)
			var err error
			if o.Roots == nil {
				err = d.EnrolAs(t.Context(), "ada@example.org", s.URL, "")
			} else {
				err = d.Enrol(t.Context(), s.link())
			}
			if hresult(err) != c.want {
				t.Errorf("got %v, want 0x%08X", err, c.want)
			}
			if st := d.State(); st.Enrolled || st.LastError == "" {
				t.Errorf("enrolled %v, last error %q", st.Enrolled, st.LastError)
			}
		})
	}
}

// page is a sign-in page with a policy.
func page(body, policy string) func(*winServer) {
	return func(s *winServer) {
		s.signin = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			if policy != "" {
				w.Header().Set("Content-Security-Policy", policy)
			}
			w.Write([]byte(body))
			return true
		}
	}
}

func TestWindowsSession(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	codes, found := s.run(d, get("./DevDetail/SwV")+get("./Vendor/MSFT/DeviceStatus/NetworkIdentifiers")+cmd("Replace", "./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName", "chr", "Ada & co"),
		get("./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName")+get("./Device/Vendor/MSFT/DMClient/Provider"))
	if !slices.Equal(codes, []string{"200", "200", "200", "200", "200"}) {
		t.Errorf("codes %q", codes)
	}
	if found["./DevDetail/SwV"] != "10.0.22631.4460" || found["./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName"] != "Ada & co" || found["./Device/Vendor/MSFT/DMClient/Provider"] != "Example" {
		t.Errorf("found %q", found)
	}
	if macs := strings.Split(found["./Vendor/MSFT/DeviceStatus/NetworkIdentifiers"], "/"); len(macs) != 2 {
		t.Errorf("adapters %q", macs)
	}
	if n := len(s.received); n != 3 {
		t.Fatalf("%d messages", n)
	}
	for i, m := range s.received {
		if m.Hdr.MsgID != strconv.Itoa(i+1) || m.Hdr.SessionID != "1" || m.Hdr.Source.LocURI != d.State().DeviceID || m.cert != "501" || m.url != "/ManagementServer/MDM.svc?mode=Maintenance&Platform=WoA" {
			t.Errorf("message %d: %+v", i, m.Hdr)
		}
		if last := m.Body.Commands[len(m.Body.Commands)-1].XMLName.Local; last != "Final" {
			t.Errorf("message %d ends with %s", i, last)
		}
		if first := m.Body.Commands[0]; i > 0 && (first.Cmd != "SyncHdr" || first.CmdRef != "0" || first.Data != "200") {
			t.Errorf("message %d begins with %+v", i, first)
		}
	}
	if a := s.alerts(); !slices.Equal(a, []string{"1200", "1224 com.microsoft/MDM/LoginStatus=user"}) {
		t.Errorf("alerts %q", a)
	}
	s.run(d)
	if a := s.alerts(); a[0] != "1201" || s.received[0].Hdr.SessionID != "2" || len(s.received) != 1 {
		t.Errorf("second session: %q %+v", a, s.received)
	}
	if st := d.State(); len(st.Complaints) != 0 || st.Sessions != 2 {
		t.Errorf("complaints %q, %d sessions", st.Complaints, st.Sessions)
	}
}

func TestWindowsLogin(t *testing.T) {
	s := newWinServer(t)
	s.login = "md5"
	d := s.pc(func(o *sim.WindowsOptions) { o.NoTLSCert = true })
	if got := md5Cred("dev-0001", "s3cret-Pass", s.nonce); got != "SIa9I/NSljX5K9I4u3D05Q==" {
		t.Fatalf("test vector %s", got)
	}
	s.run(d, get("./DevDetail/SwV"))
	if s.received[0].cert != "" || len(s.received) != 2 || s.received[1].Hdr.Cred != nil {
		t.Errorf("%+v", s.received)
	}
	s.nonce = "YWJjZGVmZ2hpamtsbW5vcA=="
	s.run(d, get("./DevDetail/SwV"))
	if len(s.received) != 3 || s.received[1].Hdr.MsgID != "2" {
		t.Errorf("after a challenge: %d messages", len(s.received))
	}
	s.nonce = "-"
	if err := s.session(d); !errors.Is(err, sim.ErrSessionAborted) {
		t.Errorf("a login that is never right: %v", err)
	}
	if len(s.received) != 1 { // the challenge itself cannot be read
		t.Errorf("%d messages", len(s.received))
	}
}

func TestWindowsRepeatsLostMessage(t *testing.T) {
	for name, lose := range map[string]func(*winServer) func(*sim.WindowsOptions){
		"the server hangs up": func(s *winServer) func(*sim.WindowsOptions) { s.lost = 2; return nil },
		"the answer gets lost": func(*winServer) func(*sim.WindowsOptions) {
			return func(o *sim.WindowsOptions) { o.Mood.LosesAnswers = 2 }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			d := s.pc(lose(s))
			s.run(d)
			if len(s.bodies) != 3 || s.bodies[0] != s.bodies[1] || s.bodies[1] != s.bodies[2] {
				t.Errorf("%d messages", len(s.bodies))
			}
		})
	}
}

func TestWindowsSessionIsAborted(t *testing.T) {
	replace := func(from, to string) func(*winServer) {
		return func(s *winServer) {
			s.extra = func(_ int, reply string) string {
				if !strings.Contains(reply, from) {
					s.t.Errorf("%s is not in %s", from, reply)
				}
				return strings.Replace(reply, from, to, 1)
			}
		}
	}
	for name, c := range map[string]struct {
		server func(*winServer)
		pc     func(*sim.WindowsOptions)
	}{
		"another session":       {replace("<SessionID>1<", "<SessionID>2<"), nil},
		"another message":       {replace("<MsgID>1<", "<MsgID>2<"), nil},
		"no status of SyncHdr":  {replace("<CmdRef>0<", "<CmdRef>1<"), nil},
		"an unknown command":    {replace("<Final/>", "<Fetch/><Final/>"), nil},
		"broken XML":            {replace("</SyncML>", ""), nil},
		"a DTD":                 {replace("<SyncML", `<!DOCTYPE x [<!ENTITY a "b">]><SyncML`), nil},
		"another namespace":     {replace("SYNCML:SYNCML1.2", "SYNCML:SYNCML1.3"), nil},
		"a header out of order": {replace("<VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>", "<VerProto>DM/1.2</VerProto><VerDTD>1.2</VerDTD>"), nil},
		"too large":             {nil, func(o *sim.WindowsOptions) { o.MaxMsgSize = 200 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			if c.server != nil {
				c.server(s)
			}
			d := s.pc(c.pc)
			if err := s.session(d); !errors.Is(err, sim.ErrSessionAborted) {
				t.Errorf("got %v", err)
			}
			if !d.State().Enrolled {
				t.Error("management ended")
			}
		})
	}
	t.Run("chunked", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		s.raw = func(_ string, w http.ResponseWriter) bool { w.(http.Flusher).Flush(); return false }
		var status *sim.StatusError
		if err := s.session(d); !errors.As(err, &status) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("403", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		s.status = http.StatusForbidden
		var status *sim.StatusError
		if err := s.session(d); !errors.As(err, &status) || status.Code != 403 {
			t.Errorf("got %v", err)
		}
		if !d.State().Enrolled {
			t.Error("a 403 ended management")
		}
	})
	t.Run("small MaxMsgSize", func(t *testing.T) {
		s := newWinServer(t)
		s.header = `<Meta><MaxMsgSize xmlns="syncml:metinf">600</MaxMsgSize></Meta>`
		d := s.pc(nil)
		if err := s.session(d, get("./Device/Vendor/MSFT/DeviceManageability/Capabilities/CSPVersions")); !errors.Is(err, sim.ErrSessionAborted) {
			t.Errorf("got %v", err)
		}
		if a := s.alerts(); a[len(a)-1] != "1223" {
			t.Errorf("alerts %q", a)
		}
	})
}

func TestWindowsComplains(t *testing.T) {
	for name, c := range map[string]struct {
		batch, want string
		extra       func(int, string) string
	}{
		"missing CmdID": {`<Get><Item><Target><LocURI>./DevDetail/SwV</LocURI></Target></Item></Get>`, "CmdID", nil},
		"CDATA":         {`<Replace><CmdID>#</CmdID><Item><Target><LocURI>./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName</LocURI></Target><Data><![CDATA[x]]></Data></Item></Replace>`, "CDATA", nil},
		"raw XML":       {`<Replace><CmdID>#</CmdID><Item><Target><LocURI>./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName</LocURI></Target><Data><a/></Data></Item></Replace>`, "not escaped", nil},
		"no Format":     {cmd("Replace", "./Device/Vendor/MSFT/DMClient/Provider/Example/Poll/IntervalForFirstSetOfRetries", "", "10"), "no Format", nil},
		"raw braces":    {get("./User/Vendor/MSFT/EMAIL2/{3B8E3A52-6A6C-5C5E-9E0B-6E1C9F9B2A10}/NAME"), "percent-encoded", nil},
		"no status": {"", "got no status", func(n int, r string) string {
			return strings.Replace(r, "<CmdRef>3</CmdRef>", "<CmdRef>99</CmdRef>", 1)
		}},
		"same CmdID":       {strings.ReplaceAll(get("./DevDetail/SwV"), "#", "1"), "comes twice", nil},
		"the wrong way":    {"", "the answer goes from", func(n int, r string) string { return strings.Replace(r, "<Source><LocURI>", "<Source><LocURI>x", 1) }},
		"a rule by itself": {cmd("Replace", "./Device/Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordEnabled", "int", "0"), "outside an Atomic", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWinServer(t)
			s.extra = c.extra
			d := s.pc(nil)
			s.run(d, c.batch)
			if got := strings.Join(d.State().Complaints, "\n"); !strings.Contains(got, c.want) {
				t.Errorf("complaints %q", got)
			}
		})
	}
}

// TestWindowsBreaksOff: commands whose statuses never came are carried out all the same.
func TestWindowsBreaksOff(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(func(o *sim.WindowsOptions) { o.Mood.BreaksOff, o.Mood.Slow = 1, time.Millisecond })
	set := cmd("Replace", "./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName", "chr", "New")
	if err := s.session(d, set); !errors.Is(err, sim.ErrSessionAborted) {
		t.Errorf("got %v", err)
	}
	if codes, _ := s.answers(); len(codes) != 0 {
		t.Errorf("codes %q", codes)
	}
	if v, _ := d.Node("./Device/Vendor/MSFT/DMClient/Provider/Example/EntDeviceName"); v != "New" {
		t.Errorf("name %q", v)
	}
	if codes, _ := s.run(d, set); len(codes) != 1 {
		t.Errorf("codes %q", codes)
	}
}

func TestWindowsSigns(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	s.run(d, cmd("Replace", "./Device/Vendor/MSFT/DMClient/Provider/Example/RequireMessageSigning", "bool", "true"))
	s.run(d)
	der, err := base64.StdEncoding.DecodeString(s.signature)
	if err != nil || len(der) == 0 {
		t.Fatalf("signature %q", s.signature)
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	p7.Content = []byte(s.bodies[0])
	if err := p7.Verify(); err != nil || p7.GetOnlySigner().SerialNumber.String() != "501" {
		t.Errorf("signature: %v", err)
	}
}

func TestWindowsWithoutFinal(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	s.noFinal = true
	if codes, _ := s.run(d, get("./DevDetail/SwV"), get("./DevDetail/SwV")); len(codes) != 2 {
		t.Errorf("codes %q", codes)
	}
	if a := s.alerts(); a[len(a)-1] != "1222" {
		t.Errorf("alerts %q", a)
	}
}

func TestWindowsLeaves(t *testing.T) {
	unenroll := cmd("Exec", "./Device/Vendor/MSFT/DMClient/Provider/Example/Unenroll", "chr", "Example")
	t.Run("by order", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		if err := s.session(d, unenroll); !errors.Is(err, sim.ErrUnmanaged) {
			t.Errorf("got %v", err)
		}
		if codes, _ := s.answers(); len(codes) != 0 {
			t.Errorf("an Unenroll got the statuses %q", codes)
		}
		if a := s.alerts(); a[len(a)-1] != "1226 com.microsoft:mdm.unenrollment.userrequest=1" || s.received[len(s.received)-1].Hdr.MsgID != "1" {
			t.Errorf("alerts %q", a)
		}
		if d.State().Enrolled {
			t.Error("still enrolled")
		}
	})
	t.Run("another server's name", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		codes, _ := s.run(d, cmd("Exec", "./Device/Vendor/MSFT/DMClient/Unenroll", "chr", "Other")+cmd("Exec", "./Device/Vendor/MSFT/DMClient/Provider/Other/Unenroll", "chr", "Other"))
		if !slices.Equal(codes, []string{"500", "425"}) || !d.State().Enrolled {
			t.Errorf("codes %q", codes)
		}
	})
	t.Run("by the person", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		if err := d.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := s.alerts(); a[len(a)-1] != "1226 com.microsoft:mdm.unenrollment.userrequest=1" {
			t.Errorf("alerts %q", a)
		}
		if st := d.State(); st.Enrolled || st.EndedBecause != "the person disconnected" {
			t.Errorf("%+v", st)
		}
		if err := d.Enrol(t.Context(), s.link()); err != nil {
			t.Errorf("enrolling again: %v", err)
		}
	})
	t.Run("not while it is forbidden", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(nil)
		s.run(d, cmd("Replace", "./Device/Vendor/MSFT/Policy/Config/Experience/AllowManualMDMUnenrollment", "int", "0"))
		if err := d.Disconnect(t.Context()); hresult(err) != 0x80180026 || !d.State().Enrolled {
			t.Errorf("got %v", err)
		}
	})
	t.Run("silently", func(t *testing.T) {
		s := newWinServer(t)
		d := s.pc(func(o *sim.WindowsOptions) { o.Mood.SilentUnenrol = true })
		if err := s.session(d, unenroll); !errors.Is(err, sim.ErrUnmanaged) || len(s.received) != 1 {
			t.Errorf("%v, %d messages", err, len(s.received))
		}
	})
}

func TestWindowsRenews(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	codes, _ := s.run(d, cmd("Exec", "./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/RenewNow", "null", "-"))
	if !slices.Equal(codes, []string{"200"}) || !slices.Equal(s.requests, []string{"Issue", "Renew"}) || s.pkcs7 != 1 {
		t.Fatalf("codes %q, requests %q", codes, s.requests)
	}
	_, found := s.run(d, get("./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/Status"))
	if found["./Device/Vendor/MSFT/CertificateStore/MY/WSTEP/Renew/Status"] != "2" || s.received[0].cert != "502" {
		t.Errorf("%q, certificate %s", found, s.received[0].cert)
	}
	if st := d.State(); st.Renewals != 1 || len(st.Complaints) != 0 {
		t.Errorf("%d renewals, complaints %q", st.Renewals, st.Complaints)
	}
	s.tamper = func(step, body string) string {
		return strings.ReplaceAll(body, `name="PROVIDER-ID" value="Example"`, `name="PROVIDER-ID" value="Other"`)
	}
	if err := d.Renew(t.Context()); err == nil {
		t.Error("another provider's renewal was taken")
	}
	if s.tamper = nil; s.session(d) != nil || s.received[0].cert != "502" {
		t.Error("a failed renewal changed the identity")
	}
}

func TestWindowsRun(t *testing.T) {
	s := newWinServer(t)
	s.lifetime, s.renew = 24*time.Hour, "2"
	ended := func(d *sim.Windows, meanwhile func()) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- d.Run(t.Context()) }()
		meanwhile()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it does not end")
		}
		if why := d.State().EndedBecause; why != "the person disconnected" {
			t.Errorf("ended because %q", why)
		}
	}
	d := s.pc(nil)
	ended(d, func() {
		eventually(t, "sessions by the schedule, and a renewal", func() bool { st := d.State(); return st.Sessions >= 3 && st.Renewals > 0 })
		if err := d.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n := d.State().Renewals; n != 1 {
		t.Errorf("%d renewals", n)
	}
	ended(s.pc(func(o *sim.WindowsOptions) { o.Mood.UnenrolsItselfAfter = 10 * time.Millisecond }), func() {})
}

func TestWindowsOffline(t *testing.T) {
	s := newWinServer(t)
	d := s.pc(nil)
	d.SetOffline(true)
	if err := d.Session(t.Context()); !errors.Is(err, sim.ErrOffline) {
		t.Errorf("got %v", err)
	}
	d.SetOffline(false)
	if err := d.Session(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Session(ctx); err == nil {
		t.Error("a session after the end of its context")
	}
}
