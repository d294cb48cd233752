package storetest

import (
	"bytes"

	"muster/store"
)

var keyRules = []rule{
	{"a missing key is not found", func(e *env) {
		e.view(func(tx store.Tx) error {
			_, err := tx.Get([]byte("k/none"))
			e.wantErr(err, store.ErrNotFound)
			return nil
		})
	}},
	{"an empty value is a value", func(e *env) {
		e.update(func(tx store.Tx) error { return tx.Put([]byte("k/empty"), nil) })
		e.view(func(tx store.Tx) error {
			v, err := tx.Get([]byte("k/empty"))
			if err != nil || v == nil || len(v) != 0 {
				e.Errorf("got %v, %v, want an empty value", v, err)
			}
			e.wantKeys(tx, store.Prefix([]byte("k/")), "k/empty")
			return nil
		})
	}},
	{"deleting an absent key is no error", func(e *env) {
		e.update(func(tx store.Tx) error { return tx.Delete([]byte("k/none")) })
	}},
	{"a deleted key is gone", func(e *env) {
		e.put("k/a", "k/b")
		e.update(func(tx store.Tx) error { return tx.Delete([]byte("k/a")) })
		e.view(func(tx store.Tx) error {
			_, err := tx.Get([]byte("k/a"))
			e.wantErr(err, store.ErrNotFound)
			e.wantKeys(tx, store.Prefix([]byte("k/")), "k/b")
			return nil
		})
	}},
	{"what is given and got is copied", func(e *env) {
		key, value := []byte("k/copy"), []byte("first")
		e.update(func(tx store.Tx) error {
			if err := tx.Put(key, value); err != nil {
				return err
			}
			got, err := tx.Get(key)
			if err != nil {
				return err
			}
			got[0] = 'X'
			return nil
		})
		copy(value, "other")
		copy(key, "K/COPY")
		e.view(func(tx store.Tx) error {
			got, err := tx.Get([]byte("k/copy"))
			if string(got) != "first" || err != nil {
				e.Errorf("got %q, %v, want first", got, err)
			}
			return nil
		})
	}},
	{"keys and values may hold any bytes", func(e *env) {
		var all []byte
		for i := range 256 {
			all = append(all, byte(i))
		}
		key := append([]byte("k/"), all...)
		e.update(func(tx store.Tx) error { return tx.Put(key, all) })
		e.view(func(tx store.Tx) error {
			got, err := tx.Get(key)
			if !bytes.Equal(got, all) {
				e.Errorf("got %x, %v", got, err)
			}
			return err
		})
	}},
	{"empty and reserved keys are refused", func(e *env) {
		for _, key := range [][]byte{nil, []byte("!badger!x")} {
			err := e.db.Update(e.ctx, func(tx store.Tx) error { return tx.Put(key, nil) })
			e.wantErr(err, store.ErrBadKey)
			err = e.db.View(e.ctx, func(tx store.Tx) error { _, err := tx.Get(key); return err })
			e.wantErr(err, store.ErrBadKey)
		}
	}},
	{"a key of MaxKey bytes fits, a longer one is too big", func(e *env) {
		key := bytes.Repeat([]byte("k"), store.MaxKey+1)
		e.update(func(tx store.Tx) error { return tx.Put(key[:store.MaxKey], nil) })
		e.wantErr(e.db.Update(e.ctx, func(tx store.Tx) error { return tx.Put(key, nil) }), store.ErrTooBig)
	}},
	{"a value just under MaxValue fits, MaxValue is too big", func(e *env) {
		value := make([]byte, store.MaxValue)
		e.update(func(tx store.Tx) error { return tx.Put([]byte("k/v"), value[1:]) })
		e.wantErr(e.db.Update(e.ctx, func(tx store.Tx) error { return tx.Put([]byte("k/v"), value) }), store.ErrTooBig)
	}},
}
