package windows

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"

	"muster/pki/cms"
)

// renewalRequest is a request for a key, signed with an identity.
func (p *pc) renewalRequest(key *rsa.PrivateKey, with tls.Certificate) string {
	p.t.Helper()
	_ = rand.Reader
	der, err := cms.Sign(cms.Signing{Content: csr(p.t, key, tagUTF8), Certificate: with.Leaf, Key: with.PrivateKey.(crypto.Signer), Time: p.now()})
	must(p.t, err)
	return `<s:Envelope xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><a:MessageID>urn:uuid:b7e8</a:MessageID>` +
		`<wsse:Security><wsse:UsernameToken><wsse:Username/><wsse:Password/></wsse:UsernameToken></wsse:Security></s:Header><s:Body><wst:RequestSecurityToken xmlns:wst="http://docs.oasis-open.org/ws-sx/ws-trust/200512">` +
		`<wst:RequestType>` + requestRenew + `</wst:RequestType><wsse:BinarySecurityToken ValueType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#PKCS7">` +
		base64.StdEncoding.EncodeToString(der) + `</wsse:BinarySecurityToken></wst:RequestSecurityToken></s:Body></s:Envelope>`
}
