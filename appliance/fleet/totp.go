package fleet

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

// TOTP after RFC 6238 with what every authenticator app understands: SHA-1, 30 seconds, six digits.
const (
	totpStep   = 30 // seconds
	totpDigits = 6
	totpSize   = 20 // bytes of secret
)

// hotp is the code of RFC 4226 for a counter.
func hotp(secret []byte, counter uint64, digits int) string {
	m := hmac.New(sha1.New, secret)
	_ = binary.Write(m, binary.BigEndian, counter) // a hash takes everything
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff
	mod := uint32(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%mod)
}

// totpMatch finds the time step of a code: the present one, the one before or the one after, later than used, so that each code works
// once. 0 = no match.
func totpMatch(secret []byte, code string, now time.Time, used int64) int64 {
	if len(code) != totpDigits {
		return 0
	}
	present := now.Unix() / totpStep
	var match int64
	for step := present - 1; step <= present+1; step++ {
		if subtle.ConstantTimeCompare([]byte(hotp(secret, uint64(step), totpDigits)), []byte(code)) == 1 && step > used && match == 0 {
			match = step
		}
	}
	return match
}

func newTOTPSecret() []byte {
	b := make([]byte, totpSize)
	_, _ = rand.Read(b)
	return b
}

// totpURL is the otpauth address that an authenticator app reads from a QR code.
func totpURL(organisation, account string, secret []byte) string {
	issuer := "Muster"
	if organisation != "" {
		issuer = "Muster " + organisation
	}
	q := url.Values{"secret": {base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)}, "issuer": {issuer},
		"algorithm": {"SHA1"}, "digits": {fmt.Sprint(totpDigits)}, "period": {fmt.Sprint(totpStep)}}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + escapeSpaces(q.Encode())
}

// escapeSpaces writes blanks as %20: some apps show a plus as it is.
func escapeSpaces(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == '+' {
			out = append(out, "%20"...)
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}
