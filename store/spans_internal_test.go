package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSpansAreTrue holds what the writer remembers of ranges against a scan of the engine in the same update: many writers at once, small ranges and
// large ones, updates that fail after they wrote, and a disk that refuses a commit now and then.
func TestSpansAreTrue(t *testing.T) {
	var commits atomic.Int64
	var mended atomic.Bool
	db, err := Open(t.TempDir(), Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32), Small: true, Reserve: 400,
		Free: func() (uint64, error) {
			if !mended.Load() && commits.Add(1)%19 == 0 {
				return 300, nil
			}
			return 1000, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	refused := errors.New("refused")
	prefixes := [][]byte{[]byte("r/a/"), []byte("r/b/"), []byte("r/c/"), []byte("ix/c/i/v/w\x00\x01"), []byte("ix/c/i/v\x00\x01"), []byte("r/"), []byte("ix/c/i/")}
	list := func(tx Tx, r Range, prefix []byte) (out []string, err error) {
		err = tx.Scan(r, func(k, v []byte) (bool, error) {
			if bytes.HasPrefix(k, prefix) {
				out = append(out, fmt.Sprintf("%q=%q", k, v))
			}
			return true, nil
		})
		return out, err
	}
	compare := func(tx Tx) error {
		for _, p := range prefixes {
			for _, reverse := range []bool{false, true} {
				r := Prefix(p)
				r.Reverse = reverse
				got, err := list(tx, r, p)
				if err != nil {
					return err
				}
				r.End = append(r.End, 0) // not of the kind that is remembered
				want, err := list(tx, r, p)
				if err != nil {
					return err
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%q, reverse %v: remembered %v, in the engine %v", p, reverse, got, want)
				}
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 3))
			for range 150 {
				fail := random.IntN(5) == 0
				err := db.Update(t.Context(), func(tx Tx) error {
					for range 1 + random.IntN(4) {
						p := prefixes[random.IntN(5)]
						k := fmt.Appendf(bytes.Clone(p), "%d", random.IntN([]int{6, 40}[random.IntN(2)]))
						var err error
						if random.IntN(3) == 0 {
							err = tx.Delete(k)
						} else {
							err = tx.Put(k, fmt.Append(nil, random.IntN(1000)))
						}
						if err != nil {
							return err
						}
						if random.IntN(3) == 0 {
							if err := compare(tx); err != nil {
								return err
							}
						}
					}
					if fail {
						return refused
					}
					return compare(tx)
				})
				if err != nil && !errors.Is(err, refused) && !errors.Is(err, ErrNoRoom) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// A refused commit forgets everything, and the last one may have been refused: what is remembered is looked at after one that cannot be.
	mended.Store(true)
	if err := db.Update(t.Context(), compare); err != nil {
		t.Fatal(err)
	}
	for _, p := range prefixes {
		if db.combiner.spans.get(p) == nil {
			t.Errorf("what %q holds was not remembered", p)
		}
	}
}
