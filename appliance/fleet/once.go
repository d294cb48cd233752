package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"muster/store"
)

// onceRecord reserves an idempotency key and later keeps the answer, sealed, since answers may hold a secret shown once.
type onceRecord struct {
	ID      string    `json:"id"` // hash of token and key
	Print   []byte    `json:"print"`
	Answer  []byte    `json:"answer,omitempty"`
	Created time.Time `json:"created"`
}

var onces = store.Define("oc", func(o *onceRecord) string { return o.ID },
	store.Index[onceRecord]{Name: "created", Values: func(o *onceRecord) []string { return []string{o.Created.UTC().Format(time.RFC3339)} }})

// onceFor is how long an answer is kept.
const onceFor = 24 * time.Hour

// OnceAnswer is the kept answer of a request.
type OnceAnswer struct {
	Status int    `json:"status"`
	Body   []byte `json:"body"`
}

func onceID(a Actor, key string) string {
	sum := sha256.Sum256([]byte(string(a.Kind) + "\x00" + a.ID + "\x00" + string(a.Token) + "\x00" + key))
	return hex.EncodeToString(sum[:])
}

// BeginOnce reserves a key for a request with this fingerprint. It returns the kept answer of an earlier one, or nil: go ahead.
// ErrConflict: the key was used for another request, or the earlier one has not ended (or ended in a crash).
func (f *Fleet) BeginOnce(ctx context.Context, a Actor, key string, print []byte) (*OnceAnswer, error) {
	if len(key) > 200 {
		return nil, Refuse(ErrInvalid, "once.key-too-long")
	}
	id := onceID(a, key)
	var kept *OnceAnswer
	err := f.db.Update(ctx, func(tx store.Tx) error {
		kept = nil
		old, err := onces.Get(tx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return onces.Put(tx, &onceRecord{ID: id, Print: print, Created: f.now()})
		case err != nil:
			return err
		case f.now().Sub(old.Created) > onceFor:
			return onces.Put(tx, &onceRecord{ID: id, Print: print, Created: f.now()})
		case !bytes.Equal(old.Print, print):
			return Refuse(ErrConflict, "once.other-request")
		case old.Answer == nil:
			return Refuse(ErrConflict, "once.outcome-unknown")
		}
		plain, err := f.db.Sealer().Open("oc", id, old.Answer)
		if err != nil {
			return err
		}
		kept = new(OnceAnswer)
		return json.Unmarshal(plain, kept)
	})
	return kept, err
}

// FinishOnce keeps the answer.
func (f *Fleet) FinishOnce(ctx context.Context, a Actor, key string, answer OnceAnswer) error {
	plain, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	id := onceID(a, key)
	return f.db.Update(ctx, func(tx store.Tx) error {
		o, err := onces.Get(tx, id)
		if err != nil {
			return err
		}
		o.Answer = f.db.Sealer().Seal("oc", id, plain)
		return onces.Put(tx, o)
	})
}

// ForgetOnce gives a key back after a refusal.
func (f *Fleet) ForgetOnce(ctx context.Context, a Actor, key string) error {
	return f.db.Update(ctx, func(tx store.Tx) error { return onces.Delete(tx, onceID(a, key)) })
}

// sweepOnces drops answers that are kept long enough, some at a time.
func (f *Fleet) sweepOnces(ctx context.Context) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		page, err := onces.List(tx, store.Query{Index: "created", To: f.now().Add(-onceFor).UTC().Format(time.RFC3339), Limit: 500})
		if err != nil {
			return err
		}
		for _, o := range page.Items {
			if err := onces.Delete(tx, o.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
