package windows

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// enrolmentVersion is the newest version of the enrolment protocol that is spoken here. From 5.0 on requests carry attestation, which is
// not judged; what newer versions add is not needed.
const enrolmentVersion = 5.0

// oldestBuild is that of Windows 10 1607: before it there is no enrolment of management alone.
const oldestBuild = 14393

const discoverTemplate = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>` +
	`<a:Action s:mustUnderstand="1">` + actionDiscover + `</a:Action>` +
	`<ActivityId CorrelationId="{{activity}}" xmlns="http://schemas.microsoft.com/2004/09/ServiceModel/Diagnostics">{{activity}}</ActivityId>` +
	`<a:RelatesTo>{{relates}}</a:RelatesTo></s:Header>` +
	`<s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">` +
	`<DiscoverResponse xmlns="http://schemas.microsoft.com/windows/management/2012/01/enrollment"><DiscoverResult>` +
	`<AuthPolicy>{{auth}}</AuthPolicy><EnrollmentVersion>{{version}}</EnrollmentVersion>` +
	`<EnrollmentPolicyServiceUrl>{{policy}}</EnrollmentPolicyServiceUrl><EnrollmentServiceUrl>{{enrolment}}</EnrollmentServiceUrl>`

const (
	discoverSignIn = `<AuthenticationServiceUrl>{{signin}}</AuthenticationServiceUrl>`
	discoverEnd    = `</DiscoverResult></DiscoverResponse></s:Body></s:Envelope>`
)

// discover tells a client where and how it enrols (MS-MDE2 3.1.4.1). Any RequestVersion is served; the answer is the smaller of the
// client's and ours.
func (w *Windows) discover(ctx context.Context, e *envelope) ([]byte, error) {
	q := e.body.child("request")
	if q == nil {
		return nil, &fault{sub: "s:MessageFormat"}
	}
	if n := buildOf(q.get("ApplicationVersion")); n > 0 && n < oldestBuild {
		return nil, &fault{sub: "s:EnrollmentServer", kind: "DeviceNotSupported", reason: why(codeTooOld)}
	}
	s, err := w.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	base := deviceURL(s)
	if !strings.HasPrefix(base, "https://") {
		return nil, &fault{sub: "s:EnrollmentServer", kind: "InvalidEnrollmentData", reason: why(codeNoAddress)}
	}
	var can []string
	for _, p := range q.find("AuthPolicies").all("AuthPolicy") {
		can = append(can, p.value())
	}
	federated := w.signIn != "" && slices.Contains(can, "Federated")
	if len(can) > 0 && !federated && !slices.Contains(can, "OnPremise") {
		return nil, &fault{sub: "s:EnrollmentServer", kind: "NotSupported", reason: why(codeNoSignIn)}
	}
	auth := "OnPremise"
	if federated {
		auth = "Federated"
	}
	out := fill(discoverTemplate, "activity", newUUID(), "relates", e.messageID, "auth", auth, "version", versionFor(q.get("RequestVersion")),
		"policy", base+PolicyPath, "enrolment", base+EnrolmentPath)
	if federated {
		out = append(out, fill(discoverSignIn, "signin", strings.TrimRight(s.URL, "/")+SignInPath)...)
	}
	return append(out, discoverEnd...), nil
}

// versionFor is the smaller of what a client asks for and what is spoken here; what cannot be read counts as ours.
func versionFor(asked string) string {
	v, err := strconv.ParseFloat(asked, 64)
	if err != nil || !(v >= 1 && v < enrolmentVersion) {
		v = enrolmentVersion
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// buildOf is the build number in a version such as 10.0.26100.1742; 0 when there is none.
func buildOf(version string) int {
	parts := strings.Split(strings.TrimSpace(version), ".")
	if len(parts) < 3 {
		return 0
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil || n < 0 {
		return 0
	}
	return n
}
