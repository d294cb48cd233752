package pki

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"muster/store"
)

// challengeKeep is how long a challenge is remembered after its time, so that a device that lost the answer can still
// ask for it again and the log can tell an expired challenge from an invented one.
const challengeKeep = 7 * day

// NewChallenge makes a one-time secret that is worth one certificate for the binding until ttl is over. It has 160
// random bits in letters and digits that every string type of ASN.1 can hold; only its hash is stored.
func (a *Authority) NewChallenge(tx store.Tx, b Binding, ttl time.Duration) (string, error) {
	if err := b.validate(); err != nil {
		return "", err
	}
	if ttl <= 0 {
		return "", fmt.Errorf("%w: challenge lifetime %s", ErrBinding, ttl)
	}
	var secret [20]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", err
	}
	text := base32.StdEncoding.EncodeToString(secret[:])
	now := a.now().UTC()
	err := a.records.challenges.Insert(tx, &challenge{
		Hash: hexSum([]byte(text)), Binding: b, CreatedAt: now, ExpiresAt: now.Add(ttl),
	})
	return text, err
}

// VoidChallenges makes every challenge of an enrolment worthless, used ones included.
func (a *Authority) VoidChallenges(tx store.Tx, enrolment string) error {
	return a.deleteChallenges(tx, store.Query{Index: "enrolment", Value: enrolment}, 0)
}

// VoidAllChallenges makes every challenge worthless: for a store that was restored from a backup.
func (a *Authority) VoidAllChallenges(tx store.Tx) error {
	return a.deleteChallenges(tx, store.Query{}, 0)
}

// Tidy is for a daily job: it renews the authority's own signing keys at half of their life and forgets challenges whose
// time has long been over, in bounded transactions.
func (a *Authority) Tidy(ctx context.Context) error {
	for _, r := range []*role{&a.signer, &a.responder} {
		if _, err := a.current(ctx, r); err != nil {
			return fmt.Errorf("renewing the %s key: %w", r.name, err)
		}
	}
	const batch = 500
	for {
		n := 0
		err := a.db.Update(ctx, func(tx store.Tx) error {
			n = 0
			before := timeKey(a.now().Add(-challengeKeep))
			return a.deleteCounted(tx, store.Query{Index: "expiry", To: before}, batch, &n)
		})
		if err != nil || n < batch {
			return err
		}
	}
}

func (a *Authority) deleteChallenges(tx store.Tx, q store.Query, limit int) error {
	var n int
	return a.deleteCounted(tx, q, limit, &n)
}

func (a *Authority) deleteCounted(tx store.Tx, q store.Query, limit int, n *int) error {
	var ids []string
	err := a.records.challenges.Each(tx, q, func(c *challenge) (bool, error) {
		ids = append(ids, c.Hash)
		return limit == 0 || len(ids) < limit, nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := a.records.challenges.Delete(tx, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	*n = len(ids)
	return nil
}
