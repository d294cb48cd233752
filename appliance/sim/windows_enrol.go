package sim

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The actions of enrolment.
const (
	actionDiscover   = nsDiscovery + "/IDiscoveryService/Discover"
	actionDiscovered = nsDiscovery + "/IDiscoveryService/DiscoverResponse"
	actionPolicies   = nsXCEP + "/IPolicy/GetPolicies"
	actionPolicy     = nsXCEP + "/IPolicy/GetPoliciesResponse"
	actionRequest    = nsWSTEP + "/RST/wstep"
	actionIssued     = nsWSTEP + "/RSTRC/wstep"
)

// Enrol goes the whole way of a person at a PC: opens the invitation, accepts, follows
// the deep link, signs in (on the server's page, or by name and one-time code), and
// lets Windows fetch its policy, certificate and provisioning document. An invitation
// without a form to accept gives ErrNoForm with the page's text; where Windows gives up,
// the error is a *WindowsError.
func (d *Windows) Enrol(ctx context.Context, link string) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	e, err := d.newEdge()
	if err != nil {
		return err
	}
	defer e.close()
	inv, err := d.invitation(ctx, e, link)
	if err != nil {
		return d.failed(err)
	}
	return d.failed(d.enrol(ctx, inv))
}

// EnrolAs enrols without an invitation page, as from "Enroll only in device management":
// the person types address and server ("" finds it by the address's domain) and, when
// the server wants no page, the password. Where its page asks for an invitation code, the
// same password is typed.
func (d *Windows) EnrolAs(ctx context.Context, user, server, password string) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	e, err := d.newEdge()
	if err != nil {
		return err
	}
	defer e.close()
	return d.failed(d.enrol(ctx, pcInvitation{user: user, server: server, code: password, browser: e}))
}

// discovered is the answer to discovery.
type discovered struct {
	url, policy          string // of discovery itself; AuthPolicy
	policyURL, enrolURL  string
	signInURL            string
	federated, onPremise bool
}

// enrol does the work from the deep link on.
func (d *Windows) enrol(ctx context.Context, inv pcInvitation) error {
	if d.managed() != nil {
		return gaveUp("discovery", hrAlready, "the PC is enrolled already")
	}
	if d.State().Offline {
		return ErrOffline
	}
	client := &http.Client{Transport: newPCTransport(d.roots(), nil, nil, d.complain), Timeout: timeout, CheckRedirect: noRedirect}
	defer client.CloseIdleConnections()
	at, err := discoveryURL(inv)
	if err != nil {
		return err
	}
	found, err := d.discover(ctx, client, at, inv.user)
	if err != nil {
		return err
	}
	security, err := d.authenticate(ctx, inv, found)
	if err != nil {
		return err
	}
	bits, err := d.policies(ctx, client, found, security)
	if err != nil {
		return err
	}
	key, err := d.o.Keys.take(ctx, max(bits, d.o.KeyBits))
	if err != nil {
		return err
	}
	csr, err := d.certificateRequest(key)
	if err != nil {
		return err
	}
	p, err := d.request(ctx, client, requestOf{url: found.enrolURL, security: security, kind: "Issue", valueType: typePKCS10, token: csr, key: key, now: time.Now()})
	if err != nil {
		return err
	}
	d.join(p, key, found, inv.user)
	return nil
}

// noRedirect keeps a client from following: enrolment and management never do.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// discoveryURL is where discovery begins: the deep link's server, or the mail domain's.
func discoveryURL(inv pcInvitation) (string, error) {
	if inv.server == "" {
		_, domain, ok := strings.Cut(inv.user, "@")
		if !ok || domain == "" {
			return "", gaveUp("discovery", hrConnect, "%q has no domain to ask", inv.user)
		}
		return "https://enterpriseenrollment." + domain + enrolmentPath, nil
	}
	u, err := url.Parse(inv.server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", gaveUp("discovery", hrConnect, "the server %q is no https address", inv.server)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return "", gaveUp("discovery", hrConnect, "the server %q is more than scheme and host", inv.server)
	}
	return "https://" + u.Host + enrolmentPath, nil
}

