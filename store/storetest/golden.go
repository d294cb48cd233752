package storetest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"muster/store"
)

// A golden file holds one store: a line for each key, in key order, of the key and the value, each in Go's
// quotes, backquotes where that is possible. The store's own records ("meta/") are left out.

// Load writes what the golden file at path holds to s.
func Load(t testing.TB, s Store, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		for n, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			key, rest, err := unquote(line)
			if err != nil {
				return fmt.Errorf("%s line %d: %w", path, n+1, err)
			}
			value, _, err := unquote(rest)
			if err != nil {
				return fmt.Errorf("%s line %d: %w", path, n+1, err)
			}
			if err := tx.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Compare fails the test unless s holds exactly what the golden file at path does, and then prints what it
// holds, in the form of such a file.
func Compare(t testing.TB, s Store, path string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := Dump(t, s)
	if strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
		t.Errorf("the store differs from %s; it holds\n%s", path, got)
	}
}

// Dump returns what s holds, in the form of a golden file.
func Dump(t testing.TB, s Store) string {
	t.Helper()
	var out strings.Builder
	err := s.View(t.Context(), func(tx store.Tx) error {
		return tx.Scan(store.Range{}, func(key, value []byte) (bool, error) {
			if !bytes.HasPrefix(key, []byte("meta/")) {
				fmt.Fprintf(&out, "%s %s\n", quote(key), quote(value))
			}
			return true, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func quote(b []byte) string {
	if s := string(b); strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.QuoteToASCII(string(b))
}

// unquote takes the first quoted word of s.
func unquote(s string) (word, rest string, err error) {
	s = strings.TrimSpace(s)
	q, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	word, err = strconv.Unquote(q)
	return word, s[len(q):], err
}
