package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"muster/pki/cms"
)

// SignCMS signs a profile with the authority's own signer: DER SignedData with the content and the chain inside,
// SHA-256. Devices that trust our root show it as verified. It never touches the store, so it may be called inside a
// transaction; Open and Tidy keep its certificate fresh.
func (a *Authority) SignCMS(content []byte) ([]byte, error) {
	id := a.signer.now.Load()
	return cms.Sign(cms.Signing{
		Content: notNil(content), Certificate: id.certificate, Key: id.key,
		Chain: []*x509.Certificate{a.issuing.certificate, a.root.certificate}, Time: a.now(),
	})
}

// SignCMSWith signs a profile with a certificate that devices trust already, such as the public one for TLS.
func (a *Authority) SignCMSWith(content []byte, cert *tls.Certificate) ([]byte, error) {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok || len(cert.Certificate) == 0 {
		return nil, fmt.Errorf("signing: the certificate has no usable key")
	}
	var chain []*x509.Certificate
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return cms.Sign(cms.Signing{Content: notNil(content), Certificate: chain[0], Key: key, Chain: chain[1:], Time: a.now()})
}

// notNil makes an empty content one that is present.
func notNil(content []byte) []byte {
	if content == nil {
		return []byte{}
	}
	return content
}

// VerifySigned checks the signature of an Mdm-Signature header (decoded from base64) over the body as received and
// returns the signer's certificate. The signature is detached, or its content must equal the body; SHA-1 to SHA-512,
// RSA or ECDSA. Neither the signing time nor the certificate's validity, issuer or binding is judged: those are the
// caller's rules. Every failure is ErrSignature.
func VerifySigned(body, signature []byte) (*x509.Certificate, error) {
	signed, err := cms.ParseSigned(signature)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	if !signed.Detached && !bytes.Equal(signed.Content, body) {
		return nil, fmt.Errorf("%w: it covers another message", ErrSignature)
	}
	if err := signed.Verify(body); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	signer, err := signed.Signer()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	certificate, err := x509.ParseCertificate(signer.Raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	return certificate, nil
}
