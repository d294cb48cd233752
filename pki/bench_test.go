package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smallstep/scep"

	"muster/pki"
	"muster/store"
)

// BenchmarkSCEP measures certificates from message to answer, with durable records, at 16 requests in flight. The
// messages are made before; making one costs the client about as much as answering costs us.
func BenchmarkSCEP(b *testing.B) {
	f := newFixture(b)
	messages := make([][]byte, b.N)
	secrets := make([]string, b.N)
	for done := 0; done < b.N; {
		n := min(b.N-done, 200)
		f.update(func(tx store.Tx) (err error) {
			for i := range n {
				if secrets[done+i], err = f.a.NewChallenge(tx, binding(fmt.Sprintf("E%d", done+i)), time.Hour); err != nil {
					return err
				}
			}
			return nil
		})
		done += n
	}
	c := newClient(b, f)
	for i := range messages {
		c.transaction = fmt.Sprint("T", i)
		messages[i] = c.message(b, makeCSR(b, rsaKeys()[0], secrets[i]))
	}
	var next atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := f.a.SCEP(context.Background(), "PKIOperation", messages[next.Add(1)-1]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
	f.view(func(tx store.Tx) error {
		page, err := f.a.Certificates(tx, pki.CertificateQuery{Enrolment: fmt.Sprintf("E%d", b.N-1)})
		if err == nil && len(page.Items) != 1 {
			b.Error("the last request got no certificate")
		}
		return err
	})
}

// BenchmarkSCEPEndToEnd is BenchmarkSCEP with everything that a client does in the loop, over HTTP: it makes and signs
// the message, sends it, and checks and decrypts the answer. Only its RSA keys are made before.
func BenchmarkSCEPEndToEnd(b *testing.B) {
	f := newFixture(b)
	url := f.serve()
	var next atomic.Int64
	transport := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c := newClient(b, f)
		for pb.Next() {
			n := next.Add(1)
			secret := f.challenge(binding(fmt.Sprint("E", n)))
			c.transaction = fmt.Sprint("T", n)
			message := c.message(b, makeCSR(b, rsaKeys()[0], secret))
			r, err := transport.Post(url+"?operation=PKIOperation", "application/x-pki-message", bytes.NewReader(message))
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				b.Fatal(err)
			}
			answer, err := scep.ParsePKIMessage(body)
			if err != nil {
				b.Fatal(err)
			}
			if err := answer.DecryptPKIEnvelope(c.signer, c.signerKey); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
}

func BenchmarkVerifySigned(b *testing.B) {
	body := make([]byte, 1500)
	key := rsaKeys()[0]
	certificate := selfSigned(b, key)
	for name, signature := range map[string][]byte{
		"DER": signedData(b, body, true, crypto.SHA256, certificate, key, []cmsAttribute{}),
		"BER": toBER(b, signedData(b, body, true, crypto.SHA256, certificate, key, []cmsAttribute{})),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pki.VerifySigned(body, signature); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIssue measures what happens inside a transaction for one certificate (PKCS #12 packing and its RSA key
// apart): challenges answered one after another in one transaction.
func BenchmarkIssue(b *testing.B) {
	f := newFixture(b)
	key := rsaKeys()[0]
	i := 0
	for b.Loop() {
		f.update(func(tx store.Tx) error {
			i++
			_, err := f.a.Issue(tx, binding(fmt.Sprint("E", i)), key.Public(), "bench")
			return err
		})
	}
}

// BenchmarkIdentify measures the check of a known certificate at every request: genuine, and its record.
func BenchmarkIdentify(b *testing.B) {
	f := newFixture(b)
	c := f.enrol(binding("E1"))
	fp := fingerprint(c)
	b.ReportAllocs()
	for b.Loop() {
		if !f.a.Genuine(c) {
			b.Fatal("not genuine")
		}
		f.view(func(tx store.Tx) error {
			_, err := f.a.Certificate(tx, fp)
			return err
		})
	}
}

func BenchmarkGenuineFirst(b *testing.B) {
	f := newFixture(b)
	c := f.enrol(binding("E1"))
	for b.Loop() {
		if c.CheckSignatureFrom(f.a.Issuing()) != nil {
			b.Fatal()
		}
	}
}
