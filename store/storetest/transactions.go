package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"muster/store"
)

// add adds one to the number at key and returns the sum.
func add(tx store.Tx, key string) (uint64, error) {
	b, err := tx.Get([]byte(key))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	var n uint64
	if len(b) == 8 {
		n = binary.BigEndian.Uint64(b)
	}
	return n + 1, tx.Put([]byte(key), binary.BigEndian.AppendUint64(nil, n+1))
}

var transactionRules = []rule{
	{"a view cannot write and has no hooks", func(e *env) {
		e.view(func(tx store.Tx) error {
			if tx.Writable() {
				e.Error("a view says that it is writable")
			}
			e.wantErr(tx.Put([]byte("k"), nil), store.ErrReadOnly)
			e.wantErr(tx.Delete([]byte("k")), store.ErrReadOnly)
			tx.OnCommit(func() { e.Error("a hook ran after a view") })
			return nil
		})
	}},
	{"a view is a snapshot", func(e *env) {
		e.put("k/a")
		e.view(func(tx store.Tx) error {
			e.put("k/b")
			e.wantKeys(tx, store.Prefix([]byte("k/")), "k/a")
			_, err := tx.Get([]byte("k/b"))
			e.wantErr(err, store.ErrNotFound)
			return nil
		})
	}},
	{"a failed update leaves nothing and runs no hook", func(e *env) {
		boom := errors.New("boom")
		err := e.db.Update(e.ctx, func(tx store.Tx) error {
			tx.OnCommit(func() { e.Error("a hook ran after a failure") })
			if err := tx.Put([]byte("k/a"), nil); err != nil {
				return err
			}
			return boom
		})
		e.wantErr(err, boom)
		e.view(func(tx store.Tx) error { e.wantKeys(tx, store.Prefix([]byte("k/"))); return nil })
	}},
	{"a panicking update leaves nothing and gives an error", func(e *env) {
		err := e.db.Update(e.ctx, func(tx store.Tx) error {
			if err := tx.Put([]byte("k/a"), nil); err != nil {
				return err
			}
			panic("ouch")
		})
		var p *store.PanicError
		if !errors.As(err, &p) || p.Value != "ouch" || len(p.Stack) == 0 {
			e.Errorf("got %v, want a PanicError with value and stack", err)
		}
		e.view(func(tx store.Tx) error { e.wantKeys(tx, store.Prefix([]byte("k/"))); return nil })
		e.put("k/b") // the store lives
	}},
	{"a transaction is of no use after its function", func(e *env) {
		e.put("k/a")
		var kept [2]store.Tx
		e.update(func(tx store.Tx) error { kept[0] = tx; return nil })
		e.view(func(tx store.Tx) error { kept[1] = tx; return nil })
		for _, tx := range kept {
			_, err := tx.Get([]byte("k/a"))
			e.wantErr(err, store.ErrTxDone)
			e.wantErr(tx.Scan(store.Range{}, func(_, _ []byte) (bool, error) { return true, nil }), store.ErrTxDone)
		}
		e.wantErr(kept[0].Put([]byte("k/b"), nil), store.ErrTxDone)
		e.view(func(tx store.Tx) error { e.wantKeys(tx, store.Prefix([]byte("k/")), "k/a"); return nil })
	}},
	{"a hook sees the commit, before Update returns", func(e *env) {
		ran := false
		e.update(func(tx store.Tx) error {
			tx.OnCommit(func() {
				ran = true
				e.view(func(tx store.Tx) error { e.wantKeys(tx, store.Prefix([]byte("k/")), "k/a"); return nil })
			})
			return tx.Put([]byte("k/a"), nil)
		})
		if !ran {
			e.Error("the hook did not run")
		}
	}},
	{"a panicking hook harms nobody", func(e *env) {
		ran := false
		e.update(func(tx store.Tx) error {
			tx.OnCommit(func() { panic("in a hook") })
			tx.OnCommit(func() { ran = true })
			return tx.Put([]byte("k/a"), nil)
		})
		if !ran {
			e.Error("the second hook did not run")
		}
		e.put("k/b")
	}},
	{"parallel counting loses nothing, hooks run once and in commit order", func(e *env) {
		const writers, rounds = 8, 40
		var mu sync.Mutex
		var order []uint64
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range rounds {
					err := e.db.Update(e.ctx, func(tx store.Tx) error {
						n, err := add(tx, "n")
						tx.OnCommit(func() {
							mu.Lock()
							defer mu.Unlock()
							order = append(order, n)
						})
						return err
					})
					if err != nil {
						e.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if len(order) != writers*rounds || !slices.IsSorted(order) || order[len(order)-1] != writers*rounds {
			e.Errorf("hooks saw %v", order)
		}
	}},
	{"scans of parallel updates and views agree with what was moved", func(e *env) {
		const movers, rounds, coins = 8, 40, 16
		place := func(coin, n int) []byte { return fmt.Appendf(nil, "coin/%d/%02d", n, coin) } // a coin moves by getting another key
		e.update(func(tx store.Tx) error {
			for coin := range coins {
				if err := tx.Put(place(coin, 0), nil); err != nil {
					return err
				}
			}
			return nil
		})
		find := func(tx store.Tx) (at map[int]int, err error) {
			at = map[int]int{}
			err = tx.Scan(store.Prefix([]byte("coin/")), func(key, _ []byte) (bool, error) {
				var n, coin int
				if _, err := fmt.Sscanf(string(key), "coin/%d/%d", &n, &coin); err != nil {
					return false, err
				}
				if _, twice := at[coin]; twice {
					return false, fmt.Errorf("coin %d is in two places", coin)
				}
				at[coin] = n
				return true, nil
			})
			if err == nil && len(at) != coins {
				err = fmt.Errorf("%d coins, want %d", len(at), coins)
			}
			return at, err
		}
		var wg sync.WaitGroup
		for m := range movers {
			wg.Go(func() {
				for i := range rounds {
					coin := (m*5 + i*3) % coins
					err := e.db.Update(e.ctx, func(tx store.Tx) error {
						at, err := find(tx)
						if err != nil {
							return err
						}
						if err := tx.Delete(place(coin, at[coin])); err != nil {
							return err
						}
						return tx.Put(place(coin, at[coin]+1), nil)
					})
					if err != nil {
						e.Error(err)
					}
					e.view(func(tx store.Tx) error { _, err := find(tx); return err })
				}
			})
		}
		wg.Wait()
		e.view(func(tx store.Tx) error {
			at, err := find(tx)
			moves := 0
			for _, n := range at {
				moves += n
			}
			if moves != movers*rounds {
				e.Errorf("%d moves, want %d", moves, movers*rounds)
			}
			return err
		})
	}},
	{"a failing update takes no neighbour with it", func(e *env) {
		const writers, rounds = 8, 30
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					err := e.db.Update(e.ctx, func(tx store.Tx) error {
						if _, err := add(tx, "n"); err != nil {
							return err
						}
						switch {
						case w == 0:
							return context.DeadlineExceeded
						case w == 1:
							panic(i)
						}
						return nil
					})
					if (err == nil) != (w > 1) {
						e.Errorf("writer %d: %v", w, err)
					}
				}
			})
		}
		wg.Wait()
		e.view(func(tx store.Tx) error {
			b, err := tx.Get([]byte("n"))
			if got := binary.BigEndian.Uint64(b); got != (writers-2)*rounds {
				e.Errorf("got %d, want %d", got, (writers-2)*rounds)
			}
			return err
		})
	}},
	{"updates too many for one commit are split, and each counts once", func(e *env) {
		const writers, rounds, size = 8, 4, 300_000
		var hooks, runs atomic.Int64
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					err := e.db.Update(e.ctx, func(tx store.Tx) error {
						runs.Add(1)
						tx.OnCommit(func() { hooks.Add(1) })
						if err := tx.Put([]byte("big/"+strconv.Itoa(w*rounds+i)), make([]byte, size)); err != nil {
							return err
						}
						_, err := add(tx, "n")
						return err
					})
					if err != nil {
						e.Error(err)
					}
				}
			})
		}
		wg.Wait()
		e.Logf("%d runs for %d updates", runs.Load(), writers*rounds)
		e.view(func(tx store.Tx) error {
			b, err := tx.Get([]byte("n"))
			if got := binary.BigEndian.Uint64(b); got != writers*rounds || hooks.Load() != writers*rounds {
				e.Errorf("counted %d, hooks %d, want %d", got, hooks.Load(), writers*rounds)
			}
			return err
		})
	}},
	{"a transaction that is too big is refused whole, even if its function does not mind", func(e *env) {
		var first error
		err := e.db.Update(e.ctx, func(tx store.Tx) error {
			for i := range 128 {
				if err := tx.Put([]byte("k/"+strconv.Itoa(i)), make([]byte, 64<<10)); err != nil {
					first = err
					break
				}
			}
			return nil
		})
		e.wantErr(first, store.ErrTooBig)
		e.wantErr(err, store.ErrTooBig)
		e.view(func(tx store.Tx) error { e.wantKeys(tx, store.Prefix([]byte("k/"))); return nil })
	}},
	{"a context that has ended runs nothing", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		fn := func(store.Tx) error { e.Error("it ran"); return nil }
		e.wantErr(e.db.Update(ctx, fn), context.Canceled)
		e.wantErr(e.db.View(ctx, fn), context.Canceled)
	}},
	{"a context that ends while the function runs does not hide the outcome", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		err := e.db.Update(ctx, func(tx store.Tx) error { cancel(); return tx.Put([]byte("k/a"), nil) })
		committed := false
		e.view(func(tx store.Tx) error {
			_, err := tx.Get([]byte("k/a"))
			committed = err == nil
			return nil
		})
		if (err == nil) != committed {
			e.Errorf("Update says %v, but committed is %v", err, committed)
		}
	}},
	{"a view whose context ends stops scanning", func(e *env) {
		e.update(func(tx store.Tx) error {
			for i := range 1000 {
				if err := tx.Put([]byte("k/"+number(i)), nil); err != nil {
					return err
				}
			}
			return nil
		})
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel()
		err := e.db.View(ctx, func(tx store.Tx) error {
			return tx.Scan(store.Prefix([]byte("k/")), func(_, _ []byte) (bool, error) { cancel(); return true, nil })
		})
		e.wantErr(err, context.Canceled)
	}},
}
