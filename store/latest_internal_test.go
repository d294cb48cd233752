package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestLatestIsTrue holds what the writer remembers against the engine: over many updates, some of which fail after they wrote, and more data than
// is remembered.
func TestLatestIsTrue(t *testing.T) {
	db := openInternal(t)
	random := rand.New(rand.NewPCG(1, 2))
	refused := errors.New("refused")
	key := func() []byte { return fmt.Appendf(nil, "k/%d", random.IntN(300)) }
	sizes := []int{0, 1, 100, 20 << 10, 100 << 10} // nothing, small, so much that the halves turn over, too large to be remembered
	for range 400 {
		touched := [][]byte{key(), key(), key()}
		fail := random.IntN(4) == 0
		err := db.Update(t.Context(), func(tx Tx) error {
			for _, k := range touched {
				if _, err := tx.Get(k); err != nil && !errors.Is(err, ErrNotFound) {
					return err
				}
				var err error
				if random.IntN(4) == 0 {
					err = tx.Delete(k)
				} else {
					err = tx.Put(k, bytes.Repeat([]byte{byte(random.IntN(256))}, sizes[random.IntN(len(sizes))]))
				}
				if err != nil {
					return err
				}
			}
			if fail {
				return refused
			}
			return nil
		})
		if fail != errors.Is(err, refused) || !fail && err != nil {
			t.Fatal(err)
		}
		touched = append(touched, key())
		seen := map[string]string{}
		look := func(tx Tx) error {
			for _, k := range touched {
				v, err := tx.Get(k)
				if err != nil && !errors.Is(err, ErrNotFound) {
					return err
				}
				now := fmt.Sprintf("%x %v", v, err)
				if before, ok := seen[string(k)]; ok && before != now {
					t.Errorf("%s: the writer sees another value than readers", k)
				}
				seen[string(k)] = now
				clear(v) // ours: it must not change what is remembered
			}
			return nil
		}
		if err := errors.Join(db.View(t.Context(), look), db.Update(t.Context(), look), db.Update(t.Context(), look)); err != nil {
			t.Fatal(err)
		}
	}
}
