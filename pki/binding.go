package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Purpose says what a certificate is good for.
type Purpose string

// The purposes that this package itself tells apart.
const (
	Management Purpose = "management" // a device's identity towards Muster
	Access     Purpose = "access"     // a person's or device's identity towards mail, Wi-Fi and the like
	TLS        Purpose = "tls"        // Muster's own server certificate
	Signing    Purpose = "signing"    // signs profiles
	Registrar  Purpose = "registrar"  // the SCEP registration authority
	Responder  Purpose = "responder"  // signs OCSP answers
)

// Binding says what a certificate is for; it is issued from this record, never from the request's subject, alternative
// names or usage.
type Binding struct {
	Purpose    Purpose       `json:"purpose"`
	Enrolment  string        `json:"enrolment,omitempty"`
	Device     string        `json:"device,omitempty"` // may be empty until Bind, at a first enrolment
	Person     string        `json:"person,omitempty"`
	Profile    string        `json:"profile,omitempty"` // identity-certificate profile (access)
	Channel    string        `json:"channel,omitempty"` // the person's channel of a device of several people; empty is the device's own
	Generation int           `json:"generation,omitempty"`
	Subject    pkix.Name     `json:"subject"`
	Emails     []string      `json:"emails,omitempty"`
	DNSNames   []string      `json:"dnsNames,omitempty"`
	URIs       []string      `json:"uris,omitempty"`
	UPN        string        `json:"upn,omitempty"`      // alternative name 1.3.6.1.4.1.311.20.2.3
	Lifetime   time.Duration `json:"lifetime,omitempty"` // zero = one year; never beyond the issuer
}

// slot names the place that the certificate takes: of one slot at most two certificates live. Empty when the binding
// names nobody in particular. Each person of a device has a place of their own.
func (b *Binding) slot() string {
	owner := "enrolment\x00" + b.Enrolment
	if b.Enrolment == "" {
		if b.Device == "" {
			return ""
		}
		owner = "device\x00" + b.Device
	}
	slot := []string{owner, string(b.Purpose), b.Profile}
	if b.Channel != "" {
		slot = append(slot, b.Channel)
	}
	return strings.Join(slot, "\x00")
}

// maxName bounds each name in a binding, in bytes.
const maxName = 512

// validate refuses what could not be encoded, so that a challenge is never handed out for it.
func (b *Binding) validate() error {
	bad := func(what, value string) error { return fmt.Errorf("%w: %s %q", ErrBinding, what, value) }
	if b.Purpose == "" {
		return bad("purpose", "")
	}
	if b.Lifetime < 0 {
		return bad("lifetime", b.Lifetime.String())
	}
	for _, e := range b.Emails {
		if a, err := mail.ParseAddress(e); err != nil || a.Address != e || len(e) > maxName {
			return bad("e-mail address", e)
		}
	}
	for _, d := range b.DNSNames {
		if !isASCII(d) || d == "" || len(d) > maxName || strings.ContainsAny(d, " \x00/@") {
			return bad("DNS name", d)
		}
	}
	for _, u := range b.URIs {
		if p, err := url.Parse(u); err != nil || !p.IsAbs() || !isASCII(u) || len(u) > maxName {
			return bad("URI", u)
		}
	}
	if len(b.UPN) > maxName {
		return bad("UPN", b.UPN)
	}
	if _, err := asn1.Marshal(b.Subject.ToRDNSequence()); err != nil {
		return fmt.Errorf("%w: subject: %v", ErrBinding, err)
	}
	return nil
}

func isASCII(s string) bool {
	for _, r := range s {
		if r >= 0x80 {
			return false
		}
	}
	return true
}

// storedName is a subject as JSON keeps it: attribute types with their values, in order.
type storedName []storedAttribute

type storedAttribute struct {
	Type  string `json:"type"` // dotted
	Value string `json:"value"`
}

// plainBinding is Binding without its methods, so that encoding it does not recurse.
type plainBinding Binding

// MarshalJSON writes the binding with its subject as a list of attributes.
func (b Binding) MarshalJSON() ([]byte, error) {
	var name storedName
	for _, set := range b.Subject.ToRDNSequence() {
		for _, a := range set {
			value, ok := a.Value.(string)
			if !ok {
				value = fmt.Sprint(a.Value)
			}
			name = append(name, storedAttribute{a.Type.String(), value})
		}
	}
	return json.Marshal(struct {
		plainBinding
		Subject storedName `json:"subject"`
	}{plainBinding(b), name})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Binding) UnmarshalJSON(data []byte) error {
	var v struct {
		plainBinding
		Subject storedName `json:"subject"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*b = Binding(v.plainBinding)
	var sequence pkix.RDNSequence
	for _, a := range v.Subject {
		oid, err := parseOID(a.Type)
		if err != nil {
			return err
		}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: a.Value}})
	}
	name := pkix.Name{}
	name.FillFromRDNSequence(&sequence)
	for _, a := range name.Names { // FillFromRDNSequence keeps unknown types only where encoding does not look
		if !hasField(a.Type) {
			name.ExtraNames = append(name.ExtraNames, a)
		}
	}
	name.Names = nil
	b.Subject = name
	return nil
}

// hasField says whether pkix.Name has a field of its own for the attribute type (2.5.4.x).
func hasField(oid asn1.ObjectIdentifier) bool {
	if len(oid) != 4 || oid[0] != 2 || oid[1] != 5 || oid[2] != 4 {
		return false
	}
	switch oid[3] {
	case 3, 5, 6, 7, 8, 9, 10, 11, 17:
		return true
	}
	return false
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("object identifier %q", s)
		}
		oid = append(oid, n)
	}
	return oid, nil
}
