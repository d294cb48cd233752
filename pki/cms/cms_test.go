package cms_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
	"time"

	"muster/pki/cms"
)

func TestNormalise(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"already DER":                        {"3003020105", "3003020105"},
		"indefinite":                         {"30800201050000", "3003020105"},
		"nested indefinite":                  {"3080308002010500000000", "30053003020105"},
		"octet string in pieces":             {"2480040201020401030000", "0403010203"},
		"definite pieces":                    {"2407040201020401 03", "0403010203"},
		"pieces of pieces":                   {"2480248004010100000401020000", "04020102"},
		"empty octet string":                 {"24800000", "0400"},
		"long form of a short length":        {"308103020105", "3003020105"},
		"leading zero in the length":         {"30820003020105", "3003020105"},
		"trailing bytes":                     {"30030201050a0a", "3003020105"},
		"context tags stay in pieces":        {"a080040101040102 0000", "a006040101040102"},
		"a primitive that looks like an end": {"30800402000000 00", "300404020000"},
	} {
		in, want := unhex(t, c.in), unhex(t, c.want)
		if got, err := cms.Normalise(in); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v, want %x", name, got, err, want)
		}
	}
	for name, in := range map[string]string{
		"empty": "", "one byte": "30", "truncated": "3003", "no end": "3080020105", "stray end": "30020000",
		"indefinite primitive": "0480", "long tag": "1f8101", "length of five bytes": "30850000000001", "not an octet string inside": "24800201050000",
	} {
		if got, err := cms.Normalise(unhex(t, in)); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %x, %v, want ErrMalformed", name, got, err)
		}
	}
	if _, err := cms.Normalise(make([]byte, cms.MaxSize+1)); !errors.Is(err, cms.ErrTooBig) {
		t.Errorf("too big: %v", err)
	}
	if _, err := cms.Normalise(bytes.Repeat([]byte{0x30, 0x80}, 500_000)); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("too deep: %v", err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzNormalise wants that normal form is stable: normalising twice changes nothing.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{"30800201050000", "2480040201020401030000", "308103020105", "a0803080000000000000"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := cms.Normalise(in)
		if err != nil {
			return
		}
		if twice, err := cms.Normalise(once); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x, then %x, %v", once, twice, err)
		}
	})
}

func TestEncryptAndDecrypt(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certificate := certificate(t, key.Public(), key)
	recipient, err := cms.Of(certificate)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cms.Cipher{cms.AES128, cms.AES192, cms.AES256} {
		for _, n := range []int{0, 1, 15, 16, 17, 5000} {
			plain := bytes.Repeat([]byte{7}, n)
			sealed, err := cms.Encrypt(plain, recipient, c)
			if err != nil {
				t.Fatal(err)
			}
			if der, err := cms.Normalise(sealed); err != nil || &der[0] != &sealed[0] || len(der) != len(sealed) {
				t.Error("not DER")
			}
			got, with, err := cms.Decrypt(sealed, certificate, key)
			if err != nil || with != c || !bytes.Equal(got, plain) {
				t.Errorf("%s, %d bytes: %d bytes, %s, %v", c, n, len(got), with, err)
			}
			sealed[len(sealed)-1] ^= 0x80
			if got, _, err := cms.Decrypt(sealed, certificate, key); err == nil && bytes.Equal(got, plain) {
				t.Error("changed ciphertext, same text")
			}
		}
	}
	for _, c := range []cms.Cipher{cms.DES, cms.TripleDES, 0} {
		if _, err := cms.Encrypt(nil, recipient, c); !errors.Is(err, cms.ErrAlgorithm) {
			t.Errorf("encrypting with %s: %v", c, err)
		}
	}
}

func TestSignAfter2049(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate(t, key.Public(), key)
	for _, at := range []time.Time{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2051, 1, 1, 0, 0, 0, 0, time.UTC)} {
		signed, err := cms.Sign(cms.Signing{Content: []byte("x"), Certificate: c, Key: key, Time: at})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := cms.ParseSigned(signed)
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify([]byte("x")); err != nil {
			t.Error(at.Year(), err)
		}
	}
}

func certificate(t *testing.T, public, private any) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(200), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
