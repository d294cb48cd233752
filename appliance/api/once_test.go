package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
	"muster/ui/words"
)

// A request with a key is done once, whatever happens on the way: whoever went away before the answer gets it when he asks again, and what broke in the middle
// is not begun anew.
func TestOnceWhateverHappens(t *testing.T) {
	db, err := store.Open(t.TempDir(), store.Options{Key: bytes.Repeat([]byte{1}, 32), SecretsKey: bytes.Repeat([]byte{2}, 32), Small: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	authority, err := pki.Open(t.Context(), db, pki.Config{Organisation: "Example"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(fleet.Config{DB: db, PKI: authority})
	if err != nil {
		t.Fatal(err)
	}
	say, err := words.Load(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Config{Fleet: f, Words: say, Logger: slog.New(slog.DiscardHandler)}}
	done := 0
	ask := func(key string, do func(cancel func()) error) *httptest.ResponseRecorder {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := httptest.NewRequest("POST", "/api/v1/x", strings.NewReader("{}")).WithContext(ctx)
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		s.once(w, r, &call{server: s, Request: r, Actor: fleet.Job("test"), w: w}, route{Status: created, Do: func(context.Context, *call) (any, error) {
			done++
			return map[string]int{"n": done}, do(cancel)
		}})
		return w
	}
	goesAway := func(cancel func()) error { cancel(); return nil }
	if first, again := ask("a", goesAway), ask("a", goesAway); again.Code != http.StatusCreated || again.Body.String() != first.Body.String() || done != 1 {
		t.Errorf("after going away: %d %s, done %d times", again.Code, again.Body, done)
	}
	breaks := func(cancel func()) error { cancel(); return errors.New("the network broke") }
	if first, again := ask("b", breaks), ask("b", breaks); first.Code != 500 || again.Code != 409 || !strings.Contains(again.Body.String(), "once.outcome-unknown") || done != 2 {
		t.Errorf("after breaking: %d, then %d %s, done %d times", first.Code, again.Code, again.Body, done)
	}
	refused := func(func()) error { return fleet.Refuse(fleet.ErrInvalid, "once.key-too-long") }
	if first, again := ask("c", refused), ask("c", goesAway); first.Code != 422 || again.Code != http.StatusCreated {
		t.Errorf("after a refusal: %d, then %d", first.Code, again.Code)
	}
}
