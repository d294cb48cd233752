package windows

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// clockSlack is how far the clock of a PC may be off.
const clockSlack = 5 * time.Minute

const (
	requestIssue = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue"
	requestRenew = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/Renew"
)

const tokenTemplate = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"` +
	` xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><s:Header>` +
	`<a:Action s:mustUnderstand="1">` + actionEnrolment + `</a:Action><a:RelatesTo>{{relates}}</a:RelatesTo>` +
	`<o:Security s:mustUnderstand="1" xmlns:o="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">` +
	`<u:Timestamp u:Id="_0"><u:Created>{{created}}</u:Created><u:Expires>{{expires}}</u:Expires></u:Timestamp></o:Security></s:Header><s:Body>` +
	`<RequestSecurityTokenResponseCollection xmlns="http://docs.oasis-open.org/ws-sx/ws-trust/200512"><RequestSecurityTokenResponse>` +
	`<TokenType>http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentToken</TokenType>` +
	`<DispositionMessage xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollment"/><RequestedSecurityToken>` +
	`<BinarySecurityToken xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"` +
	` ValueType="http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentProvisionDoc"` +
	` EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#base64binary">{{document}}</BinarySecurityToken>` +
	`</RequestedSecurityToken><RequestID xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollment">0</RequestID>` +
	`</RequestSecurityTokenResponse></RequestSecurityTokenResponseCollection></s:Body></s:Envelope>`

// tokenReply wraps a provisioning document. The time stamp reaches five minutes back and ahead, for clients with another clock.
func (w *Windows) tokenReply(e *envelope, document []byte) []byte {
	const form = "2006-01-02T15:04:05.000Z"
	now := w.now().UTC()
	return fill(tokenTemplate, "relates", e.messageID, "created", now.Add(-clockSlack).Format(form), "expires", now.Add(clockSlack).Format(form),
		"document", base64.StdEncoding.EncodeToString(document))
}

// policyCaller lets GetPolicies through for whoever may enrol, and for a PC that renews: it has its certificate.
func (w *Windows) policyCaller(r *http.Request, e *envelope) (*caller, error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		if _, err := w.fleet.Identify(r.Context(), r.TLS.PeerCertificates[0]); err == nil {
			return nil, nil
		}
	}
	c, err := w.authenticate(r.Context(), e.header)
	if err != nil {
		return nil, err
	}
	if c.grant.Request == "" { // else it enrolled, and asks again because an answer was lost
		_, _, err = w.stillGood(r.Context(), c)
	}
	return c, err
}

// requestToken answers RequestSecurityToken: a first certificate, or a renewal.
func (w *Windows) requestToken(r *http.Request, e *envelope) ([]byte, error) {
	switch kind := e.body.get("RequestType"); kind {
	case requestRenew:
		return w.renewal(r, e)
	case requestIssue:
	default:
		return nil, &fault{sub: "s:MessageFormat", cause: errors.New("RequestType " + label(kind))}
	}
	c, err := w.authenticate(r.Context(), e.header)
	if err != nil {
		return nil, err
	}
	token := e.body.child("BinarySecurityToken")
	if !strings.HasSuffix(token.attr("ValueType"), "#PKCS10") {
		return nil, &fault{sub: "s:CertificateRequest", cause: errors.New("ValueType " + label(token.attr("ValueType")))}
	}
	der, err := decodeBase64(token.value())
	if err != nil {
		return nil, &fault{sub: "s:CertificateRequest", cause: err}
	}
	csr, err := pki.ReadRequest(der)
	if err != nil {
		return nil, &fault{sub: "s:CertificateRequest", reason: why(codeRequest), cause: err}
	}
	in, err := readContext(e.body.child("AdditionalContext"))
	if err != nil {
		return nil, err
	}
	return w.enrol(r.Context(), sourceOf(r), e, c, csr, in)
}

// pcContext is what a request tells of the PC. Items are claims of the client; most of them are not kept.
type pcContext struct {
	device  string // DeviceID: names the PC in every session
	machine bool   // EnrollmentType Device: the identity goes to the machine's store
	name    string
	version string
	locale  string
	edition string
}

func readContext(n *node) (*pcContext, error) {
	items := map[string]string{}
	for _, i := range n.all("ContextItem") {
		if name := i.attr("Name"); items[name] == "" { // names repeat (MAC): what is used here comes once
			items[name] = i.get("Value")
		}
	}
	in := &pcContext{device: items["DeviceID"], machine: strings.EqualFold(items["EnrollmentType"], "Device"), name: items["DeviceName"],
		version: items["OSVersion"], locale: items["Locale"], edition: items["OSEdition"]}
	if !validDeviceID(in.device) {
		return nil, &fault{sub: "s:MessageFormat", cause: errors.New("no DeviceID")}
	}
	if in.version == "" {
		in.version = items["ApplicationVersion"]
	}
	if n := buildOf(in.version); n > 0 && n < oldestBuild {
		return nil, &fault{sub: "s:EnrollmentServer", kind: "DeviceNotSupported", reason: why(codeTooOld)}
	}
	return in, nil
}

