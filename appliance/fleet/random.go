package fleet

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// codeEncoding is base32 in lower case without letters that look like digits (i, l, o) and without u: after Crockford.
var codeEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// randomCode is n random bytes in codeEncoding.
func randomCode(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return codeEncoding.EncodeToString(b)
}

// cleanCode undoes what people do to a code when they type it.
func cleanCode(s string) string {
	if len(s) > 200 {
		return ""
	}
	return strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.TrimSpace(s)))
}

// hashSecret is how secrets of 80 or more random bits are kept: they cannot be guessed, so a fast hash does.
func hashSecret(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}