// discover probes the address and asks it.
func (d *Windows) discover(ctx context.Context, client *http.Client, at, user string) (discovered, error) {
	const step = "discovery"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return discovered{}, gaveUp(step, hrConnect, "%v", err)
	}
	req.Header.Set("User-Agent", "ENROLLClient")
	resp, err := client.Do(req)
	if err != nil {
		return discovered{}, cannotConnect(step, err)
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply)) // only its emptiness matters
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return discovered{}, gaveUp(step, 0x80190000|uint32(resp.StatusCode), "the probe was answered %s", resp.Status)
	}
	if len(b) != 0 {
		d.complain("the probe's answer is not empty")
	}
	version := d.hw.requestVersion()
	body := `<Discover xmlns="` + nsDiscovery + `"><request xmlns:i="` + nsXSI + `"><EmailAddress>` + esc(user) + `</EmailAddress><RequestVersion>` + version +
		`</RequestVersion><DeviceType>CIMClient_Windows</DeviceType><ApplicationVersion>` + d.hw.version() + `</ApplicationVersion><OSEdition>` + strconv.Itoa(d.hw.edition) +
		`</OSEdition><AuthPolicies><AuthPolicy>OnPremise</AuthPolicy><AuthPolicy>Federated</AuthPolicy></AuthPolicies></request></Discover>`
	answer, err := d.call(ctx, client, soapMessage{step: step, url: at, action: actionDiscover, reply: actionDiscovered, body: body})
	if err != nil {
		return discovered{}, err
	}
	return d.readDiscovery(answer, at, version)
}

// readDiscovery checks the answer to discovery.
func (d *Windows) readDiscovery(answer *element, at, version string) (discovered, error) {
	bad := func(format string, args ...any) error { return gaveUp("discovery", hrInternal, format, args...) }
	result := answer.kid("DiscoverResult")
	if !answer.is(nsDiscovery, "DiscoverResponse") || result == nil {
		return discovered{}, bad("the answer is %s", answer.name)
	}
	order := []string{"AuthPolicy", "EnrollmentVersion", "EnrollmentPolicyServiceUrl", "EnrollmentServiceUrl", "AuthenticationServiceUrl"}
	if err := inOrder(result, order); err != nil {
		return discovered{}, bad("%v", err)
	}
	f := discovered{url: at, policy: result.kid("AuthPolicy").value(), policyURL: result.kid("EnrollmentPolicyServiceUrl").value(),
		enrolURL: result.kid("EnrollmentServiceUrl").value(), signInURL: result.kid("AuthenticationServiceUrl").value()}
	asked, _ := strconv.ParseFloat(version, 64)
	got, err := strconv.ParseFloat(result.kid("EnrollmentVersion").value(), 64)
	if err != nil || got > asked || got < 1 {
		return discovered{}, bad("EnrollmentVersion %q, asked with %s", result.kid("EnrollmentVersion").value(), version)
	}
	policy, err1 := url.Parse(f.policyURL)
	service, err2 := url.Parse(f.enrolURL)
	switch {
	case err1 != nil || err2 != nil || service.Scheme != "https" || f.policyURL != "" && policy.Scheme != "https":
		return discovered{}, bad("the services are not https addresses")
	case f.policyURL == "":
		d.complain("discovery names no policy service: the request would be signed with SHA-1")
	case policy.Host != service.Host:
		return discovered{}, bad("policy and enrolment services are on different hosts")
	}
	switch f.policy {
	case "Federated":
		f.federated = true
		if f.signInURL == "" {
			return discovered{}, bad("Federated without AuthenticationServiceUrl")
		}
	case "OnPremise":
		f.onPremise = true
		if f.signInURL != "" {
			return discovered{}, bad("OnPremise with AuthenticationServiceUrl")
		}
	default:
		return discovered{}, bad("AuthPolicy %q", f.policy)
	}
	return f, nil
}

// inOrder reports whether the children that are named come in that order, each once.
func inOrder(e *element, order []string) error {
	last := -1
	for _, n := range e.names() {
		i := slices.Index(order, n)
		if i < 0 {
			continue
		}
		if i <= last {
			return fmt.Errorf("%s stands out of order", n)
		}
		last = i
	}
	return nil
}

