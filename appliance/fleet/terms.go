package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"muster/store"
)

// Terms of use in both languages; a change makes a new version.
type Terms struct {
	ID      TermsID           `json:"id"`
	Version int               `json:"version"`
	Text    map[string]string `json:"text"` // language to plain text with blank-line paragraphs
	Created time.Time         `json:"created,omitzero"`
	By      string            `json:"by"`
}

var termsVersions = store.Define("te", func(t *Terms) string { return string(t.ID) })

// termsMost is the longest text of terms, in runes.
const termsMost = 50_000

// presentTerms are the terms in force; ErrNotFound "terms.none" before there are any.
func presentTerms(tx store.Tx) (*Terms, error) {
	id, err := tx.Get(keyTerms)
	if errors.Is(err, store.ErrNotFound) {
		return nil, Refuse(ErrNotFound, "terms.none")
	}
	if err != nil {
		return nil, fmt.Errorf("read terms: %w", err)
	}
	t, err := termsVersions.Get(tx, string(id))
	if err != nil {
		return nil, fmt.Errorf("read terms: %w", err)
	}
	return t, nil
}

// Terms returns the terms in force; everybody may read them. ErrNotFound "terms.none" before set-up.
func (f *Fleet) Terms(ctx context.Context) (*Terms, error) {
	return viewed(ctx, f, func(tx store.Tx) (*Terms, error) {
		return presentTerms(tx)
	})
}

// TermsVersions returns all versions, newest first: whoever accepted an old one can be shown what it said.
func (f *Fleet) TermsVersions(ctx context.Context, a Actor) ([]*Terms, error) {
	if !a.May(TermsEdit) && !a.May(PrivacyRead) {
		if err := need(a, SettingsRead); err != nil {
			return nil, err
		}
	}
	var out []*Terms
	err := f.db.View(ctx, func(tx store.Tx) error {
		return termsVersions.Each(tx, store.Query{Reverse: true}, func(t *Terms) (bool, error) {
			out = append(out, t)
			return true, nil
		})
	})
	return out, err
}

// SaveTerms makes a new version; both languages are required. Unchanged text makes none.
func (f *Fleet) SaveTerms(ctx context.Context, a Actor, text map[string]string) (*Terms, error) {
	if err := need(a, TermsEdit); err != nil {
		return nil, err
	}
	bad := faults{}
	for _, l := range Languages {
		bad.text("text."+l, text[l], 1, termsMost)
	}
	for l := range text {
		bad.oneOf("text."+clip(l, 20), l, Languages)
	}
	if err := bad.refuse("terms.invalid"); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Terms, error) {
		return f.saveTerms(tx, a, text)
	})
}

func (f *Fleet) saveTerms(tx store.Tx, a Actor, text map[string]string) (*Terms, error) {
	old, err := presentTerms(tx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	t := &Terms{ID: TermsID(store.NewID()), Version: 1, Text: maps.Clone(text), Created: f.now().UTC(), By: a.Name}
	var before any
	if old != nil {
		if maps.Equal(old.Text, text) {
			return old, nil
		}
		t.Version, before = old.Version+1, old
	}
	if err := termsVersions.Insert(tx, t); err != nil {
		return nil, fmt.Errorf("save terms: %w", err)
	}
	if err := tx.Put(keyTerms, []byte(t.ID)); err != nil {
		return nil, fmt.Errorf("save terms: %w", err)
	}
	if err := f.recordSave(tx, a, "terms/"+string(t.ID), "", nil, before, t); err != nil {
		return nil, err
	}
	f.publish(tx, "settings", "")
	return t, nil
}
