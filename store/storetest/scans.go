package storetest

import (
	"errors"

	"muster/store"
)

var scanRules = []rule{
	{"keys come in byte order, and in reverse", func(e *env) {
		e.put("s/b", "s/a", "s/\xff", "s/", "s/a\x00", "s/aa", "t/z", "r/z")
		e.view(func(tx store.Tx) error {
			e.wantKeys(tx, store.Prefix([]byte("s/")), "s/", "s/a", "s/a\x00", "s/aa", "s/b", "s/\xff")
			e.wantKeys(tx, reversed(store.Prefix([]byte("s/"))), "s/\xff", "s/b", "s/aa", "s/a\x00", "s/a", "s/")
			return nil
		})
	}},
	{"the start is included, the end is not", func(e *env) {
		e.put("s/a", "s/b", "s/c", "s/d")
		e.view(func(tx store.Tx) error {
			e.wantKeys(tx, between("s/b", "s/d"), "s/b", "s/c")
			e.wantKeys(tx, reversed(between("s/b", "s/d")), "s/c", "s/b")
			e.wantKeys(tx, between("s/b", "s/cc"), "s/b", "s/c")
			e.wantKeys(tx, reversed(between("s/b", "s/cc")), "s/c", "s/b")
			e.wantKeys(tx, between("s/c", "s/b"))
			e.wantKeys(tx, reversed(between("s/c", "s/c")))
			return nil
		})
	}},
	{"an open range reaches the last key", func(e *env) {
		e.put("z/a", "\xff\xff", "\xff\xff\x01")
		e.view(func(tx store.Tx) error {
			e.wantKeys(tx, store.Range{Start: []byte("z/")}, "z/a", "\xff\xff", "\xff\xff\x01")
			e.wantKeys(tx, store.Range{Start: []byte("z/"), Reverse: true}, "\xff\xff\x01", "\xff\xff", "z/a")
			e.wantKeys(tx, store.Prefix([]byte("\xff")), "\xff\xff", "\xff\xff\x01")
			e.wantKeys(tx, reversed(store.Prefix([]byte("\xff\xff"))), "\xff\xff\x01", "\xff\xff")
			return nil
		})
	}},
	{"own writes are seen", func(e *env) {
		e.put("s/b", "s/d", "s/f")
		e.update(func(tx store.Tx) error {
			for _, k := range []string{"s/a", "s/d", "s/e", "s/g"} {
				if err := tx.Put([]byte(k), []byte("new")); err != nil {
					return err
				}
			}
			if err := tx.Delete([]byte("s/b")); err != nil {
				return err
			}
			if err := tx.Delete([]byte("s/e")); err != nil {
				return err
			}
			e.wantKeys(tx, store.Prefix([]byte("s/")), "s/a", "s/d", "s/f", "s/g")
			e.wantKeys(tx, reversed(store.Prefix([]byte("s/"))), "s/g", "s/f", "s/d", "s/a")
			e.wantKeys(tx, between("s/b", "s/g"), "s/d", "s/f")
			e.wantKeys(tx, reversed(between("s/d", "s/g")), "s/f", "s/d")
			return tx.Scan(between("s/d", "s/e"), func(_, value []byte) (bool, error) {
				if string(value) != "new" {
					e.Errorf("own value: got %q, want new", value)
				}
				return true, nil
			})
		})
		e.view(func(tx store.Tx) error {
			e.wantKeys(tx, store.Prefix([]byte("s/")), "s/a", "s/d", "s/f", "s/g")
			return nil
		})
	}},
	{"writes during a scan do not change what it finds", func(e *env) {
		e.put("s/a", "s/b", "s/c")
		e.update(func(tx store.Tx) error {
			if err := tx.Put([]byte("s/d"), nil); err != nil {
				return err
			}
			var got string
			err := tx.Scan(store.Prefix([]byte("s/")), func(key, _ []byte) (bool, error) {
				got += string(key[2:])
				if err := tx.Put(append([]byte("s/x"), key...), nil); err != nil {
					return false, err
				}
				if err := tx.Delete([]byte("s/d")); err != nil {
					return false, err
				}
				return true, tx.Delete(key)
			})
			if got != "abcd" {
				e.Errorf("scan found %q, want abcd", got)
			}
			e.wantKeys(tx, store.Prefix([]byte("s/")), "s/xs/a", "s/xs/b", "s/xs/c", "s/xs/d")
			return err
		})
	}},
	{"scans nest", func(e *env) {
		e.put("s/a", "s/b")
		e.update(func(tx store.Tx) error {
			if err := tx.Put([]byte("s/c"), nil); err != nil {
				return err
			}
			pairs := 0
			err := tx.Scan(store.Prefix([]byte("s/")), func(_, _ []byte) (bool, error) {
				return true, tx.Scan(reversed(store.Prefix([]byte("s/"))), func(_, _ []byte) (bool, error) {
					pairs++
					return true, nil
				})
			})
			if pairs != 9 {
				e.Errorf("got %d pairs, want 9", pairs)
			}
			return err
		})
	}},
	{"a scan ends when told, and with the error it is given", func(e *env) {
		e.put("s/a", "s/b", "s/c")
		boom := errors.New("boom")
		e.view(func(tx store.Tx) error {
			n := 0
			err := tx.Scan(store.Prefix([]byte("s/")), func(_, _ []byte) (bool, error) { n++; return n < 2, nil })
			if n != 2 || err != nil {
				e.Errorf("got %d keys and %v, want 2 and none", n, err)
			}
			err = tx.Scan(store.Prefix([]byte("s/")), func(_, _ []byte) (bool, error) { return true, boom })
			e.wantErr(err, boom)
			return nil
		})
	}},
}