// validDeviceID accepts 32 hex digits and GUIDs, the two forms seen.
func validDeviceID(s string) bool {
	n := 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			n++
		case c == '-', c == '{', c == '}':
		default:
			return false
		}
	}
	return n >= 8 && n <= 64 && len(s) <= 80
}

// enrol issues the PC's certificate and makes it known to fleet; both are stored before the answer goes out. The same PC that asks again,
// because the answer was lost, gets the same certificate.
func (w *Windows) enrol(ctx context.Context, from string, e *envelope, c *caller, csr *pki.CertificateRequest, in *pcContext) ([]byte, error) {
	unlock, err := w.locks.Lock(ctx, "grant/"+c.grant.ID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	request := "wstep/" + string(c.grant.Enrolment) + "/" + strings.ToLower(in.device) + "/" + csr.KeyHash
	s, err := w.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	var record *pki.Certificate
	err = w.db.View(ctx, func(tx store.Tx) (err error) {
		if c.grant, err = grants.Get(tx, c.grant.ID); err != nil {
			return err
		}
		record, err = w.pki.FindIssued(tx, request)
		return err
	})
	switch {
	case err == nil && c.grant.Request == request: // asked again
	case errors.Is(err, store.ErrNotFound) && c.grant != nil && c.grant.Request == "", err == nil && c.grant.Request == "":
		enrolment, opened, err := w.stillGood(ctx, c)
		if err != nil {
			return nil, err
		}
		user := userOf(opened.Person)
		if user == "" {
			if name, typed := strings.CutPrefix(c.grant.ID, "user/"); typed {
				user = name
			}
		}
		if record, err = w.issue(ctx, from, c.grant, enrolment, csr, in, user, request, s.Organisation); err != nil {
			return nil, err
		}
	case err == nil, errors.Is(err, store.ErrNotFound):
		return nil, errSignIn // used up by another request
	default:
		return nil, err
	}
	w.rest.forget(c.grant.Enrolment)
	w.enrolled()
	own, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return nil, err
	}
	var st *session
	if err := w.db.View(ctx, func(tx store.Tx) (err error) {
		st, err = w.sessionOf(tx, c.grant.Enrolment)
		return err
	}); err != nil {
		return nil, err
	}
	p := &provision{root: w.pki.Root(), issuing: w.pki.Issuing(), own: own, store: storeFor(in.machine), name: accountName(s.Organisation),
		address: deviceURL(s) + SessionPath, user: st.User, enrolment: string(c.grant.Enrolment)}
	return w.tokenReply(e, p.render()), nil
}

func storeFor(machine bool) string {
	if machine {
		return "System"
	}
	return "User"
}

func accountName(organisation string) string {
	if organisation == "" {
		return providerID
	}
	return organisation
}

// issue makes the certificate and then the device. What fleet refuses, a stolen PC for one, has its certificate revoked again.
func (w *Windows) issue(ctx context.Context, from string, g *grant, e *fleet.Enrolment, csr *pki.CertificateRequest, in *pcContext, user, request, organisation string) (*pki.Certificate, error) {
	subject := pkix.Name{CommonName: string(e.ID)}
	if organisation != "" {
		subject.Organization = []string{organisation}
	}
	b := pki.Binding{Purpose: pki.Management, Enrolment: string(e.ID), Person: string(e.Person), Generation: 1, Subject: subject}
	var record *pki.Certificate
	err := w.db.Update(ctx, func(tx store.Tx) (err error) {
		record, err = w.pki.FindIssued(tx, request) // of a try that was cut off
		if err == nil && record.Revoked() {
			return fleet.ErrGone
		}
		if errors.Is(err, store.ErrNotFound) {
			record, err = w.pki.Issue(tx, b, csr.Key, request)
		}
		if err != nil {
			return err
		}
		return forget(tx, e.ID)
	})
	if errors.Is(err, pki.ErrRefused) || errors.Is(err, pki.ErrBinding) {
		return nil, &fault{sub: "s:CertificateRequest", reason: why(codeRequest), cause: err}
	}
	if err != nil {
		return nil, err
	}
	hardware, warning, err := w.hardwareFor(ctx, e, in.device)
	if err != nil {
		return nil, err
	}
	c := fleet.Contact{Identity: fleet.Identity{Enrolment: e.ID, Fingerprint: record.Fingerprint, Serial: record.Serial}, Channel: fleet.DeviceChannel, At: w.now(), From: from}
	_, err = w.fleet.Enrol(ctx, c, fleet.EnrolInput{Hardware: hardware, Platform: fleet.Windows, Name: clip(in.name), Facts: contextFacts(in), Warning: warning})
	if err != nil {
		var ref *fleet.Refusal
		if errors.As(err, &ref) {
			err = errors.Join(err, w.db.Update(ctx, func(tx store.Tx) error {
				return w.pki.Revoke(tx, record.Serial, pki.ReasonCessationOfOperation, w.now())
			}))
		}
		return nil, err
	}
	return record, w.db.Update(ctx, func(tx store.Tx) error {
		g.Request = request
		if err := grants.Put(tx, g); err != nil {
			return err
		}
		return keepSession(tx, w.db.Sealer(), &session{Enrolment: e.ID, Hardware: in.device, Machine: in.machine, User: user})
	})
}