// authenticate gets what proves who the person is, as the content of a Security header.
func (d *Windows) authenticate(ctx context.Context, inv pcInvitation, f discovered) (string, error) {
	if f.onPremise {
		return `<wsse:UsernameToken u:Id="uuid-` + strings.ToLower(newUUID()) + `-4"><wsse:Username>` + esc(inv.user) + `</wsse:Username><wsse:Password wsse:Type="` + passwordText + `">` +
			esc(inv.code) + `</wsse:Password></wsse:UsernameToken>`, nil
	}
	token, err := d.signIn(ctx, inv, f.signInURL)
	if err != nil {
		return "", err
	}
	return `<wsse:BinarySecurityToken ValueType="` + userToken + `" EncodingType="` + base64Binary + `">` + base64.StdEncoding.EncodeToString([]byte(token)) + `</wsse:BinarySecurityToken>`, nil
}

// policies asks for the enrolment policy and returns the least key length.
func (d *Windows) policies(ctx context.Context, client *http.Client, f discovered, security string) (int, error) {
	const step = "policy"
	if f.policyURL == "" {
		return 2048, nil
	}
	body := `<GetPolicies xmlns="` + nsXCEP + `" xmlns:xsi="` + nsXSI + `"><client><lastUpdate xsi:nil="true"/><preferredLanguage xsi:nil="true"/></client><requestFilter xsi:nil="true"/></GetPolicies>`
	answer, err := d.call(ctx, client, soapMessage{step: step, url: f.policyURL, action: actionPolicies, reply: actionPolicy, security: security, body: body})
	if err != nil {
		return 0, err
	}
	bad := func(format string, args ...any) error { return gaveUp(step, hrConfigService, format, args...) }
	if !answer.is(nsXCEP, "GetPoliciesResponse") {
		return 0, bad("the answer is %s", answer.name)
	}
	for _, e := range []struct {
		at    *element
		order []string
	}{
		{answer, []string{"response", "cAs", "oIDs"}},
		{answer.kid("response"), []string{"policyID", "policyFriendlyName", "nextUpdateHours", "policiesNotChanged", "policies"}},
		{answer.at("response", "policies", "policy"), []string{"policyOIDReference", "cAs", "attributes"}},
		{answer.at("response", "policies", "policy", "attributes"), []string{"commonName", "policySchema", "certificateValidity", "permission", "privateKeyAttributes", "revision",
			"supersededPolicies", "privateKeyFlags", "subjectNameFlags", "enrollmentFlags", "generalFlags", "hashAlgorithmOIDReference", "rARequirements", "keyArchivalAttributes", "extensions"}},
	} {
		if e.at == nil || !slices.Equal(e.at.names(), e.order) {
			return 0, bad("the policy's elements are %v, not %v", e.at.names(), e.order)
		}
	}
	attributes := answer.at("response", "policies", "policy", "attributes")
	bits, err := strconv.Atoi(attributes.at("privateKeyAttributes", "minimalKeyLength").value())
	if err != nil || bits < 1024 || bits > 4096 {
		return 0, bad("minimalKeyLength %q", attributes.at("privateKeyAttributes", "minimalKeyLength").value())
	}
	hash := attributes.kid("hashAlgorithmOIDReference").value()
	for _, oid := range answer.kid("oIDs").kids {
		if oid.kid("oIDReferenceID").value() == hash && oid.kid("value").value() == "2.16.840.1.101.3.4.2.1" {
			return bits, nil
		}
	}
	return 0, bad("the hash algorithm behind reference %q is not SHA-256", hash)
}

// requestOf is one request for a certificate.
type requestOf struct {
	url, security   string
	kind, valueType string // Issue or Renew; of the token
	token           []byte
	key             *rsa.PrivateKey
	now             time.Time
}

