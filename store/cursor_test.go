package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"muster/store"
)

// FuzzCursor holds that no cursor, however made, brings a panic, an unknown error, or a record outside the query.
func FuzzCursor(f *testing.F) {
	db, ctx := openStore(f, ""), context.Background()
	err := db.Update(ctx, func(tx store.Tx) error {
		for i := range 30 {
			g := &gadget{ID: fmt.Sprintf("%02d", i), Owner: fmt.Sprintf("p%d", i%3), Serial: fmt.Sprintf("s%d", i)}
			if err := gadgets.Insert(tx, g); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	queries := []store.Query{
		{From: "10", To: "20"},
		{Index: "owner", Value: "p1"},
		{Index: "owner", From: "p1", To: "p2"},
		{Index: "serial"},
		{Index: "serial", Value: "s10"},
	}
	var marks [][]byte // what real cursors begin with, so that the fuzzer gets past the check
	for i := range queries {
		queries[i].Limit = 1
		for _, reverse := range []bool{false, true} {
			q := queries[i]
			q.Reverse = reverse
			_ = db.View(ctx, func(tx store.Tx) error {
				page, err := gadgets.List(tx, q)
				if err != nil {
					f.Fatal(err)
				}
				b, _ := base64.RawURLEncoding.DecodeString(page.Next)
				if len(b) >= 7 {
					b = b[:7]
				}
				marks = append(marks, b)
				f.Add(uint8(len(marks)-1), true, []byte("15"))
				f.Add(uint8(len(marks)-1), false, []byte(page.Next))
				return nil
			})
		}
	}
	f.Add(uint8(2), true, []byte{0xff, 0xff})
	f.Add(uint8(4), true, []byte{})
	f.Fuzz(func(t *testing.T, which uint8, marked bool, raw []byte) {
		n := int(which) % len(marks)
		q := queries[n/2]
		q.Reverse = n%2 == 1
		q.Limit = 0
		q.Cursor = string(raw)
		if marked {
			q.Cursor = base64.RawURLEncoding.EncodeToString(append(marks[n][:len(marks[n]):len(marks[n])], raw...))
		}
		_ = db.View(ctx, func(tx store.Tx) error {
			page, err := gadgets.List(tx, q)
			if err != nil {
				if !errors.Is(err, store.ErrBadCursor) {
					t.Errorf("got %v", err)
				}
				return nil
			}
			for _, g := range page.Items {
				ok := true
				switch n / 2 {
				case 0:
					ok = g.ID >= "10" && g.ID < "20"
				case 1, 2:
					ok = g.Owner == "p1"
				case 4:
					ok = g.Serial == "s10"
				}
				if !ok {
					t.Errorf("%+v is outside %+v", g, q)
				}
			}
			return nil
		})
	})
}