// hardwareFor is the name under which fleet is to know a PC. A DeviceID is a claim: cloned images repeat it. Where it belongs to a living
// enrolment of somebody else, this is another PC, and both are for a person to look at.
func (w *Windows) hardwareFor(ctx context.Context, e *fleet.Enrolment, device string) (string, *fleet.Reason, error) {
	device = strings.ToUpper(device)
	old, err := w.fleet.DeviceByHardware(ctx, device)
	if errors.Is(err, fleet.ErrNotFound) {
		return device, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	living := slices.Contains([]fleet.State{fleet.Enrolling, fleet.Managed, fleet.Retiring, fleet.Wiping}, old.State)
	if old.Platform == fleet.Windows && (!living || old.Person == e.Person || old.Enrolment == e.ID) {
		return device, nil, nil
	}
	r := why(codeTwins, "name", old.Name)
	return device + "#" + string(e.ID), &r, nil
}

// contextFacts is what a request tells; fleet keeps of it what the register allows.
func contextFacts(in *pcContext) map[fleet.FactKey]any {
	out := map[fleet.FactKey]any{fleet.FactHardwareID: clip(in.device), fleet.FactOS: osName(in.version)}
	put := func(k fleet.FactKey, v string) {
		if v != "" {
			out[k] = clip(v)
		}
	}
	put(fleet.FactOSVersion, in.version)
	put(fleet.FactBuild, buildText(in.version))
	put(fleet.FactLanguage, in.locale)
	put(fleet.FactEdition, editionName(in.edition))
	put(fleet.FactDeviceName, in.name)
	return out
}

// clip bounds a text that a device sent.
func clip(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// renewal answers a request that is signed with the present identity, over a connection made with it (MS-WSTEP, renewal on behalf of oneself).
// The present identity stays good until the new one is seen.
func (w *Windows) renewal(r *http.Request, e *envelope) ([]byte, error) {
	ctx := r.Context()
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, &fault{sub: "s:Authentication", kind: "NotEligibleToRenew", reason: why(codeNoCertificate)}
	}
	peer := r.TLS.PeerCertificates[0]
	id, err := w.fleet.Identify(ctx, peer)
	if err != nil {
		return nil, err
	}
	token := e.body.child("BinarySecurityToken")
	if !strings.HasSuffix(token.attr("ValueType"), "#PKCS7") {
		return nil, &fault{sub: "s:CertificateRequest", cause: errors.New("ValueType " + label(token.attr("ValueType")))}
	}
	der, err := decodeBase64(token.value())
	if err != nil {
		return nil, &fault{sub: "s:CertificateRequest", cause: err}
	}
	signer, csr, err := pki.ReadSignedRequest(der)
	if err != nil {
		return nil, &fault{sub: "s:CertificateRequest", reason: why(codeRequest), cause: err}
	}
	if pki.Fingerprint(signer) != id.Fingerprint {
		return nil, &fault{sub: "a:InvalidSecurity", kind: "NotEligibleToRenew", reason: why(codeNoCertificate)}
	}
	d, err := w.fleet.Device(ctx, fleet.Job("windows"), id.Device)
	if err != nil {
		return nil, err
	}
	if d.State != fleet.Managed && d.State != fleet.Enrolling {
		return nil, &fault{sub: "s:Authorization", kind: "NotEligibleToRenew", reason: why(codeLeaving)}
	}
	var record *pki.Certificate
	var st *session
	request := "wstep-renewal/" + id.Fingerprint + "/" + csr.KeyHash
	err = w.db.Update(ctx, func(tx store.Tx) error {
		var err error
		if st, err = w.sessionOf(tx, id.Enrolment); err != nil {
			return err
		}
		if record, err = w.pki.FindIssued(tx, request); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		old, err := w.pki.Certificate(tx, id.Fingerprint)
		if err != nil {
			return err
		}
		b := old.Binding
		b.Generation++
		record, err = w.pki.Issue(tx, b, csr.Key, request)
		return err
	})
	if errors.Is(err, pki.ErrRefused) {
		return nil, &fault{sub: "s:CertificateRequest", reason: why(codeRequest), cause: err}
	}
	if err != nil {
		return nil, err
	}
	own, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return nil, err
	}
	w.log.Info("identity renewed", "device", id.Device, "serial", hex.EncodeToString(own.SerialNumber.Bytes()))
	return w.tokenReply(e, (&provision{own: own, store: storeFor(st.Machine)}).renewal()), nil
}
