package fleet

import (
	"context"

	"muster/store"
)

// viewed gives what fn finds in one snapshot of the store, or nothing with its error.
func viewed[T any](ctx context.Context, f *Fleet, fn func(store.Tx) (T, error)) (T, error) {
	return transact(ctx, f.db.View, fn)
}

// updated gives what fn made in one transaction once that is durable, or nothing with its error. fn may run again.
func updated[T any](ctx context.Context, f *Fleet, fn func(store.Tx) (T, error)) (T, error) {
	return transact(ctx, f.db.Update, fn)
}

func transact[T any](ctx context.Context, run func(context.Context, func(store.Tx) error) error, fn func(store.Tx) (T, error)) (T, error) {
	var out T
	err := run(ctx, func(tx store.Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}
