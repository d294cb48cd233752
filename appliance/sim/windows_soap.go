package sim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Namespaces and constants of the enrolment protocols (MS-MDE2, MS-XCEP, MS-WSTEP).
const (
	nsSOAP      = "http://www.w3.org/2003/05/soap-envelope"
	nsAddress   = "http://www.w3.org/2005/08/addressing"
	nsWSSE      = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	nsTrust     = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
	nsContext   = "http://schemas.xmlsoap.org/ws/2006/12/authorization"
	nsDiscovery = "http://schemas.microsoft.com/windows/management/2012/01/enrollment"
	nsXCEP      = "http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy"
	nsWSTEP     = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
	nsXSI       = "http://www.w3.org/2001/XMLSchema-instance"

	base64Binary  = nsWSSE + "#base64binary"
	userToken     = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentUserToken"
	deviceToken   = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentToken"
	provisionDoc  = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentProvisionDoc"
	passwordText  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"
	typePKCS10    = nsWSTEP + "#PKCS10"
	typePKCS7     = nsWSSE + "#PKCS7"
	enrolmentPath = "/EnrollmentServer/Discovery.svc"
)

// newPCTransport speaks HTTP/1.1 without compression, as the enrolment and management
// clients of Windows do, and shows id when a server asks for a certificate of its issuer.
func newPCTransport(roots *x509.CertPool, id *identity, chain [][]byte, note func(string, ...any)) *http.Transport {
	t := newTransport(roots, nil)
	t.ForceAttemptHTTP2, t.DisableCompression = false, true
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if id != nil {
		cert := &tls.Certificate{Certificate: chain, PrivateKey: id.key, Leaf: id.cert}
		t.TLSClientConfig.GetClientCertificate = func(cri *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if err := cri.SupportsCertificate(cert); err != nil {
				note("the server asks for a client certificate of other issuers: none is shown")
				return &tls.Certificate{}, nil
			}
			return cert, nil
		}
	}
	return t
}

// soapMessage is one request of enrolment.
type soapMessage struct {
	step          string
	url           string
	action, reply string // the two actions
	security      string // content of the wsse:Security header; blank: no such header
	body          string // content of s:Body
}

// call posts a message and returns the first element of the answer's body. Every way
// in which the client would give up is a *WindowsError.
func (d *Windows) call(ctx context.Context, client *http.Client, msg soapMessage) (*element, error) {
	id := "urn:uuid:" + strings.ToLower(newUUID())
	header := `<a:Action s:mustUnderstand="1">` + msg.action + `</a:Action><a:MessageID>` + id + `</a:MessageID>` +
		`<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>` +
		`<a:To s:mustUnderstand="1">` + esc(msg.url) + `</a:To>`
	if msg.security != "" {
		header += `<wsse:Security s:mustUnderstand="1">` + msg.security + `</wsse:Security>`
	}
	text := `<s:Envelope xmlns:s="` + nsSOAP + `" xmlns:a="` + nsAddress + `" xmlns:u="` + nsUtility + `" xmlns:wsse="` + nsWSSE +
		`" xmlns:wst="` + nsTrust + `" xmlns:ac="` + nsContext + `"><s:Header>` + header + `</s:Header><s:Body>` + msg.body + `</s:Body></s:Envelope>`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, msg.url, bytes.NewReader([]byte(text)))
	if err != nil {
		return nil, gaveUp(msg.step, hrConnect, "%v", err)
	}
	req.Header.Set("Content-Type", "application/soap+xml; charset=utf-8")
	req.Header.Set("User-Agent", "ENROLLClient")
	resp, err := client.Do(req)
	if err != nil {
		return nil, cannotConnect(msg.step, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, gaveUp(msg.step, hrConnect, "%v", err)
	}
	if fault := readFault(msg.step, b); fault != nil {
		return nil, fault
	}
	if resp.StatusCode != http.StatusOK {
		return nil, gaveUp(msg.step, 0x80190000|uint32(resp.StatusCode), "the server answered %s", resp.Status)
	}
	if why := refusedAnswer(resp, "application/soap+xml"); why != "" {
		return nil, gaveUp(msg.step, hrConfigService, "%s", why)
	}
	return d.envelope(msg, id, b)
}

// cannotConnect tells an untrusted certificate from the other reasons.
func cannotConnect(step string, err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) {
		return gaveUp(step, hrUntrusted, "%v", withoutQuery(err))
	}
	return gaveUp(step, hrConnect, "%v", withoutQuery(err))
}

