package store_test

import (
	"bytes"
	"errors"
	"testing"

	"muster/store"
)

func TestSealedSecretOpensOnlyWhereItBelongs(t *testing.T) {
	s := openStore(t, "").Sealer()
	for _, plain := range [][]byte{[]byte("a secret"), {}, make([]byte, 4096)} {
		sealed := s.Seal("escrow", "one", plain)
		got, err := s.Open("escrow", "one", sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %q, %v, want %q", got, err, plain)
		}
		if len(plain) > 4 && bytes.Contains(sealed, plain[:4]) {
			t.Error("the sealed form shows the plain one")
		}
		if bytes.Equal(sealed, s.Seal("escrow", "one", plain)) {
			t.Error("sealing twice gave the same bytes")
		}
		for _, place := range [][2]string{{"escrow", "two"}, {"other", "one"}, {"escro", "wone"}, {"", "escrow\x00one"}} {
			if _, err := s.Open(place[0], place[1], sealed); !errors.Is(err, store.ErrUnsealable) {
				t.Errorf("opened as %q: %v, want ErrUnsealable", place, err)
			}
		}
		for i := range min(len(sealed), 64) {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := s.Open("escrow", "one", bad); !errors.Is(err, store.ErrUnsealable) {
				t.Errorf("byte %d changed: %v, want ErrUnsealable", i, err)
			}
		}
		for _, n := range []int{0, 1, 24, 40, len(sealed) - 1} {
			if _, err := s.Open("escrow", "one", sealed[:n]); !errors.Is(err, store.ErrUnsealable) {
				t.Errorf("cut to %d bytes: %v, want ErrUnsealable", n, err)
			}
		}
	}
}

func TestSealedSecretNeedsItsKey(t *testing.T) {
	sealed := openStore(t, "").Sealer().Seal("escrow", "one", []byte("secret"))
	o := testOptions()
	o.SecretsKey = bytes.Repeat([]byte{3}, 32)
	db, err := store.Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Sealer().Open("escrow", "one", sealed); !errors.Is(err, store.ErrUnsealable) {
		t.Errorf("got %v, want ErrUnsealable", err)
	}
}
