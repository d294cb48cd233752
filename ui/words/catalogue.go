package words

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sort"
	"strings"
	"sync"
	"time"
)

//go:embed en/*.json nl/*.json
var files embed.FS

// Args are the values for a text's placeholders.
type Args map[string]any

// text is one entry of the catalogue. For a text that does not count, one is
// empty and other holds it.
type text struct{ one, other string }

// texts are the entries of one language by key.
type texts map[string]text

// embedded parses the files of the binary once; the result never changes.
var embedded = sync.OnceValues(func() (map[Lang]texts, error) { return parse(files) })

// Catalogue gives texts in every language. It is safe for concurrent use.
type Catalogue struct {
	byLang  map[Lang]texts
	log     *slog.Logger
	missing sync.Map // key → struct{}; what has been logged already
}

// Load returns the catalogue embedded in the binary. Missing keys are reported
// to log once each; nil discards them. An error means that a file is not valid,
// which the package's tests rule out for a released binary.
func Load(log *slog.Logger) (*Catalogue, error) {
	byLang, err := embedded()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Catalogue{byLang: byLang, log: log}, nil
}

// Has reports whether every language has a text for key. Packages that define
// codes use it in their tests: words.Has("reason." + code).
func Has(key string) bool {
	byLang, err := embedded()
	if err != nil {
		return false
	}
	for _, lang := range Langs() {
		if _, ok := byLang[lang][key]; !ok {
			return false
		}
	}
	return true
}

// Keys returns every key with the prefix, sorted.
func Keys(prefix string) []string {
	byLang, err := embedded()
	if err != nil {
		return nil
	}
	var keys []string
	for k := range byLang[English] {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

// Has reports whether the catalogue has key in lang.
func (c *Catalogue) Has(lang Lang, key string) bool {
	_, ok := c.byLang[lang][key]
	return ok
}

// T returns the text for key in lang with args filled in. A key that is missing
// in lang is taken from English; one missing there too is returned as it is and
// logged. Relative times count from the present moment; use a Printer to choose
// another clock or time zone.
func (c *Catalogue) T(lang Lang, key string, args Args) string {
	return c.Printer(lang, nil, nil).T(key, args)
}

// N returns the text for key that fits n things; {n} is filled with n.
func (c *Catalogue) N(lang Lang, key string, n int, args Args) string {
	return c.Printer(lang, nil, nil).N(key, n, args)
}

// Reason returns the sentence for a reason code, filled with args, followed by
// the device's own words when there are any.
func (c *Catalogue) Reason(lang Lang, code string, args Args, deviceWords string) string {
	return c.Printer(lang, nil, nil).Reason(code, args, deviceWords)
}

// Printer returns a Printer for lang. A nil now means time.Now, a nil loc
// time.Local. A language that the catalogue does not know becomes English.
func (c *Catalogue) Printer(lang Lang, now func() time.Time, loc *time.Location) *Printer {
	if _, ok := c.byLang[lang]; !ok {
		lang = English
	}
	if now == nil {
		now = time.Now
	}
	if loc == nil {
		loc = time.Local
	}
	return &Printer{cat: c, lang: lang, now: now, loc: loc}
}

func (c *Catalogue) find(lang Lang, key string) (text, bool) {
	if t, ok := c.byLang[lang][key]; ok {
		return t, true
	}
	if _, seen := c.missing.LoadOrStore(string(lang)+" "+key, struct{}{}); !seen {
		c.log.Error("text missing", "lang", string(lang), "key", key)
	}
	t, ok := c.byLang[English][key]
	return t, ok
}

// parse reads every language's files. A key may occur once only.
func parse(fsys fs.FS) (map[Lang]texts, error) {
	byLang := map[Lang]texts{}
	for _, lang := range Langs() {
		names, err := fs.Glob(fsys, path.Join(string(lang), "*.json"))
		if err != nil {
			return nil, err
		}
		all := texts{}
		for _, name := range names {
			if err := parseFile(fsys, name, all); err != nil {
				return nil, fmt.Errorf("read texts %s: %w", name, err)
			}
		}
		byLang[lang] = all
	}
	return byLang, nil
}

// parseFile adds the texts of one file to all.
func parseFile(fsys fs.FS, name string, all texts) error {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return fmt.Errorf("not a JSON object: %v", err)
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		key := tok.(string) // an object's keys are strings
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		entry, err := parseText(value)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if _, twice := all[key]; twice {
			return fmt.Errorf("%s: defined twice", key)
		}
		all[key] = entry
	}
	_, err = dec.Token()
	return err
}

func parseText(value json.RawMessage) (text, error) {
	var plain string
	if json.Unmarshal(value, &plain) == nil {
		return text{other: plain}, nil
	}
	var forms struct{ One, Other string }
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&forms); err != nil {
		return text{}, err
	}
	if forms.One == "" || forms.Other == "" {
		return text{}, fmt.Errorf("a counted text needs one and other")
	}
	return text{one: forms.One, other: forms.Other}, nil
}
