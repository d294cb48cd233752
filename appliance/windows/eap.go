package windows

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"muster/appliance/fleet"
)

// EAP methods (IANA) as networks name them.
var eapTypes = map[string]int{"tls": 13, "ttls": 21, "peap": 25}

const eapMethod = `<EapHostConfig xmlns="http://www.microsoft.com/provisioning/EapHostConfig"><EapMethod>` +
	`<Type xmlns="http://www.microsoft.com/provisioning/EapCommon">{{type}}</Type><VendorId xmlns="http://www.microsoft.com/provisioning/EapCommon">0</VendorId>` +
	`<VendorType xmlns="http://www.microsoft.com/provisioning/EapCommon">0</VendorType><AuthorId xmlns="http://www.microsoft.com/provisioning/EapCommon">{{author}}</AuthorId></EapMethod>` +
	`<Config xmlns="http://www.microsoft.com/provisioning/EapHostConfig">{{{config}}}</Config></EapHostConfig>`

// eapTLS signs in with a certificate of the person's store whose issuer is one of ours, so that another one there is not tried.
const eapTLS = `<Eap xmlns="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1"><Type>13</Type>` +
	`<EapType xmlns="http://www.microsoft.com/provisioning/EapTlsConnectionPropertiesV1">` +
	`<CredentialsSource><CertificateStore><SimpleCertSelection>true</SimpleCertSelection></CertificateStore></CredentialsSource>` +
	`<ServerValidation><DisableUserPromptForServerValidation>true</DisableUserPromptForServerValidation><ServerNames>{{names}}</ServerNames>` +
	`<TrustedRootCA>{{root}}</TrustedRootCA></ServerValidation><DifferentUsername>false</DifferentUsername>` +
	`<PerformServerValidation xmlns="http://www.microsoft.com/provisioning/EapTlsConnectionPropertiesV2">true</PerformServerValidation>` +
	`<AcceptServerName xmlns="http://www.microsoft.com/provisioning/EapTlsConnectionPropertiesV2">true</AcceptServerName>` +
	`<TLSExtensions xmlns="http://www.microsoft.com/provisioning/EapTlsConnectionPropertiesV2">` +
	`<FilteringInfo xmlns="http://www.microsoft.com/provisioning/EapTlsConnectionPropertiesV3"><CAHashList Enabled="true">{{{issuers}}}</CAHashList></FilteringInfo>` +
	`</TLSExtensions></EapType></Eap>`

const eapPEAP = `<Eap xmlns="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1"><Type>25</Type>` +
	`<EapType xmlns="http://www.microsoft.com/provisioning/MsPeapConnectionPropertiesV1">` +
	`<ServerValidation><DisableUserPromptForServerValidation>true</DisableUserPromptForServerValidation><ServerNames>{{names}}</ServerNames>` +
	`<TrustedRootCA>{{root}}</TrustedRootCA></ServerValidation><FastReconnect>true</FastReconnect><InnerEapOptional>false</InnerEapOptional>` +
	`<Eap xmlns="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1"><Type>26</Type>` +
	`<EapType xmlns="http://www.microsoft.com/provisioning/MsChapV2ConnectionPropertiesV1"><UseWinLogonCredentials>false</UseWinLogonCredentials></EapType></Eap>` +
	`<EnableQuarantineChecks>false</EnableQuarantineChecks><RequireCryptoBinding>false</RequireCryptoBinding><PeapExtensions>` +
	`<PerformServerValidation xmlns="http://www.microsoft.com/provisioning/MsPeapConnectionPropertiesV2">true</PerformServerValidation>` +
	`<AcceptServerName xmlns="http://www.microsoft.com/provisioning/MsPeapConnectionPropertiesV2">true</AcceptServerName>{{{outer}}}</PeapExtensions></EapType></Eap>`

const peapOuter = `<IdentityPrivacy xmlns="http://www.microsoft.com/provisioning/MsPeapConnectionPropertiesV2"><EnableIdentityPrivacy>true</EnableIdentityPrivacy>` +
	`<AnonymousUserName>{{outer}}</AnonymousUserName></IdentityPrivacy>`

const eapTTLS = `<EapTtls xmlns="http://www.microsoft.com/provisioning/EapTtlsConnectionPropertiesV1">` +
	`<ServerValidation><ServerNames>{{names}}</ServerNames><TrustedRootCAHash>{{root}}</TrustedRootCAHash><DisablePrompt>true</DisablePrompt></ServerValidation>` +
	`<Phase2Authentication>{{{inner}}}</Phase2Authentication><Phase1Identity>{{{outer}}}</Phase1Identity></EapTtls>`

// eap is how one signs in at a network: the XML that Wi-Fi and VPN profiles hold. Passwords are the person's to type.
type eap struct {
	method string // "tls", "peap", "ttls"
	names  string // of servers, with blanks between
	root   *x509.Certificate
	inner  string // of ttls: "mschapv2", "pap"
	outer  string // shown outside the tunnel; "" = the person's name
}

