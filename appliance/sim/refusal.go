package sim

import (
	"errors"
	"fmt"
	"strings"
)

// Link is one element of an ErrorChain: domain and code as Apple's protocol
// reference lists them.
type Link struct {
	Domain string
	Code   int
	Text   string
}

// Refusal is why a device did not do what was asked: its error chain, outermost first.
type Refusal struct{ Chain []Link }

// Error writes the chain in one line, outermost first.
func (r *Refusal) Error() string {
	parts := make([]string, len(r.Chain))
	for i, l := range r.Chain {
		parts[i] = fmt.Sprintf("%s %d (%s)", l.Domain, l.Code, l.Text)
	}
	return strings.Join(parts, " > ")
}

// Cause is the innermost link: what was really wrong.
func (r *Refusal) Cause() Link { return r.Chain[len(r.Chain)-1] }

// plist renders the chain for the answer to a command.
func (r *Refusal) plist() []any {
	out := make([]any, len(r.Chain))
	for i, l := range r.Chain {
		out[i] = dict{"ErrorDomain": l.Domain, "ErrorCode": l.Code, "LocalizedDescription": l.Text, "USEnglishDescription": l.Text}
	}
	return out
}

// The error domains that the simulated devices report.
const (
	domainProfile  = "MCProfileErrorDomain"
	domainPayload  = "MCPayloadErrorDomain"
	domainInstall  = "MCInstallationErrorDomain"
	domainPasscode = "MCPasscodeErrorDomain"
	domainCert     = "MCCertificateErrorDomain"
	domainMDM      = "MCMDMErrorDomain"
	domainEAS      = "MCEASErrorDomain"
	domainSCEP     = "MCSCEPErrorDomain"
	domainOnly     = "MCChaperoneErrorDomain"
)

// refuse returns a Refusal of one link.
func refuse(domain string, code int, format string, args ...any) *Refusal {
	return &Refusal{Chain: []Link{{Domain: domain, Code: code, Text: fmt.Sprintf(format, args...)}}}
}

// notInstalled puts a cause under the usual outer link of a profile that could not be installed.
func notInstalled(cause *Refusal) *Refusal {
	return &Refusal{Chain: append([]Link{{domainInstall, 4001, "The profile could not be installed."}}, cause.Chain...)}
}

// asRefusal finds the Refusal in err, or says that something inside went wrong.
func asRefusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return refuse(domainMDM, 12010, "%v", err)
}