// request asks for a certificate and reads the provisioning document of the answer.
func (d *Windows) request(ctx context.Context, client *http.Client, r requestOf) (*provisioning, error) {
	const step = "enrolment"
	body := `<wst:RequestSecurityToken><wst:TokenType>` + deviceToken + `</wst:TokenType><wst:RequestType>` + nsTrust + `/` + r.kind + `</wst:RequestType>` +
		`<wsse:BinarySecurityToken ValueType="` + r.valueType + `" EncodingType="` + base64Binary + `">` + inLines(base64.StdEncoding.EncodeToString(r.token)) + `</wsse:BinarySecurityToken>` +
		`<ac:AdditionalContext>` + d.contextItems() + `</ac:AdditionalContext></wst:RequestSecurityToken>`
	answer, err := d.call(ctx, client, soapMessage{step: step, url: r.url, action: actionRequest, reply: actionIssued, security: r.security, body: body})
	if err != nil {
		return nil, err
	}
	bad := func(format string, args ...any) error { return gaveUp(step, hrConfigService, format, args...) }
	response := answer.kid("RequestSecurityTokenResponse")
	if !answer.is(nsTrust, "RequestSecurityTokenResponseCollection") || !response.is(nsTrust, "RequestSecurityTokenResponse") {
		return nil, bad("the answer is %s", answer.name)
	}
	if err := inOrder(response, []string{"TokenType", "DispositionMessage", "RequestedSecurityToken", "RequestID"}); err != nil {
		return nil, bad("%v", err)
	}
	if v := response.kid("TokenType").value(); v != deviceToken {
		return nil, bad("TokenType %q", v)
	}
	token := response.at("RequestedSecurityToken", "BinarySecurityToken")
	switch {
	case !token.is(nsWSSE, "BinarySecurityToken"):
		return nil, bad("the answer has no BinarySecurityToken")
	case token.attr("ValueType") != provisionDoc:
		return nil, bad("ValueType %q", token.attr("ValueType"))
	case token.attr("EncodingType") != base64Binary:
		return nil, bad("EncodingType %q", token.attr("EncodingType"))
	case strings.ContainsAny(token.value(), " \r\n\t"):
		d.complain("the provisioning document's base64 has line breaks")
	}
	doc, err := base64.StdEncoding.DecodeString(token.value())
	if err != nil {
		return nil, bad("the token is not base64: %v", err)
	}
	reader := wapReader{key: r.key, kind: d.enrolmentType(), build: d.hw.build, renewal: r.kind == "Renew", now: r.now, note: d.complain}
	return reader.read(doc)
}

func (d *Windows) enrolmentType() string {
	if d.o.EnrolDevice {
		return "Device"
	}
	return "Full"
}

// inLines breaks base64 as CryptBinaryToString does.
func inLines(s string) string {
	var b strings.Builder
	for len(s) > 64 {
		b.WriteString(s[:64] + "\r\n")
		s = s[64:]
	}
	return b.String() + s + "\r\n"
}

// contextItems lists what the PC tells about itself; names repeat.
func (d *Windows) contextItems() string {
	items := [][2]string{{"UXInitiated", "true"}, {"HWDevID", d.hw.hwID}, {"Locale", "en-US"}, {"TargetedUserLoggedIn", "true"}}
	for _, m := range d.hw.macs {
		items = append(items, [2]string{"MAC", macWithColons(m)})
	}
	items = append(items, [][2]string{{"DeviceName", d.hw.name}, {"OSEdition", strconv.Itoa(d.hw.edition)}, {"DeviceID", d.hw.deviceID}, {"EnrollmentType", d.enrolmentType()},
		{"DeviceType", "CIMClient_Windows"}, {"OSVersion", d.hw.version()}, {"ApplicationVersion", d.hw.version()}, {"NotInOobe", "true"}, {"RequestVersion", d.hw.requestVersion()}}...)
	var b strings.Builder
	for _, i := range items {
		b.WriteString(`<ac:ContextItem Name="` + i[0] + `"><ac:Value>` + esc(i[1]) + `</ac:Value></ac:ContextItem>`)
	}
	return b.String()
}

// join makes the server of a provisioning document the PC's management.
func (d *Windows) join(p *provisioning, key *rsa.PrivateKey, f discovered, user string) {
	number := func(v string, otherwise int) int {
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
		return otherwise
	}
	now := time.Now()
	m := &pcManagement{provider: p.app["PROVIDER-ID"], name: p.app["NAME"], addr: p.app["ADDR"], discovery: f.url, upn: user, kind: d.enrolmentType(),
		deviceAuth: p.device, first: true, retries: number(p.app["CONNRETRYFREQ"], 3),
		backoff: time.Duration(number(p.app["INITIALBACKOFFTIME"], 16000)) * time.Millisecond, maxBackoff: time.Duration(number(p.app["MAXBACKOFFTIME"], 86400000)) * time.Millisecond,
		robo: p.renew["ROBOSupport"] == "true", renewPeriod: number(p.renew["RenewPeriod"], 42), retryInterval: number(p.renew["RetryInterval"], 7), since: now, lastContact: d.o.Clock()}
	if v := p.client["UPN"]; v != "" {
		m.upn = v
	}
	m.adopt(p, key)
	m.client = d.managementClient(m)
	d.mu.Lock()
	if !d.mood.SessionZero {
		m.sessions = 1
	}
	d.mdm = m
	d.tree.joined(m, p)
	d.seen.wiped, d.seen.ended = "", ""
	d.mu.Unlock()
	d.log.Info("enrolled", "provider", m.provider, "identity", m.id.cert.SerialNumber.String())
	d.nudge()
}

