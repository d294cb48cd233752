package windows

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"crypto/x509"
)

// providerID names our account on a PC. It stands in every enrolled PC's tree and can never change.
const providerID = "Muster"

// pollMinutes is how often a PC calls by itself: two calls fit into the quarter of an hour within which an order reaches it.
const pollMinutes = "10"

// provision is what a PC is told at its enrolment.
type provision struct {
	root, issuing, own *x509.Certificate
	store              string // "User" or "System": where the PC looks for its identity
	name               string // of the account, shown in Settings
	address            string // of sessions
	user               string // UPN; "" without a person
	enrolment          string
}

const provisionHead = `<wap-provisioningdoc version="1.1"><characteristic type="CertificateStore">`

const provisionCAs = `<characteristic type="Root"><characteristic type="System"><characteristic type="{{root}}">` +
	`<parm name="EncodedCertificate" value="{{rootcert}}"/></characteristic></characteristic></characteristic>` +
	`<characteristic type="CA"><characteristic type="System"><characteristic type="{{issuing}}">` +
	`<parm name="EncodedCertificate" value="{{issuingcert}}"/></characteristic></characteristic></characteristic>`

const provisionIdentity = `<characteristic type="My"><characteristic type="{{store}}"><characteristic type="{{own}}">` +
	`<parm name="EncodedCertificate" value="{{owncert}}"/></characteristic><characteristic type="PrivateKeyContainer"/></characteristic>` +
	`<characteristic type="WSTEP"><characteristic type="Renew"><parm name="ROBOSupport" value="true" datatype="boolean"/>` +
	`<parm name="RenewPeriod" value="60" datatype="integer"/><parm name="RetryInterval" value="4" datatype="integer"/></characteristic></characteristic>` +
	`</characteristic></characteristic>`

const provisionAccount = `<characteristic type="APPLICATION"><parm name="APPID" value="w7"/><parm name="PROVIDER-ID" value="` + providerID + `"/>` +
	`<parm name="NAME" value="{{name}}"/><parm name="ADDR" value="{{address}}"/><parm name="CONNRETRYFREQ" value="6"/>` +
	`<parm name="INITIALBACKOFFTIME" value="30000"/><parm name="MAXBACKOFFTIME" value="120000"/><parm name="BACKCOMPATRETRYDISABLED"/>` +
	`<parm name="DEFAULTENCODING" value="application/vnd.syncml.dm+xml"/>` +
	`<characteristic type="APPAUTH"><parm name="AAUTHLEVEL" value="CLIENT"/><parm name="AAUTHTYPE" value="DIGEST"/>` +
	`<parm name="AAUTHSECRET" value="{{serversecret}}"/><parm name="AAUTHDATA" value="{{servernonce}}"/></characteristic>` +
	`<characteristic type="APPAUTH"><parm name="AAUTHLEVEL" value="APPSRV"/><parm name="AAUTHTYPE" value="DIGEST"/>` +
	`<parm name="AAUTHNAME" value="{{enrolment}}"/><parm name="AAUTHSECRET" value="{{clientsecret}}"/><parm name="AAUTHDATA" value="{{clientnonce}}"/></characteristic>` +
	`</characteristic>`

const provisionClient = `<characteristic type="DMClient"><characteristic type="Provider"><characteristic type="` + providerID + `">{{{upn}}}` +
	`<parm name="EntDMID" value="{{enrolment}}" datatype="string"/>` +
	`<characteristic type="Poll"><parm name="NumberOfFirstRetries" value="0" datatype="integer"/>` +
	`<parm name="IntervalForFirstSetOfRetries" value="` + pollMinutes + `" datatype="integer"/>` +
	`<parm name="NumberOfSecondRetries" value="0" datatype="integer"/><parm name="IntervalForSecondSetOfRetries" value="0" datatype="integer"/>` +
	`<parm name="NumberOfRemainingScheduledRetries" value="0" datatype="integer"/><parm name="IntervalForRemainingScheduledRetries" value="0" datatype="integer"/>` +
	`<parm name="PollOnLogin" value="true" datatype="boolean"/><parm name="AllUsersPollOnFirstLogin" value="true" datatype="boolean"/></characteristic>` +
	`</characteristic></characteristic></characteristic>`

const provisionEnd = `</wap-provisioningdoc>`

// render makes the document for an enrolment. The two APPAUTH parts must be there, with a first nonce each, or Windows 11 25H2 refuses
// the account (0x80070057); a PC proves itself by its certificate, so their secrets open nothing.
func (p *provision) render() []byte {
	out := []byte(provisionHead)
	out = append(out, fill(provisionCAs, "root", thumbprint(p.root.Raw), "rootcert", base64.StdEncoding.EncodeToString(p.root.Raw),
		"issuing", thumbprint(p.issuing.Raw), "issuingcert", base64.StdEncoding.EncodeToString(p.issuing.Raw))...)
	out = append(out, p.identity()...)
	out = append(out, fill(provisionAccount, "name", p.name, "address", p.address, "enrolment", p.enrolment,
		"serversecret", secret(), "servernonce", nonce(), "clientsecret", secret(), "clientnonce", nonce())...)
	client := fill(provisionClient, "enrolment", p.enrolment)
	upn := ""
	if p.user != "" {
		upn = `<parm name="UPN" value="` + escape(p.user) + `" datatype="string"/>`
	}
	out = append(out, strings.Replace(string(client), "{{{upn}}}", upn, 1)...)
	return append(out, provisionEnd...)
}

func (p *provision) identity() []byte {
	return fill(provisionIdentity, "store", p.store, "own", thumbprint(p.own.Raw), "owncert", base64.StdEncoding.EncodeToString(p.own.Raw))
}

// renewal makes the shorter document that answers a renewal.
func (p *provision) renewal() []byte {
	out := append([]byte(provisionHead), p.identity()...)
	return append(out, `<characteristic type="APPLICATION"><parm name="APPID" value="w7"/><parm name="PROVIDER-ID" value="`+providerID+`"/></characteristic>`+provisionEnd...)
}

// thumbprint is how Windows names a certificate: the SHA-1 of its DER in upper-case hex.
func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func secret() string { return hex.EncodeToString(randomBytes(24)) }
func nonce() string  { return base64.StdEncoding.EncodeToString(randomBytes(16)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
