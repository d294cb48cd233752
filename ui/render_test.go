package ui

import (
	"errors"
	"html/template"
	"io"
	"testing"

	"muster/ui/words"
)

// Every page of either language can be escaped for the places that its values stand in, and calls only templates that there are: otherwise that would show
// when somebody opens it.
func TestEveryPageCanBeEscaped(t *testing.T) {
	cat, err := words.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRenderer(cat, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for lang, pages := range r.pages {
		if len(pages) < 50 {
			t.Errorf("%s has only %d pages", lang, len(pages))
		}
		for name, page := range pages {
			err := page.Execute(io.Discard, &Page{})
			if bad := new(template.Error); errors.As(err, &bad) {
				t.Errorf("%s in %s: %v", name, lang, err)
			}
		}
	}
}