// adopt takes over the certificates of a provisioning document.
func (m *pcManagement) adopt(p *provisioning, key *rsa.PrivateKey) {
	m.id = &identity{cert: p.cert, key: key}
	if p.root != nil {
		m.roots = append(m.roots, p.root)
	}
	m.chain = [][]byte{p.cert.Raw}
	if p.ca != nil {
		m.chain = append(m.chain, p.ca.Raw)
	}
}

// managementClient returns the client for sessions: mutual TLS, no redirects.
func (d *Windows) managementClient(m *pcManagement) *http.Client {
	id := m.id
	if d.o.NoTLSCert {
		id = nil
	}
	return &http.Client{Transport: newPCTransport(d.roots(m.roots...), id, m.chain, d.complain), Timeout: timeout, CheckRedirect: noRedirect}
}

// Renew gets a new certificate for the enrolment, signed for by the old one (ROBO). The
// old one is given up as soon as the new one is there.
func (d *Windows) Renew(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	m := d.managed()
	if m == nil {
		return ErrUnmanaged
	}
	return d.renewAndNote(ctx, m)
}

// renewAndNote renews and writes the outcome where the server reads it.
func (d *Windows) renewAndNote(ctx context.Context, m *pcManagement) error {
	err := d.renew(ctx, m)
	status, code := "2", "0"
	var w *WindowsError
	if err != nil {
		status, code = "3", hresult(hrUnknown)
		if errors.As(err, &w) {
			w.Step = "renewal"
			code = hresult(w.HRESULT)
		}
	}
	d.mu.Lock()
	m.lastRenewal = time.Now()
	d.tree.renewed(status, code, m.lastRenewal)
	if err == nil {
		d.seen.renewals++
	}
	if err != nil {
		d.seen.lastError = err.Error()
	}
	d.mu.Unlock()
	return err
}

// hresult writes a result as the signed number that a node of format int holds.
func hresult(hr uint32) string { return strconv.FormatInt(int64(int32(hr)), 10) }

func (d *Windows) renew(ctx context.Context, m *pcManagement) error {
	if !m.robo {
		return gaveUp("renewal", 0x80180016, "the enrolment is not set up for renewal")
	}
	if time.Now().After(m.id.cert.NotAfter) {
		return gaveUp("renewal", hrCertDates, "the certificate has expired")
	}
	client := &http.Client{Transport: newPCTransport(d.roots(), m.id, m.chain, d.complain), Timeout: timeout, CheckRedirect: noRedirect}
	defer client.CloseIdleConnections()
	found, err := d.discover(ctx, client, m.discovery, m.upn)
	if err != nil {
		return err
	}
	old, ok := m.id.key.(*rsa.PrivateKey)
	if !ok {
		return gaveUp("renewal", hrCertRequest, "the key is not RSA")
	}
	key, err := d.o.Keys.take(ctx, max(old.N.BitLen(), d.o.KeyBits))
	if err != nil {
		return err
	}
	csr, err := d.certificateRequest(key)
	if err != nil {
		return err
	}
	signed, err := signedRequest(csr, m.id)
	if err != nil {
		return err
	}
	p, err := d.request(ctx, client, requestOf{url: found.enrolURL, kind: "Renew", valueType: typePKCS7, token: signed, key: key, now: time.Now()})
	if err != nil {
		return err
	}
	if v := p.app["PROVIDER-ID"]; v != m.provider {
		return gaveUp("renewal", hrAccountConfig, "the renewed account is %q, not %q", v, m.provider)
	}
	next := &pcManagement{roots: m.roots}
	next.adopt(p, key)
	if p.ca == nil && len(m.chain) > 1 {
		next.chain = append(next.chain, m.chain[1:]...)
	}
	next.client = d.managementClient(next)
	d.mu.Lock()
	was := m.client
	m.id, m.chain, m.roots, m.client = next.id, next.chain, next.roots, next.client
	d.mu.Unlock()
	was.CloseIdleConnections()
	d.log.Info("identity renewed", "identity", m.id.cert.SerialNumber.String())
	return nil
}
