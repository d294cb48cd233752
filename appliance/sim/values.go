package sim

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// checkValues makes the checks of one payload type that go beyond keys and their types.
func (r reader) checkValues(pl *payload) *Refusal {
	switch pl.kind {
	case "com.apple.mdm":
		return checkMDM(pl.body)
	case "com.apple.security.scep":
		return r.checkSCEP(pl.body["PayloadContent"].(dict))
	case "com.apple.security.root", "com.apple.security.pkcs1", "com.apple.security.pem":
		_, ref := pl.certificate()
		return ref
	case "com.apple.security.pkcs12":
		_, ref := pl.pkcs12()
		return ref
	case "com.apple.eas.account":
		return checkEAS(pl.body)
	case "com.apple.mail.managed":
		return checkMail(pl.body)
	case "com.apple.mobiledevice.passwordpolicy":
		return r.checkPasscode(pl.body)
	case "com.apple.wifi.managed":
		return checkWiFi(pl.body)
	case "com.apple.vpn.managed":
		return r.checkVPN(pl.body)
	case "com.apple.webClip.managed":
		return checkWebClip(pl.body)
	}
	return nil
}

// checkMDM holds the management payload against Apple's rules.
func checkMDM(b dict) *Refusal {
	if topic := str(b, "Topic"); !strings.HasPrefix(topic, "com.apple.mgmt.") {
		return refuse(domainMDM, 12022, "The topic %q is not one of a push certificate for management.", topic)
	}
	if _, there := b["AccessRights"]; there {
		rights := num(b, "AccessRights")
		needs := func(bit, other int) bool { return rights&bit != 0 && rights&other == 0 }
		if rights <= 0 || rights > 8191 || needs(2, 1) || needs(128, 64) {
			return refuse(domainMDM, 12000, "The access rights %d are not valid.", rights)
		}
	}
	for _, key := range []string{"ServerURL", "CheckInURL"} {
		s, there := b[key].(string)
		if !there {
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return refuse(domainMDM, 12030, "%s is not an address.", key)
		}
		if u.Scheme != "https" {
			return refuse(domainMDM, 12034, "%s is not an https address.", key)
		}
	}
	return nil
}

// checkSCEP looks into the inner dictionary; the keys with a blank in their name are
// the ones that servers write wrong.
func (r reader) checkSCEP(b dict) *Refusal {
	const where = "com.apple.security.scep"
	for _, wrong := range []string{"KeyType", "KeyUsage", "KeySize", "Key Size"} {
		if _, there := b[wrong]; there {
			return refuse(domainPayload, 2004, "%s: there is no key named %s.", where, wrong)
		}
	}
	if ref := r.checkKeys(domainPayload, 2000, where, b, scepKeys()); ref != nil {
		return ref
	}
	u, err := url.Parse(str(b, "URL"))
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return refuse(domainPayload, 2004, "%s: URL is not an address.", where)
	}
	if t, there := b["Key Type"]; there && t != "RSA" {
		return refuse(domainPayload, 2004, "%s: Key Type must be RSA.", where)
	}
	if _, there := b["Keysize"]; there && !slices.Contains([]int{1024, 2048, 4096}, num(b, "Keysize")) {
		return refuse(domainPayload, 2004, "%s: Keysize %d.", where, num(b, "Keysize"))
	}
	if u := num(b, "Key Usage"); u < 0 || u > 5 || u == 2 || u == 3 {
		return refuse(domainPayload, 2004, "%s: Key Usage %d.", where, u)
	}
	if f := len(data(b, "CAFingerprint")); f != 0 && f != 16 && f != 20 && f != 32 {
		return refuse(domainPayload, 2004, "%s: CAFingerprint has %d bytes.", where, f)
	}
	if _, err := subject(b); err != nil {
		return refuse(domainPayload, 2003, "%s: Subject: %v", where, err)
	}
	if _, err := altNames(b); err != nil {
		return refuse(domainPayload, 2003, "%s: SubjectAltName: %v", where, err)
	}
	return nil
}

