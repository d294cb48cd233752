package apple

import (
	"crypto/sha1"
	"fmt"
	"strings"
)

// uuidSpace is the name space of all payload UUIDs that Muster derives (RFC 9562, 5.5). It must never change: another one would make
// every device drop its mail account and add it anew.
const uuidSpace = "\x4d\x75\x73\x74\x65\x72\x50\x61\x9c\x6c\x6f\x61\x64\x73\x00\x01"

// payloadUUID derives a version 5 UUID from names, in the upper case that Apple uses.
func payloadUUID(names ...string) string {
	h := sha1.Sum([]byte(uuidSpace + strings.Join(names, "\x00")))
	u := h[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
