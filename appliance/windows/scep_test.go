package windows

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"
	"github.com/smallstep/scep"
)

// fetch gets a certificate as a PC does, with the SCEP of others, and gives its thumbprint; "" when it is refused.
func (p *pc) fetch(challenge string) string {
	p.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(p.t, err)
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "whoever"}, SignatureAlgorithm: x509.SHA256WithRSA}, ChallengePassword: challenge}, key)
	must(p.t, err)
	csr, err := x509.ParseCertificateRequest(der)
	must(p.t, err)
	own := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "whoever"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)
	must(p.t, err)
	own, err = x509.ParseCertificate(ownDER)
	must(p.t, err)
	recipients := []*x509.Certificate{p.pki.RA()}
	msg, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: recipients, SignerKey: key, SignerCert: own})
	must(p.t, err)
	_, body, err := p.pki.SCEP(context.Background(), "PKIOperation", msg.Raw)
	must(p.t, err)
	rep, err := scep.ParsePKIMessage(body, scep.WithCACerts(recipients))
	must(p.t, err)
	if rep.PKIStatus != scep.SUCCESS {
		return ""
	}
	must(p.t, rep.DecryptPKIEnvelope(own, key))
	return thumbprint(rep.Certificate.Raw)
}