func (r *rendering) eapConfig(e eap) (string, error) {
	if e.root == nil || eapTypes[e.method] == 0 {
		return "", fmt.Errorf("sign-in %q without root", e.method)
	}
	names, root := serverNames(e.names), spaced(thumbprint(e.root.Raw))
	author, config := "0", ""
	switch e.method {
	case "tls":
		issuers := ""
		for _, c := range r.issuers {
			issuers += "<IssuerHash>" + spaced(thumbprint(c.Raw)) + "</IssuerHash>"
		}
		config = fillRaw(string(fill(eapTLS, "names", names, "root", root)), "issuers", issuers)
	case "peap":
		outer := ""
		if e.outer != "" {
			outer = string(fill(peapOuter, "outer", e.outer))
		}
		config = fillRaw(string(fill(eapPEAP, "names", names, "root", root)), "outer", outer)
	case "ttls":
		author = "311"
		inner := `<MSCHAPv2Authentication><UseWinlogonCredentials>false</UseWinlogonCredentials></MSCHAPv2Authentication>`
		if e.inner == "pap" {
			inner = `<PAPAuthentication/>`
		}
		outer := `<IdentityPrivacy>false</IdentityPrivacy>`
		if e.outer != "" {
			outer = string(fill(`<IdentityPrivacy>true</IdentityPrivacy><AnonymousIdentity>{{outer}}</AnonymousIdentity>`, "outer", e.outer))
		}
		config = fillRaw(fillRaw(string(fill(eapTTLS, "names", names, "root", root)), "inner", inner), "outer", outer)
	}
	return fillRaw(string(fill(eapMethod, "type", fmt.Sprint(eapTypes[e.method]), "author", author)), "config", config), nil
}

// fillRaw puts XML into a template, as it is.
func fillRaw(template, key, xml string) string {
	return strings.ReplaceAll(template, "{{{"+key+"}}}", xml)
}

// spaced writes a thumbprint as EAP settings do: pairs of digits in lower case with blanks between.
func spaced(hexText string) string {
	b, err := hex.DecodeString(hexText)
	if err != nil {
		return hexText
	}
	return fmt.Sprintf("% x", b)
}

// serverNames writes host names as EAP settings want them: with semicolons between, and as regular expressions where one has a star.
func serverNames(s string) string {
	var out []string
	for _, n := range strings.Fields(s) {
		if strings.Contains(n, "*") {
			n = strings.ReplaceAll(strings.ReplaceAll(n, ".", `\.`), "*", ".*")
		}
		out = append(out, n)
	}
	return strings.Join(out, ";")
}

// rootOf is the certificate that a trusted-root profile delivers, which a profile of this order refers to.
func (r *rendering) rootOf(id string) (*x509.Certificate, error) {
	p := r.order.Refs[fleet.ProfileID(id)]
	if p == nil || p.Type != fleet.TypeTrustedRoot {
		return nil, fmt.Errorf("no trusted root %q", id)
	}
	return r.certificateOf(p)
}

// holdsXML says whether XML that was read back has everything that was sent: each element with its text, in any order, among others that Windows
// adds. Keys are left out: Windows gives them back encrypted to itself.
func holdsXML(want, got string) bool {
	w, err := parseXML([]byte(want))
	g, err2 := parseXML([]byte(got))
	return err == nil && err2 == nil && holdsNode(w, g)
}

func holdsNode(want, got *node) bool {
	if want.name != got.name {
		return false
	}
	if want.name == "keyMaterial" || want.name == "protected" || want.name == "L2tpPsk" {
		return true
	}
	if len(want.kids) == 0 && !strings.EqualFold(squeeze(want.text), squeeze(got.text)) {
		return false
	}
	taken := make([]bool, len(got.kids))
	for _, k := range want.kids {
		found := false
		for i, x := range got.kids {
			if !taken[i] && holdsNode(k, x) {
				taken[i], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// squeeze takes white space out of a text: thumbprints are written with and without.
func squeeze(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, []byte(s)))
}

// keys are the secrets in XML that is sent; the ledger, which only compares, keeps none.
var keys = regexp.MustCompile(`<keyMaterial>[^<]*</keyMaterial>`)

func withoutKey(xml string) string { return keys.ReplaceAllString(xml, "<keyMaterial/>") }

// put sets a leaf whether it is there or not: where its provider does not create what a Replace names (404), an Add does.
func put(uri, format, data string, first int) []batch {
	replace := set(verbReplace, uri, format, data)
	replace.OK = []int{404}
	return []batch{{Commands: []command{replace}}, {Commands: []command{set(verbAdd, uri, format, data)}, If: &condition{Batch: first, Code: 404}}}
}

// segment writes a name as part of a LocURI: everything but letters, digits and -._~ percent-encoded.
func segment(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
