package sim

import (
	"bytes"
	"crypto/x509"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"
)

// profile is a configuration profile that passed every check a device makes on its text.
type profile struct {
	identifier, uuid string
	name, org        string
	payloads         []payload
	signed, verified bool
	signers          []*x509.Certificate
	removalDate      time.Time
}

// payload is one element of PayloadContent.
type payload struct {
	kind, identifier, uuid string
	body                   dict
	known                  bool // a type that the device knows; others are ignored
	spec                   payloadSpec
}

// find returns the first payload of a type, or nil.
func (p *profile) find(kind string) *payload {
	for i := range p.payloads {
		if p.payloads[i].kind == kind {
			return &p.payloads[i]
		}
	}
	return nil
}

// reader holds what a device brings to the reading of a profile.
type reader struct {
	kind  Kind
	user  bool // read for the user channel
	roots *x509.CertPool
	now   time.Time
}

// read parses and checks a profile as it came: plain, binary or signed. The error is a *Refusal.
func (r reader) read(b []byte) (*profile, error) {
	p := &profile{}
	switch {
	case len(b) > 0 && b[0] == 0x30:
		p7, err := pkcs7.Parse(b)
		if err != nil {
			return nil, malformed("the signature cannot be read: %v", err)
		}
		if err := p7.Verify(); err != nil {
			return nil, notInstalled(refuse(domainProfile, 1004, "The profile's signature is not right: %v", err))
		}
		p.signed, p.signers = true, p7.Certificates
		p.verified = r.trusted(p7)
		b = p7.Content
	case bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")), bytes.HasPrefix(b, []byte("bplist0")):
	default:
		return nil, malformed("neither a property list nor a signed message")
	}
	top, err := parseDict(b)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if t, ok := top["PayloadType"].(string); ok && t != "Configuration" {
		return nil, refuse(domainInstall, 4011, "The file is not a configuration profile but %q.", t)
	}
	if ref := r.checkKeys(domainProfile, 1000, "profile", top, topKeys()); ref != nil {
		return nil, notInstalled(ref)
	}
	if ref := r.checkVersion(domainProfile, 1001, "profile", top); ref != nil {
		return nil, notInstalled(ref)
	}
	p.identifier, p.uuid = str(top, "PayloadIdentifier"), str(top, "PayloadUUID")
	p.name, p.org = str(top, "PayloadDisplayName"), str(top, "PayloadOrganization")
	if p.identifier == "" || p.uuid == "" {
		return nil, notInstalled(refuse(domainProfile, 1010, "The profile's identifier or UUID is empty."))
	}
	p.removalDate, _ = top["RemovalDate"].(time.Time)
	if !p.removalDate.IsZero() && p.removalDate.Before(r.now) {
		return nil, notInstalled(refuse(domainInstall, 4006, "The profile's removal date is in the past."))
	}
	content := top["PayloadContent"].([]any)
	if len(content) == 0 {
		return nil, notInstalled(refuse(domainProfile, 1005, "The profile is empty."))
	}
	for _, c := range content {
		pl, ref := r.payload(c)
		if ref != nil {
			return nil, notInstalled(ref)
		}
		p.payloads = append(p.payloads, pl)
	}
	if ref := p.unique(); ref != nil {
		return nil, notInstalled(ref)
	}
	if ref := p.resolve(); ref != nil {
		return nil, notInstalled(ref)
	}
	return p, nil
}

// malformed is how a device refuses what it cannot parse at all.
func malformed(format string, args ...any) *Refusal {
	return &Refusal{Chain: []Link{
		{domainInstall, 4000, "The profile could not be read."},
		refuse(domainProfile, 1000, format, args...).Chain[0],
	}}
}

