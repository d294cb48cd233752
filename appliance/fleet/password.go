package fleet

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// argon2id with 19 MiB, two passes, one lane: the least that OWASP advises, so that a machine with little memory bears it.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonLanes   = 1
	argonKeySize = 32
	argonSalt    = 16

	hashingAtOnce = 2                // bounds memory to 38 MiB whatever the flood
	hashingWait   = 10 * time.Second // for a turn
	hashingQueue  = 32               // who would wait behind more is sent away at once

	passwordLeast = 12
	passwordMost  = 256 // runes
)

// hashing hands out turns to compute a password hash.
type hashing struct {
	turns  chan struct{}
	queue  chan struct{}
	absent string // the hash that a sign-in to an account that is not there is compared with
}

func (h *hashing) init() {
	h.turns = make(chan struct{}, hashingAtOnce)
	h.queue = make(chan struct{}, hashingQueue)
	salt, key := make([]byte, argonSalt), make([]byte, argonKeySize)
	_, _ = rand.Read(salt)
	_, _ = rand.Read(key) // the hash of no password: nobody knows one that gives it
	h.absent = phc(salt, key)
}

// turn waits for a turn; the returned function gives it back.
func (h *hashing) turn(ctx context.Context) (func(), error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, limited(hashingWait)
	}
	t := time.NewTimer(hashingWait)
	defer t.Stop()
	defer func() { <-h.queue }()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-t.C:
		return nil, limited(hashingWait)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash makes the PHC string of a password.
func (h *hashing) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt)
	return phc(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKeySize)), nil
}

func phc(salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b.EncodeToString(salt), b.EncodeToString(key))
}

// verify compares a password with a PHC string; "" is compared with no password's hash, so that it takes as long.
func (h *hashing) verify(ctx context.Context, stored, password string) (bool, error) {
	known := stored != ""
	if !known {
		stored = h.absent
	}
	var version, memory, passes, lanes int
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("fleet: unknown password hash")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil || version != argon2.Version {
		return false, fmt.Errorf("fleet: unknown password hash")
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(key) < 16 || memory > 1<<20 || passes > 16 || lanes < 1 || lanes > 16 {
		return false, fmt.Errorf("fleet: unknown password hash")
	}
	if len(password) > 4*passwordMost {
		password = "" // cannot be right, takes as long
		known = false
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	got := argon2.IDKey([]byte(password), salt, uint32(passes), uint32(memory), uint8(lanes), uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1 && known, nil
}

// password checks a new password: at least 12 characters, not made of the given names and addresses, not one character over and over.
func (b faults) password(field, password string, names ...string) {
	n := utf8.RuneCountInString(password)
	switch {
	case n < passwordLeast:
		b.put(field, "password.short", "least", fmt.Sprint(passwordLeast))
		return
	case n > passwordMost || !utf8.ValidString(password):
		b.put(field, "password.long", "most", fmt.Sprint(passwordMost))
		return
	}
	different := map[rune]bool{}
	rest := strings.ToLower(password)
	for _, r := range rest {
		different[r] = true
	}
	if len(different) < 5 || isSequence(rest) {
		b.put(field, "password.simple")
		return
	}
	for _, name := range names {
		for _, w := range searchWords(name) {
			if utf8.RuneCountInString(w) >= 3 {
				rest = strings.ReplaceAll(rest, w, "")
			}
		}
	}
	for _, w := range []string{"password", "wachtwoord", "welkom", "welcome", "qwerty", "azerty", "admin", "muster", "letmein", "geheim", "secret"} {
		rest = strings.ReplaceAll(rest, w, "")
	}
	left := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, rest)
	if utf8.RuneCountInString(left) < 6 || isSequence(left) {
		b.put(field, "password.guessable")
	}
}

// isSequence says whether each character follows on the one before: 123456789012, abcdefghijkl, or the other way round.
func isSequence(s string) bool {
	r := []rune(s)
	up, down := true, true
	for i := 1; i < len(r); i++ {
		up = up && (r[i] == r[i-1]+1 || r[i-1] == '9' && r[i] == '0')
		down = down && (r[i] == r[i-1]-1 || r[i-1] == '0' && r[i] == '9')
	}
	return up || down
}
