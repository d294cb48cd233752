package windows

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"muster/appliance/fleet"
)

// Namespaces and types of the enrolment protocols.
const (
	soapType = "application/soap+xml; charset=utf-8"

	actionDiscover  = "http://schemas.microsoft.com/windows/management/2012/01/enrollment/IDiscoveryService/DiscoverResponse"
	actionPolicies  = "http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy/IPolicy/GetPoliciesResponse"
	actionEnrolment = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/RSTRC/wstep"
	actionFault     = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment/rstrc/wstep"

	userTokenType = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentUserToken"
)

// envelope is a SOAP request as far as it is looked at.
type envelope struct {
	messageID string
	header    *node
	body      *node // the one element inside Body
}

// readEnvelope reads a SOAP request; want is the local name of the element inside its Body.
func readEnvelope(body []byte, want string) (*envelope, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, &fault{sub: "s:MessageFormat", cause: err}
	}
	e := &envelope{messageID: root.get("Header", "MessageID"), header: root.child("Header"), body: root.find("Body", want)}
	if len(e.messageID) > 200 {
		e.messageID = e.messageID[:200]
	}
	if root.name != "Envelope" || e.body == nil {
		return e, &fault{sub: "s:MessageFormat", cause: fmt.Errorf("no %s inside", want)}
	}
	return e, nil
}

// fault is a refusal in the enrolment protocols (MS-MDE2 2.2.9). sub and kind decide what the person reads; the reason goes
// into the text, which shows in the event log only.
type fault struct {
	sub    string // "s:Authentication" ...
	kind   string // ErrorType of DeviceEnrollmentServiceError; "" = none
	reason fleet.Reason
	cause  error // for our log
}

func (f *fault) Error() string {
	s := f.sub
	if f.kind != "" {
		s += " " + f.kind
	}
	if f.reason.Code != "" {
		s += " " + f.reason.Code
	}
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	return s
}

func (f *fault) Unwrap() error { return f.cause }

// faultOf turns any error into a fault that says something true.
func faultOf(err error) *fault {
	var f *fault
	var ref *fleet.Refusal
	reason := fleet.Reason{}
	if errors.As(err, &ref) {
		reason = ref.Reason
	}
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, fleet.ErrNotFound):
		return &fault{sub: "s:Authentication", reason: reason, cause: err}
	case errors.Is(err, fleet.ErrGone), errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNoRecord):
		return &fault{sub: "s:Authorization", reason: reason, cause: err}
	case errors.Is(err, fleet.ErrForeign), errors.Is(err, fleet.ErrIdentity), errors.Is(err, fleet.ErrUnrecognized):
		return &fault{sub: "s:Authorization", kind: "NotEligibleToRenew", reason: reason, cause: err}
	case errors.Is(err, fleet.ErrNotApplicable), errors.Is(err, fleet.ErrInvalid):
		return &fault{sub: "s:EnrollmentServer", kind: "InvalidEnrollmentData", reason: reason, cause: err}
	}
	return &fault{sub: "a:InternalServiceFault", cause: err}
}

const faultTemplate = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>` +
	`<a:Action s:mustUnderstand="1">` + actionFault + `</a:Action><a:RelatesTo>{{relates}}</a:RelatesTo></s:Header><s:Body><s:Fault>` +
	`<s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{{sub}}</s:Value></s:Subcode></s:Code>` +
	`<s:Reason><s:Text xml:lang="en-us">{{text}}</s:Text></s:Reason>`

const faultDetail = `<s:Detail><DeviceEnrollmentServiceError xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollment">` +
	`<ErrorType>{{kind}}</ErrorType><Message>{{text}}</Message><TraceId>{{trace}}</TraceId></DeviceEnrollmentServiceError></s:Detail>`

const faultEnd = `</s:Fault></s:Body></s:Envelope>`

// write makes the fault's envelope. trace stands in our log too.
func (f *fault) write(relates, text, trace string) []byte {
	out := fill(faultTemplate, "relates", relates, "sub", f.sub, "text", text)
	if f.kind != "" {
		out = append(out, fill(faultDetail, "kind", f.kind, "text", text, "trace", trace)...)
	}
	return append(out, faultEnd...)
}

// decodeBase64 reads base64 as clients write it: with line breaks, padded or not.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.Join(strings.Fields(s), ""), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

// newUUID is a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