// trusted reports whether a signer chains to a root that the device trusts.
func (r reader) trusted(p7 *pkcs7.PKCS7) bool {
	signer := p7.GetOnlySigner()
	if signer == nil {
		return false
	}
	others := x509.NewCertPool()
	for _, c := range p7.Certificates {
		others.AddCert(c)
	}
	_, err := signer.Verify(x509.VerifyOptions{Roots: r.roots, Intermediates: others, CurrentTime: r.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// payload checks one element of PayloadContent.
func (r reader) payload(c any) (payload, *Refusal) {
	body, ok := c.(dict)
	if !ok {
		return payload{}, refuse(domainPayload, 2000, "A payload is %s, not a dictionary.", typeName(c))
	}
	kind := str(body, "PayloadType")
	label := kind
	if label == "" {
		label = "payload"
	}
	if ref := r.checkKeys(domainPayload, 2000, label, body, commonKeys()); ref != nil {
		return payload{}, ref
	}
	if ref := r.checkVersion(domainPayload, 2001, label, body); ref != nil {
		return payload{}, ref
	}
	pl := payload{kind: kind, identifier: str(body, "PayloadIdentifier"), uuid: str(body, "PayloadUUID"), body: body}
	if pl.identifier == "" || pl.uuid == "" || kind == "" {
		return payload{}, refuse(domainPayload, 2004, "%s: type, identifier or UUID is empty.", label)
	}
	pl.spec, pl.known = payloadSpecs()[kind]
	if !pl.known {
		return pl, nil
	}
	if here := pl.spec.ios; (r.kind == Mac && !pl.spec.mac) || (r.kind != Mac && !here) {
		return payload{}, refuse(domainInstall, 4023, "A payload of type %s is not accepted on this %s.", kind, r.kind)
	}
	if r.kind == Mac && pl.spec.userOnly && !r.user {
		return payload{}, refuse(domainInstall, 4023, "A payload of type %s is accepted for a user only.", kind)
	}
	if ref := r.checkKeys(domainPayload, 2000, kind, body, pl.spec.keys); ref != nil {
		return payload{}, ref
	}
	return pl, r.checkValues(&pl)
}

// checkKeys holds a dictionary against its specification. base is the domain's first
// code: base+2 is a missing key, base+3 a key of the wrong type.
func (r reader) checkKeys(domain string, base int, where string, d dict, keys map[string]keySpec) *Refusal {
	for name, k := range keys {
		v, there := d[name]
		if !there {
			if k.required && !(name == "PayloadVersion" && r.kind == Mac) {
				return refuse(domain, base+2, "%s: %s is missing.", where, name)
			}
			continue
		}
		if !r.hasType(v, k.types) {
			return refuse(domain, base+3, "%s: %s is %s.", where, name, typeName(v))
		}
	}
	return nil
}

// hasType reports whether v is of one of the types; macOS takes integers for booleans, iOS does not.
func (r reader) hasType(v any, types string) bool {
	for _, t := range types {
		switch got := typeName(v); {
		case t == 's' && got == "string", t == 'b' && got == "boolean", t == 'i' && got == "integer", t == 'r' && got == "real",
			t == 'd' && got == "data", t == 'a' && got == "array", t == 'D' && got == "dictionary", t == 't' && got == "date",
			t == 'b' && got == "integer" && r.kind == Mac:
			return true
		}
	}
	return false
}

// checkVersion wants PayloadVersion 1; macOS does not look.
func (r reader) checkVersion(domain string, code int, where string, d dict) *Refusal {
	if r.kind != Mac && num(d, "PayloadVersion") != 1 {
		return refuse(domain, code, "%s: version %d is not supported.", where, num(d, "PayloadVersion"))
	}
	return nil
}

// unique wants every identifier and UUID inside the profile to occur once.
func (p *profile) unique() *Refusal {
	ids, uuids := map[string]bool{}, map[string]bool{strings.ToLower(p.uuid): true}
	for _, pl := range p.payloads {
		u := strings.ToLower(pl.uuid)
		if uuids[u] {
			return refuse(domainProfile, 1007, "The UUID %s is used more than once.", pl.uuid)
		}
		if ids[pl.identifier] {
			return refuse(domainProfile, 1008, "The payload identifier %s is used more than once.", pl.identifier)
		}
		uuids[u], ids[pl.identifier] = true, true
	}
	return nil
}

// resolve wants every reference to name a payload of this profile of the right sort.
func (p *profile) resolve() *Refusal {
	for _, pl := range p.payloads {
		if !pl.known {
			continue
		}
		if ref := p.resolveIn(pl.kind, pl.body); ref != nil {
			return ref
		}
		if ike, ok := pl.body["IKEv2"].(dict); ok {
			if ref := p.resolveIn(pl.kind, ike); ref != nil {
				return ref
			}
		}
		if eap, ok := pl.body["EAPClientConfiguration"].(dict); ok {
			if ref := p.resolveIn(pl.kind, eap); ref != nil {
				return ref
			}
		}
	}
	return nil
}

func (p *profile) resolveIn(kind string, body dict) *Refusal {
	for key, wantIdentity := range references() {
		targets := stringList(body, key)
		if s, ok := body[key].(string); ok {
			targets = []string{s}
		}
		for _, uuid := range targets {
			target := p.byUUID(uuid)
			switch {
			case target == nil && kind == "com.apple.mdm" && wantIdentity:
				return refuse(domainMDM, 12005, "%s: no payload of this profile has the UUID %s.", key, uuid)
			case target == nil:
				return refuse(domainPayload, 2004, "%s: %s: no payload of this profile has the UUID %s.", kind, key, uuid)
			case wantIdentity && !target.spec.identity:
				return refuse(domainCert, 9006, "%s: %s: the payload %s is not an identity.", kind, key, uuid)
			case !wantIdentity && !target.spec.identity && !target.spec.authority:
				return refuse(domainCert, 9005, "%s: %s: the payload %s is not a certificate.", kind, key, uuid)
			}
		}
	}
	return nil
}

// byUUID returns the payload with that PayloadUUID, or nil.
func (p *profile) byUUID(uuid string) *payload {
	for i := range p.payloads {
		if strings.EqualFold(p.payloads[i].uuid, uuid) {
			return &p.payloads[i]
		}
	}
	return nil
}
