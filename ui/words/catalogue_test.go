package words_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/ui/words"
)

// formsOf reads one file as the translators see it: key → form → text.
func formsOf(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(raw, &values); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	out := map[string]map[string]string{}
	for key, v := range values {
		forms := map[string]string{}
		switch v := v.(type) {
		case string:
			forms["text"] = v
		case map[string]any:
			for form, s := range v {
				forms[form], _ = s.(string)
			}
		default:
			t.Errorf("%s: %s is neither a text nor its forms", name, key)
		}
		out[key] = forms
	}
	return out
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

func placeholders(forms map[string]string) []string {
	var names []string
	for _, s := range forms {
		for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
			name, _, _ := strings.Cut(m[1], "|")
			if name != "n" { // "yesterday" need not say 1
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestLanguagesAreComplete(t *testing.T) {
	base, err := fs.Glob(os.DirFS("."), "en/*.json")
	if err != nil || len(base) == 0 {
		t.Fatalf("no English files: %v", err)
	}
	for _, lang := range words.Langs()[1:] {
		theirs, _ := filepath.Glob(filepath.Join(string(lang), "*.json"))
		if len(theirs) != len(base) {
			t.Errorf("%s has %d files, English %d", lang, len(theirs), len(base))
		}
		for _, name := range base {
			en := formsOf(t, name)
			other := formsOf(t, filepath.Join(string(lang), filepath.Base(name)))
			for key, want := range en {
				got, ok := other[key]
				if !ok {
					t.Errorf("%s lacks %s (%s)", lang, key, name)
					continue
				}
				if len(got) != len(want) {
					t.Errorf("%s %s: counts in one language only", lang, key)
				}
				if g, w := placeholders(got), placeholders(want); !reflect.DeepEqual(g, w) {
					t.Errorf("%s %s: placeholders %v, English has %v", lang, key, g, w)
				}
			}
			for key := range other {
				if _, ok := en[key]; !ok {
					t.Errorf("%s %s is not in English (%s)", lang, key, name)
				}
			}
			for l, forms := range map[words.Lang]map[string]map[string]string{words.English: en, lang: other} {
				for key, f := range forms {
					for form, s := range f {
						if strings.TrimSpace(s) == "" {
							t.Errorf("%s %s: %s is empty", l, key, form)
						}
						if strings.Count(s, "{") != strings.Count(s, "}") {
							t.Errorf("%s %s: braces do not match", l, key)
						}
						if strings.ContainsAny(s, "<>") {
							t.Errorf("%s %s: markup does not belong in a text", l, key)
						}
					}
				}
			}
		}
	}
}

// Both languages quote “like this”. An apostrophe is ’, which therefore can never close a quotation.
func TestQuotationMarks(t *testing.T) {
	for _, lang := range words.Langs() {
		files, err := filepath.Glob(filepath.Join(string(lang), "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s: %v", lang, err)
		}
		for _, name := range files {
			for key, forms := range formsOf(t, name) {
				for _, s := range forms {
					if strings.ContainsAny(s, `‘‚„«»"'`) {
						t.Errorf("%s %s: quotes otherwise than “so”: %s", lang, key, s)
					}
					if strings.Count(s, "“") != strings.Count(s, "”") {
						t.Errorf("%s %s: quotation marks do not match: %s", lang, key, s)
					}
					if strings.Contains(s, " …") && !strings.Contains(s, "… ") {
						t.Errorf("%s %s: a blank before the dots: %s", lang, key, s)
					}
				}
			}
		}
	}
}

// Whose device it is, is in Dutch a “persoon”; a “gebruiker” is an account of a computer, as in English a user is. Compounds are fixed terms:
// gebruikersgroep, gebruikersaccount.
func TestEveryPersonHasOneOfTheWords(t *testing.T) {
	dutch, english := regexp.MustCompile(`(?i)\bgebruikers?\b`), regexp.MustCompile(`(?i)\busers?\b`)
	files, err := filepath.Glob("nl/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		en := formsOf(t, filepath.Join("en", filepath.Base(name)))
		for key, forms := range formsOf(t, name) {
			for form, s := range forms {
				if dutch.MatchString(s) && !english.MatchString(en[key][form]) {
					t.Errorf("%s: “gebruiker” for what is no user in English: %s", key, s)
				}
			}
		}
	}
}

// A format word:PREFIX looks a code up, so that there must be words of that prefix.
func TestLookUpsHaveWords(t *testing.T) {
	files, err := filepath.Glob("en/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no English files: %v", err)
	}
	var keys []string
	asked := map[string]string{}
	for _, name := range files {
		for key, forms := range formsOf(t, name) {
			keys = append(keys, key)
			for _, s := range forms {
				for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
					if _, prefix, ok := strings.Cut(m[1], "|word:"); ok {
						asked[prefix] = key
					}
				}
			}
		}
	}
	if len(asked) < 10 {
		t.Errorf("only %d prefixes found: the pattern no longer fits", len(asked))
	}
	for prefix, by := range asked {
		if !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, prefix+".") }) {
			t.Errorf("%s looks up words of %q, and there are none", by, prefix)
		}
	}
}