// refusedAnswer says why the client does not even read an answer, or "".
func refusedAnswer(resp *http.Response, contentType string) string {
	switch t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); {
	case slices.Contains(resp.TransferEncoding, "chunked") || resp.ContentLength < 0:
		return "the answer came in chunks, without Content-Length"
	case resp.Header.Get("Content-Encoding") != "":
		return "the answer came compressed"
	case !strings.EqualFold(strings.TrimSpace(t), contentType):
		return fmt.Sprintf("the answer came as %q, not %s", resp.Header.Get("Content-Type"), contentType)
	}
	return ""
}

// envelope checks an answer's frame and returns the first element of its body.
func (d *Windows) envelope(msg soapMessage, id string, b []byte) (*element, error) {
	bad := func(format string, args ...any) error { return gaveUp(msg.step, hrNoSOAP, format, args...) }
	env, err := parseXML(b)
	if err != nil {
		return nil, bad("the answer is no SOAP message: %v", err)
	}
	if !env.is(nsSOAP, "Envelope") {
		return nil, bad("the answer is no SOAP 1.2 envelope but %s", env.name)
	}
	header, body := env.kid("Header"), env.kid("Body")
	if !header.is(nsSOAP, "Header") || !body.is(nsSOAP, "Body") || len(body.kids) != 1 || len(env.kids) != 2 {
		return nil, bad("the envelope needs one Header and one Body with one element")
	}
	action := header.kid("Action")
	switch {
	case !action.is(nsAddress, "Action") || action.value() != msg.reply:
		return nil, bad("the action is %q, not %q", action.value(), msg.reply)
	case action.attr("mustUnderstand") != "1":
		return nil, bad("the action lacks s:mustUnderstand")
	case header.kids[0] != action:
		return nil, bad("the header does not begin with the action")
	}
	relates := header.kid("RelatesTo")
	if !relates.is(nsAddress, "RelatesTo") || relates.value() != id {
		return nil, bad("RelatesTo is %q, not the request's MessageID", relates.value())
	}
	for _, h := range header.kids {
		if h.attr("mustUnderstand") == "1" && h != action && !h.is(nsWSSE, "Security") {
			return nil, bad("the header %s must be understood and is not", h.name)
		}
	}
	if stamp := header.at("Security", "Timestamp"); stamp != nil {
		if err := checkStamp(stamp, time.Now()); err != nil {
			return nil, gaveUp(msg.step, hrSecurity, "%v", err)
		}
	} else if msg.reply == actionIssued {
		return nil, gaveUp(msg.step, hrSecurity, "the answer has no timestamp")
	}
	return body.kids[0], nil
}

// checkStamp holds the answer's timestamp against the PC's clock.
func checkStamp(stamp *element, now time.Time) error {
	const layout = "2006-01-02T15:04:05.000Z"
	created, err := time.Parse(layout, stamp.kid("Created").value())
	if err != nil {
		return fmt.Errorf("the timestamp's Created: %w", err)
	}
	expires, err := time.Parse(layout, stamp.kid("Expires").value())
	if err != nil {
		return fmt.Errorf("the timestamp's Expires: %w", err)
	}
	if now.Before(created.Add(-5*time.Minute)) || now.After(expires.Add(5*time.Minute)) || !stamp.is(nsUtility, "Timestamp") {
		return fmt.Errorf("the timestamp %v to %v does not cover the PC's clock", created, expires)
	}
	return nil
}

// readFault turns a SOAP fault into what the person gets to see; nil when there is none.
func readFault(step string, b []byte) error {
	env, err := parseXML(b)
	if err != nil || !env.is(nsSOAP, "Envelope") {
		return nil
	}
	fault := env.at("Body", "Fault")
	if fault == nil {
		return nil
	}
	hr := uint32(hrUnknown)
	_, code, _ := strings.Cut(fault.at("Code", "Subcode", "Value").value(), ":")
	known := map[string]uint32{"MessageFormat": hrMessageFormat, "Authentication": hrAuthentication, "Authorization": hrAuthorization,
		"CertificateRequest": hrCertRequest, "EnrollmentServer": hrConfigService, "InternalServiceFault": hrInternal, "InvalidSecurity": hrSecurity}
	if v, there := known[code]; there {
		hr = v
	}
	detail := fault.at("Detail", "DeviceEnrollmentServiceError")
	types := map[string]uint32{"DeviceCapReached": 0x80180013, "DeviceNotSupported": 0x80180014, "NotSupported": 0x80180015, "NotEligibleToRenew": 0x80180016,
		"InMaintenance": 0x80180017, "UserLicense": 0x80180018, "InvalidEnrollmentData": 0x80180019, "CustomServerError": 0x80180032}
	kind := detail.kid("ErrorType").value()
	if v, there := types[kind]; there && detail.is(nsWSTEP, "DeviceEnrollmentServiceError") {
		hr = v
	}
	return gaveUp(step, hr, "%s %s %s", code, kind, fault.at("Reason", "Text").value())
}
