package pki_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-kit/kit/log"
	micromdmclient "github.com/micromdm/scep/v2/client"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"

	"muster/pki"
)

// serve puts SCEP behind HTTP as a device meets it.
func (f *fixture) serve() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation, message, err := pki.ParseSCEPQuery(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if r.Method == http.MethodPost {
			if message, err = io.ReadAll(r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		contentType, body, err := f.a.SCEP(r.Context(), operation, message)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Write(body)
	}))
	f.t.Cleanup(server.Close)
	return server.URL + "/scep"
}

// TestSCEPMicroMDMClient runs the client of micromdm/scep against the authority over HTTP, as scepclient does.
func TestSCEPMicroMDMClient(t *testing.T) {
	f := newFixture(t)
	client, err := micromdmclient.New(f.serve(), log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if caps, err := client.GetCACaps(ctx); err != nil || string(caps) != "POSTPKIOperation\nSHA-256\nSHA-1\nAES\nDES3\nSCEPStandard\nRenewal\n" {
		t.Fatalf("GetCACaps = %q, %v", caps, err)
	}
	body, n, err := client.GetCACert(ctx, "device")
	if err != nil || n < 2 {
		t.Fatalf("GetCACert: %d certificates, %v", n, err)
	}
	bundle, err := scep.CACerts(body)
	if err != nil || len(bundle) != 3 || !bundle[0].Equal(f.a.RA()) || !bundle[1].Equal(f.a.Issuing()) || !bundle[2].Equal(f.a.Root()) {
		t.Fatalf("bundle = %d certificates, %v; want RA, issuing and root", len(bundle), err)
	}
	body, _, err = client.GetCACert(ctx, pki.SCEPNameRA) // this client counts only bundles
	if err != nil {
		t.Fatal(err)
	}
	if only, err := x509.ParseCertificate(body); err != nil || !only.Equal(f.a.RA()) {
		t.Fatalf("GetCACert ra = %v", err)
	}
	for name, selector := range map[string]scep.CertsSelector{
		"bundle, encipherment selected": scep.EnciphermentCertsSelector(),
		"ra alone":                      scep.NopCertsSelector(),
	} {
		t.Run(name, func(t *testing.T) {
			recipients := bundle
			if name == "ra alone" {
				recipients = bundle[:1]
			}
			secret := f.challenge(binding("E-" + name))
			key := rsaKeys()[0]
			signer := rsaKeys()[1] // a throw-away key, not the request's
			issued := smallstepEnrol(t, key, signer, secret, recipients, selector, scep.PKCSReq, selfSigned(t, signer),
				func(message []byte) []byte {
					answer, err := client.PKIOperation(ctx, message)
					if err != nil {
						t.Fatal(err)
					}
					return answer
				})
			if issued == nil {
				t.Fatal("refused")
			}
			if !issued.PublicKey.(*rsa.PublicKey).Equal(&key.PublicKey) {
				t.Error("the certificate has another key")
			}
			if issued.Subject.CommonName != "E-"+name || len(issued.Subject.Organization) != 0 {
				t.Errorf("subject = %s: it must come from the binding", issued.Subject)
			}
			if !f.a.Genuine(issued) {
				t.Error("not genuine")
			}
		})
	}
}

// smallstepEnrol makes a request with smallstep/scep, whose encryption is DES unless told otherwise, and reads the
// answer with it. nil means a CertRep failure.
func smallstepEnrol(t testing.TB, key, signerKey *rsa.PrivateKey, secret string, recipients []*x509.Certificate,
	selector scep.CertsSelector, kind scep.MessageType, signer *x509.Certificate, send func([]byte) []byte,
) *x509.Certificate {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(makeCSR(t, key, secret))
	if err != nil {
		t.Fatal(err)
	}
	message, err := scep.NewCSRRequest(csr, &scep.PKIMessage{
		MessageType: kind, Recipients: recipients, SignerKey: signerKey, SignerCert: signer,
	}, scep.WithCertsSelector(selector))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := scep.ParsePKIMessage(send(message.Raw), scep.WithCACerts(recipients))
	if err != nil {
		t.Fatal(err)
	}
	if answer.TransactionID != message.TransactionID {
		t.Errorf("transaction = %q, want %q", answer.TransactionID, message.TransactionID)
	}
	if string(answer.RecipientNonce) != string(message.SenderNonce) {
		t.Error("the nonce does not come back")
	}
	if answer.PKIStatus == scep.FAILURE {
		if answer.FailInfo != scep.BadRequest {
			t.Errorf("failInfo = %s", answer.FailInfo)
		}
		return nil
	}
	if err := answer.DecryptPKIEnvelope(signer, signerKey); err != nil {
		t.Fatal(err)
	}
	return answer.Certificate
}

// TestSCEPSmallstepCiphers shows the ciphers that smallstep's client can use. It sets that package's variable, so it
// must not run beside other tests that use it.
func TestSCEPSmallstepCiphers(t *testing.T) {
	f := newFixture(t)
	before := pkcs7.ContentEncryptionAlgorithm
	t.Cleanup(func() { pkcs7.ContentEncryptionAlgorithm = before })
	for name, algorithm := range map[string]int{
		"DES":     pkcs7.EncryptionAlgorithmDESCBC,
		"AES-128": pkcs7.EncryptionAlgorithmAES128CBC,
		"AES-256": pkcs7.EncryptionAlgorithmAES256CBC,
	} {
		t.Run(name, func(t *testing.T) {
			pkcs7.ContentEncryptionAlgorithm = algorithm
			key := rsaKeys()[2]
			issued := smallstepEnrol(t, key, key, f.challenge(binding("E-"+name)), []*x509.Certificate{f.a.RA()},
				scep.NopCertsSelector(), scep.PKCSReq, selfSigned(t, key), func(m []byte) []byte {
					contentType, body, err := f.a.SCEP(context.Background(), "PKIOperation", m)
					if err != nil || contentType != "application/x-pki-message" {
						t.Fatal(contentType, err)
					}
					return body
				})
			if issued == nil {
				t.Fatal("refused")
			}
		})
	}
}