// certificate parses the certificate of a root, pkcs1 or pem payload.
func (pl *payload) certificate() (*x509.Certificate, *Refusal) {
	der := data(pl.body, "PayloadContent")
	if pl.kind == "com.apple.security.pem" {
		block, rest := pem.Decode(der)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, refuse(domainCert, 9005, "%s: not a certificate in PEM.", pl.kind)
		}
		if more, _ := pem.Decode(rest); more != nil {
			return nil, refuse(domainCert, 9001, "%s: more than one certificate.", pl.kind)
		}
		der = block.Bytes
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, refuse(domainCert, 9005, "%s: the certificate cannot be read: %v", pl.kind, err)
	}
	return c, nil
}

// pkcs12 opens a PKCS #12 payload. Apple's importer takes only the old encryption
// (3DES or RC2 with SHA-1); the modern form fails as if the password were wrong.
func (pl *payload) pkcs12() (*identity, *Refusal) {
	b := data(pl.body, "PayloadContent")
	pbes2 := []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d} // OID 1.2.840.113549.1.5.13
	key, cert, _, err := pkcs12.DecodeChain(b, str(pl.body, "Password"))
	if err != nil || bytes.Contains(b, pbes2) {
		return nil, refuse(domainCert, 9000, "The password of the certificate is incorrect.")
	}
	return &identity{cert: cert, key: key}, nil
}

// checkEAS holds an Exchange payload against what an installation that can ask nobody needs.
func checkEAS(b dict) *Refusal {
	if str(b, "Host") == "" && (!flag(b, "OAuth") || str(b, "OAuthSignInURL") != "") {
		return refuse(domainEAS, 21003, "The Exchange account has no host name.")
	}
	if !strings.Contains(str(b, "EmailAddress"), "@") || str(b, "UserName") == "" {
		return refuse(domainPayload, 2004, "The Exchange account has no e-mail address or user name.")
	}
	services := 0
	for _, s := range []string{"Mail", "Contacts", "Calendars", "Reminders", "Notes"} {
		if flagOr(b, "Enable"+s, true) {
			services++
		}
	}
	if services == 0 {
		return refuse(domainEAS, 21009, "The Exchange account has no service switched on.")
	}
	if _, there := b["MailNumberOfPastDaysToSync"]; there && !slices.Contains([]int{0, 1, 3, 7, 14, 31}, num(b, "MailNumberOfPastDaysToSync")) {
		return refuse(domainPayload, 2004, "MailNumberOfPastDaysToSync %d.", num(b, "MailNumberOfPastDaysToSync"))
	}
	return nil
}

// checkMail holds an IMAP or POP payload against its lists of values.
func checkMail(b dict) *Refusal {
	if t := str(b, "EmailAccountType"); t != "EmailTypeIMAP" && t != "EmailTypePOP" {
		return refuse(domainPayload, 2004, "EmailAccountType %q.", t)
	}
	for _, key := range []string{"IncomingMailServerAuthentication", "OutgoingMailServerAuthentication"} {
		switch str(b, key) {
		case "EmailAuthNone", "EmailAuthPassword", "EmailAuthCRAMMD5", "EmailAuthNTLM", "EmailAuthHTTPMD5":
		default:
			return refuse(domainPayload, 2004, "%s %q.", key, str(b, key))
		}
	}
	return nil
}

// checkPasscode holds a passcode policy against its bounds.
func (r reader) checkPasscode(b dict) *Refusal {
	inactivity := 15
	if r.kind == Mac {
		inactivity = 60
	}
	for key, bound := range map[string][2]int{
		"maxFailedAttempts": {2, 11}, "maxInactivity": {0, inactivity}, "maxPINAgeInDays": {0, 730}, "minComplexChars": {0, 4},
		"minLength": {0, 16}, "pinHistory": {1, 50},
	} {
		if _, there := b[key]; there && (num(b, key) < bound[0] || num(b, key) > bound[1]) {
			return refuse(domainPayload, 2004, "%s %d is not between %d and %d.", key, num(b, key), bound[0], bound[1])
		}
	}
	return nil
}