func load(t *testing.T, log *slog.Logger) *words.Catalogue {
	t.Helper()
	c, err := words.Load(log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMissingKeyIsShownAndLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	c := load(t, slog.New(slog.NewTextHandler(&out, nil)))
	for range 3 {
		if got := c.T(words.Dutch, "no.such.key", words.Args{"a": 1}); got != "no.such.key" {
			t.Errorf("got %q, want the key", got)
		}
		if got := c.N(words.Dutch, "no.such.count", 2, nil); got != "no.such.count" {
			t.Errorf("got %q, want the key", got)
		}
	}
	if n := strings.Count(out.String(), "no.such.key"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, out.String())
	}
	if words.Has("no.such.key") || !words.Has("words.none") {
		t.Error("Has does not tell missing from present")
	}
}

func TestUnfilledPlaceholderStaysVisible(t *testing.T) {
	c := load(t, nil)
	if got := c.T(words.English, "words.and", words.Args{"first": "a"}); got != "a and {last}" {
		t.Errorf("got %q", got)
	}
}

func TestFormats(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := load(t, nil)
	en := c.Printer(words.English, func() time.Time { return now }, time.UTC)
	nl := c.Printer(words.Dutch, func() time.Time { return now }, time.UTC)
	for _, tc := range []struct{ name, got, want string }{
		{"date and time", en.DateTime(now), "1 March 2026, 12:00"},
		{"date and time, Dutch", nl.DateTime(now), "1 maart 2026 om 12:00"},
		{"short day", nl.DayMonth(now), "1 mrt"},
		{"never", en.Ago(time.Time{}), "never"},
		{"just now", en.Ago(now.Add(-20 * time.Second)), "just now"},
		{"a minute", en.Ago(now.Add(-50 * time.Second)), "1 minute ago"},
		{"hours", en.Ago(now.Add(-3 * time.Hour)), "3 hours ago"},
		{"hours, Dutch", nl.Ago(now.Add(-3 * time.Hour)), "3 uur geleden"},
		{"yesterday", en.Ago(now.Add(-25 * time.Hour)), "yesterday"},
		{"ahead", en.Ago(now.Add(3 * time.Minute)), "in 3 minutes"},
		{"ahead, Dutch", nl.Ago(now.Add(48 * time.Hour)), "over 2 dagen"},
		{"months", en.Ago(now.AddDate(0, -3, 0)), "3 months ago"},
		{"years", nl.Ago(now.AddDate(-2, 0, 0)), "2 jaar geleden"},
		{"number", en.Number(1234567), "1,234,567"},
		{"number, Dutch", nl.Number(-12345), "−12.345"},
		{"small number", nl.Number(999), "999"},
		{"decimal", nl.Decimal(1234.5, 1), "1.234,5"},
		{"percent", en.Percent(0.415), "42%"},
		{"bytes", en.Bytes(128_000_000_000), "128\u00a0GB"},
		{"small bytes, Dutch", nl.Bytes(1_240), "1,2\u00a0kB"},
		{"duration", en.Duration(3*time.Hour + 5*time.Minute + 9*time.Second), "3 hours 5 minutes"},
		{"round duration", nl.Duration(48 * time.Hour), "2 dagen"},
		{"no duration", en.Duration(0), "0 seconds"},
		{"one second", en.Duration(time.Second), "1 second"},
		{"list", nl.List([]string{"a", "b", "c"}), "a, b en c"},
		{"list of one", nl.List([]string{"a"}), "a"},
		{"reason without text", en.Reason("no-such", nil, "boom"), "reason.no-such The device says: “boom”"},
		{"only device words", en.Reason("", nil, " boom "), "The device says: “boom”"},
		{"no reason", en.Reason("", nil, ""), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
}

func TestNegotiate(t *testing.T) {
	for _, tc := range []struct {
		name, choice, header string
		want                 words.Lang
	}{
		{"the choice wins", "nl", "en-GB,en;q=0.9", words.Dutch},
		{"an unknown choice does not", "xx", "nl-BE", words.Dutch},
		{"region is ignored", "", "nl-NL,nl;q=0.9,en;q=0.8", words.Dutch},
		{"highest quality first", "", "nl;q=0.3,en;q=0.7", words.English},
		{"unknown languages are passed over", "", "fr,de;q=0.9,nl;q=0.1", words.Dutch},
		{"refused language", "", "nl;q=0", words.English},
		{"broken quality", "", "nl;q=abc", words.English},
		{"nothing", "", "", words.English},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := words.Negotiate(tc.choice, tc.header); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("nl-NL,nl;q=0.9")
	f.Add(";;;q=,,")
	f.Fuzz(func(t *testing.T, header string) {
		if _, ok := words.ParseLang(string(words.Negotiate("", header))); !ok {
			t.Errorf("%q chose no language", header)
		}
	})
}
